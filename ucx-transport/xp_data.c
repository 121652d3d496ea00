/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_data.c - data frames: what goes out next, and what an incoming one means.
 *
 * Everything that makes "exactly once" work meets here: acknowledgements, gaps, repeats, credit.
 * Thread: the control engine; *_locked functions any, with the connection's lock.
 */
#include "ucx-transport/xp_bytes.h"
#include "ucx-transport/xp_int.h"

enum { ACK_SHARE = 4 }; /* acknowledge at once when a quarter of the window came in */

static uint64_t clock_ns(const struct xp_conn *conn)
{
    return fab_clock_now_ns(conn->node->clock);
}

/* ---------------------------------------------------------------- sending */

enum fab_status xp_data_room_locked(const struct xp_conn *conn, size_t args_bytes)
{
    const struct xp_lane_tx *tx = &conn->tx[XP_LANE_ORDERED];
    uint64_t used_bytes = tx->total_bytes - conn->peer_executed_bytes;

    if (args_bytes > XP_MESSAGE_MAX_BYTES)
        return FAB_ERR_RANGE;
    if (tx->log_bytes > used_bytes)
        used_bytes = tx->log_bytes;
    if (used_bytes + xp_message_bytes(args_bytes) > conn->peer_window_bytes ||
        tx->last - conn->peer_executed >= conn->peer_window_calls)
        return FAB_ERR_AGAIN;
    return FAB_OK;
}

/* A soft limit is the caller's; this one only a peer that never acknowledges can reach. */
static bool urgent_is_flooded(const struct xp_conn *conn)
{
    enum { HARD_FACTOR = 16 };

    return conn->tx[XP_LANE_URGENT].log_bytes > (uint64_t)conn->limits.urgent_bytes * HARD_FACTOR;
}

enum fab_status xp_urgent_add_locked(struct xp_conn *conn, enum xp_wire_message kind, uint32_t op,
                                     int32_t result, const struct iovec *parts, size_t part_count)
{
    size_t bytes = 0;
    uint8_t *args;
    enum fab_status status;

    for (size_t i = 0; i < part_count; i++)
        bytes += parts[i].iov_len;
    if (bytes > XP_MESSAGE_MAX_BYTES + XP_REPLY_PREFIX_BYTES)
        return FAB_ERR_RANGE;
    status = xp_lane_tx_add(&conn->tx[XP_LANE_URGENT], kind, op, result, (uint32_t)bytes, &args);
    if (status != FAB_OK)
        return status;
    for (size_t i = 0; i < part_count; i++) {
        if (parts[i].iov_len)
            memcpy(args, parts[i].iov_base, parts[i].iov_len);
        args += parts[i].iov_len;
    }
    if (urgent_is_flooded(conn))
        xp_conn_lose_locked(conn, FAB_ERR_LIMIT, "the peer does not acknowledge");
    if (conn->active)
        xp_leg_kick(conn->active);
    return FAB_OK;
}

void xp_note_send_locked(struct xp_conn *conn, enum xp_wire_message kind, int32_t result,
                         const struct xp_note *note)
{
    uint8_t bytes[XP_NOTE_BYTES];
    struct iovec part = {.iov_base = bytes, .iov_len = sizeof(bytes)};

    if (conn->state != XP_CONN_LIVE)
        return;
    xp_note_encode(note, bytes);
    /* A note that is lost would leave the peer waiting for ever: the session cannot go on. */
    if (xp_urgent_add_locked(conn, kind, /* op */ 0, result, &part, 1) != FAB_OK)
        xp_conn_lose_locked(conn, FAB_ERR_NOMEM, "no memory for a note to the peer");
}

void xp_data_rewind_locked(struct xp_conn *conn)
{
    for (int lane = 0; lane < XP_LANE_COUNT; lane++)
        conn->stats.replayed_batches += xp_lane_tx_rewind(&conn->tx[lane]);
    if (conn->active)
        xp_leg_kick(conn->active);
}

static struct xp_batch *next_batch_locked(struct xp_conn *conn, enum xp_lane_id *lane_out,
                                          uint64_t now_ns)
{
    struct xp_lane_tx *urgent = &conn->tx[XP_LANE_URGENT], *ordered = &conn->tx[XP_LANE_ORDERED];
    struct xp_batch *batch;

    if (!xp_lane_tx_has_more(urgent))
        xp_lane_tx_close_batch(urgent);
    *lane_out = XP_LANE_URGENT;
    batch = xp_lane_tx_take(urgent);
    if (batch)
        return batch;
    if (conn->flush || now_ns >= conn->batch_due_ns) {
        xp_lane_tx_close_batch(ordered);
        conn->flush = false;
        conn->batch_due_ns = UINT64_MAX;
    }
    *lane_out = XP_LANE_ORDERED;
    return xp_lane_tx_take(ordered);
}

