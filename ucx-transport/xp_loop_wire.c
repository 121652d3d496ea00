/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_loop_wire.c - the backend over the loop network: endpoints, offers, delivery.
 *
 * Thread: the engine of the wire; what both ends touch is under the network's lock.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/fault.h"
#include "ucx-transport/xp_bytes.h"
#include "ucx-transport/xp_loop_int.h"

/* ---------------------------------------------------------------- wires */

static enum fab_status wire_open(const struct xp_wire_config *config, struct xp_wire **wire_out,
                                 struct fab_err *err)
{
    struct xp_loop *loop = config->context;
    struct xp_wire *wire = fab_alloc_zeroed(1, sizeof(*wire));

    if (!wire)
        return fab_err_set(err, FAB_ERR_NOMEM, "wire");
    wire->loop = loop;
    wire->config = *config;
    (void)snprintf(wire->name, sizeof(wire->name), "%s", config->device);
    wire->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wire->event_fd < 0) {
        free(wire);
        return fab_err_set(err, FAB_ERR_IO, "a wire's descriptor");
    }
    fab_list_init(&wire->queue);
    fab_list_init(&wire->eps);
    fab_mutex_lock(&loop->lock);
    wire->id = ++loop->next_wire_id;
    xp_put64(wire->address, wire->id);
    fab_list_append(&loop->wires, &wire->link);
    fab_mutex_unlock(&loop->lock);
    *wire_out = wire;
    return FAB_OK;
}

static void leave_pipe(struct pipe *pipe, const struct xp_wire *wire)
{
    for (int side = 0; pipe && side < 2; side++) {
        if (pipe->wires[side] == wire) {
            pipe->wires[side] = NULL;
            loop_fail_pipe(pipe);
        }
    }
}

static void wire_close(struct xp_wire *wire)
{
    fab_mutex_lock(&wire->loop->lock);
    fab_list_remove(&wire->link);
    FAB_LIST_EACH(node, after, &wire->queue)
    loop_item_free(fab_list_object(node, struct item, link));
    FAB_LIST_EACH(node, after, &wire->eps)
    {
        struct xp_ep *ep = fab_list_object(node, struct xp_ep, link);

        ep->pipe->ends[ep->side] = NULL;
        leave_pipe(ep->pipe, wire);
        loop_pipe_put(ep->pipe);
        free(ep);
    }
    /* Pipes that others hold and whose end here was never made, or is closed. */
    FAB_LIST_EACH(at, after, &wire->loop->wires)
    {
        struct xp_wire *other = fab_list_object(at, struct xp_wire, link);

        FAB_LIST_EACH(end, next, &other->eps)
        leave_pipe(fab_list_object(end, struct xp_ep, link)->pipe, wire);
        FAB_LIST_EACH(queued, then, &other->queue)
        leave_pipe(fab_list_object(queued, struct item, link)->pipe, wire);
    }
    fab_mutex_unlock(&wire->loop->lock);
    (void)close(wire->event_fd);
    free(wire);
}

static const uint8_t *wire_address(const struct xp_wire *wire, size_t *size_bytes_out)
{
    *size_bytes_out = sizeof(wire->address);
    return wire->address;
}

static void wire_caps(const struct xp_wire *wire, struct xp_wire_caps *caps_out)
{
    const struct xp_loop_script *script = &wire->loop->script;
    unsigned digit = (unsigned)(wire->name[strlen(wire->name) - 1] - '0') % 10;

    *caps_out = (struct xp_wire_caps){.direct = (1u << XP_MEMORY_HOST) | script->device_memory_mask,
                                      .same_host_only = script->same_host_mask >> digit & 1};
}

/* ---------------------------------------------------------------- endpoints */

static struct xp_wire *wire_by_id(struct xp_loop *loop, uint64_t id)
{
    FAB_LIST_EACH(node, after, &loop->wires)
    {
        struct xp_wire *wire = fab_list_object(node, struct xp_wire, link);

        if (wire->id == id)
            return wire;
    }
    return NULL;
}

