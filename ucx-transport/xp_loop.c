/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_loop.c - see xp_loop.h.
 *
 * A *pipe* joins two ends; each end has an endpoint once somebody opened or adopted it. Everything
 * on its way is an *item* in the queue of the wire it goes to. One mutex guards the whole network;
 * events are called without it.
 */
#include "ucx-transport/xp_loop.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/mutex.h"
#include "base/vec.h"
#include "ucx-transport/xp_bytes.h"

enum { NAME_BYTES = 16, NS_PER_S = 1000000000, ADDRESS_BYTES = 8 };

struct link {
    struct fab_list link;
    char names[2][NAME_BYTES]; /* in order of strcmp */
    enum xp_loop_fate fate, next_fate;
    uint64_t countdown; /* items until next_fate; 0: none set */
    uint64_t delivered;
    uint64_t bytes_per_s, free_ns[2]; /* by direction: 0 from names[0] */
};

struct pipe {
    uint32_t refs; /* open ends and items */
    bool failed;
    struct link *link;
    struct xp_wire *wires[2];
    struct xp_ep *ends[2];
    bool was_open[2]; /* an end that was closed is not made again */
    uint64_t last_due_ns[2];
};

struct xp_ep {
    struct fab_list link; /* wire->eps */
    struct pipe *pipe;
    int side;
    void *owner;
    bool told_failed, closing;
    struct fab_list sends;    /* chunks not yet read */
    struct fab_list read;     /* chunks read; their done() is due */
    struct fab_list landings; /* accepted, not yet written */
};

enum item_kind { ITEM_FRAME, ITEM_CHUNK, ITEM_LANDING };

struct item {
    struct fab_list link; /* wire->queue, by due time */
    enum item_kind kind;
    uint64_t due_ns;
    struct pipe *pipe;          /* NULL: a stranger's */
    int side;                   /* the end it goes to */
    struct xp_send *send;       /* chunk: NULL once read or given up */
    struct xp_landing *landing; /* landing: NULL once given up */
    size_t header_bytes, body_bytes;
    uint8_t header[XP_HEADER_MAX_BYTES];
    uint8_t *body;
};

struct xp_offer {
    struct item *item;
    struct xp_wire *wire;
};

struct xp_wire {
    struct fab_list link; /* loop->wires */
    struct xp_loop *loop;
    struct xp_wire_config config;
    char name[NAME_BYTES];
    uint8_t address[ADDRESS_BYTES];
    uint64_t id;
    int event_fd;
    struct fab_list queue, eps;
};

struct xp_loop {
    const struct fab_clock *clock;
    struct xp_loop_script script;
    struct fab_mutex lock;
    struct fab_list wires, links;
    uint64_t next_wire_id, random;
    xp_loop_tap *tap;
    void *tap_user;
};

/* ---------------------------------------------------------------- small parts; locked */

