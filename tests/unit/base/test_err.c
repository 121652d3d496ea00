/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/base/test_err.c - status names and ranges; what the cause record holds.
 */
#include "tests/support/check.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"

static void test_status_ranges(void)
{
    static const struct {
        const char *label;
        enum fab_status status;
        bool resource, link, device;
        const char *name;
    } cases[] = {
        {"success", FAB_OK, false, false, false, "FAB_OK"},
        {"the call was wrong", FAB_ERR_STATE, false, false, false, "FAB_ERR_STATE"},
        {"first resource", FAB_ERR_NOMEM, true, false, false, "FAB_ERR_NOMEM"},
        {"last resource", FAB_ERR_CANCELLED, true, false, false, "FAB_ERR_CANCELLED"},
        {"first link", FAB_ERR_UNREACHABLE, false, true, false, "FAB_ERR_UNREACHABLE"},
        {"last link", FAB_ERR_AUTH, false, true, false, "FAB_ERR_AUTH"},
        {"device", FAB_ERR_DEVICE_LOST, false, false, true, "FAB_ERR_DEVICE_LOST"},
        {"outside the list", (enum fab_status) - 99, false, false, false, "FAB_?"},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(fab_status_is_resource(cases[i].status), cases[i].resource);
        CHECK_EQ(fab_status_is_link(cases[i].status), cases[i].link);
        CHECK_EQ(fab_status_is_device(cases[i].status), cases[i].device);
        CHECK_STR(fab_status_name(cases[i].status), cases[i].name);
    }
    CHECK_STR(fab_status_text(FAB_ERR_NOMEM), "out of memory");
    CHECK_STR(fab_status_text((enum fab_status) - 99), "unknown status");
}

static void test_err_set(void)
{
    struct fab_err err = {.foreign = 7, .domain = "old"};

    CHECK_CASE("plain");
    CHECK_EQ(fab_err_set(&err, FAB_ERR_RANGE, "%d is not in 1..%d", 9, 4), FAB_ERR_RANGE);
    CHECK_EQ(err.status, FAB_ERR_RANGE);
    CHECK_EQ(err.foreign, 0);
    CHECK(err.domain == NULL);
    CHECK_STR(err.text, "9 is not in 1..4");

    CHECK_CASE("no record");
    CHECK_EQ(fab_err_set(NULL, FAB_ERR_BUSY, "nobody reads this"), FAB_ERR_BUSY);
    CHECK_EQ(fab_err_errno(NULL, ENOMEM, "nor this"), FAB_ERR_NOMEM);
    CHECK_EQ(fab_err_foreign(NULL, FAB_ERR_DEVICE, "cuda", 2, "nor this"), FAB_ERR_DEVICE);
    fab_err_context(NULL, "nor this");

    CHECK_CASE("foreign number");
    CHECK_EQ(fab_err_foreign(&err, FAB_ERR_UNREACHABLE, "ucx", -6, "no route"),
             FAB_ERR_UNREACHABLE);
    CHECK_EQ(err.foreign, -6);
    CHECK_STR(err.domain, "ucx");

    CHECK_CASE("context in front");
    fab_err_context(&err, "lease %d", 42);
    CHECK_EQ(err.status, FAB_ERR_UNREACHABLE);
    CHECK_STR(err.text, "lease 42: no route");
}

static void test_err_errno(void)
{
    static const struct {
        int number;
        enum fab_status status;
    } cases[] = {
        {ENOENT, FAB_ERR_NOT_FOUND},   {EACCES, FAB_ERR_DENIED},
        {ENOMEM, FAB_ERR_NOMEM},       {EEXIST, FAB_ERR_EXISTS},
        {EAGAIN, FAB_ERR_AGAIN},       {EMFILE, FAB_ERR_LIMIT},
        {ENOSYS, FAB_ERR_UNSUPPORTED}, {EIO, FAB_ERR_IO},
        {EPIPE, FAB_ERR_PEER_LOST},    {ECONNREFUSED, FAB_ERR_UNREACHABLE},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct fab_err err = {.status = FAB_OK};

        CHECK_CASE("errno %d", cases[i].number);
        errno = 4711;
        CHECK_EQ(fab_err_errno(&err, cases[i].number, "opening %s", "x"), cases[i].status);
        CHECK_EQ(errno, 4711);
        CHECK_EQ(err.foreign, cases[i].number);
        CHECK_STR(err.domain, "errno");
        CHECK_HAS(err.text, "opening x: ");
    }
}

static void test_err_is_cut(void)
{
    struct fab_err err = {.status = FAB_OK};
    char longer[FAB_ERR_TEXT_BYTES * 2];

    memset(longer, 'a', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    CHECK_CASE("a long sentence is cut, with its end set");
    (void)fab_err_set(&err, FAB_ERR_IO, "%s", longer);
    CHECK_EQ(strlen(err.text), FAB_ERR_TEXT_BYTES - 1);
    (void)fab_err_errno(&err, EIO, "%s", longer);
    CHECK_EQ(strlen(err.text), FAB_ERR_TEXT_BYTES - 1);
    fab_err_context(&err, "%s", longer);
    CHECK_EQ(strlen(err.text), FAB_ERR_TEXT_BYTES - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_status_ranges),
        CHECK_TEST(test_err_set),
        CHECK_TEST(test_err_errno),
        CHECK_TEST(test_err_is_cut),
    };

    return check_run(tests);
}
