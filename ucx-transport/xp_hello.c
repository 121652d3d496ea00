/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_hello.c - dialling a leg, and the proof of the session key at both ends.
 *
 * The initiator sends HELLO with an epoch above all before and a fresh nonce; the responder checks
 * the code, ends the leg's older life and answers WELCOME with the nonce. From there on frames name
 * the receiver's random token, which says leg and epoch at once. A hello with an epoch that was
 * seen is dropped, so a recorded one is worth nothing. Thread: the engine of the leg's slot.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "ucx-transport/xp_int.h"

struct xp_life *xp_life_create(struct xp_leg *leg, uint64_t now_ns)
{
    struct xp_life *life = fab_alloc_zeroed(1, sizeof(*life));

    if (!life)
        return NULL;
    fab_list_init(&life->link);
    life->leg = leg;
    life->dialled_ns = life->heard_ns = now_ns;
    for (size_t i = 0; i < FAB_ARRAY_LEN(life->ops); i++) {
        life->ops[i].life = life;
        life->ops[i].next_free = life->free_ops;
        life->free_ops = &life->ops[i];
    }
    if (xp_random(life->nonce, sizeof(life->nonce)) != FAB_OK ||
        xp_random(&life->token, sizeof(life->token)) != FAB_OK || life->token == 0 ||
        fab_map_find(&leg->slot->tokens, life->token) ||
        fab_map_put(&leg->slot->tokens, life->token, life) != FAB_OK) {
        free(life);
        return NULL;
    }
    return life;
}

void xp_life_destroy(struct xp_life *life)
{
    struct xp_slot *slot = life->leg->slot;

    if (fab_map_find(&slot->tokens, life->token) == life)
        (void)fab_map_remove(&slot->tokens, life->token);
    free(life);
}

static void try_later_locked(struct xp_leg *leg, uint64_t now_ns)
{
    leg->retry_ns = fab_deadline_ns(now_ns, leg->retry_delay_ns);
    xp_engine_timer(leg->slot->engine, leg->retry_ns);
}

/* On the leg's list and current; its ep follows. */
static void install_locked(struct xp_life *life, enum xp_life_state state, uint64_t epoch)
{
    life->state = state;
    life->epoch = epoch;
    fab_list_insert(&life->leg->lives, &life->link);
    life->leg->current = life;
}

void xp_leg_dial(struct xp_leg *leg, uint64_t now_ns)
{
    struct xp_conn *conn = leg->conn;
    struct xp_life *life = xp_life_create(leg, now_ns);
    enum fab_status status;

    fab_mutex_lock(&conn->lock);
    if (life)
        install_locked(life, XP_LIFE_DIALLING, ++conn->next_epoch);
    else
        try_later_locked(leg, now_ns);
    fab_mutex_unlock(&conn->lock);
    if (!life)
        return;
    status = leg->slot->backend->ep_open(leg->slot->wire, leg->peer_address,
                                         leg->peer_address_bytes, life, &life->ep,
                                         /* err */ NULL);
    fab_mutex_lock(&conn->lock);
    if (status == FAB_OK)
        life->hello_due = true;
    else
        xp_life_doom_locked(life, "the wire cannot be opened");
    fab_mutex_unlock(&conn->lock);
    xp_leg_kick(leg);
}

void xp_hello_fill_locked(struct xp_life *life, enum xp_frame_kind kind, struct xp_op *op)
{
    struct xp_conn *conn = life->leg->conn;
    struct xp_hello hello = {
        .kind = kind,
        .session_id = conn->session_id,
        .epoch = life->epoch,
        .your_token = life->token,
        .leg = life->leg->index,
        .window_calls = conn->limits.window_calls,
        .window_bytes = conn->limits.window_bytes,
        .chunk_bytes = conn->limits.chunk_bytes,
        .chunks_in_flight = conn->limits.chunks_in_flight,
        .received = {conn->rx[XP_LANE_ORDERED].received, conn->rx[XP_LANE_URGENT].received},
        .executed = conn->executed,
        .executed_bytes = conn->executed_bytes,
    };

    memcpy(hello.nonce, life->nonce, XP_NONCE_BYTES);
    memcpy(hello.peer_nonce, life->peer_nonce, XP_NONCE_BYTES);
    xp_frame_encode_hello(&hello, op->header);
    xp_auth_sign(&conn->auth, op->header, XP_HELLO_BYTES);
    op->send.header_bytes = XP_HELLO_BYTES;
}

