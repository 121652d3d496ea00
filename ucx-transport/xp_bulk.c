/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_bulk.c - bulk transfers: the sender's chunks and the end of both ends.
 *
 * Rails pull: xp_bulk_fill_locked() gives the next chunk to whichever leg has room. `busy` counts
 * everything by which somebody may still touch the transfer or its memory: a send or landing in the
 * backend, a callback that runs, a chunk that the receiver has not consumed. done() is called when
 * it is 0 and the transfer has ended, so late data of a dead rail find no memory.
 * The receiving end is xp_bulk_in.c. Thread: any, with the connection's lock.
 */
#include "ucx-transport/xp_bulk_int.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"

static void kick_bulk_legs_locked(struct xp_conn *conn)
{
    for (uint32_t i = 0; i < conn->leg_count; i++) {
        if (conn->legs[i].bulk && conn->legs[i].current)
            xp_leg_kick(&conn->legs[i]);
    }
}

static void activate_locked(struct xp_transfer *t)
{
    if (t->ended || t->held || t->starved)
        return;
    if (fab_list_is_empty(&t->link))
        fab_list_append(&t->conn->active_sends, &t->link);
    kick_bulk_legs_locked(t->conn);
}

/* ---------------------------------------------------------------- the end */

void xp_transfer_settle_locked(struct xp_transfer *t)
{
    struct xp_conn *conn = t->conn;
    struct fab_map *map = t->sender ? &conn->sending : &conn->receiving;

    if (!t->ended && t->chunks && t->done_count == t->plan.chunk_count && t->busy == 0) {
        t->ended = true;
        t->status = FAB_OK;
    }
    if (!t->ended || t->busy > 0 || t->finishing)
        return;
    t->finishing = true;
    fab_list_remove(&t->link);
    (void)fab_map_remove(map, t->bulk.id);
    fab_list_append(&conn->finished, &t->link);
    atomic_store_explicit(&conn->any_finished, true, memory_order_relaxed);
    xp_conn_work(conn);
}

void xp_transfer_end_locked(struct xp_transfer *t, enum fab_status status)
{
    if (t->ended)
        return;
    t->ended = true;
    t->status = status;
    fab_list_remove(&t->link);
    for (uint32_t i = 0; t->sender && t->chunks && i < t->plan.chunk_count; i++) {
        if (t->chunks[i].state == XP_CHUNK_FLYING) {
            t->chunks[i].life->chunks_flying--; /* nobody will answer */
            t->chunks[i].state = XP_CHUNK_READY;
            t->flying--;
        }
    }
    xp_transfer_settle_locked(t);
}

void xp_transfer_fail_locked(struct xp_transfer *t, enum fab_status status)
{
    struct xp_note note = {.kind = t->sender ? XP_NOTE_FAIL_TO_RECEIVER : XP_NOTE_FAIL_TO_SENDER,
                           .id = t->bulk.id};

    if (t->ended)
        return;
    xp_note_send_locked(t->conn, XP_WIRE_BULK_FAIL, status, &note);
    xp_transfer_end_locked(t, status);
}

void xp_bulk_fail_all_locked(struct xp_conn *conn, enum fab_status status)
{
    struct fab_map *maps[] = {&conn->sending, &conn->receiving};

    for (size_t m = 0; m < FAB_ARRAY_LEN(maps); m++) {
        const struct fab_map_entry *entry;
        struct fab_list ending;
        struct fab_list *node;
        size_t cursor = 0;

        /* Ending one changes the map, so gather first. */
        fab_list_init(&ending);
        while ((entry = fab_map_next(maps[m], &cursor)) != NULL) {
            struct xp_transfer *t = entry->value;

            if (t->ended)
                continue;
            fab_list_remove(&t->link);
            fab_list_append(&ending, &t->link);
        }
        while ((node = fab_list_take(&ending)) != NULL)
            xp_transfer_end_locked(fab_list_object(node, struct xp_transfer, link), status);
    }
}

