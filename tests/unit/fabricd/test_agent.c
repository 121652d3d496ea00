/* SPDX-License-Identifier: Apache-2.0
 * An agent with a scripted manager, on two softcuda GPUs: its report, leases and fence numbers,
 * programs that attach, and what is left after each end.
 */
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/support/check.h"
#include "tests/unit/fabricd/agent_rig.h"

enum { NO_DEVICE = 2 };

static struct rig rig;

/* A system on both GPUs, for programs of this node. */
static void compose(const char *system, uint64_t fence)
{
    rig_command(&rig, MANAGER_PREPARE, system, fence);
    CHECK_STR(rig_done(&rig, MANAGER_PREPARE, system, fence), "");
    rig_command(&rig, MANAGER_PRESENT, system, fence);
    CHECK_STR(rig_done(&rig, MANAGER_PRESENT, system, fence), "");
}

/* Both GPUs, once each, in the order in which they are clean. */
static void check_released(uint64_t fence)
{
    const struct rig_heard first = rig_take(&rig, MESSAGE_RELEASED),
                           second = rig_take(&rig, MESSAGE_RELEASED);
    const bool is_swapped = strcmp(first.released.uuid, rig.gpus[0].uuid) != 0;

    CHECK_EQ(first.released.fence, fence);
    CHECK_EQ(second.released.fence, fence);
    CHECK_STR(first.released.uuid, rig.gpus[is_swapped].uuid);
    CHECK_STR(second.released.uuid, rig.gpus[!is_swapped].uuid);
}

static void dissolve(const char *system, uint64_t fence)
{
    rig_command(&rig, MANAGER_RELEASE, system, fence);
    rig_command(&rig, MANAGER_WITHDRAW, system, fence);
    check_released(fence);
    CHECK_STR(rig_done(&rig, MANAGER_WITHDRAW, system, fence), "");
}

/* ---- what it reports --------------------------------------------------------------------------
 */

static void test_report(void)
{
    uint32_t checks = 0;

    if (!rig_up(&rig))
        return;
    for (uint32_t i = 0; i < 2; i++) {
        CHECK_EQ(rig.gpus[i].index, i);
        CHECK_EQ(rig.gpus[i].fence, 0);
        CHECK_HAS(rig.gpus[i].uuid, "GPU-");
        CHECK_STR(rig_take(&rig, MESSAGE_CHECKED).checked.reason, "");
    }
    for (uint32_t i = 0; i < rig.health_count; i++)
        checks += strstr(rig.health[i].name, "GPU ") != NULL &&
                  strstr(rig.health[i].name, " check") != NULL && rig.health[i].grade == 0;
    CHECK_EQ(checks, 2);
    rig_end(&rig);
}

/* ---- leases -----------------------------------------------------------------------------------
 */

static void test_fences(void)
{
    static const struct {
        const char *label;
        enum manager_verb verb;
        const char *system;
        uint64_t fence;
        const char *reason; /* of PREPARE's done; NULL: both GPUs are released instead */
    } rows[] = {
        {"the first", MANAGER_PREPARE, "a", 5, ""},
        {"the same again", MANAGER_PREPARE, "a", 5, ""},
        {"a lower number", MANAGER_PREPARE, "old", 4, "was given away since"},
        {"released", MANAGER_RELEASE, "a", 5, NULL},
        {"released again", MANAGER_RELEASE, "a", 5, NULL},
        {"prepared by a command that came late", MANAGER_PREPARE, "a", 5, "was given away since"},
        {"the next", MANAGER_PREPARE, "b", 7, ""},
        {"a higher one ends it", MANAGER_PREPARE, "c", 9, ""},
        {"released by a number above it", MANAGER_RELEASE, "d", 12, NULL},
        {"never known", MANAGER_RELEASE, "e", 20, NULL},
        {"below that", MANAGER_PREPARE, "f", 20, "was given away since"},
        {"above that", MANAGER_PREPARE, "g", 21, ""},
    };

    if (!rig_up(&rig))
        return;
    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        CHECK_CASE("%s", rows[i].label);
        rig.heard_count = 0;
        rig_command(&rig, rows[i].verb, rows[i].system, rows[i].fence);
        if (rows[i].reason) {
            const char *reason = rig_done(&rig, MANAGER_PREPARE, rows[i].system, rows[i].fence);

            CHECK_HAS(reason, rows[i].reason);
            CHECK_EQ(reason[0] == '\0', rows[i].reason[0] == '\0');
        } else {
            check_released(rows[i].fence == 12 ? 9 : rows[i].fence);
        }
    }
    rig_end(&rig);
}

