/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/copy_link.c - copies between devices of different workers, which send the data to
 * each other directly.
 *
 * The copy is work of one stream. Where that is the sender's, it reads, sends, and goes on when the
 * receiver has said that it has written; where it is the receiver's, a flag tells the sender that
 * the stream has come to the copy. What the other worker does is in a side stream there, one for
 * each stream here.
 */
#include "cuda-client/copy_link.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cuda-client/copy.h"
#include "cuda-client/flags.h"
#include "cuda-client/memory.h"

enum { WORKERS_MAX = 64 };

/* ---- connections ---------------------------------------------------------------------------- */

enum link_state { LINK_NONE, LINK_OPEN, LINK_FAILED };

static struct {
    pthread_mutex_t lock; /* held over the calls that open */
    struct {
        _Atomic int state; /* enum link_state; LINK_OPEN: `peer` is valid */
        uint64_t peer;
    } pair[WORKERS_MAX][WORKERS_MAX]; /* lower index first */
} links = {.lock = PTHREAD_MUTEX_INITIALIZER};

static CUresult invite(struct cudac_worker *host, const struct cudac_worker *guest,
                       const struct wire_peer_join *join, struct cudac_reply *reply,
                       struct wire_peer_invite_reply *answer)
{
    size_t address_bytes = 0;
    const uint8_t *address = cudac_worker_address(guest, &address_bytes);
    const struct wire_peer_invite message = {.peer = join->peer,
                                             .session = join->session,
                                             .same_host = join->same_host,
                                             .address = address,
                                             .address_count = (uint32_t)address_bytes};
    struct wire_parts parts;
    CUresult result;

    wire_put_peer_invite(&message, &parts);
    result = cudac_call(host, WIRE_PEER_INVITE, &parts, reply);
    if (result == CUDA_SUCCESS &&
        !wire_get_peer_invite_reply(reply->bytes, reply->size_bytes, answer))
        result = cudac_worker_broken(host, "its reply to peer_invite does not decode");
    return result;
}

/* `host` makes a ticket, `guest` uses it. */
static CUresult link_make(struct cudac_worker *host, struct cudac_worker *guest, uint64_t *peer_out)
{
    struct wire_peer_join message = {.peer = cudac_id_new(),
                                     .same_host = cudac_workers_share_host(host, guest)};
    struct wire_peer_invite_reply answer = {.ticket_count = 0};
    struct cudac_reply reply;
    struct wire_parts parts;
    CUresult result;

    /* Both workers are this process's alone: its id keeps the number apart from their sessions. */
    message.session = (uint64_t)(uint32_t)getpid() << 32 | message.peer;
    result = invite(host, guest, &message, &reply, &answer);
    if (result == CUDA_SUCCESS) {
        message.ticket = answer.ticket;
        message.ticket_count = answer.ticket_count;
        wire_put_peer_join(&message, &parts);
        result = cudac_call(guest, WIRE_PEER_JOIN, &parts, /* reply */ NULL);
    }
    cudac_reply_free(&reply);
    if (result == CUDA_SUCCESS)
        *peer_out = message.peer;
    return result;
}

CUresult cudac_link_open(struct cudac_worker *one, struct cudac_worker *other, uint64_t *peer_out)
{
    struct cudac_worker *host = one, *guest = other;
    uint32_t low, high;
    CUresult result = CUDA_SUCCESS;

    if (cudac_worker_index(host) > cudac_worker_index(guest)) {
        host = other;
        guest = one;
    }
    low = cudac_worker_index(host);
    high = cudac_worker_index(guest);
    if (high >= WORKERS_MAX || low == high)
        return CUDA_ERROR_NOT_SUPPORTED;
    pthread_mutex_lock(&links.lock);
    if (links.pair[low][high].state == LINK_NONE) {
        result = link_make(host, guest, &links.pair[low][high].peer);
        atomic_store_explicit(&links.pair[low][high].state,
                              result == CUDA_SUCCESS ? LINK_OPEN : LINK_FAILED,
                              memory_order_release);
    }
    if (links.pair[low][high].state == LINK_OPEN)
        *peer_out = links.pair[low][high].peer;
    else
        result = CUDA_ERROR_NOT_SUPPORTED;
    pthread_mutex_unlock(&links.lock);
    return result;
}

