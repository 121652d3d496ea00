/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/managed_wire.c - the bytes of regions on their way to a worker and back.
 *
 * All bytes of a worker go through one stream of our own, so that what comes back has seen what
 * went before; streams of the program wait for it by an event. Only what a side changed since both
 * were equal travels, and only that is written, so host and kernels may use different bytes of a
 * page at a time. Thread: memory_lock.
 */
#include <string.h>
#include <sys/mman.h>

#include "cuda-client/managed_int.h"
#include "cuda-client/stream.h"

enum {
    WORKERS_MAX = 64,
    UNIT_BYTES = 64 * 1024,  /* compared, and sent, at a time */
    FETCH_BYTES = 64 * 1024, /* what a worker puts into a reply */
    FETCHES = 8,             /* replies under way */
};

void cudac_move_forget(struct cudac_region *region)
{
    if (region->copy)
        (void)munmap(region->copy, region->bytes);
    region->copy = NULL;
}

/* ---- the stream of a worker --------------------------------------------------------------------
 */

/* In one of the worker's contexts; another takes over when that one is closed. memory_lock. */
static struct mover {
    uint64_t context_id, stream, event; /* on the wire; 0: none */
    uint64_t generation;                /* of the event */
    bool has_sent;                      /* what is not known to be there */
} movers[WORKERS_MAX];

static struct mover *mover_of(const struct cudac_worker *worker)
{
    return &movers[cudac_worker_index(worker)];
}

static bool context_works(uint64_t context_id)
{
    struct cudac_context *context = cudac_context_of_id(context_id);
    bool works = context && cudac_context_error(context) == CUDA_SUCCESS;

    if (context)
        cuc_object_put(&context->object);
    return works;
}

/* What was on its way by a context that failed has not come. */
static void forget_sent(const struct cudac_worker *worker)
{
    for (struct cudac_region *region = cudac_region_first(); region; region = region->next) {
        if (region->copied_to == worker)
            region->copied_to = NULL;
    }
}

CUresult cudac_mover_open(struct cudac_context *context)
{
    struct cudac_worker *worker = cudac_context_worker(context);
    struct mover *mover = mover_of(worker);
    struct wire_parts parts;

    if (mover->stream && context_works(mover->context_id))
        return CUDA_SUCCESS;
    if (mover->has_sent)
        forget_sent(worker);
    const struct wire_stream_create stream = {
        .stream = cudac_id_new(), .ctx = context->id, .flags = CU_STREAM_NON_BLOCKING, .is_own = 1};
    const struct wire_event_create event = {
        .event = cudac_id_new(), .ctx = context->id, .flags = CU_EVENT_DISABLE_TIMING};

    wire_put_stream_create(&stream, &parts);
    CUresult result = cudac_post(worker, WIRE_STREAM_CREATE, &parts, NULL);

    if (result != CUDA_SUCCESS)
        return result;
    wire_put_event_create(&event, &parts);
    result = cudac_post(worker, WIRE_EVENT_CREATE, &parts, NULL);
    if (result == CUDA_SUCCESS)
        *mover = (struct mover){
            .context_id = context->id, .stream = stream.stream, .event = event.event};
    return result;
}

void cudac_move_context_close(const struct cudac_context *context)
{
    struct mover *mover = mover_of(cudac_context_worker(context));

    (void)pthread_mutex_lock(&cudac_memory_lock);
    if (mover->context_id == context->id)
        *mover = (struct mover){.context_id = 0}; /* its work was done before the context went */
    (void)pthread_mutex_unlock(&cudac_memory_lock);
}

CUresult cudac_mover_gate(struct cudac_stream *stream)
{
    struct cudac_worker *worker = cudac_context_worker(stream->context);
    struct mover *mover = mover_of(worker);
    const struct wire_event_record record = {.event = mover->event,
                                             .ctx = mover->context_id,
                                             .stream = mover->stream,
                                             .generation = ++mover->generation};
    const struct wire_event_wait wait = {
        .event = mover->event, .ctx = stream->context->id, .stream = stream->id};
    struct wire_parts parts;

    if (!mover->has_sent)
        return CUDA_SUCCESS;
    wire_put_event_record(&record, &parts);
    CUresult result = cudac_post(worker, WIRE_EVENT_RECORD, &parts, NULL);

    if (result != CUDA_SUCCESS)
        return result;
    wire_put_event_wait(&wait, &parts);
    return cudac_stream_post(stream, WIRE_EVENT_WAIT, &parts, NULL);
}

