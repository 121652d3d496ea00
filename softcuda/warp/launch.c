/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/launch.c - a grid: its pages, which block is next, how it ends.
 *
 * One counter decides: `unfinished` blocks. Whoever takes it to 0 (the last block; or after a
 * fault or cancel whoever gives up the last one) ends the launch. Thread: any.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "softcuda/ptx/ptx_op.h"
#include "softcuda/warp/launch_int.h"

enum {
    HELP_SPIN_NS = 50000,    /* a helper that finds nothing to do looks on for so long */
    RESIDENT_MAX = 1024,     /* waiting blocks of a launch that is not cooperative */
    ROTATIONS_PER_START = 4, /* yields after which a waiting launch begins one more block */
};

static uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- pages ---- */

static void broadcast(uint8_t *at, uint8_t width, uint64_t value)
{
    if (width == 4) {
        uint32_t *lanes = (uint32_t *)(void *)at;

        for (uint32_t i = 0; i < WARP_LANES; i++)
            lanes[i] = (uint32_t)value;
    } else if (width == 8) {
        uint64_t *lanes = (uint64_t *)(void *)at;

        for (uint32_t i = 0; i < WARP_LANES; i++)
            lanes[i] = value;
    } else {
        uint16_t *lanes = (uint16_t *)(void *)at;

        for (uint32_t i = 0; i < WARP_LANES; i++)
            lanes[i] = (uint16_t)value;
    }
}

static uint64_t param_value(const struct warp_launch *launch, const struct warp_init *init)
{
    uint64_t value = 0;
    unsigned unused = 64u - 8u * init->param_bytes;

    memcpy(&value, launch->params + init->value, init->param_bytes);
    if (init->is_signed && unused)
        value = (uint64_t)((int64_t)(value << unused) >> unused);
    return value;
}

static uint64_t sreg_uniform(const struct warp_launch *launch, uint32_t sreg,
                             const uint32_t ctaid[3])
{
    uint64_t workspace = launch->cooperative ? (uint64_t)(uintptr_t)launch->workspace : 0;

    switch (sreg) {
    case PTX_SREG_NTID_X:
    case PTX_SREG_NTID_Y:
    case PTX_SREG_NTID_Z:
        return launch->block[sreg - PTX_SREG_NTID_X];
    case PTX_SREG_NCTAID_X:
    case PTX_SREG_NCTAID_Y:
    case PTX_SREG_NCTAID_Z:
        return launch->grid[sreg - PTX_SREG_NCTAID_X];
    case PTX_SREG_NCLUSTERID_X:
    case PTX_SREG_NCLUSTERID_Y:
    case PTX_SREG_NCLUSTERID_Z:
        return launch->grid[sreg - PTX_SREG_NCLUSTERID_X];
    case PTX_SREG_CTAID_X:
    case PTX_SREG_CTAID_Y:
    case PTX_SREG_CTAID_Z:
        return ctaid ? ctaid[sreg - PTX_SREG_CTAID_X] : 0;
    case PTX_SREG_CLUSTERID_X:
    case PTX_SREG_CLUSTERID_Y:
    case PTX_SREG_CLUSTERID_Z:
        return ctaid ? ctaid[sreg - PTX_SREG_CLUSTERID_X] : 0;
    case PTX_SREG_CLUSTER_NCTAID_X:
    case PTX_SREG_CLUSTER_NCTAID_Y:
    case PTX_SREG_CLUSTER_NCTAID_Z:
    case PTX_SREG_CLUSTER_NCTARANK:
        return 1; /* a cluster is one block */
    case PTX_SREG_NWARPID:
        return launch->warp_count;
    case PTX_SREG_NSMID:
        return launch->env->sm_count ? launch->env->sm_count : 1;
    case PTX_SREG_GRIDID:
        return launch->grid_id;
    case PTX_SREG_DYNAMIC_SMEM:
        return launch->dynamic_shared_bytes;
    case PTX_SREG_TOTAL_SMEM:
    case PTX_SREG_AGGR_SMEM:
        return launch->shared_bytes;
    case PTX_SREG_RESERVED_SMEM_END:
    case PTX_SREG_RESERVED_SMEM_CAP:
        return launch->program->reserved_shared_bytes;
    case PTX_SREG_ENVREG1:
        return workspace >> 32;
    case PTX_SREG_ENVREG2:
        return workspace & UINT32_MAX;
    default:
        return 0;
    }
}