void xp_bulk_run_finished(struct xp_conn *conn)
{
    /* Who puts one there has the connection's turn made due, so a look without the lock will do. */
    while (atomic_load_explicit(&conn->any_finished, memory_order_relaxed)) {
        struct fab_list *node;
        struct xp_transfer *t;

        fab_mutex_lock(&conn->lock);
        node = fab_list_take(&conn->finished);
        if (!node)
            atomic_store_explicit(&conn->any_finished, false, memory_order_relaxed);
        fab_mutex_unlock(&conn->lock);
        if (!node)
            return;
        t = fab_list_object(node, struct xp_transfer, link);
        t->bulk.ops->done(t->bulk.user, t->status);
        free(t->chunks);
        free(t);
    }
}

void xp_transfer_unpin(struct xp_transfer *t)
{
    struct xp_conn *conn = t->conn;

    fab_mutex_lock(&conn->lock);
    t->busy--;
    xp_transfer_settle_locked(t);
    fab_mutex_unlock(&conn->lock);
}

/* ---------------------------------------------------------------- starting */

static bool is_sound(const struct xp_bulk *bulk)
{
    return bulk->size_bytes > 0 && bulk->ops && bulk->ops->done && (bulk->ops->place || bulk->base);
}

/* With conn->lock held. On success the transfer is on its map. */
static enum fab_status start_locked(struct xp_conn *conn, const struct xp_bulk *bulk, bool sender,
                                    struct xp_transfer *t, struct fab_err *err)
{
    struct fab_map *map = sender ? &conn->sending : &conn->receiving;
    enum fab_status status;

    if (conn->state != XP_CONN_LIVE || conn->closing)
        return fab_err_set(err, xp_conn_status_locked(conn), "the session is over");
    if (fab_map_find(map, bulk->id))
        return fab_err_set(err, FAB_ERR_EXISTS, "transfer %" PRIu64, bulk->id);
    if (map->count >= conn->limits.transfers)
        return fab_err_set(err, FAB_ERR_LIMIT, "%zu open transfers", map->count);
    status = fab_map_put(map, bulk->id, t);
    if (status != FAB_OK)
        return fab_err_set(err, status, "transfer table");
    *t = (struct xp_transfer){.conn = conn, .bulk = *bulk, .sender = sender};
    fab_list_init(&t->link);
    return FAB_OK;
}

static enum fab_status start(struct xp_conn *conn, const struct xp_bulk *bulk, bool sender,
                             struct xp_transfer **transfer_out, struct fab_err *err)
{
    struct xp_transfer *t;
    enum fab_status status;

    if (xp_node_is_foreign(conn->node))
        return fab_err_set(err, FAB_ERR_STALE, "a forked child has no transport");
    if (!is_sound(bulk))
        return fab_err_set(err, FAB_ERR_INVALID, "a transfer needs bytes, a place and done()");
    t = fab_alloc(sizeof(*t));
    if (!t)
        return fab_err_set(err, FAB_ERR_NOMEM, "transfer");
    fab_mutex_lock(&conn->lock);
    status = start_locked(conn, bulk, sender, t, err);
    if (status == FAB_OK) {
        *transfer_out = t; /* before anything can call done() */
        if (sender)
            activate_locked(t);
        else
            xp_transfer_take_early_locked(t);
    }
    fab_mutex_unlock(&conn->lock);
    if (status != FAB_OK)
        free(t);
    return status;
}

enum fab_status xp_bulk_send(struct xp_conn *conn, const struct xp_bulk *bulk,
                             struct xp_transfer **transfer_out, struct fab_err *err)
{
    return start(conn, bulk, /* sender */ true, transfer_out, err);
}

enum fab_status xp_bulk_receive(struct xp_conn *conn, const struct xp_bulk *bulk,
                                struct xp_transfer **transfer_out, struct fab_err *err)
{
    return start(conn, bulk, /* sender */ false, transfer_out, err);
}

