/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/transfer.c - bytes on their way between host memory and a worker.
 *
 * The table holds what is under way. A transfer leaves it when the transport is done with its
 * memory, or (small ones) when its bytes came as a message; whoever waits for its id then goes on.
 * What a failed context never sends leaves it when the context is closed.
 * What the transport has no room for is started when another one is done. Rows that do not lie end
 * to end go through a buffer, chunk by chunk.
 * Streams put copies in an order, but their bytes travel on their own: so nothing touches host
 * memory that an earlier copy from a device has not written yet (is_blocked_locked).
 * A transfer that fails is its context's error before it leaves the table: who looks for its id
 * later finds nothing, and takes it for landed.
 * Thread: any; the transport's callbacks come on its engines and take only the table's lock.
 */
#include "cuda-client/transfer_int.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/list.h"
#include "base/map.h"
#include "cuda-client/copy_link.h"
#include "ucx-transport/xp.h"

enum transfer_state {
    STATE_ARMED,   /* waits for the worker's word (PULL, SMALL) */
    STATE_QUEUED,  /* waits for room in the transport */
    STATE_RUNNING, /* the transport has it */
    STATE_ENDING,  /* one thread is about to end it */
};

struct transfer {
    uint64_t id;
    enum cudac_transfer_kind kind;
    enum transfer_state state;
    struct cudac_worker *worker;
    uint64_t ctx; /* whose work it is */
    struct cudac_rows rows;
    const struct xp_mem *xp_mem;
    void *owned;
    struct xp_transfer *xp;  /* while running */
    enum fab_status refusal; /* why the transport did not take it */
    struct fab_list queued;  /* waits for room, or for earlier ones */
    uint8_t *early;          /* a small one's bytes, which have to wait */
    uint8_t **buffers;       /* by chunk, of rows that are not dense */
    uint32_t buffer_count;
};

/* Somebody waits for some transfers of a worker. */
struct waiter {
    struct fab_list link;
    struct waiter *next; /* in a list of those whose callback is due */
    struct cudac_worker *worker;
    uint32_t left;
    CUresult result;
    void (*fn)(void *arg); /* NULL: a thread waits on the condition */
    void *arg;
    uint32_t count;
    uint64_t ids[]; /* those not landed are found in the table; landed ones become 0 */
};

static struct {
    pthread_mutex_t lock; /* a leaf but for the transport's own and the list of contexts */
    pthread_cond_t landed;
    struct fab_map by_id;
    struct fab_list queue; /* transfers that wait for room */
    struct fab_list waiters;
    uint32_t out_count;   /* from devices */
    uint32_t early_count; /* with bytes that wait */
} table = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .landed = PTHREAD_COND_INITIALIZER,
    .queue = {&table.queue, &table.queue},
    .waiters = {&table.waiters, &table.waiters},
};

static bool is_out(const struct transfer *transfer)
{
    return transfer->kind == CUDAC_TRANSFER_RECEIVE || transfer->kind == CUDAC_TRANSFER_SMALL;
}

static uint64_t rows_end(const struct cudac_rows *rows)
{
    return rows->address + (rows->depth - 1) * rows->layer + (rows->height - 1) * rows->pitch +
           rows->width;
}

static bool writes_into(const struct transfer *transfer, uint64_t address, uint64_t end)
{
    return is_out(transfer) && transfer->rows.address < end && address < rows_end(&transfer->rows);
}

/* An earlier copy has yet to write memory that this one reads or writes. */
static bool is_blocked_locked(const struct transfer *transfer)
{
    const uint64_t end = rows_end(&transfer->rows);
    const struct fab_map_entry *entry;
    size_t cursor = 0;

    if (table.out_count <= (uint32_t)is_out(transfer))
        return false;
    while ((entry = fab_map_next(&table.by_id, &cursor)) != NULL) {
        const struct transfer *other = entry->value;

        if (other->id < transfer->id && writes_into(other, transfer->rows.address, end))
            return true;
    }
    return false;
}

