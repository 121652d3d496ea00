/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/memop_host.c - values in host memory that a stream waits for or writes.
 *
 * The memory is here, and whoever stores to it expects to be seen at once, wherever the GPU is. So
 * these are host calls. One thread looks at the values that are waited for, again and again, less
 * often the longer it takes; it sleeps while there are none.
 */
#include "cuda-client/memop_host.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"
#include "cuda-client/host_call.h"
#include "cuda-client/memory.h"
#include "cuda-client/trace.h"
#include "cuda-common/memop.h"
#include "cuda-common/thread.h"

enum {
    EAGER_NS = 100 * 1000,     /* a value is looked at without pause this long, */
    PAUSE_MIN_NS = 20 * 1000,  /* then with pauses of an eighth of the time waited so far, */
    PAUSE_MAX_NS = 1000 * 1000 /* at most this much */
};

struct host_memop {
    struct cudac_host_call call; /* first */
    struct host_memop *next;
    struct cuc_memop op;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct host_memop *first, **last;
    bool has_thread;
} memops = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .last = &memops.first};

/* A wait ends, too, when nobody can need it any more. */
static bool is_due(struct host_memop *memop)
{
    struct cudac_context *context = memop->call.context;

    return !cuc_memop_is_wait(memop->op.kind) || cuc_memop_is_satisfied(&memop->op) ||
           memop->call.error != CUDA_SUCCESS || cudac_context_error(context) != CUDA_SUCCESS ||
           !atomic_load_explicit(&context->is_open, memory_order_acquire);
}

/* Takes what is due out of the list, in its order. */
static struct host_memop *take_due_locked(void)
{
    struct host_memop *due = NULL, **due_last = &due, **at;

    for (at = &memops.first; *at;) {
        struct host_memop *memop = *at;

        if (!is_due(memop)) {
            at = &memop->next;
            continue;
        }
        *at = memop->next;
        memop->next = NULL;
        *due_last = memop;
        due_last = &memop->next;
    }
    memops.last = at;
    return due;
}

/* Who sees the value sees what the stream did before it. */
static void finish(struct host_memop *memop)
{
    if (cuc_memop_is_write(memop->op.kind) && memop->call.error == CUDA_SUCCESS)
        memop->call.error =
            cudac_memory_before_host_call(cudac_context_worker(memop->call.context));
    if (cuc_memop_is_write(memop->op.kind) && memop->call.error == CUDA_SUCCESS)
        cuc_memop_store(&memop->op);
    cudac_host_call_end(&memop->call);
}

static void pause_for(uint64_t waited_ns)
{
    uint64_t ns = waited_ns / 8;

    if (waited_ns < EAGER_NS)
        return;
    if (ns < PAUSE_MIN_NS)
        ns = PAUSE_MIN_NS;
    if (ns > PAUSE_MAX_NS)
        ns = PAUSE_MAX_NS;
    (void)nanosleep(&(struct timespec){.tv_nsec = (long)ns}, NULL);
}

static void *memop_thread(void *arg)
{
    uint64_t since_ns = cudac_now_ns();

    (void)arg;
    for (;;) {
        struct host_memop *due;

        pthread_mutex_lock(&memops.lock);
        if (!memops.first) {
            while (!memops.first)
                (void)pthread_cond_wait(&memops.changed, &memops.lock);
            since_ns = cudac_now_ns();
        }
        due = take_due_locked();
        pthread_mutex_unlock(&memops.lock);
        if (due)
            since_ns = cudac_now_ns();
        else
            pause_for(cudac_now_ns() - since_ns);
        while (due) {
            struct host_memop *next = due->next;

            finish(due);
            due = next;
        }
    }
    return NULL;
}

static void end_undone(void *arg)
{
    cudac_host_call_end(arg);
}

static void memop_turn(struct cudac_host_call *call)
{
    struct host_memop *memop = (struct host_memop *)call;
    bool has_thread;

    memop->next = NULL;
    pthread_mutex_lock(&memops.lock);
    if (!memops.has_thread)
        memops.has_thread = cuc_thread_start("fabric-memop", memop_thread, NULL);
    has_thread = memops.has_thread;
    if (has_thread) {
        *memops.last = memop;
        memops.last = &memop->next;
        (void)pthread_cond_signal(&memops.changed);
    }
    pthread_mutex_unlock(&memops.lock);
    if (has_thread)
        return;
    cudac_context_set_error(call->context, CUDA_ERROR_OPERATING_SYSTEM);
    if (cudac_host_thread_run(end_undone, call) != CUDA_SUCCESS)
        cudac_host_call_end(call);
}

CUresult cudac_memop_host(struct cudac_stream *stream, const struct wire_memop *op,
                          uint64_t host_address)
{
    struct host_memop *memop = fab_alloc_zeroed(1, sizeof(*memop));
    CUresult result;

    if (!memop)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memop->call.turn = memop_turn;
    memop->op = (struct cuc_memop){
        .kind = op->kind, .flags = op->flags, .address = host_address, .value = op->value};
    /* As a callback: it must also end in a failed context. */
    result = cudac_host_call_post(stream, &memop->call, WIRE_HOST_CALLBACK);
    if (result != CUDA_SUCCESS)
        free(memop);
    return result;
}
