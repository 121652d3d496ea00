/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/conformance/group_launch.c - launches: forms, parameters, dimensions, shared
 * memory, attributes, occupancy.
 */
#include "tests/functional/conformance/conformance.h"

static struct conformance_world world;
static CUfunction empty, store, count;

static CUresult launch(CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                       unsigned by, unsigned bz)
{
    void *params[] = {&world.memory};

    return cu.cuLaunchKernel(function, gx, gy, gz, bx, by, bz, 0, NULL, params, NULL);
}

static void dimensions(void)
{
    CUfunction exact = conformance_kernel(&world, "exact");
    CUfunction at_most = conformance_kernel(&world, "at_most");
    static const struct {
        const char *label;
        unsigned grid[3], block[3];
        CUresult status;
    } cases[] = {
        {"one thread", {1, 1, 1}, {1, 1, 1}, CUDA_SUCCESS},
        {"no block", {0, 1, 1}, {1, 1, 1}, CUDA_ERROR_INVALID_VALUE},
        {"no row of blocks", {1, 0, 1}, {1, 1, 1}, CUDA_ERROR_INVALID_VALUE},
        {"no layer of blocks", {1, 1, 0}, {1, 1, 1}, CUDA_ERROR_INVALID_VALUE},
        {"no thread", {1, 1, 1}, {0, 1, 1}, CUDA_ERROR_INVALID_VALUE},
        {"1024 threads", {1, 1, 1}, {1024, 1, 1}, CUDA_SUCCESS},
        {"1025 threads", {1, 1, 1}, {1025, 1, 1}, CUDA_ERROR_INVALID_VALUE},
        {"1024 threads in three dimensions", {1, 1, 1}, {8, 8, 16}, CUDA_SUCCESS},
        {"2048 threads in three dimensions", {1, 1, 1}, {8, 16, 16}, CUDA_ERROR_INVALID_VALUE},
        {"64 layers of threads", {1, 1, 1}, {1, 1, 64}, CUDA_SUCCESS},
        {"65 layers of threads", {1, 1, 1}, {1, 1, 65}, CUDA_ERROR_INVALID_VALUE},
        {"65536 rows of blocks", {1, 65536, 1}, {1, 1, 1}, CUDA_ERROR_INVALID_VALUE},
        {"65536 layers of blocks", {1, 1, 65536}, {1, 1, 1}, CUDA_ERROR_INVALID_VALUE},
        {"more blocks than an int holds", {0x80000000u, 1, 1}, {1, 1, 1}, CUDA_ERROR_INVALID_VALUE},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++)
        ROW(cases[i].label,
            launch(empty, cases[i].grid[0], cases[i].grid[1], cases[i].grid[2], cases[i].block[0],
                   cases[i].block[1], cases[i].block[2]),
            cases[i].status, true);
    ROW("the required block", launch(exact, 1, 1, 1, 32, 2, 1), CUDA_SUCCESS, true);
    ROW("another block", launch(exact, 1, 1, 1, 64, 1, 1), CUDA_ERROR_INVALID_VALUE, true);
    ROW("within the maximum", launch(at_most, 1, 1, 1, 64, 1, 1), CUDA_SUCCESS, true);
    ROW("above it", launch(at_most, 1, 1, 1, 65, 1, 1), CUDA_ERROR_INVALID_VALUE, true);
    ROW("no error stays", cu.cuCtxSynchronize(), CUDA_SUCCESS, true);
}

static void blocks(void)
{
    ROW("clear", cu.cuMemsetD32(world.memory, 0, 1), CUDA_SUCCESS, true);
    ROW("every thread runs once", launch(count, 3, 5, 7, 4, 2, 6), CUDA_SUCCESS,
        conformance_read(world.memory) == 3 * 5 * 7 * 4 * 2 * 6);
}

