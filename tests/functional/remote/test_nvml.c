/* SPDX-License-Identifier: Apache-2.0
 * NVML of a system of several nodes: one numbering, what two nodes do not share, who is listed,
 * lost workers, forked children.
 * Run as `remote-run --workers 2 --devices 2 test_nvml`, by shared memory and by rails
 * (TEST_RAILS), on devices that are near to each other.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cuda-common/nvml_row.h"
#include "tests/functional/remote/remote_world.h"
#include "tests/support/check.h"

enum { DEVICES = 4, PROCESSES = 16 };

static nvmlDevice_t devices[DEVICES];

static bool is_success(const char *what, nvmlReturn_t result)
{
    return remote_expect(what, (CUresult)result, CUDA_SUCCESS);
}

/* For children: NVML and its devices. */
static void open_nvml(void)
{
    remote_need((CUresult)nvmlInit_v2(), "nvmlInit");
    for (unsigned i = 0; i < DEVICES; i++)
        remote_need((CUresult)nvmlDeviceGetHandleByIndex_v2(i, &devices[i]), "a handle");
}

static void run(const char *label, int (*fn)(void *arg), void *arg)
{
    struct remote_child child;

    CHECK_CASE("%s", label);
    remote_child_start(&child, fn, arg);
    CHECK_EQ(remote_child_end(&child), 0);
    CHECK_STR(child.error_text, "");
    CHECK(remote_workers_wait(0));
}

/* ---- one numbering ----------------------------------------------------------------------------
 */

/* NVML before CUDA: CUDA is not initialised by it; then both say the same. */
static int one_numbering(void *arg)
{
    CUuuid uuid;
    CUdevice device;
    char from_nvml[96], from_cuda[96], bus_id[32];
    unsigned count = 0;
    nvmlDevice_t found;
    nvmlPciInfo_t pci;
    int version = 0, cuda_version = 1, cuda_count = 7;
    bool holds = true;

    (void)arg;
    open_nvml();
    holds &= is_success("count", nvmlDeviceGetCount_v2(&count)) && count == DEVICES;
    holds &=
        remote_expect("before cuInit", cuDeviceGetCount(&cuda_count), CUDA_ERROR_NOT_INITIALIZED);
    (void)setenv("CUDA_VISIBLE_DEVICES", "1", 1); /* of no interest to NVML */
    remote_need(cuInit(0), "cuInit");
    (void)unsetenv("CUDA_VISIBLE_DEVICES");
    remote_need(cuDeviceGetCount(&cuda_count), "cuDeviceGetCount");
    for (int i = 0; i < cuda_count; i++) {
        remote_need(cuDeviceGet(&device, i), "cuDeviceGet");
        remote_need(cuDeviceGetUuid(&uuid, device), "cuDeviceGetUuid");
        remote_need(cuDeviceGetPCIBusId(bus_id, sizeof(bus_id), device), "bus id");
        holds &= is_success("by bus id", nvmlDeviceGetHandleByPciBusId_v2(bus_id, &found));
        holds &= is_success("UUID", nvmlDeviceGetUUID(found, from_nvml, sizeof(from_nvml)));
        holds &= strcmp(from_nvml, cuc_nvml_put_uuid((const uint8_t *)uuid.bytes, from_cuda)) == 0;
    }
    for (unsigned i = 0; i < DEVICES; i++) {
        holds &= is_success("place", nvmlDeviceGetPciInfo_v3(devices[i], &pci));
        holds &= is_success("by bus id", nvmlDeviceGetHandleByPciBusId_v2(pci.busId, &found));
        holds &= found == devices[i];
    }
    holds &= is_success("version", nvmlSystemGetCudaDriverVersion(&version));
    holds &= cuDriverGetVersion(&cuda_version) == CUDA_SUCCESS && version == cuda_version;
    return holds ? 0 : 1;
}

static void test_one_numbering(void)
{
    run("NVML, then CUDA", one_numbering, NULL);
}

/* ---- two nodes --------------------------------------------------------------------------------
 */

static int two_nodes(void *arg)
{
    nvmlDevice_t near[DEVICES];
    bool holds = true;

    (void)arg;
    open_nvml();
    for (unsigned i = 0; i < DEVICES; i++) {
        unsigned count = DEVICES;

        for (unsigned k = 0; k < DEVICES; k++) {
            const bool is_one_node = i / 2 == k / 2;
            int level = -1, status = -1, same = -1;

            holds &= is_success(
                "ancestor", nvmlDeviceGetTopologyCommonAncestor(devices[i], devices[k], &level));
            holds &= is_success("P2P", nvmlDeviceGetP2PStatus(devices[i], devices[k],
                                                              NVML_P2P_CAPS_INDEX_READ, &status));
            holds &= is_success("board", nvmlDeviceOnSameBoard(devices[i], devices[k], &same));
            holds &= (level < NVML_TOPOLOGY_SYSTEM) == is_one_node && same == (i == k);
            holds &= (status == NVML_P2P_STATUS_OK) == (is_one_node && i != k);
        }
        holds &= is_success("near", nvmlDeviceGetTopologyNearestGpus(
                                        devices[i], NVML_TOPOLOGY_SYSTEM, &count, near));
        holds &= count == 2 && near[0] == devices[i < 2 ? 2 : 0];
        holds &= nvmlDeviceGetP2PStatus(devices[0], devices[2], 99, &(int){0}) ==
                 NVML_ERROR_INVALID_ARGUMENT;
    }
    return holds ? 0 : 1;
}

static void test_two_nodes(void)
{
    run("what two nodes share", two_nodes, NULL);
}

/* ---- processes --------------------------------------------------------------------------------
 */

