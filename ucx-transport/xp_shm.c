/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_shm.c - the backend for one host: two rings in a memfd for each endpoint.
 *
 * A frame is written whole or not at all. A chunk's body streams through the ring in steps, so a
 * chunk may be larger than the ring and both ends copy at the same time; unless it lies in memory
 * that the peer has mapped: then it is lent, and the peer copies it from there. Everything in the
 * ring may change under our hands: records are copied out and checked, and a ring whose positions
 * cannot be fails its endpoint. Sockets: xp_shm_socket.c; windows: xp_shm_memory.c.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "ucx-transport/xp_bytes.h"
#include "ucx-transport/xp_shm_int.h"

static size_t padded(uint64_t bytes)
{
    return (size_t)((bytes + SHM_RECORD_BYTES - 1) & ~(uint64_t)(SHM_RECORD_BYTES - 1));
}

/* ---------------------------------------------------------------- endpoints */

bool shm_has_fds(const struct xp_wire *wire)
{
    return wire->config.events->has_fds(wire->config.core);
}

void shm_wake_peer(struct xp_ep *ep)
{
    /* A full socket holds wake-ups enough. */
    if (shm_has_fds(ep->wire))
        (void)shm_say(ep->fd, SHM_WORD_WAKE, NULL, /* passed_fd */ -1);
}

void shm_ep_hung(struct xp_ep *ep)
{
    ep->hung = true;
}

struct xp_ep *shm_ep_create(struct xp_wire *wire, int fd, void *memory, bool connector, void *owner)
{
    struct xp_ep *ep = fab_alloc_zeroed(1, sizeof(*ep));
    char *rings = memory;

    if (!ep)
        return NULL;
    ep->wire = wire;
    ep->owner = owner;
    ep->fd = fd;
    ep->death_fd = -1;
    ep->memory = memory;
    fab_list_init(&ep->sends);
    fab_list_init(&ep->lent);
    fab_vec_init(&ep->forgets, sizeof(uint64_t));
    xp_ring_init(&ep->out, rings + (connector ? 0 : SHM_RING_BYTES), SHM_CAPACITY_BYTES);
    xp_ring_init(&ep->in, rings + (connector ? SHM_RING_BYTES : 0), SHM_CAPACITY_BYTES);
    fab_mutex_lock(&wire->lock);
    fab_list_append(&wire->eps, &ep->link);
    fab_mutex_unlock(&wire->lock);
    return ep;
}

static void ep_free(struct xp_ep *ep)
{
    shm_views_free(ep);
    if (ep->wire->recent == ep)
        ep->wire->recent = NULL;
    fab_mutex_lock(&ep->wire->lock);
    fab_list_remove(&ep->link);
    fab_mutex_unlock(&ep->wire->lock);
    (void)munmap(ep->memory, 2 * (size_t)SHM_RING_BYTES);
    if (shm_has_fds(ep->wire)) /* leaves the epoll set by itself: the descriptor is not shared */
        (void)close(ep->fd);
    if (ep->death_fd >= 0 && shm_has_fds(ep->wire))
        (void)close(ep->death_fd);
    free(ep);
}

static void cancel_all(struct fab_list *sends)
{
    struct fab_list *node;

    while ((node = fab_list_take(sends)) != NULL) {
        struct xp_send *send = fab_list_object(node, struct xp_send, link);

        send->done(send, FAB_ERR_CANCELLED);
    }
}

static void finish_close(struct xp_ep *ep)
{
    const struct xp_wire_events *events = ep->wire->config.events;
    struct xp_landing *landing = ep->landing;
    void *owner = ep->owner;

    ep->landing = NULL;
    if (landing)
        landing->done(landing, FAB_ERR_CANCELLED);
    xp_ring_close(&ep->out); /* the peer may be copying what is lent */
    cancel_all(&ep->lent);
    cancel_all(&ep->sends);
    ep_free(ep);
    events->ep_closed(owner);
}

static void ep_own(struct xp_ep *ep, void *owner)
{
    ep->owner = owner;
}

static void ep_close(struct xp_ep *ep)
{
    ep->closing = true;
    ep->wire->look_at_sockets = true;
}

