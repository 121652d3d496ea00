/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/warp/test_pool.c - who goes on with a block that a waiting thread began and left.
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "softcuda/warp/launch_int.h"
#include "tests/support/check.h"
#include "tests/unit/warp/harness.h"

enum { WORKERS = 2, WORD_BEGUN = 0, WORD_GO = 1, WORD_END = 2 };

/* Tells that it runs, waits inside its turn, gives the turn up at the next back edge, and ends. */
static const char kernel[] = ".version 7.0\n"
                             ".target sm_75\n"
                             ".address_size 64\n"
                             ".visible .entry turns(.param .u64 words)\n"
                             "{\n"
                             "    .reg .b64 %rd<2>;\n"
                             "    .reg .b32 %r<4>;\n"
                             "    .reg .pred %p<3>;\n"
                             "    ld.param.u64 %rd1, [words];\n"
                             "    mov.u32 %r1, 1;\n"
                             "    st.volatile.global.u32 [%rd1], %r1;\n"
                             "wait:\n"
                             "    ld.volatile.global.u32 %r2, [%rd1+4];\n"
                             "    setp.eq.u32 %p1, %r2, 0;\n"
                             "    @%p1 bra wait;\n"
                             "    mov.u32 %r3, 3;\n"
                             "    nanosleep.u32 1;\n"
                             "again:\n"
                             "    sub.u32 %r3, %r3, 1;\n"
                             "    setp.ne.u32 %p2, %r3, 0;\n"
                             "    @%p2 bra again;\n"
                             "    st.volatile.global.u32 [%rd1+8], %r1;\n"
                             "    ret;\n"
                             "}\n";

struct scene {
    struct warp_pool *pool;
    uint32_t *words;
    sem_t held, release;
};

static uint32_t word(const struct scene *scene, int index)
{
    return __atomic_load_n(&scene->words[index], __ATOMIC_ACQUIRE);
}

/* Keeps a worker from taking the block. */
static void hold_worker(void *arg)
{
    struct scene *scene = arg;

    (void)sem_post(&scene->held);
    (void)sem_wait(&scene->release);
}

/* When the block is in its turn: workers look for work, find none and sleep. Then it goes on. */
static void *direct(void *arg)
{
    struct scene *scene = arg;

    while (word(scene, WORD_BEGUN) == 0)
        (void)sched_yield();
    for (int i = 0; i < WORKERS; i++)
        (void)sem_post(&scene->release);
    while (atomic_load(&scene->pool->sleepers) < WORKERS)
        (void)sched_yield();
    __atomic_store_n(&scene->words[WORD_GO], 1, __ATOMIC_RELEASE);
    return NULL;
}

static bool has_gone_on(void *arg)
{
    return word(arg, WORD_GO) != 0;
}

static void test_helper_leaves_a_block(void)
{
    const struct warp_policy policy = {.worker_count = WORKERS, .budget_full = INT32_MAX};
    struct harness *h = harness_create(&policy);
    struct scene scene = {.pool = harness_pool(h), .words = harness_alloc(h, 16)};
    struct warp_launch *launch;
    pthread_t director;

    (void)sem_init(&scene.held, 0, 0);
    (void)sem_init(&scene.release, 0, 0);
    for (int i = 0; i < WORKERS; i++)
        CHECK_EQ(warp_pool_run(scene.pool, hold_worker, &scene), FAB_OK);
    for (int i = 0; i < WORKERS; i++)
        (void)sem_wait(&scene.held);
    if (pthread_create(&director, NULL, direct, &scene) != 0)
        abort();
    if (!harness_load(h, kernel))
        abort();
    launch =
        harness_start(h, "turns", HARNESS_GRID(.grid = {1}), HARNESS_PTR(scene.words), HARNESS_END);
    if (!launch)
        abort();
    warp_launch_help(launch, has_gone_on, &scene);
    (void)pthread_join(director, NULL);
    while (word(&scene, WORD_END) == 0) /* nobody here helps: a worker must have been woken */
        (void)sched_yield();
    CHECK(!harness_wait(h, launch).failed);
    (void)sem_destroy(&scene.held);
    (void)sem_destroy(&scene.release);
    harness_destroy(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_helper_leaves_a_block)};

    return check_run(tests);
}
