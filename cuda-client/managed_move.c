/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/managed_move.c - host memory that kernels use, kept equal in client and worker.
 *
 * Where a worker sees the client's own bytes there is nothing to do but to give a region its place
 * once. Elsewhere the two sides are made equal at the boundaries that CUDA names: before a launch
 * what the host wrote goes to the worker; after a synchronisation what kernels wrote comes back, at
 * once, so that system calls on the memory work. What a side wrote is found by comparing it with a
 * copy of the bytes that both last had, and only these bytes travel, so host and kernels may use
 * different bytes of a page at a time. All bytes of a worker go through one stream of our own, so
 * that what comes back has seen what went before; a launch's stream waits for it by an event. One
 * worker at a time has a region; for another the first is waited for. Distributed unified memory
 * (unimem/) is to take over what is declared under "moving" in region.h and memory.h.
 * Source: CUDA C++ Programming Guide, Unified Memory, systems without concurrent managed access.
 */
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "cuda-client/region.h"
#include "cuda-client/stream.h"
#include "cuda-client/transfer.h"

enum {
    WORKERS_MAX = 64,
    UNIT_BYTES = 64 * 1024,  /* compared, and sent, at a time */
    FETCH_BYTES = 64 * 1024, /* what a worker puts into a reply */
    FETCHES = 8,             /* replies under way */
};

/* What the last look at the regions said of launches at a worker. */
static struct {
    _Atomic uint32_t seen; /* generation of that look */
    _Atomic bool moves;    /* regions must be looked at before each launch and after each wait */
    _Atomic bool picks;    /* there are regions without a place: parameters may point at one */
} of_worker[WORKERS_MAX];

static _Atomic uint32_t generation;

void cudac_move_changed(void)
{
    (void)atomic_fetch_add(&generation, 1);
}

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
} movers[WORKERS_MAX];

static struct mover *mover_of(const struct cudac_worker *worker)
{
    return &movers[cudac_worker_index(worker)];
}

/* `context`: one of the worker's. */
static CUresult mover_open(struct cudac_context *context)
{
    struct cudac_worker *worker = cudac_context_worker(context);
    struct mover *mover = mover_of(worker);
    struct wire_parts parts;

    if (mover->stream)
        return CUDA_SUCCESS;
    const struct wire_stream_create stream = {
        .stream = cudac_id_new(), .ctx = context->id, .flags = CU_STREAM_NON_BLOCKING};
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

/* The stream goes on when everything sent so far is there. */
static CUresult wait_for_mover(struct cudac_stream *stream)
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

    wire_put_event_record(&record, &parts);
    CUresult result = cudac_post(worker, WIRE_EVENT_RECORD, &parts, NULL);

    if (result != CUDA_SUCCESS)
        return result;
    wire_put_event_wait(&wait, &parts);
    return cudac_stream_post(stream, WIRE_EVENT_WAIT, &parts, NULL);
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

/* What goes to a worker in one go. */
struct sending {
    struct cudac_worker *worker;
    bool waits;       /* each command is replied when it is done */
    uint64_t started; /* runs */
};

/* Sends [offset, offset + bytes) of the region, at most UNIT_BYTES, as the host has it now. */
static CUresult send_run(struct cudac_region *region, struct sending *sending, uint64_t offset,
                         uint64_t bytes)
{
    const struct mover *mover = mover_of(sending->worker);
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
    return sending->waits ? cudac_memory_call(sending->worker, WIRE_COPY_IN_WAIT, &parts)
                          : cudac_post(sending->worker, WIRE_COPY_IN, &parts, NULL);
}

/* Sends what differs in one unit. `exact`: no byte that the host did not write. */
static CUresult send_unit(struct cudac_region *region, struct sending *sending, uint64_t offset,
                          uint64_t bytes, bool exact)
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

static CUresult send_changes(struct cudac_region *region, struct sending *sending)
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
static void apply(struct cudac_region *region, uint64_t offset, const unsigned char *now,
                  uint64_t bytes)
{
    unsigned char *host = (unsigned char *)memory_pointer(region->host_address) + offset;
    unsigned char *copy = region->copy + offset;

    if (memcmp(copy, now, bytes) == 0)
        return;
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

static CUresult fetch_finish(struct cudac_region *region, struct cudac_worker *worker,
                             uint64_t offset, uint64_t bytes, struct cudac_pending *pending)
{
    struct wire_copy_out_wait_reply got;
    struct cudac_reply reply = {0};
    CUresult result = cudac_call_finish(pending, &reply);

    if (result == CUDA_SUCCESS) {
        if (!wire_get_copy_out_wait_reply(reply.bytes, reply.size_bytes, &got) ||
            got.data_count != bytes)
            result = cudac_worker_broken(worker, "a copy's reply does not hold what was asked for");
        else
            apply(region, offset, got.data, bytes);
    }
    cudac_reply_free(&reply);
    return result;
}

static uint64_t piece_at(const struct cudac_region *region, uint64_t offset)
{
    uint64_t left = region->bytes - offset;

    return left < FETCH_BYTES ? left : FETCH_BYTES;
}

static CUresult fetch(struct cudac_region *region, struct cudac_worker *worker)
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
        CUresult one = fetch_finish(region, worker, got, piece_at(region, got),
                                    &pending[got / FETCH_BYTES % FETCHES]);

        if (result == CUDA_SUCCESS)
            result = one;
        got += piece_at(region, got);
    }
    return result;
}

