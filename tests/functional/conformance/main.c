/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/conformance/main.c - opens a driver, runs one group of rows or all, counts.
 *
 *     conformance [--nvidia | --behind-nvidia] [--driver PATH] [GROUP...]
 *
 * --nvidia: the driver is NVIDIA's; --behind-nvidia: it is our client, whose workers load NVIDIA's.
 * Exit status: 0 all rows hold, 1 some do not, 2 misused, 77 there is no such driver or no device.
 */
#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/functional/conformance/conformance.h"

enum { SKIPPED = 77 };

struct conformance_driver cu;
bool conformance_checks = true, conformance_nvidia;

/* Shared with the processes of groups and of parts of them. */
static struct {
    _Atomic unsigned rows, failed;
} * count;

static const struct {
    const char *name;
    void (*run)(void);
} groups[] = {
    {"init", group_init},       {"context", group_context}, {"stream", group_stream},
    {"order", group_order},     {"event", group_event},     {"module", group_module},
    {"library", group_library}, {"launch", group_launch},   {"copy", group_copy},
    {"set", group_set},         {"memop", group_memop},     {"fault", group_fault},
    {"alloc", group_alloc},     {"host", group_host},       {"managed", group_managed},
    {"vmm", group_vmm},         {"pool", group_pool},       {"peer", group_peer},
    {"pointer", group_pointer}, {"source", group_source},   {"killed", group_killed},
};

void conformance_row(const char *label, CUresult status, CUresult expected, bool effect,
                     const char *effect_text, const char *file, int line)
{
    count->rows++;
    if (status == expected && effect)
        return;
    count->failed++;
    if (status != expected)
        (void)printf("%s:%d: %s: status %d, expected %d\n", file, line, label, (int)status,
                     (int)expected);
    if (!effect)
        (void)printf("%s:%d: %s: does not hold: %s\n", file, line, label, effect_text);
}

#define NAME_TEXT(name) #name

static bool driver_open(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (!library) {
        (void)printf("skipped: %s\n", dlerror());
        return false;
    }
#define CONFORMANCE_LOAD(name) *(void **)&cu.name = dlsym(library, NAME_TEXT(name));
    CONFORMANCE_FUNCTIONS(CONFORMANCE_LOAD)
#undef CONFORMANCE_LOAD
    return true;
}

void conformance_need(CUresult status, const char *what)
{
    if (status == CUDA_SUCCESS)
        return;
    (void)printf("%s failed with %d\n", what, (int)status);
    exit(status == CUDA_ERROR_NO_DEVICE ? SKIPPED : 1);
}

