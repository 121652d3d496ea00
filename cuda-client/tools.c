/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/tools.c - the profiler's switches and asynchronous notifications.
 */
#include "cuda-client/context_int.h"
#include "cuda-common/notice.h"
#include "generated/cuda-api/client_impl.h"

static CUresult profiler(uint32_t what)
{
    struct cudac_context *context;
    CUresult result = cudac_context_current(&context);

    return result == CUDA_SUCCESS ? cudac_context_set(context, what, 0, 0, NULL) : result;
}

CUresult cudac_cuProfilerStart(void)
{
    return profiler(WIRE_CTX_PROFILER_START);
}

CUresult cudac_cuProfilerStop(void)
{
    return profiler(WIRE_CTX_PROFILER_STOP);
}

/* Deprecated since CUDA 11: there is nothing to configure. */
CUresult cudac_cuProfilerInitialize(const char *configFile, const char *outputFile,
                                    CUoutput_mode outputMode)
{
    (void)configFile, (void)outputFile, (void)outputMode;
    return CUDA_ERROR_NOT_SUPPORTED;
}

CUresult cudac_cuDeviceRegisterAsyncNotification(CUdevice device, CUasyncCallback callbackFunc,
                                                 void *userData, CUasyncCallbackHandle *callback)
{
    return cuc_notice_register(cudac_vgpu_at(device), callbackFunc, userData, callback);
}

CUresult cudac_cuDeviceUnregisterAsyncNotification(CUdevice device, CUasyncCallbackHandle callback)
{
    return cuc_notice_unregister(cudac_vgpu_at(device), callback);
}
