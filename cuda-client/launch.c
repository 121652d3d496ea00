/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/launch.c - cuLaunchKernel and kin: checks, parameters, the posted command.
 *
 * Everything that CUDA reports from the call itself is found here, before anything is sent. Two
 * things no attribute tells: that a kernel demands one block size (.reqntid), and what a device
 * thinks of clusters. So a function's launches are calls until two block sizes were taken (then it
 * demands none); with the one size that was taken they are posted. Nothing on the posted way
 * allocates: the parameters lie on the stack, unless they are very large.
 */
#include "cuda-client/launch.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cuda-client/code_int.h"
#include "cuda-client/memory.h"
#include "cuda-client/stream.h"
#include "generated/cuda-api/client_impl.h"

enum { STACK_PARAMS_BYTES = 1024 };

/* accepted_block: 0, a block size, or this: any. */
#define ANY_BLOCK UINT64_MAX

struct launch {
    struct cuc_launch shape;
    CUstream stream;
    const CUlaunchConfig *config; /* NULL: no attributes */
    bool is_for_driver;           /* only the driver can say whether it is right */
};

/* ---- whether it must be asked --------------------------------------------------------------- */

static uint64_t block_key(const uint32_t *block)
{
    enum { BITS = 16 };

    return (uint64_t)block[0] | (uint64_t)block[1] << BITS | (uint64_t)block[2] << 2 * BITS;
}

static bool must_ask(const struct launch *launch, const struct cudac_function *function)
{
    const uint64_t accepted = atomic_load_explicit(&function->accepted_block, memory_order_relaxed);

    return launch->is_for_driver ||
           (accepted != ANY_BLOCK && accepted != block_key(launch->shape.block));
}

/* Another size than the first: so the kernel demands none. */
static void block_accepted(struct cudac_function *function, const uint32_t *block)
{
    const uint64_t key = block_key(block);
    uint64_t accepted = 0;

    if (!atomic_compare_exchange_strong_explicit(&function->accepted_block, &accepted, key,
                                                 memory_order_relaxed, memory_order_relaxed) &&
        accepted != key)
        atomic_store_explicit(&function->accepted_block, ANY_BLOCK, memory_order_relaxed);
}

/* ---- sending -------------------------------------------------------------------------------- */

static CUresult launch_send(const struct launch *launch, struct cudac_stream *stream,
                            struct cudac_function *function, const uint8_t *packed)
{
    struct wire_attribute attributes[CUDAC_LAUNCH_ATTRIBUTES_MAX];
    const struct cuc_launch *shape = &launch->shape;
    struct wire_launch message = {
        .ctx = stream->context->id,
        .stream = stream->id,
        .function = function->id,
        .grid = {shape->grid[0], shape->grid[1], shape->grid[2]},
        .block = {shape->block[0], shape->block[1], shape->block[2]},
        .shared_bytes = shape->dynamic_shared_bytes,
        .cooperative = shape->cooperative,
        .attributes = attributes,
        .params = packed,
        .params_count = function->params.bytes,
    };
    struct wire_parts parts;
    CUresult result;

    if (FAB_UNLIKELY(launch->config != NULL))
        message.attributes_count = cudac_launch_attributes(launch->config, attributes);
    wire_put_launch(&message, &parts);
    if (FAB_LIKELY(!must_ask(launch, function)))
        return cudac_stream_post(stream, WIRE_LAUNCH, &parts, /* number */ NULL);
    result = cudac_call(cudac_context_worker(stream->context), WIRE_LAUNCH_CALL, &parts,
                        /* reply */ NULL);
    if (result == CUDA_SUCCESS) {
        block_accepted(function, shape->block);
        (void)cudac_stream_count(stream, WIRE_LAUNCH_CALL); /* enqueued, and not done yet */
    }
    return cudac_context_result(stream->context, result);
}

static CUresult launch_submit(const struct launch *launch, struct cudac_stream *stream,
                              struct cudac_function *function, uint8_t *packed)
{
    const struct cuc_kernel_limits kernel = cudac_function_limits(function);
    CUresult result;

