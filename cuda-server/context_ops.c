/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/context_ops.c - the commands about contexts.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cuda-server/context.h"
#include "cuda-server/limit.h"
#include "cuda-server/memory.h"
#include "cuda-server/meter.h"
#include "cuda-server/sync.h"
#include "cuda-server/text.h"
#include "cuda-server/transfer.h"
#include "cuda-server/watch.h"
#include "cuda-server/window.h"

/* ---- making ---------------------------------------------------------------------------------- */

static _Atomic uint64_t last_serial;

static void free_lanes(struct cudas_context *context)
{
    struct fab_list *node;

    while ((node = fab_list_take(&context->lanes)) != NULL)
        free(fab_list_object(node, struct cudas_lane, link));
}

/* The driver's context is gone, and with it all handles in it. */
static void context_destroy(struct cudas_object *object)
{
    struct cudas_context *context = (struct cudas_context *)object;

    free_lanes(context);
    cudas_hold_fini(&context->hold);
    cudas_meter_context_fini(context);
    cudas_pinned_fini(&context->pinned);
    fab_mutex_fini(&context->lock);
    free(context);
}

static struct cudas_context *context_new(struct cudas_worker *worker,
                                         const struct wire_ctx_create *m,
                                         const struct cudas_vgpu *vgpu)
{
    struct cudas_context *context = fab_alloc_zeroed(1, sizeof(*context));

    if (!context)
        return NULL;
    context->object = (struct cudas_object){
        .id = m->ctx, .kind = CUDAS_CONTEXT, .refs = 1, .destroy = context_destroy};
    context->worker = worker;
    context->serial = atomic_fetch_add(&last_serial, 1) + 1;
    context->vgpu = vgpu->index;
    context->device = vgpu->device;
    context->is_primary = m->primary != 0;
    context->legacy = (struct cudas_stream){
        .object = {.kind = CUDAS_STREAM}, .worker = worker, .handle = CU_STREAM_LEGACY};
    fab_mutex_init(&context->lock);
    fab_list_init(&context->lanes);
    fab_list_init(&context->free_batches);
    fab_list_init(&context->pending_batches);
    cudas_pinned_init(&context->pinned);
    return context;
}

static CUresult driver_create(struct cudas_context *context, const struct wire_ctx_create *m)
{
    const struct cudas_driver *cu = &context->worker->cu;
    CUexecAffinityParam affinity;
    CUresult result;

    cudas_leave(context->worker);
    if (m->primary) {
        result = cu->cuDevicePrimaryCtxSetFlags_v2(context->device, m->flags);
        return result == CUDA_SUCCESS
                   ? cu->cuDevicePrimaryCtxRetain(&context->handle, context->device)
                   : result;
    }
    if (m->sm_count == 0)
        return cu->cuCtxCreate_v2(&context->handle, m->flags, context->device);
    if (!cu->cuCtxCreate_v3)
        return CUDA_ERROR_NOT_SUPPORTED;
    memset(&affinity, 0, sizeof(affinity));
    affinity.type = CU_EXEC_AFFINITY_TYPE_SM_COUNT;
    affinity.param.smCount.val = m->sm_count;
    return cu->cuCtxCreate_v3(&context->handle, &affinity, 1, m->flags, context->device);
}

static void driver_destroy(struct cudas_context *context, bool reset)
{
    const struct cudas_driver *cu = &context->worker->cu;

    cudas_watches_close(context);
    cudas_leave(context->worker);
    if (!context->is_primary) {
        (void)cu->cuCtxDestroy_v2(context->handle);
        return;
    }
    if (reset)
        (void)cu->cuDevicePrimaryCtxReset_v2(context->device);
    (void)cu->cuDevicePrimaryCtxRelease_v2(context->device);
}

