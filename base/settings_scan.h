/* SPDX-License-Identifier: Apache-2.0
 * base/settings_scan.h - looks at a settings text before libconfig does; private.
 *
 * libconfig 1.5 stores 3000000000 as -1294967296 without a word. So each integer is
 * checked here for 64 bits and marked "L", which makes libconfig read it right.
 * Also refused here: @include, NUL, \x00 in a string, nesting that is too deep and
 * numbers with letters behind them (a size without its quotes).
 */
#ifndef BASE_SETTINGS_SCAN_H
#define BASE_SETTINGS_SCAN_H

#include <stddef.h>

#include "base/status.h"

struct fab_err;

/* A copy of the text with every integer marked, lines unchanged, ended by NUL; given to the caller.
 * `name` is the file's, for messages: "name:12: ...". */
FAB_NODISCARD enum fab_status fab_settings_scan(const char *text, size_t text_bytes,
                                                const char *name, char **text_out,
                                                struct fab_err *err);

#endif /* BASE_SETTINGS_SCAN_H */
