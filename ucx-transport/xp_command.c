/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_command.c - what an application does with a connection: post, call, reply, wait.
 *
 * Thread: any. A thread that waits for a reply is the control engine meanwhile if nobody else is.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "ucx-transport/xp_bytes.h"
#include "ucx-transport/xp_int.h"

static size_t parts_bytes(const struct iovec *parts, size_t part_count)
{
    size_t bytes = 0;

    for (size_t i = 0; i < part_count; i++)
        bytes += parts[i].iov_len;
    return bytes;
}

static void copy_parts(uint8_t *to, const struct iovec *parts, size_t part_count)
{
    for (size_t i = 0; i < part_count; i++) {
        if (parts[i].iov_len)
            memcpy(to, parts[i].iov_base, parts[i].iov_len);
        to += parts[i].iov_len;
    }
}

/* ---------------------------------------------------------------- sending in passing
 *
 * The calling thread sends what it has made ready, and the engine's thread sleeps on: to wake it
 * may cost as much, and the peer would wait for both. A handler's thread is the engine already. */

/* Commands follow each other, so that another core does better to send them, if there is one. A
 * wire that is memory has no descriptor that the program could have closed. */
static bool may_pass(const struct xp_slot *slot, bool is_answer)
{
    struct xp_node *node = slot->engine->node;

    return slot->caps.quick ||
           ((is_answer || node->yields) && slot->caps.in_passing && xp_node_has_descriptors(node));
}

static bool push_begin_locked(struct xp_conn *conn, bool is_answer)
{
    struct xp_engine *control = &conn->node->engines[0];

    return conn->active && !xp_engine_is_mine(control) && may_pass(conn->active->slot, is_answer) &&
           xp_engine_try_untimed(control);
}

bool xp_conn_push_begin_locked(struct xp_conn *conn)
{
    return push_begin_locked(conn, /* is_answer */ true);
}

void xp_conn_push_end(struct xp_conn *conn, bool begun)
{
    if (begun)
        xp_engine_push_end(&conn->node->engines[0]);
}

/* ---------------------------------------------------------------- ordered lane */

/* A peer that has executed all before this batch begins with a part of it while the rest is made.
 * Where it is not on this host a frame more costs more than that brings. */
static uint32_t batch_calls_locked(const struct xp_conn *conn)
{
    const uint32_t most = conn->limits.batch_calls;
    const bool is_first = conn->tx[XP_LANE_ORDERED].open->first == conn->peer_executed + 1;

    return is_first && conn->active && conn->active->slot->caps.quick
               ? (most + XP_FIRST_BATCH_SHARE - 1) / XP_FIRST_BATCH_SHARE
               : most;
}

static enum fab_status add_locked(struct xp_conn *conn, enum xp_wire_message kind, uint32_t op,
                                  const struct iovec *parts, size_t part_count)
{
    struct xp_lane_tx *tx = &conn->tx[XP_LANE_ORDERED];
    size_t bytes = parts_bytes(parts, part_count);
    enum fab_status status = xp_data_room_locked(conn, bytes);
    bool is_full;
    uint8_t *args;

    if (status != FAB_OK)
        return status;
    status = xp_lane_tx_add(tx, kind, op, /* result */ 0, (uint32_t)bytes, &args);
    if (status != FAB_OK)
        return status;
    copy_parts(args, parts, part_count);
    if (FAB_UNLIKELY(conn->handlers->batch != NULL) && tx->open->count == 1)
        tx->open->opened_ns = fab_clock_now_ns(conn->node->clock);
    is_full = tx->open->count >= conn->limits.batch_calls;
    if (tx->open->count >= batch_calls_locked(conn)) {
        xp_lane_tx_close_batch(tx);
        conn->batch_due_ns = UINT64_MAX;
        conn->batch_fills = conn->batch_fills || is_full;
    } else if (tx->open->count == 1 && kind == XP_WIRE_POST) { /* a call is flushed */
        uint64_t delay_ns = conn->limits.batch_ns;

        if (conn->batch_fills) /* no wake-up each time for a stream that closes its own batches */
            delay_ns *= XP_FULL_BATCH_FACTOR;
        conn->batch_due_ns = fab_deadline_ns(fab_clock_now_ns(conn->node->clock), delay_ns);
        xp_engine_timer(&conn->node->engines[0], conn->batch_due_ns);
    }
    return FAB_OK;
}

/* What is closed, or is to be flushed, leaves; true: xp_conn_push_end() must follow. */
static bool push_locked(struct xp_conn *conn)
{
    bool begun = push_begin_locked(conn, /* is_answer */ false);

    xp_conn_send_locked(conn);
    return begun;
}