CUresult cudac_mover_wait(struct cudac_worker *worker)
{
    struct mover *mover = mover_of(worker);
    const struct wire_stream_sync message = {.ctx = mover->context_id, .stream = mover->stream};
    struct wire_parts parts;

    if (!mover->has_sent)
        return CUDA_SUCCESS;
    wire_put_stream_sync(&message, &parts);
    CUresult result = cudac_memory_call(worker, WIRE_STREAM_SYNC, &parts);

    if (result == CUDA_SUCCESS)
        mover->has_sent = false;
    return result;
}

/* ---- to the worker -----------------------------------------------------------------------------
 */

static struct wire_box row_of(uint64_t address, uint64_t bytes)
{
    return (struct wire_box){.address = address,
                             .width = bytes,
                             .height = 1,
                             .depth = 1,
                             .pitch = bytes,
                             .layer = bytes};
}

/* Sends [offset, offset + bytes) of the region, at most UNIT_BYTES, as the host has it now. */
static CUresult send_run(struct cudac_region *region, struct cudac_sending *sending,
                         uint64_t offset, uint64_t bytes)
{
    struct mover *mover = mover_of(sending->worker);
    unsigned char *copy = region->copy + offset;
    struct wire_parts parts;

    /* The host may write on: what is sent is what is remembered. */
    memcpy(copy, (const unsigned char *)memory_pointer(region->host_address) + offset, bytes);
    const struct wire_copy_in message = {.ctx = mover->context_id,
                                         .stream = mover->stream,
                                         .to = row_of(region->device_address + offset, bytes),
                                         .flags = WIRE_COPY_INLINE,
                                         .data = copy,
                                         .data_count = (uint32_t)bytes};

    wire_put_copy_in(&message, &parts);
    sending->started++;
    mover->has_sent = true;
    return cudac_post(sending->worker, WIRE_COPY_IN, &parts, NULL);
}

/* Sends what differs in one unit. `exact`: no byte that the host did not write. */
static CUresult send_unit(struct cudac_region *region, struct cudac_sending *sending,
                          uint64_t offset, uint64_t bytes, bool exact)
{
    const unsigned char *host =
        (const unsigned char *)memory_pointer(region->host_address) + offset;
    const unsigned char *copy = region->copy + offset;
    uint64_t last = bytes;
    CUresult result = CUDA_SUCCESS;

    while (last > 0 && host[last - 1] == copy[last - 1])
        last--;
    for (uint64_t at = 0; at < last && result == CUDA_SUCCESS;) {
        while (at < last && host[at] == copy[at])
            at++;
        uint64_t end = exact ? at : last;

        while (end < last && host[end] != copy[end])
            end++;
        if (end > at)
            result = send_run(region, sending, offset + at, end - at);
        at = end;
    }
    return result;
}

