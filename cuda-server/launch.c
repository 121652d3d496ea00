/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/launch.c - kernels.
 *
 * Parameters come packed, as the layout in the load's reply says, and go to the driver as one
 * buffer. This is the worker's hot path: no allocation, three look-ups.
 */
#include <string.h>

#include "cuda-server/gate.h"
#include "cuda-server/image.h"
#include "cuda-server/meter.h"

enum { ATTRIBUTES_MAX = 32 + 1 };

/* Attributes that hold a handle hold the client's id of it. `event_out`: a reference to put. */
static CUresult attribute_of(struct cudas_worker *worker, const struct wire_attribute *m,
                             CUlaunchAttribute *attribute_out, struct cudas_event **event_out)
{
    uint64_t id;

    memset(attribute_out, 0, sizeof(*attribute_out));
    attribute_out->id = (CUlaunchAttributeID)m->id;
    memcpy(&attribute_out->value, m->value,
           sizeof(m->value) < sizeof(attribute_out->value) ? sizeof(m->value)
                                                           : sizeof(attribute_out->value));
    if (attribute_out->id == CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE)
        return CUDA_ERROR_NOT_SUPPORTED; /* its answer would be a driver's handle */
    if (attribute_out->id != CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT &&
        attribute_out->id != CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT)
        return CUDA_SUCCESS;
    memcpy(&id, m->value, sizeof(id));
    if (*event_out)
        return CUDA_ERROR_NOT_SUPPORTED; /* one such attribute in a launch */
    *event_out = (struct cudas_event *)cudas_object_get(worker, id, CUDAS_EVENT);
    if (!*event_out)
        return CUDA_ERROR_INVALID_HANDLE;
    /* Both kinds begin with the event. */
    attribute_out->value.programmaticEvent.event = (*event_out)->handle;
    return CUDA_SUCCESS;
}

static CUresult launch_ex(struct cudas_worker *worker, const struct wire_launch *m, CUstream stream,
                          const struct cudas_function *function, void **extra)
{
    CUlaunchAttribute attributes[ATTRIBUTES_MAX];
    struct cudas_event *event = NULL;
    CUlaunchConfig config;
    CUresult result = worker->cu.cuLaunchKernelEx ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;

    memset(&config, 0, sizeof(config));
    config.gridDimX = m->grid[0];
    config.gridDimY = m->grid[1];
    config.gridDimZ = m->grid[2];
    config.blockDimX = m->block[0];
    config.blockDimY = m->block[1];
    config.blockDimZ = m->block[2];
    config.sharedMemBytes = m->shared_bytes;
    config.hStream = stream;
    config.attrs = attributes;
    while (result == CUDA_SUCCESS && config.numAttrs < m->attributes_count) {
        result = attribute_of(worker, &m->attributes[config.numAttrs], &attributes[config.numAttrs],
                              &event);
        config.numAttrs++;
    }
    if (m->cooperative) {
        memset(&attributes[config.numAttrs], 0, sizeof(attributes[0]));
        attributes[config.numAttrs].id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE;
        attributes[config.numAttrs++].value.cooperative = 1;
    }
    if (result == CUDA_SUCCESS)
        result = worker->cu.cuLaunchKernelEx(&config, function->handle.function, NULL, extra);
    if (event)
        cudas_object_put(&event->object);
    return result;
}

static CUresult launch(struct cudas_worker *worker, const struct wire_launch *m, CUstream stream,
                       const struct cudas_function *function)
{
    size_t params_bytes = m->params_count;
    void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, (void *)(uintptr_t)m->params,
                     CU_LAUNCH_PARAM_BUFFER_SIZE, &params_bytes, CU_LAUNCH_PARAM_END};
    void **extra_or_none = params_bytes > 0 ? extra : NULL;

    atomic_fetch_add_explicit(&worker->stats.launches, 1, memory_order_relaxed);
    if (m->attributes_count > 0 || m->cooperative)
        return launch_ex(worker, m, stream, function, extra_or_none);
    return worker->cu.cuLaunchKernel(function->handle.function, m->grid[0], m->grid[1], m->grid[2],
                                     m->block[0], m->block[1], m->block[2], m->shared_bytes, stream,
                                     NULL, extra_or_none);
}

