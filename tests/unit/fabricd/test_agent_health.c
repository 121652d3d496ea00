/* SPDX-License-Identifier: Apache-2.0
 * The agent's meter and its health: load and memory as NVML says them, a library that hangs, and
 * each check on a machine that is made of files.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/unit/fabricd/agent_rig.h"

enum { PASS, MARGINAL, FAIL, NO_ROW = 9 };

static struct rig rig;
static char sysroot[96];

static bool start(void)
{
    struct fab_err err = {0};

    if (!CHECK(rig_start(&rig, &err))) {
        CHECK_STR(err.text, "");
        return false;
    }
    rig_report(&rig);
    return CHECK_EQ(rig.gpu_count, 2);
}

/* ---- load and memory --------------------------------------------------------------------------
 */

static void compose(const char *system, uint64_t fence)
{
    rig_command(&rig, MANAGER_PREPARE, system, fence);
    CHECK_STR(rig_done(&rig, MANAGER_PREPARE, system, fence), "");
    rig_command(&rig, MANAGER_PRESENT, system, fence);
    CHECK_STR(rig_done(&rig, MANAGER_PRESENT, system, fence), "");
}

static bool is_measured(struct rig *at)
{
    return at->measures > 0;
}

static bool is_busy(struct rig *at)
{
    return at->gauges.gpus[0].used_bytes >= 1 << 20 && at->gauges.gpus[1].load > 0 &&
           at->gauges.gpus[1].used_bytes >= 1 << 20;
}

static bool is_empty(struct rig *at)
{
    return at->gauges.gpus[0].used_bytes == 0 && at->gauges.gpus[1].used_bytes == 0 &&
           at->gauges.gpus[1].load == 0;
}

static void test_gauges(void)
{
    struct rig_program program;

    if (!CHECK(rig_begin(&rig)) || !start())
        return;
    rig_until(&rig, is_measured);
    CHECK_EQ(rig.gauges.gpu_count, 2);
    CHECK_STR(rig.gauges.gpus[1].uuid, rig.gpus[1].uuid);
    compose("train", 5);
    if (!rig_run(&rig, &program, "busy", NULL, getuid()))
        return;
    rig_say(&program, "2 devices");
    rig_until(&rig, is_busy);
    CHECK(rig.gauges.gpus[1].used_bytes < UINT64_C(1) << 40);
    CHECK_EQ(rig_wait(&program), 0);
    rig_until(&rig, is_empty); /* as the device says it, and not a lease that is still there */
    rig_end(&rig);
}

/* A GPU that is given back does not show what its last system, or the clearing, had in use. */
static void test_cleared(void)
{
    struct rig_program program;

    if (!CHECK(rig_begin(&rig)) || !start())
        return;
    compose("train", 5);
    if (!rig_run(&rig, &program, "busy", NULL, getuid()))
        return;
    rig_say(&program, "2 devices");
    rig_until(&rig, is_busy);
    rig_command(&rig, MANAGER_RELEASE, "train", 5);
    for (int i = 0; i < 2; i++) {
        const struct rig_heard heard = rig_take(&rig, MESSAGE_RELEASED);
        const int at = strcmp(heard.released.uuid, rig.gauges.gpus[1].uuid) == 0;
        const uint64_t used_bytes = rig.gauges.gpus[at].used_bytes;

        CHECK_CASE("GPU %d", at);
        CHECK(used_bytes == UINT64_MAX || used_bytes == 0);
    }
    rig_until(&rig, is_empty);
    (void)rig_wait(&program);
    rig_end(&rig);
}

/* ---- checks -----------------------------------------------------------------------------------
 */

static const struct message_health *find_row(const char *name)
{
    for (uint32_t i = 0; i < rig.health_count; i++)
        if (strcmp(rig.health[i].name, name) == 0)
            return &rig.health[i];
    return NULL;
}