enum fab_status xp_post(struct xp_conn *conn, uint32_t op, const struct iovec *parts,
                        size_t part_count, uint64_t *number_out)
{
    enum fab_status status;
    bool push = false;

    if (xp_node_is_foreign(conn->node))
        return FAB_ERR_STALE;
    fab_mutex_lock(&conn->lock);
    status = xp_conn_status_locked(conn);
    if (status == FAB_OK)
        status = add_locked(conn, XP_WIRE_POST, op, parts, part_count);
    if (status == FAB_OK) {
        if (xp_lane_tx_has_more(&conn->tx[XP_LANE_ORDERED])) /* a batch is full */
            push = push_locked(conn);
        conn->stats.posts++;
        if (number_out)
            *number_out = conn->tx[XP_LANE_ORDERED].last;
    }
    fab_mutex_unlock(&conn->lock);
    xp_conn_push_end(conn, push);
    return status;
}

/* A call, flushed. With FAB_OK *push says whether xp_conn_push_end() must follow. */
static enum fab_status start_locked(struct xp_conn *conn, uint32_t op, const struct iovec *parts,
                                    size_t part_count, struct xp_call *call, bool *push)
{
    uint64_t number = conn->tx[XP_LANE_ORDERED].last + 1;
    enum fab_status status = xp_conn_status_locked(conn);

    if (status == FAB_OK && conn->calls.count >= conn->peer_window_calls)
        status = FAB_ERR_AGAIN; /* the peer parks no more than that */
    if (status == FAB_OK)
        status = fab_map_put(&conn->calls, number, call);
    if (status != FAB_OK)
        return status;
    call->number = number;
    status = add_locked(conn, XP_WIRE_CALL, op, parts, part_count);
    if (status != FAB_OK) {
        (void)fab_map_remove(&conn->calls, number);
        return status;
    }
    conn->stats.calls++;
    conn->flush = true;
    *push = push_locked(conn);
    return FAB_OK;
}

enum fab_status xp_call_start(struct xp_conn *conn, uint32_t op, const struct iovec *parts,
                              size_t part_count, struct xp_call *call)
{
    enum fab_status status;
    bool push = false;

    if (xp_node_is_foreign(conn->node))
        return FAB_ERR_STALE;
    fab_mutex_lock(&conn->lock);
    status = start_locked(conn, op, parts, part_count, call, &push);
    fab_mutex_unlock(&conn->lock);
    xp_conn_push_end(conn, push);
    return status;
}

void xp_flush(struct xp_conn *conn)
{
    bool push = false;

    if (xp_node_is_foreign(conn->node))
        return;
    fab_mutex_lock(&conn->lock);
    if (conn->tx[XP_LANE_ORDERED].open) {
        conn->flush = true;
        push = push_locked(conn);
    }
    fab_mutex_unlock(&conn->lock);
    xp_conn_push_end(conn, push);
}

/* ---------------------------------------------------------------- urgent lane */

enum fab_status xp_reply(struct xp_conn *conn, uint64_t number, int32_t result,
                         const struct iovec *parts, size_t part_count, const uint8_t *digest)
{
    enum { PARTS_MAX = 16 };
    uint8_t prefix[XP_REPLY_PREFIX_BYTES] = {0};
    struct iovec all[1 + PARTS_MAX] = {{.iov_base = prefix, .iov_len = sizeof(prefix)}};
    enum fab_status status;
    bool push = false;

    if (xp_node_is_foreign(conn->node))
        return FAB_ERR_STALE;
    if (part_count > PARTS_MAX || parts_bytes(parts, part_count) > XP_MESSAGE_MAX_BYTES)
        return FAB_ERR_RANGE;
    xp_put64(prefix, number);
    if (digest)
        memcpy(prefix + 8, digest, XP_DIGEST_BYTES);
    for (size_t i = 0; i < part_count; i++)
        all[1 + i] = parts[i];
    fab_mutex_lock(&conn->lock);
    status = xp_conn_status_locked(conn);
    if (status == FAB_OK && !fab_map_find(&conn->parked, number))
        status = FAB_ERR_STALE;
    if (status == FAB_OK) {
        push = xp_conn_push_begin_locked(conn);
        status = xp_urgent_add_locked(conn, XP_WIRE_REPLY, /* op */ 0, result, all, 1 + part_count);
    }
    if (status == FAB_OK)
        (void)fab_map_remove(&conn->parked, number);
    fab_mutex_unlock(&conn->lock);
    xp_conn_push_end(conn, push);
    return status;
}

