/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/dispatch.c - see dispatch.h.
 */
#include "cuda-server/dispatch.h"

#include "base/log.h"
#include "cuda-server/context.h"
#include "cuda-server/gate.h"
#include "cuda-server/outbox.h"

enum { OPS_MAX = 160 };

struct op_row {
    cudas_execute_fn *execute;
    bool is_call, is_parked;
};

#define POST(fn)                                                                                   \
    {                                                                                              \
        .execute = (fn)                                                                            \
    }
/* A call that may wait in the driver or take long, and one that the leader answers at once. */
#define CALL(fn)                                                                                   \
    {                                                                                              \
        .execute = (fn), .is_call = true, .is_parked = true                                        \
    }
#define QUICK_CALL(fn)                                                                             \
    {                                                                                              \
        .execute = (fn), .is_call = true                                                           \
    }

static const struct op_row rows[OPS_MAX] = {
    [WIRE_HELLO] = CALL(cudas_on_hello),
    [WIRE_STATS] = QUICK_CALL(cudas_on_stats),
    [WIRE_TRACE] = CALL(cudas_on_trace),
    [WIRE_CTX_CREATE] = CALL(cudas_on_ctx_create),
    [WIRE_CTX_DESTROY] = CALL(cudas_on_ctx_destroy),
    [WIRE_CTX_SET] = CALL(cudas_on_ctx_set),
    [WIRE_CTX_SYNC] = CALL(cudas_on_ctx_sync),
    [WIRE_CTX_PEER] = CALL(cudas_on_ctx_peer),
    [WIRE_STREAM_CREATE] = POST(cudas_on_stream_create),
    [WIRE_STREAM_DESTROY] = POST(cudas_on_stream_destroy),
    [WIRE_STREAM_SET] = POST(cudas_on_stream_set),
    [WIRE_STREAM_SYNC] = CALL(cudas_on_stream_sync),
    [WIRE_STREAM_WATCH] = QUICK_CALL(cudas_on_stream_watch),
    [WIRE_STREAM_MEMOPS] = POST(cudas_on_stream_memops),
    [WIRE_HOST_CALL] = POST(cudas_on_host_call),
    [WIRE_EVENT_CREATE] = POST(cudas_on_event_create),
    [WIRE_EVENT_DESTROY] = POST(cudas_on_event_destroy),
    [WIRE_EVENT_RECORD] = POST(cudas_on_event_record),
    [WIRE_EVENT_WAIT] = POST(cudas_on_event_wait),
    [WIRE_EVENT_SYNC] = CALL(cudas_on_event_sync),
    [WIRE_EVENT_WATCH] = QUICK_CALL(cudas_on_event_watch),
    [WIRE_EVENT_ELAPSED] = QUICK_CALL(cudas_on_event_elapsed),
    [WIRE_EVENT_NOTIFY] = POST(cudas_on_event_notify),
    [WIRE_FLAG_WAIT] = POST(cudas_on_flag_wait),
    [WIRE_IMAGE_LOAD] = CALL(cudas_on_image_load),
    [WIRE_IMAGE_BYTES] = POST(cudas_on_image_bytes),
    [WIRE_IMAGE_UNLOAD] = CALL(cudas_on_image_unload),
    [WIRE_LIBRARY_MODULE] = CALL(cudas_on_library_module),
    [WIRE_FUNCTION_FIND] = CALL(cudas_on_function_find),
    [WIRE_GLOBAL_FIND] = CALL(cudas_on_global_find),
    [WIRE_FUNCTION_SET] = CALL(cudas_on_function_set),
    [WIRE_FUNCTION_LOAD] = CALL(cudas_on_function_load),
    [WIRE_LAUNCH] = POST(cudas_on_launch),
    [WIRE_LAUNCH_CALL] = QUICK_CALL(cudas_on_launch),
    [WIRE_OCCUPANCY] = CALL(cudas_on_occupancy),
    [WIRE_MEM_MAP] = CALL(cudas_on_mem_map),
    [WIRE_MEM_FREE] = CALL(cudas_on_mem_free),
    [WIRE_MEM_INFO] = CALL(cudas_on_mem_info),
    [WIRE_MEM_ACCESS] = CALL(cudas_on_mem_access),
    [WIRE_PHYS_CREATE] = CALL(cudas_on_phys_create),
    [WIRE_PHYS_RELEASE] = CALL(cudas_on_phys_release),
    [WIRE_PHYS_MAP] = CALL(cudas_on_phys_map),
    [WIRE_PHYS_UNMAP] = CALL(cudas_on_phys_unmap),
    [WIRE_HOST_MAP] = CALL(cudas_on_host_map),
    [WIRE_HOST_UNMAP] = CALL(cudas_on_host_unmap),
    [WIRE_COPY_IN] = POST(cudas_on_copy_in),
    [WIRE_COPY_IN_WAIT] = CALL(cudas_on_copy_in),
    [WIRE_COPY_OUT] = POST(cudas_on_copy_out),
    [WIRE_COPY_OUT_WAIT] = CALL(cudas_on_copy_out),
    [WIRE_COPY_DEVICE] = POST(cudas_on_copy_device),
    [WIRE_COPY_DEVICE_WAIT] = CALL(cudas_on_copy_device),
    [WIRE_SET] = POST(cudas_on_set),
    [WIRE_SET_WAIT] = CALL(cudas_on_set),
    [WIRE_PEER_INVITE] = CALL(cudas_on_peer_invite),
    [WIRE_PEER_JOIN] = CALL(cudas_on_peer_join),
    [WIRE_PEER_SEND] = POST(cudas_on_peer_send),
    [WIRE_PEER_RECEIVE] = POST(cudas_on_peer_receive),
    [WIRE_PEER_LEAVE] = POST(cudas_on_peer_leave),
    [WIRE_NVML] = CALL(cudas_on_nvml),
};

