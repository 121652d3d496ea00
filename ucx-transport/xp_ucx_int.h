/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_ucx_int.h - wires and endpoints over UCX. Private to xp_ucx*.c.
 *
 * Thread: the wire's engine, except memory registration and the guard.
 */
#ifndef UCX_TRANSPORT_XP_UCX_INT_H
#define UCX_TRANSPORT_XP_UCX_INT_H

#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#include "base/map.h"
#include "base/mutex.h"
#include "base/vec.h"
#include "ucx-transport/xp_backend.h"
#include "ucx-transport/xp_ucx_lib.h"

enum {
    XP_UCX_AM_FIRST = 1, /* active message numbers; part of the wire protocol */
    XP_UCX_AM_FRAME,
    XP_UCX_AM_CHUNK,
    XP_UCX_PREFIX_BYTES = 16, /* in front of the core's header: id of the sender's endpoint; that of
                                 the receiver's, or in a first frame the dial's number */
    XP_UCX_SOCKET_BYTES = 8,  /* an address of tcp: IPv4 address and port in network order, zeros;
                                 a longer one is that of a UCX worker */
    XP_UCX_STRANGERS_KEPT = 64, /* connections without a session; of more, the oldest goes */
    XP_UCX_STRANGERS_MAX = 256, /* when it is a second old, or with so many at once */
    XP_UCX_STRANGER_NS = 1000000000,
    XP_UCX_SKIPS_MAX = 4096, /* dials that never arrived */
    XP_UCX_FIRSTS_MAX = 256, /* first frames between two turns; more are dropped */
};

/* Of an endpoint's id: its wire stages, so chunks go to it eagerly (xp_ucx_lock.c). */
#define XP_UCX_ID_STAGES (UINT64_C(1) << 63)

/* A send in flight; from the wire's pool. */
struct xp_ucx_send {
    struct xp_ucx_send *next_free;
    struct xp_ep *ep;
    struct xp_send *send;
    uint8_t header[XP_UCX_PREFIX_BYTES + XP_HEADER_MAX_BYTES];
};

/* The first frame from an endpoint that has none here: handled outside UCX's callback. */
struct xp_ucx_first {
    struct fab_list link;
    uint64_t ep_id; /* tcp: it came by this one */
    uint64_t peer_id, dial;
    size_t header_bytes;
    uint8_t header[XP_HEADER_MAX_BYTES];
};

/* The address of peers, in network order, and how many there are. */
struct xp_ucx_host {
    uint32_t address, count;
};

struct xp_wire {
    const struct xp_ucx_lib *lib;
    struct xp_wire_config config;
    ucp_context_h context;
    ucp_worker_h worker;
    uint8_t address[XP_WIRE_ADDRESS_MAX_BYTES];
    size_t address_bytes;
    int event_fd;                /* UCX's */
    int helper_fd;               /* the set of UCX's helper thread; -1: not ours */
    size_t looked_at;            /* so many endpoints when descriptors were marked last; */
    uint32_t looks;              /* and so many looks to come */
    char interface[IF_NAMESIZE]; /* where connections are made; "": none, by worker addresses */
    ucp_listener_h listener;     /* NULL: none */
    struct sockaddr_in own;      /* with port 0 */
    struct fab_list requests;
    struct fab_map handles; /* ucp_ep_h -> struct xp_ep that was accepted */
    uint32_t stranger_count;
    int listen_fd; /* UCX's */
    struct fab_mutex hosts_lock;
    struct fab_vec hosts; /* struct xp_ucx_host, that may connect */
    bool takes_device_memory;
    bool stages;          /* memory of others is never locked */
    bool is_quiet;        /* nobody is told anything any more */
    bool must_turn;       /* a send is under way or failed, and UCX may want to be asked */
    struct fab_map ids;   /* own id -> struct xp_ep */
    struct fab_map dials; /* hash of a peer's address -> how many endpoints UCX made to it, ever */
    struct fab_list eps;  /* all */
    struct fab_list news; /* endpoints that failed or are closed, by news_link */
    struct fab_list firsts;
    uint32_t first_count;
    const struct xp_ucx_first *answering; /* set while its frame is with the core */
    struct xp_ucx_send *free_sends;
    uint8_t *aligned; /* a body that UCX gave at an odd address */
    size_t aligned_bytes;
};

