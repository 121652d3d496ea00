/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/exec_block.c - one block: its memory, and turns for its warps.
 *
 * A warp takes registers when it begins and gives them back when it ends, so that the warps of a
 * block without barriers run one after the other in the same registers, which stay in the cache.
 */
#include <stdlib.h>
#include <string.h>

#include "softcuda/warp/launch_int.h"

enum {
    POISON = 0xcb,
    RUNS_KEPT = 8, /* block records that a worker keeps for the next block */
};

/* ---- registers and local memory of a warp ---- */

struct warp_buffer *warp_buffer_get(struct warp_worker *worker, size_t size_bytes)
{
    struct warp_buffer *buffer = worker->buffers;
    size_t whole = (sizeof(*buffer) + size_bytes + 63) & ~(size_t)63;

    if (buffer)
        worker->buffers = buffer->next;
    if (buffer && buffer->size_bytes >= size_bytes)
        return buffer;
    free(buffer);
    buffer = aligned_alloc(64, whole);
    if (buffer)
        buffer->size_bytes = size_bytes;
    return buffer;
}

void warp_buffer_put(struct warp_worker *worker, struct warp_buffer *buffer)
{
    buffer->next = worker->buffers;
    worker->buffers = buffer;
}

static bool warp_begin(struct warp_run *run, struct warp_worker *worker, uint32_t index)
{
    const struct warp_launch *launch = run->b.launch;
    struct warp_exec *x = &run->warps[index];
    size_t bytes = launch->program->code->frame_bytes + launch->local_stride * WARP_LANES;

    x->buffer = warp_buffer_get(worker, bytes);
    if (!x->buffer)
        return false;
    if (launch->pool->policy.poison)
        memset(x->buffer->data, POISON, bytes);
    warp_exec_init(x, run, index);
    return true;
}

static void warp_end(struct warp_exec *x, struct warp_worker *worker)
{
    warp_exec_fini(x);
    warp_buffer_put(worker, x->buffer);
    x->state = WARP_STATE_DONE;
}

/* ---- the block's record ---- */

