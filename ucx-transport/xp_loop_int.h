/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_loop_int.h - the objects of the loop network, private to xp_loop*.c.
 *
 * A *pipe* joins two ends; each end has an endpoint once somebody opened or adopted it. Everything
 * on its way is an *item* in the queue of the wire it goes to. One mutex guards the whole network;
 * events are called without it.
 */
#ifndef UCX_TRANSPORT_XP_LOOP_INT_H
#define UCX_TRANSPORT_XP_LOOP_INT_H

#include "base/clock.h"
#include "base/mutex.h"
#include "ucx-transport/xp_loop.h"

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

/* xp_loop.c; with loop->lock held. */
bool loop_chance(struct xp_loop *loop, uint32_t permille);
struct link *loop_link_of(struct xp_loop *loop, const char *one, const char *other);
void loop_signal_wire(struct xp_wire *wire);
void loop_pipe_put(struct pipe *pipe);
void loop_item_free(struct item *item);
void loop_enqueue(struct xp_wire *wire, struct item *item);
uint64_t loop_due_time(struct xp_loop *loop, struct pipe *pipe, int side, bool may_overtake);
struct item *loop_item_create(enum item_kind kind, struct pipe *pipe, int side, const void *header,
                              size_t header_bytes, const void *body, size_t body_bytes);
struct xp_ep *loop_ep_create(struct pipe *pipe, int side, void *owner);
void loop_fail_pipe(struct pipe *pipe);
void loop_apply_fate(struct xp_loop *loop, struct link *link, enum xp_loop_fate fate);

#endif /* UCX_TRANSPORT_XP_LOOP_INT_H */