/* What both kinds say about the peer. FAB_ERR_PROTOCOL: it cannot be so. */
static enum fab_status apply_locked(struct xp_conn *conn, const struct xp_hello *hello)
{
    struct xp_limits *limits = &conn->limits;

    if (hello->window_bytes < XP_WINDOW_MIN_BYTES || hello->window_calls < XP_WINDOW_MIN_CALLS ||
        hello->chunk_bytes < XP_PLAN_UNIT_MIN_BYTES || hello->chunks_in_flight == 0)
        return FAB_ERR_PROTOCOL;
    conn->peer_window_bytes = hello->window_bytes;
    conn->peer_window_calls = hello->window_calls;
    conn->peer_chunk_bytes =
        hello->chunk_bytes < limits->chunk_bytes ? hello->chunk_bytes : limits->chunk_bytes;
    conn->chunks_in_flight = hello->chunks_in_flight < limits->chunks_in_flight
                                 ? hello->chunks_in_flight
                                 : limits->chunks_in_flight;
    return xp_data_progress_locked(conn, hello->received, hello->executed, hello->executed_bytes,
                                   fab_clock_now_ns(conn->node->clock));
}

static void up_locked(struct xp_life *life)
{
    struct xp_leg *leg = life->leg;

    life->state = XP_LIFE_UP;
    life->heard_ns = leg->slot->engine->now_ns;
    leg->seen_up = leg->stats.up = true;
    /* How long this wire takes to answer. The dial says nothing of that: it makes connections, and
     * may have waited for the peer to open. */
    xp_life_probe_locked(life, life->heard_ns);
    if (leg->bulk)
        xp_conn_event_locked(leg->conn, XP_EVENT_RAIL_UP, leg->pair, FAB_OK, "");
    else
        xp_conn_choose_active_locked(leg->conn);
    xp_conn_fall_back_locked(leg->conn, leg, /* lost */ false);
    xp_engine_timer(leg->slot->engine, life->heard_ns);
    xp_leg_kick(leg);
}

/* Why a hello is not taken; NULL: it is. */
static const char *refusal_locked(const struct xp_slot *slot, struct xp_conn *conn,
                                  const struct xp_hello *hello, const uint8_t *header)
{
    if (hello->leg >= conn->leg_count || conn->legs[hello->leg].slot != slot ||
        !xp_leg_is_wanted_locked(&conn->legs[hello->leg]))
        return "no such leg";
    if (!xp_auth_check(&conn->auth, header, XP_HELLO_BYTES))
        return "wrong key";
    if ((hello->kind == XP_FRAME_HELLO) == conn->initiator)
        return "wrong direction";
    return NULL;
}

/* Responder: makes a new life out of a valid hello. */
static void answer_hello(struct xp_leg *leg, struct xp_ep *ep, const struct xp_hello *hello)
{
    struct xp_conn *conn = leg->conn;
    const struct xp_backend *backend = leg->slot->backend;
    struct xp_life *life = xp_life_create(leg, leg->slot->engine->now_ns);
    enum fab_status status = FAB_OK;

    if (!life)
        return; /* the initiator dials again */
    life->peer_token = hello->your_token;
    memcpy(life->peer_nonce, hello->nonce, XP_NONCE_BYTES);
    fab_mutex_lock(&conn->lock);
    if (leg->current)
        xp_life_doom_locked(leg->current, "the peer dialled again");
    install_locked(life, XP_LIFE_DIALLING, hello->epoch);
    fab_mutex_unlock(&conn->lock);
    if (ep) {
        backend->ep_own(ep, life);
        life->ep = ep;
    } else {
        status = backend->ep_open(leg->slot->wire, leg->peer_address, leg->peer_address_bytes, life,
                                  &life->ep, /* err */ NULL);
    }
    fab_mutex_lock(&conn->lock);
    if (status != FAB_OK) {
        xp_life_doom_locked(life, "the wire cannot be opened");
    } else if (life->state == XP_LIFE_DIALLING) {
        life->welcome_due = true; /* goes out before anything else */
        up_locked(life);
    }
    fab_mutex_unlock(&conn->lock);
}

