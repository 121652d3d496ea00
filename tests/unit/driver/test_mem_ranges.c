/* SPDX-License-Identifier: Apache-2.0
 * Tests of cuda-common/ranges.c: a set of ranges against a plain map of bytes.
 */
#include "tests/support/check.h"

#include <stdlib.h>
#include <string.h>

#include "cuda-common/ranges.h"

static void test_first_fit(void)
{
    static const struct {
        const char *label;
        uint64_t lo, hi, bytes, align;
        bool fits;
        uint64_t at;
    } cases[] = {
        {"in front", 0, 1000, 10, 1, true, 0},
        {"in front, exactly", 0, 1000, 100, 1, true, 0},
        {"in none of the gaps", 0, 1000, 101, 1, true, 500},
        {"in the gap between", 100, 1000, 50, 1, true, 200},
        {"aligned in the gap", 100, 1000, 20, 128, true, 256},
        {"aligned, too large for what is left", 100, 300, 50, 128, false, 7},
        {"behind all", 300, 1000, 500, 1, true, 500},
        {"behind all, one too many", 300, 1000, 501, 1, false, 7},
        {"starts inside a range", 150, 1000, 100, 1, true, 200},
        {"area ends in front of the first", 0, 100, 100, 1, true, 0},
        {"larger than the area", 0, 100, 101, 1, false, 7},
    };
    struct cuc_ranges set = {0};

    /* 100..200 and 300..500 are taken. */
    CHECK(cuc_ranges_insert(&set, 300, 500, NULL));
    CHECK(cuc_ranges_insert(&set, 100, 200, NULL));
    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        uint64_t at = 7;

        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(cuc_ranges_first_fit(&set, cases[i].lo, cases[i].hi, cases[i].bytes,
                                      cases[i].align, &at),
                 cases[i].fits);
        CHECK_EQ(at, cases[i].at);
    }
    cuc_ranges_clear(&set);
}

enum { BYTES = 512, STEPS = 20000 };

/* Random inserts and removals; every answer is compared with one byte a position. */
static void test_against_a_map(void)
{
    static uint8_t map[BYTES];
    struct cuc_ranges set = {0};
    unsigned seed = 1;

    for (int step = 0; step < STEPS && check_failures() == 0; step++) {
        uint64_t bytes = 1 + (uint64_t)rand_r(&seed) % 24, at = 0, expected = 0;
        bool room = false;

        CHECK_CASE("step %d", step);
        for (uint64_t run = 0, i = 0; i < BYTES && !room; i++) {
            run = map[i] ? 0 : run + 1;
            room = run == bytes;
            expected = i + 1 - run;
        }
        CHECK_EQ(cuc_ranges_first_fit(&set, 0, BYTES, bytes, 1, &at), room);
        if (room && rand_r(&seed) % 8 != 0) {
            CHECK_EQ(at, expected);
            CHECK(!cuc_ranges_hit(&set, at, at + bytes));
            CHECK(cuc_ranges_insert(&set, at, at + bytes, &map[at]));
            memset(map + at, 1, bytes);
        } else if (set.count > 0) {
            struct cuc_range range = set.at[(size_t)rand_r(&seed) % set.count];

            CHECK(cuc_ranges_hit(&set, range.hi - 1, range.hi));
            CHECK(cuc_ranges_remove(&set, range.lo));
            memset(map + range.lo, 0, range.hi - range.lo);
        }
        uint64_t probe = (uint64_t)rand_r(&seed) % BYTES;
        const struct cuc_range *found = cuc_ranges_find(&set, probe);

        CHECK_EQ(found != NULL, map[probe]);
        if (found)
            CHECK(found->lo <= probe && probe < found->hi && found->item == &map[found->lo]);
    }
    CHECK(!cuc_ranges_remove(&set, BYTES));
    cuc_ranges_clear(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_first_fit),
        CHECK_TEST(test_against_a_map),
    };

    return check_run(tests);
}
