/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/tasks.h - a queue of things to do, and a thread that does them one after the other.
 */
#ifndef CUDA_CLIENT_TASKS_H
#define CUDA_CLIENT_TASKS_H

#include <stdbool.h>

struct cudac_tasks;

/* Lives in its user's memory until run() is called. */
struct cudac_task {
    struct cudac_task *next;
    void (*run)(struct cudac_task *task);
};

/* A queue whose thread starts with its first task; `name` is static. NULL: out of memory. On the
 * threads of host functions CUDA calls are refused. */
struct cudac_tasks *cudac_tasks_new(const char *name, bool is_for_host_functions);
/* False: the system gives no thread; the task is the caller's then. Never blocks. Thread: any. */
bool cudac_tasks_add(struct cudac_tasks *tasks, struct cudac_task *task);
/* The thread ends by itself when nothing is left to do, and frees the queue. Takes NULL. */
void cudac_tasks_stop(struct cudac_tasks *tasks);

#endif /* CUDA_CLIENT_TASKS_H */
