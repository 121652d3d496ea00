/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/memory/main.c - opens a driver, runs the groups in processes of their own,
 * counts.
 *
 *     conformance_memory [--driver PATH] [GROUP...]
 *
 * Exit status: 0 all rows hold, 1 some do not, 77 there is no such driver or no device.
 */
#include "tests/functional/memory/memory.h"

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SKIPPED = 77 };

/* poke: *at = value. peek: *out = *at. */
static const char kernels[] = ".version 7.0\n"
                              ".target sm_75\n"
                              ".address_size 64\n"
                              ".visible .entry poke(.param .u64 at, .param .u32 value)\n"
                              "{\n"
                              "    .reg .b64 %rd<2>;\n"
                              "    .reg .b32 %r<2>;\n"
                              "    ld.param.u64 %rd1, [at];\n"
                              "    ld.param.u32 %r1, [value];\n"
                              "    st.global.u32 [%rd1], %r1;\n"
                              "    ret;\n"
                              "}\n"
                              ".visible .entry peek(.param .u64 at, .param .u64 out)\n"
                              "{\n"
                              "    .reg .b64 %rd<3>;\n"
                              "    .reg .b32 %r<2>;\n"
                              "    ld.param.u64 %rd1, [at];\n"
                              "    ld.param.u64 %rd2, [out];\n"
                              "    ld.global.u32 %r1, [%rd1];\n"
                              "    st.global.u32 [%rd2], %r1;\n"
                              "    ret;\n"
                              "}\n";

struct memory_driver cu;
static unsigned row_count, failed_count;

static const struct {
    const char *name;
    void (*run)(void);
} groups[] = {
    {"alloc", group_alloc},     {"host", group_host},     {"managed", group_managed},
    {"vmm", group_vmm},         {"pool", group_pool},     {"peer", group_peer},
    {"pointer", group_pointer}, {"killed", group_killed},
};

void memory_row(const char *label, CUresult status, CUresult expected, bool effect,
                const char *effect_text, const char *file, int line)
{
    row_count++;
    if (status == expected && effect)
        return;
    failed_count++;
    if (status != expected)
        (void)printf("%s:%d: %s: status %d, expected %d\n", file, line, label, (int)status,
                     (int)expected);
    if (!effect)
        (void)printf("%s:%d: %s: does not hold: %s\n", file, line, label, effect_text);
}

/* Each name and where its address goes: every field of the driver's table is one pointer. */
static const char *const names[] = {
#define MEMORY_TEXT(name) #name,
#define MEMORY_NAME(name) MEMORY_TEXT(name)
    MEMORY_FUNCTIONS(MEMORY_NAME)
#undef MEMORY_NAME
#undef MEMORY_TEXT
};
_Static_assert(sizeof(cu) == sizeof(names), "a name for each field");

static bool driver_open(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (!library) {
        (void)printf("skipped: %s\n", dlerror());
        return false;
    }
    for (size_t i = 0; i < FAB_ARRAY_LEN(names); i++)
        ((void **)&cu)[i] = dlsym(library, names[i]);
    return true;
}

/* Nothing else could be asked. */
static void need(CUresult status, const char *what)
{
    if (status == CUDA_SUCCESS)
        return;
    (void)printf("%s failed with %d\n", what, (int)status);
    exit(status == CUDA_ERROR_NO_DEVICE ? SKIPPED : 1);
}

void memory_world_open(struct memory_world *world)
{
    need(cu.cuInit(0), "cuInit");
    need(cu.cuDeviceGetCount(&world->device_count), "cuDeviceGetCount");
    for (int i = 1; i >= 0; i--) {
        CUmodule module;

        if (i >= world->device_count)
            continue;
        need(cu.cuDevicePrimaryCtxRetain(&world->context[i], i), "cuDevicePrimaryCtxRetain");
        need(cu.cuCtxSetCurrent(world->context[i]), "cuCtxSetCurrent");
        need(cu.cuModuleLoadData(&module, kernels), "cuModuleLoadData");
        need(cu.cuModuleGetFunction(&world->poke[i], module, "poke"), "cuModuleGetFunction");
        need(cu.cuModuleGetFunction(&world->peek[i], module, "peek"), "cuModuleGetFunction");
        need(cu.cuMemAlloc(&world->answer[i], 4), "cuMemAlloc");
    }
}

static CUresult launch(const struct memory_world *world, int index, CUfunction function,
                       void **params)
{
    CUresult result = cu.cuCtxSetCurrent(world->context[index]);

    if (result == CUDA_SUCCESS)
        result = cu.cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL);
    return result == CUDA_SUCCESS ? cu.cuCtxSynchronize() : result;
}

CUresult memory_poke(const struct memory_world *world, int index, CUdeviceptr at, uint32_t value)
{
    void *params[] = {&at, &value};

    return launch(world, index, world->poke[index], params);
}

CUresult memory_peek(const struct memory_world *world, int index, CUdeviceptr at,
                     uint32_t *value_out)
{
    CUdeviceptr out = world->answer[index];
    void *params[] = {&at, &out};
    CUresult result = launch(world, index, world->peek[index], params);

    return result == CUDA_SUCCESS ? cu.cuMemcpyDtoH(value_out, out, sizeof(*value_out)) : result;
}

uint32_t memory_read(CUdeviceptr at)
{
    uint32_t word = 0;

    return cu.cuMemcpyDtoH(&word, at, sizeof(word)) == CUDA_SUCCESS ? word : UINT32_MAX;
}

size_t memory_free_bytes(void)
{
    size_t free_bytes = 0, total = 0;

    need(cu.cuMemGetInfo(&free_bytes, &total), "cuMemGetInfo");
    return free_bytes;
}

/* In a child, so that what a group does to the driver ends with it. */
static int run_group(size_t index, const char *driver)
{
    int status = 0;
    pid_t child;

    (void)fflush(stdout);
    child = fork();
    if (child == 0) {
        if (!driver_open(driver))
            exit(SKIPPED);
        groups[index].run();
        (void)printf("%s: %u rows, %u failed\n", groups[index].name, row_count, failed_count);
        exit(row_count > 0 && failed_count == 0 ? 0 : 1);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return 1;
    if (WIFSIGNALED(status))
        (void)printf("%s: ended by signal %d\n", groups[index].name, WTERMSIG(status));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
    const char *driver = getenv("CONFORMANCE_LIBCUDA");
    int first = 1, outcome = 0, found = 0;

    if (argc > 2 && strcmp(argv[1], "--driver") == 0) {
        driver = argv[2];
        first = 3;
    }
    if (!driver)
        driver = MEMORY_DEFAULT_DRIVER;
    for (size_t i = 0; i < FAB_ARRAY_LEN(groups); i++) {
        bool wanted = first == argc;

        for (int at = first; at < argc; at++)
            wanted = wanted || strcmp(argv[at], groups[i].name) == 0;
        if (!wanted)
            continue;
        found++;
        int status = run_group(i, driver);

        if (status == 1 || outcome == 0)
            outcome = status;
    }
    return found > 0 ? outcome : 2;
}
