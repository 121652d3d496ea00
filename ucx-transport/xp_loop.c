/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_loop.c - the loop network: links, fates, dice, what is on its way; see
 * xp_loop.h.
 *
 * The backend over it is xp_loop_wire.c. Thread: any, locked.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "ucx-transport/xp_loop_int.h"

/* ---------------------------------------------------------------- small parts; locked */

/* splitmix64, public domain algorithm by S. Vigna. */
static uint64_t random_next(struct xp_loop *loop)
{
    uint64_t z = loop->random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

bool loop_chance(struct xp_loop *loop, uint32_t permille)
{
    return permille && random_next(loop) % 1000 < permille;
}

struct link *loop_link_of(struct xp_loop *loop, const char *one, const char *other)
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

void loop_signal_wire(struct xp_wire *wire)
{
    uint64_t one = 1;

    (void)!write(wire->event_fd, &one, sizeof(one));
}

void loop_pipe_put(struct pipe *pipe)
{
    if (pipe && --pipe->refs == 0)
        free(pipe);
}

void loop_item_free(struct item *item)
{
    loop_pipe_put(item->pipe);
    free(item->body);
    free(item);
}

void loop_enqueue(struct xp_wire *wire, struct item *item)
{
    struct fab_list *place = wire->queue.previous;

    while (place != &wire->queue &&
           fab_list_object(place, struct item, link)->due_ns > item->due_ns)
        place = place->previous;
    fab_list_insert(place, &item->link);
    loop_signal_wire(wire);
}

uint64_t loop_due_time(struct xp_loop *loop, struct pipe *pipe, int side, bool may_overtake)
{
    const struct xp_loop_script *script = &loop->script;
    uint64_t due_ns = fab_clock_now_ns(loop->clock) + script->delay_min_ns;

    if (script->delay_max_ns > script->delay_min_ns)
        due_ns += random_next(loop) % (script->delay_max_ns - script->delay_min_ns);
    if (may_overtake && loop_chance(loop, script->reorder_permille))
        return due_ns;
    if (due_ns < pipe->last_due_ns[side])
        due_ns = pipe->last_due_ns[side];
    pipe->last_due_ns[side] = due_ns;
    return due_ns;
}

struct item *loop_item_create(enum item_kind kind, struct pipe *pipe, int side, const void *header,
                              size_t header_bytes, const void *body, size_t body_bytes)
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
            loop_item_free(item);
            return NULL;
        }
        memcpy(item->body, body, body_bytes);
    }
    return item;
}

struct xp_ep *loop_ep_create(struct pipe *pipe, int side, void *owner)
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

void loop_fail_pipe(struct pipe *pipe)
{
    pipe->failed = true;
    for (int side = 0; side < 2; side++) {
        if (pipe->wires[side])
            loop_signal_wire(pipe->wires[side]);
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
void loop_apply_fate(struct xp_loop *loop, struct link *link, enum xp_loop_fate fate)
{
    link->fate = fate;
    FAB_LIST_EACH(node, after, &loop->wires)
    {
        struct xp_wire *wire = fab_list_object(node, struct xp_wire, link);

        loop_signal_wire(wire);
        if (fate != XP_LOOP_BROKEN)
            continue;
        FAB_LIST_EACH(at, next, &wire->eps)
        {
            struct xp_ep *ep = fab_list_object(at, struct xp_ep, link);

            if (ep->pipe->link == link)
                loop_fail_pipe(ep->pipe);
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
        (void)loop_link_of(loop, one, other);
    FAB_LIST_EACH(node, after, &loop->links)
    {
        struct link *link = fab_list_object(node, struct link, link);

        if (names_match(link, one, other))
            loop_apply_fate(loop, link, fate);
    }
    fab_mutex_unlock(&loop->lock);
}

void xp_loop_set_rate(struct xp_loop *loop, const char *one, const char *other,
                      uint64_t bytes_per_s)
{
    struct link *link;

    fab_mutex_lock(&loop->lock);
    link = loop_link_of(loop, one, other);
    if (link)
        link->bytes_per_s = bytes_per_s;
    fab_mutex_unlock(&loop->lock);
}

void xp_loop_set_after(struct xp_loop *loop, const char *one, const char *other, uint64_t count,
                       enum xp_loop_fate fate)
{
    struct link *link;

    fab_mutex_lock(&loop->lock);
    link = loop_link_of(loop, one, other);
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
    link = loop_link_of(loop, one, other);
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
        item = loop_item_create(chunk ? ITEM_CHUNK : ITEM_FRAME, /* pipe */ NULL, /* side */ 0,
                                header, header_bytes, body, body_bytes);
        if (item)
            loop_enqueue(wire, item);
    }
    fab_mutex_unlock(&loop->lock);
}