static void parameters(void)
{
    CUfunction sum = conformance_kernel(&world, "sum");
    struct {
        CUdeviceptr to;
        uint32_t value;
    } packed = {world.memory, 55};
    size_t bytes = sizeof(packed.to) + sizeof(packed.value), too_few = 8, too_many = bytes + 4;
    uint32_t words[250], total = 0, value = 44;
    void *params[] = {&world.memory, &value};
    void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &packed, CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes,
                     CU_LAUNCH_PARAM_END};
    void *short_extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &packed, CU_LAUNCH_PARAM_BUFFER_SIZE,
                           &too_few, CU_LAUNCH_PARAM_END};
    void *long_extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &packed, CU_LAUNCH_PARAM_BUFFER_SIZE,
                          &too_many, CU_LAUNCH_PARAM_END};
    void *big[] = {words, &world.memory};

    for (uint32_t i = 0; i < FAB_ARRAY_LEN(words); i++)
        total += words[i] = i * i;
    ROW("pointers", cu.cuLaunchKernel(store, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL), CUDA_SUCCESS,
        conformance_read(world.memory) == 44);
    ROW("a buffer", cu.cuLaunchKernel(store, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, extra), CUDA_SUCCESS,
        conformance_read(world.memory) == 55);
    ROW("both", cu.cuLaunchKernel(store, 1, 1, 1, 1, 1, 1, 0, NULL, params, extra),
        CUDA_ERROR_INVALID_VALUE, true);
    ROW("neither", cu.cuLaunchKernel(store, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL),
        CUDA_ERROR_INVALID_VALUE, true);
    ROW("too large a buffer", cu.cuLaunchKernel(store, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, long_extra),
        CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, true);
    ROW_CHECKED("too small a buffer",
                cu.cuLaunchKernel(store, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, short_extra),
                CUDA_ERROR_INVALID_VALUE, true);
    ROW("a thousand bytes", cu.cuLaunchKernel(sum, 1, 1, 1, 1, 1, 1, 0, NULL, big, NULL),
        CUDA_SUCCESS, conformance_read(world.memory) == total);
    ROW("no function", cu.cuLaunchKernel(NULL, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL),
        CUDA_ERROR_INVALID_HANDLE, true);
    ROW_CHECKED(
        "no stream",
        cu.cuLaunchKernel(store, 1, 1, 1, 1, 1, 1, 0, (CUstream)(uintptr_t)0x5550, params, NULL),
        CUDA_ERROR_INVALID_HANDLE, true);
}

static CUresult launch_dynamic(CUfunction function, unsigned bytes)
{
    void *params[] = {&world.memory};

    return cu.cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, bytes, NULL, params, NULL);
}

static void shared_memory(void)
{
    CUfunction dynamic = conformance_kernel(&world, "dynamic");
    int most = 0;

    ROW("most by default",
        cu.cuFuncGetAttribute(&most, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, dynamic),
        CUDA_SUCCESS, most == 48 << 10);
    ROW("48 KiB", launch_dynamic(dynamic, 48 << 10), CUDA_SUCCESS,
        conformance_read(world.memory) == 48 << 10);
    ROW("more", launch_dynamic(dynamic, (48 << 10) + 4), CUDA_ERROR_INVALID_VALUE, true);
    ROW("more than a multiprocessor has",
        cu.cuFuncSetAttribute(dynamic, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 1 << 20),
        CUDA_ERROR_INVALID_VALUE, true);
    ROW("opt in to 60 KiB",
        cu.cuFuncSetAttribute(dynamic, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 60 << 10),
        CUDA_SUCCESS, true);
    ROW("60 KiB", launch_dynamic(dynamic, 60 << 10), CUDA_SUCCESS,
        conformance_read(world.memory) == 60 << 10);
    ROW("a property of the code", cu.cuFuncSetAttribute(dynamic, CU_FUNC_ATTRIBUTE_NUM_REGS, 16),
        CUDA_ERROR_INVALID_VALUE, true);
    ROW("a share of shared memory",
        cu.cuFuncSetAttribute(dynamic, CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, 50),
        CUDA_SUCCESS, true);
    ROW("more than all of it",
        cu.cuFuncSetAttribute(dynamic, CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, 101),
        CUDA_ERROR_INVALID_VALUE, true);
}

