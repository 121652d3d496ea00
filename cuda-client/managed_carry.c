/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/managed_carry.c - pinned and registered memory while kernels use it elsewhere.
 *
 * CUDA promises that host and kernels see each other's stores to such memory while both run: a
 * kernel may wait for a word that the host will store. Where the two have places of their own, a
 * thread makes them equal again and again while a kernel may be running; the more bytes that takes
 * and the longer nothing changed, the less often. It sleeps while all such memory is at home.
 * Managed memory needs none of this: CONCURRENT_MANAGED_ACCESS is 0 there.
 */
#include <time.h>

#include "cuda-client/managed_int.h"
#include "cuda-client/trace.h"
#include "cuda-common/thread.h"

enum {
    PAUSE_MIN_NS = 50 * 1000,
    PAUSE_MAX_NS = 20 * 1000 * 1000, /* while nothing changes */
    SHARE = 8,                       /* of the time since a change, or times what one round took */
};

/* memory_lock. */
static bool is_wanted, has_thread;
static pthread_cond_t wanted = PTHREAD_COND_INITIALIZER;

static uint64_t pause_of(uint64_t round_ns, uint64_t quiet_ns)
{
    uint64_t pause_ns = quiet_ns / SHARE;

    if (pause_ns > PAUSE_MAX_NS)
        pause_ns = PAUSE_MAX_NS;
    if (pause_ns < PAUSE_MIN_NS)
        pause_ns = PAUSE_MIN_NS;
    return pause_ns > round_ns * SHARE ? pause_ns : round_ns * SHARE;
}

static void *run(void *arg)
{
    uint64_t changed_ns = 0, pause_ns = PAUSE_MIN_NS;

    (void)arg;
    for (;;) {
        bool changed = false;

        (void)nanosleep(&(struct timespec){.tv_sec = (time_t)(pause_ns / 1000000000),
                                           .tv_nsec = (long)(pause_ns % 1000000000)},
                        NULL);
        (void)pthread_mutex_lock(&cudac_memory_lock);
        while (!is_wanted) {
            (void)pthread_cond_wait(&wanted, &cudac_memory_lock);
            changed = true; /* for the pause: begin anew */
        }
        uint64_t start_ns = cudac_now_ns();

        is_wanted = cudac_move_carry(&changed);
        (void)pthread_mutex_unlock(&cudac_memory_lock);
        uint64_t now_ns = cudac_now_ns();

        if (changed)
            changed_ns = now_ns;
        pause_ns = pause_of(now_ns - start_ns, now_ns - changed_ns);
    }
    return NULL;
}

void cudac_carry_start(void)
{
    /* Without a thread the two sides are equal at launches and waits only. */
    if (!has_thread)
        has_thread = cuc_thread_start("fabric-carry", run, NULL);
    is_wanted = true;
    (void)pthread_cond_signal(&wanted);
}
