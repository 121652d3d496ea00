/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_bulk_in.c - bulk transfers: the receiving end.
 *
 * A chunk is offered, gets a place, lands, is consumed, is acknowledged. Nothing of an offer is
 * believed before it fits the transfer that the local user started; until then, and while there is
 * no place, the sender is told to hold the transfer, so no rail is blocked by a chunk that waits.
 * A repeat of a chunk whose older landing is still open proves that the sender gave up that rail:
 * the old leg is ended first, and the chunk is taken when its landing is closed. Thread: the engine
 * of the rail, except where said.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "ucx-transport/xp_bulk_int.h"

static void answer_locked(struct xp_transfer *t, enum xp_note_kind kind, uint32_t index)
{
    xp_note_send_locked(
        t->conn, XP_WIRE_CHUNK_NOTE, /* result */ 0,
        &(struct xp_note){
            .kind = kind, .id = t->bulk.id, .index = index, .attempt = t->chunks[index].attempt});
}

void xp_transfer_ready_locked(struct xp_transfer *t)
{
    t->held = t->conflict = false;
    xp_note_send_locked(t->conn, XP_WIRE_CHUNK_NOTE, /* result */ 0,
                        &(struct xp_note){.kind = XP_NOTE_READY, .id = t->bulk.id});
}

/* ---------------------------------------------------------------- before the receiver is there */

static struct xp_early *early_find_locked(struct xp_conn *conn, uint64_t id)
{
    struct xp_early *early = fab_map_find(&conn->early, id);

    if (early || conn->early.count >= conn->limits.transfers)
        return early;
    early = fab_alloc_zeroed(1, sizeof(*early));
    if (early && fab_map_put(&conn->early, id, early) != FAB_OK) {
        free(early);
        return NULL;
    }
    return early;
}

enum fab_status xp_bulk_early_locked(struct xp_conn *conn, uint64_t id, enum fab_status failed)
{
    struct xp_early *early = early_find_locked(conn, id);

    if (!early)
        return FAB_ERR_LIMIT;
    if (failed == FAB_OK)
        early->held = true;
    else
        early->failed = failed;
    return FAB_OK;
}

void xp_transfer_take_early_locked(struct xp_transfer *t)
{
    struct xp_early *early = fab_map_remove(&t->conn->early, t->bulk.id);

    if (!early)
        return;
    if (early->failed != FAB_OK)
        xp_transfer_end_locked(t, early->failed);
    else if (early->held)
        xp_transfer_ready_locked(t);
    free(early);
}

/* ---------------------------------------------------------------- places */

static void *registration_of(const struct xp_mem *mem, const struct xp_slot *slot)
{
    return mem ? mem->registrations[slot - slot->node->slots] : NULL;
}

enum fab_status xp_transfer_place(struct xp_transfer *t, uint32_t index, const struct xp_slot *slot,
                                  struct xp_chunk *chunk, struct xp_buffer *buffer_out)
{
    *chunk = (struct xp_chunk){
        .index = index, .direct = slot->caps.direct, .memory = t->bulk.memory, .mem = t->bulk.mem};
    xp_plan_chunk(&t->plan, index, &chunk->offset, &chunk->size_bytes);
    if (t->bulk.ops->place) {
        enum fab_status status = t->bulk.ops->place(t->bulk.user, chunk);

        if (status != FAB_OK)
            return status;
    } else {
        chunk->address = (char *)t->bulk.base + chunk->offset;
    }
    if (!chunk->address || !(chunk->direct & (1u << chunk->memory)))
        return FAB_ERR_UNSUPPORTED; /* device memory on a rail that cannot: the caller stages */
    *buffer_out = (struct xp_buffer){.address = chunk->address,
                                     .size_bytes = chunk->size_bytes,
                                     .memory = chunk->memory,
                                     .registration = registration_of(chunk->mem, slot)};
    return FAB_OK;
}

/* ---------------------------------------------------------------- consumption */

/* The chunk is in use no more: what the sender hears. busy was counted for it. */
static void consumed_locked(struct xp_transfer *t, uint32_t index, enum fab_status status)
{
    struct xp_chunk_record *record = &t->chunks[index];

    fab_assert(record->state == XP_CHUNK_LANDED);
    t->busy--;
    if (status == FAB_OK) {
        record->state = XP_CHUNK_DONE;
        t->done_count++;
        if (!t->ended)
            answer_locked(t, XP_NOTE_ACK, index);
    } else {
        record->state = XP_CHUNK_READY;
        if (status == FAB_ERR_AGAIN && !t->ended)
            answer_locked(t, XP_NOTE_AGAIN, index);
        else
            xp_transfer_fail_locked(t, status);
    }
    xp_transfer_settle_locked(t);
}

