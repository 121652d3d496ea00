/* SPDX-License-Identifier: Apache-2.0
 * Threads and memory of a rail on its NUMA node: what the files of any machine say (a made-up
 * sysroot), and what the kernel of this one did.
 */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "tests/support/check.h"
#include "ucx-transport/xp_backend.h"
#include "ucx-transport/xp_numa.h"

enum { NO_SUCH_NODE = XP_NUMA_NODES_MAX - 1, TEXT_BYTES = 4096 };

/* ---------------------------------------------------------------- other machines */

static void make_node(const char *sysroot, int numa_node, const char *cpulist)
{
    static const char *const folders[] = {"sys", "sys/devices", "sys/devices/system",
                                          "sys/devices/system/node"};
    char path[256];
    FILE *file;

    for (size_t i = 0; i < FAB_ARRAY_LEN(folders); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", sysroot, folders[i]);
        (void)mkdir(path, 0700);
    }
    (void)snprintf(path, sizeof(path), "%s/%s/node%d", sysroot, folders[3], numa_node);
    (void)mkdir(path, 0700);
    (void)snprintf(path, sizeof(path), "%s/%s/node%d/cpulist", sysroot, folders[3], numa_node);
    file = fopen(path, "we");
    if (CHECK(file)) {
        (void)fputs(cpulist, file);
        (void)fclose(file);
    }
}

static int remove_one(const char *path, const struct stat *info, int flag, struct FTW *where)
{
    (void)info, (void)flag, (void)where;
    return remove(path);
}

static void test_cpus_of_a_node(void)
{
    static const struct {
        const char *label;
        int numa_node;
        const char *cpulist; /* NULL: no such node */
        enum fab_status status;
        int count, one, not_one;
    } cases[] = {
        {"the first node", 0, "0-23,48-71\n", FAB_OK, 48, 48, 24},
        {"the second node", 1, "24-47,72-95\n", FAB_OK, 48, 24, 48},
        {"one processor", 2, "1023\n", FAB_OK, 1, 1023, 0},
        {"memory without processors", 3, "\n", FAB_ERR_NOT_FOUND, 0, 0, 0},
        {"an empty file", 4, "", FAB_ERR_NOT_FOUND, 0, 0, 0},
        {"nonsense", 5, "0-x\n", FAB_ERR_NOT_FOUND, 0, 0, 0},
        {"not there", 6, NULL, FAB_ERR_NOT_FOUND, 0, 0, 0},
        {"a high number", 1000, "7\n", FAB_OK, 1, 7, 0},
        {"beyond all machines", XP_NUMA_NODES_MAX, NULL, FAB_ERR_RANGE, 0, 0, 0},
        {"negative", -1, NULL, FAB_ERR_RANGE, 0, 0, 0},
    };
    char sysroot[] = "/tmp/numaXXXXXX";

    if (!CHECK(mkdtemp(sysroot)))
        return;
    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct fab_err err = {0};
        cpu_set_t set;

        CHECK_CASE("%s", cases[i].label);
        if (cases[i].cpulist)
            make_node(sysroot, cases[i].numa_node, cases[i].cpulist);
        if (!CHECK_EQ(xp_numa_cpus(sysroot, cases[i].numa_node, &set, &err), cases[i].status))
            continue;
        CHECK_EQ(err.text[0] == '\0', cases[i].status == FAB_OK);
        if (cases[i].status != FAB_OK)
            continue;
        CHECK_EQ(CPU_COUNT(&set), cases[i].count);
        CHECK(CPU_ISSET((size_t)cases[i].one, &set));
        CHECK(!CPU_ISSET((size_t)cases[i].not_one, &set));
    }
    (void)nftw(sysroot, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---------------------------------------------------------------- this machine, as the kernel sees
 * it */

static bool read_text(const char *path, char text[TEXT_BYTES])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t bytes = fd >= 0 ? read(fd, text, TEXT_BYTES - 1) : -1;

    if (fd >= 0)
        (void)close(fd);
    text[bytes > 0 ? bytes : 0] = '\0';
    return bytes > 0;
}

/* A line "NAME:\tVALUE" of /proc/self/task/TID/status; "" if there is none. */
static void status_of(pid_t tid, const char *name, char value[TEXT_BYTES])
{
    char path[64], text[TEXT_BYTES], key[64];
    const char *at;

    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
    (void)snprintf(key, sizeof(key), "%s:\t", name);
    value[0] = '\0';
    if (!read_text(path, text) || !(at = strstr(text, key)))
        return;
    at += strlen(key);
    (void)snprintf(value, TEXT_BYTES, "%.*s", (int)strcspn(at, "\n"), at);
}

/* The processors that a thread may use are the node's, by the two kernel texts. */
static bool is_on_node_0(pid_t tid)
{
    char value[TEXT_BYTES], cpulist[TEXT_BYTES];
    cpu_set_t may, node;

    status_of(tid, "Cpus_allowed_list", value);
    return read_text("/sys/devices/system/node/node0/cpulist", cpulist) &&
           xp_numa_parse(cpulist, &node) && xp_numa_parse(value, &may) && CPU_EQUAL(&may, &node);
}

/* Where a thread's memory goes by default: "prefer:0", "default". */
static void policy_of(pid_t tid, char value[TEXT_BYTES])
{
    char path[64], text[TEXT_BYTES];

    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/numa_maps", tid);
    value[0] = '\0';
    if (read_text(path, text))
        (void)sscanf(text, "%*x %4095s", value);
}