/* splitmix64, public domain algorithm by S. Vigna. */
static uint64_t random_next(struct xp_loop *loop)
{
    uint64_t z = loop->random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static bool chance(struct xp_loop *loop, uint32_t permille)
{
    return permille && random_next(loop) % 1000 < permille;
}

static struct link *link_of(struct xp_loop *loop, const char *one, const char *other)
{
    const char *first = strcmp(one, other) <= 0 ? one : other;
    const char *second = first == one ? other : one;
    struct link *link;

    FAB_LIST_EACH(node, after, &loop->links)
    {
        link = fab_list_object(node, struct link, link);
        if (strcmp(link->names[0], first) == 0 && strcmp(link->names[1], second) == 0)
            return link;
    }
    link = fab_alloc_zeroed(1, sizeof(*link));
    if (!link)
        return NULL;
    (void)snprintf(link->names[0], NAME_BYTES, "%s", first);
    (void)snprintf(link->names[1], NAME_BYTES, "%s", second);
    fab_list_append(&loop->links, &link->link);
    return link;
}

static void signal_wire(struct xp_wire *wire)
{
    uint64_t one = 1;

    (void)!write(wire->event_fd, &one, sizeof(one));
}

static void pipe_put(struct pipe *pipe)
{
    if (pipe && --pipe->refs == 0)
        free(pipe);
}

static void item_free(struct item *item)
{
    pipe_put(item->pipe);
    free(item->body);
    free(item);
}

static void enqueue(struct xp_wire *wire, struct item *item)
{
    struct fab_list *place = wire->queue.previous;

    while (place != &wire->queue &&
           fab_list_object(place, struct item, link)->due_ns > item->due_ns)
        place = place->previous;
    fab_list_insert(place, &item->link);
    signal_wire(wire);
}

static uint64_t due_time(struct xp_loop *loop, struct pipe *pipe, int side, bool may_overtake)
{
    const struct xp_loop_script *script = &loop->script;
    uint64_t due_ns = fab_clock_now_ns(loop->clock) + script->delay_min_ns;

    if (script->delay_max_ns > script->delay_min_ns)
        due_ns += random_next(loop) % (script->delay_max_ns - script->delay_min_ns);
    if (may_overtake && chance(loop, script->reorder_permille))
        return due_ns;
    if (due_ns < pipe->last_due_ns[side])
        due_ns = pipe->last_due_ns[side];
    pipe->last_due_ns[side] = due_ns;
    return due_ns;
}

static struct item *item_create(enum item_kind kind, struct pipe *pipe, int side,
                                const void *header, size_t header_bytes, const void *body,
                                size_t body_bytes)
{
    struct item *item = fab_alloc_zeroed(1, sizeof(*item));

    if (!item)
        return NULL;
    fab_list_init(&item->link);
    item->kind = kind;
    item->pipe = pipe;
    item->side = side;
    if (pipe)
        pipe->refs++;
    item->header_bytes = header_bytes;
    item->body_bytes = body_bytes;
    memcpy(item->header, header, header_bytes);
    if (body && body_bytes) {
        item->body = fab_alloc(body_bytes);
        if (!item->body) {
            item_free(item);
            return NULL;
        }
        memcpy(item->body, body, body_bytes);
    }
    return item;
}

static struct xp_ep *ep_create(struct pipe *pipe, int side, void *owner)
{
    struct xp_ep *ep = fab_alloc_zeroed(1, sizeof(*ep));

    if (!ep)
        return NULL;
    ep->pipe = pipe;
    ep->side = side;
    ep->owner = owner;
    fab_list_init(&ep->sends);
    fab_list_init(&ep->read);
    fab_list_init(&ep->landings);
    fab_list_append(&pipe->wires[side]->eps, &ep->link);
    pipe->ends[side] = ep;
    pipe->was_open[side] = true;
    pipe->refs++;
    return ep;
}

static void fail_pipe(struct pipe *pipe)
{
    pipe->failed = true;
    for (int side = 0; side < 2; side++) {
        if (pipe->wires[side])
            signal_wire(pipe->wires[side]);
    }
}

/* ---------------------------------------------------------------- the network */

enum fab_status xp_loop_create(const struct fab_clock *clock, const struct xp_loop_script *script,
                               struct xp_loop **loop_out)
{
    struct xp_loop *loop = fab_alloc_zeroed(1, sizeof(*loop));

    if (!loop)
        return FAB_ERR_NOMEM;
    loop->clock = clock;
    loop->script = *script;
    loop->random = script->seed;
    fab_mutex_init(&loop->lock);
    fab_list_init(&loop->wires);
    fab_list_init(&loop->links);
    *loop_out = loop;
    return FAB_OK;
}

void xp_loop_destroy(struct xp_loop *loop)
{
    if (!loop)
        return;
    fab_assert(fab_list_is_empty(&loop->wires));
    FAB_LIST_EACH(node, after, &loop->links)
    free(fab_list_object(node, struct link, link));
    fab_mutex_fini(&loop->lock);
    free(loop);
}

/* All pipes over a link that breaks. */
static void apply_fate(struct xp_loop *loop, struct link *link, enum xp_loop_fate fate)
{
    link->fate = fate;
    FAB_LIST_EACH(node, after, &loop->wires)
    {
        struct xp_wire *wire = fab_list_object(node, struct xp_wire, link);

        signal_wire(wire);
        if (fate != XP_LOOP_BROKEN)
            continue;
        FAB_LIST_EACH(at, next, &wire->eps)
        {
            struct xp_ep *ep = fab_list_object(at, struct xp_ep, link);

            if (ep->pipe->link == link)
                fail_pipe(ep->pipe);
        }
    }
}

static bool names_match(const struct link *link, const char *one, const char *other)
{
    for (int i = 0; i < 2; i++) {
        if (strcmp(link->names[i], one) == 0 &&
            (strcmp(other, "*") == 0 || strcmp(link->names[1 - i], other) == 0))
            return true;
    }
    return false;
}

void xp_loop_set(struct xp_loop *loop, const char *one, const char *other, enum xp_loop_fate fate)
{
    fab_mutex_lock(&loop->lock);
    if (strcmp(other, "*") != 0)
        (void)link_of(loop, one, other);
    FAB_LIST_EACH(node, after, &loop->links)
    {
        struct link *link = fab_list_object(node, struct link, link);

        if (names_match(link, one, other))
            apply_fate(loop, link, fate);
    }
    fab_mutex_unlock(&loop->lock);
}

void xp_loop_set_rate(struct xp_loop *loop, const char *one, const char *other,
                      uint64_t bytes_per_s)
{
    struct link *link;

    fab_mutex_lock(&loop->lock);
    link = link_of(loop, one, other);
    if (link)
        link->bytes_per_s = bytes_per_s;
    fab_mutex_unlock(&loop->lock);
}

void xp_loop_set_after(struct xp_loop *loop, const char *one, const char *other, uint64_t count,
                       enum xp_loop_fate fate)
{
    struct link *link;

    fab_mutex_lock(&loop->lock);
    link = link_of(loop, one, other);
    if (link) {
        link->countdown = count;
        link->next_fate = fate;
    }
    fab_mutex_unlock(&loop->lock);
}

uint64_t xp_loop_delivered(struct xp_loop *loop, const char *one, const char *other)
{
    struct link *link;
    uint64_t delivered;

    fab_mutex_lock(&loop->lock);
    link = link_of(loop, one, other);
    delivered = link ? link->delivered : 0;
    fab_mutex_unlock(&loop->lock);
    return delivered;
}

void xp_loop_set_tap(struct xp_loop *loop, xp_loop_tap *tap, void *user)
{
    fab_mutex_lock(&loop->lock);
    loop->tap = tap;
    loop->tap_user = user;
    fab_mutex_unlock(&loop->lock);
}

void xp_loop_inject(struct xp_loop *loop, const char *device, bool bulk_wire, bool chunk,
                    const void *header, size_t header_bytes, const void *body, size_t body_bytes)
{
    fab_mutex_lock(&loop->lock);
    FAB_LIST_EACH(node, after, &loop->wires)
    {
        struct xp_wire *wire = fab_list_object(node, struct xp_wire, link);
        struct item *item;

        if (strcmp(wire->name, device) != 0 || wire->config.bulk != bulk_wire)
            continue;
        item = item_create(chunk ? ITEM_CHUNK : ITEM_FRAME, /* pipe */ NULL, /* side */ 0, header,
                           header_bytes, body, body_bytes);
        if (item)
            enqueue(wire, item);
    }
    fab_mutex_unlock(&loop->lock);
}

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
            fail_pipe(pipe);
        }
    }
}