bool cudac_link_find(const struct cudac_worker *one, const struct cudac_worker *other,
                     uint64_t *peer_out)
{
    uint32_t low = cudac_worker_index(one), high = cudac_worker_index(other);
    bool is_open;

    if (low > high) {
        const uint32_t swap = low;

        low = high;
        high = swap;
    }
    if (high >= WORKERS_MAX || low == high)
        return false;
    pthread_mutex_lock(&links.lock);
    is_open = links.pair[low][high].state == LINK_OPEN;
    if (is_open)
        *peer_out = links.pair[low][high].peer;
    pthread_mutex_unlock(&links.lock);
    return is_open;
}

/* ---- the end of a worker -------------------------------------------------------------------- */

struct leave {
    struct cudac_worker *worker; /* that lives */
    uint64_t peer;
};

static void leave_now(void *arg)
{
    struct leave *leave = arg;
    const struct wire_peer_leave message = {.peer = leave->peer};
    struct wire_parts parts;

    wire_put_peer_leave(&message, &parts);
    (void)cudac_post(leave->worker, WIRE_PEER_LEAVE, &parts, NULL); /* or it is lost, too */
    free(leave);
}

static void leave(struct cudac_worker *worker, uint64_t peer)
{
    struct leave *order = fab_alloc(sizeof(*order));

    if (!order)
        return; /* the transport finds out, later */
    *order = (struct leave){worker, peer};
    if (cudac_host_thread_run(leave_now, order) != CUDA_SUCCESS)
        free(order);
}

/* On the control engine. A connection that is being opened fails by itself. */
void cudac_links_lost(struct cudac_worker *worker)
{
    const uint32_t lost = cudac_worker_index(worker);

    for (uint32_t i = 0; i < cudac_worker_count() && lost < WORKERS_MAX; i++) {
        const uint32_t low = i < lost ? i : lost, high = i < lost ? lost : i;

        if (i != lost && i < WORKERS_MAX &&
            atomic_load_explicit(&links.pair[low][high].state, memory_order_acquire) == LINK_OPEN)
            leave(cudac_worker_at(i), links.pair[low][high].peer);
    }
}

/* ---- the two halves ------------------------------------------------------------------------- */

/* One end: which stream of which context works there. */
struct half {
    struct cudac_context *context;
    struct cudac_stream *stream; /* the program's, or NULL: */
    uint64_t side;               /* ours */
    const struct wire_box *box;
};

static CUresult half_post(const struct half *half, uint32_t op, const struct wire_parts *parts)
{
    return half->stream ? cudac_stream_post(half->stream, op, parts, /* number */ NULL)
                        : cudac_post(cudac_context_worker(half->context), op, parts, NULL);
}

static uint64_t half_stream(const struct half *half)
{
    return half->stream ? half->stream->id : half->side;
}

static CUresult send_post(const struct half *half, uint64_t peer, uint64_t transfer, uint64_t flag)
{
    const struct wire_peer_send message = {.ctx = half->context->id,
                                           .stream = half_stream(half),
                                           .peer = peer,
                                           .transfer = transfer,
                                           .from = *half->box,
                                           .flag = flag};
    struct wire_parts parts;

    wire_put_peer_send(&message, &parts);
    return half_post(half, WIRE_PEER_SEND, &parts);
}

static CUresult receive_post(const struct half *half, uint64_t peer, uint64_t transfer,
                             uint64_t flag)
{
    const struct wire_peer_receive message = {.ctx = half->context->id,
                                              .stream = half_stream(half),
                                              .peer = peer,
                                              .transfer = transfer,
                                              .to = *half->box,
                                              .flag = flag};
    struct wire_parts parts;

    wire_put_peer_receive(&message, &parts);
    return half_post(half, WIRE_PEER_RECEIVE, &parts);
}