/* An agent that is started again still refuses what an earlier one did, and gives nobody memory
 * that was not cleared. */
static void test_restart(void)
{
    struct fab_err err = {0};
    struct stat info;
    char path[160];

    if (!rig_up(&rig))
        return;
    compose("a", 5);
    rig_stop(&rig);
    (void)snprintf(path, sizeof(path), "%s/fences", rig.state);
    CHECK_EQ(stat(path, &info), 0);
    if (!CHECK(rig_start(&rig, &err)))
        return;
    rig_report(&rig);
    CHECK_EQ(rig.gpu_count, 2);
    CHECK_EQ(rig.gpus[0].fence, 0); /* it was cleared before it was reported */
    rig_command(&rig, MANAGER_PREPARE, "old", 4);
    CHECK_HAS(rig_done(&rig, MANAGER_PREPARE, "old", 4), "was given away since");
    rig_command(&rig, MANAGER_PREPARE, "a", 5);
    CHECK_STR(rig_done(&rig, MANAGER_PREPARE, "a", 5), "");
    rig_end(&rig);
}

/* ---- GPUs that are not well -------------------------------------------------------------------
 */

/* A gpu-worker that is a shell script. */
static void write_worker(char *path, size_t path_bytes, const char *script)
{
    FILE *file;

    (void)snprintf(path, path_bytes, "%s/worker", rig.folder);
    file = fopen(path, "w");
    if (!CHECK(file != NULL))
        return;
    (void)fprintf(file, "#!/bin/sh\n%s\n", script);
    (void)fclose(file);
    CHECK_EQ(chmod(path, 0755), 0);
}

static void test_checks(void)
{
    static const struct {
        const char *label, *script;
        uint64_t limit_ns;
        const char *reason;
    } rows[] = {
        {"it says what is wrong", "echo 'word 7 is wrong'; exit 1", 60000000000,
         "the check: word 7 is wrong"},
        {"it says nothing", "exit 3", 60000000000, "the check ended with status 3"},
        {"it is killed", "kill -9 $$", 60000000000, "the check was killed by signal 9"},
        {"it hangs", "exec sleep 1000", 50000000, "the check did not end within"},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct fab_err err = {0};
        char path[160];

        CHECK_CASE("%s", rows[i].label);
        if (!CHECK(rig_begin(&rig)))
            return;
        write_worker(path, sizeof(path), rows[i].script);
        rig.settings.worker = path;
        rig.settings.check_limit_ns = rows[i].limit_ns;
        if (!CHECK(rig_start(&rig, &err)))
            return;
        rig_report(&rig);
        for (int k = 0; k < 2; k++)
            CHECK_HAS(rig_take(&rig, MESSAGE_CHECKED).checked.reason, rows[i].reason);
        rig_command(&rig, MANAGER_PREPARE, "a", 5);
        CHECK_HAS(rig_done(&rig, MANAGER_PREPARE, "a", 5), rows[i].reason);
        rig_end(&rig);
    }
}

/* Devices that only take time find no wrong results, but none: unless they compute the check. */
static void test_modelled(void)
{
    static const struct {
        const char *label, *computes, *reason;
    } rows[] = {
        {"it computes nothing", "another", "the check: word 0 of "},
        {"it computes the check", "gpu_worker_check", ""},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct fab_err err = {0};
        char path[160], script[512];

        CHECK_CASE("%s", rows[i].label);
        if (!CHECK(rig_begin(&rig)))
            return;
        (void)snprintf(
            script, sizeof(script),
            "echo 'devices = ({ count = 2; time = \"only\"; computes = \"%s\"; });' >$0.$$\n"
            "SOFTCUDA_CONFIG=$0.$$ exec %s \"$@\"",
            rows[i].computes, GPU_WORKER);
        write_worker(path, sizeof(path), script);
        rig.settings.worker = path;
        if (!CHECK(rig_start(&rig, &err)))
            return;
        rig_report(&rig);
        for (int k = 0; k < 2; k++) {
            const char *reason = rig_take(&rig, MESSAGE_CHECKED).checked.reason;

            CHECK_HAS(reason, rows[i].reason);
            CHECK_EQ(reason[0] == '\0', rows[i].reason[0] == '\0');
        }
        rig_end(&rig);
    }
}