enum fab_status xp_signal(struct xp_conn *conn, uint32_t op, const struct iovec *parts,
                          size_t part_count)
{
    enum fab_status status;
    bool push = false;

    if (xp_node_is_foreign(conn->node))
        return FAB_ERR_STALE;
    if (parts_bytes(parts, part_count) > XP_MESSAGE_MAX_BYTES)
        return FAB_ERR_RANGE;
    fab_mutex_lock(&conn->lock);
    status = xp_conn_status_locked(conn);
    if (status == FAB_OK && conn->tx[XP_LANE_URGENT].log_bytes > conn->limits.urgent_bytes)
        status = FAB_ERR_AGAIN;
    if (status == FAB_OK) {
        push = xp_conn_push_begin_locked(conn);
        status = xp_urgent_add_locked(conn, XP_WIRE_SIGNAL, op, /* result */ 0, parts, part_count);
    }
    if (status == FAB_OK)
        conn->stats.signals++;
    fab_mutex_unlock(&conn->lock);
    xp_conn_push_end(conn, push);
    return status;
}

/* ---------------------------------------------------------------- waiting */

/* A call's thread helps the engine; if another one does, it sleeps on conn->changed. */
enum { CALL_SPINS, CALL_SLEEPS, CALL_DONE };

struct waiting_call {
    struct xp_call call;
    struct xp_conn *conn;
    void *reply_bytes;
    size_t capacity_bytes;
    struct xp_reply *reply_out;
    pthread_t thread;
    atomic_int state;
};

static void waiting_done(struct xp_call *call, const struct xp_reply *reply)
{
    struct waiting_call *waiting = call->user;
    struct xp_conn *conn = waiting->conn;
    struct xp_engine *control = &conn->node->engines[0];

    *waiting->reply_out = *reply;
    waiting->reply_out->bytes = waiting->reply_bytes;
    if (reply->carried == FAB_OK && reply->size_bytes > waiting->capacity_bytes)
        waiting->reply_out->carried = FAB_ERR_RANGE;
    else if (reply->carried == FAB_OK && reply->size_bytes)
        memcpy(waiting->reply_bytes, reply->bytes, reply->size_bytes);
    if (pthread_equal(waiting->thread, pthread_self())) { /* by ourselves: nobody is to be told */
        atomic_store_explicit(&waiting->state, CALL_DONE, memory_order_relaxed);
        return;
    }
    if (atomic_exchange(&waiting->state, CALL_DONE) == CALL_SPINS) {
        xp_engine_nudge(control); /* `waiting` may be gone */
        return;
    }
    fab_mutex_lock(&conn->lock);
    (void)pthread_cond_broadcast(&conn->changed);
    fab_mutex_unlock(&conn->lock);
}

static bool is_answered(void *user)
{
    atomic_int *state = user;

    return atomic_load_explicit(state, memory_order_acquire) == CALL_DONE;
}

/* Another thread sleeps on the wires, or the engine's does: who has the reply wakes this one. */
static void wait_in_line(struct xp_conn *conn, atomic_int *state)
{
    struct xp_engine *control = &conn->node->engines[0];
    int spins = CALL_SPINS;

    if (!atomic_compare_exchange_strong(state, &spins, CALL_SLEEPS))
        return;
    (void)atomic_fetch_add(&control->queued, 1); /* who helps now will hand over */
    if (!atomic_load(&control->has_sleeper))
        xp_conn_work(conn); /* the engine's thread takes over at once */
    fab_mutex_lock(&conn->lock);
    while (!is_answered(state))
        fab_mutex_wait(&conn->lock, &conn->changed);
    fab_mutex_unlock(&conn->lock);
    (void)atomic_fetch_sub(&control->queued, 1);
}

enum fab_status xp_call(struct xp_conn *conn, uint32_t op, const struct iovec *parts,
                        size_t part_count, void *reply_bytes, size_t capacity_bytes,
                        struct xp_reply *reply_out)
{
    struct waiting_call waiting = {.call = {.done = waiting_done, .user = &waiting},
                                   .conn = conn,
                                   .reply_bytes = reply_bytes,
                                   .capacity_bytes = capacity_bytes,
                                   .reply_out = reply_out,
                                   .thread = pthread_self()};
    struct xp_engine *control = &conn->node->engines[0];
    enum fab_status status;
    bool push = false, done;

    if (xp_node_is_foreign(conn->node))
        return FAB_ERR_STALE;
    fab_mutex_lock(&conn->lock);
    status = start_locked(conn, op, parts, part_count, &waiting.call, &push);
    fab_mutex_unlock(&conn->lock);
    if (status != FAB_OK)
        return status;
    done = xp_engine_help_awake(control, push, is_answered, &waiting.state);
    if (!done) {
        xp_engine_help_start(control);
        done = xp_engine_help_asleep(control, is_answered, &waiting.state);
        xp_engine_help_stop(control);
    }
    if (!done)
        wait_in_line(conn, &waiting.state);
    return reply_out->carried;
}

