/* SPDX-License-Identifier: Apache-2.0
 * tests/random/steps_stream.c - launches, host functions, streams, events and values in memory.
 */
#include "tests/random/world.h"

#include <stdlib.h>
#include <string.h>

/* ---- launches ---------------------------------------------------------------------------------
 */

/* The kernel as a function of the lane's context, as a CUfunction or a CUkernel. */
static CUfunction kernel(struct world *w, struct rng *rng, uint32_t lane, const char *name)
{
    CUfunction function = NULL;
    CUkernel kernel = NULL;

    if (w->library && rng_chance(rng, 2)) {
        (void)CU(w, cuLibraryGetKernel, &kernel, w->library, name);
        return (CUfunction)kernel;
    }
    (void)CU(w, cuModuleGetFunction, &function,
             w->module[w->lane[lane].device == w->device[0] ? 0 : 1], name);
    return function;
}

static void launch_with(struct world *w, struct rng *rng, uint32_t lane, CUfunction function,
                        uint32_t words, void **params)
{
    CUstream stream = w->lane[lane].handle;
    uint32_t block = 32u << rng_below(rng, 4), grid = (words + block - 1) / block;
    CUlaunchConfig config = {.gridDimX = grid,
                             .gridDimY = 1,
                             .gridDimZ = 1,
                             .blockDimX = block,
                             .blockDimY = 1,
                             .blockDimZ = 1,
                             .hStream = stream};

    if (!function)
        return;
    switch (rng_below(rng, 4)) {
    case 0:
        (void)CU(w, cuLaunchKernelEx, &config, function, params, NULL);
        break;
    case 1:
        if (grid <= 8) {
            (void)CU(w, cuLaunchCooperativeKernel, function, grid, 1, 1, block, 1, 1, 0, stream,
                     params);
            break;
        } /* too many blocks to be resident together */
        (void)CU(w, cuLaunchKernel, function, grid, 1, 1, block, 1, 1, 0, stream, params, NULL);
        break;
    default:
        (void)CU(w, cuLaunchKernel, function, grid, 1, 1, block, 1, 1, 0, stream, params, NULL);
        break;
    }
}

static void launch_one(struct world *w, struct rng *rng)
{
    static const char *const names[] = {"fill", "mix", "stir", "shared"};
    struct buffer *buffer = world_buffer(w, rng, -1);

    if (!buffer)
        return;
    uint32_t which = rng_below(rng, 4), lane = world_lane_on(w, rng, buffer->device);
    uint32_t words = (uint32_t)(buffer->bytes / 4), value = (uint32_t)rng_next(rng);
    struct {
        uint8_t a;
        uint16_t b;
        uint32_t c;
        uint64_t d;
    } pack = {(uint8_t)value, (uint16_t)(value >> 8), value, rng_next(rng)};
    void *fill[] = {&buffer->at, &words, &value}, *mix[] = {&pack, &buffer->at, &words};

    if (words > 65536)
        words = 65536;
    if (which == 2) { /* the module's state is one more buffer: settled on both sides */
        world_settle_lane(w, rng, lane);
        (void)CU(w, cuCtxSetCurrent, w->lane[lane].context);
        if (words > 64)
            words = 64;
    }
    world_use_buffer(w, rng, lane, buffer);
    launch_with(w, rng, lane, kernel(w, rng, lane, names[which]), words, which == 1 ? mix : fill);
    if (which == 2)
        world_settle_lane(w, rng, lane);
}

static void launch_two(struct world *w, struct rng *rng)
{
    struct buffer *to = world_buffer(w, rng, -1);

    if (!to)
        return;
    struct buffer *from = world_buffer(w, rng, (int)to->device);
    uint32_t lane = world_lane_on(w, rng, to->device);
    uint32_t words;

    if (!from || from == to)
        return;
    words = (uint32_t)((to->bytes < from->bytes ? to->bytes : from->bytes) / 4);
    if (words > 65536)
        words = 65536;
    world_use_buffer(w, rng, lane, to);
    world_use_buffer(w, rng, lane, from);
    void *params[] = {&to->at, &from->at, &words};

    launch_with(w, rng, lane, kernel(w, rng, lane, "add"), words, params);
}

