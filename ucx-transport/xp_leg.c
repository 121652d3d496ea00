/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_leg.c - one wire of a connection: sending on it, hearing from it, its death.
 *
 * A leg has at most one current life and any number of dying ones, which stay until the backend
 * has let go of all memory. Dialling and the hello are in xp_hello.c. Thread: the engine of the
 * leg's slot; *_locked functions also others, with the connection's lock.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "ucx-transport/xp_int.h"

enum { SMOOTHING = 8 }; /* a sample moves the usual time by an eighth */

static const struct xp_backend *backend_of(const struct xp_leg *leg)
{
    return leg->slot->backend;
}

static void smooth(uint64_t *usual_ns, uint64_t sample_ns)
{
    if (*usual_ns == 0)
        *usual_ns = sample_ns ? sample_ns : 1;
    else
        *usual_ns = *usual_ns - *usual_ns / SMOOTHING + sample_ns / SMOOTHING;
}

void xp_leg_sample_locked(struct xp_leg *leg, uint64_t took_ns)
{
    smooth(&leg->usual_ns, took_ns);
    leg->stats.usual_ns = leg->usual_ns;
    leg->retry_delay_ns = leg->conn->limits.retry_first_ns; /* it carries: next time start afresh */
}

bool xp_leg_is_wanted_locked(const struct xp_leg *leg)
{
    const struct xp_conn *conn = leg->conn;

    if (conn->initiator && leg->pair >= conn->standby_from && !conn->falls_back[leg->bulk])
        return false;
    return conn->state == XP_CONN_LIVE ||
           (conn->state == XP_CONN_LOST && !conn->hears_no_more && !leg->bulk);
}

/* ---------------------------------------------------------------- death */

void xp_life_doom_locked(struct xp_life *life, const char *why)
{
    struct xp_leg *leg = life->leg;
    struct xp_conn *conn = leg->conn;
    bool was_up = life->state == XP_LIFE_UP;
    uint64_t now_ns = fab_clock_now_ns(conn->node->clock);

    if (life->state == XP_LIFE_DYING || life->state == XP_LIFE_CLOSING)
        return;
    fab_log_debug(conn->node->log, "leg lost",
                  "session %" PRIx64 " leg %u epoch %" PRIu64 " why %s", conn->session_id,
                  leg->index, life->epoch, why);
    life->state = XP_LIFE_DYING;
    if (leg->current == life)
        leg->current = NULL;
    leg->retry_ns = fab_deadline_ns(now_ns, leg->retry_delay_ns);
    leg->retry_delay_ns *= 2;
    if (leg->retry_delay_ns > conn->limits.retry_last_ns)
        leg->retry_delay_ns = conn->limits.retry_last_ns;
    if (leg->bulk)
        xp_bulk_life_lost_locked(life);
    if (was_up && conn->state == XP_CONN_LIVE) {
        xp_note_send_locked(
            conn, XP_WIRE_LEG_DOWN, /* result */ 0,
            &(struct xp_note){.kind = XP_NOTE_LEG, .id = life->epoch, .index = leg->index});
    }
    if (was_up && leg->seen_up) {
        leg->seen_up = leg->stats.up = false;
        leg->stats.downs++;
        if (leg->bulk)
            xp_conn_event_locked(conn, XP_EVENT_RAIL_DOWN, leg->pair, FAB_ERR_LINK_LOST, why);
    }
    if (!leg->bulk)
        xp_conn_choose_active_locked(conn);
    xp_conn_fall_back_locked(conn, leg, /* lost */ true);
    xp_engine_timer(leg->slot->engine, leg->retry_ns);
    xp_leg_kick(leg);
}

/* ---------------------------------------------------------------- sending */

static void op_free_locked(struct xp_op *op)
{
    op->transfer = NULL;
    op->batch = NULL;
    op->is_out = false;
    op->next_free = op->life->free_ops;
    op->life->free_ops = op;
}