void conformance_world_open(struct conformance_world *world)
{
    void *pinned;

    conformance_need(cu.cuInit(0), "cuInit");
    conformance_need(cu.cuDeviceGet(&world->device, 0), "cuDeviceGet");
    conformance_need(cu.cuDevicePrimaryCtxRetain(&world->context, world->device),
                     "cuDevicePrimaryCtxRetain");
    conformance_need(cu.cuCtxSetCurrent(world->context), "cuCtxSetCurrent");
    conformance_need(cu.cuModuleLoadData(&world->module, kernels_ptx), "cuModuleLoadData");
    conformance_need(cu.cuMemAlloc(&world->memory, CONFORMANCE_BYTES), "cuMemAlloc");
    conformance_need(cu.cuMemsetD8(world->memory, 0, CONFORMANCE_BYTES), "cuMemsetD8");
    conformance_need(cu.cuCtxSynchronize(),
                     "cuCtxSynchronize"); /* streams that wait for nothing come next */
    conformance_need(cu.cuMemHostAlloc(&pinned, 4096, CU_MEMHOSTALLOC_DEVICEMAP), "cuMemHostAlloc");
    world->pinned = memset(pinned, 0, 4096);
    world->wait_flag = conformance_kernel(world, "wait_flag");
    conformance_need(cu.cuStreamCreate(&world->releaser, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
}

static CUdeviceptr flag_of(const struct conformance_world *world)
{
    return world->memory + CONFORMANCE_BYTES - sizeof(uint32_t);
}

static void flag_set(const struct conformance_world *world, uint32_t value)
{
    conformance_need(cu.cuMemsetD32Async(flag_of(world), value, 1, world->releaser), "set a flag");
    conformance_need(cu.cuStreamSynchronize(world->releaser), "set a flag");
}

CUresult conformance_hold(const struct conformance_world *world, CUstream stream)
{
    CUdeviceptr flag = flag_of(world);
    void *params[] = {&flag};

    flag_set(world, 0);
    return cu.cuLaunchKernel(world->wait_flag, 1, 1, 1, 1, 1, 1, 0, stream, params, NULL);
}

void conformance_let_go(const struct conformance_world *world)
{
    flag_set(world, 1);
}

CUresult conformance_wait_late(CUevent event)
{
    size_t free_bytes, bytes;
    CUresult result = cu.cuMemGetInfo(&free_bytes, &bytes); /* an answer: all before has arrived */

    return result == CUDA_SUCCESS ? cu.cuEventSynchronize(event) : result;
}

CUfunction conformance_kernel(const struct conformance_world *world, const char *name)
{
    CUfunction function = NULL;

    conformance_need(cu.cuModuleGetFunction(&function, world->module, name), name);
    return function;
}

uint32_t conformance_read(CUdeviceptr at)
{
    uint32_t word = 0;

    if (cu.cuCtxSynchronize() != CUDA_SUCCESS ||
        cu.cuMemcpyDtoH(&word, at, sizeof(word)) != CUDA_SUCCESS)
        return UINT32_MAX;
    return word;
}

void conformance_apart(void (*rows)(const void *), const void *arg)
{
    int status = -1;
    pid_t child;

    (void)fflush(stdout);
    child = fork();
    if (child == 0) {
        rows(arg);
        exit(0);
    }
    ROW("a process for these rows", CUDA_SUCCESS, CUDA_SUCCESS,
        child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

/* In a child, so that what a group does to the driver ends with it. */
static int run_group(size_t index, const char *driver)
{
    int status = 0;
    pid_t child;

    count->rows = 0;
    count->failed = 0;
    (void)fflush(stdout);
    child = fork();
    if (child == 0) {
        if (!driver_open(driver))
            exit(SKIPPED);
        groups[index].run();
        (void)printf("%s: %u rows, %u failed\n", groups[index].name, count->rows, count->failed);
        exit(count->rows > 0 && count->failed == 0 ? 0 : 1);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return 1;
    if (WIFSIGNALED(status))
        (void)printf("%s: ended by signal %d\n", groups[index].name, WTERMSIG(status));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int worse(int a, int b)
{
    if (a == 1 || b == 1)
        return 1;
    return a ? a : b;
}

int main(int argc, char **argv)
{
    const char *driver = getenv("CONFORMANCE_LIBCUDA");
    int first = 1, outcome = 0, found = 0;

    for (; first < argc && strncmp(argv[first], "--", 2) == 0; first++) {
        const bool is_driver = strcmp(argv[first], "--driver") == 0;

        conformance_checks = conformance_checks && strcmp(argv[first], "--nvidia") != 0;
        conformance_nvidia = conformance_nvidia || !is_driver;
        if (is_driver && first + 1 < argc)
            driver = argv[++first];
        else if (strcmp(argv[first], "--nvidia") != 0 &&
                 strcmp(argv[first], "--behind-nvidia") != 0)
            return 2;
    }
    count = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (count == MAP_FAILED)
        return 1;
    if (!driver)
        driver = CONFORMANCE_DEFAULT_DRIVER;
    for (size_t i = 0; i < FAB_ARRAY_LEN(groups); i++) {
        bool wanted = first == argc;

        for (int at = first; at < argc; at++)
            wanted = wanted || strcmp(argv[at], groups[i].name) == 0;
        if (!wanted)
            continue;
        found++;
        outcome = worse(outcome, run_group(i, driver));
    }
    return found > 0 ? outcome : 2;
}
