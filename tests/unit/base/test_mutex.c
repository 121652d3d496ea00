/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/base/test_mutex.c - exclusion, waiting, and that a broken contract is noticed.
 */
#include "tests/support/check.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mutex.h"

enum { THREADS = 4, ROUNDS = 5000 };

struct shared {
    struct fab_mutex mutex;
    pthread_cond_t changed;
    unsigned count; /* guarded by mutex */
};

static void *count_up(void *argument)
{
    struct shared *shared = argument;

    for (unsigned i = 0; i < ROUNDS; i++) {
        fab_mutex_lock(&shared->mutex);
        shared->count++;
        (void)pthread_cond_signal(&shared->changed);
        fab_mutex_unlock(&shared->mutex);
    }
    return NULL;
}

static void test_count_and_wait(void)
{
    struct shared shared = {.changed = PTHREAD_COND_INITIALIZER};
    pthread_t threads[THREADS];

    fab_mutex_init(&shared.mutex);
    for (size_t i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, count_up, &shared), 0);
    fab_mutex_lock(&shared.mutex);
    while (shared.count < THREADS * ROUNDS)
        fab_mutex_wait(&shared.mutex, &shared.changed);
    fab_mutex_unlock(&shared.mutex);
    for (size_t i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK_EQ(shared.count, THREADS * ROUNDS);
    fab_mutex_fini(&shared.mutex);
    (void)pthread_cond_destroy(&shared.changed);
}

static void test_destroy_while_held(void)
{
    pid_t child = fork();
    int state = 0;

    CHECK_CASE("destroyed while it is held: the process ends");
    if (child == 0) {
        struct fab_mutex mutex;

        (void)freopen("/dev/null", "w", stderr); /* the assertion's line is not for this log */
        fab_mutex_init(&mutex);
        fab_mutex_lock(&mutex);
        fab_mutex_fini(&mutex);
        _exit(0);
    }
    CHECK(child > 0);
    CHECK_EQ(waitpid(child, &state, 0), child);
    CHECK(WIFSIGNALED(state) || WEXITSTATUS(state) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_count_and_wait),
        CHECK_TEST(test_destroy_while_held),
    };

    return check_run(tests);
}
