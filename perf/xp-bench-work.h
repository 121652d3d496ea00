/* SPDX-License-Identifier: Apache-2.0
 * perf/xp-bench-work.h - what xp-bench has a pair of peers do, and how long they take.
 */
#ifndef PERF_XP_BENCH_WORK_H
#define PERF_XP_BENCH_WORK_H

#include "perf/xp-peer.h"

enum { BENCH_MIB = 1 << 20 };

struct bench_pair {
    struct ucx_peer peer;
    struct ucx_link link;
    uint64_t posts; /* made so far: each carries its number */
};

/* A line on stderr and exit status 1. */
_Noreturn void bench_fail(const char *what);
void bench_say(const char *what);
double bench_now_s(void);

/* From now on our ends of pairs run on the first core that this process may use, and their peers on
 * the second: beside other work the scheduler often has both on one. False: there is one core. */
bool bench_pin_pairs(void);
/* This thread and those that it makes go to where that end (0: ours, 1: the peer's) runs; unpin():
 * to all cores again. Nothing where pairs are not pinned. */
void bench_pin(unsigned end);
void bench_unpin(void);

/* Peers come before any link: a process cannot fork while its UCX is at work. */
void bench_pair_start(struct bench_pair *pair, const struct ucx_place *there);
void bench_pair_connect(struct bench_pair *pair, const struct ucx_place *here);
void bench_pair_close(struct bench_pair *pair);

/* Times in seconds, rates per second. Bytes go to the peer; 0: the transfer failed. */
double bench_call_s(struct bench_pair *pair);
double bench_call_median_us(struct bench_pair *pair, unsigned idle_us);
double bench_posts_rate(struct bench_pair *pair, uint64_t count);
struct ucx_bulk_args bench_transfer(uint64_t size_bytes);
double bench_bulk_rate(struct bench_pair *pair, uint8_t *bytes, uint64_t size_bytes);

/* CPU time of the end that used more, in percent of a core, over so many ms of doing nothing. */
double bench_idle_percent(struct bench_pair *pair, unsigned for_ms);
void bench_pause(void); /* a moment, in waits that must not take a core from what is measured */
/* How long until the first rail is called down, in ms; 0: it was not in 30 s. */
double bench_noticed_ms(struct bench_pair *pair, double since_s);

#endif /* PERF_XP_BENCH_WORK_H */
