/* SPDX-License-Identifier: Apache-2.0
 * perf/xp-bench-limit.c - see xp-bench-limit.h.
 */
#include "perf/xp-bench-limit.h"

#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "perf/bench-row.h"
#include "perf/xp-bench-work.h"
#include "ucx-transport/xp_ring.h"

double bench_memcpy_rate(void *to, const void *from, size_t size_bytes)
{
    uint64_t from_ns = fab_clock_now_ns(fab_clock_real()), took_ns;

    memcpy(to, from, size_bytes);
    took_ns = fab_clock_now_ns(fab_clock_real()) - from_ns;
    return (double)size_bytes / ((double)took_ns / 1e9);
}

/* ---------------------------------------------------------------- the ring */

enum { CAPACITY = 1 << 16, RING_BYTES = XP_RING_HEAD_BYTES + CAPACITY, ROUNDS_MAX = 4096 };

static void put(struct xp_ring *ring, uint64_t value)
{
    xp_ring_write(ring, &value, sizeof(value));
    (void)xp_ring_publish(ring);
}

static uint64_t get(struct xp_ring *ring)
{
    uint64_t value;

    while (xp_ring_available(ring) < sizeof(value) && !ring->broken) {
    }
    xp_ring_read(ring, &value, sizeof(value));
    (void)xp_ring_release(ring);
    return value;
}

static void echo(struct xp_ring *in, struct xp_ring *out, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        put(out, get(in));
}

static double measure(struct xp_ring *in, struct xp_ring *out, unsigned count)
{
    static double took[ROUNDS_MAX];
    const struct fab_clock *clock = fab_clock_real();

    for (unsigned i = 0; i < count; i++) {
        uint64_t from_ns = fab_clock_now_ns(clock);

        put(out, i);
        if (get(in) != i)
            return 0;
        took[i] = (double)(fab_clock_now_ns(clock) - from_ns) / 1e3;
    }
    return bench_median(took, count);
}

double bench_ring_round_trip_us(unsigned count)
{
    uint8_t *memory = mmap(NULL, (size_t)2 * RING_BYTES, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct xp_ring one, other;
    double median = 0;
    pid_t pid;

    if (memory == MAP_FAILED || count > ROUNDS_MAX)
        return 0;
    xp_ring_init(&one, memory, CAPACITY);
    xp_ring_init(&other, memory + RING_BYTES, CAPACITY);
    pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        bench_pin(1);
        echo(&one, &other, count);
        _exit(0);
    }
    if (pid > 0) {
        median = measure(&other, &one, count);
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
    }
    (void)munmap(memory, (size_t)2 * RING_BYTES);
    return median;
}