static void describe(const struct cudas_context *context, struct wire_ctx_create_reply *reply)
{
    const struct cudas_driver *cu = &context->worker->cu;
    CUfunc_cache cache = CU_FUNC_CACHE_PREFER_NONE;
    CUsharedconfig shared = CU_SHARED_MEM_CONFIG_DEFAULT_BANK_SIZE;
    int least = 0, greatest = 0;

    (void)cu->cuCtxGetFlags(&reply->flags);
    (void)cu->cuCtxGetApiVersion(context->handle, &reply->api_version);
    (void)cu->cuCtxGetStreamPriorityRange(&least, &greatest);
    (void)cu->cuCtxGetCacheConfig(&cache);
    (void)cu->cuCtxGetSharedMemConfig(&shared);
    reply->priority_least = least;
    reply->priority_greatest = greatest;
    reply->cache_config = (uint32_t)cache;
    reply->shared_config = (uint32_t)shared;
    for (uint32_t i = 0; i < FAB_ARRAY_LEN(reply->limits); i++) {
        size_t value = 0;
        CUresult result =
            i < CU_LIMIT_MAX ? cu->cuCtxGetLimit(&value, (CUlimit)i) : CUDA_ERROR_UNSUPPORTED_LIMIT;

        reply->limits[i] = result == CUDA_SUCCESS ? value : UINT64_MAX;
    }
}

static CUresult context_create(struct cudas_worker *worker, const struct cudas_command *command,
                               const struct wire_ctx_create *m, struct wire_ctx_create_reply *reply)
{
    const struct cudas_vgpu *vgpu = cudas_vgpu_find(worker, m->vgpu);
    struct cudas_context *context;
    CUresult result;

    if (!vgpu)
        return CUDA_ERROR_INVALID_DEVICE;
    context = context_new(worker, m, vgpu);
    if (!context)
        return CUDA_ERROR_OUT_OF_MEMORY;
    result = driver_create(context, m);
    if (result == CUDA_SUCCESS) {
        atomic_store_explicit(&context->is_open, true, memory_order_release);
        result = cudas_limit_settle(worker, context->vgpu) ? cudas_enter(context)
                                                           : CUDA_ERROR_OUT_OF_MEMORY;
        if (result == CUDA_SUCCESS) {
            describe(context, reply);
            result = cudas_object_add(worker, &context->object, command);
        }
        if (result == CUDA_SUCCESS) {
            cudas_windows_adopt(worker, context);
            return result;
        }
        driver_destroy(context, /* reset */ false);
        (void)!cudas_limit_settle(worker, context->vgpu); /* it is less now */
    }
    context_destroy(&context->object);
    return result;
}