/* Checks that are old at once: each GPU is checked anew for a system, once. */
static void test_checks_anew(void)
{
    if (!rig_up(&rig))
        return;
    rig.settings.check_age_ns = 0;
    rig_command(&rig, MANAGER_PREPARE, "a", 5);
    CHECK_STR(rig_done(&rig, MANAGER_PREPARE, "a", 5), "");
    rig_end(&rig);
}

static bool is_one_dirty(struct rig *at)
{
    return at->gpus[0].fence == 0 && at->gpus[1].fence == 5;
}

/* A GPU whose memory cannot be cleared is nobody's: its release is not confirmed, the other one's
 * is.
 */
static void test_not_cleared(void)
{
    struct fab_err err = {0};
    char path[160];

    if (!CHECK(rig_begin(&rig)))
        return;
    write_worker(path, sizeof(path),
                 "test $4 = 1 && case $* in *--clear*) echo 'it is stuck'; exit 1; esac; exit 0");
    rig.settings.worker = path;
    if (!CHECK(rig_start(&rig, &err)))
        return;
    rig_report(&rig);
    (void)rig_take(&rig, MESSAGE_CHECKED);
    (void)rig_take(&rig, MESSAGE_CHECKED);
    compose("a", 5);
    rig_command(&rig, MANAGER_RELEASE, "a", 5);
    CHECK_HAS(rig_take(&rig, MESSAGE_CHECKED).checked.reason, "clearing its memory: it is stuck");
    CHECK_STR(rig_take(&rig, MESSAGE_RELEASED).released.uuid, rig.gpus[0].uuid);
    CHECK_EQ(rig.heard_count, 0);
    rig_until(&rig, is_one_dirty);
    rig_end(&rig);
}

/* ---- programs ---------------------------------------------------------------------------------
 */

static void test_programs(void)
{
    const uid_t other = 12345;
    const struct {
        const char *label, *system;
        uid_t uid;
        int status;
        const char *says;
    } rows[] = {
        {"the only system", NULL, getuid(), 0, "2 devices"},
        {"by its name", "train", getuid(), 0, "2 devices"},
        {"another name", "other", getuid(), NO_DEVICE, "there is no system other on n1"},
        {"another user", NULL, other, NO_DEVICE, "no system on n1 is yours"},
        {"another user, by name", "train", other, NO_DEVICE, "belongs to user"},
    };

    if (!rig_up(&rig))
        return;
    compose("train", 5);
    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct rig_program program;

        CHECK_CASE("%s", rows[i].label);
        if (rows[i].uid != getuid() && getuid() != 0)
            continue; /* only root can be another user */
        if (!rig_run(&rig, &program, "once", rows[i].system, rows[i].uid))
            return;
        CHECK_EQ(rig_wait(&program), rows[i].status);
        CHECK_HAS(program.text, rows[i].says);
    }
    CHECK_CASE("when it is gone");
    dissolve("train", 5);
    {
        struct rig_program program;

        if (!rig_run(&rig, &program, "once", NULL, getuid()))
            return;
        CHECK_EQ(rig_wait(&program), NO_DEVICE);
        CHECK_HAS(program.text, "no system on n1 is yours");
    }
    rig_end(&rig);
}