static bool copy_open(struct cudac_region *region)
{
    void *got;

    if (region->copy)
        return true;
    got = mmap(NULL, region->bytes, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (got == MAP_FAILED)
        return false;
    (void)madvise(got, region->bytes, MADV_DONTDUMP);
    region->copy = got;
    return true;
}

CUresult cudac_move_send(struct cudac_region *region, struct cudac_sending *sending)
{
    const unsigned char *host = memory_pointer(region->host_address);
    bool all = region->copied_to != sending->worker;
    CUresult result = CUDA_SUCCESS;

    if (!copy_open(region))
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (uint64_t at = 0; at < region->bytes && result == CUDA_SUCCESS; at += UNIT_BYTES) {
        uint64_t left = region->bytes - at, bytes = left < UNIT_BYTES ? left : UNIT_BYTES;

        if (all)
            result = send_run(region, sending, at, bytes);
        else if (memcmp(host + at, region->copy + at, bytes) != 0)
            result = send_unit(region, sending, at, bytes, region->away == sending->worker);
    }
    if (result == CUDA_SUCCESS)
        region->copied_to = sending->worker;
    return result;
}

/* ---- back to the host --------------------------------------------------------------------------
 */

/* Takes over what the worker changed. */
static bool apply(struct cudac_region *region, uint64_t offset, const unsigned char *now,
                  uint64_t bytes)
{
    unsigned char *host = (unsigned char *)memory_pointer(region->host_address) + offset;
    unsigned char *copy = region->copy + offset;

    if (memcmp(copy, now, bytes) == 0)
        return false;
    for (uint64_t at = 0; at < bytes;) {
        uint64_t end;

        while (at < bytes && copy[at] == now[at])
            at++;
        for (end = at; end < bytes && copy[end] != now[end];)
            end++;
        memcpy(host + at, now + at, end - at);
        memcpy(copy + at, now + at, end - at);
        at = end;
    }
    return true;
}

static CUresult fetch_start(const struct cudac_region *region, struct cudac_worker *worker,
                            uint64_t offset, uint64_t bytes, struct cudac_pending *pending)
{
    const struct mover *mover = mover_of(worker);
    const struct wire_copy_out_wait message = {.ctx = mover->context_id,
                                               .stream = mover->stream,
                                               .from =
                                                   row_of(region->device_address + offset, bytes),
                                               .flags = WIRE_COPY_INLINE};
    struct wire_parts parts;

    wire_put_copy_out_wait(&message, &parts);
    return cudac_call_start(worker, WIRE_COPY_OUT_WAIT, &parts, pending);
}

static uint64_t piece_at(const struct cudac_region *region, uint64_t offset)
{
    uint64_t left = region->bytes - offset;

    return left < FETCH_BYTES ? left : FETCH_BYTES;
}

static CUresult fetch_finish(struct cudac_region *region, struct cudac_worker *worker,
                             uint64_t offset, struct cudac_pending *pending, bool *changed)
{
    uint64_t bytes = piece_at(region, offset);
    struct wire_copy_out_wait_reply got;
    struct cudac_reply reply = {0};
    CUresult result = cudac_call_finish(pending, &reply);

    if (result == CUDA_SUCCESS) {
        if (!wire_get_copy_out_wait_reply(reply.bytes, reply.size_bytes, &got) ||
            got.data_count != bytes)
            result = cudac_worker_broken(worker, "a copy's reply does not hold what was asked for");
        else if (apply(region, offset, got.data, bytes))
            *changed = true;
    }
    cudac_reply_free(&reply);
    return result;
}

CUresult cudac_move_pull(struct cudac_region *region, struct cudac_worker *worker,
                         bool *changed_out)
{
    struct cudac_pending pending[FETCHES];
    uint64_t asked = 0, got = 0;
    CUresult result = CUDA_SUCCESS;

    while (got < region->bytes) {
        if (result == CUDA_SUCCESS && asked < region->bytes &&
            asked - got < FETCHES * (uint64_t)FETCH_BYTES) {
            result = fetch_start(region, worker, asked, piece_at(region, asked),
                                 &pending[asked / FETCH_BYTES % FETCHES]);
            if (result == CUDA_SUCCESS)
                asked += piece_at(region, asked);
            continue;
        }
        if (got == asked)
            break;
        CUresult one =
            fetch_finish(region, worker, got, &pending[got / FETCH_BYTES % FETCHES], changed_out);

        if (result == CUDA_SUCCESS)
            result = one;
        got += piece_at(region, got);
    }
    if (result == CUDA_SUCCESS)
        mover_of(worker)->has_sent = false; /* it was sent before */
    return result;
}

CUresult cudac_move_fetch(struct cudac_region *region, struct cudac_context *context)
{
    CUresult result = cudac_mover_open(context);
    bool changed;

    if (result != CUDA_SUCCESS)
        return result;
    if (!copy_open(region))
        return CUDA_ERROR_OUT_OF_MEMORY;
    region->copied_to = cudac_context_worker(context);
    return cudac_move_pull(region, region->copied_to, &changed);
}
