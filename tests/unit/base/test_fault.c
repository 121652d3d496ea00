/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/base/test_fault.c - which question fails, and the scenario runner itself.
 */
#include "tests/support/check.h"

#include "base/alloc.h"
#include "base/fault.h"
#include "tests/support/faults.h"

#include <stdlib.h>

static void test_plan(void)
{
    struct fab_fault_plan second = {.fail_at = 2}, named = {.site = "fd", .fail_at = 1},
                          counting = {.fail_at = 0};

    CHECK_CASE("no plan");
    CHECK(!fab_fault("alloc"));
    CHECK_CASE("the second of all");
    fab_fault_arm(&second);
    CHECK(!fab_fault("fd"));
    CHECK(fab_fault("alloc"));
    CHECK(!fab_fault("alloc"));
    CHECK_STR(second.fired, "alloc");
    CHECK_EQ(second.asked, 3);
    CHECK_CASE("one site only");
    fab_fault_arm(&named);
    CHECK(!fab_fault("alloc"));
    CHECK(fab_fault("fd"));
    CHECK_EQ(named.asked, 1);
    CHECK_CASE("counting only");
    fab_fault_arm(&counting);
    CHECK(!fab_fault("fd"));
    CHECK_EQ(counting.asked, 1);
    CHECK(counting.fired == NULL);
    fab_fault_arm(NULL);
}

static void test_allocators(void)
{
    char *text;

    CHECK_CASE("every allocator asks");
    fab_fault_arm(&(struct fab_fault_plan){.fail_at = 1});
    CHECK(fab_alloc(1) == NULL);
    fab_fault_arm(&(struct fab_fault_plan){.fail_at = 1});
    CHECK(fab_alloc_zeroed(1, 1) == NULL);
    fab_fault_arm(&(struct fab_fault_plan){.fail_at = 1});
    CHECK(fab_alloc_resize(NULL, 1, 1) == NULL);
    fab_fault_arm(&(struct fab_fault_plan){.fail_at = 1});
    CHECK(fab_alloc_text("a") == NULL);
    fab_fault_arm(NULL);

    CHECK_CASE("nothing is something");
    text = fab_alloc_zeroed(0, 8);
    CHECK(text != NULL);
    free(text);
    CHECK_CASE("a product that overflows");
    CHECK(fab_alloc_zeroed(SIZE_MAX / 2, 3) == NULL);
    CHECK(fab_alloc_resize(NULL, SIZE_MAX / 2, 3) == NULL);
}

static enum fab_status three_sites(void)
{
    for (unsigned i = 0; i < 3; i++) {
        if (fab_fault("step"))
            return FAB_ERR_BUSY;
    }
    return FAB_OK;
}

static void test_runner(void)
{
    CHECK_EQ(faults_run("three", three_sites), 3);
    CHECK_EQ(fab_fault_armed == NULL, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_plan),
        CHECK_TEST(test_allocators),
        CHECK_TEST(test_runner),
    };

    return check_run(tests);
}
