/* SPDX-License-Identifier: Apache-2.0
 * Workers that wait for a program: taken once, filled up, replaced when they die, as many as the
 * setting says now, of the lease's user, and gone with the lease; one that cannot start says why.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/support/check.h"
#include "tests/unit/fabricd/agent_rig.h"

enum { PIDS_MAX = 8, STATUS_BYTES = 8192, NO_DEVICE = 2 };

static struct rig rig;

static char gate[96], late_worker[96];

/* The workers of all leases. */
struct pids {
    pid_t warm[PIDS_MAX], busy[PIDS_MAX];
    uint32_t warm_count, busy_count;
};

static struct pids look(void)
{
    struct pids pids = {.warm_count = 0};

    FAB_LIST_EACH(at, after, &rig.agent->leases)
    {
        struct agent_lease *lease = fab_list_object(at, struct agent_lease, node);

        FAB_LIST_EACH(place, next, &lease->workers)
        {
            const struct agent_worker *worker = fab_list_object(place, struct agent_worker, node);

            if (worker->warm_fd >= 0 && pids.warm_count < PIDS_MAX)
                pids.warm[pids.warm_count++] = worker->pid;
            else if (worker->warm_fd < 0 && pids.busy_count < PIDS_MAX)
                pids.busy[pids.busy_count++] = worker->pid;
        }
    }
    return pids;
}

static bool has(const pid_t *pids, uint32_t count, pid_t pid)
{
    for (uint32_t i = 0; i < count; i++)
        if (pids[i] == pid)
            return true;
    return false;
}

static uint32_t wanted_warm;

static bool is_full(struct rig *of)
{
    (void)of;
    return look().warm_count == wanted_warm;
}

static bool has_no_session(struct rig *of)
{
    return fab_list_is_empty(&of->agent->sessions);
}

static void until_warm(uint32_t count)
{
    wanted_warm = count;
    rig_until(&rig, is_full);
}

/* A gpu-worker whose driver is nowhere, and who, if it waits for a program, looks for the driver
 * only when the pipe GATE was open. */
static bool write_late_worker(void)
{
    FILE *file;

    (void)snprintf(gate, sizeof(gate), "%s/gate", rig.folder);
    (void)snprintf(late_worker, sizeof(late_worker), "%s/worker", rig.folder);
    file = fopen(late_worker, "w");
    if (!file || mkfifo(gate, 0666) != 0 || chmod(gate, 0666) != 0)
        return false;
    (void)fprintf(file,
                  "#!/bin/sh\n[ \"$FABRIC_WARM_FD\" ] || exec %s \"$@\"\nread -r line <%s\n"
                  "exec %s --driver=/nowhere/libcuda.so\n",
                  GPU_WORKER, gate, GPU_WORKER);
    rig.settings.worker = late_worker;
    return fclose(file) == 0 && chmod(late_worker, 0755) == 0;
}

static bool begin(int64_t warm_workers, bool is_late)
{
    if (!CHECK(rig_begin(&rig)) || (is_late && !CHECK(write_late_worker())))
        return false;
    rig.settings.warm_workers = warm_workers;
    if (getuid() == 0) {
        rig.settings.uid_first = 70000;
        rig.settings.uid_count = 2;
    }
    if (!CHECK(rig_start(&rig, NULL)))
        return false;
    rig_report(&rig);
    CHECK_EQ(rig.agent->worker_count, 0); /* without a lease nobody waits */
    rig_command(&rig, MANAGER_PREPARE, "train", 5);
    CHECK_STR(rig_done(&rig, MANAGER_PREPARE, "train", 5), "");
    rig_command(&rig, MANAGER_PRESENT, "train", 5);
    CHECK_STR(rig_done(&rig, MANAGER_PRESENT, "train", 5), "");
    return true;
}