CUresult cudac_move_fetch(struct cudac_region *region, struct cudac_context *context)
{
    CUresult result = mover_open(context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!copy_open(region))
        return CUDA_ERROR_OUT_OF_MEMORY;
    region->copied_to = cudac_context_worker(context);
    return fetch(region, region->copied_to);
}

/* ---- which worker has what --------------------------------------------------------------------
 */

struct worker_look {
    const struct cudac_worker *worker;
    uint64_t context_id; /* one that works; 0: none */
    bool is_busy;
};

static void look_at(struct cudac_context *context, void *arg)
{
    struct worker_look *look = arg;

    if (cudac_context_worker(context) != look->worker)
        return;
    if (cudac_context_error(context) == CUDA_SUCCESS)
        look->context_id = context->id;
    (void)pthread_mutex_lock(&context->lock);
    for (const struct cudac_stream *at = context->streams; at; at = at->next)
        look->is_busy = look->is_busy || atomic_load(&at->posted) > atomic_load(&at->done);
    (void)pthread_mutex_unlock(&context->lock);
}

static struct worker_look look(const struct cudac_worker *worker)
{
    struct worker_look found = {.worker = worker};

    cudac_context_each(NULL, look_at, &found);
    return found;
}

/* Whether some worker does not share memory with this process: then which worker works on a region
 * counts even where it is shared. */
static bool is_mixed(void)
{
    for (uint32_t i = 0; i < cudac_worker_count(); i++) {
        if (!cudac_worker_is_same_host(cudac_worker_at(i)))
            return true;
    }
    return false;
}

CUresult cudac_memory_after_wait(struct cudac_worker *worker)
{
    CUresult result = CUDA_SUCCESS;

    cudac_pools_settle_all(worker);
    if (!atomic_load_explicit(&of_worker[cudac_worker_index(worker)].moves, memory_order_acquire))
        return CUDA_SUCCESS;
    (void)pthread_mutex_lock(&cudac_memory_lock);
    const struct worker_look found = look(worker);
    struct cudac_context *context = cudac_context_of_id(found.context_id);

    for (struct cudac_region *region = cudac_region_first(); region; region = region->next) {
        if (region->away != worker)
            continue;
        /* In a failed context nothing can be copied, and contents are undefined. */
        if (context && !(region->shared & region_bit(worker))) {
            CUresult one = cudac_move_fetch(region, context);

            if (result == CUDA_SUCCESS)
                result = one;
        }
        if (!found.is_busy)
            region->away = NULL;
    }
    if (context)
        cuc_object_put(&context->object);
    (void)pthread_mutex_unlock(&cudac_memory_lock);
    return result;
}

struct worker_wait {
    const struct cudac_worker *worker;
    uint64_t ids[WORKERS_MAX];
    uint32_t count;
};

