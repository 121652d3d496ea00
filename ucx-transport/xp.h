/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp.h - the transport: one ordered command stream and bulk rails to each peer.
 *
 * A process has one *node*: its local rails and the threads that drive them. It has a *connection*
 * to each peer process. A connection is a session: it outlives its wires for a grace period, and
 * what is posted on it happens exactly once (docs: README.md in this folder, "Exactly once").
 * It carries three things:
 *   - an ordered stream of commands (posts, and calls with a reply), batched and flow-controlled;
 *   - an urgent lane for replies and signals, which never wait behind commands or credit;
 *   - bulk transfers, cut in chunks that all rails pull from; they have no order against commands.
 * Both ends are equal; only the *initiator* dials. Nothing here knows CUDA.
 *
 * Threads. "Any" below: any thread, also inside a handler. Handlers run on the node's control
 * engine, one at a time; bulk callbacks on the rails' engines, several at a time. Neither may
 * block or call a function marked "blocks". In a forked child every function that can fail returns
 * FAB_ERR_STALE and the others do nothing (statistics are zero).
 */
#ifndef UCX_TRANSPORT_XP_H
#define UCX_TRANSPORT_XP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"

struct fab_clock;
struct fab_log;
struct xp_backend;
struct xp_conn;
struct xp_mem;
struct xp_node;
struct xp_transfer;

enum {
    XP_KEY_BYTES = 32,
    XP_NODE_ID_BYTES = 16,
    XP_DIGEST_BYTES = 16,
    XP_RAILS_MAX = 8,
    XP_ADDRESS_MAX_BYTES = 8192,    /* all rails of a node, as xp_node_address() gives them */
    XP_MESSAGE_MAX_BYTES = 1 << 20, /* arguments of one command, reply or signal */
    XP_OP_MAX = 0xffff,             /* highest op number that a caller may use */
    XP_PART_NS = 100000000,         /* time for a last word on sound wires */
};

/* ---------------------------------------------------------------- node */

enum xp_memory { XP_MEMORY_HOST, XP_MEMORY_DEVICE };

/* One local rail. Its two workers (control, bulk), threads and staging live on numa_node. */
struct xp_rail_config {
    const struct xp_backend *backend; /* static: xp_backend_ucx, xp_backend_shm, or a test's loop */
    const char *device;               /* "mlx5_0:1", "eth0", a socket path: as the backend says */
    void *context;                    /* the backend's own; NULL for ucx and shm */
    int numa_node; /* -1: wherever; one that is not there: the same, a log line */
};

struct xp_node_config {
    uint8_t node_id[XP_NODE_ID_BYTES]; /* same value = same host, then proved by the backend */
    const struct xp_rail_config *rails;
    uint32_t rail_count;           /* 1 .. XP_RAILS_MAX, nearest first */
    const struct fab_clock *clock; /* kept */
    const struct fab_log *log;     /* kept; debug and trace only; may be NULL */
    bool polled;                   /* no threads: the caller turns xp_node_poll(); for tests */
    uint32_t spin_us;              /* before a thread sleeps */
    bool cores_short; /* threads that wait give way while they spin, ours do not spin */
};

/* Opens the rails and starts the engines. Everything in config is copied but what is marked kept.
 * FAB_ERR_INVALID, FAB_ERR_NOMEM, or what the backend met (err names the rail). */
FAB_NODISCARD enum fab_status xp_node_create(const struct xp_node_config *config,
                                             struct xp_node **node_out, struct fab_err *err);

/* Takes NULL. Ends what connections are left without a word to their peers, stops the threads. The
 * peers of those that were closed or condemned just before have up to XP_PART_NS to hear it.
 * Blocks until the backends are closed. No other thread may use the node or its connections. */
void xp_node_destroy(struct xp_node *node);

/* Waits until the peers of sessions that were closed or condemned just before have the reason, at
 * most so long: before an end by _exit. Takes NULL. Blocks. Not from a handler. Thread: any. */
void xp_node_part(struct xp_node *node, uint64_t limit_ns);

/* For the end of the process, while other threads may be anywhere in this library: what was posted
 * goes out, then no wire is used any more and no handler runs; who waits waits on. Only memory is
 * registered and unregistered as before. False, and nothing has changed, if the transport is busy
 * for a second (a signal may have interrupted it, in this very thread). Takes NULL. */
bool xp_node_quiet(struct xp_node *node);

