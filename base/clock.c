/* SPDX-License-Identifier: Apache-2.0
 * base/clock.c - see clock.h.
 */
#include "base/clock.h"

#include <time.h>

#define NS_PER_S UINT64_C(1000000000)

static uint64_t real_now_ns(const struct fab_clock *clock)
{
    struct timespec now;

    (void)clock;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

const struct fab_clock *fab_clock_real(void)
{
    static const struct fab_clock real = {.now_ns = real_now_ns};

    return &real;
}

static uint64_t fake_now_ns(const struct fab_clock *clock)
{
    return atomic_load(&((const struct fab_clock_fake *)clock)->at_ns);
}

void fab_clock_fake_init(struct fab_clock_fake *fake, uint64_t at_ns)
{
    fake->clock.now_ns = fake_now_ns;
    atomic_init(&fake->at_ns, at_ns);
}

void fab_clock_fake_advance(struct fab_clock_fake *fake, uint64_t by_ns)
{
    (void)atomic_fetch_add(&fake->at_ns, by_ns);
}
