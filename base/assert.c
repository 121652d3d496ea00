/* SPDX-License-Identifier: Apache-2.0
 * base/assert.c - see assert.h.
 */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void fab_assert_failed(const char *condition, const char *file, int line)
{
    (void)fprintf(stderr, "%s:%d: not true: %s\n", file, line, condition);
    abort();
}