/* Waits for a change until the deadline; FAB_ERR_TIMEOUT then. */
static enum fab_status wait_locked(struct xp_conn *conn, uint64_t deadline_ns)
    FAB_REQUIRES(conn->lock)
{
    enum { NS_PER_S = 1000000000 };
    struct timespec until = {.tv_sec = (time_t)(deadline_ns / NS_PER_S),
                             .tv_nsec = (long)(deadline_ns % NS_PER_S)};

    if (deadline_ns == UINT64_MAX) {
        fab_mutex_wait(&conn->lock, &conn->changed);
        return FAB_OK;
    }
    return pthread_cond_timedwait(&conn->changed, &conn->lock.raw, &until) == ETIMEDOUT
               ? FAB_ERR_TIMEOUT
               : FAB_OK;
}

enum fab_status xp_conn_wait_up(struct xp_conn *conn, uint64_t deadline_ns, struct fab_err *err)
{
    enum fab_status status = FAB_OK;

    if (xp_node_is_foreign(conn->node))
        return fab_err_set(err, FAB_ERR_STALE, "a forked child has no transport");
    fab_mutex_lock(&conn->lock);
    while (status == FAB_OK && !conn->active) {
        status = xp_conn_status_locked(conn);
        if (status == FAB_OK)
            status = wait_locked(conn, deadline_ns);
    }
    if (status != FAB_OK)
        (void)fab_err_set(err, status, "%s",
                          conn->reason.text[0] ? conn->reason.text : "the peer does not answer");
    fab_mutex_unlock(&conn->lock);
    return status;
}

enum fab_status xp_wait_room(struct xp_conn *conn, size_t args_bytes, uint64_t deadline_ns)
{
    enum fab_status status;

    if (xp_node_is_foreign(conn->node))
        return FAB_ERR_STALE;
    fab_mutex_lock(&conn->lock);
    for (;;) {
        status = xp_conn_status_locked(conn);
        if (status == FAB_OK)
            status = xp_data_room_locked(conn, args_bytes);
        if (status != FAB_ERR_AGAIN)
            break;
        conn->flush = true; /* what fills the window must leave before it can be executed */
        xp_conn_send_locked(conn);
        status = wait_locked(conn, deadline_ns);
        if (status != FAB_OK)
            break;
    }
    fab_mutex_unlock(&conn->lock);
    return status;
}

/* ---------------------------------------------------------------- watermarks, statistics */

void xp_executed(struct xp_conn *conn, uint64_t number)
{
    if (xp_node_is_foreign(conn->node))
        return;
    fab_mutex_lock(&conn->lock);
    if (number > conn->executed_wish) {
        conn->executed_wish = number;
        xp_data_executed_locked(conn);
    }
    fab_mutex_unlock(&conn->lock);
}

void xp_watermarks(struct xp_conn *conn, struct xp_watermarks *out)
{
    *out = (struct xp_watermarks){0};
    if (xp_node_is_foreign(conn->node))
        return;
    fab_mutex_lock(&conn->lock);
    *out = (struct xp_watermarks){.posted = conn->tx[XP_LANE_ORDERED].last,
                                  .acknowledged = conn->tx[XP_LANE_ORDERED].acked,
                                  .executed = conn->peer_executed};
    fab_mutex_unlock(&conn->lock);
}

void xp_keep_from(struct xp_conn *conn, uint64_t number)
{
    if (xp_node_is_foreign(conn->node))
        return;
    fab_mutex_lock(&conn->lock);
    xp_lane_tx_keep_from(&conn->tx[XP_LANE_ORDERED], number);
    (void)pthread_cond_broadcast(&conn->changed);
    fab_mutex_unlock(&conn->lock);
}

void xp_conn_stats(struct xp_conn *conn, struct xp_conn_stats *out)
{
    *out = (struct xp_conn_stats){0};
    if (xp_node_is_foreign(conn->node))
        return;
    fab_mutex_lock(&conn->lock);
    *out = conn->stats;
    out->up = conn->active != NULL;
    out->rail_count = conn->leg_count / 2;
    for (uint32_t i = 0; i < out->rail_count; i++) {
        out->rails[i] = conn->legs[(size_t)2 * i + 1].stats;
        out->rails[i].refused_registrations =
            atomic_load(&conn->legs[(size_t)2 * i].slot->refused_registrations) +
            atomic_load(&conn->legs[(size_t)2 * i + 1].slot->refused_registrations);
    }
    fab_mutex_unlock(&conn->lock);
}