static enum fab_status ep_open(struct xp_wire *wire, const uint8_t *address, size_t address_bytes,
                               void *owner, struct xp_ep **ep_out, struct fab_err *err)
{
    struct xp_loop *loop = wire->loop;
    struct pipe *pipe;
    struct xp_ep *ep = NULL;

    if (address_bytes != ADDRESS_BYTES)
        return fab_err_set(err, FAB_ERR_FORMAT, "a loop address of %zu bytes", address_bytes);
    if (fab_fault("ep_open"))
        return fab_err_set(err, FAB_ERR_UNREACHABLE, "as the test wished");
    pipe = fab_alloc_zeroed(1, sizeof(*pipe));
    if (!pipe)
        return fab_err_set(err, FAB_ERR_NOMEM, "pipe");
    fab_mutex_lock(&loop->lock);
    pipe->wires[0] = wire;
    pipe->wires[1] = wire_by_id(loop, xp_get64(address));
    if (pipe->wires[1])
        pipe->link = loop_link_of(loop, wire->name, pipe->wires[1]->name);
    if (!pipe->wires[1] || !pipe->link || pipe->link->fate == XP_LOOP_BROKEN)
        pipe->failed = true;
    ep = loop_ep_create(pipe, /* side */ 0, owner);
    if (ep && pipe->failed)
        loop_signal_wire(wire);
    fab_mutex_unlock(&loop->lock);
    if (!ep) {
        free(pipe);
        return fab_err_set(err, FAB_ERR_NOMEM, "endpoint");
    }
    *ep_out = ep;
    return FAB_OK;
}

static void ep_own(struct xp_ep *ep, void *owner)
{
    ep->owner = owner;
}

/* Takes every item off the queue that lands through this endpoint. */
static void drop_landings(struct xp_ep *ep)
{
    struct xp_wire *wire = ep->pipe->wires[ep->side];

    FAB_LIST_EACH(node, after, &wire->queue)
    {
        struct item *item = fab_list_object(node, struct item, link);

        if (item->pipe == ep->pipe && item->side == ep->side) {
            fab_list_remove(&item->link);
            loop_item_free(item);
        }
    }
}

/* A chunk of this sender that was not read yet never will be. */
static void forget_sends(struct xp_ep *ep)
{
    struct xp_wire *other = ep->pipe->wires[1 - ep->side];

    if (!other)
        return;
    FAB_LIST_EACH(node, after, &other->queue)
    {
        struct item *item = fab_list_object(node, struct item, link);

        if (item->pipe == ep->pipe && item->kind == ITEM_CHUNK && item->side != ep->side)
            item->send = NULL;
    }
}

static void ep_close(struct xp_ep *ep)
{
    struct xp_loop *loop = ep->pipe->wires[ep->side]->loop;
    struct xp_wire *wire = ep->pipe->wires[ep->side];

    fab_mutex_lock(&loop->lock);
    ep->closing = true;
    forget_sends(ep);
    drop_landings(ep);
    loop_signal_wire(wire);
    fab_mutex_unlock(&loop->lock);
}

/* The second half of ep_close, from progress(). No lock held. */
static void finish_close(struct xp_ep *ep)
{
    struct xp_wire *wire = ep->pipe->wires[ep->side];
    struct xp_loop *loop = wire->loop;
    void *owner = ep->owner;
    struct fab_list *node;

    while ((node = fab_list_take(&ep->sends)) != NULL) {
        struct xp_send *send = fab_list_object(node, struct xp_send, link);

        send->done(send, FAB_ERR_CANCELLED);
    }
    while ((node = fab_list_take(&ep->read)) != NULL) {
        struct xp_send *send = fab_list_object(node, struct xp_send, link);

        send->done(send, FAB_OK);
    }
    while ((node = fab_list_take(&ep->landings)) != NULL) {
        struct xp_landing *landing = fab_list_object(node, struct xp_landing, link);

        landing->done(landing, FAB_ERR_CANCELLED);
    }
    fab_mutex_lock(&loop->lock);
    fab_list_remove(&ep->link);
    ep->pipe->ends[ep->side] = NULL;
    loop_fail_pipe(ep->pipe); /* as a closed connection looks to its peer */
    loop_pipe_put(ep->pipe);
    free(ep);
    fab_mutex_unlock(&loop->lock);
    wire->config.events->ep_closed(owner);
}

/* ---------------------------------------------------------------- sending */