static void ep_proved(struct xp_ep *ep)
{
    fab_mutex_lock(&ep->wire->lock);
    if (!ep->proved)
        shm_memory_tell_locked(ep);
    ep->proved = true;
    fab_mutex_unlock(&ep->wire->lock);
}

/* ---------------------------------------------------------------- sending */

/* The bytes, filled up with zeros; what follows them. */
static uint8_t *put_padded(uint8_t *to, const void *bytes, size_t size_bytes)
{
    size_t all = padded(size_bytes);

    if (all > size_bytes)
        memset(to + all - SHM_RECORD_BYTES, 0, SHM_RECORD_BYTES);
    if (size_bytes)
        memcpy(to, bytes, size_bytes);
    return to + all;
}

static void encode_record(uint8_t record[SHM_RECORD_BYTES], uint16_t kind,
                          const struct xp_send *send)
{
    xp_put16(record, kind);
    xp_put16(record + 2, (uint16_t)send->header_bytes);
    xp_put32(record + 4, 0);
    xp_put64(record + 8, send->body.size_bytes);
}

static void write_record(struct xp_ep *ep, uint16_t kind, const struct xp_send *send)
{
    static const uint8_t zeros[SHM_RECORD_BYTES];
    uint8_t record[SHM_RECORD_BYTES];

    encode_record(record, kind, send);
    xp_ring_write(&ep->out, record, sizeof(record));
    xp_ring_write(&ep->out, send->header, send->header_bytes);
    xp_ring_write(&ep->out, zeros, padded(send->header_bytes) - send->header_bytes);
}

static void write_padding(struct xp_ep *ep, uint64_t body_bytes)
{
    static const uint8_t zeros[SHM_RECORD_BYTES];

    xp_ring_write(&ep->out, zeros, padded(body_bytes) - (size_t)body_bytes);
}

static void write_frame(struct xp_ep *ep, const struct xp_send *send)
{
    size_t header_bytes = padded(send->header_bytes), body_bytes = padded(send->body.size_bytes);
    uint8_t *at = xp_ring_pass(&ep->out, SHM_RECORD_BYTES + header_bytes + body_bytes);

    if (!at) {
        write_record(ep, SHM_RECORD_FRAME, send);
        xp_ring_write(&ep->out, send->body.address, send->body.size_bytes);
        write_padding(ep, send->body.size_bytes);
        return;
    }
    encode_record(at, SHM_RECORD_FRAME, send);
    at = put_padded(at + SHM_RECORD_BYTES, send->header, send->header_bytes);
    (void)put_padded(at, send->body.address, send->body.size_bytes);
}

static void publish(struct xp_ep *ep)
{
    ep->wire->recent = ep;
    if (xp_ring_publish(&ep->out))
        shm_wake_peer(ep);
}

static size_t record_room(const struct xp_send *send)
{
    return SHM_RECORD_BYTES + padded(send->header_bytes);
}

static void lend(struct xp_ep *ep, struct xp_send *send, uint64_t id, uint64_t offset)
{
    uint8_t loan[SHM_LOAN_BYTES];

    xp_put64(loan, id);
    xp_put64(loan + 8, offset);
    write_record(ep, SHM_RECORD_LENT, send);
    xp_ring_write(&ep->out, loan, sizeof(loan));
    send->backend_data =
        (void *)(uintptr_t)ep->out.position; /* read up to here: it is ours again */
    fab_list_remove(&send->link);
    fab_list_append(&ep->lent, &send->link);
    publish(ep);
}

static uint64_t loan_end(const struct xp_ep *ep)
{
    return (uintptr_t)fab_list_object(ep->lent.next, struct xp_send, link)->backend_data;
}

/* Chunks that the peer has copied; true if any. */
static bool take_back(struct xp_ep *ep)
{
    bool did = false;

    FAB_LIST_EACH(node, after, &ep->lent)
    {
        struct xp_send *send = fab_list_object(node, struct xp_send, link);

        if (!xp_ring_is_read(&ep->out, (uintptr_t)send->backend_data))
            break;
        fab_list_remove(node);
        send->done(send, FAB_OK);
        did = true;
    }
    return did;
}