struct xp_ep {
    struct fab_list link, news_link;
    struct xp_wire *wire;
    void *owner;
    bool is_stranger;
    uint64_t accepted_ns;
    ucp_ep_h ucp;                         /* NULL: closed */
    uint64_t id, peer_id;                 /* peer_id 0: not known yet */
    uint64_t dial;                        /* this is the n-th endpoint to that address */
    bool failed, told, closing, released; /* released: UCX has let go of it */
    ucs_status_t why;
    uint32_t send_count, landing_count;
};

struct xp_offer {
    struct xp_ep *ep;
    void *descriptor;
    bool answered;
};

/* xp_ucx_ep.c */
enum fab_status xp_ucx_ep_open(struct xp_wire *wire, const uint8_t *address, size_t address_bytes,
                               void *owner, struct xp_ep **ep_out, struct fab_err *err);
void xp_ucx_ep_own(struct xp_ep *ep, void *owner);
void xp_ucx_ep_close(struct xp_ep *ep);
enum fab_status xp_ucx_send(struct xp_ep *ep, struct xp_send *send);
enum fab_status xp_ucx_accept(struct xp_offer *offer, struct xp_landing *landing);
void xp_ucx_refuse(struct xp_offer *offer);
bool xp_ucx_tend(struct xp_wire *wire);      /* tells what happened inside UCX's callbacks */
void xp_ucx_eps_drop(struct xp_wire *wire);  /* at the wire's end: without a word */
void xp_ucx_eps_close(struct xp_wire *wire); /* at the process's end */
bool xp_ucx_eps_are_released(const struct xp_wire *wire);
struct xp_ep *xp_ucx_ep_create(struct xp_wire *wire, void *owner, struct fab_err *err);
void xp_ucx_on_error(void *ep, ucp_ep_h ucp, ucs_status_t result);

/* xp_ucx_listen.c */
/* Chooses wire->interface, none for an RDMA port that has none with an IPv4 address. Waits 2 s for
 * its link. */
enum fab_status xp_ucx_find_interface(struct xp_wire *wire, const char *device,
                                      struct fab_err *err);
enum fab_status xp_ucx_listen(struct xp_wire *wire, struct fab_err *err);
void xp_ucx_listen_end(struct xp_wire *wire);
bool xp_ucx_listen_progress(struct xp_wire *wire); /* accepts */
enum fab_status xp_ucx_connect(struct xp_ep *ep, const uint8_t *address, struct fab_err *err);

/* xp_ucx_guard.c */
enum fab_status xp_ucx_guard(struct xp_wire *wire, const struct sockaddr_in *address,
                             struct fab_err *err);
void xp_ucx_expect(struct xp_wire *wire, const uint8_t *address, size_t address_bytes, bool come);

/* xp_ucx_pair.c */
enum fab_status xp_ucx_pair(struct xp_ep *ep, const uint8_t *address, size_t address_bytes,
                            struct fab_err *err);
/* Makes our next endpoint to that address the `dial`-th, if it is not too late for that. */
void xp_ucx_pair_skip_to(struct xp_wire *wire, const uint8_t *address, size_t address_bytes,
                         uint64_t dial);

static inline bool xp_ucx_is_port(const char *device)
{
    return strchr(device, ':') != NULL; /* "mlx5_0:1" is a port, "eth0" an interface */
}

/* xp_ucx_lock.c */
void xp_ucx_lock_settle(struct xp_wire *wire, ucp_config_t *config, bool is_port);

/* xp_ucx_fds.c: close-on-exec, after the wire opened and before each sleep. */
void xp_ucx_fds_mark(struct xp_wire *wire);

/* Handlers of UCX. */
ucs_status_t xp_ucx_on_first(void *wire, const void *header, size_t header_bytes, void *body,
                             size_t body_bytes, const ucp_am_recv_param_t *param);
ucs_status_t xp_ucx_on_frame(void *wire, const void *header, size_t header_bytes, void *body,
                             size_t body_bytes, const ucp_am_recv_param_t *param);
ucs_status_t xp_ucx_on_chunk(void *wire, const void *header, size_t header_bytes, void *body,
                             size_t body_bytes, const ucp_am_recv_param_t *param);

#endif /* UCX_TRANSPORT_XP_UCX_INT_H */