/* False: the program has closed descriptors that it did not open, and ours are not there any more,
 * or are its own files by now. All sessions of the node are lost with FAB_ERR_STALE, its functions
 * refuse, and whoever has descriptors beside it had better leave them alone, too. A system call.
 * Thread: any. */
bool xp_node_has_descriptors(struct xp_node *node);

/* The bytes by which a peer reaches this node; at most XP_ADDRESS_MAX_BYTES. They travel inside
 * the attach protocol only (design D8). Thread: any. */
const uint8_t *xp_node_address(const struct xp_node *node, size_t *size_bytes_out);

/* Polled nodes: does what can be done now; true if anything was. Then the time before which
 * nothing will happen unless a peer acts (UINT64_MAX: never). */
bool xp_node_poll(struct xp_node *node);
uint64_t xp_node_deadline_ns(const struct xp_node *node);

/* A thread that serves does the control engine's work itself, handlers included, so that a message
 * for it is one change of threads. One thread at a time, and none that waits in xp_call beside it.
 * Between begin and end it calls xp_serve(), which returns when is_done(): that may change in a
 * handler, or elsewhere: then xp_serve_nudge() follows. A server that is busy with something else
 * for long is stood in for; before it waits for what the transport brings, it ends. Not on polled
 * nodes. */
void xp_serve_begin(struct xp_node *node);
void xp_serve(struct xp_node *node, bool (*is_done)(void *user), void *user); /* blocks */
void xp_serve_end(struct xp_node *node);
void xp_serve_nudge(struct xp_node *node); /* any thread */

/* ---------------------------------------------------------------- connection */

enum xp_message_kind { XP_POST, XP_CALL, XP_SIGNAL };

struct xp_message {
    enum xp_message_kind kind;
    uint32_t op;
    uint64_t number;  /* of the command (from 1, no gaps); of the signal in its own count */
    const void *args; /* borrowed for the handler's call, 8-byte aligned */
    size_t args_bytes;
};

enum xp_event_kind {
    XP_EVENT_UP,        /* the control channel works (first time, or again) */
    XP_EVENT_SILENT,    /* it does not: calls wait, the grace period runs */
    XP_EVENT_LOST,      /* the session is over; status says why. The last but CLOSED */
    XP_EVENT_RAIL_UP,   /* rail: index into the connection's pairs */
    XP_EVENT_RAIL_DOWN, /* its chunks go elsewhere; it is dialled again */
    XP_EVENT_CLOSED,    /* after xp_conn_close: the connection's memory goes now */
};

struct xp_event {
    enum xp_event_kind kind;
    uint32_t rail;
    enum fab_status
        status;       /* FAB_ERR_PEER_LOST, FAB_ERR_TIMEOUT (grace over), FAB_ERR_PROTOCOL .. */
    const char *text; /* one sentence, borrowed */
};

/* A batch of commands that leaves; again: it left before, by a wire that was lost. */
struct xp_batch_info {
    uint64_t opened_ns, sent_ns; /* the first command was put into it; now */
    uint64_t first;              /* number of that command */
    uint32_t commands, bytes;
    bool again;
};

struct xp_handlers {
    /* A post or call in the order of numbers, or a signal. Exactly once each. A call is answered
     * by xp_reply, now or later, from any thread. */
    void (*message)(void *user, struct xp_conn *conn, const struct xp_message *message);
    void (*event)(void *user, struct xp_conn *conn, const struct xp_event *event); /* may be NULL */
    /* For a timeline; may be NULL. On any thread, under the connection's lock: it is quick and
     * calls nothing of this library. */
    void (*batch)(void *user, const struct xp_batch_info *info);
};

/* Zero means the default in brackets. */
struct xp_limits {
    uint32_t batch_bytes;  /* [8000] a batch closes at this size, */
    uint32_t batch_calls;  /* [64] at this many (a quarter for an idle peer on this host), */
    uint32_t batch_ns;     /* [20000] and this long after its first; after a full one, 5 times */
    uint32_t window_bytes; /* [4 MiB] commands that we accept beyond the executed ones */
    uint32_t window_calls; /* [65536] the same in commands */
    uint32_t urgent_bytes; /* [4 MiB] unacknowledged signals before FAB_ERR_AGAIN */
    uint32_t chunk_bytes;  /* [4 MiB] largest bulk chunk; the smaller of both ends counts */
    uint32_t chunks_in_flight; /* [4] for each rail */
    uint32_t transfers;        /* [4096] open bulk transfers, each direction */
    uint64_t grace_ns;         /* [30 s] the same at both ends */
    uint64_t stall_ns;         /* [500 ms] D7: dead after max(this, 8 x usual) unanswered */
    uint64_t stall_first_ns;   /* [5 s] the same before there is a usual */
    uint64_t idle_probe_ns;    /* [1 s] */
    uint64_t retry_first_ns;   /* [100 ms] doubled up to */
    uint64_t retry_last_ns;    /* [10 s] */
};