static size_t align64(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

/* Takes a record of the worker's that is large enough, or makes one. */
static struct warp_run *run_memory(struct warp_worker *worker, size_t size_bytes)
{
    struct warp_run *run = worker->runs;

    if (run) {
        worker->runs = run->next;
        worker->run_count--;
        if (run->size_bytes >= size_bytes)
            return run;
        free(run);
    }
    run = aligned_alloc(64, size_bytes);
    if (run) {
        run->size_bytes = size_bytes;
        run->launch_id = 0;
    }
    return run;
}

/* What is the same for all blocks of a launch; done once while the record stays with it. */
static void run_adapt(struct warp_run *run, struct warp_launch *launch)
{
    const struct warp_program *program = launch->program;
    uint8_t *at = (uint8_t *)run + align64(sizeof(*run));

    run->launch_id = launch->id;
    run->b.launch = launch;
    run->b.shared_bytes = launch->shared_bytes;
    run->warp_count = launch->warp_count;
    run->warps = (struct warp_exec *)(void *)at;
    for (uint32_t i = 0; i < launch->warp_count; i++)
        warp_set_mask(&run->warps[i].w, WARP_FULL);
    at += align64(launch->warp_count * sizeof(struct warp_exec));
    run->page = at;
    at += align64(program->page_bytes);
    run->b.shared = at;
    memcpy(run->page, launch->page, program->page_bytes);
    run->uniform = (struct warp){.live = WARP_FULL, .block = &run->b};
    run->uniform.base[WARP_BASE_FRAME] = run->page;
    run->uniform.base[WARP_BASE_BLOCK] = run->page;
    run->uniform.base[WARP_BASE_CONST] = (uint8_t *)(uintptr_t)program->consts;
    warp_set_mask(&run->uniform, WARP_FULL);
}

static void block_position(struct warp_run *run, uint64_t index)
{
    const struct warp_launch *launch = run->b.launch;

    if (launch->grid[1] == 1 && launch->grid[2] == 1) {
        run->b.ctaid[0] = (uint32_t)index;
        run->b.ctaid[1] = run->b.ctaid[2] = 0;
        return;
    }
    run->b.ctaid[0] = (uint32_t)(index % launch->grid[0]);
    index /= launch->grid[0];
    run->b.ctaid[1] = (uint32_t)(index % launch->grid[1]);
    run->b.ctaid[2] = (uint32_t)(index / launch->grid[1]);
}

struct warp_run *warp_run_get(struct warp_worker *worker, struct warp_launch *launch,
                              uint64_t block_index)
{
    const struct warp_program *program = launch->program;
    const struct warp_hoisted *hoisted = &program->hoisted[WARP_LEVEL_BLOCK];
    size_t bytes = align64(sizeof(struct warp_run)) +
                   align64(launch->warp_count * sizeof(struct warp_exec)) +
                   align64(program->page_bytes) + align64((size_t)launch->shared_bytes + 1);
    struct warp_run *run = run_memory(worker, bytes);

    if (!run)
        return NULL;
    if (run->launch_id != launch->id)
        run_adapt(run, launch);
    run->next = NULL;
    run->done_count = 0;
    run->live_threads = launch->threads;
    run->barriers_used = 0;
    memset(run->barrier, 0, sizeof(run->barrier));
    for (uint32_t i = 0; i < run->warp_count; i++)
        run->warps[i].state = WARP_STATE_NEW;
    block_position(run, block_index);
    if (launch->pool->policy.poison)
        memset(run->b.shared, POISON, launch->shared_bytes);
    warp_page_fill(launch, hoisted, run->page, run->b.ctaid, 0);
    warp_hoisted_run(hoisted, &run->uniform);
    return run;
}

void warp_run_put(struct warp_run *run, struct warp_worker *worker)
{
    for (uint32_t i = 0; run->done_count < run->warp_count && i < run->warp_count; i++)
        if (run->warps[i].state == WARP_STATE_READY || run->warps[i].state == WARP_STATE_WAIT)
            warp_end(&run->warps[i], worker);
    if (worker->run_count >= RUNS_KEPT) {
        free(run);
        return;
    }
    run->next = worker->runs;
    worker->runs = run;
    worker->run_count++;
}

void warp_worker_fini(struct warp_worker *worker)
{
    while (worker->buffers) {
        struct warp_buffer *next = worker->buffers->next;

        free(worker->buffers);
        worker->buffers = next;
    }
    while (worker->runs) {
        struct warp_run *next = worker->runs->next;

        free(worker->runs);
        worker->runs = next;
    }
}

/* ---- turns ---- */

static enum warp_run_result warp_turn(struct warp_run *run, struct warp_worker *worker,
                                      uint32_t index)
{
    struct warp_exec *x = &run->warps[index];
    enum warp_run_result result;

    if (x->state == WARP_STATE_NEW && !warp_begin(run, worker, index)) {
        struct warp_outcome outcome = {
            .failed = true, .kind = WARP_FAULT_STACK, .kernel = run->b.launch->program->code->name};

        warp_launch_fail(run->b.launch, &outcome);
        return WARP_RUN_STOPPED;
    }
    x->worker = worker;
    x->w.tlb = &worker->tlb;
    worker->running = x;
    result = warp_exec_run(x);
    worker->running = NULL;
    if (result == WARP_RUN_DONE) {
        warp_end(x, worker);
        run->done_count++;
    } else if (result == WARP_RUN_BLOCKED) {
        x->state = WARP_STATE_WAIT;
    }
    return result;
}

/* Every warp waits. Lanes that were to be together go on without the missing ones; if there are
 * none, the block hangs for good. */
static bool unblock(struct warp_run *run)
{
    bool any = false;

    for (uint32_t i = 0; i < run->warp_count; i++)
        if (run->warps[i].state == WARP_STATE_WAIT && warp_force_progress(&run->warps[i])) {
            run->warps[i].state = WARP_STATE_READY;
            any = true;
        }
    return any;
}

static void report_hang(struct warp_run *run)
{
    for (uint32_t i = 0; i < run->warp_count; i++) {
        struct warp_exec *x = &run->warps[i];

        if (x->state == WARP_STATE_WAIT && x->frames->count > 0) {
            warp_set_mask(&x->w, x->frames->fragment[0].mask);
            (void)warp_fault(&x->w, x->frames->fragment[0].pc, WARP_FAULT_TIMEOUT, 0, WARP_LANES);
            return;
        }
    }
}

/* One turn for every warp that can run, again while barriers open. Ends when the block is done,
 * when a warp has used its budget and all others had their turn, or by a fault or cancel. */
enum warp_run_result warp_run_go(struct warp_run *run, struct warp_worker *worker)
{
    run->may_wait = false;
    for (;;) {
        bool yielded = false, ready = false;

        for (uint32_t i = 0; i < run->warp_count; i++) {
            enum warp_run_result result;

            if (run->warps[i].state > WARP_STATE_READY)
                continue;
            result = warp_turn(run, worker, i);
            if (result == WARP_RUN_STOPPED)
                return WARP_RUN_STOPPED;
            yielded = yielded || result == WARP_RUN_YIELDED;
        }
        if (run->done_count == run->warp_count)
            return WARP_RUN_DONE;
        if (yielded)
            return WARP_RUN_YIELDED;
        for (uint32_t i = 0; i < run->warp_count; i++)
            ready = ready || run->warps[i].state <= WARP_STATE_READY;
        if (!ready && !unblock(run)) {
            report_hang(run);
            return WARP_RUN_STOPPED;
        }
    }
}
