/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/state.c - per-thread state, primary contexts, and what surrounds every call.
 *
 * A context that the program made current through the driver API is respected. Else the primary
 * context of the thread's device is retained (once for the process) and made current, at the first
 * call that needs one.
 */
#include <pthread.h>
#include <stdio.h>

#include "cuda-runtime/crt_int.h"
#include "cuda-runtime/registry.h"

__thread struct crt_thread crt_self;

static struct {
    pthread_mutex_t lock;
    CUcontext contexts[CRT_MAX_DEVICES]; /* NULL: not retained by us */
    atomic_uint epoch;
} primary = {.lock = PTHREAD_MUTEX_INITIALIZER};

unsigned crt_primary_epoch(void)
{
    return atomic_load_explicit(&primary.epoch, memory_order_acquire);
}

cudaError_t crt_device_get(int device, CUdevice *handle_out)
{
    int count = 0;
    cudaError_t status = CRT_DRV(DeviceGetCount, &count);

    if (status != cudaSuccess)
        return status;
    if (device < 0 || device >= count || device >= CRT_MAX_DEVICES)
        return cudaErrorInvalidDevice;
    return CRT_DRV(DeviceGet, handle_out, device);
}

cudaError_t crt_primary_get(int device, CUcontext *context_out)
{
    CUdevice handle;
    cudaError_t status = crt_device_get(device, &handle);

    if (status != cudaSuccess)
        return status;
    (void)pthread_mutex_lock(&primary.lock);
    if (!primary.contexts[device])
        status = CRT_DRV(DevicePrimaryCtxRetain, &primary.contexts[device], handle);
    if (status == cudaSuccess)
        *context_out = primary.contexts[device];
    else
        primary.contexts[device] = NULL;
    (void)pthread_mutex_unlock(&primary.lock);
    return status;
}

cudaError_t crt_primary_reset(int device)
{
    CUdevice handle;
    cudaError_t status = crt_device_get(device, &handle);

    if (status != cudaSuccess)
        return status;
    (void)pthread_mutex_lock(&primary.lock);
    status = CRT_DRV(DevicePrimaryCtxReset, handle);
    if (status == cudaSuccess && primary.contexts[device]) {
        /* Our reference goes too: the next call retains it and so makes it live again. */
        (void)CRT_DRV(DevicePrimaryCtxRelease, handle);
        primary.contexts[device] = NULL;
    }
    atomic_fetch_add(&primary.epoch, 1);
    (void)pthread_mutex_unlock(&primary.lock);
    return status;
}

cudaError_t crt_device_current(int *device_out)
{
    CUcontext current = NULL;
    CUdevice handle;
    cudaError_t status = CRT_DRV(CtxGetCurrent, &current);

    if (status != cudaSuccess)
        return status;
    if (!current) {
        *device_out = crt_self.device;
        return cudaSuccess;
    }
    status = CRT_DRV(CtxGetDevice, &handle);
    if (status == cudaSuccess)
        *device_out = handle; /* CUDA numbers the handles by ordinal */
    return status;
}

/* A current context that was a primary one before a reset is dead until somebody retains it. */
static bool is_stale_primary(CUcontext context)
{
    bool stale = false;
    CUdevice handle;
    unsigned flags;
    int active = 0;

    if (context != crt_self.bound)
        return false; /* the program's own */
    if (CRT_DRV(CtxGetDevice, &handle) != cudaSuccess)
        return true;
    (void)pthread_mutex_lock(&primary.lock);
    if (handle >= 0 && handle < CRT_MAX_DEVICES && primary.contexts[handle] != context)
        stale =
            CRT_DRV(DevicePrimaryCtxGetState, handle, &flags, &active) == cudaSuccess && !active;
    (void)pthread_mutex_unlock(&primary.lock);
    return stale;
}

static cudaError_t bind_context(void)
{
    CUcontext current = NULL;
    unsigned epoch = crt_primary_epoch();
    cudaError_t status = CRT_DRV(CtxGetCurrent, &current);

    if (status != cudaSuccess)
        return status;
    if (current && current == crt_self.bound && epoch == crt_self.epoch)
        return cudaSuccess;
    if (!current || (epoch != crt_self.epoch && is_stale_primary(current))) {
        status = crt_primary_get(crt_self.device, &current);
        if (status == cudaSuccess)
            status = CRT_DRV(CtxSetCurrent, current);
        if (status != cudaSuccess)
            return status;
    }
    crt_self.bound = current;
    crt_self.epoch = epoch;
    crt_registry_context_ready();
    return cudaSuccess;
}

cudaError_t crt_begin(enum crt_needs needs)
{
    cudaError_t status = cudaSuccess;

    if (needs != CRT_NEEDS_NOTHING)
        status = crt_driver_open();
    if (status == cudaSuccess && needs == CRT_NEEDS_CONTEXT)
        status = bind_context();
    return status;
}

cudaError_t crt_end(cudaError_t status)
{
    if (FAB_UNLIKELY(status != cudaSuccess) && status != cudaErrorNotReady)
        crt_self.last_error = status;
    return status;
}

cudaError_t crt_refuse(atomic_bool *said, const char *name)
{
    if (!atomic_exchange(said, true))
        (void)fprintf(stderr, "%s: not supported by this CUDA runtime\n", name);
    return crt_end(cudaErrorNotSupported);
}
