/* SPDX-License-Identifier: Apache-2.0
 * tests/random/program.c - making a program from a seed, and running it on a driver.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/random/world.h"

enum { KINDS_MAX = 256, STEPS_MIN = 20, STEPS_SPAN = 120, THREADS_MAX = 3 };

static struct step_kind kinds[KINDS_MAX];
static uint32_t kind_count, weight_sum;

static void add_kinds(const struct step_kind *some, size_t count, uint32_t weight_factor)
{
    for (size_t i = 0; i < count && kind_count < KINDS_MAX; i++) {
        kinds[kind_count] = some[i];
        kinds[kind_count].weight *= weight_factor;
        weight_sum += kinds[kind_count++].weight;
    }
}

static void gather_kinds(void)
{
    size_t probe_count;
    const struct step_kind *probes = step_probes(&probe_count);

    if (kind_count)
        return;
    add_kinds(steps_memory, steps_memory_count, 4);
    add_kinds(steps_copy, steps_copy_count, 4);
    add_kinds(steps_stream, steps_stream_count, 4);
    add_kinds(steps_code, steps_code_count, 4);
    add_kinds(steps_query, steps_query_count, 4);
    add_kinds(probes, probe_count, 1);
}

static uint32_t choose_kind(struct rng *rng, bool alone)
{
    for (;;) {
        uint32_t at = rng_below(rng, weight_sum), kind = 0;

        while (at >= kinds[kind].weight)
            at -= kinds[kind++].weight;
        if (alone || !kinds[kind].is_alone)
            return kind;
    }
}

void program_make(uint64_t seed, uint32_t device_count, bool alone, struct program *program)
{
    struct rng rng = {seed};

    gather_kinds();
    *program = (struct program){.seed = seed, .device_count = device_count};
    program->threads = rng_chance(&rng, 2) || alone ? 1 : 2 + rng_below(&rng, THREADS_MAX - 1);
    program->step_count = (STEPS_MIN + rng_below(&rng, STEPS_SPAN)) * program->threads;
    program->steps = calloc(program->step_count, sizeof(*program->steps));
    program->is_out = calloc(program->step_count, 1);
    if (!program->steps || !program->is_out)
        abort();
    for (uint32_t i = 0; i < program->step_count; i++) {
        program->steps[i].kind = choose_kind(&rng, program->threads == 1);
        program->steps[i].seed = rng_next(&rng);
    }
}

void program_free(struct program *program)
{
    free(program->steps);
    free(program->is_out);
}

const char *program_step_name(const struct program *program, uint32_t step)
{
    return kinds[program->steps[step].kind].name;
}

/* ---- one thread -------------------------------------------------------------------------------
 */

struct runner {
    const struct program *program;
    struct world world;
    pthread_t thread;
    bool has_fault;
};

/* Two devices, each with its default stream and one more; one module on each; a library. */
static void furnish(struct world *w, struct rng *rng)
{
    for (uint32_t i = 0; i < w->device_count; i++) {
        (void)CU(w, cuDevicePrimaryCtxRetain, &w->primary[i], (CUdevice)i);
        (void)world_add(w, POOL_DEVICE, i);
        (void)world_add(w, POOL_CONTEXT, (uint64_t)w->primary[i]);
    }
    w->device[0] = rng_below(rng, w->device_count);
    w->device[1] = rng_below(rng, w->device_count);
    for (uint32_t i = 0; i < 2; i++) {
        CUcontext context = w->primary[w->device[i]];
        CUstream stream = NULL;
        CUevent event = NULL;

        (void)CU(w, cuCtxSetCurrent, context);
        w->lane[w->lane_count++] = (struct lane){NULL, context, w->device[i], 0};
        if (CU(w, cuStreamCreate, &stream, CU_STREAM_NON_BLOCKING) == CUDA_SUCCESS) {
            w->lane[w->lane_count++] =
                (struct lane){stream, context, w->device[i], CU_STREAM_NON_BLOCKING};
            (void)world_add(w, POOL_STREAM, (uint64_t)stream);
        }
        if (CU(w, cuEventCreate, &event, 0) == CUDA_SUCCESS)
            (void)world_add(w, POOL_EVENT, (uint64_t)event);
        if (CU(w, cuModuleLoadData, &w->module[i], random_ptx) == CUDA_SUCCESS)
            (void)world_add(w, POOL_MODULE, (uint64_t)w->module[i]);
    }
    if (CU(w, cuLibraryLoadData, &w->library, random_ptx, NULL, NULL, 0, NULL, NULL, 0) ==
        CUDA_SUCCESS)
        (void)world_add(w, POOL_LIBRARY, (uint64_t)w->library);
}

