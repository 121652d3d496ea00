/* SPDX-License-Identifier: Apache-2.0
 * base/file.h - a small file as a whole.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stddef.h>

#include "base/status.h"

struct fab_err;

/* Reads the file at `path`, which may be a pipe or stand under /proc. The bytes are given to the
 * caller (free), with a NUL behind them that *size_bytes_out (may be NULL) does not count.
 * FAB_ERR_LIMIT if there are more than max_bytes; else as errno says. err names the path. */
FAB_NODISCARD enum fab_status fab_file_read(const char *path, size_t max_bytes, char **bytes_out,
                                            size_t *size_bytes_out, struct fab_err *err);

#endif /* BASE_FILE_H */