/* Writes what fits of the chunks that wait; true if anything was. */
static bool pump_chunks(struct xp_ep *ep)
{
    bool did = false;

    while (!fab_list_is_empty(&ep->sends)) {
        struct xp_send *send = fab_list_object(ep->sends.next, struct xp_send, link);
        uint64_t room = xp_ring_room(&ep->out), left = send->body.size_bytes - ep->sent_bytes;
        uint64_t id, offset;

        if (!ep->record_written && shm_memory_lends(ep, &send->body, &id, &offset)) {
            if (room < record_room(send) + SHM_LOAN_BYTES)
                return did;
            lend(ep, send, id, offset);
            did = true;
            continue;
        }
        if (!ep->record_written) {
            if (room < record_room(send))
                return did;
            write_record(ep, SHM_RECORD_CHUNK, send);
            ep->record_written = true;
            room -= record_room(send);
        }
        if (left > SHM_STEP_BYTES)
            left = SHM_STEP_BYTES;
        if (left > room)
            left = room;
        xp_ring_write(&ep->out, (const uint8_t *)send->body.address + ep->sent_bytes, left);
        ep->sent_bytes += left;
        room -= left;
        if (ep->sent_bytes == send->body.size_bytes && room >= SHM_RECORD_BYTES) {
            write_padding(ep, send->body.size_bytes);
            ep->sent_bytes = 0;
            ep->record_written = false;
            fab_list_remove(&send->link);
            publish(ep);
            send->done(send, FAB_OK);
            did = true;
            continue;
        }
        publish(ep);
        if (left == 0)
            return did;
        did = true;
    }
    return did;
}

static enum fab_status send_any(struct xp_ep *ep, struct xp_send *send)
{
    size_t needed = record_room(send) + padded(send->body.size_bytes);

    if (ep->hung || ep->closing || ep->out.broken)
        return FAB_ERR_LINK_LOST;
    fab_list_init(&send->link);
    if (send->chunk) {
        fab_list_append(&ep->sends, &send->link);
        (void)pump_chunks(ep);
        return FAB_OK;
    }
    /* A frame does not cut into a chunk, and keeps its place behind it. */
    if (ep->record_written || xp_ring_room(&ep->out) < needed) {
        ep->stalled = true;
        return FAB_ERR_AGAIN;
    }
    write_frame(ep, send);
    publish(ep);
    send->done(send, FAB_OK);
    return FAB_OK;
}

/* ---------------------------------------------------------------- receiving */

static enum fab_status accept_offer(struct xp_offer *offer, struct xp_landing *landing)
{
    offer->answered = true;
    offer->ep->landing = landing;
    return FAB_OK;
}

static void refuse_offer(struct xp_offer *offer)
{
    offer->answered = true;
}

static void landed(struct xp_ep *ep)
{
    struct xp_landing *landing = ep->landing;

    ep->landing = NULL;
    if (ep->borrowed) /* before the acknowledgement, which has the peer take it back */
        ep->wake_due = xp_ring_release(&ep->in) || ep->wake_due;
    ep->borrowed = false;
    if (landing)
        landing->done(landing, FAB_OK);
}

/* The same for a lent chunk: from the peer's memory. */
static bool copy_loan(struct xp_ep *ep)
{
    const struct xp_buffer *place = &ep->landing->place;
    uint64_t done = place->size_bytes - ep->body_left;
    uint64_t step = ep->body_left < SHM_LOAN_STEP_BYTES ? ep->body_left : SHM_LOAN_STEP_BYTES;
    const void *from = shm_view(ep, ep->loan_id, ep->loan_offset + done, step, /* write */ false);

    if (!from) { /* what was said on the socket before the record may not have been heard yet */
        shm_ep_hear(ep);
        from = shm_view(ep, ep->loan_id, ep->loan_offset + done, step, /* write */ false);
    }
    if (!from) {
        ep->in.broken = true;
        return false;
    }
    memcpy((uint8_t *)place->address + done, from, step);
    ep->body_left -= step;
    if (ep->body_left > 0)
        return true;
    if (xp_ring_is_closed(&ep->in)) {
        ep->body_left = step; /* never at its end: the peer takes the endpoint away */
        ep->in.broken = true;
        return false;
    }
    landed(ep);
    return true;
}

