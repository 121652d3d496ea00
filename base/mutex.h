/* SPDX-License-Identifier: Apache-2.0
 * base/mutex.h - a mutex whose lock contracts the compiler checks.
 *
 * clang -Wthread-safety (preset analyze) needs a lock type of its own; a bare
 * pthread_mutex_t cannot stand in FAB_REQUIRES and friends (base/compiler.h):
 *
 *     static void drop_locked(struct cache *cache) FAB_REQUIRES(cache->mutex);
 *
 * Thread: any. All-zero is an unlocked mutex.
 */
#ifndef BASE_MUTEX_H
#define BASE_MUTEX_H

#include <pthread.h>

#include "base/compiler.h"

struct FAB_CAPABILITY("mutex") fab_mutex {
    pthread_mutex_t raw;
};

void fab_mutex_init(struct fab_mutex *mutex);
void fab_mutex_fini(struct fab_mutex *mutex);
void fab_mutex_lock(struct fab_mutex *mutex) FAB_ACQUIRE(*mutex);
void fab_mutex_unlock(struct fab_mutex *mutex) FAB_RELEASE(*mutex);

/* Waits on a condition; the mutex is held before and after. A wake-up may be for nothing: loop. */
void fab_mutex_wait(struct fab_mutex *mutex, pthread_cond_t *condition) FAB_REQUIRES(*mutex);

#endif /* BASE_MUTEX_H */