static void list_contexts(struct cudac_context *context, void *arg)
{
    struct worker_wait *wait = arg;

    if (cudac_context_worker(context) == wait->worker && wait->count < WORKERS_MAX)
        wait->ids[wait->count++] = context->id;
}

/* Waits for all work of a worker, which brings home what it has. Without locks. */
static void wait_for(const struct cudac_worker *worker)
{
    struct worker_wait wait = {.worker = worker};

    cudac_context_each(NULL, list_contexts, &wait);
    for (uint32_t i = 0; i < wait.count; i++) {
        struct cudac_context *context = cudac_context_of_id(wait.ids[i]);

        if (!context)
            continue;
        /* Its error is that context's own, and reported there. */
        (void)cudac_context_wait(context);
        cuc_object_put(&context->object);
    }
}

/* memory_lock is held, but not while the other worker is waited for: then the list may change, and
 * true says that the caller must look again. */
static bool bring_home(struct cudac_region *region, const struct cudac_worker *wanted_by)
{
    struct cudac_worker *other = region->away;

    if (!other || other == wanted_by)
        return false;
    if (cudac_worker_state(other) != CUDA_SUCCESS) {
        region->away = NULL; /* what it had is lost; the home copy stands */
        return false;
    }
    (void)pthread_mutex_unlock(&cudac_memory_lock);
    wait_for(other);
    (void)pthread_mutex_lock(&cudac_memory_lock);
    return true;
}

/* ---- launches ---------------------------------------------------------------------------------
 */

/* Whether any eight bytes of the parameters are an address in [lo, lo + bytes). */
static bool points_into(const void *params, uint32_t params_bytes, uint64_t lo, uint64_t bytes)
{
    const unsigned char *at = params;
    uint64_t word;

    for (uint32_t i = 0; i + sizeof(word) <= params_bytes; i++) {
        memcpy(&word, at + i, sizeof(word));
        if (word - lo < bytes)
            return true;
    }
    return false;
}

struct launch {
    struct cudac_stream *stream;
    struct cudac_worker *worker;
    struct sending sending;
    const void *params;
    uint32_t params_bytes;
    bool is_mixed;
    bool has_waited;   /* for the host */
    bool moves, picks; /* found */
};

static bool must_have(const struct cudac_region *region, const struct launch *launch)
{
    if (region->owner)
        return region->owner == launch->worker;
    return region->kind == CUDAC_MEMORY_MANAGED || region->is_wanted ||
           points_into(launch->params, launch->params_bytes, region->device_address, region->bytes);
}

/* Whether what the host's bytes are to be when the launch runs is still on its way: copies into
 * them from devices, host functions that are queued before the launch. Then that was waited for,
 * without the lock. */
static bool host_is_behind(const struct cudac_region *region, struct launch *launch)
{
    const struct cudac_stream *stream = launch->stream;
    bool copies = cudac_transfers_pending_into(region->host_address, region->bytes);
    bool calls =
        cudac_host_calls_pending() && atomic_load(&stream->posted) > atomic_load(&stream->done);

    if ((!copies && !calls) || launch->has_waited)
        return false;
    launch->has_waited = true;
    (void)pthread_mutex_unlock(&cudac_memory_lock);
    if (copies)
        (void)cudac_memory_wait_all(); /* errors are reported where they belong */
    else
        (void)cudac_stream_wait(launch->stream);
    (void)pthread_mutex_lock(&cudac_memory_lock);
    return true;
}

/* One region before a launch. `again`: the list may have changed. */
static CUresult prepare(struct cudac_region *region, struct launch *launch, bool *again)
{
    uint64_t bit = region_bit(launch->worker);
    bool must = must_have(region, launch);
    CUresult result;

    if (!must &&
        (region->owner || !cudac_worker_is_same_host(launch->worker) || region->refused & bit)) {
        launch->picks = launch->picks || !region->owner;
        return CUDA_SUCCESS;
    }
    result = cudac_region_place(region, launch->worker);
    if (result != CUDA_SUCCESS) {
        region->refused |= bit;
        launch->picks = true;
        return must ? result : CUDA_SUCCESS;
    }
    bool is_shared = region->shared & bit;

    if (is_shared && !launch->is_mixed)
        return CUDA_SUCCESS;
    launch->moves = true;
    if (!must && !is_shared)
        return CUDA_SUCCESS; /* has a place, but nothing of this launch points at it */
    *again = bring_home(region, launch->worker) || (!is_shared && host_is_behind(region, launch));
    if (*again)
        return CUDA_SUCCESS;
    if (!is_shared) {
        result = mover_open(launch->stream->context);
        if (result == CUDA_SUCCESS)
            result = send_changes(region, &launch->sending);
    }
    if (result == CUDA_SUCCESS)
        region->away = launch->worker;
    return result;
}