static void check_row(const char *name, int grade, const char *value)
{
    const struct message_health *row = find_row(name);

    CHECK_CASE("%s", name);
    CHECK_EQ(row ? row->grade : NO_ROW, grade);
    if (!row)
        return;
    CHECK_HAS(row->value, value);
    CHECK_EQ(row->advice[0] == '\0', row->grade == PASS);
}

static const char *awaited;
static int awaited_grade;

static bool has_grade(struct rig *at)
{
    const struct message_health *row = find_row(awaited);

    (void)at;
    return row && row->grade == awaited_grade;
}

static void await_row(const char *name, int grade)
{
    awaited = name;
    awaited_grade = grade;
    rig_until(&rig, has_grade);
}

static void make_folders(char *path)
{
    for (char *slash = strchr(path + strlen(rig.folder) + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0755);
        *slash = '/';
    }
}

static void put(const char *name, const char *text)
{
    char path[256], fresh[260];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s%s", sysroot, name);
    make_folders(path);
    (void)snprintf(fresh, sizeof(fresh), "%s.new", path); /* a reader sees all of it, or the old */
    file = fopen(fresh, "w");
    if (CHECK(file && fputs(text, file) >= 0) && CHECK_EQ(fclose(file), 0))
        CHECK_EQ(rename(fresh, path), 0);
}

#define PORT "/sys/class/infiniband/mlx4_0/ports/1/"

/* A machine with one HCA, whose devices are those of `devices`. */
static bool begin_machine(const char *devices)
{
    static char xml[] = MACHINE_XML;
    static const struct {
        const char *name, *text;
    } files[] = {{"/proc/self/limits", "Max locked memory         65536    65536    bytes\n"},
                 {"/sys/module/mlx_compat/version", "5.8-1.0.1\n"},
                 {"/sys/class/infiniband/mlx4_0/device/net/ib0/dev_port", "0\n"},
                 {"/sys/class/infiniband/mlx4_0/device/net/ib0/mtu", "2044\n"},
                 {PORT "state", "4: ACTIVE\n"},
                 {PORT "lid", "0x11\n"},
                 {PORT "sm_lid", "0x1\n"},
                 {PORT "rate", "56 Gb/sec (4X FDR)\n"},
                 {PORT "gids/0", "fe80:0000:0000:0000:e41d:2d03:00b0:0001\n"},
                 {PORT "counters/symbol_error", "100\n"},
                 {PORT "counters/link_downed", "3\n"},
                 {PORT "hw_counters/sq_num_to", "5\n"}};

    if (!CHECK(rig_begin(&rig)))
        return false;
    (void)snprintf(sysroot, sizeof(sysroot), "%s/sysroot", rig.folder);
    for (size_t i = 0; i < FAB_ARRAY_LEN(files); i++)
        put(files[i].name, files[i].text);
    rig.settings.sysroot = sysroot;
    rig.settings.hwloc_xml = xml;
    if (devices) {
        static char path[128];

        put("/devices.cfg", devices);
        (void)snprintf(path, sizeof(path), "%s/devices.cfg", sysroot);
        (void)setenv("SOFTCUDA_CONFIG", path, 1);
    }
    return true;
}

static void end_machine(void)
{
    rig_end(&rig);
    (void)unsetenv("SOFTCUDA_CONFIG");
}

