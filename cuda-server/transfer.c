/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/transfer.c - see transfer.h: the life of a transfer, and what the rails ask it.
 *
 * place(), moved() and done() run on the rails' engines and never call the driver.
 */
#include <signal.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "cuda-server/outbox.h"
#include "cuda-server/peer.h"
#include "cuda-server/transfer_int.h"

static struct cudas_mover *mover_of(const struct cudas_transfer *transfer)
{
    return transfer->worker->mover;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void transfer_free(struct cudas_transfer *transfer)
{
    for (size_t i = 0; i < transfer->chunks.count; i++)
        cudas_slot_give(transfer->context,
                        fab_vec_at(&transfer->chunks, struct cudas_chunk, i)->slot);
    fab_vec_fini(&transfer->chunks);
    cudas_lane_give(transfer->lane);
    fab_list_remove(&transfer->all_link);
    fab_list_remove(&transfer->link);
    cudas_context_put(transfer->context);
    free(transfer);
}

void cudas_transfer_put_locked(struct cudas_transfer *transfer)
{
    if (--transfer->refs == 0)
        transfer_free(transfer);
}

void cudas_transfer_dirty_locked(struct cudas_transfer *transfer)
{
    struct cudas_mover *mover = mover_of(transfer);

    if (transfer->is_dirty)
        return;
    transfer->is_dirty = true;
    transfer->refs++;
    fab_list_append(&mover->dirty, &transfer->link);
    (void)pthread_cond_signal(&mover->changed);
}

/* The stream goes on, and who else waits for the end hears of it. */
static void end_locked(struct cudas_transfer *transfer, CUresult result)
{
    if (transfer->has_ended)
        return;
    transfer->has_ended = true;
    /* The stream of a receiver that nobody else waits for is the program's: it must not go on as if
     * the bytes were there. */
    if (result != CUDA_SUCCESS && !transfer->config.is_client &&
        transfer->config.direction == CUDAS_IN && transfer->config.peer_flag == 0)
        cudas_context_failed(transfer->context, result);
    cudas_wait_end(&transfer->wait);
    if (transfer->config.peer_flag != 0)
        cudas_peer_flag(transfer->worker, transfer->config.peer, transfer->config.peer_flag,
                        result);
}

/* What a transfer's end means for those who wait for it. A fault of a device is its own context's,
 * as in one driver: that one tells of it, and others go on. */
static CUresult result_of(enum fab_status status)
{
    if (status == FAB_ERR_DEVICE)
        return CUDA_SUCCESS;
    return status == FAB_ERR_PEER_LOST || status == FAB_ERR_TIMEOUT ? CUDA_ERROR_DEVICE_UNAVAILABLE
                                                                    : CUDA_ERROR_UNKNOWN;
}

void cudas_transfer_fail_locked(struct cudas_transfer *transfer, enum fab_status status)
{
    if (transfer->has_failed)
        return;
    transfer->has_failed = true;
    if (transfer->bulk)
        xp_bulk_cancel(transfer->bulk, status);
    end_locked(transfer, result_of(status));
}

void cudas_transfer_moved_locked(struct cudas_transfer *transfer, uint64_t bytes)
{
    transfer->moved_bytes += bytes;
    if (transfer->moved_bytes < transfer->total_bytes || transfer->has_failed)
        return;
    if (transfer->config.direction == CUDAS_OUT && transfer->config.is_client && transfer->bulk) {
        transfer->is_captured = true;
        cudas_capture_add(transfer->worker, &transfer->capture);
    }
    end_locked(transfer, CUDA_SUCCESS);
}

void cudas_transfers_feed_locked(struct cudas_mover *mover, const struct cudas_context *context)
{
    FAB_LIST_EACH(node, after, &mover->all)
    {
        struct cudas_transfer *transfer = fab_list_object(node, struct cudas_transfer, all_link);

        if (transfer->context != context || !transfer->is_starved)
            continue;
        transfer->is_starved = false;
        if (transfer->config.direction == CUDAS_OUT)
            cudas_transfer_dirty_locked(transfer);
        else if (transfer->bulk)
            xp_bulk_resume(transfer->bulk);
    }
}

struct cudas_chunk *cudas_chunk_at_locked(struct cudas_transfer *transfer, uint32_t index)
{
    while (transfer->chunks.count <= index)
        if (!fab_vec_add(&transfer->chunks))
            return NULL;
    return fab_vec_at(&transfer->chunks, struct cudas_chunk, index);
}

/* ---- what the rails ask ---------------------------------------------------------------------- */

static void *device_bytes(const struct cudas_transfer *transfer, uint64_t offset)
{
    /* A rail that takes device memory takes its addresses as they are. */
    return (void *)(uintptr_t)(transfer->config.box.address + offset); /* NOLINT */
}

static bool can_be_direct(const struct cudas_transfer *transfer, const struct xp_chunk *chunk)
{
    return transfer->is_dense && (chunk->direct & (1u << XP_MEMORY_DEVICE));
}

static enum fab_status starve_locked(struct cudas_transfer *transfer)
{
    transfer->is_starved = true;
    return FAB_ERR_AGAIN;
}

static enum fab_status place_direct_locked(struct cudas_transfer *transfer, struct xp_chunk *chunk,
                                           struct cudas_chunk *record)
{
    if (!transfer->is_reached)
        return starve_locked(transfer);
    record->state = CUDAS_CHUNK_DIRECT;
    chunk->address = device_bytes(transfer, chunk->offset);
    chunk->memory = XP_MEMORY_DEVICE;
    transfer->had_direct = true;
    return FAB_OK;
}

/* A slot to be filled. Before the stream is there only half of them may be taken, so that those who
 * wait cannot keep those who could go on from it. */
static enum fab_status place_in_locked(struct cudas_transfer *transfer, struct xp_chunk *chunk,
                                       struct cudas_chunk *record)
{
    if (chunk->size_bytes > CUDAS_SLOT_BYTES)
        return FAB_ERR_PROTOCOL;
    if (!record->slot) {
        if (!transfer->is_reached && !cudas_slots_are_plenty(transfer->context))
            return starve_locked(transfer);
        record->slot = cudas_slot_take(transfer->context, CUDAS_SLOT_BYTES, /* may_grow */ false);
        if (!record->slot) {
            cudas_transfer_dirty_locked(transfer); /* the mover may make more */
            return starve_locked(transfer);
        }
    }
    record->state = CUDAS_CHUNK_PLACED;
    record->offset = chunk->offset;
    record->size_bytes = chunk->size_bytes;
    chunk->address = record->slot->bytes;
    chunk->memory = XP_MEMORY_HOST;
    return FAB_OK;
}

/* Both ends cut by the same plan; the first chunk shows its unit. */
static void learn_plan_locked(struct cudas_transfer *transfer, const struct xp_chunk *chunk)
{
    const uint64_t units[] = {(uint64_t)chunk->size_bytes * 4, chunk->size_bytes};

    for (size_t i = 0; i < FAB_ARRAY_LEN(units); i++) {
        struct xp_plan plan;
        uint64_t offset;
        uint32_t size_bytes;

        if (units[i] > UINT32_MAX ||
            xp_plan_make(transfer->total_bytes, (uint32_t)units[i], &plan) != FAB_OK ||
            chunk->index >= plan.chunk_count)
            continue;
        xp_plan_chunk(&plan, chunk->index, &offset, &size_bytes);
        if (offset == chunk->offset && size_bytes == chunk->size_bytes) {
            transfer->plan = plan;
            return;
        }
    }
}

static enum fab_status place_out_locked(struct cudas_transfer *transfer, struct xp_chunk *chunk,
                                        struct cudas_chunk *record)
{
    if (record->state == CUDAS_CHUNK_READY || record->state == CUDAS_CHUNK_DONE) {
        chunk->address = record->slot ? record->slot->bytes : NULL;
        chunk->memory = XP_MEMORY_HOST;
        return chunk->address ? FAB_OK : FAB_ERR_STATE;
    }
    if (chunk->size_bytes > CUDAS_SLOT_BYTES)
        return FAB_ERR_PROTOCOL;
    record->offset = chunk->offset;
    record->size_bytes = chunk->size_bytes;
    if (transfer->plan.chunk_count == 0)
        learn_plan_locked(transfer, chunk);
    if (chunk->index >= transfer->asked)
        transfer->asked = chunk->index + 1;
    if (transfer->is_reached)
        cudas_transfer_dirty_locked(transfer);
    return FAB_ERR_AGAIN; /* resumed when it is captured */
}

static enum fab_status transfer_place(void *user, struct xp_chunk *chunk)
{
    struct cudas_transfer *transfer = user;
    struct cudas_mover *mover = mover_of(transfer);
    struct cudas_chunk *record;
    enum fab_status status = FAB_ERR_CANCELLED;