/* Many launches, one after the other, without a wait between them. */
static void launch_burst(struct world *w, struct rng *rng)
{
    struct buffer *buffer = world_buffer(w, rng, -1);

    if (!buffer)
        return;
    uint32_t lane = world_lane_on(w, rng, buffer->device), words = 32, count = rng_below(rng, 200);
    CUfunction function = kernel(w, rng, lane, "shared");
    void *params[] = {&buffer->at, &words};

    world_use_buffer(w, rng, lane, buffer);
    if (buffer->bytes < 128)
        words = 1;
    for (uint32_t i = 0; function && i < count; i++)
        (void)CU(w, cuLaunchKernel, function, 1, 1, 1, 32, 1, 1, 0, w->lane[lane].handle, params,
                 NULL);
}

/* Memory is freed behind work in one stream and asked for in another: it may be the same only when
 * that work is done. */
static void reuse(struct world *w, struct rng *rng)
{
    uint32_t first = world_lane(w, rng), second = world_lane_on(w, rng, w->lane[first].device);
    size_t bytes = 262144u << rng_below(rng, 4);
    uint32_t words = (uint32_t)(bytes / 4), value = (uint32_t)rng_next(rng);
    CUfunction function = kernel(w, rng, first, "shared");
    CUdeviceptr before = 0, after = 0;
    void *params[] = {&before, &words};

    if (first == second || !function)
        return;
    (void)CU(w, cuCtxSetCurrent, w->lane[first].context);
    if (CU(w, cuMemAllocAsync, &before, bytes, w->lane[first].handle) != CUDA_SUCCESS)
        return;
    for (uint32_t i = 0; i < 100; i++)
        (void)CU(w, cuLaunchKernel, function, words / 256, 1, 1, 256, 1, 1, 0,
                 w->lane[first].handle, params, NULL);
    (void)CU(w, cuMemFreeAsync, before, w->lane[first].handle);
    if (CU(w, cuMemAllocAsync, &after, bytes, w->lane[second].handle) != CUDA_SUCCESS)
        return;
    (void)CU(w, cuMemsetD32Async, after, value, words, w->lane[second].handle);
    world_settle_lane(w, rng, first);
    world_note_memory(w, second, after, bytes);
    (void)CU(w, cuMemFreeAsync, after, w->lane[second].handle);
}

static void launch_wrong(struct world *w, struct rng *rng)
{
    uint32_t lane = world_lane(w, rng), words = 1;
    CUdeviceptr at = 0;
    void *params[] = {&at, &words, &words};
    CUfunction function = kernel(w, rng, lane, "empty");
    CUstream stream = w->lane[lane].handle;

    (void)CU(w, cuLaunchKernel, NULL, 1, 1, 1, 1, 1, 1, 0, stream, params, NULL);
    (void)CU(w, cuLaunchKernel, (CUfunction)world_pick(w, rng, POOL_FUNCTION), 0, 1, 1, 1, 1, 1, 0,
             stream, params, NULL);
    (void)CU(w, cuLaunchKernel, function, 1, 1, 1, 2048, 1, 1, 0, stream, params, NULL);
    (void)CU(w, cuLaunchKernel, function, 1, 1, 1, 1, 1, 1, 1 << 20, stream, params, NULL);
    (void)CU(w, cuLaunchKernel, function, 1, 70000, 1, 1, 1, 1, 0, stream, params, NULL);
    (void)CU(w, cuLaunchCooperativeKernel, function, 1 << 20, 1, 1, 32, 1, 1, 0, stream, params);
}

/* ---- host functions ---------------------------------------------------------------------------
 */

struct host_call {
    struct world *w;
    struct host host; /* a copy: the record moves when others are freed; at NULL: none */
    uint32_t counter;
    uint64_t value;
};

/* Its order in the stream shows in the bytes it changes. */
static void host_function(void *arg)
{
    struct host_call *call = arg;

    call->w->host_calls[call->counter] = call->w->host_calls[call->counter] * 31 + call->value;
    for (size_t i = 0; call->host.at && i < call->host.bytes; i += 4096)
        call->host.at[i] = (uint8_t)(call->host.at[i] * 7 + call->value);
    free(call);
}

static void CUDA_CB stream_callback(CUstream stream, CUresult status, void *arg)
{
    struct host_call *call = arg;

    (void)stream;
    call->value += (uint64_t)status;
    host_function(arg);
}

