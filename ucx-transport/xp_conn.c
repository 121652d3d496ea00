/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_conn.c - a connection: opening, its turn on the control engine, its end.
 *
 * A connection is LIVE, then LOST (the session is over, the object stays for its user), then CLOSED
 * (nothing left but memory). One that is LOST or closed goes on until the peer has the BYE, or for
 * a grace period: so a peer that comes back late learns the truth, and from nobody else. Who hears
 * a BYE answers with one, and that is acknowledged, too: so each end knows that the other one
 * knows.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "ucx-transport/xp_int.h"

/* ---------------------------------------------------------------- events */

void xp_conn_event_locked(struct xp_conn *conn, enum xp_event_kind kind, uint32_t rail,
                          enum fab_status status, const char *text)
{
    struct xp_pending_event *pending;

    if (conn->told_closed || !conn->handlers->event)
        return;
    if (conn->state != XP_CONN_LIVE && kind != XP_EVENT_LOST)
        return; /* only CLOSED comes after LOST */
    pending = fab_vec_add(&conn->events);
    if (!pending)
        return; /* statistics say the same */
    pending->event = (struct xp_event){.kind = kind, .rail = rail, .status = status};
    (void)snprintf(pending->text, sizeof(pending->text), "%s", text);
    xp_conn_work(conn);
}

static void run_events(struct xp_conn *conn)
{
    for (;;) {
        struct xp_pending_event pending;
        bool closed;

        fab_mutex_lock(&conn->lock);
        if (conn->events.count == 0) {
            fab_mutex_unlock(&conn->lock);
            return;
        }
        pending = *fab_vec_at(&conn->events, struct xp_pending_event, 0);
        fab_vec_remove(&conn->events, 0);
        closed = conn->told_closed;
        fab_mutex_unlock(&conn->lock);
        if (closed)
            continue;
        pending.event.text = pending.text;
        conn->handlers->event(conn->user, conn, &pending.event);
    }
}

void xp_conn_choose_active_locked(struct xp_conn *conn)
{
    struct xp_leg *before = conn->active, *best = NULL;

    if (before && before->current && before->current->state == XP_LIFE_UP)
        return;
    for (uint32_t i = 0; i < conn->leg_count && !best; i++) {
        struct xp_leg *leg = &conn->legs[i];

        if (!leg->bulk && leg->current && leg->current->state == XP_LIFE_UP)
            best = leg;
    }
    conn->active = best;
    if (!best) {
        if (!conn->silent_ns)
            conn->silent_ns = fab_clock_now_ns(conn->node->clock);
        if (before && conn->state == XP_CONN_LIVE)
            xp_conn_event_locked(conn, XP_EVENT_SILENT, 0, FAB_ERR_UNREACHABLE,
                                 "no control channel");
        xp_conn_work(conn);
        return;
    }
    /* What the old wire may have lost goes out again; the peer drops what it knows. */
    xp_data_rewind_locked(conn);
    for (int lane = 0; lane < XP_LANE_COUNT; lane++)
        conn->gap_asked[lane] = 0;
    if (conn->silent_ns) {
        conn->silent_ns = 0;
        if (conn->stats.up)
            conn->stats.reconnects++;
        conn->stats.up = true;
        xp_conn_event_locked(conn, XP_EVENT_UP, 0, FAB_OK, "");
        (void)pthread_cond_broadcast(&conn->changed);
    } else {
        conn->stats.reconnects++;
    }
}

void xp_conn_fall_back_locked(struct xp_conn *conn, const struct xp_leg *leg, bool lost)
{
    if (!conn->initiator || conn->state != XP_CONN_LIVE ||
        2 * conn->standby_from >= conn->leg_count || leg->pair >= conn->standby_from ||
        conn->falls_back[leg->bulk] == lost)
        return;
    conn->falls_back[leg->bulk] = lost;
    if (lost)
        fab_log_debug(conn->node->log,
                      "same host, but its wire does not reach the peer: using rails",
                      "session %" PRIx64 " bulk %d", conn->session_id, leg->bulk);
    for (uint32_t i = 2 * conn->standby_from + (leg->bulk ? 1 : 0); i < conn->leg_count; i += 2) {
        if (lost) {
            conn->legs[i].retry_ns = 0;
            xp_engine_timer(conn->legs[i].slot->engine, /* at once */ 0);
        } else if (conn->legs[i].current) {
            xp_life_doom_locked(conn->legs[i].current, "the peer is reached without");
        }
    }
}