static enum fab_status send_frame(struct xp_loop *loop, struct xp_ep *ep, struct xp_send *send)
{
    struct pipe *pipe = ep->pipe;
    int side = 1 - ep->side;
    int copies = loop_chance(loop, loop->script.duplicate_permille) ? 2 : 1;

    if (loop_chance(loop, loop->script.drop_permille))
        return FAB_OK;
    for (int i = 0; i < copies; i++) {
        struct item *item =
            loop_item_create(ITEM_FRAME, pipe, side, send->header, send->header_bytes,
                             send->body.address, send->body.size_bytes);

        if (!item)
            return FAB_ERR_NOMEM;
        item->due_ns = loop_due_time(loop, pipe, side, /* may_overtake */ true);
        loop_enqueue(pipe->wires[side], item);
    }
    return FAB_OK;
}

static enum fab_status send_chunk(struct xp_loop *loop, struct xp_ep *ep, struct xp_send *send)
{
    struct item *item =
        loop_item_create(ITEM_CHUNK, ep->pipe, 1 - ep->side, send->header, send->header_bytes,
                         /* body */ NULL, send->body.size_bytes);

    if (!item)
        return FAB_ERR_NOMEM;
    item->send = send;
    item->due_ns = loop_due_time(loop, ep->pipe, item->side, /* may_overtake */ false);
    fab_list_append(&ep->sends, &send->link);
    loop_enqueue(ep->pipe->wires[item->side], item);
    return FAB_OK;
}

static enum fab_status send_any(struct xp_ep *ep, struct xp_send *send)
{
    struct xp_loop *loop = ep->pipe->wires[ep->side]->loop;
    enum fab_status status = FAB_ERR_LINK_LOST;

    fab_list_init(&send->link);
    fab_mutex_lock(&loop->lock);
    if (ep->pipe->failed && ep->pipe->link && ep->pipe->link->fate == XP_LOOP_SILENT) {
        status = FAB_OK; /* into the void */
        if (send->chunk)
            fab_list_append(&ep->sends, &send->link);
    } else if (!ep->pipe->failed && !ep->closing && ep->pipe->wires[1 - ep->side]) {
        status = send->chunk ? send_chunk(loop, ep, send) : send_frame(loop, ep, send);
    }
    fab_mutex_unlock(&loop->lock);
    if (status == FAB_OK && !send->chunk)
        send->done(send, FAB_OK); /* it was copied */
    return status;
}

/* ---------------------------------------------------------------- offers */

/* When the bytes are there, by the link's rate. */
static uint64_t landing_time(struct xp_loop *loop, const struct item *item)
{
    struct link *link = item->pipe->link;
    const struct xp_wire *from = item->pipe->wires[1 - item->side];
    int direction = from && strcmp(from->name, link->names[0]) == 0 ? 0 : 1;
    uint64_t now_ns = fab_clock_now_ns(loop->clock);

    if (link->bytes_per_s) {
        if (link->free_ns[direction] < now_ns)
            link->free_ns[direction] = now_ns;
        link->free_ns[direction] +=
            (uint64_t)((double)item->body_bytes * NS_PER_S / (double)link->bytes_per_s);
        return link->free_ns[direction];
    }
    return loop_due_time(loop, item->pipe, item->side, /* may_overtake */ true);
}

static enum fab_status accept_offer(struct xp_offer *offer, struct xp_landing *landing)
{
    struct xp_wire *wire = offer->wire;
    struct item *item = offer->item;
    struct xp_ep *ep;

    fab_mutex_lock(&wire->loop->lock);
    ep = item->pipe ? item->pipe->ends[item->side] : NULL;
    if (!ep || ep->closing) {
        fab_mutex_unlock(&wire->loop->lock);
        loop_item_free(item);
        free(offer);
        return FAB_ERR_LINK_LOST;
    }
    fab_list_init(&landing->link);
    fab_list_append(&ep->landings, &landing->link);
    item->kind = ITEM_LANDING;
    item->landing = landing;
    item->due_ns = landing_time(wire->loop, item);
    loop_enqueue(wire, item);
    fab_mutex_unlock(&wire->loop->lock);
    free(offer);
    return FAB_OK;
}