static void wire_close(struct xp_wire *wire)
{
    fab_mutex_lock(&wire->loop->lock);
    fab_list_remove(&wire->link);
    FAB_LIST_EACH(node, after, &wire->queue)
    item_free(fab_list_object(node, struct item, link));
    FAB_LIST_EACH(node, after, &wire->eps)
    {
        struct xp_ep *ep = fab_list_object(node, struct xp_ep, link);

        ep->pipe->ends[ep->side] = NULL;
        leave_pipe(ep->pipe, wire);
        pipe_put(ep->pipe);
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
    *caps_out = (struct xp_wire_caps){.direct = (1u << XP_MEMORY_HOST) |
                                                wire->loop->script.device_memory_mask};
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
        pipe->link = link_of(loop, wire->name, pipe->wires[1]->name);
    if (!pipe->wires[1] || !pipe->link || pipe->link->fate == XP_LOOP_BROKEN)
        pipe->failed = true;
    ep = ep_create(pipe, /* side */ 0, owner);
    if (ep && pipe->failed)
        signal_wire(wire);
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
            item_free(item);
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
    signal_wire(wire);
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
    fail_pipe(ep->pipe); /* as a closed connection looks to its peer */
    pipe_put(ep->pipe);
    free(ep);
    fab_mutex_unlock(&loop->lock);
    wire->config.events->ep_closed(owner);
}

/* ---------------------------------------------------------------- sending */

static enum fab_status send_frame(struct xp_loop *loop, struct xp_ep *ep, struct xp_send *send)
{
    struct pipe *pipe = ep->pipe;
    int side = 1 - ep->side;
    int copies = chance(loop, loop->script.duplicate_permille) ? 2 : 1;

    if (chance(loop, loop->script.drop_permille))
        return FAB_OK;
    for (int i = 0; i < copies; i++) {
        struct item *item = item_create(ITEM_FRAME, pipe, side, send->header, send->header_bytes,
                                        send->body.address, send->body.size_bytes);

        if (!item)
            return FAB_ERR_NOMEM;
        item->due_ns = due_time(loop, pipe, side, /* may_overtake */ true);
        enqueue(pipe->wires[side], item);
    }
    return FAB_OK;
}

static enum fab_status send_chunk(struct xp_loop *loop, struct xp_ep *ep, struct xp_send *send)
{
    struct item *item = item_create(ITEM_CHUNK, ep->pipe, 1 - ep->side, send->header,
                                    send->header_bytes, /* body */ NULL, send->body.size_bytes);

    if (!item)
        return FAB_ERR_NOMEM;
    item->send = send;
    item->due_ns = due_time(loop, ep->pipe, item->side, /* may_overtake */ false);
    fab_list_append(&ep->sends, &send->link);
    enqueue(ep->pipe->wires[item->side], item);
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
    return due_time(loop, item->pipe, item->side, /* may_overtake */ true);
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
        item_free(item);
        free(offer);
        return FAB_ERR_LINK_LOST;
    }
    fab_list_init(&landing->link);
    fab_list_append(&ep->landings, &landing->link);
    item->kind = ITEM_LANDING;
    item->landing = landing;
    item->due_ns = landing_time(wire->loop, item);
    enqueue(wire, item);
    fab_mutex_unlock(&wire->loop->lock);
    free(offer);
    return FAB_OK;
}

