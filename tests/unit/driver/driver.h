/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/driver/driver.h - an initialised driver for tests that call soft_<name>() directly.
 */
#ifndef TESTS_UNIT_DRIVER_DRIVER_H
#define TESTS_UNIT_DRIVER_DRIVER_H

#include "tests/support/check.h"

#include "generated/cuda-api/softcuda_impl.h"
#include "tests/unit/driver/support.h"

#define DRIVER_MIB (UINT64_C(1) << 20)

/* Initialises and makes device 0's primary context current. */
static inline CUcontext driver_start(const char *config, const char *devices)
{
    CUcontext context = NULL;

    support_devices(config, devices);
    if (soft_cuInit(0) != CUDA_SUCCESS ||
        soft_cuDevicePrimaryCtxRetain(&context, 0) != CUDA_SUCCESS ||
        soft_cuCtxSetCurrent(context) != CUDA_SUCCESS)
        abort();
    return context;
}

static inline uint64_t driver_free_bytes(void)
{
    size_t free_bytes = 0, total;

    CHECK_EQ(soft_cuMemGetInfo_v2(&free_bytes, &total), CUDA_SUCCESS);
    return free_bytes;
}

static inline void *driver_pointer(CUdeviceptr address)
{
    return (void *)(uintptr_t)address;
}

#endif /* TESTS_UNIT_DRIVER_DRIVER_H */
