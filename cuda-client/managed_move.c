/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/managed_move.c - host memory that kernels use, kept equal in client and worker.
 *
 * Where a worker sees the client's own bytes there is nothing to do but to give a region its place
 * once. Elsewhere the two sides are made equal at the boundaries that CUDA names: before a launch
 * what the host wrote goes to the worker; after a synchronisation what kernels wrote comes back, at
 * once, so that system calls on the memory work. What a side wrote is found by comparing it with a
 * copy of the bytes that both last had, and only these bytes travel, so host and kernels may use
 * different bytes of a page at a time. The same is done around a host function: it sees what its
 * stream did, and the stream sees what it did. One worker at a time has a region; for another the
 * streams that used it are waited for. Distributed unified memory (unimem/) is to take over what is
 * declared under "moving" in region.h and memory.h.
 * Source: CUDA C++ Programming Guide, Unified Memory, systems without concurrent managed access.
 */
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "cuda-client/managed_int.h"
#include "cuda-client/stream.h"
#include "cuda-client/thread.h"
#include "cuda-client/transfer.h"

enum {
    WORKERS_MAX = 64,
    BUSY_MAX = 32, /* streams that are told apart */
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

/* Bit k of [w]: streams at worker w may have waited for streams at worker k. What is known of w's
 * then says something of the regions that k has. */
static _Atomic uint64_t behind[WORKERS_MAX];

void cudac_memory_waits_for(const struct cudac_worker *worker, const struct cudac_worker *other)
{
    const uint64_t too = atomic_load(&behind[cudac_worker_index(other)]);

    (void)atomic_fetch_or(&behind[cudac_worker_index(worker)], region_bit(other) | too);
}

/* ---- which worker has what --------------------------------------------------------------------
 */

struct busy_stream {
    uint64_t context_id, id;
};

struct worker_look {
    const struct cudac_worker *worker;
    uint64_t context_id; /* one that works; 0: none */
    struct busy_stream busy[BUSY_MAX];
    uint32_t busy_count; /* may be more than there is room for */
};

static void look_at(struct cudac_context *context, void *arg)
{
    struct worker_look *look = arg;

    if (cudac_context_worker(context) != look->worker)
        return;
    if (cudac_context_error(context) == CUDA_SUCCESS)
        look->context_id = context->id;
    (void)pthread_mutex_lock(&context->lock);
    for (const struct cudac_stream *at = context->streams; at; at = at->next) {
        if (atomic_load(&at->posted) <= atomic_load(&at->done))
            continue;
        if (look->busy_count < BUSY_MAX)
            look->busy[look->busy_count] = (struct busy_stream){context->id, at->id};
        look->busy_count++;
    }
    (void)pthread_mutex_unlock(&context->lock);
}

static struct worker_look look(const struct cudac_worker *worker)
{
    struct worker_look found = {.worker = worker};