static void refuse_offer(struct xp_offer *offer)
{
    fab_mutex_lock(&offer->wire->loop->lock);
    loop_item_free(offer->item);
    fab_mutex_unlock(&offer->wire->loop->lock);
    free(offer);
}

/* ---------------------------------------------------------------- delivery */

static void count_item(struct xp_loop *loop, struct link *link)
{
    link->delivered++;
    if (link->countdown > 0 && --link->countdown == 0)
        loop_apply_fate(loop, link, link->next_fate);
}

/* The next item that may be delivered now, off the queue; NULL: none. */
static struct item *next_item(struct xp_wire *wire)
{
    uint64_t now_ns = fab_clock_now_ns(wire->loop->clock);

    /* The analyzer loses track of what is still in a list. */
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc)
    FAB_LIST_EACH(node, after, &wire->queue)
    {
        struct item *item = fab_list_object(node, struct item, link);

        if (item->due_ns > now_ns)
            return NULL;
        if (item->pipe && item->pipe->link->fate == XP_LOOP_SILENT)
            continue;
        fab_list_remove(&item->link);
        return item;
    }
    return NULL;
}

/* Reads the chunk's bytes from its sender; false: there is no sender any more. */
static bool read_chunk(struct item *item)
{
    struct xp_ep *sender = item->pipe ? item->pipe->ends[1 - item->side] : NULL;
    struct xp_send *send = item->send;

    if (!send)
        return item->body != NULL;
    item->body = fab_alloc(item->body_bytes ? item->body_bytes : 1);
    if (!item->body)
        return false;
    memcpy(item->body, send->body.address, item->body_bytes);
    item->send = NULL;
    fab_list_remove(&send->link);
    fab_assert(sender); /* closing it would have taken item->send away */
    fab_list_append(&sender->read, &send->link);
    loop_signal_wire(item->pipe->wires[1 - item->side]);
    return true;
}

/* The end's endpoint, made on the first frame to it; NULL: closed, or no memory. */
static struct xp_ep *end_for(struct item *item)
{
    struct pipe *pipe = item->pipe;

    if (!pipe->ends[item->side] && !pipe->was_open[item->side])
        return loop_ep_create(pipe, item->side, /* owner */ NULL);
    return pipe->ends[item->side];
}

static void deliver_frame(struct xp_wire *wire, struct item *item, struct xp_ep *ep)
{
    wire->config.events->frame(wire->config.core, ep, item->header, item->header_bytes, item->body,
                               item->body_bytes);
    if (ep && !ep->owner && !ep->closing)
        ep_close(ep); /* a stranger */
    fab_mutex_lock(&wire->loop->lock);
    loop_item_free(item);
    fab_mutex_unlock(&wire->loop->lock);
}

static void deliver_chunk(struct xp_wire *wire, struct item *item, struct xp_ep *ep)
{
    struct xp_offer *offer = fab_alloc(sizeof(*offer));

    if (!offer) {
        fab_mutex_lock(&wire->loop->lock);
        if (item->pipe)
            loop_fail_pipe(item->pipe);
        loop_item_free(item);
        fab_mutex_unlock(&wire->loop->lock);
        return;
    }
    *offer = (struct xp_offer){.item = item, .wire = wire};
    wire->config.events->offer(wire->config.core, ep, item->header, item->header_bytes,
                               item->body_bytes, offer);
}

static void deliver_landing(struct xp_wire *wire, struct item *item)
{
    struct xp_landing *landing = item->landing;

    memcpy(landing->place.address, item->body, item->body_bytes);
    fab_mutex_lock(&wire->loop->lock);
    fab_list_remove(&landing->link);
    loop_item_free(item);
    fab_mutex_unlock(&wire->loop->lock);
    landing->done(landing, FAB_OK);
}