/* Frames of quick wires end here at once, from inside send() and with the lock held. */
static void op_done_locked(struct xp_op *op, enum fab_status status)
{
    struct xp_conn *conn = op->life->leg->conn;

    switch (op->kind) {
    case XP_OP_BATCH:
        xp_lane_tx_sent(&conn->tx[op->lane], op->batch);
        break;
    case XP_OP_CHUNK:
        xp_bulk_sent_locked(op, status);
        break;
    case XP_OP_FRAME:
        break;
    }
    op_free_locked(op);
}

static void op_done(struct xp_op *op, enum fab_status status)
{
    struct xp_leg *leg = op->life->leg;
    struct xp_conn *conn = leg->conn;
    bool is_chunk = op->kind == XP_OP_CHUNK, waited;

    fab_mutex_lock(&conn->lock);
    waited = !op->life->free_ops; /* perhaps there was more to send than ops to do it */
    op_done_locked(op, status);
    fab_mutex_unlock(&conn->lock);
    if (waited)
        xp_leg_kick(leg);
    if (is_chunk)
        xp_bulk_run_finished(conn);
}

static struct xp_op *op_of(struct xp_send *send)
{
    return (struct xp_op *)(void *)((char *)send - offsetof(struct xp_op, send));
}

/* The backend reads header and body no more. */
static void on_sent(struct xp_send *send, enum fab_status status)
{
    op_done(op_of(send), status);
}

static void on_sent_locked(struct xp_send *send, enum fab_status status)
{
    op_done_locked(op_of(send), status);
}

/* Whether frames go out under the lock. */
static bool is_quick(const struct xp_leg *leg)
{
    return leg->slot->caps.quick && !leg->bulk;
}

static void fill_probe(struct xp_life *life, struct xp_op *op, enum xp_frame_kind kind,
                       uint64_t cookie)
{
    xp_frame_encode_probe(kind, life->peer_token, cookie, op->header);
    op->send.header_bytes = XP_PROBE_BYTES;
}

/* What goes out next on this life, into op; false: nothing. */
static bool fill_locked(struct xp_life *life, struct xp_op *op, uint64_t now_ns)
{
    op->kind = XP_OP_FRAME;
    op->send = (struct xp_send){.header = op->header,
                                .done = is_quick(life->leg) ? on_sent_locked : on_sent};
    if (life->hello_due || life->welcome_due) {
        xp_hello_fill_locked(life, life->hello_due ? XP_FRAME_HELLO : XP_FRAME_WELCOME, op);
        life->hello_due = life->welcome_due = false;
        return true;
    }
    if (life->state != XP_LIFE_UP)
        return false;
    if (life->answer_due) {
        life->answer_due = false;
        fill_probe(life, op, XP_FRAME_PROBE_REPLY, life->answer_cookie);
        return true;
    }
    if (life->probe_due) {
        life->probe_due = false;
        fill_probe(life, op, XP_FRAME_PROBE, life->probe_cookie);
        return true;
    }
    if (life->leg->bulk)
        return xp_bulk_fill_locked(life, op, now_ns);
    if (life->leg->conn->active != life->leg || !xp_data_fill_locked(life, op, now_ns))
        return false;
    if (!is_quick(life->leg))
        xp_data_sent_locked(life); /* as good as: it is sent without the lock */
    return true;
}

/* The op that stalled, or a new one with what goes out next; NULL: nothing. */
static struct xp_op *next_op_locked(struct xp_life *life, uint64_t now_ns)
{
    struct xp_op *op = life->stalled;

    if (op) {
        life->stalled = NULL;
        return op;
    }
    op = life->free_ops;
    if (!op || (life->state != XP_LIFE_UP && life->state != XP_LIFE_DIALLING) ||
        !fill_locked(life, op, now_ns))
        return NULL;
    life->free_ops = op->next_free;
    return op;
}

/* An op that is ready for the backend, or NULL. */
static struct xp_op *next_op(struct xp_life *life, uint64_t now_ns)
{
    struct xp_conn *conn = life->leg->conn;
    struct xp_op *op;