    fab_mutex_lock(&mover->lock);
    record = transfer->has_failed ? NULL : cudas_chunk_at_locked(transfer, chunk->index);
    if (!record)
        status = transfer->has_failed ? FAB_ERR_CANCELLED : FAB_ERR_NOMEM;
    else if (!record->slot && can_be_direct(transfer, chunk))
        status = place_direct_locked(transfer, chunk, record);
    else if (transfer->config.direction == CUDAS_IN)
        status = place_in_locked(transfer, chunk, record);
    else
        status = place_out_locked(transfer, chunk, record);
    fab_mutex_unlock(&mover->lock);
    return status;
}

static void moved_in_locked(struct cudas_transfer *transfer, struct cudas_chunk *record,
                            uint32_t index, uint64_t bytes)
{
    if (transfer->has_failed) {
        xp_bulk_consumed(transfer->bulk, index, FAB_ERR_CANCELLED);
    } else if (record->state == CUDAS_CHUNK_DIRECT) {
        record->state = CUDAS_CHUNK_DONE;
        xp_bulk_consumed(transfer->bulk, index, FAB_OK);
        cudas_transfer_moved_locked(transfer, bytes);
    } else {
        /* It is safe in the slot. Acknowledged now: while a stream is not there yet, its chunks
         * must not take the rails from those whose stream is. */
        record->state = CUDAS_CHUNK_LANDED;
        xp_bulk_consumed(transfer->bulk, index, FAB_OK);
        if (transfer->is_reached)
            cudas_transfer_dirty_locked(transfer);
    }
}

/* The receiver has it: the place is free. */
static void moved_out_locked(struct cudas_transfer *transfer, struct cudas_chunk *record,
                             uint64_t bytes)
{
    if (record->state == CUDAS_CHUNK_DIRECT)
        cudas_transfer_moved_locked(transfer, bytes);
    record->state = CUDAS_CHUNK_DONE;
    if (record->slot) {
        cudas_slot_give(transfer->context, record->slot);
        record->slot = NULL;
        cudas_transfers_feed_locked(mover_of(transfer), transfer->context);
    }
}

static void transfer_moved(void *user, const struct xp_chunk *chunk)
{
    struct cudas_transfer *transfer = user;
    struct cudas_mover *mover = mover_of(transfer);
    struct cudas_stats *stats = &transfer->worker->stats;
    struct cudas_chunk *record;
    _Atomic uint64_t *counter;

    fab_mutex_lock(&mover->lock);
    record = fab_vec_at(&transfer->chunks, struct cudas_chunk, chunk->index);
    if (record->state == CUDAS_CHUNK_DIRECT)
        counter = &stats->bytes_direct;
    else if (!transfer->config.is_client)
        counter = &stats->bytes_peer;
    else
        counter = transfer->config.direction == CUDAS_IN ? &stats->bytes_in : &stats->bytes_out;
    atomic_fetch_add_explicit(counter, chunk->size_bytes, memory_order_relaxed);
    if (transfer->config.direction == CUDAS_IN)
        moved_in_locked(transfer, record, chunk->index, chunk->size_bytes);
    else
        moved_out_locked(transfer, record, chunk->size_bytes);
    fab_mutex_unlock(&mover->lock);
}

static void transfer_done(void *user, enum fab_status status)
{
    struct cudas_transfer *transfer = user;
    struct cudas_mover *mover = mover_of(transfer);

    fab_mutex_lock(&mover->lock);
    transfer->bulk = NULL;
    if (transfer->is_captured)
        cudas_capture_remove(transfer->worker, &transfer->capture);
    if (status != FAB_OK)
        cudas_transfer_fail_locked(transfer, status);
    cudas_transfer_put_locked(transfer);
    fab_mutex_unlock(&mover->lock);
}

static const struct xp_bulk_ops bulk_ops = {
    .place = transfer_place, .moved = transfer_moved, .done = transfer_done};

/* ---- starting -------------------------------------------------------------------------------- */

static void ask_client(struct cudas_worker *worker, uint64_t id)
{
    uint64_t landed[CUDAS_LANDED_MAX];
    struct wire_pull m = {.transfer = id, .landed = landed};
    struct wire_parts parts;

    m.landed_count = cudas_landed(worker, landed);
    wire_put_pull(&m, &parts);
    cudas_signal(worker, WIRE_PULL, &parts);
}

/* The program's stream has got there (or its context has failed). Takes over a reference. */
static void reached(struct cudas_transfer *transfer, CUresult status)
{
    struct cudas_mover *mover = mover_of(transfer);

    if (status == CUDA_SUCCESS && transfer->config.pull)
        ask_client(transfer->worker, transfer->config.id);
    fab_mutex_lock(&mover->lock);
    transfer->is_reached = true;
    if (status != CUDA_SUCCESS) {
        cudas_transfer_fail_locked(transfer, FAB_ERR_DEVICE);
    } else {
        cudas_transfer_dirty_locked(transfer);
        if (transfer->is_starved && transfer->bulk) {
            transfer->is_starved = false;
            xp_bulk_resume(transfer->bulk);
        }
    }
    cudas_transfer_put_locked(transfer);
    fab_mutex_unlock(&mover->lock);
}

static void reached_callback(CUstream stream, CUresult status, void *arg)
{
    (void)stream;
    reached(arg, status);
}

/* Whether a copy that is put into the stream now has nothing to wait for: neither in the stream nor
 * in the default stream, whose work a query of another one says nothing of. */
static bool starts_now(const struct cudas_driver *cu, const struct cudas_stream *stream)
{
    return cu->cuStreamQuery(stream->handle) == CUDA_SUCCESS &&
           (!stream->waits_for_legacy || cu->cuStreamQuery(CU_STREAM_LEGACY) == CUDA_SUCCESS);
}

/* The stream calls back and then waits. Without the lock: the driver may make us wait for room, and
 * its callbacks take the lock. */
static CUresult enter_stream(struct cudas_transfer *transfer, const struct cudas_stream *stream,
                             struct cudas_wait *wait_out, bool *is_there_out)
{
    struct cudas_mover *mover = mover_of(transfer);
    const struct cudas_driver *cu = &transfer->worker->cu;
    CUresult result;

