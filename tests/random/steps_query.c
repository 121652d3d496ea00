/* SPDX-License-Identifier: Apache-2.0
 * tests/random/steps_query.c - devices, contexts, pointers, logs: what takes more than a probe.
 */
#include "tests/random/world.h"

#include <stdlib.h>
#include <string.h>

/* The generated probes: static functions and their table. */
#include "random_probes.inc"

const struct step_kind *step_probes(size_t *count_out)
{
    *count_out = sizeof(probe_kinds) / sizeof(probe_kinds[0]);
    return probe_kinds;
}

static void devices(struct world *w, struct rng *rng)
{
    CUdevice device = (CUdevice)rng_below(rng, w->device_count + 1), again = -1;
    CUatomicOperation operations[] = {CU_ATOMIC_OPERATION_INTEGER_ADD};
    unsigned capabilities[1] = {0}, mask = 0;
    char name[100], bus[32];
    CUdevprop prop;
    CUuuid uuid;
    char luid[8];

    memset(name, 0, sizeof(name));
    if (CU(w, cuDeviceGetName, name, (int)sizeof(name), device) == CUDA_SUCCESS)
        world_note(w, name, strlen(name));
    if (CU(w, cuDeviceGetPCIBusId, bus, (int)sizeof(bus), device) == CUDA_SUCCESS &&
        CU(w, cuDeviceGetByPCIBusId, &again, bus) == CUDA_SUCCESS)
        world_note_number(w, "found again", again == device);
    (void)CU(w, cuDeviceGetUuid_v2, &uuid, device);
    (void)CU(w, cuDeviceGetUuid, &uuid, device);
    (void)CU(w, cuDeviceGetLuid, luid, &mask, device);
    if (CU(w, cuDeviceGetProperties, &prop, device) == CUDA_SUCCESS)
        world_note(w, &prop, sizeof(prop));
    /* What a device can do with this host's memory depends on where the device is. */
    (void)CU(w, cuDeviceGetHostAtomicCapabilities, capabilities, operations, 1, device);
    (void)CU(w, cuDeviceGetP2PAtomicCapabilities, capabilities, operations, 1, device, 0);
}

static void texts(struct world *w, struct rng *rng)
{
    CUresult result = (CUresult)rng_below(rng, 1000);
    const char *text = NULL;
    const void *table = NULL;
    void *found = NULL;
    CUdriverProcAddressQueryResult status;

    if (CU(w, cuGetErrorName, result, &text) == CUDA_SUCCESS)
        world_note(w, text, strlen(text));
    if (CU(w, cuGetErrorString, result, &text) == CUDA_SUCCESS)
        world_note(w, text, strlen(text));
    if (CU(w, cuGetProcAddress_v2, "cuMemAlloc", &found, 3020 - (int)rng_below(rng, 2), 0,
           &status) == CUDA_SUCCESS)
        world_note_number(w, "status", status);
    (void)CU(w, cuGetProcAddress, "cuNothing", &found, 13000, 0);
    (void)CU(w, cuGetExportTable, &table, &(CUuuid){{1}});
    (void)CU(w, cuInit, rng_below(rng, 2));
}

static void contexts(struct world *w, struct rng *rng)
{
    CUcontext context = w->primary[w->device[rng_below(rng, 2)]], current = NULL;
    CUcontext other = (CUcontext)world_pick(w, rng, POOL_CONTEXT);
    CUexecAffinityParam affinity;
    unsigned long long id = 0;
    unsigned flags = 0;
    int active = 0;

    (void)CU(w, cuCtxSetCurrent, context);
    if (CU(w, cuCtxPushCurrent_v2, other) == CUDA_SUCCESS) {
        if (CU(w, cuCtxGetCurrent, &current) == CUDA_SUCCESS)
            world_note_handle(w, POOL_CONTEXT, (uint64_t)current);
        (void)CU(w, cuCtxPopCurrent_v2, &current);
    }
    if (CU(w, cuCtxPushCurrent, other) == CUDA_SUCCESS)
        (void)CU(w, cuCtxPopCurrent, &current);
    (void)CU(w, cuCtxGetId, context, &id);
    (void)CU(w, cuStreamGetId, w->lane[0].handle, &id);
    memset(&affinity, 0, sizeof(affinity));
    (void)CU(w, cuCtxGetExecAffinity, &affinity, CU_EXEC_AFFINITY_TYPE_SM_COUNT);
    if (CU(w, cuDevicePrimaryCtxGetState, (CUdevice)w->device[0], &flags, &active) == CUDA_SUCCESS)
        world_note_number(w, "active", (uint64_t)active);
    if (CU(w, cuDevicePrimaryCtxRetain, &current, (CUdevice)w->device[0]) == CUDA_SUCCESS) {
        if (rng_chance(rng, 2))
            (void)CU(w, cuDevicePrimaryCtxRelease_v2, (CUdevice)w->device[0]);
        else
            (void)CU(w, cuDevicePrimaryCtxRelease, (CUdevice)w->device[0]);
    }
}