    for (;;) {
        fab_mutex_lock(&conn->lock);
        op = next_op_locked(life, now_ns);
        fab_mutex_unlock(&conn->lock);
        if (!op)
            return NULL;
        if (op->kind != XP_OP_CHUNK || xp_bulk_place(op))
            return op;
        fab_mutex_lock(&conn->lock);
        op_free_locked(op);
        fab_mutex_unlock(&conn->lock);
        xp_bulk_run_finished(conn);
    }
}

/* ---------------------------------------------------------------- pumping */

/* Closes doomed endpoints and frees the lives that the backend is through with. */
static void reap(struct xp_leg *leg)
{
    struct xp_conn *conn = leg->conn;
    struct xp_life *life;

    do {
        life = NULL;
        fab_mutex_lock(&conn->lock);
        FAB_LIST_EACH(node, after, &leg->lives)
        {
            struct xp_life *at = fab_list_object(node, struct xp_life, link);

            if (at->state == XP_LIFE_DYING) {
                life = at;
                break;
            }
        }
        if (life)
            life->state = XP_LIFE_CLOSING;
        fab_mutex_unlock(&conn->lock);
        if (!life)
            break;
        (void)fab_map_remove(&leg->slot->tokens, life->token);
        if (life->ep)
            backend_of(leg)->ep_close(life->ep);
        else
            life->closed = true;
    } while (true);
    xp_leg_free_lives(leg);
}

void xp_leg_free_lives(struct xp_leg *leg)
{
    struct xp_conn *conn = leg->conn;

    FAB_LIST_EACH(node, after, &leg->lives)
    {
        struct xp_life *life = fab_list_object(node, struct xp_life, link);

        if (!life->closed)
            continue;
        if (life->stalled) {
            struct xp_op *op = life->stalled;

            life->stalled = NULL;
            op_done(op, FAB_ERR_CANCELLED);
        }
        fab_assert(life->arrival_count == 0);
        fab_mutex_lock(&conn->lock);
        fab_list_remove(&life->link);
        fab_mutex_unlock(&conn->lock);
        xp_life_destroy(life);
    }
}

/* The peer of a responder may dial from xp_conn_open() until the connection is over. */
static void expect_no_more(struct xp_leg *leg)
{
    if (!leg->expected)
        return;
    leg->expected = false;
    backend_of(leg)->expect(leg->slot->wire, leg->peer_address, leg->peer_address_bytes,
                            /* come */ false);
}

/* Gives an op to the backend; false: no more may follow now. */
static bool send_op(struct xp_life *life, struct xp_op *op, enum fab_status *status_out)
{
    struct xp_leg *leg = life->leg;

    op->is_out = true;
    leg->slot->engine->recent = leg->slot;
    *status_out = backend_of(leg)->send(life->ep, &op->send);
    if (*status_out == FAB_OK)
        return true; /* and perhaps it is in use again */
    op->is_out = false;
    if (*status_out == FAB_ERR_AGAIN) {
        life->stalled = op;
        leg->slot->any_stalled = true; /* the wire's next progress turns us again */
    }
    return false;
}

/* All that is to go out on a quick wire, in one section of the lock. */
static void send_frames_locked(struct xp_life *life)
{
    struct xp_op *op;
    enum fab_status status;

    while ((op = next_op_locked(life, life->leg->slot->engine->now_ns)) != NULL) {
        if (send_op(life, op, &status))
            continue;
        if (status != FAB_ERR_AGAIN) {
            op_done_locked(op, status);
            xp_life_doom_locked(life, "sending failed");
        }
        break;
    }
    xp_data_sent_locked(life);
}