void xp_bulk_resume(struct xp_transfer *t)
{
    struct xp_conn *conn = t->conn;

    if (xp_node_is_foreign(conn->node))
        return;
    fab_mutex_lock(&conn->lock);
    t->resumes++;
    if (t->sender && t->starved) {
        t->starved = false;
        activate_locked(t);
    } else if (!t->sender && t->held && !t->conflict) {
        xp_transfer_ready_locked(t);
    }
    fab_mutex_unlock(&conn->lock);
}

void xp_bulk_cancel(struct xp_transfer *t, enum fab_status status)
{
    struct xp_conn *conn = t->conn;

    if (xp_node_is_foreign(conn->node))
        return;
    fab_mutex_lock(&conn->lock);
    xp_transfer_fail_locked(t, status);
    fab_mutex_unlock(&conn->lock);
}

/* ---------------------------------------------------------------- sending */

/* The size of chunks, so that every rail has work to the end: four for each rail, but none that
 * costs more to ask for than to send. With one rail there is nothing to share. A small transfer is
 * cut in quarters of the unit (xp_plan.h). */
static uint32_t unit_locked(const struct xp_transfer *t)
{
    enum { A_RAIL = 4, LEAST_BYTES = 128 << 10, WHOLE_BYTES = 512 << 10, STEP_BYTES = 64 << 10 };
    const struct xp_conn *conn = t->conn;
    uint64_t unit_bytes;
    uint32_t rails = 0;

    for (uint32_t i = 1; i < conn->leg_count; i += 2) {
        const struct xp_life *life = conn->legs[i].current;

        rails += life && life->state == XP_LIFE_UP;
    }
    if (rails < 2)
        return conn->peer_chunk_bytes;
    unit_bytes = t->bulk.size_bytes / ((uint64_t)rails * A_RAIL);
    if (unit_bytes < LEAST_BYTES)
        unit_bytes = LEAST_BYTES;
    if (unit_bytes < WHOLE_BYTES)
        unit_bytes *= 4;
    unit_bytes = (unit_bytes + STEP_BYTES - 1) / STEP_BYTES * STEP_BYTES;
    return unit_bytes < conn->peer_chunk_bytes ? (uint32_t)unit_bytes : conn->peer_chunk_bytes;
}

/* The plan needs the peer's chunk size, which the first hello brought. */
static bool has_plan_locked(struct xp_transfer *t)
{
    enum fab_status status;

    if (t->chunks)
        return true;
    status = xp_plan_make(t->bulk.size_bytes, unit_locked(t), &t->plan);
    if (status == FAB_OK) {
        t->chunks = fab_alloc_zeroed(t->plan.chunk_count, sizeof(*t->chunks));
        status = t->chunks ? FAB_OK : FAB_ERR_NOMEM;
    }
    if (status != FAB_OK)
        xp_transfer_fail_locked(t, status);
    return status == FAB_OK;
}

/* The lowest chunk to be sent, or chunk_count. */
static uint32_t next_ready_locked(struct xp_transfer *t)
{
    while (t->first_ready < t->plan.chunk_count &&
           t->chunks[t->first_ready].state != XP_CHUNK_READY)
        t->first_ready++;
    return t->first_ready;
}

/* A rail that has chunks and hears nothing is at most as fast as that says. */
static double present_rate(const struct xp_leg *leg, uint32_t chunk_bytes, uint64_t now_ns)
{
    double silent_ns = (double)(now_ns - leg->last_ack_ns), rate = leg->bytes_per_ns;

    if (leg->current->chunks_flying > 0 && now_ns > leg->last_ack_ns &&
        chunk_bytes / silent_ns < rate)
        rate = chunk_bytes / silent_ns;
    return rate;
}

/* Whether the other rails would be through with all that is left before this one with one more
 * chunk. Then it does not pull, or the transfer would end by waiting for its slowest rail. Only for
 * a transfer that is alone: with several there is always other work. */
