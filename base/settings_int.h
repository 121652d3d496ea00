/* SPDX-License-Identifier: Apache-2.0
 * base/settings_int.h - what the readers of settings share; private to base/.
 *
 * A reader works on a draft, a deep copy of the target, and ends it with its status:
 * on FAB_OK the draft becomes the target, otherwise it is dropped.
 */
#ifndef BASE_SETTINGS_INT_H
#define BASE_SETTINGS_INT_H

#include "base/err.h"
#include "base/parse.h"
#include "base/settings.h"

enum {
    FAB_SETTING_STRING_MAX_BYTES = 4095,
    FAB_SETTING_LIST_MAX_ITEMS = 4096,
    FAB_SETTING_RANGE_TEXT_BYTES = 128,
};

FAB_NODISCARD enum fab_status fab_settings_draft(const struct fab_schema *schema,
                                                 const void *target, void **draft_out,
                                                 struct fab_err *err);
/* Returns `status`. */
enum fab_status fab_settings_draft_end(const struct fab_schema *schema, void *target, void *draft,
                                       enum fab_status status);

static inline void *fab_setting_field(const struct fab_setting *row, void *target)
{
    return (char *)target + row->offset;
}

/* The allowed values as numbers, with the type's own limits where the row has none. */
void fab_setting_limits(const struct fab_setting *row, int64_t *min_out, int64_t *max_out);

/* A number of the row's type as text: "64MiB", "2m30s", "-3". Returns `text`. */
const char *fab_setting_format(const struct fab_setting *row, int64_t value,
                               char text[FAB_NUMBER_TEXT_BYTES]);

/* Clears the items and frees them. */
void fab_setting_list_clear(const struct fab_setting *row, struct fab_setting_list *list);

/* Fills err with "`shown` is <problem> (allowed: ...)". */
enum fab_status fab_setting_refuse(const struct fab_setting *row, enum fab_status status,
                                   const char *shown, const char *problem, struct fab_err *err);

#endif /* BASE_SETTINGS_INT_H */