static void send_all(struct xp_life *life)
{
    struct xp_conn *conn = life->leg->conn;
    struct xp_op *op;
    enum fab_status status;

    while ((op = next_op(life, life->leg->slot->engine->now_ns)) != NULL) {
        if (send_op(life, op, &status))
            continue;
        if (status != FAB_ERR_AGAIN) {
            op_done(op, status);
            fab_mutex_lock(&conn->lock);
            xp_life_doom_locked(life, "sending failed");
            fab_mutex_unlock(&conn->lock);
        }
        return;
    }
}

void xp_conn_send_locked(struct xp_conn *conn)
{
    struct xp_leg *leg = conn->active;
    struct xp_life *life = leg ? leg->current : NULL;

    if (!leg)
        return;
    /* Before the last message of a frame is taken nothing is said of it; and the first word on a
     * wire is the pump's. */
    if (is_quick(leg) && xp_engine_is_mine(leg->slot->engine) && !leg->slot->engine->has_more &&
        life && life->told_proved && !life->stalled)
        send_frames_locked(life);
    else
        xp_leg_kick(leg);
}

/* Whether there are lives to close or free. */
static bool has_dead_locked(const struct xp_leg *leg)
{
    const struct fab_list *only = leg->current ? &leg->current->link : &leg->lives;

    return leg->lives.next != only || only->next != &leg->lives;
}

void xp_leg_pump(struct xp_leg *leg)
{
    struct xp_conn *conn = leg->conn;
    struct xp_life *life;
    bool is_up, is_over;

    fab_mutex_lock(&conn->lock);
    if (has_dead_locked(leg)) {
        fab_mutex_unlock(&conn->lock);
        reap(leg);
        fab_mutex_lock(&conn->lock);
    }
    /* Only this engine replaces `current` by another life or frees one, so it stays valid here. */
    life = leg->current;
    is_up = life && life->state == XP_LIFE_UP;
    is_over = conn->state == XP_CONN_CLOSED;
    if (!is_over && life && life->ep && is_quick(leg) && is_up == life->told_proved) {
        send_frames_locked(life);
        fab_mutex_unlock(&conn->lock);
        return;
    }
    fab_mutex_unlock(&conn->lock);
    if (is_over)
        expect_no_more(leg);
    if (!life || !life->ep)
        return;
    if (is_up && !life->told_proved && backend_of(leg)->ep_proved)
        backend_of(leg)->ep_proved(life->ep);
    life->told_proved = is_up;
    if (!is_quick(leg)) {
        send_all(life);
        return;
    }
    fab_mutex_lock(&conn->lock);
    send_frames_locked(life);
    fab_mutex_unlock(&conn->lock);
}

/* ---------------------------------------------------------------- time */

static bool is_busy_locked(const struct xp_life *life)
{
    const struct xp_leg *leg = life->leg;
    const struct xp_conn *conn = leg->conn;

    if (leg->bulk)
        return life->chunks_flying > 0 || life->arrival_count > 0;
    return conn->active == leg && !xp_data_is_acked_locked(conn);
}

/* How long a probe may stay unanswered while nothing else is heard either (design D7). */
static uint64_t patience_locked(const struct xp_life *life, bool busy)
{
    const struct xp_limits *limits = &life->leg->conn->limits;
    uint64_t usual_ns = busy && life->leg->bulk ? life->leg->usual_ns : life->leg->probe_usual_ns;

    if (usual_ns == 0)
        return limits->stall_first_ns;
    usual_ns *= XP_USUAL_FACTOR;
    return usual_ns > limits->stall_ns ? usual_ns : limits->stall_ns;
}

void xp_life_probe_locked(struct xp_life *life, uint64_t now_ns)
{
    life->probe_ns = now_ns;
    life->probe_cookie++;
    life->probe_due = true;
    xp_leg_kick(life->leg);
}

