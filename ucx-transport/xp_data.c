/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_data.c - data frames: what goes out next, and what an incoming one means.
 *
 * Everything that makes "exactly once" work meets here: acknowledgements, gaps, repeats, credit.
 * Thread: the control engine; *_locked functions any, with the connection's lock.
 */
#include "ucx-transport/xp_bytes.h"
#include "ucx-transport/xp_int.h"

enum { ACK_SHARE = 4 }; /* acknowledge at once when a quarter of the window came in */

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
    xp_conn_send_locked(conn);
    return FAB_OK;
}

void xp_note_send_locked(struct xp_conn *conn, enum xp_wire_message kind, int32_t result,
                         const struct xp_note *note)
{
    uint8_t bytes[XP_NOTE_BYTES];
    struct iovec part = {.iov_base = bytes, .iov_len = sizeof(bytes)};

    if (conn->state != XP_CONN_LIVE || conn->closing)
        return; /* the last word is the end */
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
        conn->batch_fills = conn->batch_fills && conn->flush;
        xp_lane_tx_close_batch(ordered);
        conn->flush = false;
        conn->batch_due_ns = UINT64_MAX;
    }
    *lane_out = XP_LANE_ORDERED;
    return xp_lane_tx_take(ordered);
}

static void tell_batch_locked(const struct xp_conn *conn, struct xp_batch *batch)
{
    const struct xp_batch_info info = {.opened_ns = batch->opened_ns,
                                       .sent_ns = fab_clock_now_ns(conn->node->clock),
                                       .first = batch->first,
                                       .commands = batch->count,
                                       .bytes = batch->used_bytes,
                                       .again = batch->was_sent};

    conn->handlers->batch(conn->user, &info);
    batch->was_sent = true;
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
        if (FAB_UNLIKELY(conn->handlers->batch != NULL) && header.lane == XP_LANE_ORDERED)
            tell_batch_locked(conn, batch);
        conn->resend_due = conn->resend_ns == UINT64_MAX;
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

void xp_data_sent_locked(struct xp_life *life)
{
    struct xp_conn *conn = life->leg->conn;
    struct xp_engine *engine = life->leg->slot->engine;

    if (!conn->resend_due)
        return;
    conn->resend_due = false;
    if (engine->is_untimed) /* only now: the frame did not wait for that */
        xp_engine_look_at_clock(engine);
    conn->resend_ns = fab_deadline_ns(engine->now_ns, conn->resend_delay_ns);
    xp_engine_timer(engine, conn->resend_ns);
}

/* ---------------------------------------------------------------- acknowledgements */

bool xp_data_is_acked_locked(const struct xp_conn *conn)
{
    return conn->tx[XP_LANE_ORDERED].last == conn->tx[XP_LANE_ORDERED].acked &&
           conn->tx[XP_LANE_URGENT].last == conn->tx[XP_LANE_URGENT].acked;
}

enum fab_status xp_data_progress_locked(struct xp_conn *conn,
                                        const uint64_t received[XP_LANE_COUNT], uint64_t executed,
                                        uint64_t executed_bytes, uint64_t now_ns)
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
    conn->resend_ns =
        xp_data_is_acked_locked(conn) ? UINT64_MAX : fab_deadline_ns(now_ns, conn->resend_delay_ns);
    (void)pthread_cond_broadcast(&conn->changed);
    if (conn->closing || conn->state == XP_CONN_LOST)
        xp_conn_work(conn);
    return FAB_OK;
}

static void ack_soon_locked(struct xp_conn *conn, uint64_t delay_ns, uint64_t now_ns)
{
    uint64_t due_ns;

    if (delay_ns > 0 && conn->ack_due_ns != UINT64_MAX)
        return; /* it is due before that */
    due_ns = fab_deadline_ns(now_ns, delay_ns);
    if (due_ns < conn->ack_due_ns)
        conn->ack_due_ns = due_ns;
    if (delay_ns == 0 && conn->active)
        xp_leg_kick(conn->active);
    else
        xp_engine_timer(&conn->node->engines[0], due_ns);
}

/* Commands up to the wish are done; true if that is news to the peer. */
static bool take_steps_locked(struct xp_conn *conn)
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
    return conn->executed_bytes != before_bytes;
}

