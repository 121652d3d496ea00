/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/primary.c - the primary context of each device, shared by all who retain it.
 *
 * Its object is made at the first retain and stays, so the handle is stable; retaining opens it,
 * the last release or a reset closes it.
 */
#include <pthread.h>

#include "cuda-client/context_int.h"
#include "cuda-client/remote_int.h"
#include "generated/cuda-api/client_impl.h"

static struct {
    pthread_mutex_t lock;
    struct {
        struct cudac_context *context; /* NULL before the first retain */
        unsigned retains, flags;
    } of[SES_VGPUS_MAX];
} primaries = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool is_active(int dev)
{
    struct cudac_context *context = primaries.of[dev].context;

    return context && atomic_load_explicit(&context->is_open, memory_order_acquire);
}

struct cudac_context *cudac_context_primary(struct cudac_vgpu *vgpu)
{
    int dev = cudac_vgpu_ordinal(vgpu);

    return dev >= 0 && is_active(dev) ? primaries.of[dev].context : NULL;
}

static CUresult open_locked(int dev)
{
    struct cudac_context **context = &primaries.of[dev].context;

    if (is_active(dev))
        return CUDA_SUCCESS;
    if (!*context)
        return cudac_context_new(cudac_vgpu_at(dev), primaries.of[dev].flags, /* sm_count */ 0,
                                 /* is_primary */ true, context);
    atomic_store_explicit(&(*context)->flags, primaries.of[dev].flags, memory_order_relaxed);
    return cudac_context_open(*context, /* sm_count */ 0);
}

CUresult cudac_cuDevicePrimaryCtxRetain(CUcontext *pctx, CUdevice dev)
{
    CUresult result;

    if (!pctx)
        return CUDA_ERROR_INVALID_VALUE;
    if (!cudac_vgpu_at(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    pthread_mutex_lock(&primaries.lock);
    result = open_locked(dev);
    if (result == CUDA_SUCCESS) {
        primaries.of[dev].retains++;
        *pctx = cudac_context_handle(primaries.of[dev].context);
    }
    pthread_mutex_unlock(&primaries.lock);
    return result;
}

CUresult cudac_cuDevicePrimaryCtxRelease_v2(CUdevice dev)
{
    CUresult result = CUDA_SUCCESS;

    if (!cudac_vgpu_at(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    pthread_mutex_lock(&primaries.lock);
    if (primaries.of[dev].retains == 0)
        result = CUDA_ERROR_INVALID_CONTEXT;
    else if (--primaries.of[dev].retains == 0 && is_active(dev))
        cudac_context_close(primaries.of[dev].context, /* reset */ false);
    pthread_mutex_unlock(&primaries.lock);
    return result;
}

/* Retains stay counted: the next retain opens it again under the same handle. */
CUresult cudac_cuDevicePrimaryCtxReset_v2(CUdevice dev)
{
    if (!cudac_vgpu_at(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    pthread_mutex_lock(&primaries.lock);
    if (is_active(dev))
        cudac_context_close(primaries.of[dev].context, /* reset */ true);
    pthread_mutex_unlock(&primaries.lock);
    return CUDA_SUCCESS;
}

CUresult cudac_cuDevicePrimaryCtxSetFlags_v2(CUdevice dev, unsigned int flags)
{
    if (!cudac_vgpu_at(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    if (!cudac_context_flags_are_valid(flags))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = CUDA_SUCCESS;

    pthread_mutex_lock(&primaries.lock);
    if (is_active(dev))
        result = cudac_context_set(primaries.of[dev].context, WIRE_CTX_FLAGS, 0, flags, NULL);
    if (result == CUDA_SUCCESS) {
        primaries.of[dev].flags = flags;
        if (is_active(dev))
            atomic_store_explicit(&primaries.of[dev].context->flags, flags, memory_order_relaxed);
    }
    pthread_mutex_unlock(&primaries.lock);
    return result;
}

CUresult cudac_cuDevicePrimaryCtxGetState(CUdevice dev, unsigned int *flags, int *active)
{
    if (!cudac_vgpu_at(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    if (!flags || !active)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&primaries.lock);
    *flags = primaries.of[dev].flags;
    *active = is_active(dev);
    pthread_mutex_unlock(&primaries.lock);
    return CUDA_SUCCESS;
}