/* A program that wants some of the system's GPUs has a session of these. */
static void test_some_gpus(void)
{
    static const struct {
        const char *gpus;
        int status;
        const char *says;
    } rows[] = {
        {"0", 0, "1 devices"},
        {"1", 0, "1 devices"},
        {"1,0", 0, "2 devices"},
        {"0,2", NO_DEVICE, "FABRIC_GPUS names GPU 2: the system has 2 on this host"},
        {"GPU-1", NO_DEVICE, "FABRIC_GPUS=GPU-1: it takes different numbers"},
    };

    if (!rig_up(&rig))
        return;
    compose("train", 5);
    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct rig_program program;

        CHECK_CASE("FABRIC_GPUS=%s", rows[i].gpus);
        (void)setenv("FABRIC_GPUS", rows[i].gpus, 1);
        if (!rig_run(&rig, &program, "once", NULL, getuid()))
            return;
        CHECK_EQ(rig_wait(&program), rows[i].status);
        CHECK_HAS(program.text, rows[i].says);
    }
    (void)unsetenv("FABRIC_GPUS");
    rig_end(&rig);
}

static bool has_program(struct rig *at)
{
    return at->program_count == 1;
}

static bool has_none(struct rig *at)
{
    return at->program_count == 0;
}

/* The end of a lease ends its programs' workers before it is confirmed. */
static void test_revoked(void)
{
    struct rig_program program;

    if (!rig_up(&rig))
        return;
    compose("train", 5);
    if (!rig_run(&rig, &program, "hold", NULL, getuid()))
        return;
    rig_say(&program, "2 devices");
    rig_until(&rig, has_program);
    CHECK_STR(rig.programs[0].system, "train");
    CHECK_EQ(rig.programs[0].pid, program.pid);
    CHECK_HAS(rig.programs[0].command, "agent_program hold");
    CHECK_EQ(rig.agent->worker_count, 1);
    rig_command(&rig, MANAGER_RELEASE, "train", 5);
    check_released(5);
    CHECK_EQ(rig.agent->worker_count, 0);
    rig_until(&rig, has_none);
    rig_command(&rig, MANAGER_WITHDRAW, "train", 5);
    CHECK_STR(rig_done(&rig, MANAGER_WITHDRAW, "train", 5), "");
    CHECK_EQ(rig_wait(&program), 0);
    CHECK_HAS(program.text, "then ");
    CHECK(strstr(program.text, "then 0") == NULL); /* it heard of it */
    rig_end(&rig);
}

static void test_killed_program(void)
{
    struct rig_program program;

    if (!rig_up(&rig))
        return;
    compose("train", 5);
    if (!rig_run(&rig, &program, "hold", NULL, getuid()))
        return;
    rig_say(&program, "2 devices");
    (void)kill(program.pid, SIGKILL);
    CHECK_EQ(rig_wait(&program), -SIGKILL);
    rig_until(&rig, has_none);
    CHECK_EQ(rig.agent->worker_count, 0);
    rig_end(&rig);
}

static void check_status(const char *path, const char *line)
{
    char *text = NULL;
    size_t bytes;

    if (!CHECK_EQ(fab_file_read(path, 1 << 16, &text, &bytes, NULL), FAB_OK))
        return;
    CHECK_HAS(text, line);
    free(text);
}

/* Workers of a lease are a user of their own, who is nobody else. */
static void test_users(void)
{
    struct rig_program program;
    struct fab_err err = {0};
    struct agent_lease *lease;
    struct stat info;
    char path[64];

    if (getuid() != 0)
        return; /* only root can start processes of other users */
    if (!CHECK(rig_begin(&rig)))
        return;
    rig.settings.uid_first = 70000;
    rig.settings.uid_count = 2;
    if (!CHECK(rig_start(&rig, &err)))
        return;
    rig_report(&rig);
    compose("train", 5);
    if (!rig_run(&rig, &program, "hold", NULL, getuid()))
        return;
    rig_say(&program, "2 devices");
    lease = agent_lease_find(rig.agent, "train", 5);
    if (CHECK(lease != NULL) && CHECK(!fab_list_is_empty(&lease->workers))) {
        (void)snprintf(path, sizeof(path), "/proc/%d/environ",
                       (int)fab_list_object(lease->workers.next, struct agent_worker, node)->pid);
        CHECK_EQ(lease->uid, 70000);
        CHECK(stat(path, &info) == 0 && info.st_uid == 0); /* not dumpable: shown as root's */
        (void)snprintf(path, sizeof(path), "/proc/%d/status",
                       (int)fab_list_object(lease->workers.next, struct agent_worker, node)->pid);
        check_status(path, "Uid:\t70000\t70000\t70000\t70000");
        check_status(path, "Gid:\t70000\t70000\t70000\t70000");
    }
    dissolve("train", 5);
    (void)rig_wait(&program);
    rig_end(&rig);
}

