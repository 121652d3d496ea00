/* SPDX-License-Identifier: Apache-2.0
 * session/ses.h - the attach protocol: how a client process and its workers are brought together.
 *
 * A *broker* (the agent of the node; bin/remote-run in tests) listens on a unix socket and knows
 * which virtual GPUs a client process may use. It starts one worker a node for that process, passes
 * transport addresses and a secret key between them, and tells each end when the other is gone. Its
 * messages are versioned, bounded and described in docs/protocol.md, "Attach protocol".
 *
 *   client                     broker                            worker (one a node)
 *     hello ------------------> SO_PEERCRED, who may what
 *     <----------------- grant  virtual GPUs, rails, node id
 *     address, rows ----------> starts workers --- prepare ------> opens rails
 *                               <---------- offer: address, rows -
 *                               +--- accept: session, key, -------> reserves the row
 *                                    row, client's address
 *     <-------- attach: row, <--------------------- ready ---------- waits for the client
 *               sessions, keys,
 *               addresses
 *     <------------------ event (a worker or the lease is gone)     event (the client is gone)
 *
 * Thread: one at a time for each object; ses_client_event and ses_worker_event on any one thread.
 */
#ifndef SESSION_SES_H
#define SESSION_SES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
    SES_VERSION = 2,
    SES_VGPUS_MAX = 64,
    SES_WORKERS_MAX = 64,
    SES_RAILS_MAX = 8,
    SES_NAME_BYTES = 64,    /* of hosts, systems; with the NUL */
    SES_DEVICE_BYTES = 64,  /* of a rail's device */
    SES_KEY_BYTES = 32,     /* XP_KEY_BYTES */
    SES_NODE_ID_BYTES = 16, /* XP_NODE_ID_BYTES */
    SES_ADDRESS_MAX_BYTES = 8192,
    SES_TEXT_BYTES = 256,
};

#define SES_SOCKET_DEFAULT "/run/fabricd/client.sock"

enum ses_wire { SES_WIRE_UCX, SES_WIRE_SHM };

struct ses_rail {
    char device[SES_DEVICE_BYTES]; /* "mlx5_0:1", "eth0"; a socket folder for shm */
    enum ses_wire wire;
    int32_t numa_node; /* -1: unknown */
    uint32_t number;   /* on its node, for who pairs them; processes do not hear it */
};

/* What a process must know of its own node to open a transport. */
struct ses_node {
    uint8_t id[SES_NODE_ID_BYTES];
    char name[SES_NAME_BYTES];
    struct ses_rail rails[SES_RAILS_MAX];
    uint32_t rail_count;
};

struct ses_vgpu {
    uint32_t worker; /* index into the grant's workers */
    uint32_t device; /* ordinal in that worker's driver */
    uint32_t role, epoch;
    uint64_t fence; /* fencing number of the lease */
};

struct ses_settings {
    uint64_t grace_ns; /* a session outlives its connections so long */
    bool sync;         /* FABRIC_SYNC */
};

/* ---------------------------------------------------------------- client */

struct ses_client;

struct ses_grant {
    char system[SES_NAME_BYTES];
    struct ses_node node; /* the client's */
    struct ses_vgpu vgpus[SES_VGPUS_MAX];
    uint32_t vgpu_count;
    char worker_nodes[SES_WORKERS_MAX][SES_NAME_BYTES]; /* where each worker is */
    uint32_t worker_count;
    struct ses_settings settings;
};

struct ses_pair {
    uint8_t local, peer; /* indices of rails; nearest first */
};

/* One worker, as the client reaches it. */
struct ses_link {
    uint64_t session_id;
    uint8_t key[SES_KEY_BYTES];
    uint8_t address[SES_ADDRESS_MAX_BYTES];
    uint32_t address_bytes;
    struct ses_pair pairs[SES_RAILS_MAX * SES_RAILS_MAX];
    uint32_t pair_count; /* 0: same host */
};

struct ses_attach {
    uint32_t row;           /* of cuda-common/layout.h */
    struct ses_link *links; /* worker_count of them; the client object's */
};

/* Connects to `path` (NULL: $FABRIC_SOCKET, else SES_SOCKET_DEFAULT), says hello, with the name of
 * the system that is wanted ($FABRIC_SYSTEM; none: the only one that the user has here) and which
 * of its GPUs ($FABRIC_GPUS; none: all), and waits for the grant. FAB_ERR_NOT_FOUND: no broker, no
 * system for this process, or not so many GPUs; FAB_ERR_INVALID: $FABRIC_GPUS; FAB_ERR_DENIED,
 * FAB_ERR_VERSION (err says which side to renew), FAB_ERR_TIMEOUT, FAB_ERR_PROTOCOL. Blocks. */
FAB_NODISCARD enum fab_status ses_client_open(const char *path, struct ses_client **client_out,
                                              struct fab_err *err);
const struct ses_grant *ses_client_grant(const struct ses_client *client);