    cudac_context_each(NULL, look_at, &found);
    return found;
}

/* The worker's mover, in any context that works. */
static CUresult mover_of_any(const struct cudac_worker *worker)
{
    struct cudac_context *context = cudac_context_of_id(look(worker).context_id);
    CUresult result = CUDA_ERROR_INVALID_CONTEXT;

    if (context) {
        result = cudac_mover_open(context);
        cuc_object_put(&context->object);
    }
    return result;
}

/* Whether a stream that used the region still works. */
static bool is_in_use(const struct cudac_region *region, const struct worker_look *look)
{
    if (region->is_used_widely || look->busy_count > BUSY_MAX)
        return look->busy_count > 0;
    for (uint32_t i = 0; i < region->use_count; i++) {
        for (uint32_t k = 0; k < look->busy_count; k++) {
            if (region->uses[i].context_id == look->busy[k].context_id &&
                region->uses[i].stream_id == look->busy[k].id)
                return true;
        }
    }
    return false;
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

/* Driver calls that gave a region to work which they may not have posted yet. memory_lock. */
static uint32_t giving;

void cudac_memory_call_end(void)
{
    if (!cudac_thread.has_given)
        return;
    (void)pthread_mutex_lock(&cudac_memory_lock);
    giving--;
    (void)pthread_mutex_unlock(&cudac_memory_lock);
    cudac_thread.has_given = false;
}

/* Held over the waits for other workers while regions are gathered for one launch or copy: two that
 * want the same regions at two workers would take them from each other for ever. What it waits for
 * is *gathered*: others keep away until it has its turn behind it. Who need not wait for another
 * worker goes ahead without the turn, for the one who has it may wait for what they let go on.
 * Before memory_lock; nobody who waits for the host wants it, nor who has given and not posted yet,
 * but for the one who has it. */
static pthread_mutex_t turn = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static bool has_gathered; /* memory_lock */

static bool has_turn(void)
{
    return cudac_thread.turns > 0;
}

void cudac_memory_turn_begin(void)
{
    (void)pthread_mutex_lock(&turn);
    cudac_thread.turns++;
}

static void let_go(void)
{
    (void)pthread_mutex_lock(&cudac_memory_lock);
    for (struct cudac_region *region = cudac_region_first(); region && has_gathered;
         region = region->next)
        region->is_gathered = false;
    has_gathered = false;
    (void)pthread_mutex_unlock(&cudac_memory_lock);
}

void cudac_memory_turn_end(void)
{
    if (--cudac_thread.turns == 0)
        let_go();
    (void)pthread_mutex_unlock(&turn);
}

/* Whether what is known of streams says all: nobody is about to post; or nobody but this call. */
static bool is_settled(void)
{
    return giving == 0;
}

static bool is_settled_but_here(void)
{
    return giving == (cudac_thread.has_given ? 1 : 0);
}

static void at_home(struct cudac_region *region)
{
    region->away = NULL;
    region->use_count = 0;
    region->is_used_widely = false;
}

/* Whether host and kernels may use it at a time, and have places of their own. */
static bool is_live(const struct cudac_region *region)
{
    return region->away && region->kind != CUDAC_MEMORY_MANAGED &&
           !(region->shared & region_bit(region->away));
}

/* `stream` NULL: one that is not known. */
static void give_to(struct cudac_region *region, struct cudac_worker *worker,
                    const struct cudac_stream *stream)
{
    static uint64_t last_use;
    uint32_t i = 0;

    if (!cudac_thread.has_given) {
        cudac_thread.has_given = true;
        giving++;
    }
    region->away = worker;
    region->used_at = ++last_use;
    atomic_store_explicit(&of_worker[cudac_worker_index(worker)].moves, true, memory_order_release);
    if (is_live(region))
        cudac_carry_start();
    if (!stream) {
        region->is_used_widely = true;
        return;
    }
    while (i < region->use_count && (region->uses[i].context_id != stream->context->id ||
                                     region->uses[i].stream_id != stream->id))
        i++;
    if (i < region->use_count)
        return;
    if (i == FAB_ARRAY_LEN(region->uses)) {
        region->is_used_widely = true;
        return;
    }
    region->uses[i].context_id = stream->context->id;
    region->uses[i].stream_id = stream->id;
    region->use_count++;
}

static bool has_moves(const struct cudac_worker *worker)
{
    return atomic_load_explicit(&of_worker[cudac_worker_index(worker)].moves, memory_order_acquire);
}

/* What a worker has comes home. */
static CUresult fetch_all(struct cudac_worker *worker)
{
    CUresult result = CUDA_SUCCESS;
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
        if (is_settled() && !is_in_use(region, &found))
            at_home(region);
    }
    if (context)
        cuc_object_put(&context->object);
    return result;
}

CUresult cudac_memory_before_host_call(struct cudac_worker *worker)
{
    uint64_t from = region_bit(worker) | atomic_load(&behind[cudac_worker_index(worker)]);
    CUresult result = CUDA_SUCCESS;

    for (uint32_t i = 0; i < cudac_worker_count(); i++) {
        struct cudac_worker *other = cudac_worker_at(i);

        if (!(from & region_bit(other)) || !has_moves(other))
            continue;
        (void)pthread_mutex_lock(&cudac_memory_lock);
        CUresult one = fetch_all(other);

        (void)pthread_mutex_unlock(&cudac_memory_lock);
        /* Of another that is lost, the home copy stands. */
        if (result == CUDA_SUCCESS &&
            (other == worker || cudac_worker_state(other) == CUDA_SUCCESS))
            result = one;
    }
    return result;
}

/* Its stream may go on to kernels that were launched long ago: they have to find the bytes. */
void cudac_memory_after_host_call(void)
{
    bool any = false;

    for (uint32_t i = 0; i < cudac_worker_count(); i++)
        any = any || has_moves(cudac_worker_at(i));
    if (!any)
        return;
    (void)pthread_mutex_lock(&cudac_memory_lock);
    for (struct cudac_region *region = cudac_region_first(); region; region = region->next) {
        struct cudac_worker *worker = region->copied_to;
        struct cudac_sending sending = {.worker = worker};

        /* A worker that does not take it is lost, and so is what would read it. */
        if (worker && region->placed & ~region->shared & region_bit(worker) &&
            cudac_worker_state(worker) == CUDA_SUCCESS && mover_of_any(worker) == CUDA_SUCCESS)
            (void)cudac_move_send(region, &sending);
    }
    for (uint32_t i = 0; i < cudac_worker_count(); i++)
        (void)cudac_mover_wait(cudac_worker_at(i));
    (void)pthread_mutex_unlock(&cudac_memory_lock);
}

CUresult cudac_memory_after_wait(struct cudac_worker *worker)
{
    cudac_pools_settle_all(worker);
    return cudac_memory_before_host_call(worker);
}

bool cudac_move_carry(bool *changed)
{
    bool any = false;

    for (struct cudac_region *region = cudac_region_first(); region; region = region->next) {
        struct cudac_sending sending = {.worker = region->away};

        if (!is_live(region))
            continue;
        any = true;
        if (mover_of_any(region->away) != CUDA_SUCCESS ||
            cudac_move_send(region, &sending) != CUDA_SUCCESS ||
            cudac_move_pull(region, region->away, changed) != CUDA_SUCCESS)
            at_home(region); /* its context failed: nothing is promised any more */
        else if (sending.started > 0)
            *changed = true;
    }
    return any;
}

/* ---- from one worker to another ----------------------------------------------------------------
 */

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

/* Waits for all work of a worker, which brings home what it has. Without locks. Errors are those
 * of the contexts, and reported there. */
static void wait_for_worker(const struct cudac_worker *worker)
{
    struct worker_wait wait = {.worker = worker};

    cudac_context_each(NULL, list_contexts, &wait);
    for (uint32_t i = 0; i < wait.count; i++) {
        struct cudac_context *context = cudac_context_of_id(wait.ids[i]);

        if (!context)
            continue;
        (void)cudac_context_wait(context);
        cuc_object_put(&context->object);
    }
}

/* The same for one stream that used a region. */
static void wait_for_stream(uint64_t context_id, uint64_t stream_id)
{
    struct cudac_context *context = cudac_context_of_id(context_id);
    struct cudac_stream *stream = NULL;

    if (!context)
        return;
    (void)pthread_mutex_lock(&context->lock);
    for (struct cudac_stream *at = context->streams; at && !stream; at = at->next) {
        if (at->id == stream_id) {
            stream = at;
            cuc_object_ref(&stream->object);
        }
    }
    (void)pthread_mutex_unlock(&context->lock);
    if (stream) {
        (void)cudac_stream_wait(stream);
        cudac_stream_put(stream);
    }
    cuc_object_put(&context->object);
}

enum home {
    HOME_IS,    /* or at the one who wants it */
    HOME_AGAIN, /* it was waited for: the list may have changed */
    HOME_TURN,  /* there is something to wait for, and whoever does that has the turn */
};

/* memory_lock is held, but not while the other worker's streams are waited for. */
static enum home bring_home(struct cudac_region *region, const struct cudac_worker *wanted_by)
{
    struct cudac_worker *other = region->away;

