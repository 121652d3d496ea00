/* SPDX-License-Identifier: Apache-2.0
 * tests/random/steps_code.c - loading code, and asking about what was loaded.
 */
#include "tests/random/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *name_of(struct rng *rng)
{
    static const char *const names[] = {"fill", "add", "mix", "stir", "shared", "empty", "nobody"};

    return names[rng_below(rng, 7)];
}

static CUmodule some_module(struct world *w, struct rng *rng)
{
    uint32_t which = rng_below(rng, 2);

    (void)CU(w, cuCtxSetCurrent, w->primary[w->device[which]]);
    return w->module[which];
}

/* A file that holds the small module, for the calls that read one. */
static bool write_file(char path[64])
{
    int fd;

    (void)snprintf(path, 64, "/tmp/random-cuda-XXXXXX");
    fd = mkstemp(path);
    if (fd < 0)
        return false;
    bool done =
        write(fd, random_ptx_small, strlen(random_ptx_small)) == (ssize_t)strlen(random_ptx_small);

    (void)close(fd);
    return done;
}

static void load_module(struct world *w, struct rng *rng)
{
    CUjit_option options[] = {CU_JIT_OPTIMIZATION_LEVEL};
    void *values[] = {(void *)(uintptr_t)2};
    CUmodule module = NULL;
    CUdeviceptr at = 0;
    char path[64];
    CUresult result = CUDA_ERROR_NOT_FOUND;
    size_t bytes = 0;

    (void)world_lane(w, rng);
    if (!write_file(path))
        return;
    switch (rng_below(rng, 5)) {
    case 0:
        result = CU(w, cuModuleLoad, &module, path);
        break;
    case 1:
        result = CU(w, cuModuleLoadData, &module, random_ptx_small);
        break;
    case 2:
        result = CU(w, cuModuleLoadFatBinary, &module, random_ptx_small);
        break;
    case 3:
        result = CU(w, cuModuleLoadData, &module, "this is no code");
        break;
    default:
        result = CU(w, cuModuleLoadDataEx, &module, random_ptx_small, 1, options, values);
        break;
    }
    (void)unlink(path);
    if (result != CUDA_SUCCESS)
        return;
    if (CU(w, cuModuleGetGlobal_v2, &at, &bytes, module, "lonely") == CUDA_SUCCESS) {
        uint32_t value = 0;

        world_note_number(w, "bytes", bytes);
        if (CU(w, cuMemcpyDtoH_v2, &value, at, sizeof(value)) == CUDA_SUCCESS)
            world_note_number(w, "lonely", value);
    }
    (void)CU(w, cuModuleUnload, module);
}

static void load_library(struct world *w, struct rng *rng)
{
    CUlibraryOption options[] = {CU_LIBRARY_BINARY_IS_PRESERVED};
    void *values[] = {(void *)(uintptr_t)1};
    CUlibrary library = NULL;
    char path[64];
    CUresult result;
    unsigned count = 0;

    (void)world_lane(w, rng);
    if (!write_file(path))
        return;
    if (rng_chance(rng, 2))
        result = CU(w, cuLibraryLoadFromFile, &library, path, NULL, NULL, 0, NULL, NULL, 0);
    else
        result =
            CU(w, cuLibraryLoadData, &library, random_ptx_small, NULL, NULL, 0, options, values, 1);
    (void)unlink(path);
    if (result != CUDA_SUCCESS)
        return;
    if (CU(w, cuLibraryGetKernelCount, &count, library) == CUDA_SUCCESS)
        world_note_number(w, "kernels", count);
    (void)CU(w, cuLibraryUnload, library);
}

static void ask_module(struct world *w, struct rng *rng)
{
    CUmodule module = some_module(w, rng), owner = NULL;
    CUfunction function = NULL, all[8];
    const char *name = NULL;
    CUfunctionLoadingState state;
    unsigned count = 0;

    if (CU(w, cuModuleGetFunctionCount, &count, module) == CUDA_SUCCESS)
        world_note_number(w, "functions", count);
    memset(all, 0, sizeof(all));
    (void)CU(w, cuModuleEnumerateFunctions, all, 1 + rng_below(rng, 8), module);
    if (CU(w, cuModuleGetFunction, &function, module, name_of(rng)) != CUDA_SUCCESS)
        return;
    (void)world_add(w, POOL_FUNCTION, (uint64_t)function);
    if (CU(w, cuFuncGetName, &name, function) == CUDA_SUCCESS)
        world_note(w, name, strlen(name));
    if (CU(w, cuFuncGetModule, &owner, function) == CUDA_SUCCESS)
        world_note_number(w, "its module", owner == module);
    (void)CU(w, cuFuncLoad, function);
    if (CU(w, cuFuncIsLoaded, &state, function) == CUDA_SUCCESS)
        world_note_number(w, "loaded", state);
}

