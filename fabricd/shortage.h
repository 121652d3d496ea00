/* SPDX-License-Identifier: Apache-2.0
 * fabricd/shortage.h - why GPUs are not free, in a few words, for who asked for more than there
 * are.
 */
#ifndef FABRICD_SHORTAGE_H
#define FABRICD_SHORTAGE_H

#include <stddef.h>

struct ledger;

/* "c4130-3 is drained, 4 are in use, 1 has failed"; "": all are free. What does not fit is "...".
 */
void shortage_list(const struct ledger *ledger, char *text, size_t text_bytes);

#endif /* FABRICD_SHORTAGE_H */
