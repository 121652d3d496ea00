/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/flags.c - waits for what happens at another worker.
 */
#include "cuda-client/flags.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "cuda-client/stream.h"
#include "cuda-client/transfer.h"

struct route {
    struct route *next;
    uint64_t flag;
    CUresult result; /* of the flag; before it is known: if `from` is lost */
    struct cudac_worker *from, *to;
    struct cudac_stream *stream; /* holds a reference; NULL: the client is told in any case */
    uint64_t position;           /* of the wait, in it */
};

static struct {
    pthread_mutex_t lock;
    struct route *first;
} routes = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void route_free(struct route *route)
{
    if (route)
        cudac_stream_put(route->stream);
    free(route);
}

/* By flag (0: any) of that worker (NULL: any), out of the list; NULL: none. */
static struct route *route_take(const struct cudac_worker *from, uint64_t flag)
{
    struct route **at, *route;

    pthread_mutex_lock(&routes.lock);
    for (at = &routes.first; (route = *at); at = &route->next)
        if ((!from || route->from == from) && (flag == 0 || route->flag == flag))
            break;
    if (route)
        *at = route->next;
    pthread_mutex_unlock(&routes.lock);
    return route;
}

/* On the service thread: the urgent lane may have no room at the moment. */
static void pass_on(void *arg)
{
    struct route *route = arg;
    const struct wire_flag message = {.flag = route->flag, .result = (int32_t)route->result};
    struct wire_parts parts;

    wire_put_flag(&message, &parts);
    (void)cudac_signal(route->to, WIRE_FLAG, &parts); /* a lost worker has no stream that waits */
    route_free(route);
}

static void route_end(struct route *route, CUresult result)
{
    route->result = result;
    if (cudac_host_thread_run(pass_on, route) != CUDA_SUCCESS)
        pass_on(route);
}

static bool is_over(const struct route *route)
{
    return route->stream &&
           atomic_load_explicit(&route->stream->done, memory_order_acquire) >= route->position;
}

/* Routes of streams that have gone on. */
static struct route *take_over_locked(void)
{
    struct route *over = NULL, **at, *route;

    for (at = &routes.first; (route = *at);) {
        if (!is_over(route)) {
            at = &route->next;
            continue;
        }
        *at = route->next;
        route->next = over;
        over = route;
    }
    return over;
}

CUresult cudac_flag_route(uint64_t flag, struct cudac_worker *from, struct cudac_worker *to,
                          CUresult lost)
{
    struct route *route = fab_alloc(sizeof(*route)), *over;

    if (!route)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *route = (struct route){.flag = flag, .result = lost, .from = from, .to = to};
    pthread_mutex_lock(&routes.lock);
    over = take_over_locked();
    route->next = routes.first;
    routes.first = route;
    pthread_mutex_unlock(&routes.lock);
    while (over) {
        struct route *next = over->next;

        route_free(over);
        over = next;
    }
    return CUDA_SUCCESS;
}

void cudac_flag_waits(uint64_t flag, struct cudac_stream *stream)
{
    struct route *route;

    pthread_mutex_lock(&routes.lock);
    for (route = routes.first; route && route->flag != flag;)
        route = route->next;
    if (route && !route->stream) {
        cuc_object_ref(&stream->object);
        route->stream = stream;
        route->position = atomic_load_explicit(&stream->posted, memory_order_acquire);
    }
    pthread_mutex_unlock(&routes.lock);
}

void cudac_flag_forget(uint64_t flag)
{
    route_free(route_take(NULL, flag));
}

static void route_landed(void *arg)
{
    struct route *route = arg;

    route_end(route, route->result);
}

void cudac_on_flag(struct cudac_worker *worker, const void *bytes, size_t size_bytes)
{
    struct wire_flag message;
    struct route *route;

    if (!wire_get_flag(bytes, size_bytes, &message)) {
        (void)cudac_worker_broken(worker, "a flag does not decode");
        return;
    }
    route = route_take(worker, message.flag);
    if (!route)
        return;
    route->result = (CUresult)message.result;
    if (cudac_transfers_when(worker, message.landed, message.landed_count, route_landed, route) !=
        CUDA_SUCCESS)
        route_end(route, CUDA_ERROR_OUT_OF_MEMORY);
}

void cudac_flags_lost(struct cudac_worker *worker)
{
    struct route *route;

    while ((route = route_take(worker, /* flag */ 0)))
        route_end(route, route->result);
}