static void attributes(void)
{
    uint32_t value = 66;
    void *params[] = {&world.memory, &value};
    CUlaunchAttribute attribute = {.id = CU_LAUNCH_ATTRIBUTE_PRIORITY, .value.priority = -1};
    CUlaunchConfig config = {.gridDimX = 1,
                             .gridDimY = 1,
                             .gridDimZ = 1,
                             .blockDimX = 1,
                             .blockDimY = 1,
                             .blockDimZ = 1,
                             .attrs = &attribute,
                             .numAttrs = 1};

    ROW("a priority", cu.cuLaunchKernelEx(&config, store, params, NULL), CUDA_SUCCESS,
        conformance_read(world.memory) == 66);
    attribute = (CUlaunchAttribute){.id = (CUlaunchAttributeID)77};
    ROW("an unknown attribute", cu.cuLaunchKernelEx(&config, store, params, NULL),
        CUDA_ERROR_INVALID_VALUE, true);
    ROW("no description", cu.cuLaunchKernelEx(NULL, store, params, NULL), CUDA_ERROR_INVALID_VALUE,
        true);
    ROW("cooperative", cu.cuLaunchCooperativeKernel(store, 1, 1, 1, 32, 1, 1, 0, NULL, params),
        CUDA_SUCCESS, conformance_read(world.memory) == 66);
    ROW("cooperative, too many blocks",
        cu.cuLaunchCooperativeKernel(store, 1 << 20, 1, 1, 1024, 1, 1, 0, NULL, params),
        CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE, true);
}

static void occupancy(void)
{
    int most = -7, grid = -7, block = -7;
    size_t bytes = 0;

    ROW("blocks of 256 threads",
        cu.cuOccupancyMaxActiveBlocksPerMultiprocessor(&most, empty, 256, 0), CUDA_SUCCESS,
        most >= 1 && most <= 32);
    ROW("of no threads", cu.cuOccupancyMaxActiveBlocksPerMultiprocessor(&most, empty, 0, 0),
        CUDA_ERROR_INVALID_VALUE, most >= 1);
    ROW("of too much memory",
        cu.cuOccupancyMaxActiveBlocksPerMultiprocessor(&most, empty, 256, 1 << 20), CUDA_SUCCESS,
        most == 0);
    ROW("the best block", cu.cuOccupancyMaxPotentialBlockSize(&grid, &block, empty, NULL, 0, 0),
        CUDA_SUCCESS, grid >= 1 && block >= 32 && block <= 1024 && block % 32 == 0);
    ROW("with a limit", cu.cuOccupancyMaxPotentialBlockSize(&grid, &block, empty, NULL, 0, 128),
        CUDA_SUCCESS, block <= 128);
    ROW("memory for one block", cu.cuOccupancyAvailableDynamicSMemPerBlock(&bytes, empty, 1, 128),
        CUDA_SUCCESS, bytes >= 48 << 10);
}

static void attributes_of_functions(void)
{
    int value = -7, loaded;
    CUfunctionLoadingState state;

    ROW("load", cu.cuFuncLoad(store), CUDA_SUCCESS, true);
    ROW("it is loaded", cu.cuFuncIsLoaded(&state, store), CUDA_SUCCESS,
        (loaded = state == CU_FUNCTION_LOADING_STATE_LOADED));
    ROW("registers", cu.cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_NUM_REGS, store), CUDA_SUCCESS,
        loaded && value >= 1 && value <= 255);
    ROW("shared memory", cu.cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, store),
        CUDA_SUCCESS, value == 0);
    ROW("its PTX was for", cu.cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_PTX_VERSION, store),
        CUDA_SUCCESS, value == 75);
    ROW("its code is for", cu.cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_BINARY_VERSION, store),
        CUDA_SUCCESS, value >= 75);
    ROW("no such attribute", cu.cuFuncGetAttribute(&value, (CUfunction_attribute)99, store),
        CUDA_ERROR_INVALID_VALUE, value >= 75);
    ROW("of no function", cu.cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_NUM_REGS, NULL),
        CUDA_ERROR_INVALID_HANDLE, true);
    ROW("cache preference", cu.cuFuncSetCacheConfig(store, CU_FUNC_CACHE_PREFER_SHARED),
        CUDA_SUCCESS, true);
}

void group_launch(void)
{
    conformance_world_open(&world);
    empty = conformance_kernel(&world, "empty");
    store = conformance_kernel(&world, "store");
    count = conformance_kernel(&world, "count");
    dimensions();
    blocks();
    parameters();
    shared_memory();
    attributes();
    occupancy();
    attributes_of_functions();
}