static void host_call(struct world *w, struct rng *rng)
{
    struct host_call *call = calloc(1, sizeof(*call));
    uint32_t lane = world_lane(w, rng);
    CUresult result;

    if (!call)
        abort();
    *call = (struct host_call){.w = w, .counter = lane % HOST_COUNTERS, .value = rng_next(rng)};
    struct host *host = rng_chance(rng, 2) ? world_host(w, rng) : NULL;

    if (host && host->kind != HOST_PAGEABLE) {
        world_use_host(w, rng, lane, host);
        call->host = *host;
    }
    if (rng_chance(rng, 3))
        result = CU(w, cuStreamAddCallback, w->lane[lane].handle, stream_callback, call, 0);
    else
        result = CU(w, cuLaunchHostFunc, w->lane[lane].handle, host_function, call);
    if (result != CUDA_SUCCESS)
        free(call);
}

static void host_chain(struct world *w, struct rng *rng)
{
    struct buffer *buffer = world_buffer(w, rng, -1);
    struct host *host = world_host(w, rng);

    if (!buffer || !host || host->kind == HOST_PAGEABLE)
        return;
    uint32_t lane = world_lane_on(w, rng, buffer->device);
    CUstream stream = w->lane[lane].handle;
    size_t bytes = buffer->bytes < host->bytes ? buffer->bytes : host->bytes;
    struct host_call *call = calloc(1, sizeof(*call));

    if (!call)
        abort();
    *call = (struct host_call){w, *host, lane % HOST_COUNTERS, rng_next(rng)};
    world_use_buffer(w, rng, lane, buffer);
    world_use_host(w, rng, lane, host);
    /* Out, changed by the host in the middle of the stream, in again: never a wait between. */
    (void)CU(w, cuMemcpyDtoHAsync_v2, host->at, buffer->at, bytes, stream);
    if (CU(w, cuLaunchHostFunc, stream, host_function, call) != CUDA_SUCCESS)
        free(call);
    (void)CU(w, cuMemcpyHtoDAsync_v2, buffer->at, host->at, bytes, stream);
    world_settle_host(w, rng, host);
}

static void check_host_calls(struct world *w, struct rng *rng)
{
    uint32_t lane = rng_below(rng, w->lane_count);

    for (uint32_t i = 0; i < w->lane_count; i++) {
        if (i % HOST_COUNTERS == lane % HOST_COUNTERS)
            world_settle_lane(w, rng, i);
    }
    if (!w->is_hit)
        world_note_number(w, "host calls", w->host_calls[lane % HOST_COUNTERS]);
}

/* ---- streams ----------------------------------------------------------------------------------
 */

static void create_stream(struct world *w, struct rng *rng)
{
    uint32_t device = rng_below(rng, 2);
    struct lane *lane = &w->lane[w->lane_count];
    unsigned flags = rng_chance(rng, 2) ? CU_STREAM_NON_BLOCKING : CU_STREAM_DEFAULT;
    CUstream stream = NULL;
    CUresult result;

    if (w->lane_count == STREAMS_MAX)
        return;
    (void)CU(w, cuCtxSetCurrent, w->primary[w->device[device]]);
    if (rng_chance(rng, 2))
        result = CU(w, cuStreamCreate, &stream, flags);
    else
        result = CU(w, cuStreamCreateWithPriority, &stream, flags, (int)rng_below(rng, 9) - 6);
    if (result != CUDA_SUCCESS)
        return;
    *lane = (struct lane){stream, w->primary[w->device[device]], w->device[device], flags};
    w->lane_count++;
    (void)world_add(w, POOL_STREAM, (uint64_t)stream);
}

/* Lanes keep their numbers: only the last one goes. */
static void destroy_stream(struct world *w, struct rng *rng)
{
    uint32_t last = w->lane_count - 1;

    if (last < 3 || !w->lane[last].handle)
        return;
    (void)CU(w, cuCtxSetCurrent, w->lane[last].context);
    for (uint32_t i = 0; i < w->buffer_count; i++) {
        if (w->buffer[i].lane == last)
            world_settle_buffer(w, rng, &w->buffer[i]);
    }
    for (uint32_t i = 0; i < w->host_count; i++) {
        if (w->host[i].lane == last)
            world_settle_host(w, rng, &w->host[i]);
    }
    (void)CU(w, cuCtxSetCurrent, w->lane[last].context);
    if (rng_chance(rng, 2))
        (void)CU(w, cuStreamDestroy_v2, w->lane[last].handle);
    else
        (void)CU(w, cuStreamDestroy, w->lane[last].handle);
    world_drop(w, POOL_STREAM, (uint64_t)w->lane[last].handle);
    w->lane_count--;
}

