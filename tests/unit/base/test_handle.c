/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/base/test_handle.c - a handle that is not live never becomes a pointer.
 */
#include "tests/support/check.h"

#include "base/fault.h"
#include "base/handle.h"

enum { STREAM = 1, EVENT = 2 };

static void test_misses(void)
{
    static const struct {
        const char *label;
        uint64_t flip; /* of a live handle's bits */
        uint8_t kind;
    } cases[] = {
        {"another kind asked for", 0, EVENT},
        {"kind in the number", UINT64_C(3) << 56, STREAM},
        {"kind in both", UINT64_C(3) << 56, EVENT},
        {"generation", UINT64_C(2) << 24, STREAM},
        {"index behind the table", 1 << 20, STREAM},
        {"index that was never given", 1, STREAM},
    };
    struct fab_handle_table table;
    uint64_t handle = 0;
    int object;
    void *found = &table;

    fab_handle_table_init(&table);
    CHECK_EQ(fab_handle_grant(&table, STREAM, &object, &handle), FAB_OK);
    CHECK_EQ(fab_handle_kind(handle), STREAM);
    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        uint64_t wrong = handle ^ cases[i].flip;

        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(fab_handle_lookup(&table, cases[i].kind, wrong, &found), FAB_ERR_STALE);
        CHECK_EQ(fab_handle_release(&table, cases[i].kind, wrong, &found), FAB_ERR_STALE);
        CHECK(found == &table);
    }
    CHECK_CASE("zero");
    CHECK_EQ(fab_handle_lookup(&table, 0, 0, &found), FAB_ERR_STALE);
    CHECK_CASE("all bits");
    CHECK_EQ(fab_handle_lookup(&table, UINT8_MAX, UINT64_MAX, &found), FAB_ERR_STALE);
    CHECK_CASE("the live one");
    CHECK_EQ(fab_handle_lookup(&table, STREAM, handle, &found), FAB_OK);
    CHECK(found == &object);
    fab_handle_table_fini(&table);
}

static void test_reuse(void)
{
    struct fab_handle_table table;
    uint64_t first = 0, second = 0, other = 0;
    int a, b;
    void *found = NULL;
    uint32_t cursor = 0;

    fab_handle_table_init(&table);
    CHECK_EQ(fab_handle_grant(&table, STREAM, &a, &first), FAB_OK);
    CHECK_EQ(fab_handle_grant(&table, EVENT, &b, &other), FAB_OK);
    CHECK_CASE("released");
    CHECK_EQ(fab_handle_release(&table, STREAM, first, &found), FAB_OK);
    CHECK(found == &a);
    CHECK_EQ(fab_handle_release(&table, STREAM, first, NULL), FAB_ERR_STALE);
    CHECK_EQ(table.count, 1);
    CHECK_CASE("the slot is used again, the number is not");
    CHECK_EQ(fab_handle_grant(&table, STREAM, &b, &second), FAB_OK);
    CHECK_EQ(table.slots.count, 2);
    CHECK(second != first);
    CHECK_EQ(fab_handle_lookup(&table, STREAM, first, &found), FAB_ERR_STALE);
    CHECK_CASE("walk");
    CHECK(fab_handle_next(&table, &cursor, &first) == &b);
    CHECK_EQ(first, second);
    CHECK(fab_handle_next(&table, &cursor, &first) == &b);
    CHECK_EQ(first, other);
    CHECK(fab_handle_next(&table, &cursor, NULL) == NULL);
    fab_handle_table_fini(&table);
}

static void test_no_memory(void)
{
    struct fab_handle_table table;
    uint64_t handle = 77;
    int object;

    CHECK_CASE("no memory");
    fab_handle_table_init(&table);
    fab_fault_arm(&(struct fab_fault_plan){.fail_at = 1});
    CHECK_EQ(fab_handle_grant(&table, STREAM, &object, &handle), FAB_ERR_NOMEM);
    fab_fault_arm(NULL);
    CHECK_EQ(handle, 77);
    CHECK_EQ(table.count, 0);
    fab_handle_table_fini(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_misses),
        CHECK_TEST(test_reuse),
        CHECK_TEST(test_no_memory),
    };

    return check_run(tests);
}
