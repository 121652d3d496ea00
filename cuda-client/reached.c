/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/reached.c - what workers were asked to tell of: streams and events that get there.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "cuda-client/context.h"
#include "cuda-client/landed_int.h"
#include "cuda-client/remote_int.h"
#include "cuda-client/stream_int.h"
#include "cuda-client/transfer.h"

struct watch {
    struct watch *next;
    struct cudac_worker *worker;
    struct cudac_context *context; /* holds a reference */
    uint64_t ctx;                  /* its id then: a primary one is opened again by another */
    struct cudac_watched what;     /* holds one, too */
};

static struct {
    pthread_mutex_t lock;
    struct watch *first;
} watches = {.lock = PTHREAD_MUTEX_INITIALIZER};

enum { OPEN_MAX = 16 }; /* questions about one object at a time */

bool cudac_asked_is_stale(const struct cudac_asked *asked, const struct cudac_worker *worker)
{
    uint32_t open = atomic_load_explicit(&asked->open, memory_order_acquire);

    return open == 0 ||
           (open < OPEN_MAX && atomic_load_explicit(&asked->news, memory_order_relaxed) !=
                                   atomic_load_explicit(&worker->news, memory_order_acquire));
}

void cudac_worker_has_news(struct cudac_worker *worker)
{
    (void)atomic_fetch_add_explicit(&worker->news, 1, memory_order_acq_rel);
}

static void watch_free(struct watch *watch)
{
    if (watch->what.asked)
        (void)atomic_fetch_sub_explicit(&watch->what.asked->open, 1, memory_order_acq_rel);
    cuc_object_put(watch->what.ref);
    cuc_object_put(&watch->context->object);
    free(watch);
}

static void count_question(struct cudac_asked *asked, const struct cudac_worker *worker)
{
    (void)atomic_fetch_add_explicit(&asked->open, 1, memory_order_acq_rel);
    atomic_store_explicit(&asked->news, atomic_load_explicit(&worker->news, memory_order_acquire),
                          memory_order_relaxed);
}

static struct watch *watch_add(struct cudac_context *context, const struct cudac_watched *what)
{
    struct watch *watch = fab_alloc(sizeof(*watch));

    if (!watch)
        return NULL;
    *watch = (struct watch){.worker = cudac_context_worker(context),
                            .context = context,
                            .ctx = context->id,
                            .what = *what};
    cuc_object_ref(&context->object);
    cuc_object_ref(what->ref);
    if (what->asked)
        count_question(what->asked, watch->worker);
    pthread_mutex_lock(&watches.lock);
    watch->next = watches.first;
    watches.first = watch;
    pthread_mutex_unlock(&watches.lock);
    return watch;
}

/* Takes it out of the list; NULL: somebody else has. */
static struct watch *watch_take(const struct cudac_worker *worker, uint64_t object,
                                uint64_t position)
{
    struct watch **at, *watch;

    pthread_mutex_lock(&watches.lock);
    for (at = &watches.first; (watch = *at); at = &watch->next)
        if (watch->worker == worker && watch->what.object == object &&
            watch->what.position == position)
            break;
    if (watch)
        *at = watch->next;
    pthread_mutex_unlock(&watches.lock);
    return watch;
}

static void watch_landed(void *arg)
{
    struct watch *watch = arg;

    cudac_worker_has_news(watch->worker); /* first: who is woken may ask about something else */
    watch->what.done(watch->what.ref, watch->what.mark);
    watch_free(watch);
}

/* When the data have landed, too. */
static CUresult watch_done(struct watch *watch, const uint64_t *landed, uint32_t count)
{
    CUresult result = CUDA_SUCCESS;

    if (count > 0)
        result = cudac_transfers_when(watch->worker, landed, count, watch_landed, watch);
    else
        watch_landed(watch);
    if (result != CUDA_SUCCESS)
        watch_free(watch);
    return result;
}

CUresult cudac_watch_ask(struct cudac_context *context, uint32_t op, const struct wire_parts *parts,
                         const struct cudac_watched *watched)
{
    struct cudac_worker *worker = cudac_context_worker(context);
    struct watch *watch = watch_add(context, watched);
    struct cudac_landed landed = {.count = 0};
    struct cudac_reply reply;
    CUresult result;

    if (!watch)
        return CUDA_ERROR_OUT_OF_MEMORY;
    /* From here on the watch may be gone: `reached` can overtake the reply's reader. */
    result = cudac_call(worker, op, parts, &reply);
    if (result == CUDA_ERROR_NOT_READY) {
        cudac_reply_free(&reply);
        return result;
    }
    watch = watch_take(worker, watched->object, watched->position);
    if (result == CUDA_SUCCESS && !cudac_landed_get(op, &reply, &landed))
        result = cudac_worker_broken(worker, "a reply does not decode");
    if (result == CUDA_SUCCESS && watch)
        result = watch_done(watch, landed.ids, landed.count);
    else if (watch)
        watch_free(watch);
    cudac_reply_free(&reply);
    return cudac_context_result(context, result);
}

bool cudac_watch_expect(struct cudac_context *context, const struct cudac_watched *watched)
{
    return watch_add(context, watched) != NULL;
}

void cudac_watch_unexpect(struct cudac_context *context, const struct cudac_watched *watched)
{
    struct watch *watch =
        watch_take(cudac_context_worker(context), watched->object, watched->position);

    if (watch)
        watch_free(watch);
}

/* Unless it was closed meanwhile. */
static void context_failed(const struct watch *watch, CUresult result)
{
    struct cudac_context *context = cudac_context_of_id(watch->ctx);

    if (!context)
        return;
    cudac_context_set_error(context, result);
    cuc_object_put(&context->object);
}

void cudac_on_reached(struct cudac_worker *worker, const void *bytes, size_t size_bytes)
{
    struct wire_reached reached;
    struct watch *watch;

    if (!wire_get_reached(bytes, size_bytes, &reached)) {
        (void)cudac_worker_broken(worker, "a reached message does not decode");
        return;
    }
    watch = watch_take(worker, reached.object, reached.position);
    if (!watch)
        return;
    if (reached.result == CUDA_ERROR_NOT_READY) { /* it cannot tell: who wants to know asks */
        watch_free(watch);
        return;
    }
    if (reached.result != CUDA_SUCCESS)
        context_failed(watch, (CUresult)reached.result);
    (void)watch_done(watch, reached.landed, reached.landed_count);
}

void cudac_watches_lost(struct cudac_worker *worker)
{
    struct watch *gone = NULL, **at, *watch;

    pthread_mutex_lock(&watches.lock);
    for (at = &watches.first; (watch = *at);) {
        if (watch->worker != worker) {
            at = &watch->next;
            continue;
        }
        *at = watch->next;
        watch->next = gone;
        gone = watch;
    }
    pthread_mutex_unlock(&watches.lock);
    while (gone) {
        watch = gone;
        gone = watch->next;
        watch_free(watch);
    }
}
