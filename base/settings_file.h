/* SPDX-License-Identifier: Apache-2.0
 * base/settings_file.h - the libconfig file behind the rows of base/settings.h.
 *
 * Target base_settings (links libconfig). The library wraps large integers without
 * a word, so the text passes our own scanner first: every integer is read with 64
 * bits or refused. @include is refused. Messages begin with "file:line: ".
 */
#ifndef BASE_SETTINGS_FILE_H
#define BASE_SETTINGS_FILE_H

#include "base/settings.h"

enum {
    FAB_SETTINGS_FILE_MAX_BYTES = 1 << 20, /* of a file written by people */
    FAB_SETTINGS_DEPTH_MAX = 32,           /* of nested groups and lists */
};

/* Layers the file over the target, all of it or nothing. A missing file is FAB_ERR_NOT_FOUND. */
FAB_NODISCARD enum fab_status fab_settings_read_file(const struct fab_schema *schema, void *target,
                                                     const char *path, struct fab_err *err);

/* The same from memory; `name` stands for the file in messages. */
FAB_NODISCARD enum fab_status fab_settings_read_text(const struct fab_schema *schema, void *target,
                                                     const char *text, size_t text_bytes,
                                                     const char *name, struct fab_err *err);

#endif /* BASE_SETTINGS_FILE_H */
