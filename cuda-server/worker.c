/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/worker.c - the life of a worker, and what comes to it by the transport.
 */
#include "cuda-server/worker.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "cuda-server/context.h"
#include "cuda-server/flag.h"
#include "cuda-server/gate.h"
#include "cuda-server/image_store.h"
#include "cuda-server/memory.h"
#include "cuda-server/nvml.h"
#include "cuda-server/outbox.h"
#include "cuda-server/peer.h"
#include "cuda-server/queue.h"
#include "cuda-server/text.h"
#include "cuda-server/trace.h"
#include "cuda-server/transfer.h"
#include "cuda-server/watch.h"
#include "cuda-server/window.h"
#include "session/ses_account.h"
#include "ucx-transport/xp_numa.h"

const struct cudas_vgpu *cudas_vgpu_find(const struct cudas_worker *worker, uint32_t index)
{
    for (uint32_t i = 0; i < worker->vgpu_count; i++)
        if (worker->vgpus[i].index == index)
            return &worker->vgpus[i];
    return NULL;
}

const struct cudas_vgpu *cudas_vgpu_of_address(const struct cudas_worker *worker, uint64_t address)
{
    const int index = cuc_layout_device(worker->layout, address);

    return index < 0 ? NULL : cudas_vgpu_find(worker, (uint32_t)index);
}

void cudas_thread_begin(const struct cudas_worker *worker, const char *name)
{
    struct fab_err err = {.status = FAB_OK};

    (void)pthread_setname_np(pthread_self(), name);
    if (xp_numa_bind_thread(worker->numa_node, &err) != FAB_OK)
        fab_log_warn(worker->log, "a thread is not on its NUMA node", "node %d why %s",
                     worker->numa_node, err.text);
}

/* ---- creation -------------------------------------------------------------------------------- */

static enum fab_status open_driver(struct cudas_worker *worker, const struct cudas_config *config,
                                   struct fab_err *err)
{
    enum fab_status status = cudas_driver_load(config->driver, &worker->cu, err);
    CUresult result;
    int count = 0;

    if (status != FAB_OK)
        return status;
    result = worker->cu.cuInit(0);
    if (result == CUDA_SUCCESS)
        result = worker->cu.cuDeviceGetCount(&count);
    if (result != CUDA_SUCCESS)
        return fab_err_foreign(err, FAB_ERR_DEVICE, "cuda", (int)result,
                               "the CUDA driver does not start");
    for (uint32_t i = 0; i < worker->vgpu_count; i++)
        if (worker->vgpus[i].device < 0 || worker->vgpus[i].device >= count)
            return fab_err_set(err, FAB_ERR_RANGE, "device %d of %d is to be virtual GPU %u",
                               worker->vgpus[i].device, count, worker->vgpus[i].index);
    return FAB_OK;
}

static enum fab_status create_parts(struct cudas_worker *worker, const struct cudas_config *config,
                                    struct fab_err *err)
{
    enum fab_status status = cudas_objects_create(&worker->objects, err);

    if (status == FAB_OK)
        status = cudas_gate_create(&worker->gate, err);
    if (status == FAB_OK)
        status = cudas_outbox_create(worker, &worker->outbox, err);
    if (status == FAB_OK)
        status = cudas_flags_create(&worker->flags, err);
    if (status == FAB_OK)
        status = cudas_memory_create(&worker->memory, err);
    if (status == FAB_OK)
        status = cudas_windows_create(worker, &worker->windows, err);
    if (status == FAB_OK)
        status = cudas_watches_create(&worker->watches, err);
    if (status == FAB_OK)
        status = cudas_images_create(config->image_folder, &worker->images, err);
    if (status == FAB_OK)
        status = cudas_peers_create(worker, &worker->peers, err);
    if (status == FAB_OK)
        status = cudas_nvml_create(config->nvml, config->driver, &worker->nvml, err);
    if (status == FAB_OK)
        status = ses_account_inherit(&worker->account, &worker->slot, err);
    return status;
}

enum fab_status cudas_worker_create(const struct cudas_config *config,
                                    struct cudas_worker **worker_out, struct fab_err *err)
{
    struct cudas_worker *worker = fab_alloc_zeroed(1, sizeof(*worker));
    enum fab_status status;

    if (!worker)
        return fab_err_set(err, FAB_ERR_NOMEM, "worker");
    worker->clock = config->clock;
    worker->log = config->log;
    worker->wants_text = config->capture_text;
    worker->numa_node = config->numa_node;
    worker->queue_depth = config->queue_depth;
    if (config->vgpu_count == 0 || config->vgpu_count > CUDAS_VGPUS_MAX) {
        free(worker);
        return fab_err_set(err, FAB_ERR_RANGE, "%u virtual GPUs", config->vgpu_count);
    }
    worker->vgpu_count = config->vgpu_count;
    memcpy(worker->vgpus, config->vgpus, config->vgpu_count * sizeof(*config->vgpus));
    status = open_driver(worker, config, err);
    if (status == FAB_OK)
        status = create_parts(worker, config, err);
    if (status != FAB_OK) {
        cudas_worker_destroy(worker);
        return status;
    }
    *worker_out = worker;
    return FAB_OK;
}

uint32_t cudas_worker_rows(struct cudas_worker *worker)
{
    const uint32_t possible = cuc_layout_suits();
    uint32_t rows = 0;

    for (uint32_t row = 0; row < CUC_LAYOUT_COUNT; row++) {
        const struct cuc_layout *layout = cuc_layout_row(row);

        if (!(possible & (1u << row)) || cudas_memory_reserve(worker, layout, NULL) != FAB_OK)
            continue;
        cudas_memory_release(worker, layout);
        rows |= 1u << row;
    }
    return rows;
}