/* When the stream comes here, the flag is set at the peer. */
static CUresult tell_peer(const struct half *half, uint64_t peer, uint64_t flag)
{
    const uint64_t event = cudac_id_new();
    const struct wire_event_create create = {
        .event = event, .ctx = half->context->id, .flags = CU_EVENT_DISABLE_TIMING};
    const struct wire_event_record record = {
        .event = event, .ctx = half->context->id, .stream = half_stream(half), .generation = 1};
    const struct wire_event_notify notify = {.event = event, .peer = peer, .flag = flag};
    const struct wire_event_destroy destroy = {.event = event};
    struct cudac_worker *worker = cudac_context_worker(half->context);
    struct wire_parts parts;
    CUresult result;

    wire_put_event_create(&create, &parts);
    result = cudac_post(worker, WIRE_EVENT_CREATE, &parts, NULL);
    if (result != CUDA_SUCCESS)
        return result;
    wire_put_event_record(&record, &parts);
    result = half_post(half, WIRE_EVENT_RECORD, &parts);
    if (result == CUDA_SUCCESS) {
        wire_put_event_notify(&notify, &parts);
        result = cudac_post(worker, WIRE_EVENT_NOTIFY, &parts, NULL);
    }
    wire_put_event_destroy(&destroy, &parts);
    (void)cudac_post(worker, WIRE_EVENT_DESTROY, &parts, NULL); /* a lost worker has none */
    return result;
}

static CUresult wait_flag(const struct half *half, uint64_t flag)
{
    const struct wire_flag_wait message = {
        .flag = flag, .ctx = half->context->id, .stream = half_stream(half)};
    struct wire_parts parts;

    wire_put_flag_wait(&message, &parts);
    return half_post(half, WIRE_FLAG_WAIT, &parts);
}

static CUresult side_sync(const struct half *half)
{
    const struct wire_stream_sync message = {.ctx = half->context->id, .stream = half->side};
    struct wire_parts parts;

    wire_put_stream_sync(&message, &parts);
    return cudac_context_result(half->context, cudac_call(cudac_context_worker(half->context),
                                                          WIRE_STREAM_SYNC, &parts, NULL));
}

/* ---- a copy --------------------------------------------------------------------------------- */

static CUresult sender_leads(const struct half *dst, const struct half *src, uint64_t peer,
                             uint64_t flag)
{
    const uint64_t transfer = cudac_id_new();
    CUresult result = receive_post(dst, peer, transfer, flag);

    if (result == CUDA_SUCCESS)
        result = send_post(src, peer, transfer, flag);
    if (result == CUDA_SUCCESS && !src->stream)
        result = side_sync(src);
    if (result == CUDA_SUCCESS && !src->stream) /* the flag is also set when the peer is lost */
        result = cudac_worker_state(cudac_context_worker(dst->context));
    return result;
}

static CUresult receiver_leads(const struct half *dst, const struct half *src, uint64_t peer,
                               uint64_t flag)
{
    const uint64_t transfer = cudac_id_new();
    CUresult result = tell_peer(dst, peer, flag);

    if (result == CUDA_SUCCESS)
        result = wait_flag(src, flag);
    if (result == CUDA_SUCCESS)
        result = send_post(src, peer, transfer, 0);
    return result == CUDA_SUCCESS ? receive_post(dst, peer, transfer, 0) : result;
}

