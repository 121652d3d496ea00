/* SPDX-License-Identifier: Apache-2.0
 * The account of device memory that workers of a lease share: limits, slots, what is inherited, and
 * several processes at once.
 */
#include "session/ses_account.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/check.h"

enum { DEVICE = 3, LIMIT = 1000, PROCESSES = 4, ROUNDS = 20000 };

static struct ses_account *account_new(uint64_t limit)
{
    struct ses_account *account = NULL;
    struct fab_err err = {.status = FAB_OK};

    CHECK_EQ(ses_account_create(&account, &err), FAB_OK);
    ses_account_set_limit(account, DEVICE, limit);
    return account;
}

static void test_limit(void)
{
    static const struct {
        const char *label;
        uint64_t limit, first, second;
        bool fits;
        uint64_t used;
    } rows[] = {
        {"none", 0, 600, UINT64_C(1) << 50, true, 600 + (UINT64_C(1) << 50)},
        {"just", LIMIT, 600, 400, true, LIMIT},
        {"one too many", LIMIT, 600, 401, false, 600},
        {"more than all", LIMIT, 600, UINT64_MAX, false, 600},
        {"nothing", LIMIT, LIMIT, 0, true, LIMIT},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct ses_account *account = account_new(rows[i].limit);

        CHECK_CASE("%s", rows[i].label);
        CHECK(ses_account_charge(account, 0, DEVICE, rows[i].first));
        CHECK_EQ(ses_account_charge(account, 1, DEVICE, rows[i].second), rows[i].fits);
        CHECK_EQ(ses_account_used(account, DEVICE), rows[i].used);
        CHECK_EQ(ses_account_used(account, DEVICE - 1), 0);
        ses_account_close(account);
    }
}

static void test_limit_changes(void)
{
    struct ses_account *account = account_new(LIMIT);

    CHECK(ses_account_charge(account, 0, DEVICE, LIMIT));
    ses_account_set_limit(account, DEVICE, LIMIT / 2);
    CHECK_EQ(ses_account_limit(account, DEVICE), LIMIT / 2);
    CHECK(!ses_account_charge(account, 0, DEVICE, 1));
    ses_account_uncharge(account, 0, DEVICE, LIMIT);
    CHECK(ses_account_charge(account, 0, DEVICE, LIMIT / 2));
    ses_account_close(account);
}

static void test_slots(void)
{
    struct ses_account *account = account_new(LIMIT);

    for (int i = 0; i < SES_ACCOUNT_SLOTS; i++)
        CHECK_EQ(ses_account_slot_take(account), i);
    CHECK_EQ(ses_account_slot_take(account), -1);
    CHECK(ses_account_charge(account, 7, DEVICE, 600));
    CHECK(ses_account_charge(account, 8, DEVICE, 100));
    ses_account_slot_drop(account, 7); /* its worker was killed */
    CHECK_EQ(ses_account_used(account, DEVICE), 100);
    CHECK_EQ(ses_account_slot_take(account), 7);
    ses_account_close(account);
}

/* Each takes and gives. */
static int take_and_give(struct ses_account *account, uint32_t slot)
{
    for (int i = 0; i < ROUNDS; i++) {
        if (!ses_account_charge(account, slot, DEVICE, LIMIT / 3))
            continue;
        if (ses_account_used(account, DEVICE) == 0)
            return 1;
        ses_account_uncharge(account, slot, DEVICE, LIMIT / 3);
    }
    return 0;
}

static void test_processes(void)
{
    struct ses_account *account = account_new(LIMIT);
    pid_t pids[PROCESSES];

    for (uint32_t i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            _exit(take_and_give(account, i));
    }
    for (uint32_t i = 0; i < PROCESSES; i++) {
        int status = -1;

        CHECK_EQ(waitpid(pids[i], &status, 0), pids[i]);
        CHECK_EQ(status, 0);
    }
    CHECK_EQ(ses_account_used(account, DEVICE), 0);
    ses_account_close(account);
}

static void test_inherit(void)
{
    struct ses_account *account = account_new(LIMIT), *inherited = NULL;
    int other = memfd_create("other", MFD_CLOEXEC);
    char texts[6][32] = {"", "x", "-1:0", "999:0"};
    struct fab_err err = {.status = FAB_OK};
    uint32_t slot = 99;

    (void)snprintf(texts[4], sizeof(texts[4]), "%d:0", other);
    (void)snprintf(texts[5], sizeof(texts[5]), "%d:%d", ses_account_fd(account), SES_ACCOUNT_SLOTS);
    for (size_t i = 0; i < FAB_ARRAY_LEN(texts); i++) {
        CHECK_CASE("'%s'", texts[i]);
        (void)setenv(SES_ACCOUNT_VARIABLE, texts[i], 1);
        CHECK_EQ(ses_account_inherit(&inherited, &slot, &err), FAB_ERR_PROTOCOL);
        CHECK(!inherited);
        CHECK_EQ(slot, 99);
    }
    CHECK_CASE("one");
    (void)snprintf(texts[0], sizeof(texts[0]), "%d:5", dup(ses_account_fd(account)));
    (void)setenv(SES_ACCOUNT_VARIABLE, texts[0], 1);
    CHECK_EQ(ses_account_inherit(&inherited, &slot, &err), FAB_OK);
    CHECK_EQ(slot, 5);
    CHECK(ses_account_charge(inherited, slot, DEVICE, LIMIT));
    CHECK_EQ(ses_account_used(account, DEVICE), LIMIT);
    ses_account_close(inherited);
    CHECK_CASE("none");
    (void)unsetenv(SES_ACCOUNT_VARIABLE);
    CHECK_EQ(ses_account_inherit(&inherited, &slot, &err), FAB_OK);
    CHECK(ses_account_charge(inherited, slot, DEVICE, LIMIT + 1));
    ses_account_close(inherited);
    ses_account_close(account);
    (void)close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_limit),     CHECK_TEST(test_limit_changes), CHECK_TEST(test_slots),
        CHECK_TEST(test_processes), CHECK_TEST(test_inherit),
    };

    return check_run(tests);
}