struct xp_rail_pair {
    uint8_t local, peer; /* indices into the two nodes' rails */
};

struct xp_conn_config {
    uint64_t session_id;         /* not 0, unique in both nodes */
    uint8_t key[XP_KEY_BYTES];   /* the session's secret, from the attach protocol or a ticket */
    bool initiator;              /* one end dials, the other waits */
    const uint8_t *peer_address; /* what the peer's xp_node_address() gave */
    size_t peer_address_bytes;
    const struct xp_rail_pair *pairs; /* nearest first; control uses the first that works */
    uint32_t pair_count; /* 0: rail i with rail i; on one host shm, which the others stand by for */
    bool manual_executed; /* xp_executed() moves the watermark, not the handler's return */
    struct xp_limits limits;
    const struct xp_handlers *handlers; /* kept */
    void *user;                         /* for the handlers */
};

/* Starts a connection; XP_EVENT_UP follows, or XP_EVENT_LOST at the end of the grace period.
 * Commands may be posted at once. Never blocks. FAB_ERR_FORMAT or FAB_ERR_VERSION for the
 * address, FAB_ERR_EXISTS for the session id, FAB_ERR_UNREACHABLE if no pair fits. Thread: any. */
FAB_NODISCARD enum fab_status xp_conn_open(struct xp_node *node,
                                           const struct xp_conn_config *config,
                                           struct xp_conn **conn_out, struct fab_err *err);

/* Ends the session: tells the peer (which gets XP_EVENT_LOST with FAB_ERR_CANCELLED), fails open
 * calls and transfers with FAB_ERR_CANCELLED, then XP_EVENT_CLOSED. The caller uses `conn` no more.
 * Never blocks. Thread: any. */
void xp_conn_close(struct xp_conn *conn);

/* Evidence from outside (the agent saw the process end, the lease was revoked): the session is
 * LOST at once with this status, and the peer, if it can be reached within the grace period, hears
 * the same; after FAB_ERR_PEER_LOST nobody is looked for. Thread: any. */
void xp_conn_condemn(struct xp_conn *conn, enum fab_status status, const char *why);

/* Blocks until the control channel is up, the session is lost (its status) or `deadline_ns` of
 * the node's clock (FAB_ERR_TIMEOUT). Not on polled nodes. */
FAB_NODISCARD enum fab_status xp_conn_wait_up(struct xp_conn *conn, uint64_t deadline_ns,
                                              struct fab_err *err);

/* ---------------------------------------------------------------- commands
 *
 * `parts` are copied before the call returns; together at most XP_MESSAGE_MAX_BYTES
 * (FAB_ERR_RANGE). After the end of the session: its status. */

/* One way. Sent when its batch closes. FAB_ERR_AGAIN when the peer's window is used up: see
 * xp_wait_room(). *number_out may be NULL. Never blocks. Thread: any; the order is that of the
 * returns. */
FAB_NODISCARD enum fab_status xp_post(struct xp_conn *conn, uint32_t op, const struct iovec *parts,
                                      size_t part_count, uint64_t *number_out);

struct xp_reply {
    enum fab_status carried; /* FAB_OK: the peer answered, and only then the rest counts */
    int32_t result;          /* what the peer said, untouched */
    uint64_t number;         /* of the call */
    const void *bytes;       /* borrowed for the callback, 8-byte aligned */
    size_t size_bytes;
    uint8_t digest[XP_DIGEST_BYTES]; /* all zero: none */
};

struct xp_call {
    /* Runs exactly once, on the control engine or in xp_conn_close's aftermath. */
    void (*done)(struct xp_call *call, const struct xp_reply *reply);
    void *user;
    uint64_t number; /* set by xp_call_start before done can run */
};

/* Posts a command that wants a reply, and closes the batch. `call` is kept until done. */
FAB_NODISCARD enum fab_status xp_call_start(struct xp_conn *conn, uint32_t op,
                                            const struct iovec *parts, size_t part_count,
                                            struct xp_call *call);

