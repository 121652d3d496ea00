/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/context.c - the life of a context, its errors, waiting for it.
 *
 * A primary context keeps its object, and so its handle, when it is closed and opened again, with a
 * new id on the wire; an own one is freed when nobody refers to it any more.
 */
#include "cuda-client/context_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cuda-client/memory.h"
#include "cuda-client/remote_int.h"
#include "cuda-client/stream_int.h"
#include "cuda-client/tasks.h"
#include "cuda-client/text.h"

/* Open contexts, by id, which grows: oldest first. */
static struct {
    pthread_mutex_t lock;
    struct cudac_context *first;
} contexts = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void context_destroy(struct cuc_object *object)
{
    struct cudac_context *context = (struct cudac_context *)object;

    (void)pthread_mutex_destroy(&context->lock);
    (void)pthread_mutex_destroy(&context->order);
    free(context);
}

/* ---- the list ------------------------------------------------------------------------------- */

static void list_add(struct cudac_context *context)
{
    struct cudac_context **at;

    pthread_mutex_lock(&contexts.lock);
    for (at = &contexts.first; *at && (*at)->id < context->id;)
        at = &(*at)->next;
    context->next = *at;
    *at = context;
    pthread_mutex_unlock(&contexts.lock);
}

static void list_remove(struct cudac_context *context)
{
    struct cudac_context **at;

    pthread_mutex_lock(&contexts.lock);
    for (at = &contexts.first; *at && *at != context;)
        at = &(*at)->next;
    if (*at)
        *at = context->next;
    pthread_mutex_unlock(&contexts.lock);
}

struct cudac_context *cudac_context_of_id(uint64_t id)
{
    struct cudac_context *context;

    pthread_mutex_lock(&contexts.lock);
    for (context = contexts.first; context && context->id != id;)
        context = context->next;
    if (context)
        cuc_object_ref(&context->object);
    pthread_mutex_unlock(&contexts.lock);
    return context;
}

/* The list may change while fn runs, so that fn may wait: contexts are taken one by one by id,
 * which grows along the list. */
void cudac_context_each(struct cudac_vgpu *vgpu,
                        void (*fn)(struct cudac_context *context, void *arg), void *arg)
{
    uint64_t last_id = 0;

    for (;;) {
        struct cudac_context *context;

        pthread_mutex_lock(&contexts.lock);
        for (context = contexts.first; context; context = context->next)
            if (context->id > last_id && (!vgpu || context->vgpu == vgpu))
                break;
        if (context)
            cuc_object_ref(&context->object);
        pthread_mutex_unlock(&contexts.lock);
        if (!context)
            return;
        last_id = context->id;
        fn(context, arg);
        cuc_object_put(&context->object);
    }
}

/* ---- open and close ------------------------------------------------------------------------- */

static void take_reply(struct cudac_context *context, const struct wire_ctx_create_reply *reply)
{
    _Static_assert(sizeof(reply->limits) == sizeof(context->limit), "one slot a CUlimit");
    context->api_version = reply->api_version;
    context->priority_least = reply->priority_least;
    context->priority_greatest = reply->priority_greatest;
    context->cache_config = (CUfunc_cache)reply->cache_config;
    context->shared_config = (CUsharedconfig)reply->shared_config;
    memcpy(context->limit, reply->limits, sizeof(context->limit));
}

static CUresult worker_open(struct cudac_context *context, uint32_t sm_count)
{
    const struct wire_ctx_create message = {
        .ctx = context->id,
        .vgpu = cudac_vgpu_index(context->vgpu),
        .flags = atomic_load_explicit(&context->flags, memory_order_relaxed),
        .primary = context->is_primary,
        .sm_count = sm_count};
    struct cudac_worker *worker = cudac_context_worker(context);
    struct wire_ctx_create_reply created;
    struct cudac_reply reply;
    struct wire_parts parts;
    CUresult result;

    wire_put_ctx_create(&message, &parts);
    result = cudac_call(worker, WIRE_CTX_CREATE, &parts, &reply);
    if (result == CUDA_SUCCESS &&
        !wire_get_ctx_create_reply(reply.bytes, reply.size_bytes, &created))
        result = cudac_worker_broken(worker, "a reply to ctx_create does not decode");
    if (result == CUDA_SUCCESS)
        take_reply(context, &created);
    cudac_reply_free(&reply);
    return result;
}

static void worker_close(struct cudac_context *context, bool reset)
{
    const struct wire_ctx_destroy message = {.ctx = context->id, .reset = reset};
    struct wire_parts parts;

    wire_put_ctx_destroy(&message, &parts);
    (void)cudac_sync_call(context, WIRE_CTX_DESTROY, &parts);
}