static void stream_attributes(struct world *w, struct rng *rng)
{
    CUstream stream = (CUstream)world_pick(w, rng, POOL_STREAM);
    CUstreamAttrID attribute = (CUstreamAttrID)(1 + rng_below(rng, 5));
    CUstreamAttrValue value;
    CUgreenCtx green = NULL;
    CUcontext context = NULL;

    (void)world_lane(w, rng);
    memset(&value, 0, sizeof(value));
    if (rng_chance(rng, 2))
        (void)CU(w, cuStreamSetAttribute, stream, attribute, &value);
    if (CU(w, cuStreamGetAttribute, stream, attribute, &value) == CUDA_SUCCESS)
        world_note(w, &value, 8);
    if (CU(w, cuStreamGetCtx_v2, stream, &context, &green) == CUDA_SUCCESS)
        world_note_handle(w, POOL_CONTEXT, (uint64_t)context);
}

/* ---- events -----------------------------------------------------------------------------------
 */

static void create_event(struct world *w, struct rng *rng)
{
    CUevent event = NULL;

    (void)world_lane(w, rng);
    if (w->pool[POOL_EVENT].count < 8 &&
        CU(w, cuEventCreate, &event, rng_chance(rng, 3) ? rng_below(rng, 8) : 0) == CUDA_SUCCESS)
        (void)world_add(w, POOL_EVENT, (uint64_t)event);
}

static void destroy_event(struct world *w, struct rng *rng)
{
    CUevent event = (CUevent)world_pick_live(w, rng, POOL_EVENT);

    (void)world_lane(w, rng);
    if (!event || w->pool[POOL_EVENT].count < 3)
        return;
    if (rng_chance(rng, 2))
        (void)CU(w, cuEventDestroy_v2, event);
    else
        (void)CU(w, cuEventDestroy, event);
    world_drop(w, POOL_EVENT, (uint64_t)event);
}

static void time_events(struct world *w, struct rng *rng)
{
    CUevent start = (CUevent)world_pick_live(w, rng, POOL_EVENT);
    CUevent end = (CUevent)world_pick_live(w, rng, POOL_EVENT);
    uint32_t lane = world_lane(w, rng);
    float milliseconds = -1;
    CUresult result;

    if (!start || !end || CU(w, cuEventRecord, start, w->lane[lane].handle) != CUDA_SUCCESS ||
        CU(w, cuEventRecord, end, w->lane[lane].handle) != CUDA_SUCCESS)
        return;
    world_settle_lane(w, rng, lane);
    (void)CU(w, cuCtxSetCurrent, w->lane[lane].context);
    result = rng_chance(rng, 2) ? CU(w, cuEventElapsedTime_v2, &milliseconds, start, end)
                                : CU(w, cuEventElapsedTime, &milliseconds, start, end);
    if (result == CUDA_SUCCESS)
        world_note_number(w, "not negative", milliseconds >= 0);
}

/* ---- values in memory -------------------------------------------------------------------------
 */