static uint32_t lane_position(const struct warp_launch *launch, uint32_t sreg, uint32_t thread)
{
    if (sreg == PTX_SREG_TID_X)
        return thread % launch->block[0];
    if (sreg == PTX_SREG_TID_Y)
        return thread / launch->block[0] % launch->block[1];
    if (sreg == PTX_SREG_TID_Z)
        return thread / launch->block[0] / launch->block[1];
    return thread / WARP_LANES; /* %warpid */
}

static void shape_value(const struct warp_launch *launch, const struct warp_init *init, uint8_t *at,
                        uint32_t warp_index)
{
    for (uint32_t lane = 0; lane < WARP_LANES; lane++) {
        uint64_t value = lane_position(launch, init->value, warp_index * WARP_LANES + lane);

        memcpy(at + (size_t)lane * init->width, &value, init->width);
    }
}

void warp_page_fill(const struct warp_launch *launch, const struct warp_hoisted *hoisted,
                    uint8_t *page, const uint32_t ctaid[3], uint32_t warp_index)
{
    for (uint32_t i = 0; i < hoisted->init_count; i++) {
        const struct warp_init *init = &hoisted->inits[i];
        uint8_t *at = page + init->offset;

        if (init->level == WARP_LEVEL_SHAPE)
            shape_value(launch, init, at, warp_index);
        else if (init->kind == WARP_INIT_PARAM)
            broadcast(at, init->width, param_value(launch, init));
        else if (init->kind == WARP_INIT_PARAM_ADDRESS)
            broadcast(at, init->width, (uint64_t)(uintptr_t)launch->params + init->value);
        else
            broadcast(at, init->width, sreg_uniform(launch, init->value, ctaid));
    }
}

void warp_hoisted_run(const struct warp_hoisted *hoisted, struct warp *w)
{
    for (const struct warp_insn *in = hoisted->insns, *end = in + hoisted->count; in < end; in++)
        (void)in->fn(w, in);
}

static bool reserve(uint8_t **memory, size_t *room, size_t bytes)
{
    if (*room >= bytes && *memory)
        return true;
    free(*memory);
    *room = (bytes + 64) & ~(size_t)63;
    *memory = aligned_alloc(64, *room);
    if (!*memory)
        *room = 0;
    return *memory != NULL;
}

static void fill_pages(struct warp_launch *launch)
{
    const struct warp_program *program = launch->program;
    const struct warp_hoisted *shape = &program->hoisted[WARP_LEVEL_SHAPE];
    struct warp w = {.live = WARP_FULL};

    warp_set_mask(&w, WARP_FULL);
    w.base[WARP_BASE_CONST] = (uint8_t *)(uintptr_t)program->consts;
    w.base[WARP_BASE_FRAME] = launch->page;
    w.base[WARP_BASE_BLOCK] = launch->page;
    warp_page_fill(launch, &program->hoisted[WARP_LEVEL_LAUNCH], launch->page, NULL, 0);
    warp_hoisted_run(&program->hoisted[WARP_LEVEL_LAUNCH], &w);
    for (uint32_t i = 0; program->shape_bytes && i < launch->warp_count; i++) {
        uint8_t *page = launch->shapes + (size_t)i * program->shape_bytes;

        w.base[WARP_BASE_FRAME] = w.base[WARP_BASE_SHAPE] = page;
        warp_page_fill(launch, shape, page, NULL, i);
        warp_hoisted_run(shape, &w);
    }
}

/* By the first thread that comes to run a block. */
bool warp_launch_prepare(struct warp_launch *launch)
{
    unsigned state = atomic_load_explicit(&launch->prepare, memory_order_acquire);

    if (state == WARP_PREPARED)
        return true;
    state = WARP_UNPREPARED;
    if (!atomic_compare_exchange_strong(&launch->prepare, &state, WARP_PREPARING))
        return state == WARP_PREPARED;
    fill_pages(launch);
    atomic_store_explicit(&launch->prepare, WARP_PREPARED, memory_order_release);
    if (launch->block_count > 1)
        warp_pool_notify(launch->pool, launch->pool->worker_count); /* who came meanwhile left */
    return true;
}