static bool is_better_left_locked(const struct xp_life *life, const struct xp_transfer *t,
                                  uint64_t now_ns)
{
    const struct xp_conn *conn = life->leg->conn;
    uint32_t others_flying = 0, left = t->plan.chunk_count - t->done_count - t->flying;
    double others_rate = 0, own_rate = life->leg->bytes_per_ns;

    if (own_rate <= 0 || conn->active_sends.next->next != &conn->active_sends)
        return false;
    for (uint32_t i = 1; i < conn->leg_count; i += 2) {
        const struct xp_leg *leg = &conn->legs[i];

        if (leg == life->leg || !leg->current || leg->current->state != XP_LIFE_UP)
            continue;
        others_rate += present_rate(leg, t->plan.later_bytes, now_ns);
        others_flying += leg->current->chunks_flying;
    }
    return others_rate > 0 &&
           (left + others_flying) / others_rate < (life->chunks_flying + 1) / own_rate;
}

bool xp_bulk_fill_locked(struct xp_life *life, struct xp_op *op, uint64_t now_ns)
{
    struct xp_conn *conn = life->leg->conn;

    if (life->chunks_flying >= conn->chunks_in_flight)
        return false;
    while (!fab_list_is_empty(&conn->active_sends)) {
        struct xp_transfer *t = fab_list_object(conn->active_sends.next, struct xp_transfer, link);
        struct xp_chunk_record *chunk;
        uint32_t index;

        if (!has_plan_locked(t))
            continue; /* it has left the list */
        index = next_ready_locked(t);
        if (index < t->plan.chunk_count && is_better_left_locked(life, t, now_ns))
            return false;
        fab_list_remove(&t->link);
        if (index == t->plan.chunk_count)
            continue;
        fab_list_append(&conn->active_sends, &t->link); /* its turn comes again after the others */
        chunk = &t->chunks[index];
        if (chunk->attempt > 0)
            life->leg->stats.repeated_chunks++;
        *chunk = (struct xp_chunk_record){.state = XP_CHUNK_FLYING,
                                          .attempt = chunk->attempt + 1,
                                          .life = life,
                                          .sent_ns = now_ns,
                                          .sends = chunk->sends + 1};
        if (life->chunks_flying++ == 0)
            life->leg->last_ack_ns = now_ns;
        t->flying++;
        t->busy++;
        op->kind = XP_OP_CHUNK;
        op->transfer = t;
        op->index = index;
        op->attempt = chunk->attempt;
        return true;
    }
    return false;
}

/* A chunk that was to fly stays here. */
static void ground_locked(struct xp_transfer *t, uint32_t index)
{
    struct xp_chunk_record *chunk = &t->chunks[index];

    if (chunk->state == XP_CHUNK_FLYING) {
        chunk->life->chunks_flying--;
        chunk->state = XP_CHUNK_READY;
        t->flying--;
    }
    if (index < t->first_ready)
        t->first_ready = index;
}

static void encode_chunk(struct xp_op *op, const struct xp_chunk *chunk)
{
    const struct xp_transfer *t = op->transfer;
    struct xp_chunk_header header = {
        .token = op->life->peer_token,
        .transfer_id = t->bulk.id,
        .command = t->bulk.command,
        .offset = chunk->offset,
        .total_bytes = t->bulk.size_bytes,
        .index = op->index,
        .attempt = op->attempt,
        .body_bytes = chunk->size_bytes,
        .unit_bytes = t->plan.unit_bytes,
    };

    memcpy(header.digest, chunk->digest, XP_DIGEST_BYTES);
    xp_frame_encode_chunk(&header, op->header);
    op->send.header_bytes = XP_CHUNK_HEADER_BYTES;
    op->send.chunk = true;
}