/* ---- the end -------------------------------------------------------------------------------- */

static void transfer_free(struct transfer *transfer)
{
    for (uint32_t i = 0; i < transfer->buffer_count; i++)
        free(transfer->buffers[i]);
    free(transfer->buffers);
    free(transfer->early);
    free(transfer->owned);
    free(transfer);
}

/* Waiters that have all now go on: threads are woken, callbacks are put on `ready`. */
static void tell_waiters_locked(const struct transfer *transfer, CUresult result,
                                struct waiter **ready)
{
    FAB_LIST_EACH(node, after, &table.waiters)
    {
        struct waiter *waiter = fab_list_object(node, struct waiter, link);

        for (uint32_t i = 0; i < waiter->count; i++) {
            if (waiter->ids[i] != transfer->id || waiter->worker != transfer->worker)
                continue;
            waiter->ids[i] = 0;
            waiter->left--;
            if (waiter->result == CUDA_SUCCESS)
                waiter->result = result;
        }
        if (waiter->left > 0)
            continue;
        fab_list_remove(&waiter->link);
        if (waiter->fn) {
            waiter->next = *ready;
            *ready = waiter;
        } else {
            pthread_cond_broadcast(&table.landed); /* its memory is the waiting thread's */
        }
    }
}

static void call_ready(struct waiter *ready)
{
    while (ready) {
        struct waiter *waiter = ready;

        ready = waiter->next;
        waiter->fn(waiter->arg);
        free(waiter);
    }
}

/* Why a transfer ended, for its context; CUDA_SUCCESS: it did not fail, or who asked for its end
 * has been answered, or the worker tells of its context itself. */
static void tell_context_locked(const struct transfer *transfer, CUresult error)
{
    struct cudac_context *context =
        error == CUDA_SUCCESS ? NULL : cudac_context_of_id(transfer->ctx);

    if (!context)
        return;
    cudac_context_set_error(context, error);
    cuc_object_put(&context->object);
}

/* Out of the table, with all that follows; `gone` gets it, to be freed. */
static void leave_locked(struct transfer *transfer, CUresult result, struct waiter **ready,
                         struct fab_list *gone)
{
    (void)fab_map_remove(&table.by_id, transfer->id);
    fab_list_remove(&transfer->queued);
    table.out_count -= is_out(transfer);
    table.early_count -= transfer->early != NULL;
    tell_waiters_locked(transfer, result, ready);
    fab_list_append(gone, &transfer->queued);
}

static void start_queued_locked(struct cudac_worker *worker, struct waiter **ready,
                                struct fab_list *gone);

/* Small ones whose bytes waited for what has ended. */
static void land_early_locked(struct waiter **ready, struct fab_list *gone)
{
    const struct fab_map_entry *entry;
    size_t cursor = 0;

    while (table.early_count > 0 && (entry = fab_map_next(&table.by_id, &cursor)) != NULL) {
        struct transfer *transfer = entry->value;

        if (!transfer->early || transfer->state != STATE_ARMED || is_blocked_locked(transfer))
            continue;
        cudac_rows_scatter(&transfer->rows, 0, cudac_rows_bytes(&transfer->rows), transfer->early);
        leave_locked(transfer, CUDA_SUCCESS, ready, gone);
        cursor = 0; /* the map has changed, and others may be free now */
    }
}

/* The worker has its end of a transfer that this end could not start, and would wait for ever. */
static void condemn(struct cudac_worker *worker, enum fab_status status)
{
    xp_conn_condemn(cudac_worker_conn(worker), status, "a copy can not be started here");
}

/* Without the lock. */
static void end_all(struct fab_list *gone)
{
    struct fab_list *node;

    while ((node = fab_list_take(gone)) != NULL) {
        struct transfer *transfer = fab_list_object(node, struct transfer, queued);

        if (transfer->refusal != FAB_OK)
            condemn(transfer->worker, transfer->refusal);
        transfer_free(transfer);
    }
}