/* ---- the end ---- */

void warp_launch_blocks_done(struct warp_launch *launch, uint64_t count)
{
    if (count && atomic_fetch_sub(&launch->unfinished, count) == count)
        warp_pool_finish(launch);
}

/* The first failure is the launch's. Runs in signal context too, on the worker's way out. */
void warp_launch_fail(struct warp_launch *launch, const struct warp_outcome *outcome)
{
    (void)pthread_mutex_lock(&launch->lock);
    if (!launch->outcome.failed) {
        uint64_t started_ns = launch->outcome.started_ns;

        launch->outcome = *outcome;
        launch->outcome.started_ns = started_ns;
    }
    (void)pthread_mutex_unlock(&launch->lock);
    atomic_store(&launch->stop, true);
}

/* Gives up all blocks that nobody runs. */
static void abandon(struct warp_launch *launch, struct warp_worker *worker)
{
    uint64_t total = launch->block_count;
    uint64_t begun = atomic_exchange(&launch->next_block, total);
    uint64_t count = begun < total ? total - begun : 0;
    struct warp_run *run;

    (void)pthread_mutex_lock(&launch->lock);
    run = launch->suspended;
    launch->suspended = launch->suspended_last = NULL;
    count += launch->suspended_count;
    launch->suspended_count = 0;
    (void)pthread_mutex_unlock(&launch->lock);
    while (run) {
        struct warp_run *next = run->next;

        warp_run_put(run, worker);
        run = next;
    }
    warp_launch_blocks_done(launch, count);
}

/* ---- blocks ---- */

static struct warp_run *begin_block(struct warp_launch *launch, struct warp_worker *worker)
{
    uint64_t index;
    struct warp_run *run;

    if (atomic_load_explicit(&launch->next_block, memory_order_relaxed) >= launch->block_count)
        return NULL;
    index = atomic_fetch_add(&launch->next_block, 1);
    if (index >= launch->block_count)
        return NULL;
    run = warp_run_get(worker, launch, index);
    if (!run) {
        struct warp_outcome outcome = {
            .failed = true, .kind = WARP_FAULT_STACK, .kernel = launch->program->code->name};

        warp_launch_fail(launch, &outcome);
        warp_launch_blocks_done(launch, 1);
    }
    return run;
}

static struct warp_run *pop_suspended(struct warp_launch *launch)
{
    struct warp_run *run;

    (void)pthread_mutex_lock(&launch->lock);
    run = launch->suspended;
    if (run) {
        launch->suspended = run->next;
        if (!run->next)
            launch->suspended_last = NULL;
        launch->suspended_count--;
        run->next = NULL;
    }
    (void)pthread_mutex_unlock(&launch->lock);
    return run;
}

/* Puts a block that cannot go on at the end of the line. Returns how many now wait there. */
static uint32_t suspend(struct warp_launch *launch, struct warp_run *run)
{
    uint32_t waiting;

    (void)pthread_mutex_lock(&launch->lock);
    if (launch->suspended_last)
        launch->suspended_last->next = run;
    else
        launch->suspended = run;
    launch->suspended_last = run;
    waiting = ++launch->suspended_count;
    launch->rotations++;
    (void)pthread_mutex_unlock(&launch->lock);
    return waiting;
}

/* A launch whose blocks wait begins further ones: at once when all must be resident, else now and
 * then, up to a number that bounds the memory. */
static bool may_begin(const struct warp_launch *launch)
{
    uint32_t suspended = atomic_load_explicit(&launch->suspended_count, memory_order_relaxed);
    uint32_t rotations = atomic_load_explicit(&launch->rotations, memory_order_relaxed);

    if (suspended == 0 || launch->cooperative)
        return true;
    return rotations % ROTATIONS_PER_START == 0 && suspended < RESIDENT_MAX;
}

static struct warp_run *next_run(struct warp_launch *launch, struct warp_worker *worker)
{
    struct warp_run *run = may_begin(launch) ? begin_block(launch, worker) : NULL;

    if (!run)
        run = pop_suspended(launch);
    return run ? run : begin_block(launch, worker);
}

static enum warp_run_result go_guarded(struct warp_run *run, struct warp_worker *worker)
{
    struct warp_exec *x;