bool cudas_is_parked(uint32_t op)
{
    return op < OPS_MAX && rows[op].is_parked;
}

void cudas_dispatch(struct cudas_worker *worker, const struct cudas_command *command)
{
    if (atomic_load_explicit(&worker->is_over, memory_order_acquire))
        return;
    if (command->op == WIRE_HOLD && !command->is_call) {
        cudas_gate_close(worker, command->number + 1); /* queue.c put it here */
        return;
    }
    if (command->op >= OPS_MAX || !rows[command->op].execute ||
        rows[command->op].is_call != command->is_call) {
        cudas_malformed(worker, command);
        return;
    }
    if (command->op != WIRE_HELLO &&
        !atomic_load_explicit(&worker->is_greeted, memory_order_acquire)) {
        cudas_condemn(worker, "a command came before hello");
        return;
    }
    fab_log_trace(worker->log, "command", "number %llu op %s bytes %zu",
                  (unsigned long long)command->number, wire_row_find(command->op)->name,
                  command->size_bytes);
    rows[command->op].execute(worker, command);
}

void cudas_reply(struct cudas_worker *worker, const struct cudas_command *command, CUresult result,
                 const struct wire_parts *parts)
{
    struct xp_conn *conn = atomic_load_explicit(&worker->conn, memory_order_acquire);

    if (command->is_parked) /* before: what the client sends then is not beside this call */
        (void)atomic_fetch_sub_explicit(&worker->stats.parked, 1, memory_order_relaxed);
    if (!conn || atomic_load_explicit(&worker->is_over, memory_order_acquire))
        return;
    /* A session that has ended takes no reply, and needs none. */
    (void)!xp_reply(conn, command->number, (int32_t)result, parts ? parts->part : NULL,
                    parts ? parts->count : 0, /* digest */ NULL);
}

/* What belongs to a failed context may never have been made: who needs it hears why. */
static CUresult cause_of(const struct cudas_worker *worker, CUresult result)
{
    const int failed = atomic_load(&worker->failed);

    return result == CUDA_ERROR_INVALID_HANDLE && failed ? (CUresult)failed : result;
}

void cudas_posted(struct cudas_worker *worker, struct cudas_context *context, CUresult result)
{
    struct wire_context_error late = {.result = (int32_t)result, .late = 1};
    struct wire_parts parts;

    if (result == CUDA_SUCCESS)
        return;
    result = cause_of(worker, result);
    if (context && cudas_is_sticky(result)) {
        cudas_context_failed(context, result);
        return;
    }
    atomic_fetch_add_explicit(&worker->stats.late_errors, 1, memory_order_relaxed);
    fab_log_warn(worker->log, "a posted command failed", "result %d", (int)result);
    if (context)
        late.ctx = context->object.id;
    wire_put_context_error(&late, &parts);
    cudas_signal(worker, WIRE_CONTEXT_ERROR, &parts);
}

void cudas_finish(struct cudas_worker *worker, const struct cudas_command *command,
                  struct cudas_context *context, CUresult result)
{
    if (command->is_call)
        cudas_reply(worker, command, cause_of(worker, result), NULL);
    else
        cudas_posted(worker, context, result);
}

void cudas_malformed(struct cudas_worker *worker, const struct cudas_command *command)
{
    const struct wire_row *row = wire_row_find(command->op);

    fab_log_warn(worker->log, "malformed command", "op %u name %s bytes %zu", command->op,
                 row ? row->name : "unknown", command->size_bytes);
    cudas_condemn(worker, "a command does not follow the protocol");
}