void xp_bulk_consumed(struct xp_transfer *t, uint32_t chunk_index, enum fab_status status)
{
    struct xp_conn *conn = t->conn;
    bool push;

    if (xp_node_is_foreign(conn->node))
        return;
    fab_mutex_lock(&conn->lock);
    push = xp_conn_push_begin_locked(conn);
    consumed_locked(t, chunk_index, status);
    fab_mutex_unlock(&conn->lock);
    xp_conn_push_end(conn, push);
}

/* ---------------------------------------------------------------- landing */

static void on_landed(struct xp_landing *landing, enum fab_status status)
{
    struct xp_arrival *arrival =
        (struct xp_arrival *)(void *)((char *)landing - offsetof(struct xp_arrival, landing));
    struct xp_life *life = arrival->life;
    struct xp_transfer *t = arrival->transfer;
    struct xp_conn *conn = t->conn;
    uint64_t now_ns = fab_clock_now_ns(conn->node->clock);
    struct xp_chunk_record *record = &t->chunks[arrival->index];
    struct xp_chunk chunk = {.index = arrival->index,
                             .address = landing->place.address,
                             .memory = landing->place.memory};
    bool tell = false, push;

    xp_plan_chunk(&t->plan, chunk.index, &chunk.offset, &chunk.size_bytes);
    memcpy(chunk.digest, arrival->digest, XP_DIGEST_BYTES);
    fab_mutex_lock(&conn->lock);
    push = xp_conn_push_begin_locked(conn);
    arrival->transfer = NULL;
    life->arrival_count--;
    life->heard_ns = now_ns;
    if (status == FAB_OK && !t->ended) {
        xp_leg_sample_locked(life->leg, now_ns - arrival->accepted_ns);
        life->leg->stats.received_chunks++;
        life->leg->stats.received_bytes += chunk.size_bytes;
        record->state = XP_CHUNK_LANDED;
        tell = t->bulk.ops->moved != NULL;
        if (tell)
            t->busy++; /* the callback below, beside the chunk itself */
        else
            consumed_locked(t, chunk.index, FAB_OK);
    } else {
        record->state = XP_CHUNK_READY;
        t->busy--;
    }
    if (t->conflict && !t->ended)
        xp_transfer_ready_locked(t);
    xp_transfer_settle_locked(t);
    fab_mutex_unlock(&conn->lock);
    xp_conn_push_end(conn, push);
    if (tell) {
        t->bulk.ops->moved(t->bulk.user, &chunk);
        xp_transfer_unpin(t);
    }
    xp_bulk_run_finished(conn);
}

static struct xp_arrival *free_arrival(struct xp_life *life)
{
    for (size_t i = 0; i < FAB_ARRAY_LEN(life->arrivals); i++) {
        if (!life->arrivals[i].transfer)
            return &life->arrivals[i];
    }
    return NULL;
}

/* place() gave a buffer: lets the backend move the bytes. Without the lock. */
static void land(struct xp_life *life, struct xp_transfer *t, const struct xp_chunk_header *header,
                 const struct xp_buffer *buffer, struct xp_offer *offer)
{
    struct xp_conn *conn = t->conn;
    struct xp_arrival *arrival = free_arrival(life);

    fab_assert(arrival); /* admit_locked() counted */
    *arrival = (struct xp_arrival){.landing = {.place = *buffer, .done = on_landed},
                                   .life = life,
                                   .transfer = t,
                                   .index = header->index,
                                   .accepted_ns = life->leg->slot->engine->now_ns};
    memcpy(arrival->digest, header->digest, XP_DIGEST_BYTES);
    fab_mutex_lock(&conn->lock);
    life->arrival_count++;
    fab_mutex_unlock(&conn->lock);
    if (life->leg->slot->backend->accept(offer, &arrival->landing) == FAB_OK)
        return;
    fab_mutex_lock(&conn->lock);
    arrival->transfer = NULL;
    life->arrival_count--;
    t->chunks[header->index].state = XP_CHUNK_READY;
    t->busy--;
    if (!t->ended)
        answer_locked(t, XP_NOTE_AGAIN, header->index);
    xp_transfer_settle_locked(t);
    fab_mutex_unlock(&conn->lock);
}

/* place() had none. */
static void not_placed(struct xp_transfer *t, uint32_t index, enum fab_status status,
                       uint32_t resumes)
{
    struct xp_conn *conn = t->conn;

    fab_mutex_lock(&conn->lock);
    t->chunks[index].state = XP_CHUNK_READY;
    t->busy--;
    if (status != FAB_ERR_AGAIN) {
        xp_transfer_fail_locked(t, status);
    } else if (!t->ended) {
        answer_locked(t, XP_NOTE_HOLD, index);
        t->held = true;
        if (t->resumes != resumes && !t->conflict)
            xp_transfer_ready_locked(t); /* there is room meanwhile */
    }
    xp_transfer_settle_locked(t);
    fab_mutex_unlock(&conn->lock);
}

/* ---------------------------------------------------------------- offers */