/* Whether the hello opens a new life of the leg. */
static bool take_hello_locked(struct xp_leg *leg, const struct xp_hello *hello)
{
    struct xp_conn *conn = leg->conn;
    enum fab_status status = FAB_ERR_STALE;

    if (hello->epoch > leg->last_epoch) {
        leg->last_epoch = hello->epoch;
        status = apply_locked(conn, hello);
        if (status != FAB_OK)
            xp_conn_lose_locked(conn, status, "a hello that cannot be");
    } else {
        conn->stats.refused_frames++;
    }
    return status == FAB_OK;
}

static void take_welcome_locked(struct xp_leg *leg, const struct xp_hello *hello)
{
    struct xp_conn *conn = leg->conn;
    struct xp_life *life = leg->current;

    if (!life || life->state != XP_LIFE_DIALLING || life->epoch != hello->epoch ||
        memcmp(life->nonce, hello->peer_nonce, XP_NONCE_BYTES) != 0) {
        conn->stats.refused_frames++;
        return;
    }
    if (apply_locked(conn, hello) != FAB_OK) {
        xp_conn_lose_locked(conn, FAB_ERR_PROTOCOL, "a welcome that cannot be");
        return;
    }
    life->peer_token = hello->your_token;
    up_locked(life);
}

/* The session's connection, locked, or NULL. It leaves the map before it can be freed, and is freed
 * only after this engine has let go of its leg. Unchecked: the lock is taken or not. */
FAB_UNCHECKED static struct xp_conn *session_lock(struct xp_node *node, uint64_t session_id)
{
    struct xp_conn *conn;

    fab_mutex_lock(&node->lock);
    conn = fab_map_find(&node->sessions, session_id);
    if (conn)
        fab_mutex_lock(&conn->lock);
    fab_mutex_unlock(&node->lock);
    return conn;
}

FAB_UNCHECKED static void session_unlock(struct xp_conn *conn)
{
    fab_mutex_unlock(&conn->lock);
}

/* Whether the endpoint is a life's already. */
static bool is_adopted(const struct xp_slot *slot, const struct xp_ep *ep)
{
    const struct fab_map_entry *entry;
    size_t cursor = 0;

    while ((entry = fab_map_next(&slot->tokens, &cursor)) != NULL) {
        if (((const struct xp_life *)entry->value)->ep == ep)
            return true;
    }
    return false;
}

void xp_hello_take(struct xp_slot *slot, struct xp_ep *ep, const uint8_t *header, size_t bytes)
{
    struct xp_conn *conn;
    struct xp_hello hello;
    bool opens = false;

    if (xp_frame_decode_hello(header, bytes, &hello) != FAB_OK)
        return;
    conn = session_lock(slot->node, hello.session_id);
    if (!conn)
        return;
    if (refusal_locked(slot, conn, &hello, header) ||
        (ep && hello.kind == XP_FRAME_HELLO && is_adopted(slot, ep)))
        conn->stats.refused_frames++;
    else if (hello.kind == XP_FRAME_HELLO)
        opens = take_hello_locked(&conn->legs[hello.leg], &hello);
    else
        take_welcome_locked(&conn->legs[hello.leg], &hello);
    session_unlock(conn);
    if (opens)
        answer_hello(&conn->legs[hello.leg], ep, &hello);
}