/* What was counted before the agent came is not its business; what comes now is. */
static void test_rows(void)
{
    if (!begin_machine("devices = ( { slowed = \"hardware\"; }, { slowed = \"power\"; } );\n") ||
        !start())
        return;
    await_row("rail mlx4_0:1 errors", PASS);
    check_row("driver", PASS, ".");
    check_row("CUDA", PASS, "13.0");
    check_row("OFED", PASS, "5.8-1.0.1");
    check_row("memory-lock limit", MARGINAL, "64 KiB");
    check_row("NVML", PASS, "answers");
    check_row("peer-memory module", MARGINAL, "none");
    check_row("rail mlx4_0:1", PASS, "active, 54 Gb/s, MTU 2044");
    check_row("rail mlx4_0:2", MARGINAL, "down");
    check_row("rail mlx4_0:1 subnet", PASS, "fe80000000000000, manager LID 1");
    check_row("rail mlx4_0:2 subnet", NO_ROW, "");
    check_row("rail mlx4_0:1 retransmissions", PASS, "0 in ");
    check_row("rail mlx4_0:1 errors", PASS, "0 in ");
    check_row("rail mlx4_0:1 losses of link", PASS, "0 in ");
    check_row("rail mlx4_0:2 errors", NO_ROW, "");
    check_row("GPU 0 check", PASS, "computes");
    check_row("GPU 0 clock", FAIL, "MHz, too hot");
    check_row("GPU 1 clock", MARGINAL, "MHz, at its power limit");
    put(PORT "hw_counters/sq_num_to", "8\n");
    await_row("rail mlx4_0:1 retransmissions", MARGINAL);
    check_row("rail mlx4_0:1 retransmissions", MARGINAL, "3 in ");
    put(PORT "counters/symbol_error", "100000\n");
    await_row("rail mlx4_0:1 errors", FAIL);
    check_row("rail mlx4_0:1 errors", FAIL, "99900 in ");
    put(PORT "counters/link_downed", "4\n");
    await_row("rail mlx4_0:1 losses of link", FAIL);
    check_row("rail mlx4_0:1 losses of link", FAIL, "1 in ");
    end_machine();
}

static void test_other_rows(void)
{
    if (!begin_machine("devices = ( { slowed = \"thermal\"; }, { } );\n"))
        return;
    put(PORT "sm_lid", "0x0\n");
    put("/sys/module/nvidia_peermem/version", "1\n");
    if (!start())
        return;
    await_row("GPU 0 clock", MARGINAL);
    check_row("GPU 0 clock", MARGINAL, "MHz, slowed for its temperature");
    check_row("GPU 1 clock", PASS, "MHz");
    check_row("rail mlx4_0:1 subnet", FAIL, "manager LID 0");
    check_row("peer-memory module", PASS, "nvidia_peermem");
    end_machine();
}

/* ---- a library that hangs ---------------------------------------------------------------------
 */

static bool is_unknown(struct rig *at)
{
    return at->measures > 0 && at->gauges.gpu_count == 0;
}

static bool is_known(struct rig *at)
{
    return at->gauges.gpu_count == 2 && at->gauges.gpus[0].load == 42;
}

static void test_hanging_library(void)
{
    static char library[] = HANGING_NVML;
    char path[128];
    FILE *file;

    if (!CHECK(rig_begin(&rig)))
        return;
    (void)snprintf(path, sizeof(path), "%s/hangs", rig.folder);
    (void)setenv("TEST_NVML_HANGS", path, 1);
    rig.settings.nvml = library;
    if (!start())
        return;
    rig_until(&rig, is_known);
    await_row("NVML", PASS);
    rig.settings.check_limit_ns = UINT64_C(200000000); /* of the next one */
    agent_meter_renew(rig.agent);
    file = fopen(path, "w");
    CHECK(file && fclose(file) == 0);
    rig_until(&rig, is_unknown); /* what was known is not said for ever */
    await_row("NVML", FAIL);
    check_row("NVML", FAIL, "no answer within");
    rig.settings.check_limit_ns = UINT64_C(60000000000);
    CHECK_EQ(unlink(path), 0);
    rig_until(&rig, is_known);
    await_row("NVML", PASS);
    rig_end(&rig);
    (void)unsetenv("TEST_NVML_HANGS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_gauges), CHECK_TEST(test_cleared),
                                       CHECK_TEST(test_rows), CHECK_TEST(test_other_rows),
                                       CHECK_TEST(test_hanging_library)};

    return check_run(tests);
}