/* The first header fixes the plan; FAB_ERR_PROTOCOL: it does not fit the transfer. */
static enum fab_status check_plan_locked(struct xp_transfer *t,
                                         const struct xp_chunk_header *header)
{
    uint32_t least = t->conn->limits.chunk_bytes < XP_UNIT_MIN_BYTES ? t->conn->limits.chunk_bytes
                                                                     : XP_UNIT_MIN_BYTES;
    uint32_t size_bytes;
    uint64_t offset;

    if (header->total_bytes != t->bulk.size_bytes)
        return FAB_ERR_PROTOCOL;
    if (!t->chunks) {
        if (header->unit_bytes < least || header->unit_bytes > t->conn->limits.chunk_bytes ||
            xp_plan_make(t->bulk.size_bytes, header->unit_bytes, &t->plan) != FAB_OK)
            return FAB_ERR_PROTOCOL;
        t->chunks = fab_alloc_zeroed(t->plan.chunk_count, sizeof(*t->chunks));
        if (!t->chunks)
            return FAB_ERR_NOMEM;
    }
    if (header->unit_bytes != t->plan.unit_bytes || header->index >= t->plan.chunk_count)
        return FAB_ERR_PROTOCOL;
    xp_plan_chunk(&t->plan, header->index, &offset, &size_bytes);
    return offset == header->offset && size_bytes == header->body_bytes ? FAB_OK : FAB_ERR_PROTOCOL;
}

/* A sound offer of a chunk that is not simply new: says what the sender must know. */
static void repeated_locked(struct xp_life *life, struct xp_transfer *t,
                            const struct xp_chunk_header *header)
{
    struct xp_chunk_record *record = &t->chunks[header->index];

    if (header->attempt <= record->attempt)
        return; /* the wire's own repeat: answered, or about to be */
    record->attempt = header->attempt;
    if (record->state == XP_CHUNK_DONE)
        answer_locked(t, XP_NOTE_ACK, header->index);
    if (record->state != XP_CHUNK_LANDING)
        return; /* LANDED: acknowledged when consumed */
    answer_locked(t, XP_NOTE_HOLD, header->index);
    t->held = t->conflict = true;
    if (record->life != life)
        xp_life_doom_locked(record->life, "the peer sends its chunks elsewhere");
}

/* Whether the chunk may be placed; if so it is LANDING and the transfer is pinned. */
static struct xp_transfer *admit_locked(struct xp_life *life, const struct xp_chunk_header *header)
{
    struct xp_conn *conn = life->leg->conn;
    struct xp_transfer *t = fab_map_find(&conn->receiving, header->transfer_id);
    struct xp_chunk_record *record;
    enum fab_status status;

    if (life->state != XP_LIFE_UP || conn->state != XP_CONN_LIVE)
        return NULL;
    if (!t) {
        struct xp_note note = {.kind = XP_NOTE_HOLD,
                               .id = header->transfer_id,
                               .index = header->index,
                               .attempt = header->attempt};

        if (xp_bulk_early_locked(conn, header->transfer_id, FAB_OK) != FAB_OK)
            xp_conn_lose_locked(conn, FAB_ERR_PROTOCOL, "chunks of too many unknown transfers");
        xp_note_send_locked(conn, XP_WIRE_CHUNK_NOTE, /* result */ 0, &note);
        return NULL;
    }
    if (t->ended)
        return NULL;
    status = check_plan_locked(t, header);
    if (status != FAB_OK) {
        xp_transfer_fail_locked(t, status);
        return NULL;
    }
    record = &t->chunks[header->index];
    if (record->state != XP_CHUNK_READY || header->attempt <= record->attempt) {
        repeated_locked(life, t, header);
        return NULL;
    }
    if (life->arrival_count >= FAB_ARRAY_LEN(life->arrivals)) {
        xp_conn_lose_locked(conn, FAB_ERR_PROTOCOL, "more chunks than agreed");
        return NULL;
    }
    *record = (struct xp_chunk_record){
        .state = XP_CHUNK_LANDING, .attempt = header->attempt, .life = life};
    t->busy++;
    return t;
}

void xp_bulk_offer(struct xp_life *life, const struct xp_chunk_header *header,
                   struct xp_offer *offer)
{
    struct xp_conn *conn = life->leg->conn;
    struct xp_buffer buffer;
    struct xp_chunk chunk;
    struct xp_transfer *t;
    enum fab_status status;
    uint32_t resumes = 0;

    fab_mutex_lock(&conn->lock);
    t = admit_locked(life, header);
    if (t)
        resumes = t->resumes;
    fab_mutex_unlock(&conn->lock);
    if (!t) {
        life->leg->slot->backend->refuse(offer);
        xp_bulk_run_finished(conn);
        return;
    }
    status = xp_transfer_place(t, header->index, life->leg->slot, &chunk, &buffer);
    if (status == FAB_OK) {
        land(life, t, header, &buffer, offer);
    } else {
        life->leg->slot->backend->refuse(offer);
        not_placed(t, header->index, status, resumes);
    }
    xp_bulk_run_finished(conn);
}
