/* SPDX-License-Identifier: Apache-2.0
 * perf/fabric-perf/lanes.c - see lanes.h.
 */
#include "perf/fabric-perf/lanes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "perf/fabric-perf/kernels.h"

enum { ALIGNMENT = 4096 };

bool fp_lanes_ok(struct fp_lanes *lanes, cudaError_t error, const char *what)
{
    if (error == cudaSuccess)
        return true;
    (void)cudaGetLastError(); /* it is told here, and not by the next launch */
    if (!lanes->failed[0])
        (void)snprintf(lanes->failed, sizeof(lanes->failed), "%s: %s", what,
                       cudaGetErrorName(error));
    return false;
}
#define DID(name, ...) fp_lanes_ok(lanes, name(__VA_ARGS__), #name)

/* ---- places ------------------------------------------------------------------------------------
 */

static bool make_place(struct fp_lanes *lanes, struct fp_place *place)
{
    const size_t bytes = (lanes->key.size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    bool done = false;

    switch (place->memory) {
    case FP_PAGEABLE:
        place->at = aligned_alloc(ALIGNMENT, bytes);
        done = place->at || fp_lanes_ok(lanes, cudaErrorMemoryAllocation, "aligned_alloc");
        break;
    case FP_PINNED:
        done = DID(cudaHostAlloc, &place->at, bytes, cudaHostAllocPortable);
        break;
    case FP_MAPPED:
        done = DID(cudaHostAlloc, &place->at, bytes, cudaHostAllocMapped) &&
               DID(cudaHostGetDevicePointer, &place->at_device, place->at, 0);
        break;
    case FP_MANAGED:
        done = DID(cudaMallocManaged, &place->at, bytes, cudaMemAttachGlobal);
        place->at_device = place->at;
        break;
    case FP_MEMORY_NONE:
        done = DID(cudaSetDevice, place->gpu) && DID(cudaMalloc, &place->at, bytes);
        place->at_device = place->at;
        break;
    case FP_MEMORY_COUNT:
        break;
    }
    return done;
}

static void end_place(struct fp_place *place)
{
    switch (place->memory) {
    case FP_PAGEABLE:
        free(place->at);
        break;
    case FP_PINNED:
    case FP_MAPPED:
        (void)cudaFreeHost(place->at); /* NULL is fine; a device that is lost has said so before */
        break;
    case FP_MANAGED:
    case FP_MEMORY_NONE:
        (void)cudaFree(place->at);
        break;
    case FP_MEMORY_COUNT:
        break;
    }
    place->at = NULL;
}

/* ---- lanes -------------------------------------------------------------------------------------
 */

static struct fp_place host_place(const struct fp_key *key)
{
    return (struct fp_place){.memory = key->memory, .gpu = -1};
}

static struct fp_place device_place(int32_t gpu)
{
    return (struct fp_place){.memory = FP_MEMORY_NONE, .gpu = gpu};
}

/* The ends of lane `i` of those of one stream of one GPU. */
static void choose_ends(const struct fp_key *key, struct fp_lane *lane, int32_t gpu, int32_t peer,
                        bool is_back)
{
    lane->gpu = gpu;
    switch (key->test) {
    case FP_H2D:
    case FP_BOTH:
        lane->from = is_back ? device_place(gpu) : host_place(key);
        lane->to = is_back ? host_place(key) : device_place(gpu);
        break;
    case FP_D2H:
        lane->from = device_place(gpu);
        lane->to = host_place(key);
        break;
    case FP_P2P:
    case FP_P2P_BOTH:
        lane->gpu = is_back ? peer : gpu;
        lane->from = device_place(lane->gpu);
        lane->to = device_place(is_back ? gpu : peer);
        break;
    case FP_MEMCPY:
        lane->from = lane->to = (struct fp_place){.memory = FP_PAGEABLE, .gpu = -1};
        break;
    case FP_D2D:
    case FP_LAUNCH:
    case FP_LAUNCH_SYNC:
    case FP_SYNC:
        lane->from = lane->to = device_place(gpu);
        break;
    case FP_LIMIT:
    case FP_TEST_COUNT:
        break;
    }
}

/* Copies between neighbours want to know each other once; "enabled already" is no failure. */
static bool know_peer(struct fp_lanes *lanes, int32_t gpu, int32_t peer)
{
    int can = 0;
    cudaError_t error;

    if (gpu == peer || peer < 0)
        return true;
    if (!DID(cudaSetDevice, gpu) || !DID(cudaDeviceCanAccessPeer, &can, gpu, peer))
        return false;
    error = can ? cudaDeviceEnablePeerAccess(peer, 0) : cudaSuccess;
    if (error == cudaErrorPeerAccessAlreadyEnabled)
        error = cudaGetLastError() == error ? cudaSuccess : error;
    return fp_lanes_ok(lanes, error, "cudaDeviceEnablePeerAccess");
}

static bool make_lane(struct fp_lanes *lanes, struct fp_lane *lane)
{
    if (lanes->key.test == FP_MEMCPY)
        return make_place(lanes, &lane->from) && make_place(lanes, &lane->to);
    if (lane->from.memory == FP_MEMORY_NONE && lane->to.memory == FP_MEMORY_NONE &&
        (!know_peer(lanes, lane->from.gpu, lane->to.gpu) ||
         !know_peer(lanes, lane->to.gpu, lane->from.gpu)))
        return false;
    if (!DID(cudaSetDevice, lane->gpu) ||
        !DID(cudaStreamCreateWithFlags, &lane->stream, cudaStreamNonBlocking))
        return false;
    if (lanes->key.size == 0)
        return true; /* it copies nothing */
    return make_place(lanes, &lane->from) && make_place(lanes, &lane->to);
}

bool fp_lanes_init(struct fp_lanes *lanes, const struct fp_key *key, const int32_t *gpus)
{
    const bool is_both = key->test == FP_BOTH || key->test == FP_P2P_BOTH;
    const uint32_t each = key->streams * (is_both ? 2 : 1);
    static uint64_t seed;

    *lanes = (struct fp_lanes){.key = *key};
    lanes->lane = calloc((size_t)each * key->gpus, sizeof(*lanes->lane));
    lanes->scratch = malloc(key->size + 1);
    if (!lanes->lane || !lanes->scratch)
        return fp_lanes_ok(lanes, cudaErrorMemoryAllocation, "malloc");
    for (uint32_t i = 0; i < each * key->gpus; i++) {
        const uint32_t at = i / each;
        const int32_t gpu = key->gpu >= 0 ? key->gpu : gpus[at];
        const int32_t peer = key->gpus > 1 ? gpus[(at + 1) % key->gpus] : key->peer;
        struct fp_lane *lane = &lanes->lane[i];

        choose_ends(key, lane, gpu, peer, is_both && i % 2 != 0);
        lane->seed = ++seed;
        lanes->count = i + 1;
        if (!make_lane(lanes, lane))
            return false;
    }
    return true;
}

void fp_lanes_fini(struct fp_lanes *lanes)
{
    for (uint32_t i = 0; i < lanes->count; i++) {
        struct fp_lane *lane = &lanes->lane[i];

        if (lane->stream) {
            (void)cudaSetDevice(lane->gpu);
            (void)cudaStreamDestroy(lane->stream);
        }
        if (lane->from.at)
            end_place(&lane->from);
        if (lane->to.at)
            end_place(&lane->to);
    }
    free(lanes->lane);
    free(lanes->scratch);
    lanes->lane = NULL;
    lanes->scratch = NULL;
    lanes->count = 0;
}

/* ---- bytes -------------------------------------------------------------------------------------
 */

static bool put_bytes(struct fp_lanes *lanes, const struct fp_place *place, uint64_t seed,
                      bool is_inverted)
{
    const uint64_t bytes = lanes->key.size;

    if (place->memory != FP_MEMORY_NONE) {
        fp_pattern_fill(place->at, bytes, seed, is_inverted);
        return true;
    }
    fp_pattern_fill(lanes->scratch, bytes, seed, is_inverted);
    return DID(cudaSetDevice, place->gpu) &&
           DID(cudaMemcpy, place->at, lanes->scratch, bytes, cudaMemcpyHostToDevice) &&
           DID(cudaDeviceSynchronize);
}

bool fp_lanes_fill(struct fp_lanes *lanes)
{
    for (uint32_t i = 0; i < lanes->count && lanes->key.size > 0; i++)
        if (!put_bytes(lanes, &lanes->lane[i].from, lanes->lane[i].seed, false) ||
            !put_bytes(lanes, &lanes->lane[i].to, lanes->lane[i].seed, true))
            return false;
    return true;
}

void fp_lanes_touch(struct fp_lanes *lanes)
{
    for (uint32_t i = 0; i < lanes->count; i++) {
        struct fp_lane *lane = &lanes->lane[i];

        if (lane->from.memory == FP_MANAGED)
            fp_pattern_fill(lane->from.at, lanes->key.size, lane->seed, false);
        if (lane->to.memory == FP_MANAGED)
            fp_pattern_fill(lane->to.at, lanes->key.size, lane->seed, true);
    }
}

bool fp_lanes_verify(struct fp_lanes *lanes)
{
    for (uint32_t i = 0; i < lanes->count && lanes->key.size > 0; i++) {
        const struct fp_lane *lane = &lanes->lane[i];
        const void *arrived = lane->to.at;

        if (lane->to.memory == FP_MEMORY_NONE) {
            arrived = lanes->scratch;
            if (!DID(cudaSetDevice, lane->to.gpu) || !DID(cudaMemcpy, lanes->scratch, lane->to.at,
                                                          lanes->key.size, cudaMemcpyDeviceToHost))
                return false;
        }
        if (!fp_pattern_is(arrived, lanes->key.size, lane->seed))
            return false;
    }
    return true;
}

/* ---- work --------------------------------------------------------------------------------------
 */

static enum cudaMemcpyKind kind_of(const struct fp_lane *lane)
{
    if (lane->from.memory != FP_MEMORY_NONE)
        return cudaMemcpyHostToDevice;
    return lane->to.memory != FP_MEMORY_NONE ? cudaMemcpyDeviceToHost : cudaMemcpyDeviceToDevice;
}

static bool post_sync(struct fp_lanes *lanes, struct fp_lane *lane)
{
    const uint64_t bytes = lanes->key.size;

    if (lanes->key.test == FP_P2P)
        return DID(cudaMemcpyPeer, lane->to.at, lane->to.gpu, lane->from.at, lane->from.gpu,
                   bytes) &&
               DID(cudaDeviceSynchronize);
    /* Between places of a device it does not wait by itself. */
    return DID(cudaMemcpy, lane->to.at, lane->from.at, bytes, kind_of(lane)) &&
           (lanes->key.test != FP_D2D || DID(cudaDeviceSynchronize));
}

static bool post_async(struct fp_lanes *lanes, struct fp_lane *lane)
{
    const uint64_t bytes = lanes->key.size;

    if (lane->from.gpu >= 0 && lane->to.gpu >= 0 && lane->from.gpu != lane->to.gpu)
        return DID(cudaMemcpyPeerAsync, lane->to.at, lane->to.gpu, lane->from.at, lane->from.gpu,
                   bytes, lane->stream);
    return DID(cudaMemcpyAsync, lane->to.at, lane->from.at, bytes, kind_of(lane), lane->stream);
}

static bool post_lane(struct fp_lanes *lanes, struct fp_lane *lane)
{
    if (lanes->key.test == FP_SYNC)
        return DID(cudaDeviceSynchronize);
    if (lanes->key.test == FP_LAUNCH)
        return DID(fp_kernel_empty, lane->stream);
    if (lanes->key.test == FP_LAUNCH_SYNC)
        return DID(fp_kernel_empty, lane->stream) && DID(cudaStreamSynchronize, lane->stream);
    if (lanes->key.call == FP_CALL_SYNC)
        return post_sync(lanes, lane);
    if (lanes->key.call == FP_CALL_ASYNC)
        return post_async(lanes, lane);
    return DID(fp_kernel_copy, lane->to.at_device, lane->from.at_device, lanes->key.size,
               lane->stream);
}

bool fp_lanes_post(struct fp_lanes *lanes)
{
    for (uint32_t i = 0; i < lanes->count; i++) {
        struct fp_lane *lane = &lanes->lane[i];

        if (lanes->key.gpus > 1 && !DID(cudaSetDevice, lane->gpu))
            return false;
        if (!post_lane(lanes, lane))
            return false;
    }
    return true;
}

bool fp_lanes_wait(struct fp_lanes *lanes)
{
    for (uint32_t i = 0; i < lanes->count; i++)
        if (lanes->lane[i].stream && !DID(cudaStreamSynchronize, lanes->lane[i].stream))
            return false;
    return true;
}