/* The program's stream is one half's, or neither's: then it has been waited for. */
static CUresult copy_linked(const struct half *dst, const struct half *src, uint64_t peer)
{
    const uint64_t flag = cudac_id_new();
    struct cudac_stream *leader = dst->stream ? dst->stream : src->stream;
    CUresult result;

    /* In both cases the receiver's worker sets it and the sender's waits. When the receiver's is
     * lost, the sender's context has no part in it, unless it is the program's stream that waits.
     */
    result = cudac_flag_route(flag, cudac_context_worker(dst->context),
                              cudac_context_worker(src->context),
                              src->stream ? CUDA_ERROR_DEVICE_UNAVAILABLE : CUDA_SUCCESS);
    if (result != CUDA_SUCCESS)
        return result;
    cudac_memory_waits_for(cudac_context_worker(dst->context), cudac_context_worker(src->context));
    cudac_memory_waits_for(cudac_context_worker(src->context), cudac_context_worker(dst->context));
    result =
        dst->stream ? receiver_leads(dst, src, peer, flag) : sender_leads(dst, src, peer, flag);
    if (result == CUDA_SUCCESS && leader)
        cudac_flag_waits(flag, leader);
    else
        cudac_flag_forget(flag);
    return result;
}

static CUresult half_open(struct cudac_stream *stream, const struct cudac_end *end,
                          const struct wire_box *box, struct half *half_out)
{
    *half_out = (struct half){.box = box};
    if (end->worker == cudac_context_worker(stream->context)) {
        cuc_object_ref(&stream->context->object);
        half_out->context = stream->context;
        half_out->stream = stream;
        return CUDA_SUCCESS;
    }
    CUresult result = cudac_context_at(end->vgpu, &half_out->context);

    /* The legacy default streams of all contexts have the id 0. */
    return result == CUDA_SUCCESS
               ? cudac_side_stream(half_out->context, stream->id ? stream->id : stream->context->id,
                                   &half_out->side)
               : result;
}

static void half_close(struct half *half)
{
    if (half->context)
        cuc_object_put(&half->context->object);
}

/* Both at one worker that is not the stream's. */
static CUresult copy_inside(const struct half *dst, const struct half *src)
{
    const struct wire_copy_device_wait message = {
        .ctx = dst->context->id, .stream = dst->side, .to = *dst->box, .from = *src->box};
    struct wire_parts parts;

    wire_put_copy_device_wait(&message, &parts);
    return cudac_context_result(dst->context, cudac_call(cudac_context_worker(dst->context),
                                                         WIRE_COPY_DEVICE_WAIT, &parts, NULL));
}

static CUresult copy_halves(struct cudac_stream *stream, const struct half *dst,
                            const struct half *src)
{
    struct cudac_worker *dst_worker = cudac_context_worker(dst->context);
    struct cudac_worker *src_worker = cudac_context_worker(src->context);
    uint64_t peer = 0;
    CUresult result = CUDA_SUCCESS;

    if (dst_worker != src_worker &&
        cudac_link_open(dst_worker, src_worker, &peer) == CUDA_SUCCESS) {
        if (!dst->stream && !src->stream)
            result = cudac_stream_wait(stream);
        return result == CUDA_SUCCESS ? copy_linked(dst, src, peer) : result;
    }
    result = cudac_stream_wait(stream);
    if (result != CUDA_SUCCESS)
        return result;
    return dst_worker == src_worker
               ? copy_inside(dst, src)
               : cudac_copy_bounce(dst->context, dst->box, src->context, src->box);
}

CUresult cudac_copy_between(struct cudac_stream *stream, const struct cudac_end *dst_end,
                            const struct wire_box *dst_box, const struct cudac_end *src_end,
                            const struct wire_box *src_box, enum cudac_wait wait)
{
    struct half dst = {.box = NULL}, src = {.box = NULL};
    CUresult result = half_open(stream, dst_end, dst_box, &dst);

    if (result == CUDA_SUCCESS)
        result = half_open(stream, src_end, src_box, &src);
    if (result == CUDA_SUCCESS)
        result = copy_halves(stream, &dst, &src);
    half_close(&dst);
    half_close(&src);
    return result == CUDA_SUCCESS && wait != CUDAC_WAIT_NEVER ? cudac_stream_wait(stream) : result;
}