/* Gives this process's transport address and the layout rows that suit it, and waits until every
 * worker is ready. The keys are wiped by ses_client_forget_keys(). Blocks. */
FAB_NODISCARD enum fab_status ses_client_attach(struct ses_client *client, const uint8_t *address,
                                                size_t address_bytes, uint32_t rows,
                                                struct ses_attach *attach_out, struct fab_err *err);
void ses_client_forget_keys(struct ses_client *client);

enum ses_event_kind {
    SES_EVENT_NONE,        /* nothing yet */
    SES_EVENT_WORKER_GONE, /* evidence: the process `worker` ended, or its node was lost */
    SES_EVENT_REVOKED,     /* the lease is over; everything goes */
    SES_EVENT_BROKER_GONE, /* no evidence of anything; running programs do not notice */
};
struct ses_event {
    enum ses_event_kind kind;
    uint32_t worker;
    char text[SES_TEXT_BYTES]; /* one sentence */
};

/* Readable when there is news; closed by the object. */
int ses_client_fd(const struct ses_client *client);
/* The next event; SES_EVENT_NONE when there is none now. Never blocks. */
void ses_client_event(struct ses_client *client, struct ses_event *event_out);
/* Says goodbye: the broker ends the workers. Takes NULL. */
void ses_client_close(struct ses_client *client);

/* ---------------------------------------------------------------- worker */

struct ses_worker;

struct ses_prepare {
    struct ses_node node;                 /* the worker's */
    struct ses_vgpu vgpus[SES_VGPUS_MAX]; /* that it will serve; .worker is this one */
    uint32_t vgpu_index[SES_VGPUS_MAX];   /* their numbers in the system */
    uint32_t vgpu_count;
    struct ses_settings settings;
};

struct ses_accept {
    uint32_t row;
    struct ses_link link; /* the client's address and rails */
};

/* `fd`: the broker's end of a socket pair, inherited (environment FABRIC_WORKER_FD, taken out of it
 * and made CLOEXEC here). Waits for prepare. Blocks. */
FAB_NODISCARD enum fab_status ses_worker_open(struct ses_worker **worker_out, struct fab_err *err);
/* The same with a socket that ses_warm_wait() gave; it is the worker's from now on. */
FAB_NODISCARD enum fab_status ses_worker_open_at(int fd, struct ses_worker **worker_out,
                                                 struct fab_err *err);
const struct ses_prepare *ses_worker_prepare(const struct ses_worker *worker);
/* Offers address and rows, waits for the client. FAB_ERR_CANCELLED: it is not coming. Blocks. */
FAB_NODISCARD enum fab_status ses_worker_offer(struct ses_worker *worker, const uint8_t *address,
                                               size_t address_bytes, uint32_t rows,
                                               struct ses_accept *accept_out, struct fab_err *err);
/* The client may dial now: the session of the accept is open. FAB_ERR_PEER_LOST. */
FAB_NODISCARD enum fab_status ses_worker_ready(struct ses_worker *worker, struct fab_err *err);
/* Tells the broker why this worker cannot serve; the client hears it. */
void ses_worker_refuse(struct ses_worker *worker, const struct fab_err *why);
int ses_worker_fd(const struct ses_worker *worker);
/* SES_EVENT_REVOKED: the client or the lease is gone: end. */
void ses_worker_event(struct ses_worker *worker, struct ses_event *event_out);
void ses_worker_close(struct ses_worker *worker); /* takes NULL */

/* ---------------------------------------------------------------- a worker that waits
 * It is started before a client asks for it, under the lease that it will serve, and makes
 * everything ready that is the same for every client. Its socket comes later.
 */

#define SES_WARM_VARIABLE "FABRIC_WARM_FD"

/* The agent's: tells the worker at the other end of `fd` its node and the rails that it will most
 * likely use; gives it the worker's end of a session (which stays the caller's, too).
 * FAB_ERR_PEER_LOST: it has ended. */
FAB_NODISCARD enum fab_status ses_warm_prepare(int fd, const struct ses_node *node,
                                               struct fab_err *err);
FAB_NODISCARD enum fab_status ses_warm_give(int fd, int session_fd, struct fab_err *err);

/* Whether a process opens the same for both. */
bool ses_node_is_same(const struct ses_node *a, const struct ses_node *b);

/* The worker's: hears that, out of the environment as ses_worker_open() does. FAB_ERR_NOT_FOUND: it
 * was asked for at its start. Blocks. */
FAB_NODISCARD enum fab_status ses_warm_open(int *fd_out, struct ses_node *node_out,
                                            struct fab_err *err);
/* Waits for the session, and closes `fd`. FAB_ERR_CANCELLED: nobody will ask for it. Blocks. */
FAB_NODISCARD enum fab_status ses_warm_wait(int fd, int *session_fd_out, struct fab_err *err);

#endif /* SESSION_SES_H */
