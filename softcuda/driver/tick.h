/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/tick.h - things that happen later: at a time, or when memory has a value.
 *
 * One thread of the driver serves all of them and sleeps while there are none; threads that wait
 * anyway look, too (soft_tick_poll). Modelled launch durations end here, and cuStreamWaitValue is
 * watched here: nobody can be woken by a plain store, so it is looked at again and again, less
 * often the longer it takes.
 */
#ifndef SOFTCUDA_DRIVER_TICK_H
#define SOFTCUDA_DRIVER_TICK_H

#include <stdbool.h>
#include <stdint.h>

#include <cuda.h>

/* Lives in the caller's memory until fire() was called. */
struct soft_tick {
    struct soft_tick *next;
    uint64_t due_ns;           /* CLOCK_MONOTONIC, for soft_tick_at */
    bool (*is_due)(void *arg); /* for soft_tick_when: called with a lock held, must not block */
    void (*fire)(void *arg);   /* once, without locks, from any thread */
    void *arg;
};

void soft_tick_at(struct soft_tick *tick, uint64_t due_ns);
void soft_tick_when(struct soft_tick *tick);

/* Fires what is due. One load when nothing is waiting. */
void soft_tick_poll(void);

#endif /* SOFTCUDA_DRIVER_TICK_H */
