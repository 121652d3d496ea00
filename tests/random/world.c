/* SPDX-License-Identifier: Apache-2.0
 * tests/random/world.c - chance, pools and the transcript.
 */
#include "tests/random/world.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

bool driver_open(const char *path, struct driver *driver)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (!library) {
        fprintf(stderr, "random-cuda: %s\n", dlerror());
        return false;
    }
#define FUNCTION(name)                                                                             \
    *(void **)&driver->name = dlsym(library, #name);                                               \
    if (!driver->name) {                                                                           \
        fprintf(stderr, "random-cuda: %s has no %s\n", path, #name);                               \
        return false;                                                                              \
    }
#include "random_functions.inc"
#undef FUNCTION
    return true;
}

/* ---- chance (splitmix64) ----------------------------------------------------------------------
 */

uint64_t rng_next(struct rng *rng)
{
    uint64_t z = rng->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint32_t rng_below(struct rng *rng, uint32_t limit)
{
    return limit ? (uint32_t)(rng_next(rng) % limit) : 0;
}

bool rng_chance(struct rng *rng, uint32_t one_in)
{
    return rng_below(rng, one_in) == 0;
}

uint64_t rng_small(struct rng *rng)
{
    if (rng_chance(rng, 16))
        return UINT64_MAX >> rng_below(rng, 64);
    return rng_below(rng, rng_chance(rng, 4) ? 1100 : 5);
}

/* ---- transcript -------------------------------------------------------------------------------
 */

static void say(struct world *w, const char *format, ...) FAB_PRINTF(2, 3);

static void say(struct world *w, const char *format, ...)
{
    struct transcript *t = &w->transcript;
    va_list arguments;

    if (t->room - t->bytes < 512) {
        t->room = t->room ? t->room * 2 : 65536;
        t->text = realloc(t->text, t->room);
        if (!t->text)
            abort();
    }
    va_start(arguments, format);
    t->bytes += (size_t)vsnprintf(t->text + t->bytes, t->room - t->bytes, format, arguments);
    va_end(arguments);
}

static bool is_fault(CUresult result)
{
    switch ((int)result) {
    case CUDA_ERROR_ILLEGAL_ADDRESS:
    case CUDA_ERROR_LAUNCH_FAILED:
    case CUDA_ERROR_DEVICE_UNAVAILABLE:
    case CUDA_ERROR_UNKNOWN:
        return true;
    default:
        return false;
    }
}

/* ---- contents that nobody knows ---------------------------------------------------------------
 */

void world_taint(struct world *w)
{
    w->tainted_step = w->step + 1;
    for (uint32_t i = 0; i < w->buffer_count; i++)
        w->buffer[i].is_tainted |= w->buffer[i].touched == w->step + 1;
    for (uint32_t i = 0; i < w->host_count; i++)
        w->host[i].is_tainted |= w->host[i].touched == w->step + 1;
}

/* What is under way when a call fails may have failed, too. */
static void taint_busy(struct world *w)
{
    for (uint32_t i = 0; i < w->buffer_count; i++)
        w->buffer[i].is_tainted |= w->buffer[i].busy;
    for (uint32_t i = 0; i < w->host_count; i++)
        w->host[i].is_tainted |= w->host[i].busy;
}

bool world_is_tainted(const struct world *w, uint64_t address)
{
    for (uint32_t i = 0; i < w->buffer_count; i++) {
        const struct buffer *buffer = &w->buffer[i];

        if (buffer->is_tainted && address >= buffer->at && address - buffer->at < buffer->bytes)
            return true;
    }
    for (uint32_t i = 0; i < w->host_count; i++) {
        const struct host *host = &w->host[i];

        if (host->is_tainted && address - (uint64_t)(uintptr_t)host->at < host->bytes)
            return true;
    }
    return false;
}

/* ---- results ----------------------------------------------------------------------------------
 */

CUresult world_result(struct world *w, uint32_t call, CUresult result)
{
    w->calls[call]++;
    say(w, "%u.%u %s %d\n", w->thread, w->step, capi_call_name(call), (int)result);
    if (w->plan && fault_is_documented(w->plan, (int)result)) {
        w->is_hit = true;
        taint_busy(w);
        world_taint(w);
    } else if (is_fault(result)) {
        w->is_broken = true;
    }
    return result;
}

static bool is_wait(uint32_t call)
{
    return call == CAPI_cuStreamSynchronize || call == CAPI_cuCtxSynchronize ||
           call == CAPI_cuEventSynchronize || call == CAPI_cuStreamQuery ||
           call == CAPI_cuEventQuery;
}

bool world_is_told(struct world *w, uint32_t call)
{
    unsigned thread, step;
    char name[80];
    int result;

    while (w->told && *w->told == ' ') { /* what a call gave */
        w->told = strchr(w->told, '\n');
        w->told += w->told != NULL;
    }
    if (!w->told || sscanf(w->told, "%u.%u %79s %d", &thread, &step, name, &result) != 4 ||
        thread != w->thread || step != w->step || strcmp(name, capi_call_name(call)) != 0) {
        w->told = NULL; /* they differ, and it will show */
        return false;
    }
    w->told = strchr(w->told, '\n');
    w->told += w->told != NULL;
    w->told_result = (CUresult)result;
    if (!fault_is_documented(w->plan, result))
        return false;
    if (is_wait(call)) /* a lost device is done with what the program goes on to unmap */
        (void)w->cu->cuCtxSynchronize();
    return true;
}

void world_note(struct world *w, const void *bytes, size_t size_bytes)
{
    const uint8_t *at = bytes;

    say(w, "    =");
    for (size_t i = 0; i < size_bytes && i < 64; i++)
        say(w, " %02x", at[i]);
    say(w, "\n");
}

void world_note_number(struct world *w, const char *what, uint64_t value)
{
    say(w, "    %s %llu\n", what, (unsigned long long)value);
}

void world_note_hash(struct world *w, const char *what, const void *bytes, size_t size_bytes)
{
    const uint8_t *at = bytes;
    uint64_t hash = UINT64_C(14695981039346656037);

    if (world_is_tainted(w, (uint64_t)(uintptr_t)bytes)) {
        say(w, "    %s of %zu bytes: unknown\n", what, size_bytes);
        return;
    }
    for (size_t i = 0; i < size_bytes; i++)
        hash = (hash ^ at[i]) * UINT64_C(1099511628211);
    say(w, "    %s of %zu bytes: %016llx\n", what, size_bytes, (unsigned long long)hash);
}

void world_note_handle(struct world *w, enum pool_kind kind, uint64_t handle)
{
    const struct pool *pool = &w->pool[kind];
    uint32_t i = 0;

    while (i < pool->count && pool->item[i] != handle)
        i++;
    if (handle == 0)
        say(w, "    = none\n");
    else if (i < pool->count)
        say(w, "    = object %u\n", i);
    else
        say(w, "    = an object\n");
}

/* ---- pools ------------------------------------------------------------------------------------
 */

uint64_t world_pick_live(struct world *w, struct rng *rng, enum pool_kind kind)
{
    const struct pool *pool = &w->pool[kind];

    return pool->count ? pool->item[rng_below(rng, pool->count)] : 0;
}

uint64_t world_pick(struct world *w, struct rng *rng, enum pool_kind kind)
{
    const struct pool *pool = &w->pool[kind];

    if (rng_chance(rng, 24))
        return 0;
    if (pool->dead_count && rng_chance(rng, 24))
        return pool->dead[rng_below(rng, pool->dead_count)];
    return world_pick_live(w, rng, kind);
}

bool world_add(struct world *w, enum pool_kind kind, uint64_t handle)
{
    struct pool *pool = &w->pool[kind];

    if (pool->count == POOL_MAX)
        return false;
    for (uint32_t i = 0; i < pool->count; i++) {
        if (pool->item[i] == handle)
            return true;
    }
    pool->item[pool->count++] = handle;
    return true;
}

void world_drop(struct world *w, enum pool_kind kind, uint64_t handle)
{
    struct pool *pool = &w->pool[kind];

    for (uint32_t i = 0; i < pool->count; i++) {
        if (pool->item[i] != handle)
            continue;
        pool->item[i] = pool->item[--pool->count];
        if (kind == POOL_POOL)
            w->pool_device[i] = w->pool_device[pool->count];
        if (kind == POOL_DEVICE || kind == POOL_MEMORY)
            return; /* numbers of devices and addresses live on */
        pool->dead[pool->dead_next] = handle;
        pool->dead_next = (pool->dead_next + 1) % DEAD_MAX;
        pool->dead_count += pool->dead_count < DEAD_MAX;
        return;
    }
}