/* The probe and stall rule on a life that is up; its next deadline. */
static uint64_t watch_locked(struct xp_life *life, uint64_t now_ns)
{
    const struct xp_limits *limits = &life->leg->conn->limits;
    bool busy = is_busy_locked(life);
    bool waits = life->leg->bulk && !fab_list_is_empty(&life->leg->conn->active_sends);
    uint64_t due_ns;

    if (waits) /* it left the rest to other rails: are they still that fast? */
        xp_leg_kick(life->leg);

    if (life->probe_ns) {
        uint64_t since_ns = life->heard_ns > life->probe_ns ? life->heard_ns : life->probe_ns;

        due_ns = fab_deadline_ns(since_ns, patience_locked(life, busy));
        if (now_ns >= due_ns) {
            xp_life_doom_locked(life, "no answer to a probe");
            return life->leg->retry_ns;
        }
        return due_ns;
    }
    due_ns = fab_deadline_ns(life->heard_ns,
                             busy || waits ? limits->stall_ns / 4 : limits->idle_probe_ns);
    if (now_ns < due_ns)
        return due_ns;
    xp_life_probe_locked(life, now_ns);
    return fab_deadline_ns(now_ns, patience_locked(life, busy));
}

uint64_t xp_leg_timer(struct xp_leg *leg, uint64_t now_ns)
{
    struct xp_conn *conn = leg->conn;
    uint64_t next_ns = UINT64_MAX;
    bool dial = false;

    fab_mutex_lock(&conn->lock);
    if (xp_leg_is_wanted_locked(leg) && leg->current) {
        struct xp_life *life = leg->current;

        if (life->state == XP_LIFE_UP) {
            next_ns = watch_locked(life, now_ns);
        } else {
            next_ns = fab_deadline_ns(life->dialled_ns, conn->limits.stall_first_ns);
            if (now_ns >= next_ns)
                xp_life_doom_locked(life, "no answer to the hello");
        }
    }
    if (xp_leg_is_wanted_locked(leg) && !leg->current && conn->initiator &&
        !(conn->closing && leg->bulk)) {
        dial = now_ns >= leg->retry_ns;
        next_ns = fab_earlier_ns(next_ns, leg->retry_ns);
    }
    fab_mutex_unlock(&conn->lock);
    if (dial) {
        xp_leg_dial(leg, now_ns);
        next_ns = fab_deadline_ns(now_ns, conn->limits.stall_ns);
    }
    return next_ns;
}

/* ---------------------------------------------------------------- events of the wire */

static void take_probe_locked(struct xp_life *life, enum xp_frame_kind kind, uint64_t cookie)
{
    uint64_t now_ns = life->leg->slot->engine->now_ns;

    if (kind == XP_FRAME_PROBE) {
        life->answer_due = true;
        life->answer_cookie = cookie;
    } else if (life->probe_ns && cookie == life->probe_cookie) {
        if (life->leg->probe_usual_ns == 0 || !life->leg->bulk || !is_busy_locked(life))
            smooth(&life->leg->probe_usual_ns, now_ns - life->probe_ns);
        life->leg->retry_delay_ns = life->leg->conn->limits.retry_first_ns;
        if (!life->leg->bulk)
            xp_leg_sample_locked(life->leg, now_ns - life->probe_ns);
        life->probe_ns = 0;
        /* The timer still stands at the end of our patience, which may be long after the next probe
         * is due. */
        xp_engine_timer(life->leg->slot->engine,
                        fab_deadline_ns(now_ns, life->leg->conn->limits.idle_probe_ns));
    }
}

/* The current life that a frame's token names, with what was heard noted; NULL: nobody's. */
static struct xp_life *life_of_token(struct xp_slot *slot, uint64_t token)
{
    struct xp_life *life = fab_map_find(&slot->tokens, token);

    if (!life)
        return NULL;
    fab_mutex_lock(&life->leg->conn->lock);
    if (life->state != XP_LIFE_UP) {
        life->leg->conn->stats.refused_frames++;
        fab_mutex_unlock(&life->leg->conn->lock);
        return NULL;
    }
    life->heard_ns = slot->engine->now_ns;
    fab_mutex_unlock(&life->leg->conn->lock);
    return life;
}