/* The body of the chunk that is coming in; true if anything moved. */
static bool receive_body(struct xp_ep *ep, uint64_t available)
{
    struct xp_landing *landing = ep->landing;
    uint64_t step = ep->body_left;

    if (step > SHM_STEP_BYTES)
        step = SHM_STEP_BYTES;
    if (step > available)
        step = available;
    if (landing) {
        uint64_t done = landing->place.size_bytes - ep->body_left;

        xp_ring_read(&ep->in, (uint8_t *)landing->place.address + done, step);
    } else {
        xp_ring_read(&ep->in, NULL, step);
    }
    ep->body_left -= step;
    if (ep->body_left > 0)
        return step > 0;
    landed(ep);
    return true;
}

/* Copies out, and skips what fills up. */
static void read_padded(struct xp_ep *ep, uint8_t *to, size_t size_bytes)
{
    const uint8_t *from = xp_ring_pass(&ep->in, padded(size_bytes));

    if (from) {
        memcpy(to, from, size_bytes);
        return;
    }
    xp_ring_read(&ep->in, to, size_bytes);
    xp_ring_read(&ep->in, NULL, padded(size_bytes) - size_bytes);
}

/* Header and body in one copy. */
static void receive_frame(struct xp_ep *ep, size_t header_bytes, size_t body_bytes)
{
    const struct xp_wire *wire = ep->wire;

    read_padded(ep, wire->frame, padded(header_bytes) + padded(body_bytes));
    wire->config.events->frame(wire->config.core, ep, wire->frame, header_bytes,
                               wire->frame + padded(header_bytes), body_bytes);
    if (!ep->owner)
        ep_close(ep); /* a stranger */
}

static void receive_chunk(struct xp_ep *ep, size_t header_bytes, uint64_t body_bytes, bool lent)
{
    struct xp_offer offer = {.ep = ep};
    uint8_t header[XP_HEADER_MAX_BYTES], loan[SHM_LOAN_BYTES];

    read_padded(ep, header, header_bytes);
    if (lent) {
        xp_ring_read(&ep->in, loan, sizeof(loan));
        ep->loan_id = xp_get64(loan);
        ep->loan_offset = xp_get64(loan + 8);
    }
    ep->body_left = body_bytes;
    ep->pad_left = lent ? 0 : padded(body_bytes) - body_bytes;
    ep->wire->config.events->offer(ep->wire->config.core, ep, header, header_bytes, body_bytes,
                                   &offer);
    /* A landing counts from its place's size down; a larger place than body is not ours to fill. */
    if (ep->landing)
        ep->landing->place.size_bytes = body_bytes;
    ep->borrowed = lent && ep->landing;
    if (lent && !ep->landing)
        ep->body_left = 0;
}

/* Bytes after the record and header that must be there before the record is taken; UINT64_MAX: no
 * such record can be. */
static uint64_t tail_bytes(uint16_t kind, uint64_t body_bytes)
{
    switch (kind) {
    case SHM_RECORD_FRAME:
        return body_bytes <= SHM_FRAME_BODY_MAX_BYTES ? padded(body_bytes) : UINT64_MAX;
    case SHM_RECORD_CHUNK:
        return body_bytes > 0 && body_bytes <= UINT32_MAX ? 0 : UINT64_MAX;
    case SHM_RECORD_LENT:
        return body_bytes > 0 && body_bytes <= UINT32_MAX ? SHM_LOAN_BYTES : UINT64_MAX;
    default:
        return UINT64_MAX;
    }
}

static bool receive_record(struct xp_ep *ep, uint64_t available)
{
    uint8_t record[SHM_RECORD_BYTES];
    uint64_t position = ep->in.position, body_bytes, tail;
    uint16_t kind, header_bytes;

    if (available < SHM_RECORD_BYTES)
        return false;
    ep->wire->recent = ep;
    read_padded(ep, record, sizeof(record));
    kind = xp_get16(record);
    header_bytes = xp_get16(record + 2);
    body_bytes = xp_get64(record + 8);
    tail = tail_bytes(kind, body_bytes);
    if (tail == UINT64_MAX || header_bytes == 0 || header_bytes > XP_HEADER_MAX_BYTES) {
        ep->in.broken = true;
        return false;
    }
    if (available < SHM_RECORD_BYTES + padded(header_bytes) + tail) {
        ep->in.position = position; /* the rest is still being written */
        return false;
    }
    ep->was_frame = kind == SHM_RECORD_FRAME;
    if (ep->was_frame)
        receive_frame(ep, header_bytes, (size_t)body_bytes);
    else
        receive_chunk(ep, header_bytes, body_bytes, kind == SHM_RECORD_LENT);
    return true;
}