/* `error`: what the context is to be told. */
static void transfer_end(struct transfer *transfer, CUresult result, CUresult error)
{
    struct cudac_worker *worker = transfer->worker;
    struct waiter *ready = NULL;
    struct fab_list gone;

    fab_list_init(&gone);
    pthread_mutex_lock(&table.lock);
    tell_context_locked(transfer, error);
    leave_locked(transfer, result, &ready, &gone);
    land_early_locked(&ready, &gone);
    start_queued_locked(worker, &ready, &gone);
    pthread_mutex_unlock(&table.lock);
    call_ready(ready);
    end_all(&gone);
}

static CUresult result_of(enum fab_status status)
{
    switch ((int)status) {
    case FAB_OK:
        return CUDA_SUCCESS;
    case FAB_ERR_NOMEM:
        return CUDA_ERROR_OUT_OF_MEMORY;
    case FAB_ERR_CANCELLED:
    case FAB_ERR_DEVICE: /* its stream failed: the context says how */
        return CUDA_ERROR_UNKNOWN;
    default:
        return CUDA_ERROR_DEVICE_UNAVAILABLE;
    }
}

/* ---- the transport's questions -------------------------------------------------------------- */

/* What the context of a transfer that ended so is to be told: not what was ended here since its
 * command was refused, and not a fault of the device, which the worker tells of. */
static CUresult error_of(enum fab_status status)
{
    return status == FAB_ERR_CANCELLED || status == FAB_ERR_DEVICE ? CUDA_SUCCESS
                                                                   : result_of(status);
}

static void bulk_done(void *user, enum fab_status status)
{
    transfer_end(user, result_of(status), error_of(status));
}

/* One buffer a chunk; chunks of one transfer are never asked for by two threads at once, but those
 * of different ones are, and the array may grow meanwhile. */
static enum fab_status buffer_of(struct transfer *transfer, const struct xp_chunk *chunk,
                                 bool *is_new, uint8_t **buffer_out)
{
    enum fab_status status = FAB_OK;
    uint8_t **grown;

    pthread_mutex_lock(&table.lock);
    if (chunk->index >= transfer->buffer_count) {
        grown = fab_alloc_resize(transfer->buffers, chunk->index + 1, sizeof(*grown));
        if (grown) {
            memset(grown + transfer->buffer_count, 0,
                   (chunk->index + 1 - transfer->buffer_count) * sizeof(*grown));
            transfer->buffers = grown;
            transfer->buffer_count = chunk->index + 1;
        } else {
            status = FAB_ERR_NOMEM;
        }
    }
    if (status == FAB_OK && !transfer->buffers[chunk->index]) {
        *is_new = true;
        transfer->buffers[chunk->index] = fab_alloc(chunk->size_bytes);
        status = transfer->buffers[chunk->index] ? FAB_OK : FAB_ERR_NOMEM;
    }
    if (status == FAB_OK)
        *buffer_out = transfer->buffers[chunk->index];
    pthread_mutex_unlock(&table.lock);
    return status;
}

static uint8_t *buffer_take(struct transfer *transfer, uint32_t index)
{
    uint8_t *buffer = NULL;

    pthread_mutex_lock(&table.lock);
    if (index < transfer->buffer_count) {
        buffer = transfer->buffers[index];
        transfer->buffers[index] = NULL;
    }
    pthread_mutex_unlock(&table.lock);
    return buffer;
}

static enum fab_status rows_place(void *user, struct xp_chunk *chunk)
{
    struct transfer *transfer = user;
    uint8_t *buffer = NULL;
    bool is_new = false;
    enum fab_status status = buffer_of(transfer, chunk, &is_new, &buffer);