CUresult cudac_context_open(struct cudac_context *context, uint32_t sm_count)
{
    CUresult result;

    atomic_store_explicit(&context->error, CUDA_SUCCESS, memory_order_relaxed);
    context->id = cudac_id_new();
    context->peer_mask = 0;
    result = worker_open(context, sm_count);
    if (result != CUDA_SUCCESS)
        return result;
    result = cudac_stream_new(context, /* id */ 0, CU_STREAM_DEFAULT, context->priority_least,
                              &context->legacy);
    if (result != CUDA_SUCCESS) {
        worker_close(context, /* reset */ false);
        return result;
    }
    list_add(context);
    atomic_store_explicit(&context->is_open, true, memory_order_release);
    /* A worker that was lost meanwhile has told the contexts that were in the list. */
    result = cudac_worker_state(cudac_context_worker(context));
    if (result != CUDA_SUCCESS)
        cudac_context_set_error(context, result);
    return CUDA_SUCCESS;
}

CUresult cudac_context_new(struct cudac_vgpu *vgpu, unsigned flags, uint32_t sm_count,
                           bool is_primary, struct cudac_context **context_out)
{
    struct cudac_context *context = fab_alloc_zeroed(1, sizeof(*context));
    CUresult result;

    if (!context)
        return CUDA_ERROR_OUT_OF_MEMORY;
    context->vgpu = vgpu;
    context->is_primary = is_primary;
    atomic_init(&context->flags, flags);
    (void)pthread_mutex_init(&context->lock, NULL);
    (void)pthread_mutex_init(&context->order, NULL);
    result = cuc_object_register(&context->object, CUC_CONTEXT, context_destroy);
    if (result != CUDA_SUCCESS) {
        context_destroy(&context->object);
        return result;
    }
    result = cudac_context_open(context, sm_count);
    if (result != CUDA_SUCCESS) {
        (void)cuc_object_retire(&context->object);
        cuc_object_put(&context->object);
        return result;
    }
    *context_out = context;
    return CUDA_SUCCESS;
}

void cudac_context_close(struct cudac_context *context, bool reset)
{
    /* From here on calls in the context fail; the worker ends waits for values that nobody can
     * write any more, waits for the rest and says what has landed. */
    atomic_store_explicit(&context->is_open, false, memory_order_release);
    cudac_memory_context_closing(context);
    worker_close(context, reset);
    cudac_streams_close(context);
    cudac_events_close(context);
    cudac_code_context_close(context);
    cudac_memory_context_close(context);
    cudac_tasks_stop(context->host);
    context->host = NULL;
    list_remove(context);
}

/* ---- errors --------------------------------------------------------------------------------- */

CUresult cudac_context_error(const struct cudac_context *context)
{
    return (CUresult)atomic_load_explicit(&context->error, memory_order_acquire);
}

void cudac_context_set_error(struct cudac_context *context, CUresult error)
{
    int none = CUDA_SUCCESS;

    if (error != CUDA_SUCCESS)
        (void)atomic_compare_exchange_strong_explicit(&context->error, &none, (int)error,
                                                      memory_order_acq_rel, memory_order_relaxed);
}

/* Errors after which CUDA says that the context can not be used any more. Source: CUDA Driver API,
 * Data types, CUresult. */
static bool is_sticky(CUresult result)
{
    switch ((int)result) {
    case CUDA_ERROR_ECC_UNCORRECTABLE:
    case CUDA_ERROR_NVLINK_UNCORRECTABLE:
    case CUDA_ERROR_CONTAINED:
    case CUDA_ERROR_ILLEGAL_ADDRESS:
    case CUDA_ERROR_LAUNCH_TIMEOUT:
    case CUDA_ERROR_ASSERT:
    case CUDA_ERROR_HARDWARE_STACK_ERROR:
    case CUDA_ERROR_ILLEGAL_INSTRUCTION:
    case CUDA_ERROR_MISALIGNED_ADDRESS:
    case CUDA_ERROR_INVALID_ADDRESS_SPACE:
    case CUDA_ERROR_INVALID_PC:
    case CUDA_ERROR_LAUNCH_FAILED:
    case CUDA_ERROR_TENSOR_MEMORY_LEAK:
    case CUDA_ERROR_MPS_CLIENT_TERMINATED:
    case CUDA_ERROR_EXTERNAL_DEVICE:
        return true;
    default:
        return false;
    }
}