static bool deliver_one(struct xp_wire *wire)
{
    struct xp_loop *loop = wire->loop;
    struct xp_ep *ep = NULL;
    struct item *item;
    bool keep = true, is_any;

    fab_mutex_lock(&loop->lock);
    item = next_item(wire);
    if (item && item->pipe) {
        count_item(loop, item->pipe->link);
        ep = end_for(item);
        /* What was accepted lands even when the sender is gone: late data. */
        keep = ep && !ep->closing && (item->kind == ITEM_LANDING || !item->pipe->failed);
    }
    if (item && keep && item->kind == ITEM_CHUNK && !read_chunk(item)) {
        keep = false;
        if (item->pipe && item->send)
            loop_fail_pipe(item->pipe); /* no memory: a wire loses no chunk and lives */
    }
    if (item && keep && loop->tap && item->kind != ITEM_LANDING)
        loop->tap(loop->tap_user, wire->name, wire->config.bulk, item->header, item->header_bytes,
                  item->body, item->body_bytes);
    is_any = item != NULL;
    if (item && !keep) {
        loop_item_free(item);
        item = NULL;
    }
    fab_mutex_unlock(&loop->lock);
    if (!item)
        return is_any;
    switch (item->kind) {
    case ITEM_FRAME:
        deliver_frame(wire, item, ep);
        break;
    case ITEM_CHUNK:
        deliver_chunk(wire, item, ep);
        break;
    case ITEM_LANDING:
        deliver_landing(wire, item);
        break;
    }
    return true;
}

/* Over a silent link not even the end of a connection is heard. */
static bool knows_of_failure(const struct xp_ep *ep)
{
    return ep->pipe->failed && (!ep->pipe->link || ep->pipe->link->fate != XP_LOOP_SILENT);
}

/* One endpoint that failed or is to be closed; false: none. */
static bool tend_one(struct xp_wire *wire)
{
    struct xp_ep *found = NULL;
    struct xp_send *read = NULL;

    fab_mutex_lock(&wire->loop->lock);
    FAB_LIST_EACH(node, after, &wire->eps)
    {
        struct xp_ep *ep = fab_list_object(node, struct xp_ep, link);

        if (ep->closing || !fab_list_is_empty(&ep->read) ||
            (knows_of_failure(ep) && !ep->told_failed)) {
            found = ep;
            break;
        }
    }
    if (found && !found->closing && !fab_list_is_empty(&found->read))
        read = fab_list_object(fab_list_take(&found->read), struct xp_send, link);
    else if (found)
        found->told_failed = true;
    fab_mutex_unlock(&wire->loop->lock);
    if (!found)
        return false;
    if (read)
        read->done(read, FAB_OK);
    else if (found->closing)
        finish_close(found);
    else if (found->owner)
        wire->config.events->ep_failed(found->owner, FAB_ERR_LINK_LOST, "the link is broken");
    else
        ep_close(found);
    return true;
}

static bool progress(struct xp_wire *wire)
{
    enum { ITEMS_PER_TURN = 64 };
    bool did = false;
    uint64_t drained;

    (void)!read(wire->event_fd, &drained, sizeof(drained));
    while (tend_one(wire))
        did = true;
    for (int i = 0; i < ITEMS_PER_TURN && deliver_one(wire); i++)
        did = true;
    return did;
}

static int event_fd(const struct xp_wire *wire)
{
    return wire->event_fd;
}

static uint64_t deadline_ns(const struct xp_wire *wire)
{
    uint64_t due_ns = UINT64_MAX;

    fab_mutex_lock(&wire->loop->lock);
    FAB_LIST_EACH(node, after, &wire->queue)
    {
        struct item *item = fab_list_object(node, struct item, link);

        if (item->pipe && item->pipe->link->fate == XP_LOOP_SILENT)
            continue;
        due_ns = item->due_ns;
        break;
    }
    fab_mutex_unlock(&wire->loop->lock);
    return due_ns;
}

static enum fab_status arm(struct xp_wire *wire)
{
    return deadline_ns(wire) <= fab_clock_now_ns(wire->loop->clock) ? FAB_ERR_AGAIN : FAB_OK;
}

const struct xp_backend xp_backend_loop = {
    .name = "loop",
    .wire_open = wire_open,
    .wire_close = wire_close,
    .wire_address = wire_address,
    .wire_caps = wire_caps,
    .ep_open = ep_open,
    .ep_own = ep_own,
    .ep_close = ep_close,
    .send = send_any,
    .accept = accept_offer,
    .refuse = refuse_offer,
    .progress = progress,
    .event_fd = event_fd,
    .arm = arm,
    .deadline_ns = deadline_ns,
};