static pid_t find_thread(const char *wanted)
{
    DIR *threads = opendir("/proc/self/task");
    struct dirent *entry;
    pid_t found = 0;

    while (threads && !found && (entry = readdir(threads)) != NULL) {
        char value[TEXT_BYTES];
        pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);

        status_of(tid, "Name", value);
        if (tid > 0 && strncmp(value, wanted, strlen(wanted)) == 0)
            found = tid;
    }
    if (threads)
        (void)closedir(threads);
    return found;
}

/* So that new threads begin elsewhere than where they shall go, if there is an elsewhere. */
static void narrow(void)
{
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    CHECK_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
}

static const char *why_not_here(void)
{
    int policy;

    if (access("/sys/devices/system/node/node0/cpulist", R_OK) != 0)
        return "this kernel tells of no NUMA node 0";
    if (syscall(SYS_get_mempolicy, &policy, NULL, 0UL, NULL, 0UL) != 0)
        return "memory policies are forbidden here";
    if (access("/proc/self/numa_maps", R_OK) != 0)
        return "this kernel has no numa_maps";
    return NULL;
}

static void *bind_and_look(void *argument)
{
    unsigned long nodes[XP_NUMA_NODES_MAX / 64] = {0};
    char value[TEXT_BYTES];
    int policy = -1;

    (void)argument;
    CHECK_CASE("before");
    policy_of(gettid(), value);
    CHECK_STR(value, "default");
    CHECK_CASE("refused");
    CHECK_EQ(xp_numa_bind_thread(NO_SUCH_NODE, NULL), FAB_ERR_NOT_FOUND);
    CHECK_EQ(xp_numa_bind_thread(XP_NUMA_NODES_MAX, NULL), FAB_ERR_RANGE);
    CHECK_EQ(xp_numa_bind_thread(-1, NULL), FAB_OK);
    policy_of(gettid(), value);
    CHECK_STR(value, "default");
    CHECK_CASE("bound");
    CHECK_EQ(xp_numa_bind_thread(0, NULL), FAB_OK);
    CHECK(is_on_node_0(gettid()));
    CHECK_EQ(syscall(SYS_get_mempolicy, &policy, nodes, XP_NUMA_NODES_MAX + 1UL, NULL, 0UL), 0);
    CHECK_EQ(policy, MPOL_PREFERRED);
    CHECK_EQ(nodes[0], 1);
    policy_of(gettid(), value);
    CHECK_STR(value, "prefer:0");
    return NULL;
}

static void test_thread(void)
{
    const char *reason = why_not_here();
    pthread_t thread;

    if (reason)
        check_skip("%s", reason);
    narrow();
    if (CHECK_EQ(pthread_create(&thread, NULL, bind_and_look, NULL), 0))
        (void)pthread_join(thread, NULL);
}

/* ---------------------------------------------------------------- a node's threads */

static bool has_told(int fd, const char *part)
{
    char text[TEXT_BYTES];
    ssize_t bytes = pread(fd, text, sizeof(text) - 1, 0);

    text[bytes > 0 ? bytes : 0] = '\0';
    return strstr(text, part) != NULL;
}

/* The control thread goes where the program is, the rail's where its device is. */
static void test_rail(void)
{
    static const struct {
        const char *label;
        int numa_node;
        enum fab_status status;
        const char *policy;
        bool on_node, told;
    } cases[] = {
        {"on node 0", 0, FAB_OK, "prefer:0", true, false},
        {"anywhere", -1, FAB_OK, "default", false, false},
        {"on a node that is not there", NO_SUCH_NODE, FAB_OK, "default", false, true},
        {"beyond all machines", XP_NUMA_NODES_MAX, FAB_ERR_INVALID, NULL, false, false},
        {"negative", -2, FAB_ERR_INVALID, NULL, false, false},
    };
    char folder[] = "/tmp/numaXXXXXX", value[TEXT_BYTES];
    bool there_is_elsewhere;

    if (why_not_here())
        check_skip("%s", why_not_here());
    if (!CHECK(mkdtemp(folder)))
        return;
    narrow();
    there_is_elsewhere = !is_on_node_0(gettid());
    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct fab_log log = {.program = "test", .fd = memfd_create("log", MFD_CLOEXEC)};
        struct xp_rail_config rail = {
            .backend = &xp_backend_shm, .device = folder, .numa_node = cases[i].numa_node};
        struct xp_node_config config = {
            .rails = &rail, .rail_count = 1, .clock = fab_clock_real(), .log = &log};
        struct xp_node *node = NULL;
        struct fab_err err = {0};
        pid_t bulk, control;

        CHECK_CASE("%s", cases[i].label);
        atomic_store(&log.level, FAB_LOG_DEBUG);
        CHECK_EQ(xp_node_create(&config, &node, &err), cases[i].status);
        if (cases[i].status == FAB_OK && CHECK(node)) {
            bulk = find_thread("xp-bulk");
            control = find_thread("xp-control");
            CHECK(bulk && control);
            /* The thread may not have begun yet. */
            do
                policy_of(bulk, value);
            while (cases[i].on_node && strcmp(value, cases[i].policy) != 0 && sched_yield() == 0);
            CHECK_STR(value, cases[i].policy);
            while (cases[i].on_node && !is_on_node_0(bulk))
                (void)sched_yield();
            while (cases[i].told && !has_told(log.fd, "not beside its rail"))
                (void)sched_yield();
            CHECK_EQ(has_told(log.fd, "not beside its rail"), cases[i].told);
            if (there_is_elsewhere && !cases[i].on_node)
                CHECK(!is_on_node_0(bulk));
            policy_of(control, value);
            CHECK_STR(value, "default");
        }
        xp_node_destroy(node);
        (void)close(log.fd);
    }
    (void)rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_cpus_of_a_node),
        CHECK_TEST(test_thread),
        CHECK_TEST(test_rail),
    };

    return check_run(tests);
}
