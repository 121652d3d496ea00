/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/base/test_clock.c - the real clock does not go back, the fake one obeys.
 */
#include "tests/support/check.h"

#include "base/clock.h"

static void test_clocks(void)
{
    const struct fab_clock *real = fab_clock_real();
    struct fab_clock_fake fake;
    uint64_t before = fab_clock_now_ns(real);

    CHECK_CASE("real");
    CHECK(fab_clock_now_ns(real) >= before);
    CHECK_CASE("fake");
    fab_clock_fake_init(&fake, 5);
    CHECK_EQ(fab_clock_now_ns(&fake.clock), 5);
    fab_clock_fake_advance(&fake, 1000);
    CHECK_EQ(fab_clock_now_ns(&fake.clock), 1005);
    CHECK_CASE("deadlines");
    CHECK_EQ(fab_deadline_ns(5, 10), 15);
    CHECK_EQ(fab_deadline_ns(5, UINT64_MAX - 5), UINT64_MAX);
    CHECK_EQ(fab_deadline_ns(6, UINT64_MAX - 5), UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_clocks)};

    return check_run(tests);
}
