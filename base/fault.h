/* SPDX-License-Identifier: Apache-2.0
 * base/fault.h - a test decides which fallible call fails.
 *
 * Code asks `if (fab_fault("fd")) return ...;` before it tries; without a plan that is one
 * load and a branch, in every build. A test arms a plan that lets the n-th question
 * say yes; tests/support/faults.h runs a scenario for n = 1, 2, ... until none is left.
 * The plan belongs to the test; one at a time in a process.
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/compiler.h"

struct fab_fault_plan {
    const char *site;            /* count only this site; NULL: all */
    unsigned fail_at;            /* the question that fails, from 1; 0: none */
    atomic_uint asked;           /* so far */
    _Atomic(const char *) fired; /* the site that failed, NULL before */
};

extern _Atomic(struct fab_fault_plan *) fab_fault_armed; /* by fab_fault only */

/* Thread: any. */
bool fab_fault_ask(struct fab_fault_plan *plan, const char *site);

static inline bool fab_fault(const char *site)
{
    struct fab_fault_plan *plan = atomic_load_explicit(&fab_fault_armed, memory_order_acquire);

    return FAB_UNLIKELY(plan) && fab_fault_ask(plan, site);
}

/* `plan` is kept until it is replaced; NULL disarms. No other thread may be inside fab_fault_ask
 * when a plan is replaced. */
void fab_fault_arm(struct fab_fault_plan *plan);

#endif /* BASE_FAULT_H */