bool xp_bulk_place(struct xp_op *op)
{
    struct xp_transfer *t = op->transfer;
    struct xp_conn *conn = t->conn;
    const struct xp_slot *slot = op->life->leg->slot;
    struct xp_chunk chunk;
    enum fab_status status;
    struct xp_chunk_record *record = &t->chunks[op->index];
    uint32_t resumes;

    fab_mutex_lock(&conn->lock);
    resumes = t->resumes;
    fab_mutex_unlock(&conn->lock);
    status = xp_transfer_place(t, op->index, slot, &chunk, &op->send.body);
    if (status == FAB_OK) {
        encode_chunk(op, &chunk);
        return true;
    }
    fab_mutex_lock(&conn->lock);
    record->sends--;
    if (record->life == op->life && record->attempt == op->attempt)
        ground_locked(t, op->index); /* else its rail died meanwhile, and it is on another */
    if (status != FAB_ERR_AGAIN) {
        xp_transfer_fail_locked(t, status);
    } else if (t->resumes == resumes) {
        t->starved = true;
        fab_list_remove(&t->link);
    } else {
        activate_locked(t);
    }
    t->busy--;
    xp_transfer_settle_locked(t);
    fab_mutex_unlock(&conn->lock);
    return false;
}

/* Tells the sender's side that a chunk's place is free. Called with the lock, which it drops for
 * the callback: unchecked, since its callers hold it by their name only. */
FAB_UNCHECKED static void tell_moved_locked(struct xp_transfer *t, uint32_t index)
{
    struct xp_chunk_record *record = &t->chunks[index];
    struct xp_chunk chunk = {.index = index};

    if (record->state != XP_CHUNK_DONE || record->sends > 0 || record->told)
        return;
    record->told = true;
    if (!t->bulk.ops->moved)
        return;
    xp_plan_chunk(&t->plan, index, &chunk.offset, &chunk.size_bytes);
    t->busy++;
    fab_mutex_unlock(&t->conn->lock);
    t->bulk.ops->moved(t->bulk.user, &chunk);
    fab_mutex_lock(&t->conn->lock);
    t->busy--;
}

void xp_bulk_sent_locked(struct xp_op *op, enum fab_status status)
{
    struct xp_transfer *t = op->transfer;

    (void)status; /* a failed send shows as a failed endpoint, and its chunks are taken back then */
    t->chunks[op->index].sends--;
    tell_moved_locked(t, op->index);
    t->busy--;
    xp_transfer_settle_locked(t);
}

void xp_bulk_life_lost_locked(struct xp_life *life)
{
    const struct fab_map_entry *entry;
    size_t cursor = 0;

    while ((entry = fab_map_next(&life->leg->conn->sending, &cursor)) != NULL) {
        struct xp_transfer *t = entry->value;
        bool any = false;

        for (uint32_t i = 0; !t->ended && t->chunks && i < t->plan.chunk_count; i++) {
            if (t->chunks[i].state == XP_CHUNK_FLYING && t->chunks[i].life == life) {
                ground_locked(t, i);
                any = true;
            }
        }
        if (any)
            activate_locked(t);
    }
}

/* ---------------------------------------------------------------- the receiver's answers */

static void note_rate_locked(struct xp_leg *leg, uint32_t size_bytes, uint64_t now_ns)
{
    enum { SMOOTHING = 4 }; /* a sample counts a quarter: a rail's speed may change */
    uint64_t took_ns = now_ns > leg->last_ack_ns ? now_ns - leg->last_ack_ns : 1;
    double sample = (double)size_bytes / (double)took_ns;

    leg->last_ack_ns = now_ns;
    leg->bytes_per_ns = leg->bytes_per_ns > 0
                            ? leg->bytes_per_ns + (sample - leg->bytes_per_ns) / SMOOTHING
                            : sample;
}

