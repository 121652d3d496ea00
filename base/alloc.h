/* SPDX-License-Identifier: Apache-2.0
 * base/alloc.h - the allocator's functions, with a place where tests make them fail.
 *
 * Memory from here is given back by free(). NULL is the only failure; callers turn
 * it into FAB_ERR_NOMEM.
 */
#ifndef BASE_ALLOC_H
#define BASE_ALLOC_H

#include <stddef.h>

#include "base/compiler.h"

FAB_NODISCARD void *fab_alloc(size_t size_bytes);                      /* not cleared */
FAB_NODISCARD void *fab_alloc_zeroed(size_t count, size_t item_bytes); /* checks the product */
/* As realloc, for count items; on failure the old memory stays. */
FAB_NODISCARD void *fab_alloc_resize(void *memory, size_t count, size_t item_bytes);
FAB_NODISCARD char *fab_alloc_text(const char *text);

#endif /* BASE_ALLOC_H */