CUresult cudac_context_result(struct cudac_context *context, CUresult result)
{
    if (is_sticky(result))
        cudac_context_set_error(context, result);
    return result;
}

void cudac_on_context_error(struct cudac_worker *worker, const void *bytes, size_t size_bytes)
{
    struct wire_context_error error;
    struct cudac_context *context;

    if (!wire_get_context_error(bytes, size_bytes, &error)) {
        (void)cudac_worker_broken(worker, "a context_error does not decode");
        return;
    }
    if (error.late) {
        atomic_fetch_add_explicit(&worker->count.late_errors, 1, memory_order_relaxed);
        cudac_tell("fabric: %s: a command failed that should have been refused here: error %d",
                   worker->node, error.result);
    }
    /* Also a late one: the program counts on work that was not done. */
    context = cudac_context_of_id(error.ctx);
    if (!context || cudac_context_worker(context) != worker)
        (void)0; /* destroyed meanwhile */
    else
        cudac_context_set_error(context, (CUresult)error.result);
    if (context)
        cuc_object_put(&context->object);
}

static void context_lost(struct cudac_context *context, void *arg)
{
    if (cudac_context_worker(context) == arg)
        cudac_context_set_error(context, CUDA_ERROR_DEVICE_UNAVAILABLE);
}

void cudac_contexts_lost(struct cudac_worker *worker)
{
    cudac_context_each(NULL, context_lost, worker);
    cudac_watches_lost(worker);
}

/* ---- the seam (context.h) ------------------------------------------------------------------- */

static CUresult checked(struct cudac_context *context, struct cudac_context **context_out)
{
    CUresult error;

    if (!atomic_load_explicit(&context->is_open, memory_order_acquire))
        return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    error = cudac_context_error(context);
    if (error == CUDA_SUCCESS)
        *context_out = context;
    else
        cudac_text_flush(); /* who hears of a failed assertion can read it */
    return error;
}

CUresult cudac_context_current(struct cudac_context **context_out)
{
    struct cudac_context *context = cudac_context_peek();

    return context ? checked(context, context_out) : CUDA_ERROR_INVALID_CONTEXT;
}

struct cudac_context *cudac_context_from_handle(CUcontext handle)
{
    return (struct cudac_context *)cuc_object_get((uint64_t)(uintptr_t)handle, CUC_CONTEXT);
}

/* Borrowed: a program that destroys a context in one thread while another uses it is wrong. */
CUresult cudac_context_of(CUcontext handle, struct cudac_context **context_out)
{
    struct cudac_context *context;
    CUresult result;

    if (!handle)
        return cudac_context_current(context_out);
    context = cudac_context_from_handle(handle);
    if (!context)
        return CUDA_ERROR_INVALID_CONTEXT;
    result = checked(context, context_out);
    cuc_object_put(&context->object);
    return result;
}

CUcontext cudac_context_handle(const struct cudac_context *context)
{
    return (CUcontext)(uintptr_t)context->object.handle; // NOLINT(performance-no-int-to-ptr)
}

CUresult cudac_context_set(struct cudac_context *context, uint32_t what, uint32_t index,
                           uint64_t value, uint64_t *value_out)
{
    const struct wire_ctx_set message = {
        .ctx = context->id, .what = what, .index = index, .value = value};
    struct cudac_worker *worker = cudac_context_worker(context);
    struct wire_ctx_set_reply set;
    struct cudac_reply reply;
    struct wire_parts parts;
    CUresult result;

    wire_put_ctx_set(&message, &parts);
    result = cudac_call(worker, WIRE_CTX_SET, &parts, &reply);
    if (result == CUDA_SUCCESS && !wire_get_ctx_set_reply(reply.bytes, reply.size_bytes, &set))
        result = cudac_worker_broken(worker, "a reply to ctx_set does not decode");
    if (result == CUDA_SUCCESS && value_out)
        *value_out = set.value;
    cudac_reply_free(&reply);
    return cudac_context_result(context, result);
}

CUresult cudac_context_wait(struct cudac_context *context)
{
    const struct wire_ctx_sync message = {.ctx = context->id};
    uint64_t position = atomic_load_explicit(&context->sequence, memory_order_acquire);
    struct wire_parts parts;
    CUresult result;

    if (cudac_streams_are_quiet(context))
        return cudac_sync_locally(context);
    wire_put_ctx_sync(&message, &parts);
    result = cudac_sync_call(context, WIRE_CTX_SYNC, &parts);
    if (result == CUDA_SUCCESS)
        cudac_streams_synced(context, position);
    return result;
}