void xp_data_executed_locked(struct xp_conn *conn)
{
    if (take_steps_locked(conn))
        ack_soon_locked(conn, XP_ACK_DELAY_NS, fab_clock_now_ns(conn->node->clock));
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

/* A message on its way to its user: what the lock gave for it. */
struct taken {
    struct xp_message_view view;
    uint64_t number;
    struct xp_call *call; /* that it answers; NULL: none waits any more */
};

static enum fab_status park_locked(struct xp_conn *conn, uint64_t number)
{
    if (conn->parked.count >= conn->limits.window_calls)
        return FAB_ERR_PROTOCOL;
    return fab_map_put(&conn->parked, number, conn);
}

/* What a message needs the connection for, before its user gets it. */
static enum fab_status take_locked(struct xp_conn *conn, struct taken *taken)
{
    switch (taken->view.kind) {
    case XP_WIRE_CALL:
        return park_locked(conn, taken->number);
    case XP_WIRE_REPLY:
        taken->call = fab_map_remove(&conn->calls, xp_get64(taken->view.args));
        return FAB_OK;
    case XP_WIRE_POST:
    case XP_WIRE_SIGNAL:
    case XP_WIRE_CHUNK_NOTE:
    case XP_WIRE_BULK_FAIL:
    case XP_WIRE_LEG_DOWN:
    case XP_WIRE_BYE:
        return FAB_OK;
    }
    return FAB_ERR_FORMAT;
}

static enum fab_status hand_reply(struct xp_conn *conn, const struct taken *taken)
{
    const struct xp_message_view *view = &taken->view;
    struct xp_reply reply = {.carried = FAB_OK,
                             .result = view->result,
                             .number = xp_get64(view->args),
                             .bytes = view->args + XP_REPLY_PREFIX_BYTES,
                             .size_bytes = view->args_bytes - XP_REPLY_PREFIX_BYTES};

    memcpy(reply.digest, view->args + 8, XP_DIGEST_BYTES);
    if (taken->call)
        taken->call->done(taken->call, &reply);
    /* After the end of the session its calls were answered already. */
    return taken->call || atomic_load(&conn->muted) ? FAB_OK : FAB_ERR_PROTOCOL;
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

static void take_bye(struct xp_conn *conn, enum fab_status status)
{
    fab_mutex_lock(&conn->lock);
    conn->peer_ended = true;
    if (conn->state == XP_CONN_LIVE && !conn->closing) {
        conn->was_told = true;
        xp_conn_lose_locked(conn, status < 0 ? status : FAB_ERR_CANCELLED,
                            "the peer ended the session");
    }
    ack_soon_locked(conn, 0, fab_clock_now_ns(conn->node->clock));
    xp_conn_work(conn);
    fab_mutex_unlock(&conn->lock);
}

/* No lock held. */
static enum fab_status hand(struct xp_conn *conn, const struct taken *taken)
{
    const struct xp_message_view *view = &taken->view;

    switch (view->kind) {
    case XP_WIRE_POST:
        deliver(conn, XP_POST, view, taken->number);
        return FAB_OK;
    case XP_WIRE_CALL:
        deliver(conn, XP_CALL, view, taken->number);
        return FAB_OK;
    case XP_WIRE_SIGNAL:
        deliver(conn, XP_SIGNAL, view, taken->number);
        return FAB_OK;
    case XP_WIRE_REPLY:
        return hand_reply(conn, taken);
    case XP_WIRE_CHUNK_NOTE:
    case XP_WIRE_BULK_FAIL:
    case XP_WIRE_LEG_DOWN:
        return take_note(conn, view);
    case XP_WIRE_BYE:
        take_bye(conn, (enum fab_status)view->result);
        return FAB_OK;
    }
    return FAB_ERR_FORMAT;
}

/* All messages of a body, in order. Called with the lock, which the first one needs as a rule, and
 * left without it: unchecked. */
FAB_UNCHECKED static enum fab_status take_messages(struct xp_engine *engine, struct xp_conn *conn,
                                                   const struct xp_data_header *header,
                                                   const uint8_t *body)
{
    enum fab_status status = FAB_OK;
    bool locked = true;
    size_t cursor = 0;

    for (uint32_t i = 0; i < header->count && status == FAB_OK; i++) {
        struct taken taken = {.number = header->first + i};
        enum xp_wire_message kind;

        status = xp_message_decode(body, header->body_bytes, header->lane, &cursor, &taken.view);
        if (status != FAB_OK)
            break;
        kind = taken.view.kind;
        /* Of a session that is over here only the peer's end matters. */
        if (kind != XP_WIRE_BYE && atomic_load(&conn->muted))
            continue;
        if (!locked && (kind == XP_WIRE_CALL || kind == XP_WIRE_REPLY)) {
            fab_mutex_lock(&conn->lock);
            locked = true;
        }
        if (locked) {
            status = take_locked(conn, &taken);
            fab_mutex_unlock(&conn->lock);
            locked = false;
        }
        engine->has_more = i + 1 < header->count;
        if (status == FAB_OK)
            status = hand(conn, &taken);
    }
    engine->has_more = false;
    if (locked)
        fab_mutex_unlock(&conn->lock);
    return status == FAB_OK && cursor != header->body_bytes ? FAB_ERR_FORMAT : status;
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

/* The messages count as received before their user has them: it gets them for sure, and what says
 * so to the peer is sent by this engine only, after the last of them was handed over. */
static enum fab_status note_received_locked(struct xp_conn *conn,
                                            const struct xp_data_header *header, uint64_t now_ns)
{
    struct xp_lane_rx *rx = &conn->rx[header->lane];
    struct xp_credit_step step;

    rx->received = header->first + header->count - 1;
    rx->received_bytes += header->body_bytes;
    conn->unacked_rx_bytes += header->body_bytes;
    if (header->lane == XP_LANE_ORDERED && conn->manual_executed) {
        step = (struct xp_credit_step){.number = rx->received, .bytes = rx->received_bytes};
        if (fab_vec_push(&conn->credit_steps, &step) != FAB_OK)
            return FAB_ERR_NOMEM;
        (void)take_steps_locked(conn);
    } else if (header->lane == XP_LANE_ORDERED) {
        conn->executed = rx->received;
        conn->executed_bytes = rx->received_bytes;
    }
    ack_soon_locked(
        conn, conn->unacked_rx_bytes > conn->limits.window_bytes / ACK_SHARE ? 0 : XP_ACK_DELAY_NS,
        now_ns);
    return FAB_OK;
}

/* Acknowledgements, and whether the messages are due; false: they are not. */
static bool judge_locked(struct xp_conn *conn, const struct xp_data_header *header, uint64_t now_ns)
{
    struct xp_lane_rx *rx = &conn->rx[header->lane];

    if (xp_data_progress_locked(conn, header->received, header->executed, header->executed_bytes,
                                now_ns) != FAB_OK) {
        xp_conn_lose_locked(conn, FAB_ERR_PROTOCOL, "acknowledgement of what was never sent");
        return false;
    }
    if (header->flags & XP_FRAME_RESEND)
        xp_data_rewind_locked(conn);
    if (header->count == 0 || (header->lane == XP_LANE_ORDERED && atomic_load(&conn->muted)))
        return false;
    switch (xp_lane_rx_judge(rx, header->first, header->count)) {
    case XP_LANE_DUPLICATE:
        conn->stats.duplicate_batches++;
        ack_soon_locked(conn, 0, now_ns);
        return false;
    case XP_LANE_GAP:
        if (conn->gap_asked[header->lane] != rx->received + 1) {
            conn->gap_asked[header->lane] = rx->received + 1;
            conn->want_resend = true;
            ack_soon_locked(conn, 0, now_ns);
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

/* Everything about a frame but handing its messages over; false: they are not due. */
static bool admit_locked(struct xp_life *life, enum fab_status decoded,
                         const struct xp_data_header *header, size_t body_bytes, uint64_t now_ns)
{
    struct xp_conn *conn = life->leg->conn;
    enum fab_status status;

    if (life->state != XP_LIFE_UP) {
        conn->stats.refused_frames++;
        return false;
    }
    life->heard_ns = now_ns;
    if (decoded != FAB_OK || header->body_bytes != body_bytes) {
        xp_conn_lose_locked(conn, FAB_ERR_PROTOCOL, "a malformed data frame");
        return false;
    }
    if (conn->state == XP_CONN_CLOSED || !judge_locked(conn, header, now_ns))
        return false;
    status = note_received_locked(conn, header, now_ns);
    if (status != FAB_OK)
        xp_conn_lose_locked(conn, status, "no memory for a frame");
    return status == FAB_OK;
}

FAB_UNCHECKED void xp_data_take(struct xp_life *life, const uint8_t *header_bytes,
                                size_t header_size, const uint8_t *body, size_t body_bytes)
{
    struct xp_engine *engine = life->leg->slot->engine;
    struct xp_conn *conn = life->leg->conn;
    struct xp_data_header header;
    enum fab_status status = xp_frame_decode_data(header_bytes, header_size, &header);

    fab_mutex_lock(&conn->lock);
    if (admit_locked(life, status, &header, body_bytes, engine->now_ns)) {
        status = take_messages(engine, conn, &header, body);
        if (status != FAB_OK) {
            fab_mutex_lock(&conn->lock);
            xp_conn_lose_locked(conn, status == FAB_ERR_NOMEM ? status : FAB_ERR_PROTOCOL,
                                "a message that cannot be");
            fab_mutex_unlock(&conn->lock);
        }
    } else {
        fab_mutex_unlock(&conn->lock);
    }
    xp_bulk_run_finished(conn);
}