static void ask_library(struct world *w, struct rng *rng)
{
    CUkernel kernel = NULL, all[8];
    CUlibrary owner = NULL;
    CUfunction function = NULL;
    CUmodule module = NULL;
    CUdeviceptr at = 0;
    const char *name = NULL;
    size_t bytes = 0;
    void *unified = NULL;

    (void)world_lane(w, rng);
    memset(all, 0, sizeof(all));
    (void)CU(w, cuLibraryEnumerateKernels, all, 1 + rng_below(rng, 8), w->library);
    if (CU(w, cuLibraryGetGlobal, &at, &bytes, w->library, rng_chance(rng, 4) ? "none" : "state") ==
        CUDA_SUCCESS)
        world_note_number(w, "bytes", bytes);
    (void)CU(w, cuLibraryGetManaged, &at, &bytes, w->library, "state");
    (void)CU(w, cuLibraryGetUnifiedFunction, &unified, w->library, "nobody");
    (void)CU(w, cuLibraryGetModule, &module, w->library);
    if (CU(w, cuLibraryGetKernel, &kernel, w->library, name_of(rng)) != CUDA_SUCCESS)
        return;
    (void)world_add(w, POOL_KERNEL, (uint64_t)kernel);
    if (CU(w, cuKernelGetName, &name, kernel) == CUDA_SUCCESS)
        world_note(w, name, strlen(name));
    if (CU(w, cuKernelGetLibrary, &owner, kernel) == CUDA_SUCCESS)
        world_note_number(w, "its library", owner == w->library);
    if (CU(w, cuKernelGetFunction, &function, kernel) == CUDA_SUCCESS)
        (void)world_add(w, POOL_FUNCTION, (uint64_t)function);
}

/* A variable is written, read back, and seen by `stir`. */
static void use_global(struct world *w, struct rng *rng)
{
    CUmodule module = some_module(w, rng);
    uint32_t words[64], value = (uint32_t)rng_next(rng);
    CUdeviceptr at = 0;
    size_t bytes = 0;

    (void)CU(w, cuCtxSynchronize);
    if (CU(w, cuModuleGetGlobal_v2, &at, &bytes, module, "state") != CUDA_SUCCESS || bytes != 256)
        return;
    (void)CU(w, cuMemcpyHtoD_v2, at + 4 * rng_below(rng, 64), &value, sizeof(value));
    if (CU(w, cuMemcpyDtoH_v2, words, at, bytes) == CUDA_SUCCESS)
        world_note_hash(w, "state", words, bytes);
    (void)CU(w, cuModuleGetGlobal_v2, &at, &bytes, module, "nothing");
}

static size_t CUDA_CB block_to_shared(int block)
{
    return (size_t)block * 4;
}

static void occupancy(struct world *w, struct rng *rng)
{
    CUfunction function = (CUfunction)world_pick_live(w, rng, POOL_FUNCTION);
    CUlaunchConfig config = {.gridDimX = 8,
                             .gridDimY = 1,
                             .gridDimZ = 1,
                             .blockDimX = 64,
                             .blockDimY = 1,
                             .blockDimZ = 1};
    int grid = 0, block = 0, clusters = 0;

    (void)world_lane(w, rng);
    if (!function)
        return;
    if (CU(w, cuOccupancyMaxPotentialBlockSize, &grid, &block, function, block_to_shared, 0,
           (int)rng_below(rng, 1100)) == CUDA_SUCCESS)
        world_note_number(w, "block", (uint64_t)block);
    if (CU(w, cuOccupancyMaxPotentialBlockSizeWithFlags, &grid, &block, function, NULL,
           rng_below(rng, 50000), 0, rng_below(rng, 2)) == CUDA_SUCCESS)
        world_note_number(w, "grid", (uint64_t)grid);
    if (CU(w, cuOccupancyMaxPotentialClusterSize, &clusters, function, &config) == CUDA_SUCCESS)
        world_note_number(w, "cluster", (uint64_t)clusters);
    if (CU(w, cuOccupancyMaxActiveClusters, &clusters, function, &config) == CUDA_SUCCESS)
        world_note_number(w, "clusters", (uint64_t)clusters);
}

const struct step_kind steps_code[] = {
    {"load_module", load_module, 2, false}, {"load_library", load_library, 2, false},
    {"ask_module", ask_module, 3, false},   {"ask_library", ask_library, 3, false},
    {"use_global", use_global, 3, false},   {"occupancy", occupancy, 2, false},
};
const size_t steps_code_count = sizeof(steps_code) / sizeof(steps_code[0]);