static void violation(struct xp_life *life, const char *what)
{
    fab_mutex_lock(&life->leg->conn->lock);
    xp_conn_lose_locked(life->leg->conn, FAB_ERR_PROTOCOL, what);
    fab_mutex_unlock(&life->leg->conn->lock);
}

static void probe_frame(struct xp_life *life, const struct xp_frame_prefix *prefix,
                        const uint8_t *header, size_t header_bytes)
{
    uint64_t cookie;

    if (xp_frame_decode_probe(header, header_bytes, &cookie) != FAB_OK) {
        violation(life, "a malformed probe");
        return;
    }
    fab_mutex_lock(&life->leg->conn->lock);
    take_probe_locked(life, prefix->kind, cookie);
    fab_mutex_unlock(&life->leg->conn->lock);
    xp_leg_kick(life->leg);
}

static void on_frame(void *core, struct xp_ep *ep, const uint8_t *header, size_t header_bytes,
                     const uint8_t *body, size_t body_bytes)
{
    struct xp_slot *slot = core;
    struct xp_frame_prefix prefix;
    struct xp_life *life;

    if (xp_frame_decode_prefix(header, header_bytes, &prefix) != FAB_OK)
        return; /* a stranger's; a peer's would have carried a token that we know */
    switch (prefix.kind) {
    case XP_FRAME_HELLO:
    case XP_FRAME_WELCOME:
        xp_hello_take(slot, ep, header, header_bytes);
        return;
    case XP_FRAME_DATA:
        life = slot->bulk ? life_of_token(slot, prefix.token)
                          : fab_map_find(&slot->tokens, prefix.token);
        if (life && life->leg->bulk)
            violation(life, "commands on a bulk wire");
        else if (life)
            xp_data_take(life, header, header_bytes, body, body_bytes);
        return;
    case XP_FRAME_PROBE:
    case XP_FRAME_PROBE_REPLY:
        life = life_of_token(slot, prefix.token);
        if (life)
            probe_frame(life, &prefix, header, header_bytes);
        return;
    case XP_FRAME_CHUNK:
        return; /* chunks come as offers only */
    }
}

static void on_offer(void *core, struct xp_ep *ep, const uint8_t *header, size_t header_bytes,
                     size_t body_bytes, struct xp_offer *offer)
{
    struct xp_slot *slot = core;
    struct xp_chunk_header chunk;
    struct xp_life *life = NULL;

    if (xp_frame_decode_chunk(header, header_bytes, &chunk) == FAB_OK)
        life = life_of_token(slot, chunk.token);
    if (life && ep && ep != life->ep) { /* it would land on one leg and be counted on another */
        fab_mutex_lock(&life->leg->conn->lock);
        life->leg->conn->stats.refused_frames++;
        fab_mutex_unlock(&life->leg->conn->lock);
        slot->backend->refuse(offer);
        return;
    }
    if (!life || !life->leg->bulk || chunk.body_bytes != body_bytes) {
        slot->backend->refuse(offer);
        if (life)
            violation(life, "a malformed chunk");
        return;
    }
    xp_bulk_offer(life, &chunk, offer);
}

static void on_ep_failed(void *owner, enum fab_status status, const char *text)
{
    struct xp_life *life = owner;

    (void)status;
    if (!life)
        return;
    fab_mutex_lock(&life->leg->conn->lock);
    xp_life_doom_locked(life, text);
    fab_mutex_unlock(&life->leg->conn->lock);
}

static void on_ep_closed(void *owner)
{
    struct xp_life *life = owner;

    if (!life)
        return; /* a stranger that we turned away */
    life->ep = NULL;
    life->closed = true;
    xp_leg_kick(life->leg);
}

static bool has_fds(void *core)
{
    return xp_node_has_descriptors(((struct xp_slot *)core)->node);
}

const struct xp_wire_events xp_leg_events = {.frame = on_frame,
                                             .offer = on_offer,
                                             .ep_failed = on_ep_failed,
                                             .ep_closed = on_ep_closed,
                                             .has_fds = has_fds};
