/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/tools.c - the profiler's switches and asynchronous notifications.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "cuda-common/object.h"
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

/* The only notification, memory over budget, never happens: registering keeps the callback. */
struct notification {
    struct cuc_object object;
    struct soft_device *device;
    CUasyncCallback fn;
    void *arg;
};

static void notification_destroy(struct cuc_object *object)
{
    free(object);
}

CUresult soft_cuDeviceRegisterAsyncNotification(CUdevice device, CUasyncCallback callbackFunc,
                                                void *userData, CUasyncCallbackHandle *callback)
{
    struct notification *notification;
    CUresult result;

    if (!callbackFunc || !callback)
        return CUDA_ERROR_INVALID_VALUE;
    if (!soft_device_at(device))
        return CUDA_ERROR_INVALID_DEVICE;
    notification = fab_alloc_zeroed(1, sizeof(*notification));
    if (!notification)
        return CUDA_ERROR_OUT_OF_MEMORY;
    notification->device = soft_device_at(device);
    notification->fn = callbackFunc;
    notification->arg = userData;
    result = cuc_object_register(&notification->object, CUC_CALLBACK, notification_destroy);
    if (result != CUDA_SUCCESS) {
        free(notification);
        return result;
    }
    *callback = (CUasyncCallbackHandle)(uintptr_t)notification->object.handle;
    return CUDA_SUCCESS;
}

CUresult soft_cuDeviceUnregisterAsyncNotification(CUdevice device, CUasyncCallbackHandle callback)
{
    struct cuc_object *object;
    bool is_ours;

    if (!soft_device_at(device))
        return CUDA_ERROR_INVALID_DEVICE;
    object = cuc_object_get((uint64_t)(uintptr_t)callback, CUC_CALLBACK);
    if (!object)
        return CUDA_ERROR_INVALID_VALUE;
    is_ours = object->destroy == notification_destroy &&
              ((struct notification *)object)->device == soft_device_at(device);
    if (is_ours && cuc_object_retire(object))
        cuc_object_put(object);
    cuc_object_put(object);
    return is_ours ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