    if (sigsetjmp(worker->jump, /* savemask */ 0) == 0)
        return warp_run_go(run, worker);
    /* Back from a signal in the middle of an instruction (fault.c). */
    x = worker->running;
    worker->running = NULL;
    (void)warp_fault(&x->w, x->pc, WARP_FAULT_ILLEGAL_ADDRESS, worker->fault_address, WARP_LANES);
    return WARP_RUN_STOPPED;
}

static void switch_launch(struct warp_worker *worker, const struct warp_launch *launch)
{
    if (worker->tlb_launch_id == launch->id)
        return;
    worker->tlb_launch_id = launch->id;
    memset(&worker->tlb, 0, sizeof(worker->tlb));
}

bool warp_launch_serve(struct warp_launch *launch, struct warp_worker *worker,
                       bool (*enough)(void *arg), void *arg)
{
    struct warp_pool *pool = launch->pool;
    struct warp_run *run;
    bool served = false;

    if (!warp_launch_prepare(launch))
        return false;
    switch_launch(worker, launch);
    for (;;) {
        enum warp_run_result result;

        if (atomic_load_explicit(&launch->stop, memory_order_relaxed)) {
            abandon(launch, worker);
            return served;
        }
        run = next_run(launch, worker);
        if (!run)
            return served;
        served = true;
        do {
            result = go_guarded(run, worker);
            /* A block that only computes goes on at once: its data are in the cache. */
        } while (result == WARP_RUN_YIELDED && !run->may_wait && !enough &&
                 !warp_pool_is_shared(pool));
        if (result == WARP_RUN_YIELDED) {
            if (suspend(launch, run) > 1)
                warp_pool_notify(pool, 1);
        } else {
            warp_run_put(run, worker);
            warp_launch_blocks_done(launch, 1);
        }
        if ((enough && enough(arg)) || (!enough && warp_pool_is_shared(pool)))
            return true;
    }
}

/* ---- the face ---- */

static enum fab_status check_request(const struct warp_launch_request *r, struct fab_err *err)
{
    const struct warp_program_info *info = &r->program->info;
    uint64_t threads = (uint64_t)r->block[0] * r->block[1] * r->block[2];
    uint64_t shared = (uint64_t)r->program->dynamic_shared_offset + r->dynamic_shared_bytes;

    for (unsigned i = 0; i < 3; i++)
        if (r->grid[i] == 0 || r->block[i] == 0 || r->block[i] > info->max_threads_per_block)
            return fab_err_set(err, FAB_ERR_RANGE, "a grid or block dimension is 0 or too large");
    if (threads > info->max_threads_per_block)
        return fab_err_set(err, FAB_ERR_RANGE, "%llu threads a block, at most %u",
                           (unsigned long long)threads, info->max_threads_per_block);
    if (shared > INT32_MAX)
        return fab_err_set(err, FAB_ERR_RANGE, "too much dynamic shared memory");
    if (r->params_bytes < info->param_bytes)
        return fab_err_set(err, FAB_ERR_RANGE, "%zu bytes of parameters, %u are needed",
                           r->params_bytes, info->param_bytes);
    return FAB_OK;
}

enum { RECURSION_STACK_BYTES = 16 * 1024 };

static uint64_t local_stride(const struct warp_launch_request *r)
{
    const struct warp_program *program = r->program;
    uint64_t bytes = program->stack_bytes;

    if (program->recursive)
        bytes += r->stack_bytes > RECURSION_STACK_BYTES ? r->stack_bytes : RECURSION_STACK_BYTES;
    return (bytes + 15) & ~UINT64_C(15);
}

static enum fab_status fill(struct warp_launch *launch, const struct warp_launch_request *r,
                            struct fab_err *err)
{
    static atomic_uint_least64_t next_id = 1;
    const struct warp_program *program = r->program;
    size_t shapes;

