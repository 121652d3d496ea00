/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/launch.c - cuLaunchKernel and kin: checks, parameters, the command, its outcome.
 *
 * Everything that CUDA reports from the call itself is checked here, before anything is enqueued.
 * Nothing on the way allocates: the parameters lie in the command, unless they are very large.
 */
#include "softcuda/driver/launch.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context_int.h"
#include "softcuda/driver/device.h"
#include "softcuda/driver/init.h"
#include "softcuda/driver/limits.h"
#include "softcuda/driver/model.h"
#include "softcuda/driver/module.h"
#include "softcuda/driver/occupancy.h"
#include "softcuda/driver/stream_int.h"
#include "softcuda/driver/tick.h"
#include "softcuda/driver/trace.h"
#include "softcuda/ptx/ptx.h"
#include "softcuda/warp/launch.h"

/* In a command's data. */
struct launch {
    struct soft_function *function; /* with a reference: the module can not go under it */
    struct warp_program *program;
    uint32_t grid[3], block[3];
    uint32_t dynamic_shared_bytes, stack_bytes, params_bytes;
    bool cooperative;
    /* The starter and the end of the grid each count one down; the last one goes on. */
    _Atomic int parts;
    CUresult result;
    struct soft_tick tick;
    uint8_t *big_params; /* when they do not fit below */
    _Alignas(16) uint8_t params[];
};
enum { PARAMS_INLINE_BYTES = SOFT_COMMAND_DATA_BYTES - (int)sizeof(struct launch) };
_Static_assert(PARAMS_INLINE_BYTES >= 384, "common kernels' parameters must fit into a command");

static _Atomic uint64_t last_grid_id;

static struct launch *launch_of(struct soft_command *command)
{
    return (struct launch *)(void *)command->data;
}

/* ---- the command ---------------------------------------------------------------------------- */

static void launch_ended(void *arg)
{
    struct soft_command *command = arg;

    soft_command_finish(command, launch_of(command)->result);
}

static bool is_computed(const struct launch *launch, const struct device_model *model)
{
    return model->time != DEVICE_TIME_ONLY ||
           strcmp(launch->function->ptx->name, model->computes) == 0;
}

/* The grid has run (or would have, by the model): the command ends now, or when the model says. */
static void launch_computed(struct soft_command *command)
{
    struct launch *launch = launch_of(command);
    struct soft_device *device = command->context->device;
    const struct device_model *model = soft_device_model(device);
    uint64_t threads = (uint64_t)launch->grid[0] * launch->grid[1] * launch->grid[2] *
                       launch->block[0] * launch->block[1] * launch->block[2];
    uint64_t now_ns, duration_ns;

    if (FAB_LIKELY(model->time == DEVICE_TIME_REAL) || launch->result != CUDA_SUCCESS) {
        launch_ended(command);
        return;
    }
    now_ns = soft_now_ns();
    duration_ns = soft_model_duration_ns(model, launch->function, threads);
    soft_device_busy(device, duration_ns);
    command->end_ns = soft_model_end_ns(
        soft_device_ordinal(device), command->ready_ns ? command->ready_ns : now_ns, duration_ns);
    if (command->end_ns <= now_ns) {
        if (is_computed(launch, model))
            command->end_ns = now_ns; /* computing took longer than the model: then that counts */
        launch_ended(command);
        return;
    }
    launch->tick.fire = launch_ended;
    launch->tick.arg = command;
    soft_tick_at(&launch->tick, command->end_ns);
}

static void part_done(struct soft_command *command)
{
    if (atomic_fetch_sub_explicit(&launch_of(command)->parts, 1, memory_order_acq_rel) == 1)
        launch_computed(command);
}

static void grid_done(void *arg, const struct warp_outcome *outcome)
{
    struct soft_command *command = arg;
    struct launch *launch = launch_of(command);
    struct soft_device *device = command->context->device;

    if (soft_device_model(device)->time == DEVICE_TIME_REAL)
        soft_device_busy(device, outcome->ended_ns - outcome->started_ns);
    if (FAB_UNLIKELY(outcome->failed)) {
        launch->result = soft_fault_result(outcome->kind);
        if (soft_context_error(command->context) == CUDA_SUCCESS) /* else: it was cancelled */
            soft_fault_report(outcome);
    }
    part_done(command);
}