    if (region->is_gathered && !has_turn())
        return HOME_TURN;
    if (!other || other == wanted_by)
        return HOME_IS;
    if (cudac_worker_state(other) != CUDA_SUCCESS || region->used_at <= region->waited_at) {
        at_home(region); /* lost: the home copy stands; or waited for */
        return HOME_IS;
    }
    if (!has_turn())
        return HOME_TURN;
    region->is_gathered = has_gathered = true;
    /* What is given and not posted yet is not waited for: then the wait does not count. */
    const bool counts = is_settled_but_here();

    if (counts)
        region->waited_at = region->used_at;
    const struct cudac_region was = *region;

    (void)pthread_mutex_unlock(&cudac_memory_lock);
    if (!counts)
        (void)sched_yield();
    if (was.is_used_widely)
        wait_for_worker(other);
    for (uint32_t i = 0; i < was.use_count && !was.is_used_widely; i++)
        wait_for_stream(was.uses[i].context_id, was.uses[i].stream_id);
    (void)cudac_memory_after_wait(other);
    (void)pthread_mutex_lock(&cudac_memory_lock);
    return HOME_AGAIN;
}

/* After HOME_TURN: memory_lock is given up for it. True: it is the caller's to end. */
static bool take_turn(void)
{
    (void)pthread_mutex_unlock(&cudac_memory_lock);
    cudac_memory_turn_begin();
    (void)pthread_mutex_lock(&cudac_memory_lock);
    return true;
}

/* ---- launches ---------------------------------------------------------------------------------
 */

struct launch_params {
    const struct cuc_params *layout;
    const uint8_t *packed;
};

/* Whether any eight bytes of one parameter are an address in [lo, lo + bytes). Those of two are
 * none: behind a pointer, a number like 6144 would pass for one into pinned memory. */
static bool points_into(const struct launch_params *given, uint64_t lo, uint64_t bytes)
{
    uint64_t word;

    for (uint32_t p = 0; p < given->layout->count; p++) {
        const uint8_t *at = given->packed + given->layout->offset[p];

        for (uint32_t i = 0; i + sizeof(word) <= given->layout->size[p]; i++) {
            memcpy(&word, at + i, sizeof(word));
            if (word - lo < bytes)
                return true;
        }
    }
    return false;
}

struct launch {
    struct cudac_stream *stream;
    struct cudac_worker *worker;
    struct cudac_sending sending;
    struct launch_params params;
    bool is_mixed;
    bool has_waited;   /* for the host */
    bool has_turn;     /* taken here */
    bool moves, picks; /* found */
};

static bool must_have(const struct cudac_region *region, const struct launch *launch)
{
    if (region->owner)
        return region->owner == launch->worker;
    return region->kind == CUDAC_MEMORY_MANAGED || region->is_wanted ||
           points_into(&launch->params, region->device_address, region->bytes);
}

/* Copies from devices are on their way into the host's bytes: these are the ones to use, and what
 * reads them waits for its turn. */
static bool is_behind(const struct cudac_region *region)
{
    return cudac_transfers_pending_into(region->host_address, region->bytes);
}

/* What once was among the parameters may be found in memory ever after: its place is there, and a
 * kernel that reads old bytes in it does not fault. So the host's bytes are sent; but nothing is
 * waited for, and the launch is not taken for one that uses it: most do not. */
static bool may_read(const struct cudac_region *region, const struct launch *launch)
{
    return region->pointed & ~region->shared & region_bit(launch->worker) && !region->is_chosen &&
           !region->is_gathered && (!region->away || region->away == launch->worker) &&
           !is_behind(region);
}

/* Whether copies are on their way from devices into the host's bytes. Those that the launch comes
 * after are waited for, once, without the lock. */
static bool host_is_behind(const struct cudac_region *region, struct launch *launch)
{
    if (launch->has_waited || !cudac_transfers_pending_into(region->host_address, region->bytes))
        return false;
    launch->has_waited = true;
    (void)pthread_mutex_unlock(&cudac_memory_lock);
    (void)cudac_stream_wait(launch->stream); /* its error is reported where it belongs */
    (void)pthread_mutex_lock(&cudac_memory_lock);
    return true;
}

/* Whether the launch is to be given the region, which then has a place at its worker. */
static CUresult choose(struct cudac_region *region, struct launch *launch, bool *chosen_out)
{
    uint64_t bit = region_bit(launch->worker);
    bool must = must_have(region, launch);
    CUresult result;

    *chosen_out = false;
    if (region->away == launch->worker || region->pointed & ~region->shared & bit)
        launch->moves = true; /* an earlier launch or copy uses it, or this one may read it */
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
    if (must)
        region->pointed |= bit;
    if (region->shared & bit && !launch->is_mixed)
        return CUDA_SUCCESS;
    launch->moves = true;
    *chosen_out = must || region->shared & bit; /* else nothing of this launch points at it */
    return CUDA_SUCCESS;
}

/* Until all chosen ones are at home, and the lock was not given up since that was seen. Nothing is
 * given yet: others may be waiting for that to be posted. */
static CUresult gather(struct launch *launch)
{
    const uint64_t bit = region_bit(launch->worker);
    CUresult result = CUDA_SUCCESS;
    enum home home;

    do {
        home = HOME_IS;
        for (struct cudac_region *region = cudac_region_first();
             region && result == CUDA_SUCCESS && home == HOME_IS; region = region->next) {
            result = choose(region, launch, &region->is_chosen);
            if (result != CUDA_SUCCESS || !region->is_chosen)
                continue;
            home = bring_home(region, launch->worker);
            if (home == HOME_IS && !(region->shared & bit) && host_is_behind(region, launch))
                home = HOME_AGAIN;
        }
        if (home == HOME_TURN)
            launch->has_turn = take_turn();
    } while (home != HOME_IS);
    return result;
}

static CUresult prepare_all(struct launch *launch)
{
    const uint64_t bit = region_bit(launch->worker);
    CUresult result = gather(launch);

    for (struct cudac_region *region = cudac_region_first(); region && result == CUDA_SUCCESS;
         region = region->next) {
        if (!region->is_chosen && !may_read(region, launch))
            continue;
        if (!(region->shared & bit)) {
            result = cudac_mover_open(launch->stream->context);
            if (result == CUDA_SUCCESS)
                result = cudac_move_send(region, &launch->sending);
        }
        if (result == CUDA_SUCCESS && region->is_chosen)
            give_to(region, launch->worker, launch->stream);
    }
    if (result == CUDA_SUCCESS && launch->moves)
        result = cudac_mover_gate(launch->stream);
    return result;
}

CUresult cudac_memory_before_launch(struct cudac_stream *stream, const struct cuc_params *params,
                                    const uint8_t *packed)
{
    const struct launch_params given = {params, packed};
    struct cudac_worker *worker = cudac_context_worker(stream->context);
    uint32_t index = cudac_worker_index(worker);
    uint32_t now = atomic_load_explicit(&generation, memory_order_acquire);

    if (atomic_load_explicit(&of_worker[index].seen, memory_order_acquire) == now &&
        !atomic_load_explicit(&of_worker[index].moves, memory_order_relaxed) &&
        (!atomic_load_explicit(&of_worker[index].picks, memory_order_relaxed) ||
         !points_into(&given, cudac_layout()->pinned.base, cudac_layout()->pinned.bytes)))
        return CUDA_SUCCESS;
    struct launch launch = {.stream = stream,
                            .worker = worker,
                            .sending = {.worker = worker},
                            .params = given,
                            .is_mixed = is_mixed()};

    (void)pthread_mutex_lock(&cudac_memory_lock);
    now = atomic_load(&generation);
    CUresult result = prepare_all(&launch);

    atomic_store_explicit(&of_worker[index].moves, launch.moves, memory_order_relaxed);
    atomic_store_explicit(&of_worker[index].picks, launch.picks, memory_order_relaxed);
    atomic_store_explicit(&of_worker[index].seen, now, memory_order_release);
    (void)pthread_mutex_unlock(&cudac_memory_lock);
    if (launch.has_turn)
        cudac_memory_turn_end();
    return result;
}

/* ---- copies ------------------------------------------------------------------------------------
 */

/* Where a worker has a place, copies and sets go there, in the order of their stream; what kernels
 * may use at any time gets one now. What the host wrote is sent first: no stream waits for it, so
 * we do. */
static bool takes_copies(struct cudac_region *region, struct cudac_worker *worker)
{
    struct cudac_sending sending = {.worker = worker};

    if (region->owner ? region->owner != worker
                      : region->kind != CUDAC_MEMORY_MANAGED && !region->is_wanted &&
                            !(region->placed & region_bit(worker)))
        return false;
    if (cudac_region_place(region, worker) != CUDA_SUCCESS)
        return false;
    if (region->shared & region_bit(worker))
        return true;
    if (mover_of_any(worker) != CUDA_SUCCESS || cudac_move_send(region, &sending) != CUDA_SUCCESS ||
        cudac_mover_wait(worker) != CUDA_SUCCESS)
        return false;
    give_to(region, worker, NULL);
    return true;
}

struct cudac_memory_place cudac_memory_place(struct cudac_worker *worker, uint64_t address)
{
    struct cudac_memory_place place = {.has_waited = false};
    bool has_own_turn = false;
    enum home home = HOME_AGAIN;

    (void)pthread_mutex_lock(&cudac_memory_lock);
    while (home != HOME_IS) {
        const struct cudac_alloc *alloc = cudac_alloc_at(address);
        struct cudac_region *region = alloc ? alloc->region : NULL;
        bool stays = region && is_behind(region);

        home = region ? bring_home(region, stays ? NULL : worker) : HOME_IS;
        if (home == HOME_TURN)
            has_own_turn = take_turn();
        place.has_waited = place.has_waited || home != HOME_IS;
        place.is_away = region && home == HOME_IS && !stays && takes_copies(region, worker);
        place.is_live = place.is_away && is_live(region);
    }
    (void)pthread_mutex_unlock(&cudac_memory_lock);
    if (has_own_turn)
        cudac_memory_turn_end();
    return place;
}