/* ---------------------------------------------------------------- the end */

enum fab_status xp_conn_status_locked(const struct xp_conn *conn)
{
    if (conn->closing)
        return FAB_ERR_CANCELLED;
    return conn->state == XP_CONN_LIVE ? FAB_OK : conn->reason.status;
}

/* So long an end of which all is said stays to say it again: a wire may have gone with the last
 * word, and a dial into a silent one lasts long. */
static uint64_t parting_ns(const struct xp_conn *conn)
{
    return 2 * conn->limits.stall_first_ns;
}

static void doom_all_locked(struct xp_conn *conn, const char *why)
{
    for (uint32_t i = 0; i < conn->leg_count; i++) {
        if (conn->legs[i].current)
            xp_life_doom_locked(conn->legs[i].current, why);
        xp_leg_kick(&conn->legs[i]);
    }
}

/* How long an end that is lost is there for the peer. */
static uint64_t linger_locked(const struct xp_conn *conn, enum fab_status status)
{
    if (status == FAB_ERR_PEER_LOST)
        return conn->limits.stall_ns;
    return conn->peer_ended ? parting_ns(conn) : conn->limits.grace_ns;
}

void xp_conn_lose_locked(struct xp_conn *conn, enum fab_status status, const char *why)
{
    uint64_t now_ns = fab_clock_now_ns(conn->node->clock);

    if (conn->state != XP_CONN_LIVE)
        return;
    conn->state = XP_CONN_LOST;
    atomic_store(&conn->muted, true);
    (void)fab_err_set(&conn->reason, status, "session %" PRIx64 ": %s", conn->session_id, why);
    xp_conn_event_locked(conn, XP_EVENT_LOST, 0, status, conn->reason.text);
    /* The peer is told, unless this wire cannot trust it any more, or it is gone. */
    conn->bulk_ends_ns = fab_deadline_ns(now_ns, conn->peer_ended ? 0 : conn->limits.stall_ns);
    conn->linger_ns = fab_deadline_ns(now_ns, linger_locked(conn, status));
    if ((status == FAB_ERR_PROTOCOL && !conn->condemned && !conn->peer_ended) ||
        xp_urgent_add_locked(conn, XP_WIRE_BYE, /* op */ 0, status, NULL, 0) != FAB_OK)
        conn->linger_ns = 0;
    xp_bulk_fail_all_locked(conn, status);
    (void)pthread_cond_broadcast(&conn->changed);
    xp_conn_work(conn);
}

void xp_conn_condemn(struct xp_conn *conn, enum fab_status status, const char *why)
{
    bool push;

    if (xp_node_is_foreign(conn->node))
        return;
    fab_mutex_lock(&conn->lock);
    push = xp_conn_push_begin_locked(conn);
    conn->condemned = true;
    xp_conn_lose_locked(conn, status, why);
    fab_mutex_unlock(&conn->lock);
    xp_conn_push_end(conn, push);
}

void xp_conn_close(struct xp_conn *conn)
{
    struct xp_node *node = conn->node;
    bool push;

    if (xp_node_is_foreign(node))
        return;
    fab_mutex_lock(&conn->lock);
    push = xp_conn_push_begin_locked(conn);
    conn->closing = true;
    atomic_store(&conn->muted, true);
    xp_bulk_fail_all_locked(conn, FAB_ERR_CANCELLED);
    if (conn->state == XP_CONN_LIVE)
        conn->linger_ns = fab_deadline_ns(fab_clock_now_ns(node->clock), conn->limits.grace_ns);
    if (conn->state == XP_CONN_LIVE &&
        xp_urgent_add_locked(conn, XP_WIRE_BYE, /* op */ 0, FAB_ERR_CANCELLED, NULL, 0) != FAB_OK)
        conn->linger_ns = 0; /* no memory to say so: the peer's grace period will */
    (void)pthread_cond_broadcast(&conn->changed);
    xp_conn_work(conn);
    fab_mutex_unlock(&conn->lock);
    xp_conn_push_end(conn, push); /* who is the engine is the one who would free it */
}