/* The same and waits for the reply, driving the control engine itself. The reply is copied to
 * `reply_bytes` (FAB_ERR_RANGE if it does not fit; reply_out->size_bytes then says its size).
 * Returns reply_out->carried. Blocks, as long as the session lives. Not on polled nodes. */
FAB_NODISCARD enum fab_status xp_call(struct xp_conn *conn, uint32_t op, const struct iovec *parts,
                                      size_t part_count, void *reply_bytes, size_t capacity_bytes,
                                      struct xp_reply *reply_out);

/* Answers the call of that number, once, in any order among calls. `digest` may be NULL. Thread:
 * any. FAB_ERR_STALE: no such call waits. */
FAB_NODISCARD enum fab_status xp_reply(struct xp_conn *conn, uint64_t number, int32_t result,
                                       const struct iovec *parts, size_t part_count,
                                       const uint8_t *digest);

/* A message on the urgent lane; ordered among signals and replies only. FAB_ERR_AGAIN when
 * limits.urgent_bytes are unacknowledged. Thread: any. */
FAB_NODISCARD enum fab_status xp_signal(struct xp_conn *conn, uint32_t op,
                                        const struct iovec *parts, size_t part_count);

/* Closes the open batch, so that it leaves now. Never blocks. Thread: any. */
void xp_flush(struct xp_conn *conn);

/* Blocks until a command of so many bytes would be taken. The session's status, or
 * FAB_ERR_TIMEOUT. Not on polled nodes. */
FAB_NODISCARD enum fab_status xp_wait_room(struct xp_conn *conn, size_t args_bytes,
                                           uint64_t deadline_ns);

/* Receiving end with manual_executed: all commands up to `number` are executed; gives credit. */
void xp_executed(struct xp_conn *conn, uint64_t number);

struct xp_watermarks {
    uint64_t posted;       /* last number given out */
    uint64_t acknowledged; /* the peer's process has it: it will happen exactly once */
    uint64_t executed;     /* the peer says it is done */
};
void xp_watermarks(struct xp_conn *conn, struct xp_watermarks *out);

/* Keeps posted commands from `number` on in the log although they are acknowledged (a mirrored GPU
 * may need them); UINT64_MAX, the default: none. What is kept counts as used window. */
void xp_keep_from(struct xp_conn *conn, uint64_t number);

/* ---------------------------------------------------------------- memory */

struct xp_mem_config {
    void *address;
    size_t size_bytes;
    enum xp_memory memory; /* never guessed */
    int fd;                /* a memfd behind it, so that a peer on this host may map it; else -1 */
    uint64_t fd_offset;
    bool peer_writable; /* the peer's view may write */
};

/* Registers memory with every rail that wants it. Not needed for a transfer, only faster. A rail
 * that cannot (locked memory) stages instead; counted in statistics. FAB_ERR_NOMEM. Thread: any. */
FAB_NODISCARD enum fab_status xp_mem_register(struct xp_node *node,
                                              const struct xp_mem_config *config,
                                              struct xp_mem **mem_out, struct fab_err *err);
void xp_mem_unregister(struct xp_mem *mem); /* takes NULL; no transfer may use it any more */

/* A number for messages, and what the peer on the same host makes of it: the address of the range
 * in this process, or NULL (another host, unknown, out of bounds, not writable). */
uint64_t xp_mem_id(const struct xp_mem *mem);
void *xp_mem_view(struct xp_conn *conn, uint64_t mem_id, uint64_t offset, size_t size_bytes,
                  bool write);

/* ---------------------------------------------------------------- bulk */

struct xp_chunk {
    uint32_t index;
    uint64_t offset;
    uint32_t size_bytes;
    uint8_t digest[XP_DIGEST_BYTES]; /* sender sets it in place(); all zero: none */
    uint32_t direct;                 /* place(): bit per enum xp_memory that this rail takes */
    /* Set by place(). */
    void *address;
    enum xp_memory memory;
    const struct xp_mem *mem; /* may be NULL */
};