    if (function->module->context != stream->context)
        return CUDA_ERROR_INVALID_HANDLE;
    result = cuc_launch_check(&launch->shape, &kernel, &function->module->limits);
    if (result == CUDA_SUCCESS)
        result = cuc_params_pack(&function->params, launch->shape.kernel_params,
                                 launch->shape.extra, packed);
    cudac_stream_make_room(stream);
    if (result == CUDA_SUCCESS)
        result = cudac_memory_before_launch(stream, &function->params, packed);
    return result == CUDA_SUCCESS ? launch_send(launch, stream, function, packed) : result;
}

static CUresult launch_of_function(const struct launch *launch, struct cudac_stream *stream,
                                   struct cudac_function *function)
{
    uint8_t some[STACK_PARAMS_BYTES];
    uint8_t *packed = some;
    CUresult result = cudac_function_need(function);

    if (result != CUDA_SUCCESS)
        return result;
    if (FAB_UNLIKELY(function->params.bytes > sizeof(some))) {
        packed = fab_alloc_zeroed(function->params.bytes, 1);
        if (!packed)
            return CUDA_ERROR_OUT_OF_MEMORY;
    } else {
        memset(some, 0, function->params.bytes); /* the gaps do not tell what the stack held */
    }
    result = launch_submit(launch, stream, function, packed);
    if (packed != some)
        free(packed);
    return result;
}

static bool launches_block(void)
{
    static _Atomic int known; /* 0: not yet, 1: no, 2: CUDA_LAUNCH_BLOCKING=1 */
    int state = atomic_load_explicit(&known, memory_order_relaxed);

    if (FAB_UNLIKELY(state == 0)) {
        const char *blocking = getenv("CUDA_LAUNCH_BLOCKING");

        state = blocking && strcmp(blocking, "1") == 0 ? 2 : 1;
        atomic_store_explicit(&known, state, memory_order_relaxed);
    }
    return state == 2;
}