bool xp_data_fill_locked(struct xp_life *life, struct xp_op *op, uint64_t now_ns)
{
    struct xp_conn *conn = life->leg->conn;
    struct xp_data_header header = {.token = life->peer_token};
    struct xp_batch *batch = next_batch_locked(conn, &header.lane, now_ns);

    if (batch) {
        op->kind = XP_OP_BATCH;
        op->lane = header.lane;
        op->batch = batch;
        op->send.body = (struct xp_buffer){.address = batch->data, .size_bytes = batch->used_bytes};
        header.count = batch->count;
        header.first = batch->first;
        header.body_bytes = batch->used_bytes;
        conn->stats.batches++;
        if (conn->resend_ns == UINT64_MAX) {
            conn->resend_ns = fab_deadline_ns(now_ns, conn->resend_delay_ns);
            xp_engine_timer(life->leg->slot->engine, conn->resend_ns);
        }
    } else if (now_ns < conn->ack_due_ns) {
        return false;
    }
    header.flags = conn->want_resend ? XP_FRAME_RESEND : 0;
    for (int lane = 0; lane < XP_LANE_COUNT; lane++)
        header.received[lane] = conn->rx[lane].received;
    header.executed = conn->executed;
    header.executed_bytes = conn->executed_bytes;
    conn->want_resend = false;
    conn->ack_due_ns = UINT64_MAX;
    conn->unacked_rx_bytes = 0;
    xp_frame_encode_data(&header, op->header);
    op->send.header_bytes = XP_DATA_HEADER_BYTES;
    return true;
}

/* ---------------------------------------------------------------- acknowledgements */

bool xp_data_is_acked_locked(const struct xp_conn *conn)
{
    return conn->tx[XP_LANE_ORDERED].last == conn->tx[XP_LANE_ORDERED].acked &&
           conn->tx[XP_LANE_URGENT].last == conn->tx[XP_LANE_URGENT].acked;
}

enum fab_status xp_data_progress_locked(struct xp_conn *conn,
                                        const uint64_t received[XP_LANE_COUNT], uint64_t executed,
                                        uint64_t executed_bytes)
{
    struct xp_lane_tx *ordered = &conn->tx[XP_LANE_ORDERED];
    bool news = executed > conn->peer_executed;

    if (executed > ordered->last || executed_bytes > ordered->total_bytes ||
        executed > received[XP_LANE_ORDERED])
        return FAB_ERR_PROTOCOL;
    for (int lane = 0; lane < XP_LANE_COUNT; lane++) {
        news = news || received[lane] > conn->tx[lane].acked;
        if (xp_lane_tx_acked(&conn->tx[lane], received[lane]) != FAB_OK)
            return FAB_ERR_PROTOCOL;
    }
    if (!news)
        return FAB_OK;
    if (executed > conn->peer_executed) {
        conn->peer_executed = executed;
        conn->peer_executed_bytes = executed_bytes;
    }
    conn->resend_delay_ns = XP_RESEND_NS;
    conn->resend_ns = xp_data_is_acked_locked(conn)
                          ? UINT64_MAX
                          : fab_deadline_ns(clock_ns(conn), conn->resend_delay_ns);
    (void)pthread_cond_broadcast(&conn->changed);
    if (conn->closing || conn->state == XP_CONN_LOST)
        xp_conn_work(conn);
    return FAB_OK;
}

static void ack_soon_locked(struct xp_conn *conn, uint64_t delay_ns)
{
    uint64_t due_ns;

    if (delay_ns > 0 && conn->ack_due_ns != UINT64_MAX)
        return; /* it is due before that */
    due_ns = fab_deadline_ns(clock_ns(conn), delay_ns);
    if (due_ns < conn->ack_due_ns)
        conn->ack_due_ns = due_ns;
    if (delay_ns == 0 && conn->active)
        xp_leg_kick(conn->active);
    else
        xp_engine_timer(&conn->node->engines[0], due_ns);
}

void xp_data_executed_locked(struct xp_conn *conn)
{
    struct xp_credit_step *steps = fab_vec_items(&conn->credit_steps, struct xp_credit_step);
    uint64_t before_bytes = conn->executed_bytes;

    while (conn->credit_first < conn->credit_steps.count &&
           steps[conn->credit_first].number <= conn->executed_wish) {
        conn->executed = steps[conn->credit_first].number;
        conn->executed_bytes = steps[conn->credit_first].bytes;
        conn->credit_first++;
    }
    if (conn->credit_first > 0 &&
        conn->credit_first * 2 >= conn->credit_steps.count) { /* else the list only ever grows */
        conn->credit_steps.count -= conn->credit_first;
        memmove(steps, steps + conn->credit_first, conn->credit_steps.count * sizeof(*steps));
        conn->credit_first = 0;
    }
    if (conn->executed_bytes != before_bytes)
        ack_soon_locked(conn, XP_ACK_DELAY_NS);
}

