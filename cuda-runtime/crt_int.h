/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/crt_int.h - what every file of the runtime shares.
 *
 * An exported function is generated (gen.py) as: crt_begin(what it needs), the body crt_<name>(),
 * crt_end(status). So no body initialises anything or records an error. Handles (streams, events,
 * kernels, pools ...) are the driver's own and pass through. Thread: any.
 */
#ifndef CRT_INT_H
#define CRT_INT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The public prototypes, in the form of the legacy default stream; the per-thread names come from
 * the definition table. */
#include <cuda_runtime_api.h>

#include "base/compiler.h"
#include "cuda-runtime/driver.h"

enum crt_needs {
    CRT_NEEDS_NOTHING, /* works without a driver */
    CRT_NEEDS_DRIVER,  /* an initialised driver with at least one device */
    CRT_NEEDS_CONTEXT, /* a current context: the caller's own, else the device's primary one */
};

enum {
    CRT_MAX_DEVICES = 128,   /* CUDA's device ordinals that we keep a primary context for */
    CRT_MAX_CALL_DEPTH = 64, /* launches within the arguments of a launch */
};

/* One `<<<grid, block, shared, stream>>>` between its push and its pop. */
struct crt_call {
    dim3 grid, block;
    size_t shared_bytes;
    cudaStream_t stream;
};

/* Thread: its own. */
struct crt_thread {
    cudaError_t last_error;
    int device;                              /* 0 until then */
    CUcontext bound;                         /* the context that crt_begin() last found good ... */
    unsigned epoch;                          /* ... at this count of device resets */
    enum cudaStreamCaptureMode capture_mode; /* 0 is global, the default */
    size_t call_depth;
    struct crt_call calls[CRT_MAX_CALL_DEPTH];
};

extern __thread struct crt_thread crt_self;

/* Makes ready what a function needs; an error stands for the whole function. */
cudaError_t crt_begin(enum crt_needs needs);

/* Records an error as the thread's last one ("not ready" is none) and passes it through. */
cudaError_t crt_end(cudaError_t status);

/* The answer of every function that is not done: says its name once on stderr, 801. */
cudaError_t crt_refuse(atomic_bool *said, const char *name);

/* The default stream as a handle, from an entry point of the per-thread form. Other handles, the
 * named legacy and per-thread ones among them, pass through. */
static inline cudaStream_t crt_per_thread_stream(cudaStream_t stream)
{
    return stream ? stream : cudaStreamPerThread;
}

/* The device of the current context, else the thread's choice. Needs the driver. */
cudaError_t crt_device_current(int *device_out);

/* Checks an ordinal and gives the driver's handle of it. */
cudaError_t crt_device_get(int device, CUdevice *handle_out);

/* The primary context of a device, retained once for the process. */
cudaError_t crt_primary_get(int device, CUcontext *context_out);

/* Ends the primary context of a device and forgets that it was retained. */
cudaError_t crt_primary_reset(int device);

/* Counts device resets: what was learnt about a context holds for one epoch. */
unsigned crt_primary_epoch(void);

/* A launch configuration in the driver's form. The attribute records of both APIs are the same
 * (abi_check.c), so the list is shared. Its dynamic shared memory must fit 32 bits. */
void crt_launch_config(bool per_thread, const cudaLaunchConfig_t *config,
                       CUlaunchConfig *config_out);

/* cudaMemcpyAsync() and cudaMemcpy() of the wanted default stream, for the symbol functions. */
cudaError_t crt_copy(bool per_thread, void *dst, const void *src, size_t count,
                     enum cudaMemcpyKind kind);
cudaError_t crt_copy_async(void *dst, const void *src, size_t count, enum cudaMemcpyKind kind,
                           cudaStream_t stream);

static inline CUdeviceptr crt_dptr(const void *pointer)
{
    return (CUdeviceptr)(uintptr_t)pointer;
}

static inline void *crt_pointer(CUdeviceptr address)
{
    return (void *)(uintptr_t)address; // NOLINT(performance-no-int-to-ptr): unified addresses
}

#endif /* CRT_INT_H */
