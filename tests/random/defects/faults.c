/* SPDX-License-Identifier: Apache-2.0
 * tests/random/defects/faults.c - a libcuda.so.1 that fails once, when it is told to, in front of
 * softcuda. It looks into the file of faults.h that RANDOM_FAULT_FILE names.
 */
#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/compiler.h"
#include "tests/random/faults.h"

#define REAL(name) ((__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name))

static struct fault_file *file;

__attribute__((constructor)) static void open_file(void)
{
    const char *path = getenv("RANDOM_FAULT_FILE");
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    void *at = MAP_FAILED;

    if (fd >= 0 && ftruncate(fd, sizeof(*file)) == 0)
        at = mmap(NULL, sizeof(*file), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        (void)close(fd);
    file = at == MAP_FAILED ? NULL : at;
}

/* Whether it is this call's turn. */
static bool is_now(enum fault_kind kind)
{
    uint32_t told = (uint32_t)kind + 1;

    if (!file || atomic_load(&file->kind) != told)
        return false;
    if (atomic_fetch_sub(&file->count, 1) > 0)
        return false;
    return atomic_compare_exchange_strong(&file->kind, &told, 0);
}

FAB_EXPORT CUresult CUDAAPI cuMemCreate(CUmemGenericAllocationHandle *handle, size_t bytes,
                                        const CUmemAllocationProp *properties,
                                        unsigned long long flags)
{
    if (is_now(FAULT_MEMORY))
        return CUDA_ERROR_OUT_OF_MEMORY;
    return REAL(cuMemCreate)(handle, bytes, properties, flags);
}

static CUresult run_into_trap(CUstream stream)
{
    static const char code[] = ".version 8.0\n.target sm_70\n.address_size 64\n"
                               ".visible .entry stop()\n{\n trap;\n ret;\n}\n";
    CUmodule module;
    CUfunction function;
    CUresult result = REAL(cuModuleLoadData)(&module, code);

    if (result == CUDA_SUCCESS)
        result = REAL(cuModuleGetFunction)(&function, module, "stop");
    return result == CUDA_SUCCESS
               ? REAL(cuLaunchKernel)(function, 1, 1, 1, 1, 1, 1, 0, stream, NULL, NULL)
               : result;
}

FAB_EXPORT CUresult CUDAAPI cuLaunchKernel(CUfunction function, unsigned gx, unsigned gy,
                                           unsigned gz, unsigned bx, unsigned by, unsigned bz,
                                           unsigned shared, CUstream stream, void **params,
                                           void **extra)
{
    if (is_now(FAULT_LAUNCH))
        return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
    if (is_now(FAULT_TRAP))
        return run_into_trap(stream);
    return REAL(cuLaunchKernel)(function, gx, gy, gz, bx, by, bz, shared, stream, params, extra);
}
