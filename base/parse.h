/* SPDX-License-Identifier: Apache-2.0
 * base/parse.h - numbers with units, as text: "64MiB", "2m30s", "-17", "0x1f".
 *
 * The whole text must be the number: no blanks, nothing behind it. Outputs are set
 * on FAB_OK only. FAB_ERR_INVALID: not such a number; FAB_ERR_RANGE: too large for
 * the output. Each parser has a formatter whose text it reads back exactly.
 */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include <stdint.h>

#include "base/status.h"

enum { FAB_NUMBER_TEXT_BYTES = 48 }; /* room for every text made here */

/* Decimal, or hexadecimal after 0x; an optional minus sign (no plus, no leading blanks). */
FAB_NODISCARD enum fab_status fab_parse_int(const char *text, int64_t *value_out);

/* Decimal bytes, or with KiB, MiB, GiB, TiB (powers of 1024). "KB" is refused: 1000 or 1024? */
FAB_NODISCARD enum fab_status fab_parse_size(const char *text, uint64_t *bytes_out);

/* One or more of d, h, m, s, ms, us, ns, largest first, each once: "2m30s", "500ms". A bare number
 * is refused, except "0". */
FAB_NODISCARD enum fab_status fab_parse_duration(const char *text, uint64_t *ns_out);

/* The shortest exact text. Returns `text`. */
const char *fab_format_size(uint64_t bytes, char text[FAB_NUMBER_TEXT_BYTES]);
const char *fab_format_duration(uint64_t ns, char text[FAB_NUMBER_TEXT_BYTES]);

#endif /* BASE_PARSE_H */