/* A context of its own, used a little and destroyed. */
static void created_context(struct world *w, struct rng *rng)
{
    CUdevice device = (CUdevice)w->device[rng_below(rng, 2)];
    CUctxCreateParams params;
    CUcontext context = NULL;
    CUdeviceptr at = 0;
    CUresult result;
    unsigned version = 0;

    memset(&params, 0, sizeof(params));
    switch (rng_below(rng, 4)) {
    case 0:
        result = CU(w, cuCtxCreate_v2, &context, rng_below(rng, 5), device);
        break;
    case 1:
        result = CU(w, cuCtxCreate_v3, &context, NULL, 0, 0, device);
        break;
    case 2:
        result = CU(w, cuCtxCreate, &context, 0, device);
        break;
    default:
        result = CU(w, cuCtxCreate_v4, &context, &params, 0, device);
        break;
    }
    if (result != CUDA_SUCCESS)
        return;
    if (CU(w, cuCtxGetApiVersion, context, &version) == CUDA_SUCCESS)
        world_note_number(w, "version", version);
    if (rng_chance(rng, 2) && CU(w, cuMemAlloc_v2, &at, 4096) == CUDA_SUCCESS)
        (void)CU(w, cuMemsetD8_v2, at, 1, 4096);
    if (rng_chance(rng, 3) && CU(w, cuCtxAttach, &context, 0) == CUDA_SUCCESS)
        (void)CU(w, cuCtxDetach, context);
    if (rng_chance(rng, 2))
        (void)CU(w, cuCtxDestroy_v2, context);
    else
        (void)CU(w, cuCtxDestroy, context);
    world_drop(w, POOL_CONTEXT, (uint64_t)context);
}

static void peers(struct world *w, struct rng *rng)
{
    uint32_t a = rng_below(rng, w->device_count), b = rng_below(rng, w->device_count);

    (void)CU(w, cuCtxSetCurrent, w->primary[a]);
    (void)CU(w, cuCtxEnablePeerAccess, w->primary[b], 0);
    (void)CU(w, cuCtxDisablePeerAccess, w->primary[b]);
    (void)CU(w, cuCtxDisablePeerAccess, w->primary[b]);
}

static void primary_flags(struct world *w, struct rng *rng)
{
    unsigned flags = rng_below(rng, 5);

    if (rng_chance(rng, 2))
        (void)CU(w, cuDevicePrimaryCtxSetFlags_v2, (CUdevice)w->device[0], flags);
    else
        (void)CU(w, cuDevicePrimaryCtxSetFlags, (CUdevice)w->device[0], flags);
}

/* ---- pointers ---------------------------------------------------------------------------------
 */

static uint64_t some_address(struct world *w, struct rng *rng)
{
    struct buffer *buffer = world_buffer(w, rng, -1);
    struct host *host = world_host(w, rng);

    if (host && rng_chance(rng, 3))
        return (uint64_t)(uintptr_t)host->at;
    if (buffer && !rng_chance(rng, 8))
        return buffer->at + rng_next(rng) % buffer->bytes;
    return 0x7000;
}