static void launch_start(struct soft_command *command)
{
    struct launch *launch = launch_of(command);
    struct soft_context *context = command->context;
    struct warp_launch *grid = NULL;
    struct warp_launch_request request = {
        .program = launch->program,
        .grid = {launch->grid[0], launch->grid[1], launch->grid[2]},
        .block = {launch->block[0], launch->block[1], launch->block[2]},
        .dynamic_shared_bytes = launch->dynamic_shared_bytes,
        .params = launch->big_params ? launch->big_params : launch->params,
        .params_bytes = launch->params_bytes,
        .cooperative = launch->cooperative,
        .stack_bytes = launch->stack_bytes,
        .env = &context->env,
        .grid_id = atomic_fetch_add_explicit(&last_grid_id, 1, memory_order_relaxed) + 1,
        .done = grid_done,
        .done_arg = command,
    };

    if (FAB_UNLIKELY(!is_computed(launch, soft_device_model(context->device)))) {
        launch_computed(command);
        return;
    }
    if (warp_launch_start(soft_engine(), &request, &grid, /* err */ NULL) != FAB_OK) {
        soft_command_finish(command, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
        return;
    }
    atomic_store_explicit(&command->launch, grid, memory_order_seq_cst);
    /* The context may have failed just now, before soft_queue_cancel() could see this grid. */
    if (FAB_UNLIKELY(atomic_load_explicit(&context->error, memory_order_seq_cst) != CUDA_SUCCESS))
        warp_launch_cancel(grid);
    part_done(command);
}

static void launch_clear(struct soft_command *command)
{
    struct launch *launch = launch_of(command);

    soft_function_put(launch->function);
    free(launch->big_params);
}

static const struct soft_command_ops launch_ops = {
    .name = "launch", .start = launch_start, .clear = launch_clear};

/* ---- parameters ----------------------------------------------------------------------------- */

static CUresult params_fill(struct launch *launch, const struct warp_program_info *info,
                            void **kernel_params, void **extra)
{
    const struct cuc_params layout = {.count = info->param_count,
                                      .bytes = info->param_bytes,
                                      .offset = info->param_offset,
                                      .size = info->param_size};
    uint8_t *params = launch->params;

    launch->params_bytes = info->param_bytes;
    launch->big_params = NULL;
    if (info->param_bytes > PARAMS_INLINE_BYTES) {
        params = launch->big_params = fab_alloc_zeroed(info->param_bytes, 1);
        if (!params)
            return CUDA_ERROR_OUT_OF_MEMORY;
    }
    return cuc_params_pack(&layout, kernel_params, extra, params);
}

/* ---- launching --------------------------------------------------------------------------- */

static CUresult launch_submit(const struct soft_launch *request, struct soft_stream *stream,
                              struct soft_function *function, struct warp_program *program)
{
    const struct warp_program_info *info = warp_program_info(program);
    const struct cuc_device_limits device = soft_device_limits(stream->context->device);
    const struct cuc_kernel_limits kernel = soft_function_limits(function, info);
    const struct cuc_launch *shape = &request->shape;
    struct soft_command *command;
    struct launch *launch;
    CUresult result;

    if (function->module->context != stream->context)
        return CUDA_ERROR_INVALID_HANDLE;
    soft_text_flush(&stream->context->text); /* of kernels that are done, as CUDA documents */
    result = cuc_launch_check(shape, &kernel, &device);
    if (result != CUDA_SUCCESS)
        return result;
    command = soft_command_new(stream->context, stream, &launch_ops);
    if (!command)
        return CUDA_ERROR_OUT_OF_MEMORY;
    launch = launch_of(command);
    cuc_object_ref(&function->object);
    launch->function = function;
    launch->program = program;
    memcpy(launch->grid, shape->grid, sizeof(launch->grid));
    memcpy(launch->block, shape->block, sizeof(launch->block));
    launch->dynamic_shared_bytes = shape->dynamic_shared_bytes;
    launch->stack_bytes = (uint32_t)soft_limits_stack_bytes(stream->context);
    launch->cooperative = shape->cooperative;
    launch->result = CUDA_SUCCESS;
    atomic_init(&launch->parts, 2);
    if (request->has_priority)
        command->priority = request->priority;
    result = params_fill(launch, info, shape->kernel_params, shape->extra);
    if (result == CUDA_SUCCESS)
        soft_command_submit(command);
    else
        soft_command_drop(command);
    return result;
}

CUresult soft_launch(CUfunction handle, const struct soft_launch *request)
{
    struct soft_function *function;
    struct soft_stream *stream;
    struct warp_program *program;
    CUresult result = soft_stream_get(request->stream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    /* A kernel of a library runs in the stream's context. */
    result = soft_function_get(handle, stream->context, &function);
    if (result == CUDA_SUCCESS) {
        result = soft_function_program(function, &program);
        if (result == CUDA_SUCCESS)
            result = launch_submit(request, stream, function, program);
        if (result == CUDA_SUCCESS && FAB_UNLIKELY(soft_launch_is_blocking()))
            result = soft_stream_wait(stream);
        soft_function_put(function);
    }
    soft_stream_put(stream);
    return result;
}
