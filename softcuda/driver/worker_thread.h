/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/worker_thread.h - starting the driver's own threads in somebody else's process.
 */
#ifndef SOFTCUDA_DRIVER_WORKER_THREAD_H
#define SOFTCUDA_DRIVER_WORKER_THREAD_H

#include <stdbool.h>

/* A detached thread with all signals blocked, named for ps and top. False: the system refused. */
bool soft_thread_start(const char *name, void *(*run)(void *arg), void *arg);

#endif /* SOFTCUDA_DRIVER_WORKER_THREAD_H */
