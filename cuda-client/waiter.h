/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/waiter.h - one thread waits once for something that another thread says is done.
 */
#ifndef CUDA_CLIENT_WAITER_H
#define CUDA_CLIENT_WAITER_H

#include <stdatomic.h>
#include <stdint.h>

/* All-zero is ready to wait. Lives until the wait is over; the waker does not touch it after its
 * last store to it, but for a system call on its address. */
struct cudac_waiter {
    _Atomic uint32_t is_done;
};

void cudac_waiter_wait(struct cudac_waiter *waiter);
void cudac_waiter_wake(struct cudac_waiter *waiter);

#endif /* CUDA_CLIENT_WAITER_H */