static void refuse_offer(struct xp_offer *offer)
{
    fab_mutex_lock(&offer->wire->loop->lock);
    item_free(offer->item);
    fab_mutex_unlock(&offer->wire->loop->lock);
    free(offer);
}

/* ---------------------------------------------------------------- delivery */

static void count_item(struct xp_loop *loop, struct link *link)
{
    link->delivered++;
    if (link->countdown > 0 && --link->countdown == 0)
        apply_fate(loop, link, link->next_fate);
}

/* The next item that may be delivered now, off the queue; NULL: none. */
static struct item *next_item(struct xp_wire *wire)
{
    uint64_t now_ns = fab_clock_now_ns(wire->loop->clock);

    FAB_LIST_EACH(node, after, &wire->queue)
    {
        struct item *item = fab_list_object(node, struct item, link);

        /* The analyzer loses track of what is still in a list. */
        if (item->due_ns > now_ns) // NOLINT(clang-analyzer-unix.Malloc)
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
    signal_wire(item->pipe->wires[1 - item->side]);
    return true;
}

/* The end's endpoint, made on the first frame to it; NULL: closed, or no memory. */
static struct xp_ep *end_for(struct item *item)
{
    struct pipe *pipe = item->pipe;

    if (!pipe->ends[item->side] && !pipe->was_open[item->side])
        return ep_create(pipe, item->side, /* owner */ NULL);
    return pipe->ends[item->side];
}

static void deliver_frame(struct xp_wire *wire, struct item *item, struct xp_ep *ep)
{
    wire->config.events->frame(wire->config.core, ep, item->header, item->header_bytes, item->body,
                               item->body_bytes);
    if (ep && !ep->owner && !ep->closing)
        ep_close(ep); /* a stranger */
    fab_mutex_lock(&wire->loop->lock);
    item_free(item);
    fab_mutex_unlock(&wire->loop->lock);
}

static void deliver_chunk(struct xp_wire *wire, struct item *item, struct xp_ep *ep)
{
    struct xp_offer *offer = fab_alloc(sizeof(*offer));

    if (!offer) {
        fab_mutex_lock(&wire->loop->lock);
        if (item->pipe)
            fail_pipe(item->pipe);
        item_free(item);
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
    item_free(item);
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
            fail_pipe(item->pipe); /* no memory: a wire loses no chunk and lives */
    }
    if (item && keep && loop->tap && item->kind != ITEM_LANDING)
        loop->tap(loop->tap_user, wire->name, wire->config.bulk, item->header, item->header_bytes,
                  item->body, item->body_bytes);
    is_any = item != NULL;
    if (item && !keep) {
        item_free(item);
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
