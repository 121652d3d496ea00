/* SPDX-License-Identifier: Apache-2.0
 * base/assert.h - fab_assert: our own mistakes, checked in every build.
 *
 * Never for input, peers, files, the machine or the driver: those get a status.
 */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#include "base/compiler.h"

/* Prints the condition and where it stands to stderr, then aborts. */
FAB_NORETURN void fab_assert_failed(const char *condition, const char *file, int line);

#define fab_assert(condition)                                                                      \
    (FAB_LIKELY(condition) ? (void)0 : fab_assert_failed(#condition, __FILE__, __LINE__))

#endif /* BASE_ASSERT_H */