    launch->program = r->program;
    launch->env = r->env;
    launch->id = atomic_fetch_add(&next_id, 1);
    launch->grid_id = r->grid_id;
    memcpy(launch->grid, r->grid, sizeof(launch->grid));
    memcpy(launch->block, r->block, sizeof(launch->block));
    launch->threads = r->block[0] * r->block[1] * r->block[2];
    launch->warp_count = (launch->threads + WARP_LANES - 1) / WARP_LANES;
    launch->dynamic_shared_bytes = r->dynamic_shared_bytes;
    launch->shared_bytes = program->dynamic_shared_offset + r->dynamic_shared_bytes;
    launch->local_stride = local_stride(r);
    launch->cooperative = r->cooperative;
    launch->done = r->done;
    launch->done_arg = r->done_arg;
    launch->block_count = (uint64_t)r->grid[0] * r->grid[1] * r->grid[2];
    shapes = (size_t)launch->warp_count * program->shape_bytes;
    if (!reserve(&launch->page, &launch->page_room, program->page_bytes + 1) ||
        !reserve(&launch->shapes, &launch->shapes_room, shapes + 1) ||
        !reserve(&launch->params, &launch->params_room, program->info.param_bytes + 1))
        return fab_err_set(err, FAB_ERR_NOMEM, "pages of a launch");
    if (program->info.param_bytes)
        memcpy(launch->params, r->params, program->info.param_bytes);
    memset(launch->workspace, 0, sizeof(launch->workspace));
    atomic_store(&launch->references, 2); /* the pool's and the caller's */
    atomic_store(&launch->prepare, WARP_UNPREPARED);
    atomic_store(&launch->stop, false);
    atomic_store(&launch->finished, false);
    atomic_store(&launch->next_block, 0);
    atomic_store(&launch->unfinished, launch->block_count);
    atomic_store(&launch->rotations, 0);
    launch->outcome = (struct warp_outcome){.kernel = program->code->name, .started_ns = now_ns()};
    return FAB_OK;
}

enum fab_status warp_launch_start(struct warp_pool *pool, const struct warp_launch_request *request,
                                  struct warp_launch **launch_out, struct fab_err *err)
{
    struct warp_launch *launch;
    enum fab_status status = check_request(request, err);

    if (status != FAB_OK)
        return status;
    launch = warp_pool_launch_get(pool);
    if (!launch)
        return fab_err_set(err, FAB_ERR_NOMEM, "launch record");
    status = fill(launch, request, err);
    if (status != FAB_OK) {
        warp_pool_launch_put(launch);
        return status;
    }
    warp_net_check();
    if (launch_out)
        *launch_out = launch;
    warp_pool_add(launch);
    if (!launch_out)
        warp_launch_put(launch);
    return FAB_OK;
}

/* Whoever suspends a block goes on with it, but for a helper that has had enough. */
static void hand_over(struct warp_launch *launch)
{
    bool leaves_blocks;

    (void)pthread_mutex_lock(&launch->lock);
    leaves_blocks = launch->suspended != NULL;
    (void)pthread_mutex_unlock(&launch->lock);
    if (leaves_blocks)
        warp_pool_notify(launch->pool, 1);
}

void warp_launch_help(struct warp_launch *launch, bool (*enough)(void *arg), void *arg)
{
    struct warp_worker *worker = warp_pool_helper_get(launch->pool);
    uint64_t idle_since = 0;
    unsigned float_mode;

    if (!worker)
        return;
    float_mode = warp_float_mode(WARP_FLOAT_DEFAULT);
    warp_net_enter(worker);
    while (!atomic_load_explicit(&launch->finished, memory_order_acquire) && !enough(arg)) {
        uint64_t now;

        if (warp_launch_serve(launch, worker, enough, arg)) {
            idle_since = 0;
            continue;
        }
        now = now_ns();
        if (idle_since == 0)
            idle_since = now;
        if (now - idle_since > HELP_SPIN_NS)
            break;
        warp_relax();
    }
    hand_over(launch);
    warp_net_enter(NULL);
    (void)warp_float_mode(float_mode);
    warp_pool_helper_put(worker);
}

void warp_launch_cancel(struct warp_launch *launch)
{
    struct warp_outcome outcome = {
        .failed = true, .kind = WARP_FAULT_TIMEOUT, .kernel = launch->program->code->name};

    warp_launch_fail(launch, &outcome);
    warp_pool_notify(launch->pool, 1);
}

void warp_launch_put(struct warp_launch *launch)
{
    if (launch && atomic_fetch_sub(&launch->references, 1) == 1)
        warp_pool_launch_put(launch);
}

void *warp_launch_done_arg(const struct warp_launch *launch)
{
    return launch->done_arg;
}
