/* SPDX-License-Identifier: Apache-2.0
 * base/mutex.c - see mutex.h. A failure here is our own mistake (POSIX lists no other cause
 * for a default mutex), so it is asserted.
 */
#include "base/mutex.h"

#include <stddef.h>

#include "base/assert.h"

void fab_mutex_init(struct fab_mutex *mutex)
{
    int failed = pthread_mutex_init(&mutex->raw, NULL);

    fab_assert(!failed);
}

void fab_mutex_fini(struct fab_mutex *mutex)
{
    int failed = pthread_mutex_destroy(&mutex->raw);

    fab_assert(!failed); /* it was held */
}

/* The analysis cannot see that the raw lock is the capability. */
void fab_mutex_lock(struct fab_mutex *mutex) FAB_UNCHECKED
{
    int failed = pthread_mutex_lock(&mutex->raw);

    fab_assert(!failed);
}

void fab_mutex_unlock(struct fab_mutex *mutex) FAB_UNCHECKED
{
    int failed = pthread_mutex_unlock(&mutex->raw);

    fab_assert(!failed);
}

void fab_mutex_wait(struct fab_mutex *mutex, pthread_cond_t *condition)
{
    int failed = pthread_cond_wait(condition, &mutex->raw);

    fab_assert(!failed);
}
