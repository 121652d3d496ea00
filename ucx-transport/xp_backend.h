/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_backend.h - what the core asks of a kind of wire: ucx, shm, loop.
 *
 * A backend moves *frames* (small, whole, in order on an endpoint) and *chunks* (a header like a
 * frame's, and a body that moves only once the receiving core has said where to). It knows no
 * session, sequence number, credit or key, and retries nothing: the core does all that above.
 *
 * A rail opens two wires: one for control, one for bulk, so that a progress call which stays
 * milliseconds in a socket write delays no command (facts/transport.md section 3, pitfall 5).
 *
 * Threads. Every function of the table is called on the wire's engine, one at a time for a wire,
 * with no lock of the core held, except mem_register(), mem_unregister(), expect() and view(): any
 * thread; and except send() of frames on a quick wire. Events are called by the backend from inside
 * progress(), send(), accept(), ep_open() or ep_close() of that wire only. An event may call the
 * table again, except progress() and wire_close().
 */
#ifndef UCX_TRANSPORT_XP_BACKEND_H
#define UCX_TRANSPORT_XP_BACKEND_H

#include "base/list.h"
#include "ucx-transport/xp.h"

struct xp_ep;    /* the backend's: one direction pair to one peer wire */
struct xp_offer; /* the backend's: a chunk that waits for accept() or refuse() */
struct xp_wire;  /* the backend's: one worker */

enum {
    XP_HEADER_MAX_BYTES = 256, /* of a frame or chunk; every backend carries that much */
    XP_WIRE_ADDRESS_MAX_BYTES = 480,
};

/* Bytes in memory of a known type. */
struct xp_buffer {
    void *address;
    size_t size_bytes;
    enum xp_memory memory;
    void *registration; /* what mem_register() of this wire made; NULL: none */
};

/* One frame or chunk on its way out. The core's memory; header and body stay until done. */
struct xp_send {
    struct fab_list link; /* the backend's, from send() to done */
    void *backend_data;   /* the same */
    const uint8_t *header;
    size_t header_bytes; /* 1 .. XP_HEADER_MAX_BYTES */
    struct xp_buffer body;
    bool chunk; /* the peer gets offer() and not frame() */
    /* Exactly once, also from inside send(): the backend reads the memory no more. FAB_OK says
     * nothing about the peer. */
    void (*done)(struct xp_send *send, enum fab_status status);
};

/* One accepted chunk on its way in. The core's memory. */
struct xp_landing {
    struct fab_list link;
    void *backend_data;
    struct xp_buffer place;
    /* Exactly once: the backend writes to the place no more. Anything but FAB_OK: the bytes are
     * not all there. */
    void (*done)(struct xp_landing *landing, enum fab_status status);
};

/* What a wire tells the core. `ep` is the endpoint it came by; a backend whose wires cannot tell
 * (ucx) passes NULL for frames and the core goes by the token. A chunk lands by the endpoint that
 * it came by, so an offer has one, and the core refuses it if the token is another leg's. Where the
 * peer opens the endpoint and this end learns of it by its first frame (shm, loop), `ep` is a new
 * one without an owner; if the core has not adopted it by ep_own() when frame() returns, the
 * backend closes it. All data are borrowed for the call. */
struct xp_wire_events {
    void (*frame)(void *core, struct xp_ep *ep, const uint8_t *header, size_t header_bytes,
                  const uint8_t *body, size_t body_bytes);
    /* The core answers by accept() or refuse(), from inside offer(). */
    void (*offer)(void *core, struct xp_ep *ep, const uint8_t *header, size_t header_bytes,
                  size_t body_bytes, struct xp_offer *offer);
    /* The endpoint is broken (peer died, link lost). The core calls ep_close(). */
    void (*ep_failed)(void *owner, enum fab_status status, const char *text);
    /* False: the program has closed our descriptors, and no backend may use one any more. Asked
     * before one is used outside progress(); a system call. */
    bool (*has_fds)(void *core);
    /* After ep_close(): every send, landing and offer of it is done; the endpoint is gone. */
    void (*ep_closed)(void *owner);
};

struct xp_wire_config {
    const char *device;
    void *context;
    bool bulk;
    int numa_node;
    const struct fab_log *log;
    const struct xp_wire_events *events; /* static */
    void *core;                          /* for frame() and offer() */
};

struct xp_wire_caps {
    uint32_t direct;     /* bit per enum xp_memory that sends and landings may use */
    bool same_host_only; /* shm: used when both nodes have one id, and then alone */
    bool
        in_passing; /* send() of a frame costs no more than to wake a thread: who answers does it */
    bool quick; /* in_passing, too: it is a copy in memory, and its done() runs inside: also with
                   the connection's lock held */
};

struct xp_backend {
    const char *name; /* as in addresses and settings; 1 .. 15 characters */

    /* Required. */
    enum fab_status (*wire_open)(const struct xp_wire_config *config, struct xp_wire **wire_out,
                                 struct fab_err *err);
    /* All endpoints are closed or die silently with it; no event any more. */
    void (*wire_close)(struct xp_wire *wire);
    /* At most XP_WIRE_ADDRESS_MAX_BYTES; the wire's memory. */
    const uint8_t *(*wire_address)(const struct xp_wire *wire, size_t *size_bytes_out);
    void (*wire_caps)(const struct xp_wire *wire, struct xp_wire_caps *caps_out);
    /* Never blocks; a peer that does not answer shows by ep_failed() or by silence. */
    enum fab_status (*ep_open)(struct xp_wire *wire, const uint8_t *address, size_t address_bytes,
                               void *owner, struct xp_ep **ep_out, struct fab_err *err);
    void (*ep_own)(struct xp_ep *ep, void *owner); /* adopts one that a peer opened */
    /* By force: what is in flight is done as FAB_ERR_CANCELLED, then ep_closed(). Never blocks; the
     * rest may take some turns of progress(). */
    void (*ep_close)(struct xp_ep *ep);
    /* FAB_OK: done() will run or has run. FAB_ERR_AGAIN: queue full, nothing happened; a later
     * progress() returns true. Another status: nothing happened and the endpoint is broken. */
    enum fab_status (*send)(struct xp_ep *ep, struct xp_send *send);
    /* `landing->place` is at least the body's size. With a failure done() never runs and the offer
     * is gone. */
    enum fab_status (*accept)(struct xp_offer *offer, struct xp_landing *landing);
    void (*refuse)(struct xp_offer *offer); /* the sender's done() still runs with FAB_OK */
    /* Does what can be done now; true if anything was. */
    bool (*progress)(struct xp_wire *wire);

    /* Waiting; required for nodes with threads. arm(): FAB_OK when the descriptor will become
     * readable at the next event, FAB_ERR_AGAIN when there is one already. */
    int (*event_fd)(const struct xp_wire *wire);
    enum fab_status (*arm)(struct xp_wire *wire);

    /* Optional: the core does without. */
    enum fab_status (*mem_register)(struct xp_wire *wire, const struct xp_mem_config *config,
                                    uint64_t mem_id, void **registration_out, struct fab_err *err);
    void (*mem_unregister)(struct xp_wire *wire, void *registration);
    /* The process ends: threads of the backend's stop, no event any more. Then only memory is
     * registered and unregistered. Other threads' locks are taken by none of this. */
    void (*wire_quiet)(struct xp_wire *wire);
    void (*ep_proved)(struct xp_ep *ep); /* the peer has proved the session's key */
    /* A peer at that address may dial this wire when this returns, or no more; counted. */
    void (*expect)(struct xp_wire *wire, const uint8_t *address, size_t address_bytes, bool come);
    void *(*view)(struct xp_ep *ep, uint64_t mem_id, uint64_t offset, size_t size_bytes,
                  bool write);
    /* A look at the cost of a few loads: no endpoint has anything for progress(), though a socket
     * may. It spares a spinning engine its whole turn. */
    bool (*is_quiet)(const struct xp_wire *wire);
    /* Nothing that was sent waits for a turn of progress(). */
    bool (*is_settled)(const struct xp_wire *wire);
    /* Looking on is in vain while this thread runs: who the wire last heard or told something ran
     * on this core. */
    bool (*shares_core)(const struct xp_wire *wire);
    /* Time before which progress() has nothing to do unless a peer acts; for wires that keep time
     * themselves (loop). */
    uint64_t (*deadline_ns)(const struct xp_wire *wire);
};

/* All required slots are there and the name fits. */
bool xp_backend_is_complete(const struct xp_backend *backend);

extern const struct xp_backend xp_backend_ucx; /* xp_ucx.c */
extern const struct xp_backend xp_backend_shm; /* xp_shm.c */

#endif /* UCX_TRANSPORT_XP_BACKEND_H */