static void write_value(struct world *w, struct rng *rng)
{
    struct buffer *buffer = world_buffer(w, rng, -1);

    if (!buffer || buffer->bytes < 16 || buffer->kind == BUFFER_MANAGED)
        return;
    uint32_t lane = world_lane_on(w, rng, buffer->device);
    CUstream stream = w->lane[lane].handle;
    uint64_t value = rng_next(rng);
    uint32_t word = (uint32_t)value;

    world_use_buffer(w, rng, lane, buffer);
    switch (rng_below(rng, 5)) { /* written, then waited for: never a wait for nothing */
    case 0:
        (void)CU(w, cuStreamWriteValue32_v2, stream, buffer->at, word, 0);
        (void)CU(w, cuStreamWaitValue32_v2, stream, buffer->at, word, CU_STREAM_WAIT_VALUE_EQ);
        break;
    case 1:
        (void)CU(w, cuStreamWriteValue64_v2, stream, buffer->at + 8, value, 0);
        (void)CU(w, cuStreamWaitValue64_v2, stream, buffer->at + 8, value, CU_STREAM_WAIT_VALUE_EQ);
        break;
    case 2:
        (void)CU(w, cuStreamWriteValue32, stream, buffer->at + 4, word, 0);
        (void)CU(w, cuStreamWaitValue32, stream, buffer->at + 4, word, CU_STREAM_WAIT_VALUE_GEQ);
        break;
    case 3:
        (void)CU(w, cuStreamWriteValue64, stream, buffer->at, value, 0);
        (void)CU(w, cuStreamWaitValue64, stream, buffer->at, value, CU_STREAM_WAIT_VALUE_EQ);
        break;
    default: {
        CUstreamBatchMemOpParams ops[2];

        memset(ops, 0, sizeof(ops));
        ops[0].operation = CU_STREAM_MEM_OP_WRITE_VALUE_32;
        ops[0].writeValue.address = buffer->at;
        ops[0].writeValue.value = word;
        ops[1].operation = CU_STREAM_MEM_OP_WAIT_VALUE_32;
        ops[1].waitValue.address = buffer->at;
        ops[1].waitValue.value = word;
        ops[1].waitValue.flags = CU_STREAM_WAIT_VALUE_EQ;
        if (rng_chance(rng, 2))
            (void)CU(w, cuStreamBatchMemOp_v2, stream, 2, ops, 0);
        else
            (void)CU(w, cuStreamBatchMemOp, stream, 2, ops, 0);
        break;
    }
    }
}

/* Waits for what another stream writes after a while of work. */
static void wait_value(struct world *w, struct rng *rng)
{
    struct buffer *buffer = world_buffer(w, rng, -1);

    if (!buffer || buffer->bytes < 16 || buffer->kind == BUFFER_MANAGED)
        return;
    uint32_t writer = world_lane_on(w, rng, buffer->device);
    uint32_t waiter = world_lane_on(w, rng, buffer->device);

    if (writer == waiter || !(w->lane[writer].flags & CU_STREAM_NON_BLOCKING) ||
        !(w->lane[waiter].flags & CU_STREAM_NON_BLOCKING))
        return;
    world_use_buffer(w, rng, writer, buffer);
    world_settle_lane(w, rng, writer);
    (void)CU(w, cuCtxSetCurrent, w->lane[writer].context);
    (void)CU(w, cuStreamWriteValue32_v2, w->lane[writer].handle, buffer->at, 0, 0);
    world_settle_lane(w, rng, writer);
    (void)CU(w, cuCtxSetCurrent, w->lane[waiter].context);
    (void)CU(w, cuStreamWaitValue32_v2, w->lane[waiter].handle, buffer->at, 77,
             CU_STREAM_WAIT_VALUE_EQ);
    (void)CU(w, cuStreamWriteValue32_v2, w->lane[waiter].handle, buffer->at + 4, 78, 0);
    if (CU(w, cuStreamWriteValue32_v2, w->lane[writer].handle, buffer->at, 77, 0) != CUDA_SUCCESS &&
        w->told) /* it was not made, and this driver's stream would wait for ever */
        (void)w->cu->cuStreamWriteValue32_v2(w->lane[writer].handle, buffer->at, 77, 0);
    buffer->lane = waiter;
}

const struct step_kind steps_stream[] = {
    {"launch_one", launch_one, 16, false},
    {"launch_two", launch_two, 12, false},
    {"launch_burst", launch_burst, 3, false},
    {"reuse", reuse, 6, false},
    {"launch_wrong", launch_wrong, 1, false},
    {"host_call", host_call, 5, false},
    {"host_chain", host_chain, 4, false},
    {"check_host_calls", check_host_calls, 3, false},
    {"create_stream", create_stream, 5, false},
    {"destroy_stream", destroy_stream, 3, false},
    {"stream_attributes", stream_attributes, 2, false},
    {"create_event", create_event, 3, false},
    {"destroy_event", destroy_event, 2, false},
    {"time_events", time_events, 3, false},
    {"write_value", write_value, 4, false},
    {"wait_value", wait_value, 3, false},
};
const size_t steps_stream_count = sizeof(steps_stream) / sizeof(steps_stream[0]);