    if (starts_now(cu, stream)) {
        transfer->is_reached = *is_there_out = true;
        return cudas_wait_begin(transfer->context, stream->handle, wait_out);
    }
    fab_mutex_lock(&mover->lock);
    transfer->refs++;
    fab_mutex_unlock(&mover->lock);
    result = cu->cuStreamAddCallback(stream->handle, reached_callback, transfer, 0);
    if (result == CUDA_SUCCESS)
        return cudas_wait_begin(transfer->context, stream->handle, wait_out);
    fab_mutex_lock(&mover->lock);
    cudas_transfer_put_locked(transfer);
    fab_mutex_unlock(&mover->lock);
    return result;
}

static enum fab_status start_bulk_locked(struct cudas_transfer *transfer)
{
    const struct cudas_transfer_config *config = &transfer->config;
    const struct xp_bulk bulk = {.id = config->id,
                                 .command = config->command,
                                 .size_bytes = transfer->total_bytes,
                                 .ops = &bulk_ops,
                                 .user = transfer};
    enum fab_status status;

    transfer->refs++;
    status = config->direction == CUDAS_IN
                 ? xp_bulk_receive(config->conn, &bulk, &transfer->bulk, NULL)
                 : xp_bulk_send(config->conn, &bulk, &transfer->bulk, NULL);
    if (status != FAB_OK) {
        transfer->bulk = NULL;
        transfer->refs--;
    }
    return status;
}

static CUresult start_locked(struct cudas_transfer *transfer, struct cudas_wait *wait)
{
    enum fab_status status = FAB_ERR_DEVICE;

    if (transfer->has_ended)
        cudas_wait_end(wait); /* the callback came with an error */
    else
        transfer->wait = *wait;
    if (!transfer->has_failed)
        status = start_bulk_locked(transfer);
    if (status == FAB_OK) {
        if (transfer->is_reached)
            cudas_transfer_dirty_locked(transfer);
        return CUDA_SUCCESS;
    }
    if (transfer->has_failed)
        return CUDA_SUCCESS; /* the context's error tells of it */
    return status == FAB_ERR_LIMIT || status == FAB_ERR_NOMEM ? CUDA_ERROR_OUT_OF_MEMORY
                                                              : CUDA_ERROR_UNKNOWN;
}

static CUresult submit(struct cudas_transfer *transfer, const struct cudas_stream *stream)
{
    struct cudas_worker *const worker = transfer->worker;
    struct cudas_mover *mover = worker->mover;
    const uint64_t id = transfer->config.id;
    const bool is_pulled = transfer->config.pull;
    struct cudas_wait wait = {.context = NULL};
    bool is_there = false; /* the stream; else its callback asks */
    CUresult result;

    /* One slot at least, made while the context is current here. */
    cudas_slot_give(transfer->context,
                    cudas_slot_take(transfer->context, CUDAS_SLOT_BYTES, /* may_grow */ true));
    result = cudas_lane_take(transfer->context, &transfer->lane);
    if (result != CUDA_SUCCESS)
        return result;
    fab_mutex_lock(&mover->lock);
    fab_list_append(&mover->all, &transfer->all_link);
    fab_mutex_unlock(&mover->lock);
    result = enter_stream(transfer, stream, &wait, &is_there);
    fab_mutex_lock(&mover->lock);
    if (result == CUDA_SUCCESS)
        result = start_locked(transfer, &wait);
    if (result != CUDA_SUCCESS)
        cudas_transfer_fail_locked(transfer, FAB_ERR_DEVICE);
    fab_mutex_unlock(&mover->lock);
    if (is_there && is_pulled && result == CUDA_SUCCESS) /* the transfer may be gone */
        ask_client(worker, id);
    return result;
}

CUresult cudas_transfer_start(struct cudas_worker *worker, const struct cudas_place *place,
                              const struct cudas_transfer_config *config)
{
    struct cudas_transfer *transfer = fab_alloc_zeroed(1, sizeof(*transfer));
    CUresult result;

    if (!transfer)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *transfer = (struct cudas_transfer){.worker = worker,
                                        .context = place->context,
                                        .config = *config,
                                        .refs = 1,
                                        .is_dense = cudas_box_is_dense(&config->box),
                                        .capture = {.id = config->id}};
    (void)cudas_box_bytes(&config->box, &transfer->total_bytes);
    fab_vec_init(&transfer->chunks, sizeof(struct cudas_chunk));
    fab_list_init(&transfer->link);
    fab_list_init(&transfer->all_link);
    fab_list_init(&transfer->capture.link);
    cudas_object_ref(&place->context->object);
    result = submit(transfer, place->stream);
    fab_mutex_lock(&worker->mover->lock);
    cudas_transfer_put_locked(transfer);
    fab_mutex_unlock(&worker->mover->lock);
    return result;
}

/* ---- what has landed ------------------------------------------------------------------------- */

uint32_t cudas_landed(struct cudas_worker *worker, uint64_t ids_out[CUDAS_LANDED_MAX])
{
    struct cudas_mover *mover = worker->mover;
    uint32_t count = 0;

    fab_mutex_lock(&mover->captured_lock);
    FAB_LIST_EACH(node, after, &mover->captured)
    {
        if (count < CUDAS_LANDED_MAX)
            ids_out[count++] = fab_list_object(node, struct cudas_capture, link)->id;
    }
    fab_mutex_unlock(&mover->captured_lock);
    return count;
}

void cudas_capture_add(struct cudas_worker *worker, struct cudas_capture *capture)
{
    fab_mutex_lock(&worker->mover->captured_lock);
    fab_list_append(&worker->mover->captured, &capture->link);
    fab_mutex_unlock(&worker->mover->captured_lock);
}

void cudas_capture_remove(struct cudas_worker *worker, struct cudas_capture *capture)
{
    fab_mutex_lock(&worker->mover->captured_lock);
    fab_list_remove(&capture->link);
    fab_mutex_unlock(&worker->mover->captured_lock);
}