struct xp_bulk_ops {
    /* Where the chunk's bytes are (sender) or shall go (receiver). FAB_ERR_AGAIN: not now; call
     * xp_bulk_resume() later. Another failure ends the transfer at both ends. NULL: base + offset.
     * It may be asked again for a chunk (its rail died, the peer had no place, a digest was wrong):
     * the sender then gives the same bytes, and keeps the earlier place until moved() all the same;
     * the receiver's earlier place is free by then. */
    enum fab_status (*place)(void *user, struct xp_chunk *chunk);
    /* Receiver: the bytes are there. The chunk is acknowledged when xp_bulk_consumed() is called
     * (here or later). NULL: at once. Sender: the chunk is acknowledged, its place is free. */
    void (*moved)(void *user, const struct xp_chunk *chunk);
    /* Exactly once, last; no rail touches the memory afterwards. The handle is gone. */
    void (*done)(void *user, enum fab_status status);
};

struct xp_bulk {
    uint64_t id; /* chosen above, the same at both ends, used once in a session and direction */
    uint64_t command;    /* number of the command it belongs to; informative (facts F11) */
    uint64_t size_bytes; /* not 0; both ends must agree */
    const struct xp_bulk_ops *ops; /* kept; done is required */
    void *user;
    void *base; /* without place() */
    enum xp_memory memory;
    const struct xp_mem *mem; /* may be NULL */
};

/* Start one end of a transfer; the order of the two ends does not matter. Memory of the config is
 * the transfer's until done. Never block. FAB_ERR_EXISTS, FAB_ERR_LIMIT, FAB_ERR_NOMEM. Thread:
 * any. */
FAB_NODISCARD enum fab_status xp_bulk_send(struct xp_conn *conn, const struct xp_bulk *bulk,
                                           struct xp_transfer **transfer_out, struct fab_err *err);
FAB_NODISCARD enum fab_status xp_bulk_receive(struct xp_conn *conn, const struct xp_bulk *bulk,
                                              struct xp_transfer **transfer_out,
                                              struct fab_err *err);

/* Asks place() again. Thread: any, before done. */
void xp_bulk_resume(struct xp_transfer *transfer);

/* The receiver has used the chunk. FAB_OK acknowledges it; FAB_ERR_AGAIN has it sent again (a
 * digest did not match); another status ends the transfer. Thread: any. */
void xp_bulk_consumed(struct xp_transfer *transfer, uint32_t chunk_index, enum fab_status status);

/* Ends the transfer at both ends; done follows with `status` when no rail touches the memory. */
void xp_bulk_cancel(struct xp_transfer *transfer, enum fab_status status);

/* ---------------------------------------------------------------- peers on a ticket */

enum { XP_TICKET_MAX_BYTES = 64 + XP_ADDRESS_MAX_BYTES };

/* Server B makes a ticket by which one other server may connect, once; the client carries it to
 * server A inside its authenticated connections. B's end of the connection is open from now on
 * (config as for xp_conn_open; session id, key, initiator and peer address are set here). */
FAB_NODISCARD enum fab_status
xp_ticket_issue(struct xp_node *node, const struct xp_conn_config *config, uint64_t session_id,
                const uint8_t *peer_address, size_t peer_address_bytes,
                uint8_t ticket_out[XP_TICKET_MAX_BYTES], size_t *ticket_bytes_out,
                struct xp_conn **conn_out, struct fab_err *err);
/* Server A redeems it: its end dials. */
FAB_NODISCARD enum fab_status xp_ticket_redeem(struct xp_node *node,
                                               const struct xp_conn_config *config,
                                               const uint8_t *ticket, size_t ticket_bytes,
                                               struct xp_conn **conn_out, struct fab_err *err);

/* ---------------------------------------------------------------- statistics */

struct xp_rail_stats {
    bool up;
    uint64_t sent_bytes, received_bytes; /* of chunks, acknowledged / landed */
    uint64_t sent_chunks, received_chunks, repeated_chunks;
    uint64_t downs;    /* times it was lost */
    uint64_t usual_ns; /* smoothed time from chunk to acknowledgement; 0: unknown */
    /* Of this process on the local rail, for all connections: memory that could not be registered
     * (locked memory is short) and is staged by the backend instead. */
    uint64_t refused_registrations;
};

struct xp_conn_stats {
    bool up;
    uint32_t rail_count;
    uint64_t posts, calls, signals, batches; /* sent */
    uint64_t replayed_batches, duplicate_batches, refused_frames, reconnects;
    uint64_t held_chunks; /* offers for which there was no place yet */
    struct xp_rail_stats rails[XP_RAILS_MAX];
};
void xp_conn_stats(struct xp_conn *conn, struct xp_conn_stats *out);

#endif /* UCX_TRANSPORT_XP_H */
