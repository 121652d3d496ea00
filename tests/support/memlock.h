/* SPDX-License-Identifier: Apache-2.0
 * tests/support/memlock.h - how much memory this process may lock, and how much it has locked.
 */
#ifndef TESTS_SUPPORT_MEMLOCK_H
#define TESTS_SUPPORT_MEMLOCK_H

#include <stdbool.h>

/* Sets the limit and gives up the privilege to ignore it, for good. False if that had no effect. */
bool memlock_limit(unsigned long limit_kib);

/* VmLck and VmPin: what mlock() and what drivers hold. -1: the kernel does not tell. */
long memlock_held_kib(void);

#endif /* TESTS_SUPPORT_MEMLOCK_H */
