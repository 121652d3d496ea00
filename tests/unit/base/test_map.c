/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/base/test_map.c - the hash map against a plain array of the same keys.
 */
#include "tests/support/check.h"

#include <stdio.h>

#include "base/fault.h"
#include "base/map.h"

enum { KEYS = 500, STEPS = 20000 };

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u; /* Numerical Recipes' generator: good enough here */
    return *state >> 8;
}

/* Keys that are dense, far apart, and equal in their low bits. */
static uint64_t key_of(unsigned i)
{
    return i % 3 == 0 ? i : i % 3 == 1 ? (uint64_t)i << 32 : (uint64_t)i << 20;
}

static void test_against_an_array(void)
{
    static int objects[KEYS];
    struct fab_map map = {.entries = NULL};
    bool there[KEYS] = {false};
    uint32_t random = 1;
    size_t count = 0, cursor = 0, seen = 0;

    for (unsigned step = 0; step < STEPS; step++) {
        unsigned i = next_random(&random) % KEYS;

        CHECK_CASE("step %u key %u", step, i);
        CHECK(fab_map_find(&map, key_of(i)) == (there[i] ? &objects[i] : NULL));
        if (next_random(&random) % 2 == 0) {
            CHECK_EQ(fab_map_put(&map, key_of(i), &objects[i]), FAB_OK);
            count += !there[i];
            there[i] = true;
        } else {
            CHECK(fab_map_remove(&map, key_of(i)) == (there[i] ? &objects[i] : NULL));
            count -= there[i];
            there[i] = false;
        }
        CHECK_EQ(map.count, count);
    }
    for (const struct fab_map_entry *entry; (entry = fab_map_next(&map, &cursor)); seen++) {
        unsigned i = (unsigned)((int *)entry->value - objects);

        CHECK(there[i] && entry->key == key_of(i));
    }
    CHECK_EQ(seen, count);
    fab_map_fini(&map);
}

static void test_texts(void)
{
    struct fab_map map = {.entries = NULL};
    char name[32];
    int one, two;

    CHECK_CASE("nothing yet");
    CHECK(fab_map_find_text(&map, "a") == NULL);
    CHECK(fab_map_remove_text(&map, "a") == NULL);
    for (int i = 0; i < 200; i++) {
        (void)snprintf(name, sizeof(name), "kernel_%d", i); /* the map keeps a copy */
        CHECK_EQ(fab_map_put_text(&map, name, &one), FAB_OK);
    }
    CHECK_CASE("replace");
    CHECK_EQ(fab_map_put_text(&map, "kernel_7", &two), FAB_OK);
    CHECK_EQ(map.count, 200);
    CHECK(fab_map_find_text(&map, "kernel_7") == &two);
    CHECK(fab_map_find_text(&map, "kernel_8") == &one);
    CHECK(fab_map_find_text(&map, "kernel_200") == NULL);
    CHECK_CASE("the empty text is a key");
    CHECK_EQ(fab_map_put_text(&map, "", &two), FAB_OK);
    CHECK(fab_map_remove_text(&map, "") == &two);
    fab_map_fini(&map);
}

static void test_no_memory(void)
{
    struct fab_map map = {.entries = NULL};
    int value;

    for (unsigned n = 1; n <= 2; n++) {
        struct fab_fault_plan plan = {.fail_at = n};

        CHECK_CASE("allocation %u fails", n);
        fab_fault_arm(&plan);
        CHECK_EQ(fab_map_put_text(&map, "a", &value), FAB_ERR_NOMEM);
        CHECK_EQ(map.count, 0);
        CHECK(fab_map_find_text(&map, "a") == NULL);
        fab_fault_arm(NULL);
        fab_map_fini(&map);
    }
    CHECK_CASE("replacing takes none");
    CHECK_EQ(fab_map_put_text(&map, "a", &value), FAB_OK);
    fab_fault_arm(&(struct fab_fault_plan){.fail_at = 1});
    CHECK_EQ(fab_map_put_text(&map, "a", &map), FAB_OK);
    fab_fault_arm(NULL);
    fab_map_fini(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_against_an_array),
        CHECK_TEST(test_texts),
        CHECK_TEST(test_no_memory),
    };

    return check_run(tests);
}
