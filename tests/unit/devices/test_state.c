/* SPDX-License-Identifier: Apache-2.0
 * Tests of softcuda/devices/state.c: the account of a device over several processes.
 */
#include "tests/support/check.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/err.h"
#include "softcuda/devices/device_model.h"
#include "softcuda/devices/state.h"
#include "tests/unit/driver/support.h"

#define TOTAL UINT64_C(1000)

static struct device_model model = {.uuid = {1, 2, 3}, .memory_bytes = TOTAL};
static struct fab_err err;

static struct state_account *open_account(void)
{
    struct state_account *account = NULL;

    CHECK_EQ(state_account_open(support_dir, &model, &account, &err), FAB_OK);
    return account;
}

/* A child that runs `act`, says whether it returned true, and waits to be killed. */
struct child {
    pid_t pid;
    int said; /* read end; at its end when the child is gone */
};

static struct child start(bool (*act)(void))
{
    int ends[2];
    struct child child = {.pid = -1, .said = -1};

    if (pipe2(ends, O_CLOEXEC) != 0)
        abort();
    child.pid = fork();
    if (child.pid == 0) {
        char answer = act() ? 'y' : 'n';

        (void)!write(ends[1], &answer, 1);
        for (;;)
            (void)pause();
    }
    (void)close(ends[1]);
    child.said = ends[0];
    return child;
}

static bool said_yes(const struct child *child)
{
    char answer = 0;

    return read(child->said, &answer, 1) == 1 && answer == 'y';
}

static void stop(struct child *child)
{
    (void)kill(child->pid, SIGKILL);
    (void)waitpid(child->pid, NULL, 0);
    (void)close(child->said);
}

static void test_one_process(void)
{
    struct state_account *account = open_account();

    CHECK(state_account_charge(account, 600));
    CHECK(!state_account_charge(account, 401));
    CHECK(state_account_charge(account, 400));
    CHECK_EQ(state_account_used(account), TOTAL);
    CHECK(!state_account_charge(account, 1));
    CHECK(!state_account_charge(account, UINT64_MAX));
    state_account_uncharge(account, 700);
    CHECK_EQ(state_account_used(account), 300);
    state_account_close(account);
    account = open_account();
    CHECK_EQ(state_account_used(account), 0);
    state_account_close(account);
}

static bool take_700(void)
{
    struct state_account *account;

    return state_account_open(support_dir, &model, &account, NULL) == FAB_OK &&
           state_account_charge(account, 700);
}

static void test_killed(void)
{
    struct state_account *account = open_account();
    struct state_usage usage[4];
    struct child child = start(take_700);

    CHECK(said_yes(&child));
    CHECK_EQ(state_account_used(account), 700);
    CHECK(!state_account_charge(account, 301));
    CHECK(state_account_charge(account, 300));
    CHECK_EQ(state_account_list(account, usage, 4), 2);
    CHECK_EQ(usage[0].bytes + usage[1].bytes, TOTAL);
    CHECK(usage[0].pid == child.pid || usage[1].pid == child.pid);
    stop(&child);
    CHECK(state_account_charge(account, 700)); /* without anybody having asked before */
    CHECK_EQ(state_account_list(account, usage, 4), 1);
    state_account_close(account);
}

static pid_t *grandchild; /* shared with children */

/* Takes memory, then has a child of its own that lives on. */
static bool take_700_and_fork(void)
{
    bool took = take_700();
    char ready = 0;
    int ends[2];

    if (pipe(ends) != 0)
        return false;
    pid_t pid = fork();

    if (pid == 0) { /* fork's handlers have run: it holds no lock of its parent's any more */
        (void)!write(ends[1], "y", 1);
        for (;;)
            (void)pause();
    }
    *grandchild = pid;
    return took && pid > 0 && read(ends[0], &ready, 1) == 1;
}

static void test_killed_with_living_child(void)
{
    struct state_account *account = open_account();
    struct child child = start(take_700_and_fork);

    CHECK(said_yes(&child));
    CHECK_EQ(state_account_used(account), 700);
    stop(&child);
    CHECK(kill(*grandchild, 0) == 0);
    CHECK_EQ(state_account_used(account), 0);
    (void)kill(*grandchild, SIGKILL);
    state_account_close(account);
}

/* A forked child must not take its parent's slot along, nor free it by leaving. */
static bool leave_at_once(void)
{
    return true;
}

static void test_forked_child_leaves(void)
{
    struct state_account *account = open_account();

    CHECK(state_account_charge(account, 500));
    struct child child = start(leave_at_once);

    CHECK(said_yes(&child));
    stop(&child);
    CHECK_EQ(state_account_used(account), 500);
    CHECK(!state_account_charge(account, 501));
    state_account_close(account);
}

static void test_busy_time(void)
{
    struct state_account *account = open_account();
    uint64_t before = state_account_busy_ns(account);

    state_account_busy(account, 70);
    state_account_busy(account, 30);
    CHECK_EQ(state_account_busy_ns(account), before + 100);
    state_account_close(account);
    account = open_account();
    CHECK_EQ(state_account_busy_ns(account), before + 100); /* never goes back */
    state_account_close(account);
}

static void test_refused(void)
{
    struct state_account *account = open_account(), *other = NULL;
    char path[200], uuid[DEVICE_UUID_TEXT_BYTES];
    struct device_model larger = model;

    CHECK_CASE("another size while it is in use");
    larger.memory_bytes = 2 * TOTAL;
    CHECK(state_account_charge(account, 1));
    CHECK_EQ(state_account_open(support_dir, &larger, &other, &err), FAB_ERR_BUSY);
    state_account_close(account);
    CHECK_CASE("another size later");
    CHECK_EQ(state_account_open(support_dir, &larger, &other, &err), FAB_OK);
    CHECK(state_account_charge(other, 2 * TOTAL));
    state_account_close(other);

    CHECK_CASE("not an account");
    larger.uuid[0] = 9;
    (void)snprintf(path, sizeof(path), "%s/%s", support_dir, device_uuid_format(larger.uuid, uuid));
    FILE *file = fopen(path, "w");

    CHECK(file && fputs("hello", file) >= 0 && fclose(file) == 0);
    CHECK_EQ(state_account_open(support_dir, &larger, &other, &err), FAB_ERR_FORMAT);
    CHECK_HAS(err.text, path);
    CHECK_CASE("no such place");
    CHECK_EQ(state_account_open("/nonexistent/softcuda", &model, &other, &err), FAB_ERR_NOT_FOUND);
}

/* Files take the directory's permissions, so that several users share an account. */
static void test_permissions(void)
{
    char path[200], uuid[DEVICE_UUID_TEXT_BYTES];
    struct state_account *account;
    struct stat info;

    model.uuid[0] = 5;
    CHECK_EQ(chmod(support_dir, 0770), 0);
    account = open_account();
    (void)snprintf(path, sizeof(path), "%s/%s", support_dir, device_uuid_format(model.uuid, uuid));
    CHECK(stat(path, &info) == 0);
    CHECK_EQ(info.st_mode & 0777, 0660);
    state_account_close(account);
    CHECK_EQ(chmod(support_dir, 0700), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_one_process),
        CHECK_TEST(test_killed),
        CHECK_TEST(test_killed_with_living_child),
        CHECK_TEST(test_forked_child_leaves),
        CHECK_TEST(test_busy_time),
        CHECK_TEST(test_refused),
        CHECK_TEST(test_permissions),
    };

    support_devices(NULL, NULL);
    grandchild =
        mmap(NULL, sizeof(*grandchild), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (grandchild == MAP_FAILED)
        abort();
    return check_run(tests);
}