void cudas_on_launch(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_place place = {.context = NULL};
    struct cudas_function *function;
    struct wire_launch m;
    CUresult result;

    if (!wire_get_launch(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    result = cudas_work_place_get(worker, m.ctx, m.stream, &place);
    if (result == CUDA_SUCCESS) {
        cudas_gate(worker, place.context->vgpu);
        function = cudas_function_get(worker, m.function);
        cudas_meter_launch(worker, &place);
        result = function ? launch(worker, &m, place.stream->handle, function)
                          : CUDA_ERROR_INVALID_HANDLE;
        if (function)
            cudas_object_put(&function->object);
    }
    if (command->is_call && place.context && cudas_is_sticky(result))
        cudas_context_failed(place.context, result);
    cudas_finish(worker, command, place.context, result);
    cudas_place_put(&place);
}

/* ---- occupancy ------------------------------------------------------------------------------- */

static CUresult clusters(struct cudas_worker *worker, const struct wire_occupancy *m,
                         CUfunction function, int *value_out)
{
    CUlaunchAttribute attributes[ATTRIBUTES_MAX];
    const struct cudas_driver *cu = &worker->cu;
    struct cudas_event *event = NULL;
    CUlaunchConfig config;
    CUresult result = CUDA_SUCCESS;

    memset(&config, 0, sizeof(config));
    config.gridDimX = m->grid[0];
    config.gridDimY = m->grid[1];
    config.gridDimZ = m->grid[2];
    config.blockDimX = m->block[0];
    config.blockDimY = m->block[1];
    config.blockDimZ = m->block[2];
    config.sharedMemBytes = (unsigned)m->shared_bytes;
    config.attrs = attributes;
    while (result == CUDA_SUCCESS && config.numAttrs < m->attributes_count) {
        result = attribute_of(worker, &m->attributes[config.numAttrs], &attributes[config.numAttrs],
                              &event);
        config.numAttrs++;
    }
    if (event)
        cudas_object_put(&event->object);
    if (result != CUDA_SUCCESS)
        return result;
    if (m->what == WIRE_OCCUPANCY_MAX_CLUSTER_SIZE)
        return cu->cuOccupancyMaxPotentialClusterSize
                   ? cu->cuOccupancyMaxPotentialClusterSize(value_out, function, &config)
                   : CUDA_ERROR_NOT_SUPPORTED;
    return cu->cuOccupancyMaxActiveClusters
               ? cu->cuOccupancyMaxActiveClusters(value_out, function, &config)
               : CUDA_ERROR_NOT_SUPPORTED;
}

static CUresult occupancy(struct cudas_worker *worker, const struct wire_occupancy *m,
                          CUfunction function, int *value_out)
{
    const struct cudas_driver *cu = &worker->cu;

    switch (m->what) {
    case WIRE_OCCUPANCY_BLOCKS:
        return cu->cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags
                   ? cu->cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
                         value_out, function, (int)(m->block[0] * m->block[1] * m->block[2]),
                         m->shared_bytes, m->flags)
                   : CUDA_ERROR_NOT_SUPPORTED;
    case WIRE_OCCUPANCY_MAX_CLUSTER_SIZE:
    case WIRE_OCCUPANCY_MAX_CLUSTERS:
        return clusters(worker, m, function, value_out);
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

void cudas_on_occupancy(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct wire_occupancy_reply reply = {.value = 0};
    struct cudas_context *context = NULL;
    struct cudas_function *function = NULL;
    struct wire_occupancy m;
    struct wire_parts parts;
    CUresult result;
    int value = 0;

    if (!wire_get_occupancy(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    result = cudas_context_enter(worker, m.ctx, &context);
    if (result == CUDA_SUCCESS) {
        function = cudas_function_get(worker, m.function);
        result = function ? occupancy(worker, &m, function->handle.function, &value)
                          : CUDA_ERROR_INVALID_HANDLE;
    }
    reply.value = (uint64_t)(value > 0 ? value : 0);
    wire_put_occupancy_reply(&reply, &parts);
    cudas_reply(worker, command, result, &parts);
    if (function)
        cudas_object_put(&function->object);
    cudas_context_put(context);
}
