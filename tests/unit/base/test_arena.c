/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/base/test_arena.c - alignment, cleared memory, large requests, reset.
 */
#include "tests/support/check.h"

#include <string.h>

#include "base/arena.h"
#include "base/fault.h"

static void test_alloc(void)
{
    static const struct {
        size_t size_bytes, align_bytes;
    } cases[] = {{1, 1},    {3, 8},       {0, 16},    {100, 64},
                 {5, 4096}, {100000, 32}, {16384, 1}, {1, 1024}};
    struct fab_arena arena = {.newest = NULL};
    unsigned char *before = NULL;

    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
            unsigned char *memory;

            CHECK_CASE("round %u, %zu bytes at %zu", round, cases[i].size_bytes,
                       cases[i].align_bytes);
            memory = fab_arena_alloc_aligned(&arena, cases[i].size_bytes, cases[i].align_bytes);
            CHECK(memory != NULL);
            if (!memory)
                return;
            CHECK_EQ((uintptr_t)memory % cases[i].align_bytes, 0);
            CHECK(memory != before);
            for (size_t n = 0; n < cases[i].size_bytes; n++) {
                if (!CHECK_EQ(memory[n], 0))
                    break;
            }
            memset(memory, 0xff, cases[i].size_bytes); /* must be clear again after a reset */
            before = memory;
        }
        fab_arena_reset(&arena);
        CHECK_EQ(arena.used_bytes, 0);
    }
    CHECK_CASE("text");
    CHECK_STR(fab_arena_text(&arena, "kernel<<", 6), "kernel");
    CHECK_CASE("an array whose size overflows");
    CHECK(fab_arena_alloc_array(&arena, SIZE_MAX / 2, 3) == NULL);
    CHECK(fab_arena_alloc(&arena, SIZE_MAX - 4) == NULL);
    fab_arena_fini(&arena);
}

static void test_no_memory(void)
{
    struct fab_arena arena = {.newest = NULL};

    CHECK_CASE("no memory");
    fab_fault_arm(&(struct fab_fault_plan){.fail_at = 1});
    CHECK(fab_arena_alloc(&arena, 8) == NULL);
    fab_fault_arm(NULL);
    CHECK(fab_arena_alloc(&arena, 8) != NULL);
    fab_arena_fini(&arena);
    fab_arena_reset(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_alloc), CHECK_TEST(test_no_memory)};

    return check_run(tests);
}
