/* SPDX-License-Identifier: Apache-2.0
 * perf/xp-peer.h - a real peer: another process, reached over UCX or by the same-host path.
 *
 * ucx_peer_start() forks a process that serves one connection with the ops below until its control
 * socket closes; ucx_link_open() makes this process's node and connection to it. Start peers
 * while no node is open: UCX does not work in a child forked from its midst. Used by tests,
 * tests/rack/ and perf/xp-bench.
 */
#ifndef PERF_XP_PEER_H
#define PERF_XP_PEER_H

#include <semaphore.h>
#include <sys/types.h>

#include "ucx-transport/xp.h"
#include "ucx-transport/xp_ucx.h"

enum ucx_op {
    UCX_OP_NOTHING = 1, /* a post counts; */
    UCX_OP_COUNT,       /* a call: result is how many posts came, in order */
    UCX_OP_ECHO,        /* the reply is the arguments */
    UCX_OP_TAKE,        /* struct ucx_bulk_args: the peer receives; result: 0, or what was wrong */
    UCX_OP_GIVE,        /* the same: it sends */
    UCX_OP_LINGER, /* a call: the peer forks a child, which lives until the control socket closes;
                      result: its process id */
    UCX_OP_QUIT,   /* a post: the peer condemns the session, parts and ends at once by _exit */
};

struct ucx_bulk_args {
    uint64_t id, size_bytes, seed; /* seed 0: any bytes, not looked at */
};

/* Why tests over UCX cannot run here; NULL: they can. Asks a child, so that this process stays
 * without UCX. */
const char *ucx_why_not(void);

struct ucx_place {
    const char *devices[XP_RAILS_MAX]; /* up to NULL */
    bool same_host;                    /* no UCX and no devices; the peer's memory is registered */
    const char *netns;                 /* peers: a file to setns() to; NULL: here */
    uint32_t spin_us;
    struct xp_limits limits;
    const struct fab_log *log; /* of the node; NULL: none */
};

struct ucx_peer {
    pid_t pid;
    int fd;
};

/* False, with a line on stderr, if it did not work. `place` is borrowed. */
bool ucx_peer_start(struct ucx_peer *peer, const struct ucx_place *place);
void ucx_peer_kill(struct ucx_peer *peer); /* SIGKILL, and reaped */
/* Lets the process end and reaps it; its exit status (0: all was well), -1 if it was killed. */
int ucx_peer_stop(struct ucx_peer *peer);

struct ucx_link {
    struct xp_node *node;
    struct xp_conn *conn;
    const struct xp_mem *mem; /* set by the caller: where the bytes of transfers lie; NULL */
    _Atomic uint32_t ups, silents, losts, rail_ups, rail_downs, closeds;
    _Atomic int lost_status;
    _Atomic uint64_t down_ns, lost_ns; /* when the first rail went down; when it was lost */
};

/* Opens the node and waits until control and all rails are up. */
bool ucx_link_open(struct ucx_link *link, struct ucx_peer *peer, const struct ucx_place *place,
                   struct fab_err *err);
void ucx_link_close(struct ucx_link *link); /* takes one that is not open */

/* A transfer with the peer, under way. */
struct ucx_flight {
    struct ucx_link *link;
    bool to_peer;
    uint8_t *bytes;
    struct ucx_bulk_args args;
    struct xp_call call;
    sem_t done; /* posted by both halves */
    enum fab_status called, here;
    int32_t there;
};

/* `bytes` is filled (to_peer) or checked at the end unless seed is 0. Kept until ucx_bulk_wait(),
 * which is false unless both ends say it went well and the bytes are right. */
void ucx_bulk_start(struct ucx_flight *flight, struct ucx_link *link, bool to_peer, uint8_t *bytes,
                    const struct ucx_bulk_args *args);
bool ucx_bulk_wait(struct ucx_flight *flight);
bool ucx_bulk(struct ucx_link *link, bool to_peer, uint8_t *bytes,
              const struct ucx_bulk_args *args);

/* Memory that a peer on this host can map, and its registration; false: there is none. */
struct ucx_window {
    uint8_t *bytes;
    size_t size_bytes;
    struct xp_mem *mem;
};
bool ucx_window_open(struct ucx_window *window, struct xp_node *node, size_t size_bytes);
void ucx_window_close(struct ucx_window *window); /* takes one that is not open */

void ucx_fill(uint8_t *bytes, uint64_t size_bytes, uint64_t seed);
bool ucx_is_filled(const uint8_t *bytes, uint64_t size_bytes, uint64_t seed);

#endif /* PERF_XP_PEER_H */
