/* SPDX-License-Identifier: Apache-2.0
 * base/fault.c - see fault.h.
 */
#include "base/fault.h"

#include <stddef.h>
#include <string.h>

_Atomic(struct fab_fault_plan *) fab_fault_armed;

void fab_fault_arm(struct fab_fault_plan *plan)
{
    atomic_store_explicit(&fab_fault_armed, plan, memory_order_release);
}

bool fab_fault_ask(struct fab_fault_plan *plan, const char *site)
{
    if (plan->site && strcmp(plan->site, site) != 0)
        return false;
    if (atomic_fetch_add(&plan->asked, 1) + 1 != plan->fail_at)
        return false;
    atomic_store(&plan->fired, site);
    return true;
}
