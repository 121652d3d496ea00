/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/mover.c - the thread that copies between device memory and slots.
 *
 * What it submits to lanes waits for nothing but the device, since the program's stream has got
 * there before; so it may wait for the oldest copy when there is nothing else to do.
 */
#include <signal.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "cuda-server/transfer_int.h"

enum { AHEAD = 8 }; /* chunks that are captured before a rail asks for them */

/* ---- submitting ------------------------------------------------------------------------------ */

/* Submits the copy of one chunk. Without the lock; the chunk is COPYING, so nobody else touches it.
 */
static CUresult submit_copy(struct cudas_transfer *transfer, const struct cudas_chunk *chunk)
{
    const struct cudas_driver *cu = &transfer->worker->cu;
    CUresult result = cudas_enter(transfer->context);

    if (result == CUDA_SUCCESS)
        result = cudas_box_copy_part(transfer->worker, transfer->lane->stream,
                                     transfer->config.direction, &transfer->config.box,
                                     chunk->offset, chunk->size_bytes, chunk->slot->bytes);
    if (result == CUDA_SUCCESS)
        result = cu->cuEventRecord(chunk->slot->event, transfer->lane->stream);
    return result;
}

/* With the lock, which is dropped while the driver is called. */
FAB_UNCHECKED static void copy_chunk_locked(struct cudas_mover *mover,
                                            struct cudas_transfer *transfer, uint32_t index)
{
    struct cudas_copying copying = {.transfer = transfer, .index = index};
    struct cudas_chunk *record = fab_vec_at(&transfer->chunks, struct cudas_chunk, index);
    struct cudas_chunk chunk;

    record->state = CUDAS_CHUNK_COPYING;
    chunk = *record;
    transfer->refs++;
    fab_mutex_unlock(&mover->lock);
    copying.result = submit_copy(transfer, &chunk);
    fab_mutex_lock(&mover->lock);
    if (fab_vec_push(&mover->copying, &copying) == FAB_OK)
        return;
    (void)transfer->worker->cu.cuEventSynchronize(chunk.slot->event);
    fab_vec_at(&transfer->chunks, struct cudas_chunk, index)->state = CUDAS_CHUNK_LANDED;
    cudas_transfer_fail_locked(transfer, FAB_ERR_NOMEM);
    cudas_transfer_put_locked(transfer);
}

static void step_in_locked(struct cudas_mover *mover, struct cudas_transfer *transfer)
{
    for (uint32_t i = 0; i < transfer->chunks.count && !transfer->has_failed; i++) {
        if (fab_vec_at(&transfer->chunks, struct cudas_chunk, i)->state == CUDAS_CHUNK_LANDED)
            copy_chunk_locked(mover, transfer, i);
    }
}

/* The next chunk to capture; false: none now. */
static bool next_capture_locked(struct cudas_transfer *transfer, uint32_t *index_out)
{
    const uint32_t known = transfer->plan.chunk_count;
    uint32_t until = transfer->asked;

    if (known > 0)
        until = until + AHEAD < known ? until + AHEAD : known;
    while (transfer->next_capture < until) {
        struct cudas_chunk *record = cudas_chunk_at_locked(transfer, transfer->next_capture);

        if (!record)
            return false;
        if (record->state == CUDAS_CHUNK_NONE) {
            if (known > 0)
                xp_plan_chunk(&transfer->plan, transfer->next_capture, &record->offset,
                              &record->size_bytes);
            if (record->size_bytes > 0) {
                *index_out = transfer->next_capture;
                return true;
            }
        }
        transfer->next_capture++;
    }
    return false;
}

static void step_out_locked(struct cudas_mover *mover, struct cudas_transfer *transfer)
{
    uint32_t index;

    while (!transfer->has_failed && next_capture_locked(transfer, &index)) {
        struct cudas_slot *slot =
            cudas_slot_take(transfer->context, CUDAS_SLOT_BYTES, /* may_grow */ true);

        if (!slot) {
            transfer->is_starved = true;
            return;
        }
        fab_vec_at(&transfer->chunks, struct cudas_chunk, index)->slot = slot;
        transfer->next_capture = index + 1;
        copy_chunk_locked(mover, transfer, index);
    }
}

/* Makes slots for a transfer that found none. */
static void grow_locked(struct cudas_mover *mover, struct cudas_transfer *transfer)
{
    struct cudas_slot *slot =
        cudas_slot_take(transfer->context, CUDAS_SLOT_BYTES, /* may_grow */ true);

    if (!slot)
        return;
    cudas_slot_give(transfer->context, slot);
    cudas_transfers_feed_locked(mover, transfer->context);
}

/* Takes over the list's reference. */
static void step_locked(struct cudas_mover *mover, struct cudas_transfer *transfer)
{
    transfer->is_dirty = false;
    if (!transfer->has_failed && cudas_enter(transfer->context) != CUDA_SUCCESS)
        cudas_transfer_fail_locked(transfer, FAB_ERR_DEVICE);
    if (!transfer->has_failed) {
        if (transfer->config.direction == CUDAS_IN) {
            if (transfer->is_starved)
                grow_locked(mover, transfer);
            if (transfer->is_reached)
                step_in_locked(mover, transfer);
        } else if (transfer->is_reached) {
            step_out_locked(mover, transfer);
        }
    }
    cudas_transfer_put_locked(transfer);
}