    if (status != FAB_OK)
        return status;
    if (is_new && !is_out(transfer))
        cudac_rows_gather(&transfer->rows, chunk->offset, chunk->size_bytes, buffer);
    chunk->address = buffer;
    chunk->memory = XP_MEMORY_HOST;
    chunk->mem = NULL;
    return FAB_OK;
}

static void rows_moved(void *user, const struct xp_chunk *chunk)
{
    struct transfer *transfer = user;
    uint8_t *buffer = buffer_take(transfer, chunk->index);

    if (is_out(transfer)) {
        if (buffer)
            cudac_rows_scatter(&transfer->rows, chunk->offset, chunk->size_bytes, buffer);
        free(buffer);
        xp_bulk_consumed(transfer->xp, chunk->index, FAB_OK);
        return;
    }
    free(buffer);
}

static const struct xp_bulk_ops dense_ops = {.done = bulk_done};
static const struct xp_bulk_ops rows_ops = {
    .place = rows_place, .moved = rows_moved, .done = bulk_done};

/* ---- starting ------------------------------------------------------------------------------- */

/* Hands it to the transport, or queues it. A failure is the caller's to end it. */
static enum fab_status run_locked(struct transfer *transfer)
{
    struct xp_conn *conn = cudac_worker_conn(transfer->worker);
    const bool dense = cudac_rows_are_dense(&transfer->rows);
    const struct xp_bulk bulk = {
        .id = transfer->id,
        .size_bytes = cudac_rows_bytes(&transfer->rows),
        .ops = dense ? &dense_ops : &rows_ops,
        .user = transfer,
        .base = dense ? (void *)(uintptr_t)transfer->rows.address : NULL, // NOLINT
        .memory = XP_MEMORY_HOST,
        .mem = dense ? transfer->xp_mem : NULL,
    };
    enum fab_status status;

    transfer->state = STATE_RUNNING;
    status = is_out(transfer) ? xp_bulk_receive(conn, &bulk, &transfer->xp, /* err */ NULL)
                              : xp_bulk_send(conn, &bulk, &transfer->xp, /* err */ NULL);
    if (status != FAB_OK)
        transfer->state = STATE_QUEUED;
    return status;
}

/* The same; what finds no room, or has to wait for another one, is queued. */
static enum fab_status run_or_queue_locked(struct transfer *transfer)
{
    enum fab_status status = FAB_ERR_LIMIT;

    transfer->state = STATE_QUEUED;
    if (!is_blocked_locked(transfer))
        status = run_locked(transfer);
    if (status != FAB_ERR_LIMIT)
        return status;
    fab_list_append(&table.queue, &transfer->queued);
    return FAB_OK;
}

/* A transfer of the worker has ended: so there may be room, and what had to wait for it may go. */
static void start_queued_locked(struct cudac_worker *worker, struct waiter **ready,
                                struct fab_list *gone)
{
    bool is_full = false;

    FAB_LIST_EACH(node, after, &table.queue)
    {
        struct transfer *transfer = fab_list_object(node, struct transfer, queued);
        enum fab_status status;

        if (transfer->state != STATE_QUEUED || (is_full && transfer->worker == worker) ||
            is_blocked_locked(transfer))
            continue;
        status = run_locked(transfer);
        if (status == FAB_ERR_LIMIT) {
            is_full = is_full || transfer->worker == worker;
            continue;
        }
        fab_list_remove(&transfer->queued);
        transfer->refusal = status;
        if (status == FAB_OK)
            continue;
        tell_context_locked(transfer, error_of(status));
        leave_locked(transfer, result_of(status), ready, gone);
    }
}

static CUresult transfer_add_locked(struct transfer *transfer)
{
    enum fab_status status;

    if (fab_map_put(&table.by_id, transfer->id, transfer) != FAB_OK)
        return CUDA_ERROR_OUT_OF_MEMORY;
    table.out_count += is_out(transfer);
    if (transfer->state == STATE_ARMED)
        return cudac_worker_state(transfer->worker);
    status = run_or_queue_locked(transfer);
    return status == FAB_OK ? CUDA_SUCCESS : result_of(status);
}