/* One record, or as much of a body as is there; false: nothing more now. */
static bool receive_one(struct xp_ep *ep)
{
    uint64_t available = xp_ring_available(&ep->in);

    if (ep->in.broken)
        return false;
    if (ep->borrowed)
        return copy_loan(ep);
    if (ep->body_left > 0)
        return available > 0 && receive_body(ep, available);
    if (ep->pad_left > 0) {
        if (available < ep->pad_left)
            return false;
        xp_ring_read(&ep->in, NULL, ep->pad_left);
        ep->pad_left = 0;
        return true;
    }
    return receive_record(ep, available);
}

static bool receive(struct xp_ep *ep)
{
    enum { RECORDS_PER_TURN = 64 };
    bool did = false;

    for (int i = 0; i < RECORDS_PER_TURN && !ep->closing && receive_one(ep); i++) {
        did = true;
        /* What is borrowed goes back with its record. */
        if (!ep->borrowed &&
            (ep->was_frame ? xp_ring_release_soon(&ep->in) : xp_ring_release(&ep->in)))
            shm_wake_peer(ep);
    }
    if (ep->wake_due && !ep->borrowed && xp_ring_available(&ep->in) == 0) {
        ep->wake_due = false;
        shm_wake_peer(ep);
    }
    return did;
}

/* ---------------------------------------------------------------- wires */

static void wire_close(struct xp_wire *wire)
{
    FAB_LIST_EACH(node, after, &wire->strangers)
    shm_stranger_free(fab_list_object(node, struct shm_stranger, link));
    FAB_LIST_EACH(node, after, &wire->eps)
    ep_free(fab_list_object(node, struct xp_ep, link));
    if (wire->listen_fd >= 0)
        (void)close(wire->listen_fd);
    if (wire->epoll_fd >= 0)
        (void)close(wire->epoll_fd);
    if (wire->path[0])
        (void)unlink(wire->path);
    fab_mutex_fini(&wire->words_lock);
    fab_mutex_fini(&wire->lock);
    free(wire->frame);
    free(wire);
}

static enum fab_status wire_open(const struct xp_wire_config *config, struct xp_wire **wire_out,
                                 struct fab_err *err)
{
    struct xp_wire *wire = fab_alloc_zeroed(1, sizeof(*wire));
    enum fab_status status;

    if (!wire)
        return fab_err_set(err, FAB_ERR_NOMEM, "wire");
    wire->config = *config;
    wire->listen_fd = wire->epoll_fd = -1;
    fab_list_init(&wire->eps);
    fab_list_init(&wire->strangers);
    fab_list_init(&wire->memories);
    fab_mutex_init(&wire->lock);
    fab_mutex_init(&wire->words_lock);
    wire->frame = fab_alloc(padded(XP_HEADER_MAX_BYTES) + padded(SHM_FRAME_BODY_MAX_BYTES));
    status =
        wire->frame ? shm_listen(wire, err) : fab_err_set(err, FAB_ERR_NOMEM, "a frame's memory");
    if (status != FAB_OK) {
        wire_close(wire);
        return status;
    }
    wire->config.device = NULL; /* borrowed for this call only */
    *wire_out = wire;
    return FAB_OK;
}

static const uint8_t *wire_address(const struct xp_wire *wire, size_t *size_bytes_out)
{
    *size_bytes_out = wire->address_bytes;
    return (const uint8_t *)&wire->address;
}

static void wire_caps(const struct xp_wire *wire, struct xp_wire_caps *caps_out)
{
    (void)wire;
    *caps_out = (struct xp_wire_caps){
        .direct = 1u << XP_MEMORY_HOST, .same_host_only = true, .in_passing = true, .quick = true};
}