/* Calls that will not be answered any more. */
static void fail_calls(struct xp_conn *conn)
{
    for (;;) {
        struct xp_reply reply = {.carried = FAB_OK};
        const struct fab_map_entry *entry;
        struct xp_call *call = NULL;
        size_t cursor = 0;

        fab_mutex_lock(&conn->lock);
        reply.carried = xp_conn_status_locked(conn);
        entry = reply.carried == FAB_OK ? NULL : fab_map_next(&conn->calls, &cursor);
        if (entry) {
            reply.number = entry->key;
            call = fab_map_remove(&conn->calls, entry->key);
        }
        fab_mutex_unlock(&conn->lock);
        if (!call)
            return;
        call->done(call, &reply);
    }
}

/* ---------------------------------------------------------------- the turn */

static void soonest(uint64_t *next_ns, uint64_t at_ns)
{
    if (at_ns < *next_ns)
        *next_ns = at_ns;
}

/* Batches, acknowledgements and repeats that are due; the next time when one is. */
static uint64_t data_timers_locked(struct xp_conn *conn, uint64_t now_ns)
{
    uint64_t next_ns = UINT64_MAX;

    if (!conn->active)
        return next_ns;
    if (now_ns >= conn->batch_due_ns || now_ns >= conn->ack_due_ns)
        xp_leg_kick(conn->active);
    else
        soonest(&next_ns,
                conn->batch_due_ns < conn->ack_due_ns ? conn->batch_due_ns : conn->ack_due_ns);
    if (now_ns >= conn->resend_ns) {
        conn->resend_ns = UINT64_MAX;
        if (!xp_data_is_acked_locked(conn)) {
            conn->resend_delay_ns *= 2;
            conn->resend_ns = fab_deadline_ns(now_ns, conn->resend_delay_ns);
            xp_data_rewind_locked(conn);
        }
    }
    soonest(&next_ns, conn->resend_ns);
    return next_ns;
}

bool xp_conn_owes_word_locked(const struct xp_conn *conn)
{
    const struct xp_lane_tx *urgent = &conn->tx[XP_LANE_URGENT];

    return urgent->acked < urgent->last || (conn->peer_ended && conn->ack_due_ns != UINT64_MAX);
}

/* Whether the wires are still wanted after the end: the peer is to be told, or may ask once more
 * whether we know. An initiator that never was up has nobody to tell; a responder may yet be
 * dialled. */
static bool parts_locked(struct xp_conn *conn, uint64_t now_ns)
{
    uint64_t until_ns = fab_deadline_ns(now_ns, parting_ns(conn));

    if (now_ns >= conn->linger_ns || (!conn->stats.up && conn->initiator))
        return false;
    if (conn->tx[XP_LANE_URGENT].acked < conn->tx[XP_LANE_URGENT].last)
        return true;
    /* The peer knows. If it began, that is all; if we did, it wants to hear that its answer came,
     * once more if it dials for that. */
    if (conn->was_told || (!conn->active && (conn->initiator || !conn->peer_ended)))
        return false;
    if (!conn->parted && until_ns < conn->linger_ns)
        conn->linger_ns = until_ns;
    conn->parted = true;
    return true;
}