static void pointers(struct world *w, struct rng *rng)
{
    static const CUpointer_attribute kinds[] = {
        CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_IS_MANAGED,
        CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, CU_POINTER_ATTRIBUTE_MAPPED,
        CU_POINTER_ATTRIBUTE_RANGE_SIZE};
    CUpointer_attribute both[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                  CU_POINTER_ATTRIBUTE_IS_MANAGED};
    uint64_t at = some_address(w, rng), value = 0, values[2] = {0};
    void *data[] = {&values[0], &values[1]};
    CUdeviceptr base = 0;
    size_t bytes = 0;
    unsigned sync = 1;

    (void)world_lane(w, rng);
    if (CU(w, cuPointerGetAttribute, &value, kinds[rng_below(rng, 5)], at) == CUDA_SUCCESS)
        world_note(w, &value, sizeof(value));
    if (CU(w, cuPointerGetAttributes, 2, both, data, at) == CUDA_SUCCESS)
        world_note(w, values, sizeof(values));
    if (CU(w, cuMemGetAddressRange_v2, &base, &bytes, at) == CUDA_SUCCESS)
        world_note_number(w, "bytes", bytes);
    (void)CU(w, cuPointerSetAttribute, &sync, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, at);
}

static void memory_info(struct world *w, struct rng *rng)
{
    size_t free_bytes = 0, total_bytes = 0;

    /* What is still to be freed in some stream's order is not free yet. */
    for (uint32_t i = 0; i < w->device_count; i++) {
        (void)CU(w, cuCtxSetCurrent, w->primary[i]);
        (void)CU(w, cuCtxSynchronize);
    }
    (void)world_lane(w, rng);
    if (CU(w, cuMemGetInfo_v2, &free_bytes, &total_bytes) != CUDA_SUCCESS)
        return;
    world_note_number(w, "total", total_bytes);
    if (w->thread_count == 1) /* others allocate meanwhile */
        world_note_number(w, "free", free_bytes);
}

static void access_of(struct world *w, struct rng *rng)
{
    struct buffer *buffer = world_buffer(w, rng, -1);
    CUmemLocation location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = (int)w->device[0]};
    unsigned long long flags = 0;

    (void)world_lane(w, rng);
    if (buffer && buffer->kind == BUFFER_VIRTUAL &&
        CU(w, cuMemGetAccess, &flags, &location, buffer->at) == CUDA_SUCCESS)
        world_note(w, &flags, sizeof(flags));
}

static void managed(struct world *w, struct rng *rng)
{
    struct buffer *buffer = world_buffer(w, rng, -1);

    if (!buffer || buffer->kind != BUFFER_MANAGED)
        return;
    uint32_t lane = world_lane_on(w, rng, buffer->device);
    CUmemLocation location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = (int)buffer->device};
    CUstream stream = w->lane[lane].handle;
    CUmem_range_attribute attribute = CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY;
    CUdeviceptr at[] = {buffer->at};
    size_t bytes[] = {buffer->bytes}, places[] = {0}, value_bytes[] = {4};
    uint32_t value = 0;
    void *data[] = {&value};

    world_use_buffer(w, rng, lane, buffer);
    (void)CU(w, cuMemAdvise_v2, buffer->at, buffer->bytes,
             rng_chance(rng, 2) ? CU_MEM_ADVISE_SET_READ_MOSTLY : CU_MEM_ADVISE_UNSET_READ_MOSTLY,
             location);
    (void)CU(w, cuMemAdvise, buffer->at, buffer->bytes, CU_MEM_ADVISE_SET_PREFERRED_LOCATION,
             (CUdevice)buffer->device);
    if (CU(w, cuMemRangeGetAttribute, &value, sizeof(value), attribute, buffer->at,
           buffer->bytes) == CUDA_SUCCESS)
        world_note(w, &value, sizeof(value));
    if (CU(w, cuMemRangeGetAttributes, data, value_bytes, &attribute, 1, buffer->at,
           buffer->bytes) == CUDA_SUCCESS)
        world_note(w, &value, sizeof(value));
    if (rng_chance(rng, 2))
        (void)CU(w, cuMemPrefetchAsync, buffer->at, buffer->bytes, (CUdevice)buffer->device,
                 stream);
    else
        (void)CU(w, cuMemPrefetchAsync_v2, buffer->at, buffer->bytes, location, 0, stream);
    if (stream)
        (void)CU(w, cuMemPrefetchBatchAsync, at, bytes, 1, &location, places, 1, 0, stream);
    (void)CU(w, cuStreamAttachMemAsync, stream, buffer->at, 0, CU_MEM_ATTACH_GLOBAL);
}