void cudas_on_ctx_create(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct wire_ctx_create_reply reply;
    struct wire_ctx_create m;
    struct wire_parts parts;
    CUresult result;

    if (!wire_get_ctx_create(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    memset(&reply, 0, sizeof(reply));
    result = context_create(worker, command, &m, &reply);
    wire_put_ctx_create_reply(&reply, &parts);
    cudas_reply(worker, command, result, &parts);
}

void cudas_on_ctx_destroy(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_context *context;
    struct wire_ctx_destroy m;

    if (!wire_get_ctx_destroy(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    context = (struct cudas_context *)cudas_object_remove(worker, m.ctx, CUDAS_CONTEXT);
    if (!context) {
        cudas_reply(worker, command, CUDA_ERROR_INVALID_CONTEXT, NULL);
        return;
    }
    if (cudas_enter(context) == CUDA_SUCCESS)
        cudas_meter_read(context);
    driver_destroy(context, m.reset != 0);
    (void)!cudas_limit_settle(worker, context->vgpu); /* it is less now */
    cudas_windows_forget(worker, context);
    cudas_objects_drop(worker, context, NULL);
    cudas_text_send(worker);
    cudas_context_put(context);
    cudas_reply(worker, command, CUDA_SUCCESS, NULL);
}

/* ---- settings -------------------------------------------------------------------------------- */

static CUresult set_optional(CUresult (*fn)(void))
{
    return fn ? fn() : CUDA_ERROR_NOT_SUPPORTED;
}

static CUresult context_set(struct cudas_context *context, const struct wire_ctx_set *m,
                            uint64_t *value_out)
{
    const struct cudas_driver *cu = &context->worker->cu;
    size_t value = 0;
    CUresult result;

    switch (m->what) {
    case WIRE_CTX_FLAGS:
        if (context->is_primary)
            return cu->cuDevicePrimaryCtxSetFlags_v2(context->device, (unsigned)m->value);
        return cu->cuCtxSetFlags ? cu->cuCtxSetFlags((unsigned)m->value) : CUDA_ERROR_NOT_SUPPORTED;
    case WIRE_CTX_LIMIT:
        result = cu->cuCtxSetLimit((CUlimit)m->index, m->value);
        if (result == CUDA_SUCCESS)
            result = cu->cuCtxGetLimit(&value, (CUlimit)m->index);
        *value_out = value;
        return result;
    case WIRE_CTX_CACHE_CONFIG:
        return cu->cuCtxSetCacheConfig((CUfunc_cache)m->value);
    case WIRE_CTX_SHARED_CONFIG:
        return cu->cuCtxSetSharedMemConfig((CUsharedconfig)m->value);
    case WIRE_CTX_RESET_L2:
        return set_optional(cu->cuCtxResetPersistingL2Cache);
    case WIRE_CTX_FLUSH_GDR:
        return cu->cuFlushGPUDirectRDMAWrites
                   ? cu->cuFlushGPUDirectRDMAWrites((CUflushGPUDirectRDMAWritesTarget)m->index,
                                                    (CUflushGPUDirectRDMAWritesScope)m->value)
                   : CUDA_ERROR_NOT_SUPPORTED;
    case WIRE_CTX_PROFILER_START:
        return set_optional(cu->cuProfilerStart);
    case WIRE_CTX_PROFILER_STOP:
        return set_optional(cu->cuProfilerStop);
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

void cudas_on_ctx_set(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_context *context = NULL;
    struct wire_ctx_set_reply reply = {.value = 0};
    struct wire_ctx_set m;
    struct wire_parts parts;
    CUresult result;

    if (!wire_get_ctx_set(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    result = cudas_context_enter(worker, m.ctx, &context);
    if (result == CUDA_SUCCESS)
        result = context_set(context, &m, &reply.value);
    wire_put_ctx_set_reply(&reply, &parts);
    cudas_reply(worker, command, result, &parts);
    cudas_context_put(context);
}

void cudas_on_ctx_sync(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_context *context = NULL;
    struct wire_ctx_sync m;
    CUresult result;

    if (!wire_get_ctx_sync(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    result = cudas_context_enter(worker, m.ctx, &context);
    if (result == CUDA_SUCCESS)
        result = worker->cu.cuCtxSynchronize();
    cudas_reply_landed(worker, command, context, result);
    if (context)
        cudas_windows_reap(worker);
    cudas_context_put(context);
}

/* ---- peers ----------------------------------------------------------------------------------- */

static CUresult context_peer(struct cudas_context *context, const struct wire_ctx_peer *m)
{
    struct cudas_worker *worker = context->worker;
    struct cudas_context *peer =
        (struct cudas_context *)cudas_object_get(worker, m->peer_ctx, CUDAS_CONTEXT);
    CUresult result;

    if (!peer)
        return CUDA_ERROR_INVALID_CONTEXT;
    result = m->enable ? worker->cu.cuCtxEnablePeerAccess(peer->handle, 0)
                       : worker->cu.cuCtxDisablePeerAccess(peer->handle);
    /* What was mapped is not touched by that: the driver wants to be told extent by extent. */
    if (result == CUDA_SUCCESS)
        result = cudas_memory_peer(worker, peer->vgpu, context->vgpu, m->enable != 0);
    cudas_context_put(peer);
    return result;
}

void cudas_on_ctx_peer(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_context *context = NULL;
    struct wire_ctx_peer m;
    CUresult result;

    if (!wire_get_ctx_peer(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    result = cudas_context_enter(worker, m.ctx, &context);
    if (result == CUDA_SUCCESS)
        result = context_peer(context, &m);
    cudas_reply(worker, command, result, NULL);
    cudas_context_put(context);
}