/* ---------------------------------------------------------------- receiving */

static void deliver(struct xp_conn *conn, enum xp_message_kind kind,
                    const struct xp_message_view *view, uint64_t number)
{
    struct xp_message message = {.kind = kind,
                                 .op = view->op,
                                 .number = number,
                                 .args = view->args,
                                 .args_bytes = view->args_bytes};

    if (!atomic_load_explicit(&conn->muted, memory_order_acquire))
        conn->handlers->message(conn->user, conn, &message);
}

static enum fab_status take_call(struct xp_conn *conn, const struct xp_message_view *view,
                                 uint64_t number)
{
    enum fab_status status = FAB_ERR_PROTOCOL;

    fab_mutex_lock(&conn->lock);
    if (conn->parked.count < conn->limits.window_calls)
        status = fab_map_put(&conn->parked, number, conn);
    fab_mutex_unlock(&conn->lock);
    if (status == FAB_OK)
        deliver(conn, XP_CALL, view, number);
    return status;
}

static enum fab_status take_reply(struct xp_conn *conn, const struct xp_message_view *view)
{
    struct xp_reply reply = {.carried = FAB_OK,
                             .result = view->result,
                             .number = xp_get64(view->args),
                             .bytes = view->args + XP_REPLY_PREFIX_BYTES,
                             .size_bytes = view->args_bytes - XP_REPLY_PREFIX_BYTES};
    struct xp_call *call;

    memcpy(reply.digest, view->args + 8, XP_DIGEST_BYTES);
    fab_mutex_lock(&conn->lock);
    call = fab_map_remove(&conn->calls, reply.number);
    fab_mutex_unlock(&conn->lock);
    if (call)
        call->done(call, &reply);
    /* After the end of the session its calls were answered already. */
    return call || atomic_load(&conn->muted) ? FAB_OK : FAB_ERR_PROTOCOL;
}

static enum fab_status take_leg_down(struct xp_conn *conn, const struct xp_note *note)
{
    fab_mutex_lock(&conn->lock);
    if (note->index < conn->leg_count) {
        struct xp_life *life = conn->legs[note->index].current;

        if (life && life->epoch == note->id)
            xp_life_doom_locked(life, "the peer gave it up");
    }
    fab_mutex_unlock(&conn->lock);
    return FAB_OK;
}

static enum fab_status take_note(struct xp_conn *conn, const struct xp_message_view *view)
{
    struct xp_note note;
    enum fab_status status = xp_note_decode(view->args, view->args_bytes, &note);

    if (status != FAB_OK)
        return status;
    if (view->kind == XP_WIRE_LEG_DOWN)
        return note.kind == XP_NOTE_LEG ? take_leg_down(conn, &note) : FAB_ERR_FORMAT;
    return xp_bulk_note(conn, &note, view->kind, view->result);
}

static enum fab_status take_message(struct xp_conn *conn, const struct xp_message_view *view,
                                    uint64_t number)
{
    switch (view->kind) {
    case XP_WIRE_POST:
        deliver(conn, XP_POST, view, number);
        return FAB_OK;
    case XP_WIRE_CALL:
        return take_call(conn, view, number);
    case XP_WIRE_SIGNAL:
        deliver(conn, XP_SIGNAL, view, number);
        return FAB_OK;
    case XP_WIRE_REPLY:
        return take_reply(conn, view);
    case XP_WIRE_CHUNK_NOTE:
    case XP_WIRE_BULK_FAIL:
    case XP_WIRE_LEG_DOWN:
        return take_note(conn, view);
    case XP_WIRE_BYE:
        fab_mutex_lock(&conn->lock);
        conn->peer_ended = true;
        xp_conn_lose_locked(conn,
                            view->result < 0 ? (enum fab_status)view->result : FAB_ERR_CANCELLED,
                            "the peer ended the session");
        fab_mutex_unlock(&conn->lock);
        return FAB_OK;
    }
    return FAB_ERR_FORMAT;
}

/* All messages of a body, in order. */
static enum fab_status take_messages(struct xp_conn *conn, const struct xp_data_header *header,
                                     const uint8_t *body)
{
    size_t cursor = 0;

    for (uint32_t i = 0; i < header->count; i++) {
        struct xp_message_view view;
        enum fab_status status =
            xp_message_decode(body, header->body_bytes, header->lane, &cursor, &view);

        if (status == FAB_OK)
            status = take_message(conn, &view, header->first + i);
        if (status != FAB_OK)
            return status;
    }
    return cursor == header->body_bytes ? FAB_OK : FAB_ERR_FORMAT;
}

