/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/context.c - the life of a context, the stack of current ones, errors, waiting.
 *
 * A primary context keeps its object, and so its handle, when it is closed and opened again; an own
 * one is freed when nobody refers to it any more.
 */
#include "softcuda/driver/context_int.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/err.h"
#include "softcuda/driver/device.h"
#include "softcuda/driver/event.h"
#include "softcuda/driver/init.h"
#include "softcuda/driver/limits.h"
#include "softcuda/driver/mem.h"
#include "softcuda/driver/module.h"
#include "softcuda/driver/stream_int.h"
#include "softcuda/driver/thread.h"

/* Open contexts, oldest first. */
static struct {
    pthread_mutex_t lock;
    struct soft_context *first;
    uint64_t last_id;
} contexts = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void context_destroy(struct cuc_object *object)
{
    struct soft_context *context = (struct soft_context *)object;

    soft_text_fini(&context->text);
    (void)pthread_mutex_destroy(&context->lock);
    free(context);
}

static void list_add(struct soft_context *context)
{
    struct soft_context **at;

    pthread_mutex_lock(&contexts.lock);
    context->id = ++contexts.last_id;
    for (at = &contexts.first; *at;)
        at = &(*at)->next;
    context->next = NULL;
    *at = context;
    pthread_mutex_unlock(&contexts.lock);
}

static void list_remove(struct soft_context *context)
{
    struct soft_context **at;

    pthread_mutex_lock(&contexts.lock);
    for (at = &contexts.first; *at && *at != context;)
        at = &(*at)->next;
    if (*at)
        *at = context->next;
    pthread_mutex_unlock(&contexts.lock);
}

