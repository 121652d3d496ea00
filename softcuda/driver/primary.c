/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/primary.c - the primary context of each device, shared by all who retain it.
 *
 * Its object is made at the first retain and stays, so the handle is stable; retaining opens it,
 * the last release or a reset closes it.
 */
#include <pthread.h>

#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context_int.h"
#include "softcuda/driver/device.h"
#include "softcuda/driver/flags.h"

enum { API_VERSION = 3020 };

static struct {
    pthread_mutex_t lock;
    struct {
        struct soft_context *context; /* NULL before the first retain */
        unsigned retains, flags;
    } of[DEVICE_COUNT_MAX];
} primaries = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool is_active(int dev)
{
    struct soft_context *context = primaries.of[dev].context;

    return context && atomic_load_explicit(&context->is_open, memory_order_acquire);
}

struct soft_context *soft_context_primary(struct soft_device *device)
{
    int dev = soft_device_ordinal(device);

    return is_active(dev) ? primaries.of[dev].context : NULL;
}

static CUresult open_locked(int dev)
{
    struct soft_context **context = &primaries.of[dev].context;

    if (is_active(dev))
        return CUDA_SUCCESS;
    if (!*context)
        return soft_context_new(soft_device_at(dev), primaries.of[dev].flags, API_VERSION,
                                /* is_primary */ true, context);
    atomic_store_explicit(&(*context)->flags, primaries.of[dev].flags, memory_order_relaxed);
    return soft_context_open(*context);
}

CUresult soft_cuDevicePrimaryCtxRetain(CUcontext *pctx, CUdevice dev)
{
    CUresult result;

    if (!pctx)
        return CUDA_ERROR_INVALID_VALUE;
    if (!soft_device_at(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    pthread_mutex_lock(&primaries.lock);
    result = open_locked(dev);
    if (result == CUDA_SUCCESS) {
        primaries.of[dev].retains++;
        *pctx = soft_context_handle(primaries.of[dev].context);
    }
    pthread_mutex_unlock(&primaries.lock);
    return result;
}

CUresult soft_cuDevicePrimaryCtxRelease_v2(CUdevice dev)
{
    CUresult result = CUDA_SUCCESS;

    if (!soft_device_at(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    pthread_mutex_lock(&primaries.lock);
    if (primaries.of[dev].retains == 0)
        result = CUDA_ERROR_INVALID_CONTEXT;
    else if (--primaries.of[dev].retains == 0 && is_active(dev))
        soft_context_close(primaries.of[dev].context);
    pthread_mutex_unlock(&primaries.lock);
    return result;
}

/* Retains stay counted: the next retain opens it again under the same handle. */
CUresult soft_cuDevicePrimaryCtxReset_v2(CUdevice dev)
{
    if (!soft_device_at(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    pthread_mutex_lock(&primaries.lock);
    if (is_active(dev))
        soft_context_close(primaries.of[dev].context);
    pthread_mutex_unlock(&primaries.lock);
    return CUDA_SUCCESS;
}

CUresult soft_cuDevicePrimaryCtxSetFlags_v2(CUdevice dev, unsigned int flags)
{
    if (!soft_device_at(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    if (!soft_context_flags_are_valid(flags))
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&primaries.lock);
    primaries.of[dev].flags = flags;
    if (is_active(dev))
        atomic_store_explicit(&primaries.of[dev].context->flags, flags, memory_order_relaxed);
    pthread_mutex_unlock(&primaries.lock);
    return CUDA_SUCCESS;
}

CUresult soft_cuDevicePrimaryCtxGetState(CUdevice dev, unsigned int *flags, int *active)
{
    if (!soft_device_at(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    if (!flags || !active)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&primaries.lock);
    *flags = primaries.of[dev].flags;
    *active = is_active(dev);
    pthread_mutex_unlock(&primaries.lock);
    return CUDA_SUCCESS;
}
