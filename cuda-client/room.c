/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/room.c - a stream has never more before it than its driver takes.
 *
 * A driver whose queue is full makes the caller wait: in a worker that is the leader, and every
 * other command of this client waits behind it, also one that the full stream waits for (the bytes
 * of a host function on their way to the device). So the program waits here instead, where it would
 * wait natively, while it holds nothing. What a stream has done is asked for, and heard, long
 * before that: a program that launches on and on does not notice.
 */
#include <time.h>

#include "cuda-client/context_int.h"
#include "cuda-client/remote_int.h"
#include "cuda-client/stream_int.h"

enum {
    WEIGHT_MAX = 4,         /* commands of the driver for one of ours, with the meter's events */
    SLACK = WEIGHT_MAX + 2, /* and what questions take */
    RESERVE = 8,            /* this part of the queue stays free, for the like */
    PAUSE_NS = 20000,
};

static uint64_t limit_of(const struct cudac_stream *stream)
{
    const uint32_t depth = cudac_context_worker(stream->context)->queue_depth;

    return depth > 2 * SLACK ? depth - depth / RESERVE - SLACK : UINT64_MAX; /* 0: not known */
}

/* The first command behind what all streams wait for brings a wait with it. */
static uint32_t weight_of_gate(struct cudac_stream *stream)
{
    const uint64_t gate = atomic_load_explicit(&stream->context->gate, memory_order_relaxed);

    if (FAB_LIKELY(atomic_load_explicit(&stream->room.gate, memory_order_relaxed) == gate))
        return 0;
    atomic_store_explicit(&stream->room.gate, gate, memory_order_relaxed);
    return 1;
}

/* Launches one after the other in a stream are metered together, others each. */
static uint32_t weight_of(struct cudac_stream *stream, uint32_t op)
{
    enum { METERED = 3 };
    _Atomic uint64_t *launching = &stream->context->launching;
    const uint64_t before = atomic_load_explicit(launching, memory_order_relaxed);
    const uint64_t now = op == WIRE_LAUNCH || op == WIRE_LAUNCH_CALL ? stream->id + 1 : 0;

    if (now != before)
        atomic_store_explicit(launching, now, memory_order_relaxed);
    switch (op) {
    case WIRE_LAUNCH:
    case WIRE_LAUNCH_CALL:
        return now == before ? 1 : METERED;
    case WIRE_EVENT_RECORD:
    case WIRE_EVENT_WAIT:
    case WIRE_COPY_DEVICE:
    case WIRE_SET:
        return 1;
    default:
        return WEIGHT_MAX;
    }
}

void cudac_room_count(struct cudac_stream *stream, uint32_t op)
{
    (void)atomic_fetch_add_explicit(
        &stream->room.posted, weight_of_gate(stream) + weight_of(stream, op), memory_order_relaxed);
}

static uint64_t since(const struct cudac_room *room, const _Atomic uint64_t *mark)
{
    return atomic_load_explicit(&room->posted, memory_order_relaxed) -
           atomic_load_explicit(mark, memory_order_relaxed);
}

static void done_to(struct cudac_room *room, uint64_t mark)
{
    uint64_t done = atomic_load_explicit(&room->done, memory_order_relaxed);

    while (done < mark && !atomic_compare_exchange_weak_explicit(
                              &room->done, &done, mark, memory_order_relaxed, memory_order_relaxed))
        ;
}

static void heard(struct cuc_object *ref, uint64_t mark)
{
    done_to(&((struct cudac_stream *)ref)->room, mark);
}

/* The worker tells when all that was posted so far is done. */
static void ask(struct cudac_stream *stream)
{
    struct cudac_context *context = stream->context;
    const struct wire_stream_watch message = {
        .ctx = context->id, .stream = stream->id, .position = cudac_id_new()};
    const struct cudac_watched watched = {
        .object = stream->id ? stream->id : context->id,
        .position = message.position,
        .mark = atomic_load_explicit(&stream->room.posted, memory_order_relaxed),
        .ref = &stream->object,
        .done = heard,
        .asked = &stream->room.asked};
    struct wire_parts parts;

    atomic_store_explicit(&stream->room.asked_at, watched.mark, memory_order_relaxed);
    wire_put_stream_watch(&message, &parts);
    /* An error is the context's, and whoever posts or waits next reports it. */
    (void)cudac_watch_ask(context, WIRE_STREAM_WATCH, &parts, &watched);
}

static bool is_known_idle(struct cudac_stream *stream)
{
    const uint64_t posted = atomic_load_explicit(&stream->room.posted, memory_order_relaxed);

    if (!cudac_stream_is_idle(stream))
        return false;
    done_to(&stream->room, posted);
    return true;
}

static void wait_for_room(struct cudac_stream *stream, uint64_t limit)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    struct cudac_room *room = &stream->room;

    while (since(room, &room->done) >= limit && !is_known_idle(stream) &&
           cudac_context_error(stream->context) == CUDA_SUCCESS) {
        if (atomic_load_explicit(&room->asked.open, memory_order_acquire) == 0)
            ask(stream);
        else
            (void)nanosleep(&pause, NULL);
    }
}

void cudac_stream_make_room(struct cudac_stream *stream)
{
    struct cudac_room *room = &stream->room;
    const uint64_t limit = limit_of(stream);

    if (FAB_LIKELY(since(room, &room->done) < limit / 2))
        return;
    if (since(room, &room->asked_at) >= limit / 2 && !is_known_idle(stream))
        ask(stream);
    wait_for_room(stream, limit);
}
