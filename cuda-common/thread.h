/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/thread.h - starting the driver's own threads in somebody else's process.
 */
#ifndef CUDA_COMMON_THREAD_H
#define CUDA_COMMON_THREAD_H

#include <stdbool.h>

/* A detached thread with all signals blocked, named for ps and top. False: the system refused. */
bool cuc_thread_start(const char *name, void *(*run)(void *arg), void *arg);

#endif /* CUDA_COMMON_THREAD_H */