/* ---- what workers need ------------------------------------------------------------------------
 */

/* A file of the rig that is no worker and no library: it is only looked at. */
static char *make_file(const char *name, int mode)
{
    static char path[128];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", rig.folder, name);
    file = fopen(path, "w");
    CHECK(file && fclose(file) == 0 && chmod(path, (mode_t)mode) == 0);
    return path;
}

static const char *in_rig(const char *name)
{
    static char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s", rig.folder, name);
    return path;
}

static bool begin_with_uids(void)
{
    if (!CHECK(rig_begin(&rig)))
        return false;
    rig.settings.uid_first = 70000;
    rig.settings.uid_count = 2;
    return CHECK_EQ(mkdir(in_rig("closed"), 0700), 0) && CHECK_EQ(mkdir(in_rig("open"), 0755), 0) &&
           CHECK_EQ(chmod(in_rig("open"), 0755), 0);
}

/* An agent does not start if workers could not. */
static void test_out_of_reach(void)
{
    static const struct {
        const char *label, *file, *link;
        int mode;
        size_t setting;
        const char *says, *names;
    } rows[] = {
        {"gpu-worker in a closed folder", "closed/w", NULL, 0755,
         offsetof(struct fabricd_settings, worker), "/closed on the way to worker.program: chmod",
         "may not enter"},
        {"the driver", "closed/d", NULL, 0644, offsetof(struct fabricd_settings, driver),
         "/closed on the way to worker.driver: chmod", "workers are users such as 70001"},
        {"NVML", "closed/n", NULL, 0644, offsetof(struct fabricd_settings, nvml),
         "/closed on the way to discovery.nvml: chmod", "may not enter"},
        {"a link into a closed folder", "closed/d", "open/d", 0644,
         offsetof(struct fabricd_settings, driver), "/closed on the way to worker.driver: chmod",
         "may not enter"},
        {"a link in a closed folder", "open/d", "closed/d", 0644,
         offsetof(struct fabricd_settings, driver), "/closed on the way to worker.driver: chmod",
         "may not enter"},
        {"a worker for its owner", "open/w", NULL, 0700, offsetof(struct fabricd_settings, worker),
         "/open/w (worker.program): chmod o+rx it", "may not execute"},
        {"a driver for its owner", "open/d", NULL, 0600, offsetof(struct fabricd_settings, driver),
         "/open/d (worker.driver): chmod o+r it", "may not read"},
    };

    if (getuid() != 0)
        return; /* only root can start processes of other users */
    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct fab_err err = {0};
        char *path;

        CHECK_CASE("%s", rows[i].label);
        if (!begin_with_uids())
            return;
        path = make_file(rows[i].file, rows[i].mode);
        if (rows[i].link) {
            CHECK_EQ(symlink(path, in_rig(rows[i].link)), 0);
            (void)snprintf(path, 128, "%s/%s", rig.folder, rows[i].link);
        }
        memcpy((char *)&rig.settings + rows[i].setting, &path, sizeof(path));
        CHECK(!rig_start(&rig, &err));
        CHECK_EQ(err.status, FAB_ERR_DENIED);
        CHECK_HAS(err.text, rows[i].says);
        CHECK_HAS(err.text, rows[i].names);
        rig_end(&rig);
    }
}