static CUresult prepare_all(struct launch *launch)
{
    CUresult result = CUDA_SUCCESS;
    bool again;

    do {
        again = false;
        for (struct cudac_region *region = cudac_region_first();
             region && result == CUDA_SUCCESS && !again; region = region->next)
            result = prepare(region, launch, &again);
    } while (again);
    if (result == CUDA_SUCCESS && launch->sending.started > 0)
        result = wait_for_mover(launch->stream);
    return result;
}

CUresult cudac_memory_before_launch(struct cudac_stream *stream, const void *params,
                                    uint32_t params_bytes)
{
    struct cudac_worker *worker = cudac_context_worker(stream->context);
    uint32_t index = cudac_worker_index(worker);
    uint32_t now = atomic_load_explicit(&generation, memory_order_acquire);

    if (atomic_load_explicit(&of_worker[index].seen, memory_order_acquire) == now &&
        !atomic_load_explicit(&of_worker[index].moves, memory_order_relaxed) &&
        (!atomic_load_explicit(&of_worker[index].picks, memory_order_relaxed) ||
         !points_into(params, params_bytes, cudac_layout()->pinned.base,
                      cudac_layout()->pinned.bytes)))
        return CUDA_SUCCESS;
    struct launch launch = {.stream = stream,
                            .worker = worker,
                            .sending = {.worker = worker},
                            .params = params,
                            .params_bytes = params_bytes,
                            .is_mixed = is_mixed()};

    (void)pthread_mutex_lock(&cudac_memory_lock);
    now = atomic_load(&generation);
    CUresult result = prepare_all(&launch);

    atomic_store_explicit(&of_worker[index].moves, launch.moves, memory_order_relaxed);
    atomic_store_explicit(&of_worker[index].picks, launch.picks, memory_order_relaxed);
    atomic_store_explicit(&of_worker[index].seen, now, memory_order_release);
    (void)pthread_mutex_unlock(&cudac_memory_lock);
    return result;
}

/* ---- copies -----------------------------------------------------------------------------------
 */

/* Where a worker has a place, copies and sets go there, in the order of their stream. What the host
 * wrote is sent first: no stream waits for it, so we do. What host functions may write first cannot
 * be sent yet: then the host's bytes are the ones, and copies from them wait for their turn. */
static bool takes_copies(struct cudac_region *region, struct cudac_worker *worker)
{
    struct sending sending = {.worker = worker, .waits = true};

    if (!(region->placed & region_bit(worker)))
        return false;
    if (region->shared & region_bit(worker))
        return true;
    if (cudac_host_calls_pending())
        return false;
    if (!mover_of(worker)->stream || send_changes(region, &sending) != CUDA_SUCCESS)
        return false;
    region->away = worker;
    return true;
}

bool cudac_memory_is_away(struct cudac_worker *worker, uint64_t address, uint64_t bytes)
{
    bool is_away = false, again = true;

    (void)bytes; /* a range lies in one allocation */
    (void)pthread_mutex_lock(&cudac_memory_lock);
    while (again) {
        const struct cudac_alloc *alloc = cudac_alloc_at(address);
        struct cudac_region *region = alloc ? alloc->region : NULL;

        bool is_open = region && !(region->shared & region_bit(worker));

        /* With host functions queued, no worker may keep it. */
        again = region && bring_home(region, is_open && cudac_host_calls_pending() ? NULL : worker);
        is_away = region && !again && takes_copies(region, worker);
    }
    (void)pthread_mutex_unlock(&cudac_memory_lock);
    return is_away;
}
