/* SPDX-License-Identifier: Apache-2.0
 * tests/support/faults.c - see faults.h.
 */
#include "tests/support/faults.h"

#include "base/fault.h"
#include "tests/support/check.h"

enum { SITES_MAX = 10000 }; /* a scenario that never succeeds must end too */

unsigned faults_run(const char *label, enum fab_status (*scenario)(void))
{
    for (unsigned n = 1; n <= SITES_MAX; n++) {
        struct fab_fault_plan plan = {.fail_at = n};
        enum fab_status status;

        CHECK_CASE("%s, site %u fails", label, n);
        fab_fault_arm(&plan);
        status = scenario();
        fab_fault_arm(NULL);
        if (!plan.fired) {
            CHECK_CASE("%s, nothing fails", label);
            CHECK_EQ(status, FAB_OK);
            CHECK(n > 1);
            return n - 1;
        }
        CHECK(status != FAB_OK);
    }
    CHECK_EQ(SITES_MAX, 0); /* the scenario has no end */
    return SITES_MAX;
}