/* A reload is refused while a folder is closed, and taken when it is open again. */
static void test_reach_at_reload(void)
{
    struct fab_err err = {0};
    static char link[128];

    if (getuid() != 0)
        return; /* only root can start processes of other users */
    if (!begin_with_uids())
        return;
    (void)snprintf(link, sizeof(link), "%s/open/libcuda.so", rig.folder);
    CHECK_EQ(symlink(rig.settings.driver, link), 0);
    rig.settings.driver = link;
    if (!CHECK(rig_start(&rig, &err)))
        return;
    CHECK_EQ(chmod(in_rig("open"), 0700), 0);
    CHECK_EQ(agent_reload(rig.agent, &err), FAB_ERR_DENIED);
    CHECK_HAS(err.text, "/open on the way to worker.driver: chmod o+x it");
    CHECK_EQ(chmod(in_rig("open"), 0755), 0);
    CHECK_EQ(agent_reload(rig.agent, &err), FAB_OK);
    rig_end(&rig);
}

/* A file whose server is away: nobody comes back from there, but of a signal. */
static const char *dead_path;

/* Instead of the C library's. */
int access(const char *path, int mode)
{
    while (dead_path && strcmp(path, dead_path) == 0)
        (void)pause();
    return (int)syscall(SYS_faccessat, AT_FDCWD, path, mode);
}

static void test_reach_hangs(void)
{
    struct fab_err err = {0};
    const size_t settings[] = {offsetof(struct fabricd_settings, driver),
                               offsetof(struct fabricd_settings, nvml)};
    const char *const names[] = {"(worker.driver)", "(discovery.nvml)"};

    if (getuid() != 0)
        return; /* only root can start processes of other users */
    if (!begin_with_uids() || !CHECK(rig_start(&rig, &err)))
        return;
    for (size_t i = 0; i < FAB_ARRAY_LEN(settings); i++) {
        CHECK_CASE("%s", names[i]);
        memcpy(&dead_path, (const char *)&rig.settings + settings[i], sizeof(dead_path));
        CHECK_EQ(agent_reach_check(rig.agent, 100000000, &err), FAB_ERR_TIMEOUT);
        CHECK_HAS(err.text, dead_path);
        CHECK_HAS(err.text, names[i]);
        CHECK_HAS(err.text, "has not ended after 100 ms");
    }
    dead_path = NULL;
    CHECK_EQ(agent_reach_check(rig.agent, UINT64_C(60000000000), &err), FAB_OK);
    rig_end(&rig);
}

/* ---- requests of local clients ----------------------------------------------------------------
 */

static int api_fd;
static char api_answer[1024];

static bool is_answered(struct rig *of)
{
    const ssize_t got = recv(api_fd, api_answer, sizeof(api_answer) - 1, MSG_DONTWAIT);

    api_answer[got > 0 ? got : 0] = '\0';
    return got >= 0 || !of->link;
}

static void ask_api(const char *text)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/api.sock", rig.run);
    api_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(connect(api_fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    CHECK_EQ(send(api_fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    rig_until(&rig, is_answered);
    (void)close(api_fd);
}

static void test_bad_requests(void)
{
    static const struct {
        const char *label, *text, *part;
    } rows[] = {
        {"a body that is no text",
         "POST /redfish/v1/Systems HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n\xff\xfe",
         "body is not UTF-8"},
        {"a path that is no text", "GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", "path is not"},
        {"a path that is none", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "path is not valid"},
        {"a method in small letters", "get / HTTP/1.1\r\nHost: x\r\n\r\n", "method"},
    };

    if (!rig_up(&rig))
        return;
    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        CHECK_CASE("%s", rows[i].label);
        ask_api(rows[i].text);
        CHECK_HAS(api_answer, "HTTP/1.1 400 ");
        CHECK_HAS(api_answer, rows[i].part);
        CHECK(rig.link != NULL); /* the manager is still there */
    }
    rig_end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_report),          CHECK_TEST(test_bad_requests),
        CHECK_TEST(test_fences),          CHECK_TEST(test_restart),
        CHECK_TEST(test_checks),          CHECK_TEST(test_modelled),
        CHECK_TEST(test_checks_anew),     CHECK_TEST(test_not_cleared),
        CHECK_TEST(test_programs),        CHECK_TEST(test_some_gpus),
        CHECK_TEST(test_revoked),         CHECK_TEST(test_killed_program),
        CHECK_TEST(test_users),           CHECK_TEST(test_out_of_reach),
        CHECK_TEST(test_reach_at_reload), CHECK_TEST(test_reach_hangs)};

    return check_run(tests);
}
