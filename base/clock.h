/* SPDX-License-Identifier: Apache-2.0
 * base/clock.h - time as an object, so that a test can drive it.
 *
 * Code that needs the time keeps a borrowed clock and asks it; nobody else calls
 * clock_gettime. Thread: any.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/compiler.h"

struct fab_clock {
    uint64_t (*now_ns)(const struct fab_clock *clock);
};

/* Nanoseconds that never go back; the zero point means nothing. */
static inline uint64_t fab_clock_now_ns(const struct fab_clock *clock)
{
    return clock->now_ns(clock);
}

/* CLOCK_MONOTONIC of the machine; lives as long as the process. */
const struct fab_clock *fab_clock_real(void);

/* A clock that stands still until the test moves it: pass &fake.clock. */
struct fab_clock_fake {
    struct fab_clock clock; /* first: now_ns finds the rest from it */
    _Atomic uint64_t at_ns;
};

void fab_clock_fake_init(struct fab_clock_fake *fake, uint64_t at_ns);
void fab_clock_fake_advance(struct fab_clock_fake *fake, uint64_t by_ns);

/* now + ttl, or UINT64_MAX ("never") where that does not fit. */
static inline uint64_t fab_deadline_ns(uint64_t now_ns, uint64_t ttl_ns)
{
    return ttl_ns > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + ttl_ns;
}

/* Of two deadlines. */
static inline uint64_t fab_earlier_ns(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

#endif /* BASE_CLOCK_H */