/* The lease ends, and with it every worker. */
static void end(void)
{
    rig_command(&rig, MANAGER_RELEASE, "train", 5);
    CHECK_EQ(rig_take(&rig, MESSAGE_RELEASED).released.fence, 5);
    CHECK_EQ(rig_take(&rig, MESSAGE_RELEASED).released.fence, 5);
    CHECK_EQ(rig.agent->worker_count, 0);
    rig_end(&rig);
}

static void test_taken_once(void)
{
    struct rig_program program;
    struct pids before, during, after;

    if (!begin(2, false))
        return;
    until_warm(2);
    before = look();
    if (!rig_run(&rig, &program, "hold", NULL, getuid()))
        return;
    rig_say(&program, "2 devices");
    until_warm(2);
    during = look();
    CHECK_EQ(during.busy_count, 1);
    CHECK(has(before.warm, 2, during.busy[0]));
    CHECK(has(during.warm, 2, before.warm[0]) != has(during.warm, 2, before.warm[1]));
    CHECK_EQ(rig_wait(&program), 0);
    CHECK_HAS(program.text, "then 0");
    rig_until(&rig, has_no_session);
    until_warm(2);
    after = look();
    CHECK_EQ(after.busy_count, 0);
    CHECK(!has(after.warm, 2, during.busy[0]));
    end();
}

/* More programs at once than workers wait: the rest are started as ever. */
static void test_more_programs(void)
{
    struct rig_program programs[3];
    struct pids before, during;

    if (!begin(1, false))
        return;
    until_warm(1);
    before = look();
    for (size_t i = 0; i < FAB_ARRAY_LEN(programs); i++) {
        if (!rig_run(&rig, &programs[i], "hold", NULL, getuid()))
            return;
    }
    for (size_t i = 0; i < FAB_ARRAY_LEN(programs); i++)
        rig_say(&programs[i], "2 devices");
    during = look();
    CHECK_EQ(during.busy_count, 3);
    CHECK(has(during.busy, 3, before.warm[0]));
    for (size_t i = 0; i < FAB_ARRAY_LEN(programs); i++)
        CHECK_EQ(rig_wait(&programs[i]), 0);
    rig_until(&rig, has_no_session);
    end();
}

static pid_t dead;

static bool is_replaced(struct rig *of)
{
    const struct pids pids = look();

    (void)of;
    return pids.warm_count == 1 && pids.warm[0] != dead;
}

/* One that dies is replaced, and one that is dead already when it is asked for is not given. */
static void test_death(void)
{
    struct rig_program program;

    if (!begin(1, false))
        return;
    until_warm(1);
    dead = look().warm[0];
    (void)kill(dead, SIGKILL);
    rig_until(&rig, is_replaced);
    if (!rig_run(&rig, &program, "once", NULL, getuid()))
        return;
    CHECK_EQ(rig_wait(&program), 0);
    CHECK_HAS(program.text, "2 devices");
    rig_until(&rig, has_no_session);
    end();
}

static bool is_one_busy(struct rig *of)
{
    (void)of;
    return look().busy_count == 1;
}

/* One that was given before it was ready, and does not become so, says why. */
static void test_not_ready(void)
{
    struct rig_program program;
    int fd;

    if (!begin(1, true))
        return;
    until_warm(1);
    if (!rig_run(&rig, &program, "once", NULL, getuid()))
        return;
    rig_until(&rig, is_one_busy);
    fd = open(gate, O_WRONLY | O_CLOEXEC);
    CHECK(fd >= 0 && close(fd) == 0);
    CHECK_EQ(rig_wait(&program), NO_DEVICE);
    CHECK_HAS(program.text, "no CUDA driver: /nowhere/libcuda.so");
    rig_until(&rig, has_no_session);
    end();
}

static void test_setting(void)
{
    static const uint32_t counts[] = {3, 1, 0, 2};

    if (!begin(1, false))
        return;
    until_warm(1);
    for (size_t i = 0; i < FAB_ARRAY_LEN(counts); i++) {
        CHECK_CASE("%u workers", counts[i]);
        rig.settings.warm_workers = counts[i];
        CHECK_EQ(agent_reload(rig.agent, NULL), FAB_OK);
        until_warm(counts[i]);
    }
    end();
}