static uint64_t lost_locked(struct xp_conn *conn, uint64_t now_ns)
{
    if (conn->hears_no_more)
        return UINT64_MAX;
    if (!parts_locked(conn, now_ns)) {
        conn->hears_no_more = true;
        doom_all_locked(conn, conn->reason.text);
        return UINT64_MAX;
    }
    if (now_ns < conn->bulk_ends_ns)
        return conn->bulk_ends_ns;
    for (uint32_t i = 1; i < conn->leg_count; i += 2) {
        if (conn->legs[i].current)
            xp_life_doom_locked(conn->legs[i].current, conn->reason.text);
    }
    return conn->linger_ns;
}

/* How a closed connection comes to its end. */
static uint64_t closing_locked(struct xp_conn *conn, uint64_t now_ns)
{
    if (conn->state == XP_CONN_LIVE && parts_locked(conn, now_ns))
        return conn->linger_ns;
    if (conn->state == XP_CONN_LOST && !conn->hears_no_more)
        return UINT64_MAX; /* lost_locked() sees to it */
    if (conn->state != XP_CONN_CLOSED) {
        conn->state = XP_CONN_CLOSED;
        doom_all_locked(conn, "closed");
    }
    return UINT64_MAX;
}

static bool is_quiet_locked(const struct xp_conn *conn)
{
    return conn->sending.count == 0 && conn->receiving.count == 0 && conn->calls.count == 0 &&
           fab_list_is_empty(&conn->finished);
}

uint64_t xp_conn_turn(struct xp_conn *conn, uint64_t now_ns)
{
    uint64_t next_ns;
    bool closed = false;

    xp_bulk_run_finished(conn);
    fab_mutex_lock(&conn->lock);
    if (conn->events.count > 0 || xp_conn_status_locked(conn) != FAB_OK) {
        fab_mutex_unlock(&conn->lock);
        fail_calls(conn);
        run_events(conn);
        fab_mutex_lock(&conn->lock);
    }
    next_ns = data_timers_locked(conn, now_ns);
    if (conn->state == XP_CONN_LIVE && conn->silent_ns) {
        uint64_t over_ns = fab_deadline_ns(conn->silent_ns, conn->limits.grace_ns);

        if (now_ns >= over_ns)
            xp_conn_lose_locked(conn, FAB_ERR_TIMEOUT, "the grace period is over");
        soonest(&next_ns, over_ns);
    }
    if (conn->state == XP_CONN_LOST)
        soonest(&next_ns, lost_locked(conn, now_ns));
    if (conn->closing) {
        soonest(&next_ns, closing_locked(conn, now_ns));
        closed = !conn->told_closed && is_quiet_locked(conn) && conn->events.count == 0;
        if (closed)
            conn->told_closed = true;
    }
    fab_mutex_unlock(&conn->lock);
    if (closed && conn->handlers->event)
        conn->handlers->event(conn->user, conn,
                              &(struct xp_event){.kind = XP_EVENT_CLOSED, .text = "closed"});
    return next_ns;
}

bool xp_conn_is_over(struct xp_conn *conn)
{
    bool over;

    fab_mutex_lock(&conn->lock);
    over = conn->state == XP_CONN_CLOSED && conn->told_closed;
    for (uint32_t i = 0; i < conn->leg_count && over; i++)
        over = conn->legs[i].detached;
    fab_mutex_unlock(&conn->lock);
    return over;
}

void xp_conn_free(struct xp_conn *conn)
{
    const struct fab_map_entry *entry;
    size_t cursor = 0;

    for (int lane = 0; lane < XP_LANE_COUNT; lane++)
        xp_lane_tx_fini(&conn->tx[lane]);
    while ((entry = fab_map_next(&conn->early, &cursor)) != NULL)
        free(entry->value);
    fab_map_fini(&conn->early);
    fab_map_fini(&conn->calls);
    fab_map_fini(&conn->parked);
    fab_map_fini(&conn->sending);
    fab_map_fini(&conn->receiving);
    fab_vec_fini(&conn->events);
    fab_vec_fini(&conn->credit_steps);
    xp_auth_fini(&conn->auth);
    (void)pthread_cond_destroy(&conn->changed);
    fab_mutex_fini(&conn->lock);
    free(conn);
}
