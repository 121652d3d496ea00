/* SPDX-License-Identifier: Apache-2.0
 * base/alloc.c - see alloc.h. One fault site, "alloc", for all of them.
 */
#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

#include "base/fault.h"

/* malloc(0) may be NULL, which must not look like a failure. */
static size_t at_least_one(size_t size_bytes)
{
    return size_bytes > 0 ? size_bytes : 1;
}

void *fab_alloc(size_t size_bytes)
{
    return fab_fault("alloc") ? NULL : malloc(at_least_one(size_bytes));
}

void *fab_alloc_zeroed(size_t count, size_t item_bytes)
{
    size_t size_bytes;

    /* Not left to calloc: sanitizers end the program where the product overflows. */
    if (fab_fault("alloc") || __builtin_mul_overflow(count, item_bytes, &size_bytes))
        return NULL;
    return calloc(1, at_least_one(size_bytes));
}

void *fab_alloc_resize(void *memory, size_t count, size_t item_bytes)
{
    size_t size_bytes;

    if (fab_fault("alloc") || __builtin_mul_overflow(count, item_bytes, &size_bytes))
        return NULL;
    return realloc(memory, at_least_one(size_bytes));
}

char *fab_alloc_text(const char *text)
{
    return fab_fault("alloc") ? NULL : strdup(text);
}