/* The ordered lane's window: a peer that keeps to our credit never meets it. */
static bool exceeds_window_locked(const struct xp_conn *conn, const struct xp_data_header *header)
{
    const struct xp_lane_rx *rx = &conn->rx[XP_LANE_ORDERED];
    uint64_t last = header->first + header->count - 1;

    return header->lane == XP_LANE_ORDERED &&
           (last - conn->executed > conn->limits.window_calls ||
            rx->received_bytes + header->body_bytes - conn->executed_bytes >
                (uint64_t)conn->limits.window_bytes + conn->limits.batch_bytes);
}

static enum fab_status note_received_locked(struct xp_conn *conn,
                                            const struct xp_data_header *header)
{
    struct xp_lane_rx *rx = &conn->rx[header->lane];
    struct xp_credit_step step;

    rx->received = header->first + header->count - 1;
    rx->received_bytes += header->body_bytes;
    conn->unacked_rx_bytes += header->body_bytes;
    if (header->lane == XP_LANE_ORDERED) {
        step = (struct xp_credit_step){.number = rx->received, .bytes = rx->received_bytes};
        if (fab_vec_push(&conn->credit_steps, &step) != FAB_OK)
            return FAB_ERR_NOMEM;
        if (!conn->manual_executed)
            conn->executed_wish = rx->received;
        xp_data_executed_locked(conn);
    }
    ack_soon_locked(
        conn, conn->unacked_rx_bytes > conn->limits.window_bytes / ACK_SHARE ? 0 : XP_ACK_DELAY_NS);
    return FAB_OK;
}

/* Acknowledgements, and whether the messages are due; false: they are not. */
static bool judge_locked(struct xp_conn *conn, const struct xp_data_header *header)
{
    struct xp_lane_rx *rx = &conn->rx[header->lane];

    if (xp_data_progress_locked(conn, header->received, header->executed, header->executed_bytes) !=
        FAB_OK) {
        xp_conn_lose_locked(conn, FAB_ERR_PROTOCOL, "acknowledgement of what was never sent");
        return false;
    }
    if (header->flags & XP_FRAME_RESEND)
        xp_data_rewind_locked(conn);
    if (header->count == 0 || atomic_load(&conn->muted))
        return false;
    switch (xp_lane_rx_judge(rx, header->first, header->count)) {
    case XP_LANE_DUPLICATE:
        conn->stats.duplicate_batches++;
        ack_soon_locked(conn, 0);
        return false;
    case XP_LANE_GAP:
        if (conn->gap_asked[header->lane] != rx->received + 1) {
            conn->gap_asked[header->lane] = rx->received + 1;
            conn->want_resend = true;
            ack_soon_locked(conn, 0);
        }
        return false;
    case XP_LANE_BROKEN:
        xp_conn_lose_locked(conn, FAB_ERR_PROTOCOL, "a batch that changed");
        return false;
    case XP_LANE_NEW:
        if (!exceeds_window_locked(conn, header))
            return true;
        xp_conn_lose_locked(conn, FAB_ERR_PROTOCOL, "more commands than the window allows");
        return false;
    }
    return false;
}

void xp_data_take(struct xp_life *life, const uint8_t *header_bytes, size_t header_size,
                  const uint8_t *body, size_t body_bytes)
{
    struct xp_conn *conn = life->leg->conn;
    struct xp_data_header header;
    enum fab_status status = xp_frame_decode_data(header_bytes, header_size, &header);
    bool due = false, finished;

    fab_mutex_lock(&conn->lock);
    if (status != FAB_OK || header.body_bytes != body_bytes)
        xp_conn_lose_locked(conn, FAB_ERR_PROTOCOL, "a malformed data frame");
    else if (conn->state != XP_CONN_CLOSED)
        due = judge_locked(conn, &header);
    finished = !fab_list_is_empty(&conn->finished);
    fab_mutex_unlock(&conn->lock);
    if (due) {
        status = take_messages(conn, &header, body);
        fab_mutex_lock(&conn->lock);
        if (status == FAB_OK)
            status = note_received_locked(conn, &header);
        if (status != FAB_OK)
            xp_conn_lose_locked(conn, status == FAB_ERR_NOMEM ? status : FAB_ERR_PROTOCOL,
                                "a message that cannot be");
        finished = !fab_list_is_empty(&conn->finished);
        fab_mutex_unlock(&conn->lock);
    }
    if (finished)
        xp_bulk_run_finished(conn);
}
