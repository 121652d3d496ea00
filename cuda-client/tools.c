/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/tools.c - the profiler's switches and asynchronous notifications.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "cuda-client/context_int.h"
#include "cuda-common/object.h"
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

/* The only notification, memory over budget, never happens: registering keeps the callback. */
struct notification {
    struct cuc_object object;
    struct cudac_vgpu *vgpu;
    CUasyncCallback fn;
    void *arg;
};

static void notification_destroy(struct cuc_object *object)
{
    free(object);
}

CUresult cudac_cuDeviceRegisterAsyncNotification(CUdevice device, CUasyncCallback callbackFunc,
                                                 void *userData, CUasyncCallbackHandle *callback)
{
    struct notification *notification;
    CUresult result;

    if (!callbackFunc || !callback)
        return CUDA_ERROR_INVALID_VALUE;
    if (!cudac_vgpu_at(device))
        return CUDA_ERROR_INVALID_DEVICE;
    notification = fab_alloc_zeroed(1, sizeof(*notification));
    if (!notification)
        return CUDA_ERROR_OUT_OF_MEMORY;
    notification->vgpu = cudac_vgpu_at(device);
    notification->fn = callbackFunc;
    notification->arg = userData;
    result = cuc_object_register(&notification->object, CUC_CALLBACK, notification_destroy);
    if (result != CUDA_SUCCESS) {
        free(notification);
        return result;
    }
    // NOLINTNEXTLINE(performance-no-int-to-ptr)
    *callback = (CUasyncCallbackHandle)(uintptr_t)notification->object.handle;
    return CUDA_SUCCESS;
}

CUresult cudac_cuDeviceUnregisterAsyncNotification(CUdevice device, CUasyncCallbackHandle callback)
{
    struct cuc_object *object;
    bool is_ours;

    if (!cudac_vgpu_at(device))
        return CUDA_ERROR_INVALID_DEVICE;
    object = cuc_object_get((uint64_t)(uintptr_t)callback, CUC_CALLBACK);
    if (!object)
        return CUDA_ERROR_INVALID_VALUE;
    is_ours = object->destroy == notification_destroy &&
              ((struct notification *)object)->vgpu == cudac_vgpu_at(device);
    if (is_ours && cuc_object_retire(object))
        cuc_object_put(object);
    cuc_object_put(object);
    return is_ours ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
