/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/waiter.c - waiting by futex.
 */
#include "cuda-client/waiter.h"

#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

void cudac_waiter_wait(struct cudac_waiter *waiter)
{
    while (atomic_load_explicit(&waiter->is_done, memory_order_acquire) == 0)
        (void)syscall(SYS_futex, &waiter->is_done, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

void cudac_waiter_wake(struct cudac_waiter *waiter)
{
    atomic_store_explicit(&waiter->is_done, 1, memory_order_release);
    (void)syscall(SYS_futex, &waiter->is_done, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}