static CUresult launch(CUfunction handle, const struct launch *launch)
{
    struct cudac_function *function;
    struct cudac_stream *stream;
    CUresult result = cudac_stream_get(launch->stream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    /* A kernel of a library runs in the stream's context. */
    result = cudac_function_get(handle, stream->context, &function);
    if (result == CUDA_SUCCESS) {
        result = launch_of_function(launch, stream, function);
        if (result == CUDA_SUCCESS && FAB_UNLIKELY(launches_block()))
            result = cudac_stream_wait(stream);
        cudac_function_put(function);
    }
    cudac_stream_put(stream);
    return result;
}

/* ---- attributes ----------------------------------------------------------------------------- */

uint32_t cudac_launch_attributes(const CUlaunchConfig *config, struct wire_attribute *attributes)
{
    uint32_t count = 0;

    _Static_assert(sizeof(CUlaunchAttributeValue) == sizeof(attributes[0].value), "on the wire");
    for (unsigned i = 0; i < config->numAttrs && count < CUDAC_LAUNCH_ATTRIBUTES_MAX; i++) {
        const CUlaunchAttribute *attribute = &config->attrs[i];

        if (attribute->id == CU_LAUNCH_ATTRIBUTE_IGNORE ||
            attribute->id == CU_LAUNCH_ATTRIBUTE_COOPERATIVE) /* has a field of its own */
            continue;
        attributes[count] = (struct wire_attribute){.id = (uint32_t)attribute->id};
        memcpy(attributes[count++].value, &attribute->value, sizeof(attribute->value));
    }
    return count;
}

/* One block is what every launch is; more only where the device has clusters, and then it judges.
 */
static CUresult cluster_check(const struct cudac_context *context, uint32_t x, uint32_t y,
                              uint32_t z, struct launch *launch)
{
    if (x <= 1 && y <= 1 && z <= 1)
        return CUDA_SUCCESS;
    launch->is_for_driver = true;
    return cudac_vgpu_attribute(context->vgpu, CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH,
                                /* missing */ 0) > 0
               ? CUDA_SUCCESS
               : CUDA_ERROR_NOT_SUPPORTED;
}

static CUresult attribute_check(const struct cudac_context *context,
                                const CUlaunchAttribute *attribute, struct launch *launch)
{
    const CUlaunchAttributeValue *value = &attribute->value;

    switch (attribute->id) {
    case CU_LAUNCH_ATTRIBUTE_COOPERATIVE:
        launch->shape.cooperative = value->cooperative != 0;
        return CUDA_SUCCESS;
    case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
        return cluster_check(context, value->clusterDim.x, value->clusterDim.y, value->clusterDim.z,
                             launch);
    case CU_LAUNCH_ATTRIBUTE_PREFERRED_CLUSTER_DIMENSION:
        return cluster_check(context, value->preferredClusterDim.x, value->preferredClusterDim.y,
                             value->preferredClusterDim.z, launch);
    case CU_LAUNCH_ATTRIBUTE_PRIORITY:
        return value->priority > context->priority_least ||
                       value->priority < context->priority_greatest
                   ? CUDA_ERROR_INVALID_VALUE
                   : CUDA_SUCCESS;
    /* Hints without effect on results. */
    case CU_LAUNCH_ATTRIBUTE_IGNORE:
    case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
    case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
    case CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
    case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION:
    case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
    case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
    case CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
    case CU_LAUNCH_ATTRIBUTE_NVLINK_UTIL_CENTRIC_SCHEDULING:
        return CUDA_SUCCESS;
    case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT:
    case CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT:
    case CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE:
        return CUDA_ERROR_NOT_SUPPORTED;
    default: /* a number from the program */
        return CUDA_ERROR_INVALID_VALUE;
    }
}

/* ---- calls ---------------------------------------------------------------------------------- */

CUresult cudac_cuLaunchKernel(CUfunction f, unsigned int gridDimX, unsigned int gridDimY,
                              unsigned int gridDimZ, unsigned int blockDimX, unsigned int blockDimY,
                              unsigned int blockDimZ, unsigned int sharedMemBytes, CUstream hStream,
                              void **kernelParams, void **extra)
{
    const struct launch request = {.shape = {.grid = {gridDimX, gridDimY, gridDimZ},
                                             .block = {blockDimX, blockDimY, blockDimZ},
                                             .dynamic_shared_bytes = sharedMemBytes,
                                             .kernel_params = kernelParams,
                                             .extra = extra},
                                   .stream = hStream};

    return launch(f, &request);
}

CUresult cudac_cuLaunchCooperativeKernel(CUfunction f, unsigned int gridDimX, unsigned int gridDimY,
                                         unsigned int gridDimZ, unsigned int blockDimX,
                                         unsigned int blockDimY, unsigned int blockDimZ,
                                         unsigned int sharedMemBytes, CUstream hStream,
                                         void **kernelParams)
{
    const struct launch request = {.shape = {.grid = {gridDimX, gridDimY, gridDimZ},
                                             .block = {blockDimX, blockDimY, blockDimZ},
                                             .dynamic_shared_bytes = sharedMemBytes,
                                             .cooperative = true,
                                             .kernel_params = kernelParams},
                                   .stream = hStream};

    return launch(f, &request);
}

CUresult cudac_cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction f, void **kernelParams,
                                void **extra)
{
    struct cudac_stream *stream;
    struct launch request;
    CUresult result = CUDA_SUCCESS;

    if (!config || (config->numAttrs > 0 && !config->attrs))
        return CUDA_ERROR_INVALID_VALUE;
    request = (struct launch){
        .shape = {.grid = {config->gridDimX, config->gridDimY, config->gridDimZ},
                  .block = {config->blockDimX, config->blockDimY, config->blockDimZ},
                  .dynamic_shared_bytes = config->sharedMemBytes,
                  .kernel_params = kernelParams,
                  .extra = extra},
        .stream = config->hStream,
        .config = config->numAttrs > 0 ? config : NULL,
    };
    if (config->numAttrs > 0) {
        result = cudac_stream_get(config->hStream, &stream);
        if (result != CUDA_SUCCESS)
            return result;
        for (unsigned i = 0; i < config->numAttrs && result == CUDA_SUCCESS; i++)
            result = attribute_check(stream->context, &config->attrs[i], &request);
        cudac_stream_put(stream);
    }
    return result == CUDA_SUCCESS ? launch(f, &request) : result;
}
