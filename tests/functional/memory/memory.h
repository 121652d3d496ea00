/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/memory/memory.h - rows about memory that any libcuda.so.1 must pass.
 *
 * As tests/functional/conformance: label, call, expected status, effect. Here kernels are the
 * judges of what an access may touch. The driver is opened by name and never linked. A group is a
 * file and runs in a process of its own.
 */
#ifndef TESTS_FUNCTIONAL_MEMORY_MEMORY_H
#define TESTS_FUNCTIONAL_MEMORY_MEMORY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cuda.h>

#include "base/compiler.h"

/* The names as cuda.h spells them: its macros choose the exported one, here as in programs. */
/* clang-format off */
#define MEMORY_FUNCTIONS(X)                                                                        \
    X(cuInit) X(cuDeviceGetCount) X(cuDeviceGetAttribute) X(cuDeviceCanAccessPeer)                 \
    X(cuDevicePrimaryCtxRetain) X(cuCtxSetCurrent) X(cuCtxSynchronize) X(cuModuleLoadData)         \
    X(cuModuleGetFunction) X(cuLaunchKernel) X(cuStreamCreate) X(cuStreamSynchronize)              \
    X(cuMemGetInfo) X(cuMemAlloc) X(cuMemAllocPitch) X(cuMemFree) X(cuMemGetAddressRange)          \
    X(cuMemAllocHost) X(cuMemHostAlloc) X(cuMemFreeHost) X(cuMemHostGetDevicePointer)              \
    X(cuMemHostGetFlags) X(cuMemHostRegister) X(cuMemHostUnregister)                               \
    X(cuMemAllocManaged) X(cuMemAdvise) X(cuMemPrefetchAsync) X(cuMemRangeGetAttribute)            \
    X(cuStreamAttachMemAsync)                                                                      \
    X(cuMemAddressReserve) X(cuMemAddressFree) X(cuMemCreate) X(cuMemRelease) X(cuMemMap)          \
    X(cuMemUnmap) X(cuMemSetAccess) X(cuMemGetAccess) X(cuMemGetAllocationGranularity)             \
    X(cuMemRetainAllocationHandle) X(cuMemExportToShareableHandle)                                 \
    X(cuMemImportFromShareableHandle)                                                              \
    X(cuMemAllocAsync) X(cuMemFreeAsync) X(cuMemAllocFromPoolAsync) X(cuMemPoolCreate)             \
    X(cuMemPoolDestroy) X(cuMemPoolSetAttribute) X(cuMemPoolGetAttribute) X(cuMemPoolTrimTo)       \
    X(cuMemPoolSetAccess) X(cuMemPoolGetAccess) X(cuDeviceGetDefaultMemPool)                       \
    X(cuDeviceGetMemPool) X(cuDeviceSetMemPool)                                                    \
    X(cuCtxEnablePeerAccess) X(cuCtxDisablePeerAccess)                                             \
    X(cuPointerGetAttribute) X(cuPointerGetAttributes) X(cuPointerSetAttribute)                    \
    X(cuMemcpyHtoD) X(cuMemcpyDtoH) X(cuMemsetD8)
/* clang-format on */

struct memory_driver {
#define MEMORY_FIELD(name) __typeof__(&name) name;
    MEMORY_FUNCTIONS(MEMORY_FIELD)
#undef MEMORY_FIELD
};
extern struct memory_driver cu;

#define MIB ((size_t)1 << 20)

#define ROW(label, call, expected, effect)                                                         \
    do {                                                                                           \
        CUresult row_status = (call);                                                              \
                                                                                                   \
        memory_row((label), row_status, (expected), (effect), #effect, __FILE__, __LINE__);        \
    } while (0)

void memory_row(const char *label, CUresult status, CUresult expected, bool effect,
                const char *effect_text, const char *file, int line);

/* Every device's primary context; device 0's is current. */
struct memory_world {
    int device_count;
    CUcontext context[2];
    CUfunction poke[2], peek[2]; /* one a context */
    CUdeviceptr answer[2];       /* where peek puts a word */
};
void memory_world_open(struct memory_world *world);

/* A kernel of device `index` writes (reads) the word; the status of the launch or of waiting for
 * it. The device's context is current afterwards. */
CUresult memory_poke(const struct memory_world *world, int index, CUdeviceptr at, uint32_t value);
CUresult memory_peek(const struct memory_world *world, int index, CUdeviceptr at,
                     uint32_t *value_out);
/* The word there by a copy; UINT32_MAX if it cannot be copied. */
uint32_t memory_read(CUdeviceptr at);
size_t memory_free_bytes(void);

/* Groups, a file each. */
void group_alloc(void);
void group_host(void);
void group_managed(void);
void group_vmm(void);
void group_pool(void);
void group_peer(void);
void group_pointer(void);
void group_killed(void);

#endif /* TESTS_FUNCTIONAL_MEMORY_MEMORY_H */