/* All that is left is looked at and given back. */
static void clean_up(struct world *w, struct rng *rng)
{
    for (uint32_t i = 0; i < w->buffer_count; i++)
        world_check_buffer(w, rng, &w->buffer[i]);
    for (uint32_t i = 0; i < w->lane_count; i++)
        world_settle_lane(w, rng, i);
    for (uint32_t i = 0; i < w->host_count; i++) {
        struct host *host = &w->host[i];

        world_note_hash(w, "host memory", host->at, host->bytes);
        if (host->kind == HOST_PINNED)
            (void)CU(w, cuMemFreeHost, host->at);
        if (host->kind == HOST_REGISTERED)
            (void)CU(w, cuMemHostUnregister, host->at);
        if (host->kind != HOST_PINNED && !w->is_hit)
            free(host->at);
    }
    for (uint32_t i = 0; i < w->buffer_count; i++) {
        struct buffer *buffer = &w->buffer[i];

        (void)CU(w, cuCtxSetCurrent, buffer->context);
        if (buffer->kind == BUFFER_VIRTUAL) {
            (void)CU(w, cuMemUnmap, buffer->at, buffer->bytes);
            (void)CU(w, cuMemRelease, buffer->allocation);
            (void)CU(w, cuMemAddressFree, buffer->at, buffer->bytes);
        } else {
            (void)CU(w, cuMemFree_v2, buffer->at);
        }
    }
    while (w->pool[POOL_POOL].count > 0) {
        uint64_t pool = w->pool[POOL_POOL].item[0];

        (void)CU(w, cuMemPoolDestroy, (CUmemoryPool)pool);
        world_drop(w, POOL_POOL, pool);
    }
    for (uint32_t i = 0; i < w->pool[POOL_STREAM].count; i++)
        (void)CU(w, cuStreamDestroy_v2, (CUstream)w->pool[POOL_STREAM].item[i]);
    for (uint32_t i = 0; i < w->pool[POOL_EVENT].count; i++)
        (void)CU(w, cuEventDestroy_v2, (CUevent)w->pool[POOL_EVENT].item[i]);
    (void)CU(w, cuLibraryUnload, w->library);
    for (uint32_t i = 0; i < 2; i++) {
        (void)CU(w, cuCtxSetCurrent, w->primary[w->device[i]]);
        (void)CU(w, cuModuleUnload, w->module[i]);
    }
    for (uint32_t i = 0; i < HOST_COUNTERS && !w->is_hit; i++)
        world_note_number(w, "host calls", w->host_calls[i]);
}

static void *run_thread(void *arg)
{
    struct runner *runner = arg;
    const struct program *program = runner->program;
    struct world *w = &runner->world;
    struct rng rng = {program->seed * 977 + w->thread};

    furnish(w, &rng);
    for (uint32_t i = w->thread; i < program->step_count; i += program->threads) {
        struct rng own = {program->steps[i].seed};

        if (program->is_out[i] || w->is_broken)
            continue;
        w->step = i;
        if (runner->has_fault && i >= w->plan->step)
            fault_begin(w->plan);
        kinds[program->steps[i].kind].run(w, &own);
    }
    w->step = program->step_count;
    clean_up(w, &rng);
    return NULL;
}

/* ---- the whole --------------------------------------------------------------------------------
 */

static char *join(struct runner *runners, uint32_t count)
{
    size_t bytes = 1;
    char *all, *at;

    for (uint32_t i = 0; i < count; i++)
        bytes += runners[i].world.transcript.bytes;
    all = at = malloc(bytes);
    if (!all)
        abort();
    for (uint32_t i = 0; i < count; i++) {
        struct transcript *transcript = &runners[i].world.transcript;

        if (transcript->bytes)
            memcpy(at, transcript->text, transcript->bytes);
        at += transcript->bytes;
        free(transcript->text);
    }
    *at = '\0';
    return all;
}

/* The part of a transcript that the thread wrote. */
static const char *part_of(const char *told, uint32_t thread)
{
    char head[16], *found;

    if (!told)
        return NULL;
    (void)snprintf(head, sizeof(head), "\n%u.", thread);
    found = strstr(told, head);
    return strncmp(told, head + 1, strlen(head + 1)) == 0 ? told : found ? found + 1 : NULL;
}

static void start_thread(const struct program *program, const struct driver *cu,
                         const struct fault_plan *plan, const char *told, uint32_t thread,
                         struct runner *runner)
{
    *runner = (struct runner){.program = program, .has_fault = plan && !told};
    runner->world.cu = cu;
    runner->world.thread = thread;
    runner->world.thread_count = program->threads;
    runner->world.device_count = program->device_count;
    runner->world.plan = plan;
    runner->world.told = part_of(told, thread);
    if (pthread_create(&runner->thread, NULL, run_thread, runner) != 0)
        abort();
}

/* The next program starts from nothing. */
static void reset_devices(const struct program *program, const struct driver *cu, uint32_t *calls)
{
    for (uint32_t i = 0; i < program->device_count; i++) {
        if ((program->seed + i) % 2)
            (void)cu->cuDevicePrimaryCtxReset_v2((CUdevice)i);
        else
            (void)cu->cuDevicePrimaryCtxReset((CUdevice)i);
        calls[(program->seed + i) % 2 ? CAPI_cuDevicePrimaryCtxReset_v2
                                      : CAPI_cuDevicePrimaryCtxReset]++;
    }
}

char *program_run(const struct program *program, const struct driver *cu, uint32_t *calls,
                  const struct fault_plan *plan, const char *told)
{
    struct runner *runners = calloc(program->threads, sizeof(*runners));
    char *text;

    if (!runners)
        abort();
    for (uint32_t i = 0; i < program->threads; i++)
        start_thread(program, cu, plan, told, i, &runners[i]);
    for (uint32_t i = 0; i < program->threads; i++) {
        (void)pthread_join(runners[i].thread, NULL);
        for (uint32_t call = 0; call < CALLS_MAX; call++)
            calls[call] += runners[i].world.calls[call];
    }
    reset_devices(program, cu, calls);
    text = join(runners, program->threads);
    if (!plan) /* else a host function of a lost stream may still know its world */
        free(runners);
    return text;
}
