/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/entry.c - versions, driver functions by name, profiler control, arrays' descriptors.
 */
#include "generated/cuda-runtime/crt_impl.h"

cudaError_t crt_cudaRuntimeGetVersion(int *runtimeVersion)
{
    if (!runtimeVersion)
        return cudaErrorInvalidValue;
    *runtimeVersion = CUDART_VERSION;
    return cudaSuccess;
}

/* 0 and no error where there is no driver. */
cudaError_t crt_cudaDriverGetVersion(int *driverVersion)
{
    cudaError_t status;

    if (!driverVersion)
        return cudaErrorInvalidValue;
    status = crt_driver_open();
    if (status == cudaErrorInitializationError)
        return status;
    if (status == cudaErrorInsufficientDriver) {
        *driverVersion = 0;
        return cudaSuccess;
    }
    return CRT_DRV(DriverGetVersion, driverVersion); /* works without a device too */
}

/* Which of the driver's per-thread or legacy forms is meant when the caller leaves it open. */
static cuuint64_t lookup_flags(bool per_thread, unsigned long long flags)
{
    if (flags == cudaEnableDefault && per_thread)
        return CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM;
    return flags; /* the numbers of both APIs are the same (abi_check.c) */
}

cudaError_t crt_cudaGetDriverEntryPointByVersion(bool per_thread, const char *symbol,
                                                 void **funcPtr, unsigned int cudaVersion,
                                                 unsigned long long flags,
                                                 enum cudaDriverEntryPointQueryResult *driverStatus)
{
    CUdriverProcAddressQueryResult found = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    cudaError_t status;

    if (!symbol || !funcPtr || cudaVersion > INT32_MAX)
        return cudaErrorInvalidValue;
    *funcPtr = NULL;
    status = CRT_DRV(GetProcAddress, symbol, funcPtr, (int)cudaVersion,
                     lookup_flags(per_thread, flags), &found);
    if (status != cudaSuccess && status != cudaErrorSymbolNotFound)
        return status;
    if (driverStatus) { /* the caller looks there; the call itself went well */
        *driverStatus = (enum cudaDriverEntryPointQueryResult)found;
        return cudaSuccess;
    }
    return found == CU_GET_PROC_ADDRESS_SUCCESS ? cudaSuccess : cudaErrorSymbolNotFound;
}

cudaError_t crt_cudaGetDriverEntryPoint(bool per_thread, const char *symbol, void **funcPtr,
                                        unsigned long long flags,
                                        enum cudaDriverEntryPointQueryResult *driverStatus)
{
    return crt_cudaGetDriverEntryPointByVersion(per_thread, symbol, funcPtr, CUDART_VERSION, flags,
                                                driverStatus);
}

static cudaError_t call_plain(CUresult(CUDAAPI *function)(void))
{
    return function ? crt_status(function()) : cudaErrorCallRequiresNewerDriver;
}

cudaError_t crt_cudaProfilerStart(void)
{
    return call_plain(crt_drv.ProfilerStart);
}

cudaError_t crt_cudaProfilerStop(void)
{
    return call_plain(crt_drv.ProfilerStop);
}

struct cudaChannelFormatDesc crt_cudaCreateChannelDesc(int x, int y, int z, int w,
                                                       enum cudaChannelFormatKind f)
{
    return (struct cudaChannelFormatDesc){.x = x, .y = y, .z = z, .w = w, .f = f};
}
