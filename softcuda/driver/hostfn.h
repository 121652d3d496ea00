/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/hostfn.h - host functions and stream callbacks: one thread a context runs them.
 */
#ifndef SOFTCUDA_DRIVER_HOSTFN_H
#define SOFTCUDA_DRIVER_HOSTFN_H

#include <pthread.h>
#include <stdbool.h>

struct soft_command;
struct soft_context;

/* Part of a context. Guarded by its lock. */
struct soft_host_queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct soft_command *first, *last; /* by soft_command.next */
    bool has_thread, must_end;
};

void soft_host_init(struct soft_host_queue *queue);
/* The thread ends by itself; the context's work is done by then. */
void soft_host_stop(struct soft_context *context);

#endif /* SOFTCUDA_DRIVER_HOSTFN_H */
