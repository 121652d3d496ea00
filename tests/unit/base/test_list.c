/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/base/test_list.c - the intrusive list.
 */
#include "tests/support/check.h"

#include "base/list.h"

struct thing {
    int number;
    struct fab_list link;
};

/* The numbers in order, as the digits of one decimal number. */
static int digits(struct fab_list *head)
{
    int all = 0;

    FAB_LIST_EACH(node, after, head)
    all = all * 10 + fab_list_object(node, struct thing, link)->number;
    return all;
}

static void test_order(void)
{
    struct thing things[] = {{.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
    struct fab_list head;

    fab_list_init(&head);
    CHECK(fab_list_is_empty(&head));
    CHECK(fab_list_take(&head) == NULL);
    fab_list_append(&head, &things[0].link);
    fab_list_append(&head, &things[1].link);
    fab_list_insert(&head, &things[2].link);
    fab_list_insert(&things[0].link, &things[3].link);
    CHECK_EQ(digits(&head), 3142);

    CHECK_CASE("removed while walking");
    FAB_LIST_EACH(node, after, &head)
    {
        if (fab_list_object(node, struct thing, link)->number % 2 == 0)
            fab_list_remove(node);
    }
    CHECK_EQ(digits(&head), 31);
    CHECK_CASE("removed twice");
    fab_list_remove(&things[1].link);
    CHECK_EQ(digits(&head), 31);
    CHECK(fab_list_is_empty(&things[1].link));
    CHECK_CASE("taken from the front");
    CHECK(fab_list_take(&head) == &things[2].link);
    CHECK(fab_list_take(&head) == &things[0].link);
    CHECK(fab_list_is_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_order)};

    return check_run(tests);
}
