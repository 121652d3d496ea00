/* SPDX-License-Identifier: Apache-2.0
 * perf/xp-bench-work.c - see xp-bench-work.h.
 */
#include "perf/xp-bench-work.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "perf/bench-row.h"

#define NS_PER_S 1e9

static uint64_t next_id;

void bench_fail(const char *what)
{
    (void)fprintf(stderr, "xp-bench: %s\n", what);
    exit(1);
}

void bench_say(const char *what)
{
    (void)fprintf(stderr, "xp-bench: %s ...\n", what);
}

double bench_now_s(void)
{
    return (double)fab_clock_now_ns(fab_clock_real()) / NS_PER_S;
}

/* ---------------------------------------------------------------- cores */

static bool is_pinned;
static cpu_set_t all_cores, core_of[2];

bool bench_pin_pairs(void)
{
    size_t core = 0;

    if (sched_getaffinity(0, sizeof(all_cores), &all_cores) != 0 || CPU_COUNT(&all_cores) < 2)
        return false;
    for (int end = 0; end < 2; end++, core++) {
        while (!CPU_ISSET(core, &all_cores))
            core++;
        CPU_SET(core, &core_of[end]);
    }
    is_pinned = true;
    bench_pin(0);
    return true;
}

static void go_to(const cpu_set_t *cores)
{
    if (is_pinned && sched_setaffinity(0, sizeof(*cores), cores) != 0)
        bench_fail("no such core");
}

void bench_pin(unsigned end)
{
    go_to(&core_of[end]);
}

void bench_unpin(void)
{
    go_to(&all_cores);
}

/* ---------------------------------------------------------------- pairs */

void bench_pair_start(struct bench_pair *pair, const struct ucx_place *there)
{
    pair->posts = 0;
    bench_pin(1);
    if (!ucx_peer_start(&pair->peer, there))
        bench_fail("no peer");
    bench_pin(0);
}

void bench_pair_connect(struct bench_pair *pair, const struct ucx_place *here)
{
    struct fab_err err = {0};

    if (!ucx_link_open(&pair->link, &pair->peer, here, &err))
        bench_fail(err.text);
}

void bench_pair_close(struct bench_pair *pair)
{
    ucx_link_close(&pair->link);
    (void)ucx_peer_stop(&pair->peer);
}

/* ---------------------------------------------------------------- calls and posts */

double bench_call_s(struct bench_pair *pair)
{
    uint64_t value = 0;
    struct iovec part = {.iov_base = &value, .iov_len = sizeof(value)};
    struct xp_reply reply;
    double from_s = bench_now_s();

    if (xp_call(pair->link.conn, UCX_OP_ECHO, &part, 1, &value, sizeof(value), &reply) != FAB_OK)
        bench_fail("a call failed");
    return bench_now_s() - from_s;
}

double bench_call_median_us(struct bench_pair *pair, unsigned idle_us)
{
    enum { CALLS = 1000, CALLS_IDLE = 100, NS_PER_US = 1000 };
    static double took[CALLS];
    unsigned count = idle_us ? CALLS_IDLE : CALLS;

    for (unsigned i = 0; i < count; i++) {
        if (idle_us)
            (void)nanosleep(&(struct timespec){.tv_nsec = (long)idle_us * NS_PER_US}, NULL);
        took[i] = bench_call_s(pair) * 1e6;
    }
    return bench_median(took, count);
}

double bench_posts_rate(struct bench_pair *pair, uint64_t count)
{
    uint64_t args[8] = {0};
    struct iovec part = {.iov_base = args, .iov_len = sizeof(args)};
    struct xp_reply reply;
    double from_s = bench_now_s();

    for (uint64_t i = 0; i < count; i++) {
        args[0] = pair->posts++;
        while (xp_post(pair->link.conn, UCX_OP_NOTHING, &part, 1, NULL) != FAB_OK) {
            if (xp_wait_room(pair->link.conn, sizeof(args), UINT64_MAX) != FAB_OK)
                bench_fail("posting failed");
        }
    }
    if (xp_call(pair->link.conn, UCX_OP_COUNT, NULL, 0, NULL, 0, &reply) != FAB_OK ||
        (uint64_t)reply.result != pair->posts)
        bench_fail("posts were lost or changed their order");
    return (double)count / (bench_now_s() - from_s);
}

/* ---------------------------------------------------------------- bulk */

struct ucx_bulk_args bench_transfer(uint64_t size_bytes)
{
    return (struct ucx_bulk_args){.id = ++next_id, .size_bytes = size_bytes};
}

double bench_bulk_rate(struct bench_pair *pair, uint8_t *bytes, uint64_t size_bytes)
{
    struct ucx_bulk_args args = bench_transfer(size_bytes);
    double from_s = bench_now_s();

    return ucx_bulk(&pair->link, true, bytes, &args) ? (double)size_bytes / (bench_now_s() - from_s)
                                                     : 0;
}

/* ---------------------------------------------------------------- doing nothing, and losses */

static double cpu_s(clockid_t clock)
{
    struct timespec used = {0};

    (void)clock_gettime(clock, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / NS_PER_S;
}

double bench_idle_percent(struct bench_pair *pair, unsigned for_ms)
{
    enum { MS_PER_S = 1000, NS_PER_MS = 1000000 };
    clockid_t theirs;
    double ours_s, theirs_s, from_s, most_s;

    if (clock_getcpuclockid(pair->peer.pid, &theirs) != 0)
        return 0;
    (void)bench_call_s(pair);
    (void)nanosleep(&(struct timespec){.tv_nsec = (long)100 * NS_PER_MS}, NULL); /* it settles */
    from_s = bench_now_s();
    ours_s = cpu_s(CLOCK_PROCESS_CPUTIME_ID);
    theirs_s = cpu_s(theirs);
    (void)nanosleep(&(struct timespec){.tv_sec = for_ms / MS_PER_S,
                                       .tv_nsec = (long)(for_ms % MS_PER_S) * NS_PER_MS},
                    NULL);
    ours_s = cpu_s(CLOCK_PROCESS_CPUTIME_ID) - ours_s;
    theirs_s = cpu_s(theirs) - theirs_s;
    most_s = ours_s > theirs_s ? ours_s : theirs_s;
    return 100 * most_s / (bench_now_s() - from_s);
}

void bench_pause(void)
{
    enum { PAUSE_NS = 200000 };

    (void)nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
}

double bench_noticed_ms(struct bench_pair *pair, double since_s)
{
    enum { LIMIT_S = 30 };

    while (pair->link.down_ns == 0 && bench_now_s() - since_s < LIMIT_S)
        bench_pause();
    return pair->link.down_ns ? (double)pair->link.down_ns / 1e6 - since_s * 1e3 : 0;
}
