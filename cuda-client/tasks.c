/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/tasks.c - a queue of things to do, and its thread.
 */
#include "cuda-client/tasks.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "cuda-client/context.h"
#include "cuda-common/thread.h"

struct cudac_tasks {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const char *name;
    struct cudac_task *first, **last;
    bool is_for_host_functions, has_thread, must_end;
};

struct cudac_tasks *cudac_tasks_new(const char *name, bool is_for_host_functions)
{
    struct cudac_tasks *tasks = fab_alloc_zeroed(1, sizeof(*tasks));

    if (!tasks)
        return NULL;
    (void)pthread_mutex_init(&tasks->lock, NULL);
    (void)pthread_cond_init(&tasks->changed, NULL);
    tasks->name = name;
    tasks->last = &tasks->first;
    tasks->is_for_host_functions = is_for_host_functions;
    return tasks;
}

static void tasks_free(struct cudac_tasks *tasks)
{
    (void)pthread_cond_destroy(&tasks->changed);
    (void)pthread_mutex_destroy(&tasks->lock);
    free(tasks);
}

/* The next one, or NULL: all is done and the end was asked for. */
static struct cudac_task *task_next(struct cudac_tasks *tasks)
{
    struct cudac_task *task;

    pthread_mutex_lock(&tasks->lock);
    while (!tasks->first && !tasks->must_end)
        (void)pthread_cond_wait(&tasks->changed, &tasks->lock);
    task = tasks->first;
    if (task) {
        tasks->first = task->next;
        if (!tasks->first)
            tasks->last = &tasks->first;
    }
    pthread_mutex_unlock(&tasks->lock);
    return task;
}

static void *tasks_thread(void *arg)
{
    struct cudac_tasks *tasks = arg;
    struct cudac_task *task;

    cudac_thread_set_host_function(tasks->is_for_host_functions);
    while ((task = task_next(tasks)))
        task->run(task);
    tasks_free(tasks);
    return NULL;
}

bool cudac_tasks_add(struct cudac_tasks *tasks, struct cudac_task *task)
{
    bool has_thread;

    task->next = NULL;
    pthread_mutex_lock(&tasks->lock);
    if (!tasks->has_thread)
        tasks->has_thread = cuc_thread_start(tasks->name, tasks_thread, tasks);
    has_thread = tasks->has_thread;
    if (has_thread) {
        *tasks->last = task;
        tasks->last = &task->next;
        (void)pthread_cond_signal(&tasks->changed);
    }
    pthread_mutex_unlock(&tasks->lock);
    return has_thread;
}

void cudac_tasks_stop(struct cudac_tasks *tasks)
{
    bool has_thread;

    if (!tasks)
        return;
    pthread_mutex_lock(&tasks->lock);
    tasks->must_end = true;
    has_thread = tasks->has_thread;
    (void)pthread_cond_signal(&tasks->changed);
    pthread_mutex_unlock(&tasks->lock);
    if (!has_thread)
        tasks_free(tasks);
}