static struct pids outdated;

static bool are_all_others(struct rig *of)
{
    const struct pids pids = look();
    uint32_t same = 0;

    (void)of;
    for (uint32_t i = 0; i < pids.warm_count; i++)
        same += has(outdated.warm, outdated.warm_count, pids.warm[i]);
    return pids.warm_count == 2 && same == 0;
}

static unsigned failed_looks;
static bool is_blind;

/* Instead of the C library's, which it calls. */
int getifaddrs(struct ifaddrs **entries)
{
    int (*own)(struct ifaddrs * *entries);
    void *symbol = dlsym(RTLD_NEXT, "getifaddrs");

    if (is_blind) {
        failed_looks++;
        errno = EMFILE;
        return -1;
    }
    memcpy(&own, &symbol, sizeof(own));
    return own(entries);
}

static bool has_failed_to_look(struct rig *of)
{
    (void)of;
    return failed_looks >= 3;
}

/* Workers for programs of another host open rails; when the rails are others, so are the workers.
 */
static void test_rails(void)
{
    static char lo[] = "lo", gone[] = "no-such-rail";
    static struct fabricd_rail rails[2];
    const struct {
        const char *label;
        char *device;
        uint32_t count;
    } rows[] = {{"one more", lo, 2}, {"one is unplugged", gone, 2}, {"and is back", lo, 2}};
    struct ses_node node;

    rails[0] = rails[1] = (struct fabricd_rail){.device = lo};
    if (!CHECK(rig_begin(&rig)))
        return;
    rig.settings.warm_workers = 2;
    rig.settings.rails = (struct fab_setting_list){.items = rails, .count = 1};
    if (!CHECK(rig_start(&rig, NULL)))
        return;
    rig_report(&rig);
    rig_command_of(&rig, &rig, "r730-1", "", MANAGER_PREPARE, "train", 5);
    CHECK_STR(rig_done(&rig, MANAGER_PREPARE, "train", 5), "");
    until_warm(2);
    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        CHECK_CASE("%s", rows[i].label);
        outdated = look();
        rails[1].device = rows[i].device;
        rig.settings.rails.count = rows[i].count;
        rig_until(&rig, are_all_others);
        agent_node_fill(rig.agent, /* is_apart */ true, &node);
        CHECK_EQ(node.rail_count, 1 + rows[i].count - (rows[i].device == gone));
    }
    CHECK_CASE("addresses that cannot be read are no others");
    outdated = look();
    is_blind = true;
    rig_until(&rig, has_failed_to_look);
    is_blind = false;
    for (uint32_t i = 0; i < outdated.warm_count; i++)
        CHECK(has(look().warm, look().warm_count, outdated.warm[i]));
    end();
}

static void test_user(void)
{
    char path[64], *text = NULL;
    struct pids pids;

    if (getuid() != 0)
        return; /* only root can start processes of other users */
    if (!begin(1, false))
        return;
    until_warm(1);
    pids = look();
    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pids.warm[0]);
    /* It may still be the agent's own child that is about to become it. */
    do
        free(text), text = NULL;
    while (fab_file_read(path, STATUS_BYTES, &text, NULL, NULL) == FAB_OK &&
           strstr(text, "gpu-worker") == NULL);
    CHECK_HAS(text, "Uid:\t70000\t70000\t70000\t70000");
    CHECK_HAS(text, "Gid:\t70000\t70000\t70000\t70000");
    free(text);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_taken_once), CHECK_TEST(test_more_programs),
                                       CHECK_TEST(test_death),      CHECK_TEST(test_setting),
                                       CHECK_TEST(test_not_ready),  CHECK_TEST(test_rails),
                                       CHECK_TEST(test_user)};

    return check_run(tests);
}
