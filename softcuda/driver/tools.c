/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/tools.c - the profiler's switches and asynchronous notifications.
 */
#include "cuda-common/notice.h"
#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context.h"
#include "softcuda/driver/device.h"

/* No profiler is attached: starting and stopping it changes nothing, and succeeds. */
CUresult soft_cuProfilerStart(void)
{
    struct soft_context *context;

    return soft_context_current(&context);
}

CUresult soft_cuProfilerStop(void)
{
    struct soft_context *context;

    return soft_context_current(&context);
}

/* Deprecated since CUDA 11: there is nothing to configure. */
CUresult soft_cuProfilerInitialize(const char *configFile, const char *outputFile,
                                   CUoutput_mode outputMode)
{
    (void)configFile, (void)outputFile, (void)outputMode;
    return CUDA_ERROR_NOT_SUPPORTED;
}

CUresult soft_cuDeviceRegisterAsyncNotification(CUdevice device, CUasyncCallback callbackFunc,
                                                void *userData, CUasyncCallbackHandle *callback)
{
    return cuc_notice_register(soft_device_at(device), callbackFunc, userData, callback);
}

CUresult soft_cuDeviceUnregisterAsyncNotification(CUdevice device, CUasyncCallbackHandle callback)
{
    return cuc_notice_unregister(soft_device_at(device), callback);
}