/* ---- completing ------------------------------------------------------------------------------ */

static void done_in_locked(struct cudas_mover *mover, struct cudas_transfer *transfer,
                           struct cudas_chunk *record)
{
    const uint64_t bytes = record->size_bytes;

    record->state = CUDAS_CHUNK_DONE;
    cudas_slot_give(transfer->context, record->slot);
    record->slot = NULL;
    cudas_transfer_moved_locked(transfer, bytes);
    cudas_transfers_feed_locked(mover, transfer->context);
}

static void done_out_locked(struct cudas_transfer *transfer, struct cudas_chunk *record)
{
    record->state = CUDAS_CHUNK_READY;
    cudas_transfer_moved_locked(transfer, record->size_bytes);
    if (transfer->bulk && !transfer->has_failed)
        xp_bulk_resume(transfer->bulk);
}

/* Waits for the oldest copy. With the lock, which is dropped meanwhile. */
FAB_UNCHECKED static void complete_locked(struct cudas_mover *mover)
{
    const struct cudas_copying copying =
        *fab_vec_at(&mover->copying, struct cudas_copying, mover->copying_from);
    struct cudas_transfer *transfer = copying.transfer;
    CUresult result = copying.result;
    struct cudas_chunk *record = fab_vec_at(&transfer->chunks, struct cudas_chunk, copying.index);
    CUevent event = record->slot->event;

    if (++mover->copying_from == mover->copying.count) {
        fab_vec_clear(&mover->copying);
        mover->copying_from = 0;
    }
    fab_mutex_unlock(&mover->lock);
    if (result == CUDA_SUCCESS)
        result = cudas_enter(transfer->context);
    if (result == CUDA_SUCCESS)
        result = transfer->worker->cu.cuEventSynchronize(event);
    fab_mutex_lock(&mover->lock);
    record = fab_vec_at(&transfer->chunks, struct cudas_chunk, copying.index);
    if (result != CUDA_SUCCESS) {
        cudas_context_failed(transfer->context, result);
        cudas_transfer_fail_locked(transfer, FAB_ERR_DEVICE);
    }
    if (transfer->config.direction == CUDAS_IN)
        done_in_locked(mover, transfer, record);
    else
        done_out_locked(transfer, record);
    cudas_transfer_put_locked(transfer);
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void run_jobs_locked(struct cudas_mover *mover)
{
    struct fab_list *node;

    while ((node = fab_list_take(&mover->jobs)) != NULL) {
        struct cudas_job *job = fab_list_object(node, struct cudas_job, link);

        fab_mutex_unlock(&mover->lock);
        job->fn(job->arg);
        fab_mutex_lock(&mover->lock);
    }
}

void cudas_mover_run(struct cudas_worker *worker, struct cudas_job *job)
{
    struct cudas_mover *mover = worker->mover;

    fab_mutex_lock(&mover->lock);
    fab_list_append(&mover->jobs, &job->link);
    (void)pthread_cond_signal(&mover->changed);
    fab_mutex_unlock(&mover->lock);
}

void *cudas_mover_main(void *arg)
{
    struct cudas_mover *mover = arg;

    cudas_thread_begin(mover->worker, "cudas-mover");
    fab_mutex_lock(&mover->lock);
    for (;;) {
        struct fab_list *node;

        run_jobs_locked(mover);
        node = fab_list_take(&mover->dirty);
        if (node)
            step_locked(mover, fab_list_object(node, struct cudas_transfer, link));
        else if (mover->copying.count > 0)
            complete_locked(mover);
        else if (mover->is_ending)
            break;
        else
            fab_mutex_wait(&mover->lock, &mover->changed);
    }
    fab_mutex_unlock(&mover->lock);
    return NULL;
}

enum fab_status cudas_mover_create(struct cudas_worker *worker, struct cudas_mover **mover_out,
                                   struct fab_err *err)
{
    struct cudas_mover *mover = fab_alloc_zeroed(1, sizeof(*mover));
    sigset_t all, before;

    if (!mover)
        return fab_err_set(err, FAB_ERR_NOMEM, "mover");
    mover->worker = worker;
    fab_mutex_init(&mover->lock);
    fab_mutex_init(&mover->captured_lock);
    (void)pthread_cond_init(&mover->changed, NULL);
    fab_list_init(&mover->dirty);
    fab_list_init(&mover->all);
    fab_list_init(&mover->jobs);
    fab_list_init(&mover->captured);
    fab_vec_init(&mover->copying, sizeof(struct cudas_copying));
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    mover->has_thread = pthread_create(&mover->thread, NULL, cudas_mover_main, mover) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!mover->has_thread) {
        cudas_mover_destroy(mover);
        return fab_err_set(err, FAB_ERR_NOMEM, "thread of the mover");
    }
    *mover_out = mover;
    return FAB_OK;
}

void cudas_mover_destroy(struct cudas_mover *mover)
{
    if (!mover)
        return;
    fab_mutex_lock(&mover->lock);
    mover->is_ending = true;
    (void)pthread_cond_signal(&mover->changed);
    fab_mutex_unlock(&mover->lock);
    if (mover->has_thread)
        (void)pthread_join(mover->thread, NULL);
    fab_vec_fini(&mover->copying);
    (void)pthread_cond_destroy(&mover->changed);
    fab_mutex_fini(&mover->captured_lock);
    fab_mutex_fini(&mover->lock);
    free(mover);
}