/* Holds memory of the first device until the test lets it go. */
static int holder(void *arg)
{
    struct remote_gpu gpu;

    (void)arg;
    remote_gpu_open(&gpu, 0);
    remote_tell();
    remote_stay();
    return 0;
}

static unsigned list(nvmlDevice_t device, nvmlProcessInfo_t *infos)
{
    unsigned count = PROCESSES;

    remote_need((CUresult)nvmlDeviceGetComputeRunningProcesses_v3(device, &count, infos), "list");
    return count;
}

/* Another session of this user holds memory: its worker is seen on this host only. */
static int two_processes(void *arg)
{
    const bool is_here = *(const bool *)arg;
    nvmlProcessInfo_t infos[PROCESSES];
    struct remote_gpu gpu;
    pid_t workers[REMOTE_WORKERS_MAX];
    char name[64] = "";
    bool holds = true;

    open_nvml();
    holds &= list(devices[0], infos) == (is_here ? 1 : 0);
    if (is_here) {
        holds &= remote_workers(workers) == 4 && infos[0].pid == (unsigned)workers[0];
        holds &= is_success("name", nvmlSystemGetProcessName(infos[0].pid, name, sizeof(name)));
        holds &= strstr(name, "gpu-worker") != NULL;
    }
    remote_gpu_open(&gpu, 0);
    holds &= list(devices[0], infos) == (is_here ? 2 : 1);
    holds &= infos[0].pid == (unsigned)getpid() || infos[1].pid == (unsigned)getpid();
    holds &= list(devices[1], infos) == 0;
    return holds ? 0 : 1;
}

static void test_processes(void)
{
    bool is_here = !getenv("TEST_RAILS");
    struct remote_child other;

    remote_child_start(&other, holder, NULL);
    if (CHECK(remote_heard(&other))) {
        struct remote_child child;

        remote_child_start(&child, two_processes, &is_here);
        CHECK_EQ(remote_child_end(&child), 0);
    }
    CHECK_EQ(remote_child_end(&other), 0);
    CHECK(remote_workers_wait(0));
}

/* ---- a lost worker ----------------------------------------------------------------------------
 */

static int lost_worker(void *arg)
{
    pid_t workers[REMOTE_WORKERS_MAX];
    unsigned milliwatts;
    char version[96];
    bool holds = true;

    (void)arg;
    open_nvml();
    if (!remote_workers_wait(2) || remote_workers(workers) != 2)
        return REMOTE_BROKEN;
    (void)kill(workers[0], SIGKILL);
    while (nvmlDeviceGetPowerUsage(devices[0], &milliwatts) == NVML_SUCCESS) {
    }
    for (unsigned i = 0; i < DEVICES; i++)
        holds &= remote_expect("power", (CUresult)nvmlDeviceGetPowerUsage(devices[i], &milliwatts),
                               (CUresult)(i < 2 ? NVML_ERROR_GPU_IS_LOST : NVML_SUCCESS));
    holds &= is_success("UUID", nvmlDeviceGetUUID(devices[0], version, sizeof(version)));
    holds &= is_success("version", nvmlSystemGetDriverVersion(version, sizeof(version)));
    return holds ? 0 : 1;
}

static void test_lost_worker(void)
{
    struct remote_child child;

    remote_child_start(&child, lost_worker, NULL);
    CHECK_EQ(remote_child_end(&child), 0);
    CHECK(strstr(child.error_text, "node1"));
    CHECK(remote_workers_wait(0));
}

/* ---- fork -------------------------------------------------------------------------------------
 */

/* What a data loader does: the parent asks NVML, the children compute. */
static int forked_child(void)
{
    struct remote_gpu gpu;
    unsigned milliwatts;

    if (getenv("TEST_RAILS")) /* UCX does not outlive a fork: refused, as after cuInit */
        return cuInit(0) == CUDA_ERROR_NOT_INITIALIZED &&
                       nvmlDeviceGetPowerUsage(devices[0], &milliwatts) == NVML_ERROR_UNINITIALIZED
                   ? 0
                   : 1;

    if (!is_success("in the child", nvmlDeviceGetPowerUsage(devices[0], &milliwatts)))
        return 1;
    remote_gpu_open(&gpu, 0);
    return remote_expect("in the child", remote_gpu_try(&gpu), CUDA_SUCCESS) ? 0 : 1;
}

static int fork_after_nvml(void *arg)
{
    unsigned milliwatts;
    int status = -1;
    pid_t pid;

    (void)arg;
    open_nvml();
    (void)fflush(stdout);
    pid = fork();
    if (pid == 0)
        exit(forked_child());
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
        return 1;
    return is_success("in the parent", nvmlDeviceGetPowerUsage(devices[3], &milliwatts)) ? 0 : 1;
}

static int fork_after_cuda(void *arg)
{
    struct remote_gpu gpu;
    unsigned milliwatts;
    int status = -1;
    pid_t pid;

    (void)arg;
    open_nvml();
    remote_gpu_open(&gpu, 0);
    (void)fflush(stdout);
    pid = fork();
    if (pid == 0)
        _exit(cuInit(0) == CUDA_ERROR_NOT_INITIALIZED &&
                      nvmlDeviceGetPowerUsage(devices[0], &milliwatts) == NVML_ERROR_UNINITIALIZED
                  ? 0
                  : 1);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 ? 0 : 1;
}

static void test_fork(void)
{
    run("after NVML alone", fork_after_nvml, NULL);
    run("after CUDA", fork_after_cuda, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_one_numbering), CHECK_TEST(test_two_nodes),
                                       CHECK_TEST(test_processes), CHECK_TEST(test_lost_worker),
                                       CHECK_TEST(test_fork)};

    return check_run(tests);
}