/* What is thrown away has no contents until it is written again. */
static void discard(struct world *w, struct rng *rng)
{
    struct buffer *buffer = NULL;

    for (uint32_t i = 0; i < w->buffer_count && !buffer; i++)
        if (w->buffer[i].kind == BUFFER_MANAGED)
            buffer = &w->buffer[i];
    if (!buffer)
        return;
    uint32_t lane = world_lane_on(w, rng, buffer->device);
    CUmemLocation location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = (int)buffer->device};
    CUdeviceptr at[] = {buffer->at};
    size_t bytes[] = {buffer->bytes}, places[] = {0};

    if (!w->lane[lane].handle)
        return;
    world_use_buffer(w, rng, lane, buffer);
    (void)CU(w, cuMemDiscardBatchAsync, at, bytes, 1, 0, w->lane[lane].handle);
    (void)CU(w, cuMemDiscardAndPrefetchBatchAsync, at, bytes, 1, &location, places, 1, 0,
             w->lane[lane].handle);
    (void)CU(w, cuMemsetD32Async, buffer->at, (uint32_t)rng_next(rng), buffer->bytes / 4,
             w->lane[lane].handle);
}

/* ---- the driver's log, notifications ----------------------------------------------------------
 */

static void CUDA_CB on_log(void *data, CUlogLevel level, char *message, size_t length)
{
    (void)data;
    (void)level;
    (void)message;
    (void)length;
}

static void CUDA_CB on_notification(CUasyncNotificationInfo *info, void *data,
                                    CUasyncCallbackHandle handle)
{
    (void)info;
    (void)data;
    (void)handle;
}

static void tools(struct world *w, struct rng *rng)
{
    CUasyncCallbackHandle notification = NULL;
    CUlogsCallbackHandle log = NULL;
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    CUlogIterator iterator = 0;
    char text[4096];
    size_t bytes = sizeof(text);

    (void)world_lane(w, rng);
    if (CU(w, cuLogsRegisterCallback, on_log, NULL, &log) == CUDA_SUCCESS)
        (void)CU(w, cuLogsUnregisterCallback, log);
    (void)CU(w, cuLogsCurrent, &iterator, 0);
    (void)CU(w, cuLogsDumpToMemory, &iterator, text, &bytes, 0);
    (void)CU(w, cuLogsDumpToFile, NULL, "/dev/null", 0);
    (void)CU(w, cuProfilerInitialize, "", "", CU_OUT_KEY_VALUE_PAIR);
    if (CU(w, cuThreadExchangeStreamCaptureMode, &mode) == CUDA_SUCCESS)
        world_note_number(w, "mode", mode);
    (void)CU(w, cuThreadExchangeStreamCaptureMode, &mode);
    if (CU(w, cuDeviceRegisterAsyncNotification, (CUdevice)w->device[0], on_notification, NULL,
           &notification) == CUDA_SUCCESS)
        (void)CU(w, cuDeviceUnregisterAsyncNotification, (CUdevice)w->device[0], notification);
}

const struct step_kind steps_query[] = {
    {"devices", devices, 2, false},     {"texts", texts, 2, false},
    {"contexts", contexts, 3, false},   {"created_context", created_context, 2, true},
    {"peers", peers, 2, true},          {"primary_flags", primary_flags, 1, true},
    {"pointers", pointers, 4, false},   {"memory_info", memory_info, 2, false},
    {"access_of", access_of, 2, false}, {"managed", managed, 3, true},
    {"discard", discard, 1, true},      {"tools", tools, 2, false},
};
const size_t steps_query_count = sizeof(steps_query) / sizeof(steps_query[0]);
