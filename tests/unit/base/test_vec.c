/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/base/test_vec.c - the growable array, also where memory runs out.
 */
#include "tests/support/check.h"

#include "base/fault.h"
#include "base/vec.h"

static void test_grow_and_remove(void)
{
    struct fab_vec vec = FAB_VEC(int);
    int value = 0;

    CHECK_CASE("empty");
    CHECK(!fab_vec_pop(&vec, &value));
    CHECK_CASE("100 items");
    for (int i = 0; i < 100; i++)
        CHECK_EQ(fab_vec_push(&vec, &i), FAB_OK);
    CHECK_EQ(vec.count, 100);
    for (size_t i = 0; i < 100; i++)
        CHECK_EQ(*fab_vec_at(&vec, int, i), i);

    CHECK_CASE("remove keeps the order");
    fab_vec_remove(&vec, 10);
    CHECK_EQ(*fab_vec_at(&vec, int, 10), 11);
    CHECK_EQ(*fab_vec_at(&vec, int, 98), 99);
    CHECK_CASE("remove_swap takes the last");
    fab_vec_remove_swap(&vec, 0);
    CHECK_EQ(*fab_vec_at(&vec, int, 0), 99);
    CHECK_EQ(vec.count, 98);
    CHECK_CASE("the last item itself");
    fab_vec_remove_swap(&vec, 97);
    fab_vec_remove(&vec, 96);
    CHECK_EQ(vec.count, 96);
    CHECK(fab_vec_pop(&vec, &value));
    CHECK_EQ(value, 96);

    CHECK_CASE("an added item is clear");
    *(int *)fab_vec_add(&vec) = 5;
    fab_vec_clear(&vec);
    CHECK_EQ(*(int *)fab_vec_add(&vec), 0);
    fab_vec_fini(&vec);
    CHECK_EQ(vec.count, 0);
    CHECK_EQ(vec.item_bytes, sizeof(int));
}

static void test_no_memory(void)
{
    struct fab_fault_plan plan = {.fail_at = 1};
    struct fab_vec vec = FAB_VEC(int);
    int value = 7;

    CHECK_CASE("reserved room needs no memory");
    CHECK_EQ(fab_vec_reserve(&vec, 3), FAB_OK);
    fab_fault_arm(&plan);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(fab_vec_push(&vec, &value), FAB_OK);
    CHECK_CASE("unchanged on failure");
    CHECK_EQ(fab_vec_push(&vec, &value), FAB_ERR_NOMEM);
    CHECK_EQ(vec.count, 3);
    CHECK_EQ(*fab_vec_at(&vec, int, 2), 7);
    fab_fault_arm(NULL);
    CHECK_CASE("a product that overflows");
    CHECK_EQ(fab_vec_reserve(&vec, SIZE_MAX / 2), FAB_ERR_NOMEM);
    fab_vec_fini(&vec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_grow_and_remove),
        CHECK_TEST(test_no_memory),
    };

    return check_run(tests);
}