/* What an endpoint has to do; true if anything was done. */
static bool tend(struct xp_ep *ep)
{
    const struct xp_wire_events *events = ep->wire->config.events;
    bool did;

    if (ep->closing) {
        finish_close(ep);
        return true;
    }
    did = receive(ep);
    if (!ep->closing) {
        did = take_back(ep) || did;
        did = pump_chunks(ep) || did;
    }
    if (ep->stalled && !ep->record_written && xp_ring_room(&ep->out) > SHM_CAPACITY_BYTES / 2) {
        ep->stalled = false;
        did = true;
    }
    /* What it had published before it died still counts. */
    if (!ep->told_failed && !ep->closing &&
        (ep->in.broken || ep->out.broken || (ep->hung && !did))) {
        ep->told_failed = true;
        if (ep->owner)
            events->ep_failed(ep->owner, FAB_ERR_PEER_LOST, "the peer's process is gone");
        else
            ep_close(ep);
        did = true;
    }
    return did;
}

static bool progress(struct xp_wire *wire)
{
    bool did = false;

    if (wire->look_at_sockets || ++wire->turns % SHM_SOCKET_TURNS == 0) {
        wire->look_at_sockets = false;
        did = shm_sockets_look(wire);
    }
    FAB_LIST_EACH(node, after, &wire->eps)
    did = tend(fab_list_object(node, struct xp_ep, link)) || did;
    return did;
}

static bool is_quiet(const struct xp_wire *wire)
{
    if (wire->look_at_sockets)
        return false;
    FAB_LIST_EACH(node, after, &wire->eps)
    {
        const struct xp_ep *ep = fab_list_object(node, struct xp_ep, link);

        if (xp_ring_has_news(&ep->in) || ep->closing || ep->hung || ep->stalled || ep->wake_due ||
            ep->borrowed || !fab_list_is_empty(&ep->sends) || !fab_list_is_empty(&ep->lent))
            return false;
    }
    return true;
}

static bool shares_core(const struct xp_wire *wire)
{
    return wire->recent && xp_ring_shares_core(&wire->recent->in);
}

static int event_fd(const struct xp_wire *wire)
{
    return wire->epoll_fd;
}

/* The room in the ring out at which there is something to do; UINT64_MAX: none. */
static uint64_t room_wanted(const struct xp_ep *ep)
{
    uint64_t wanted = ep->stalled ? SHM_CAPACITY_BYTES / 2 + 1 : UINT64_MAX, loan;

    if (!fab_list_is_empty(&ep->sends) && wanted > SHM_RECORD_BYTES)
        wanted = SHM_RECORD_BYTES;
    if (!fab_list_is_empty(&ep->lent)) {
        loan = ep->out.capacity - (ep->out.position - loan_end(ep));
        wanted = loan < wanted ? loan : wanted;
    }
    return wanted;
}

static enum fab_status arm(struct xp_wire *wire)
{
    wire->look_at_sockets = true;
    FAB_LIST_EACH(node, after, &wire->eps)
    {
        struct xp_ep *ep = fab_list_object(node, struct xp_ep, link);
        uint64_t wanted = room_wanted(ep);

        if (ep->closing || (ep->hung && !ep->told_failed))
            return FAB_ERR_AGAIN;
        if (ep->hung)
            continue;
        xp_ring_tell_core(&ep->out);
        if (!ep->borrowed && ep->in.released != ep->in.position && xp_ring_release(&ep->in))
            shm_wake_peer(ep);
        if (ep->borrowed || !xp_ring_reader_sleeps(&ep->in))
            return FAB_ERR_AGAIN;
        if (wanted != UINT64_MAX && !xp_ring_writer_sleeps(&ep->out, wanted))
            return FAB_ERR_AGAIN;
    }
    return FAB_OK;
}

const struct xp_backend xp_backend_shm = {
    .name = "shm",
    .wire_open = wire_open,
    .wire_close = wire_close,
    .wire_address = wire_address,
    .wire_caps = wire_caps,
    .ep_open = shm_connect,
    .ep_own = ep_own,
    .ep_proved = ep_proved,
    .ep_close = ep_close,
    .send = send_any,
    .accept = accept_offer,
    .refuse = refuse_offer,
    .progress = progress,
    .is_quiet = is_quiet,
    .shares_core = shares_core,
    .event_fd = event_fd,
    .arm = arm,
    .mem_register = shm_mem_register,
    .mem_unregister = shm_mem_unregister,
    .view = shm_view,
};