static void acked_locked(struct xp_transfer *t, uint32_t index)
{
    struct xp_chunk_record *chunk = &t->chunks[index];
    uint32_t size_bytes;
    uint64_t offset;

    if (chunk->state == XP_CHUNK_FLYING) {
        struct xp_leg *leg = chunk->life->leg;
        uint64_t now_ns = fab_clock_now_ns(t->conn->node->clock);

        xp_plan_chunk(&t->plan, index, &offset, &size_bytes);
        chunk->life->chunks_flying--;
        t->flying--;
        chunk->life->heard_ns = now_ns;
        xp_leg_sample_locked(leg, now_ns - chunk->sent_ns);
        note_rate_locked(leg, size_bytes, now_ns);
        leg->stats.sent_chunks++;
        leg->stats.sent_bytes += size_bytes;
        xp_leg_kick(leg);
    }
    if (chunk->state == XP_CHUNK_DONE)
        return;
    chunk->state = XP_CHUNK_DONE; /* also one taken back from a dead rail: it had arrived */
    t->done_count++;
    t->busy++;
    tell_moved_locked(t, index);
    t->busy--;
    xp_transfer_settle_locked(t);
}

/* HOLD and AGAIN: the chunk did not stay there. Of an older attempt it says nothing any more. */
static void returned_locked(struct xp_transfer *t, const struct xp_note *note)
{
    struct xp_chunk_record *chunk = &t->chunks[note->index];

    if (chunk->state != XP_CHUNK_FLYING || chunk->attempt != note->attempt)
        return;
    chunk->life->heard_ns = fab_clock_now_ns(t->conn->node->clock);
    xp_leg_kick(chunk->life->leg);
    ground_locked(t, note->index);
    if (note->kind == XP_NOTE_HOLD) {
        t->held = true;
        t->conn->stats.held_chunks++;
        fab_list_remove(&t->link);
    } else {
        activate_locked(t);
    }
}

static enum fab_status sender_note_locked(struct xp_conn *conn, const struct xp_note *note)
{
    struct xp_transfer *t = fab_map_find(&conn->sending, note->id);

    if (!t || t->ended)
        return FAB_OK; /* cancelled here meanwhile */
    if (note->kind == XP_NOTE_READY) {
        t->held = false;
        activate_locked(t);
        return FAB_OK;
    }
    if (!t->chunks || note->index >= t->plan.chunk_count)
        return FAB_ERR_PROTOCOL;
    if (note->kind == XP_NOTE_ACK)
        acked_locked(t, note->index);
    else
        returned_locked(t, note);
    return FAB_OK;
}

static enum fab_status failed_locked(struct xp_conn *conn, const struct xp_note *note,
                                     enum fab_status status)
{
    bool sender = note->kind == XP_NOTE_FAIL_TO_SENDER;
    struct xp_transfer *t = fab_map_find(sender ? &conn->sending : &conn->receiving, note->id);

    if (status >= FAB_OK)
        return FAB_ERR_PROTOCOL;
    if (t)
        xp_transfer_end_locked(t, status);
    else if (!sender)
        return xp_bulk_early_locked(conn, note->id, status);
    return FAB_OK;
}

enum fab_status xp_bulk_note(struct xp_conn *conn, const struct xp_note *note,
                             enum xp_wire_message kind, int32_t result)
{
    enum fab_status status = FAB_ERR_FORMAT;

    fab_mutex_lock(&conn->lock);
    switch (note->kind) {
    case XP_NOTE_ACK:
    case XP_NOTE_HOLD:
    case XP_NOTE_READY:
    case XP_NOTE_AGAIN:
        if (kind == XP_WIRE_CHUNK_NOTE)
            status = sender_note_locked(conn, note);
        break;
    case XP_NOTE_FAIL_TO_SENDER:
    case XP_NOTE_FAIL_TO_RECEIVER:
        if (kind == XP_WIRE_BULK_FAIL)
            status = failed_locked(conn, note, (enum fab_status)result);
        break;
    case XP_NOTE_LEG:
        break;
    }
    fab_mutex_unlock(&conn->lock);
    return status;
}