CUresult cudac_transfer_start(const struct cudac_transfer_request *request, uint64_t *id_out)
{
    struct transfer *transfer = fab_alloc_zeroed(1, sizeof(*transfer));
    CUresult result;

    if (!transfer) {
        free(request->owned);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    transfer->id = *id_out = cudac_id_new();
    transfer->kind = request->kind;
    transfer->state = request->kind == CUDAC_TRANSFER_PULL || request->kind == CUDAC_TRANSFER_SMALL
                          ? STATE_ARMED
                          : STATE_QUEUED;
    transfer->worker = request->worker;
    transfer->ctx = request->ctx;
    transfer->rows = request->rows;
    transfer->xp_mem = request->xp_mem;
    transfer->owned = request->owned;
    fab_list_init(&transfer->queued);
    pthread_mutex_lock(&table.lock);
    result = transfer_add_locked(transfer);
    if (result != CUDA_SUCCESS && fab_map_remove(&table.by_id, transfer->id))
        table.out_count -= is_out(transfer);
    pthread_mutex_unlock(&table.lock);
    if (result != CUDA_SUCCESS)
        transfer_free(transfer);
    return result;
}

/* The transfer if it is still there and of that worker. */
static struct transfer *find_locked(const struct cudac_worker *worker, uint64_t id)
{
    struct transfer *transfer = fab_map_find(&table.by_id, id);

    return transfer && transfer->worker == worker ? transfer : NULL;
}

/* What the transport does not have is ended by whoever claims it; NULL: somebody else does. */
static struct transfer *claim_locked(struct transfer *transfer)
{
    if (!transfer || transfer->state == STATE_ENDING)
        return NULL;
    transfer->state = STATE_ENDING;
    return transfer;
}

void cudac_transfer_cancel(struct cudac_worker *worker, uint64_t id)
{
    struct transfer *transfer, *ended = NULL;

    pthread_mutex_lock(&table.lock);
    transfer = find_locked(worker, id);
    if (transfer && transfer->state == STATE_RUNNING)
        xp_bulk_cancel(transfer->xp, FAB_ERR_CANCELLED); /* bulk_done follows */
    else
        ended = claim_locked(transfer);
    pthread_mutex_unlock(&table.lock);
    if (ended)
        transfer_end(ended, CUDA_ERROR_UNKNOWN, CUDA_SUCCESS);
}

/* ---- what workers say ----------------------------------------------------------------------- */

/* FAB_ERR_AGAIN: the bytes are kept until it is their turn. */
static enum fab_status keep_early_locked(struct transfer *transfer,
                                         const struct wire_out_data *message)
{
    if (message->data_count == 0)
        return FAB_ERR_DEVICE; /* there are none: the worker could not get them */
    if (transfer->state != STATE_ARMED || transfer->early || !is_blocked_locked(transfer))
        return FAB_OK;
    transfer->early = fab_alloc(message->data_count);
    if (!transfer->early)
        return FAB_ERR_NOMEM;
    memcpy(transfer->early, message->data, message->data_count);
    table.early_count++;
    return FAB_ERR_AGAIN;
}

void cudac_on_out_data(struct cudac_worker *worker, const void *bytes, size_t size_bytes)
{
    enum fab_status status = FAB_ERR_AGAIN;
    struct transfer *transfer;
    struct wire_out_data message;

    if (!wire_get_out_data(bytes, size_bytes, &message)) {
        (void)cudac_worker_broken(worker, "out_data does not decode");
        return;
    }
    pthread_mutex_lock(&table.lock);
    transfer = find_locked(worker, message.transfer);
    if (transfer && transfer->state == STATE_RUNNING && message.data_count == 0) {
        xp_bulk_cancel(transfer->xp, FAB_ERR_CANCELLED); /* the context's error has come before */
        pthread_mutex_unlock(&table.lock);
        return;
    }
    if (transfer && message.data_count > 0 &&
        (transfer->kind != CUDAC_TRANSFER_SMALL ||
         message.data_count != cudac_rows_bytes(&transfer->rows))) {
        pthread_mutex_unlock(&table.lock);
        (void)cudac_worker_broken(worker, "out_data is not what was asked for");
        return;
    }
    if (transfer)
        status = keep_early_locked(transfer, &message);
    transfer = status == FAB_ERR_AGAIN ? NULL : claim_locked(transfer);
    pthread_mutex_unlock(&table.lock);
    if (!transfer) /* cancelled here meanwhile, or not its turn */
        return;
    if (status == FAB_OK)
        cudac_rows_scatter(&transfer->rows, 0, message.data_count, message.data);
    transfer_end(transfer, result_of(status), result_of(status));
}

struct pull {
    struct cudac_worker *worker;
    uint64_t id;
};

static void pull_now(void *arg)
{
    struct pull *pull = arg;
    struct transfer *transfer, *ended = NULL;
    enum fab_status status = FAB_OK;

    pthread_mutex_lock(&table.lock);
    transfer = find_locked(pull->worker, pull->id);
    if (transfer && transfer->kind == CUDAC_TRANSFER_PULL && transfer->state == STATE_ARMED)
        status = run_or_queue_locked(transfer);
    if (status != FAB_OK) {
        transfer->refusal = status;
        ended = claim_locked(transfer);
    }
    pthread_mutex_unlock(&table.lock);
    if (ended)
        transfer_end(ended, result_of(status), error_of(status));
    free(pull);
}

/* The source may hold what other transfers bring: they must have landed. */
void cudac_on_pull(struct cudac_worker *worker, const void *bytes, size_t size_bytes)
{
    struct wire_pull message;
    struct pull *pull;

    if (!wire_get_pull(bytes, size_bytes, &message)) {
        (void)cudac_worker_broken(worker, "pull does not decode");
        return;
    }
    pull = fab_alloc(sizeof(*pull));
    if (pull)
        *pull = (struct pull){worker, message.transfer};
    if (!pull || cudac_transfers_when(worker, message.landed, message.landed_count, pull_now,
                                      pull) != CUDA_SUCCESS) {
        free(pull);
        condemn(worker, FAB_ERR_NOMEM);
    }
}

/* Ends what is not the transport's (which does so by itself): of a worker, or of one context. */
static void end_idle(const struct cudac_worker *worker, uint64_t ctx, CUresult result)
{
    for (;;) {
        const struct fab_map_entry *entry;
        struct transfer *found = NULL;
        size_t cursor = 0;

        pthread_mutex_lock(&table.lock);
        while (!found && (entry = fab_map_next(&table.by_id, &cursor)) != NULL) {
            struct transfer *transfer = entry->value;

            if (transfer->worker == worker && transfer->state != STATE_RUNNING &&
                (ctx == 0 || transfer->ctx == ctx))
                found = claim_locked(transfer);
        }
        pthread_mutex_unlock(&table.lock);
        if (!found)
            return;
        transfer_end(found, result, CUDA_SUCCESS);
    }
}

void cudac_transfers_lost(struct cudac_worker *worker)
{
    cudac_links_lost(worker);
    end_idle(worker, 0, CUDA_ERROR_DEVICE_UNAVAILABLE);
}

void cudac_transfers_context_close(const struct cudac_context *context)
{
    end_idle(cudac_context_worker(context), context->id, CUDA_ERROR_CONTEXT_IS_DESTROYED);
}

/* ---- waiting -------------------------------------------------------------------------------- */

static void waiter_fill_locked(struct waiter *waiter, const uint64_t *ids, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (find_locked(waiter->worker, ids[i])) {
            waiter->ids[waiter->count++] = ids[i];
            waiter->left++;
        }
}

static struct waiter *waiter_new(struct cudac_worker *worker, uint32_t count)
{
    struct waiter *waiter = fab_alloc(sizeof(*waiter) + count * sizeof(waiter->ids[0]));

    if (waiter)
        *waiter = (struct waiter){.worker = worker};
    return waiter;
}

static bool any_is_open(struct cudac_worker *worker, const uint64_t *ids, uint32_t count)
{
    bool is_open = false;

    pthread_mutex_lock(&table.lock);
    for (uint32_t i = 0; i < count && !is_open; i++)
        is_open = find_locked(worker, ids[i]) != NULL;
    pthread_mutex_unlock(&table.lock);
    return is_open;
}

CUresult cudac_transfers_wait(struct cudac_worker *worker, const uint64_t *ids, uint32_t count)
{
    struct waiter *waiter;
    CUresult result;

    if (!any_is_open(worker, ids, count))
        return CUDA_SUCCESS;
    waiter = waiter_new(worker, count);
    if (!waiter)
        return CUDA_ERROR_OUT_OF_MEMORY;
    pthread_mutex_lock(&table.lock);
    waiter_fill_locked(waiter, ids, count);
    if (waiter->left > 0)
        fab_list_append(&table.waiters, &waiter->link);
    while (waiter->left > 0)
        (void)pthread_cond_wait(&table.landed, &table.lock);
    result = waiter->result;
    pthread_mutex_unlock(&table.lock);
    free(waiter);
    return result;
}

CUresult cudac_transfers_when(struct cudac_worker *worker, const uint64_t *ids, uint32_t count,
                              void (*fn)(void *arg), void *arg)
{
    struct waiter *waiter;
    bool is_waiting;

    if (!any_is_open(worker, ids, count)) {
        fn(arg);
        return CUDA_SUCCESS;
    }
    waiter = waiter_new(worker, count);
    if (!waiter)
        return CUDA_ERROR_OUT_OF_MEMORY;
    waiter->fn = fn;
    waiter->arg = arg;
    pthread_mutex_lock(&table.lock);
    waiter_fill_locked(waiter, ids, count);
    is_waiting = waiter->left > 0;
    if (is_waiting)
        fab_list_append(&table.waiters, &waiter->link);
    pthread_mutex_unlock(&table.lock);
    if (!is_waiting) {
        fn(arg);
        free(waiter);
    }
    return CUDA_SUCCESS;
}

/* ---- questions ------------------------------------------------------------------------------ */

bool cudac_transfers_pending_into(uint64_t address, uint64_t bytes)
{
    const struct fab_map_entry *entry;
    size_t cursor = 0;
    bool is_hit = false;

    pthread_mutex_lock(&table.lock);
    while (table.out_count > 0 && !is_hit && (entry = fab_map_next(&table.by_id, &cursor))) {
        const struct transfer *transfer = entry->value;

        is_hit = writes_into(transfer, address, address + bytes);
    }
    pthread_mutex_unlock(&table.lock);
    return is_hit;
}

bool cudac_transfers_are_few(void)
{
    enum { FEW = 1024 }; /* of the 4096 that the transport takes for each worker */
    bool are;

    pthread_mutex_lock(&table.lock);
    are = table.by_id.count < FEW;
    pthread_mutex_unlock(&table.lock);
    return are;
}

bool cudac_transfers_pending_from(const struct cudac_worker *worker)
{
    const struct fab_map_entry *entry;
    size_t cursor = 0;
    bool is_hit = false;

    pthread_mutex_lock(&table.lock);
    while (table.out_count > 0 && !is_hit && (entry = fab_map_next(&table.by_id, &cursor))) {
        const struct transfer *transfer = entry->value;

        is_hit = is_out(transfer) && transfer->worker == worker;
    }
    pthread_mutex_unlock(&table.lock);
    return is_hit;
}