enum fab_status cudas_worker_start(struct cudas_worker *worker, uint32_t row, struct xp_node *node,
                                   struct fab_err *err)
{
    enum fab_status status;

    if (row >= CUC_LAYOUT_COUNT)
        return fab_err_set(err, FAB_ERR_RANGE, "row %u of the address layout", row);
    worker->row = row;
    worker->node = node;
    status = cudas_memory_reserve(worker, cuc_layout_row(row), err);
    if (status != FAB_OK)
        return status;
    worker->layout = cuc_layout_row(row);
    if (worker->wants_text)
        status = cudas_text_create(worker, &worker->text, err);
    if (status == FAB_OK)
        status = cudas_mover_create(worker, &worker->mover, err);
    if (status == FAB_OK)
        status = cudas_queue_create(worker, &worker->queue, err);
    return status;
}

/* ---- the end --------------------------------------------------------------------------------- */

void cudas_worker_on_end(struct cudas_worker *worker, void (*fn)(void *user), void *user)
{
    worker->end_user = user;
    worker->end_fn = fn;
}

/* Nothing can come any more that somebody here waits for. Thread: any. */
static void end_session(struct cudas_worker *worker)
{
    if (atomic_exchange(&worker->is_over, true))
        return;
    if (worker->gate)
        cudas_gate_open(worker);
    if (worker->flags)
        cudas_flags_set_all(worker);
    if (worker->end_fn)
        worker->end_fn(worker->end_user);
}

static void destroy_context(struct cudas_context *context, void *arg)
{
    const struct cudas_driver *cu = &context->worker->cu;

    (void)arg;
    cudas_watches_close(context);
    cudas_leave(context->worker);
    if (context->is_primary)
        (void)cu->cuDevicePrimaryCtxRelease_v2(context->device);
    else
        (void)cu->cuCtxDestroy_v2(context->handle);
}

void cudas_worker_stop(struct cudas_worker *worker)
{
    end_session(worker);
    /* The driver's work ends with its contexts, so that nobody waits in it or is called back. */
    if (worker->objects)
        cudas_context_each(worker, destroy_context, NULL);
    cudas_queue_stop(worker->queue);
    cudas_outbox_stop(worker->outbox);
    if (worker->peers)
        cudas_peers_close(worker->peers);
}

void cudas_worker_destroy(struct cudas_worker *worker)
{
    if (!worker)
        return;
    cudas_worker_stop(worker);
    cudas_queue_destroy(worker->queue);
    cudas_mover_destroy(worker->mover);
    cudas_outbox_destroy(worker->outbox);
    cudas_text_destroy(worker->text);
    cudas_flags_destroy(worker->flags);
    cudas_windows_destroy(worker->windows);
    cudas_watches_destroy(worker->watches);
    cudas_memory_destroy(worker);
    if (worker->layout)
        cudas_memory_release(worker, worker->layout);
    cudas_objects_destroy(worker->objects);
    cudas_images_destroy(worker->images);
    cudas_trace_destroy(worker);
    cudas_peers_destroy(worker->peers);
    cudas_nvml_destroy(worker->nvml);
    ses_account_close(worker->account);
    cudas_gate_destroy(worker->gate);
    free(worker);
}

void cudas_condemn(struct cudas_worker *worker, const char *why)
{
    struct xp_conn *conn = atomic_load(&worker->conn);

    fab_log_error(worker->log, "the client broke the protocol", "why %s", why);
    if (conn)
        xp_conn_condemn(conn, FAB_ERR_PROTOCOL, why);
    end_session(worker);
}

/* ---- the client's messages ------------------------------------------------------------------- */

static bool on_signal(struct cudas_worker *worker, const struct xp_message *message)
{
    struct wire_flag flag;
    struct wire_host_done done;
    struct wire_hold hold;

    switch (message->op) {
    case WIRE_FLAG:
        if (!wire_get_flag(message->args, message->args_bytes, &flag))
            return false;
        cudas_flag_set(worker, flag.flag, (CUresult)flag.result);
        return true;
    case WIRE_HOST_DONE:
        if (!wire_get_host_done(message->args, message->args_bytes, &done))
            return false;
        cudas_flag_set(worker, done.token, CUDA_SUCCESS);
        return true;
    case WIRE_HOLD:
        if (!wire_get_hold(message->args, message->args_bytes, &hold))
            return false;
        cudas_queue_hold(worker->queue, hold.number);
        return true;
    case WIRE_RELEASE:
        cudas_queue_release(worker->queue);
        return message->args_bytes == 0;
    default:
        return false;
    }
}

static void on_message(void *user, struct xp_conn *conn, const struct xp_message *message)
{
    struct cudas_worker *worker = user;
    bool is_sound;

    if (atomic_load_explicit(&worker->is_over, memory_order_acquire))
        return;
    atomic_store_explicit(&worker->conn, conn, memory_order_release);
    is_sound = message->kind == XP_SIGNAL ? on_signal(worker, message)
                                          : cudas_queue_push(worker->queue, message);
    if (!is_sound)
        cudas_condemn(worker, "a message does not follow the protocol");
}

static void on_event(void *user, struct xp_conn *conn, const struct xp_event *event)
{
    struct cudas_worker *worker = user;

    (void)conn;
    switch (event->kind) {
    case XP_EVENT_LOST:
    case XP_EVENT_CLOSED:
        end_session(worker);
        break;
    case XP_EVENT_UP:
    case XP_EVENT_SILENT:
    case XP_EVENT_RAIL_UP:
    case XP_EVENT_RAIL_DOWN:
        fab_log_debug(worker->log, "connection", "event %d rail %u", (int)event->kind, event->rail);
        break;
    }
}

const struct xp_handlers cudas_client_handlers = {.message = on_message, .event = on_event};