/* The list may change while fn runs, so that fn may wait: contexts are taken one by one by id. */
void soft_context_each(struct soft_device *device,
                       void (*fn)(struct soft_context *context, void *arg), void *arg)
{
    uint64_t last_id = 0;

    for (;;) {
        struct soft_context *context;

        pthread_mutex_lock(&contexts.lock);
        for (context = contexts.first; context; context = context->next)
            if (context->id > last_id && (!device || context->device == device))
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

static void env_init(struct soft_context *context)
{
    const struct device_model *model = soft_device_model(context->device);

    context->env = (struct warp_env){
        .arg = context,
        .find_range = soft_mem_find_range,
        .text = soft_context_text,
        .sm_count = model->sm_count,
        .clock_khz = model->sm_clock_khz,
    };
}

CUresult soft_context_open(struct soft_context *context)
{
    struct soft_stream *legacy;
    CUresult result;

    atomic_store_explicit(&context->error, CUDA_SUCCESS, memory_order_relaxed);
    soft_limits_init(context);
    result = soft_engine_open();
    if (result != CUDA_SUCCESS)
        return result;
    result = soft_mem_context_open(context);
    if (result != CUDA_SUCCESS)
        return result;
    result = soft_stream_new(context, CU_STREAM_DEFAULT, SOFT_PRIORITY_LEAST, &legacy);
    if (result != CUDA_SUCCESS) {
        soft_mem_context_close(context);
        return result;
    }
    context->queue.legacy = legacy;
    list_add(context);
    atomic_store_explicit(&context->is_open, true, memory_order_release);
    return CUDA_SUCCESS;
}

CUresult soft_context_new(struct soft_device *device, unsigned flags, unsigned api_version,
                          bool is_primary, struct soft_context **context_out)
{
    struct soft_context *context = fab_alloc_zeroed(1, sizeof(*context));
    CUresult result;

    if (!context)
        return CUDA_ERROR_OUT_OF_MEMORY;
    context->device = device;
    context->api_version = api_version;
    context->is_primary = is_primary;
    atomic_init(&context->flags, flags);
    (void)pthread_mutex_init(&context->lock, NULL);
    soft_text_init(&context->text);
    soft_host_init(&context->host);
    env_init(context);
    result = cuc_object_register(&context->object, CUC_CONTEXT, context_destroy);
    if (result != CUDA_SUCCESS) {
        context_destroy(&context->object);
        return result;
    }
    result = soft_context_open(context);
    if (result != CUDA_SUCCESS) {
        (void)cuc_object_retire(&context->object);
        cuc_object_put(&context->object);
        return result;
    }
    *context_out = context;
    return CUDA_SUCCESS;
}

static void retire_streams(struct soft_context *context)
{
    for (;;) {
        struct soft_stream *stream;

        soft_queue_lock();
        context->queue.legacy = NULL;
        stream = context->queue.streams;
        soft_queue_unlock();
        if (!stream)
            return;
        soft_stream_retire(stream);
    }
}

void soft_context_close(struct soft_context *context)
{
    /* From here on calls in the context fail, and waits for values that nobody can write any more
     * end. */
    atomic_store_explicit(&context->is_open, false, memory_order_release);
    (void)soft_context_wait(context);
    retire_streams(context);
    soft_events_close(context);
    soft_modules_close(context);
    soft_mem_context_close(context);
    soft_host_stop(context);
    list_remove(context);
}

/* ---- the stack of the thread ---------------------------------------------------------------- */

static struct soft_thread_stack *stack_get(void)
{
    if (!soft_thread.stack) {
        soft_thread.stack = fab_alloc_zeroed(1, sizeof(*soft_thread.stack));
        soft_thread_watch();
    }
    return soft_thread.stack;
}

struct soft_context *soft_context_peek(void)
{
    return soft_thread.current;
}

bool soft_context_push(struct soft_context *context)
{
    struct soft_thread_stack *stack = stack_get();

    if (!stack || stack->depth == SOFT_CONTEXT_STACK_MAX)
        return false;
    if (context)
        cuc_object_ref(&context->object);
    stack->entry[stack->depth++] = context;
    soft_thread.current = context;
    return true;
}

bool soft_context_pop(struct soft_context **context_out)
{
    struct soft_thread_stack *stack = soft_thread.stack;
    struct soft_context *context;

    if (!stack || stack->depth == 0)
        return false;
    context = stack->entry[--stack->depth];
    soft_thread.current = stack->depth > 0 ? stack->entry[stack->depth - 1] : NULL;
    *context_out = context;
    return true;
}

static void entry_put(struct soft_context *context)
{
    if (context)
        cuc_object_put(&context->object);
}

void soft_context_set_top(struct soft_context *context)
{
    struct soft_context *old = NULL;

    if (soft_thread.current == context)
        return;
    if (soft_context_pop(&old))
        entry_put(old);
    if (context)
        (void)soft_context_push(context);
}

void soft_context_thread_exit(void)
{
    struct soft_context *context;

    while (soft_thread.streams) {
        struct soft_thread_stream *entry = soft_thread.streams;

        soft_thread.streams = entry->next;
        soft_stream_retire(entry->stream);
        soft_stream_put(entry->stream);
        free(entry);
    }
    while (soft_context_pop(&context))
        entry_put(context);
    free(soft_thread.stack);
    soft_thread.stack = NULL;
    soft_thread.has_exit_hook = false;
}

CUresult soft_thread_stream_get(struct soft_context *context, struct soft_stream **stream_out)
{
    struct soft_thread_stream *entry;
    struct soft_stream *stream;
    CUresult result;

    for (entry = soft_thread.streams; entry; entry = entry->next)
        if (entry->context == context)
            break;
    if (entry && !entry->stream->is_retired) {
        *stream_out = entry->stream;
        return CUDA_SUCCESS;
    }
    result = soft_stream_new(context, CU_STREAM_DEFAULT, SOFT_PRIORITY_LEAST, &stream);
    if (result != CUDA_SUCCESS)
        return result;
    if (entry) {
        soft_stream_put(entry->stream); /* the context was closed and opened again */
    } else {
        entry = fab_alloc(sizeof(*entry));
        if (!entry) {
            soft_stream_retire(stream);
            return CUDA_ERROR_OUT_OF_MEMORY;
        }
        *entry = (struct soft_thread_stream){.next = soft_thread.streams, .context = context};
        soft_thread.streams = entry;
        soft_thread_watch();
    }
    cuc_object_ref(&stream->object);
    entry->stream = stream;
    *stream_out = stream;
    return CUDA_SUCCESS;
}

/* ---- the seam (context.h) ------------------------------------------------------------------- */

static CUresult checked(struct soft_context *context, struct soft_context **context_out)
{
    CUresult error;

    if (!atomic_load_explicit(&context->is_open, memory_order_acquire))
        return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    error = soft_context_error(context);
    if (error == CUDA_SUCCESS)
        *context_out = context;
    else
        soft_text_flush(&context->text); /* who hears of a failed assertion can read it */
    return error;
}

CUresult soft_context_current(struct soft_context **context_out)
{
    struct soft_context *context = soft_thread.current;

    return context ? checked(context, context_out) : CUDA_ERROR_INVALID_CONTEXT;
}

struct soft_context *soft_context_from_handle(CUcontext handle)
{
    return (struct soft_context *)cuc_object_get((uint64_t)(uintptr_t)handle, CUC_CONTEXT);
}

/* Borrowed: a program that destroys a context in one thread while another uses it is wrong. */
CUresult soft_context_of(CUcontext handle, struct soft_context **context_out)
{
    struct soft_context *context;
    CUresult result;

    if (!handle)
        return soft_context_current(context_out);
    context = soft_context_from_handle(handle);
    if (!context)
        return CUDA_ERROR_INVALID_CONTEXT;
    result = checked(context, context_out);
    cuc_object_put(&context->object);
    return result;
}

CUcontext soft_context_handle(const struct soft_context *context)
{
    return (CUcontext)(uintptr_t)context->object.handle;
}

struct soft_device *soft_context_device(const struct soft_context *context)
{
    return context->device;
}

uint64_t soft_context_id(const struct soft_context *context)
{
    return context->id;
}

CUresult soft_context_error(const struct soft_context *context)
{
    return (CUresult)atomic_load_explicit(&context->error, memory_order_acquire);
}

void soft_context_set_error(struct soft_context *context, CUresult error)
{
    int none = CUDA_SUCCESS;

    /* The context is lost: what else runs in it ends, as on a GPU. */
    if (atomic_compare_exchange_strong_explicit(&context->error, &none, (int)error,
                                                memory_order_seq_cst, memory_order_acquire))
        soft_queue_cancel(context);
}

void soft_context_text(void *arg, bool is_error, const char *bytes, size_t length)
{
    struct soft_context *context = arg;

    soft_text_append(&context->text, is_error, bytes, length);
}

static const struct soft_command_ops marker_ops = {
    .name = "marker", .start = soft_command_marker, .even_failed = true};

CUresult soft_context_wait(struct soft_context *context)
{
    struct soft_command *marker;

    if (atomic_load_explicit(&context->queue.pending, memory_order_acquire) > 0) {
        marker = soft_command_new(context, NULL, &marker_ops);
        if (!marker)
            return CUDA_ERROR_OUT_OF_MEMORY;
        soft_queue_lock();
        if (!soft_command_after_context_locked(marker, context)) {
            /* Some edges are linked already: the marker must run, but it waits for too little. */
            soft_command_submit_locked(marker);
            soft_queue_unlock();
            return CUDA_ERROR_OUT_OF_MEMORY;
        }
        soft_queue_unlock();
        (void)soft_command_submit_and_wait(marker);
    }
    soft_text_flush(&context->text);
    return soft_context_error(context);
}

static void wait_one(struct soft_context *context, void *arg)
{
    CUresult *first_error = arg;
    CUresult error = soft_context_wait(context);

    if (*first_error == CUDA_SUCCESS)
        *first_error = error;
}

CUresult soft_device_wait(struct soft_device *device)
{
    CUresult error = CUDA_SUCCESS;

    soft_context_each(device, wait_one, &error);
    return error;
}
