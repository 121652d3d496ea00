/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_int.h - the core's objects, private to this folder. README.md has the words.
 *
 * Who may touch what: fields under "engine" only the engine of the wire; the others of a
 * connection, its legs, lives and transfers only with conn->lock held. Lock order: node lock,
 * conn lock, slot ready_lock. Who is an engine's runner may take them; to become it is only tried.
 * No callback of the user is called with one of them held, and no backend function but send() of a
 * frame on a quick wire, and view().
 */
#ifndef UCX_TRANSPORT_XP_INT_H
#define UCX_TRANSPORT_XP_INT_H

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mutex.h"
#include "base/vec.h"
#include "ucx-transport/xp_address.h"
#include "ucx-transport/xp_auth.h"
#include "ucx-transport/xp_backend.h"
#include "ucx-transport/xp_lane.h"
#include "ucx-transport/xp_plan.h"

enum {
    XP_FRAME_OPS = 16, /* frames in flight on a life */
    XP_CHUNKS_IN_FLIGHT_MAX = 16,
    XP_LANDINGS_MAX = 2 * XP_CHUNKS_IN_FLIGHT_MAX, /* repeats of a chunk may overlap its answer */
    XP_ENGINES_MAX = 1 + XP_RAILS_MAX,
    XP_ACK_DELAY_NS = 1000000, /* acknowledgements wait so long for a frame to ride on */
    XP_RESEND_NS = 200000000,  /* an unacknowledged log is sent again on a live leg; doubled */
    XP_FIRST_BATCH_SHARE = 4,  /* of a full batch, for a peer on this host that has nothing to do */
    XP_FULL_BATCH_FACTOR = 5,  /* a batch after a full one may stay open so many times longer */
    XP_USUAL_FACTOR = 8,       /* design D7: dead after 8 x usual */
    XP_WINDOW_MIN_BYTES = 2 * (XP_MESSAGE_MAX_BYTES + 4096), /* every message fits, always */
    XP_WINDOW_MIN_CALLS = 64,
    XP_UNIT_MIN_BYTES = 64 << 10, /* a receiver with larger chunks lets no peer cut finer */
};

/* Runner of an engine that is not to be turned any more. */
#define XP_RUNNER_NOBODY UINT64_MAX

struct xp_leg;
struct xp_life;

/* ---------------------------------------------------------------- node */

/* One wire of a local rail. */
struct xp_slot {
    struct xp_node *node;
    struct xp_engine *engine;
    const struct xp_backend *backend;
    struct xp_wire *wire;
    struct xp_wire_caps caps;
    uint32_t rail;
    bool bulk;
    bool any_stalled;      /* engine: the backend had no room; kick all legs when it moves */
    struct fab_map tokens; /* engine: token -> struct xp_life */
    struct fab_list legs;  /* engine, but added to under ready_lock through `fresh` */
    struct fab_mutex ready_lock;
    struct fab_list ready; /* legs to pump */
    struct fab_list fresh; /* legs that the engine does not know yet */
    atomic_bool any_ready; /* one of the two is not empty: a look without the lock */
    _Atomic uint64_t refused_registrations;
};

/* Turns some slots. Thread: whoever is the runner. */
struct xp_engine {
    struct xp_node *node;
    _Atomic uint64_t runner; /* the thread that is the engine now; 0: nobody */
    struct xp_slot *slots[2 * XP_RAILS_MAX];
    uint32_t slot_count;
    bool control;
    bool is_quick;          /* control, and a look at its wires is a few loads */
    bool has_more;          /* messages of the frame that is being taken, after the present one */
    uint64_t now_ns;        /* of this turn; on a quick engine of some looks ago */
    bool is_untimed;        /* that is older: who sends in passing looks at the clock afterwards */
    uint64_t heard_ns;      /* when a wire last moved */
    struct xp_slot *recent; /* which one, or was sent on; NULL: none */
    uint32_t looks;         /* turns, and looks that were in place of one */
    _Atomic uint64_t spin_ns; /* how long its thread looks for the next event before it sleeps */
    _Atomic uint64_t timer_ns;
    atomic_bool asleep, stop, work; /* work: connections want their turn (control) */
    atomic_bool is_wanted;          /* who wants to sleep on the wires found another one to be it */
    /* Who sleeps on the wires does not look at the timers before; 0: none does, or for a moment */
    _Atomic uint64_t thread_until_ns, helper_until_ns;
    _Atomic uint32_t helpers; /* application threads that turn it while they wait */
    _Atomic uint64_t helped;  /* turns of application threads that wait, counted */
    _Atomic uint32_t missed;  /* so many calls in a row took longer than helpers spin */
    atomic_bool has_sleeper;  /* a helper sleeps on the wires; help_fd wakes it */
    atomic_bool retired;      /* its thread sleeps until it is woken, because one does */
    _Atomic uint32_t queued;  /* waiting threads that do not help */
    int help_fd;              /* -1 on polled nodes */
    int return_fd;            /* a timer that calls the retired thread back; -1 on polled nodes */
    atomic_bool is_returning; /* it was set */
    int wake_fd;              /* -1 on polled nodes */
    int numa_node;            /* -1: anywhere */
    pthread_t thread;
    bool started;
};

struct xp_node {
    uint32_t fork_generation;
    bool polled, yields;
    uint64_t spin_ns;
    const struct fab_clock *clock;
    const struct fab_log *log;
    struct xp_slot slots[2 * XP_RAILS_MAX]; /* rail r: control 2r, bulk 2r+1 */
    uint32_t rail_count;
    struct xp_engine engines[XP_ENGINES_MAX]; /* 0: control */
    uint32_t engine_count;
    uint8_t node_id[XP_NODE_ID_BYTES];
    uint8_t address[XP_ADDRESS_MAX_BYTES];
    size_t address_bytes;
    struct fab_mutex lock;   /* conns, sessions, next_mem_id */
    struct fab_list conns;   /* all, also closing ones */
    struct fab_map sessions; /* session id -> conn that still takes hellos */
    uint64_t next_mem_id;
    int canary_fd; /* xp_gone.c; -1: none */
    uint64_t canary_inode;
    atomic_bool is_gone; /* our descriptors are not ours any more */
};

struct xp_mem {
    struct xp_node *node;
    struct xp_mem_config config;
    uint64_t id;
    void *registrations[2 * XP_RAILS_MAX]; /* by slot; NULL: that wire does without */
};

/* ---------------------------------------------------------------- legs */

enum xp_op_kind { XP_OP_FRAME, XP_OP_BATCH, XP_OP_CHUNK };

/* A send in flight. */
struct xp_op {
    struct xp_send send;
    struct xp_life *life;
    struct xp_op *next_free;
    enum xp_op_kind kind;
    enum xp_lane_id lane;
    struct xp_batch *batch;
    struct xp_transfer *transfer;
    bool is_out;             /* the backend has it */
    uint32_t index, attempt; /* of the chunk */
    uint8_t header[XP_HEADER_MAX_BYTES];
};

/* A chunk on its way in. */
struct xp_arrival {
    struct xp_landing landing;
    struct xp_life *life;
    struct xp_transfer *transfer; /* NULL: free */
    uint32_t index;
    uint64_t accepted_ns;
    uint8_t digest[XP_DIGEST_BYTES];
};

enum xp_life_state { XP_LIFE_DIALLING, XP_LIFE_UP, XP_LIFE_DYING, XP_LIFE_CLOSING };

/* One dialling of a leg. DYING: to be closed by the engine; CLOSING: ep_close() was called. */
struct xp_life {
    struct fab_list link; /* leg->lives */
    struct xp_leg *leg;
    struct xp_ep *ep;
    enum xp_life_state state;
    bool closed; /* ep_closed() came */
    uint64_t epoch, token, peer_token;
    uint8_t nonce[XP_NONCE_BYTES], peer_nonce[XP_NONCE_BYTES];
    uint64_t dialled_ns, heard_ns;
    uint64_t probe_ns; /* when the open probe was sent; 0: none */
    uint64_t probe_cookie, answer_cookie;
    bool hello_due, welcome_due, probe_due, answer_due;
    bool told_proved; /* engine: the backend knows that the peer proved the key */
    uint32_t chunks_flying;
    struct xp_op *stalled; /* the backend had no room for it */
    struct xp_op *free_ops;
    struct xp_op ops[XP_FRAME_OPS + XP_CHUNKS_IN_FLIGHT_MAX];
    struct xp_arrival arrivals[XP_LANDINGS_MAX];
    uint32_t arrival_count;
};

/* One pair's control or bulk half in a connection. */
struct xp_leg {
    struct xp_conn *conn;
    struct xp_slot *slot;
    uint32_t index; /* 2 x pair + (1 for bulk), as in hello */
    uint32_t pair;
    bool bulk;
    uint8_t peer_address[XP_WIRE_ADDRESS_MAX_BYTES];
    size_t peer_address_bytes;
    struct fab_list slot_link;  /* engine */
    struct fab_list ready_link; /* slot->ready_lock */
    bool ready;                 /* the same */
    bool detached;              /* the engine has let go for good */
    bool expected;              /* engine, once it has the leg: the peer may dial the wire */
    struct fab_list lives;      /* the newest first */
    struct xp_life *current;    /* DIALLING or UP; NULL */
    uint64_t last_epoch;        /* responder: highest seen */
    uint64_t retry_ns, retry_delay_ns;
    bool seen_up;            /* now counted as up in events and statistics */
    double bytes_per_ns;     /* bulk: what it carries while busy; 0: unknown */
    uint64_t last_ack_ns;    /* bulk: of a chunk, or when it became busy */
    uint64_t usual_ns;       /* of a chunk or landing (bulk), of a probe (control); 0: unknown */
    uint64_t probe_usual_ns; /* of a probe with nothing else to do */
    struct xp_rail_stats stats;
};

/* ---------------------------------------------------------------- connection */

enum xp_conn_state { XP_CONN_LIVE, XP_CONN_LOST, XP_CONN_CLOSED };

/* The credit that one executed batch gives back. */
struct xp_credit_step {
    uint64_t number, bytes;
};

struct xp_pending_event {
    struct xp_event event;
    char text[FAB_ERR_TEXT_BYTES];
};

struct xp_conn {
    struct xp_node *node;
    struct fab_list link; /* node->conns */
    struct fab_mutex lock;
    pthread_cond_t changed; /* state, window, calls of waiting threads */
    struct xp_limits limits;
    uint64_t session_id;
    bool initiator, manual_executed;
    const struct xp_handlers *handlers;
    void *user;
    struct xp_auth auth;

    enum xp_conn_state state;
    struct fab_err reason; /* of LOST */
    bool closing;          /* xp_conn_close was called */
    bool condemned;        /* xp_conn_condemn was called */
    bool peer_ended;       /* its BYE came, */
    bool was_told;         /* and before it we knew of no end */
    bool parted;           /* the peer knows; linger_ns is short from then on */
    atomic_bool muted;     /* no message reaches the handler any more */
    bool told_closed;      /* the user has had XP_EVENT_CLOSED: no handler any more */
    bool hears_no_more;    /* LOST: the wires are given up, too */
    uint64_t linger_ns;    /* closing, LOST: no longer try to tell the peer */
    uint64_t bulk_ends_ns; /* LOST: the bulk wires go then, so that transfers can end */
    uint64_t silent_ns;    /* since when no control leg is up; 0: one is */
    bool told_up;
    struct fab_vec events; /* struct xp_pending_event, for the control engine to deliver */

    struct xp_leg legs[2 * XP_RAILS_MAX];
    uint32_t leg_count;
    uint32_t standby_from; /* pairs from here on are for when the first ones do not work */
    bool falls_back[2];    /* control, bulk: they do not */
    struct xp_leg *active; /* control leg that we send on; NULL: none is up */
    uint64_t next_epoch;

    struct xp_lane_tx tx[XP_LANE_COUNT];
    struct xp_lane_rx rx[XP_LANE_COUNT];
    uint64_t batch_due_ns; /* close the open ordered batch then; UINT64_MAX: none open */
    bool flush;
    bool batch_fills;                    /* the last batch was full before its time */
    uint64_t resend_ns, resend_delay_ns; /* send the log again then */
    bool resend_due;                     /* resend_ns is to be set when the frame is out */
    uint64_t ack_due_ns;                 /* UINT64_MAX: nothing to acknowledge */
    uint64_t unacked_rx_bytes;
    bool want_resend;                  /* tell the peer of a gap */
    uint64_t gap_asked[XP_LANE_COUNT]; /* asked at this watermark already */

    uint64_t peer_window_bytes, peer_window_calls; /* 0 until the first hello */
    uint64_t peer_executed, peer_executed_bytes;
    uint64_t executed, executed_bytes; /* our receiving end */
    struct fab_vec credit_steps;       /* struct xp_credit_step, with manual_executed */
    size_t credit_first;
    uint64_t executed_wish;

    struct fab_map calls;  /* number -> struct xp_call, waiting for a reply */
    struct fab_map parked; /* number -> (void *)1, calls of the peer not yet replied */

    struct fab_map sending, receiving; /* id -> struct xp_transfer */
    struct fab_map early;              /* id -> struct xp_early: chunks came before the receiver */
    struct fab_list active_sends;      /* transfers with a chunk to send, in turn */
    struct fab_list finished;          /* transfers whose done is due */
    atomic_bool any_finished;
    uint32_t peer_chunk_bytes;
    uint32_t chunks_in_flight; /* smaller of both ends */

    struct xp_conn_stats stats;
};

/* ---------------------------------------------------------------- transfers */

enum xp_chunk_state {
    XP_CHUNK_READY,  /* sender: to be sent; receiver: not here */
    XP_CHUNK_FLYING, /* sender: sent, no answer */
    XP_CHUNK_LANDING,
    XP_CHUNK_LANDED, /* receiver: given to moved(), not consumed */
    XP_CHUNK_DONE,
};

struct xp_chunk_record {
    enum xp_chunk_state state;
    uint32_t attempt;
    struct xp_life *life; /* FLYING, LANDING */
    uint64_t sent_ns;
    uint32_t sends; /* sender: in flight, of any attempt */
    bool told;      /* sender: moved() was called */
};

struct xp_transfer {
    struct xp_conn *conn;
    struct xp_bulk bulk;
    bool sender;
    struct fab_list link; /* active_sends or finished */
    struct xp_plan plan;
    struct xp_chunk_record *chunks; /* receiver: after the first header, which brings the unit */
    uint32_t done_count, first_ready;
    uint32_t flying;  /* sender: chunks in that state */
    uint32_t busy;    /* sends and landings that may touch memory, place() running, unconsumed */
    bool held;        /* sender: the peer has no place; receiver: we said so */
    bool conflict;    /* receiver: held because an older landing is still open */
    bool starved;     /* sender: place() said not now */
    uint32_t resumes; /* counts xp_bulk_resume */
    bool ended;       /* no more chunks; done when busy is 0 */
    bool finishing;   /* on conn->finished */
    enum fab_status status;
};

/* What is known of a transfer that the local receiver has not started. */
struct xp_early {
    bool held;
    enum fab_status failed; /* FAB_OK: not */
};

/* ---------------------------------------------------------------- functions across files */

/* xp_node.c */
extern _Atomic uint32_t xp_fork_generation;
static inline bool xp_node_is_foreign(const struct xp_node *node)
{
    return node->fork_generation != atomic_load_explicit(&xp_fork_generation, memory_order_relaxed);
}

/* xp_gone.c */
void xp_canary_open(struct xp_node *node);
void xp_canary_close(struct xp_node *node);
void xp_leg_end_gone(struct xp_leg *leg); /* engine */

/* xp_engine.c */
/* Any thread: becomes the engine if nobody is, and looks at the clock. Who is it turns it, or sends
 * on its wires; what others made ready meanwhile has woken nobody, and let_go() sees to it. */
bool xp_engine_try(struct xp_engine *engine);
bool xp_engine_try_untimed(struct xp_engine *engine); /* the same without the clock */
void xp_engine_look_at_clock(struct xp_engine *engine);
void xp_engine_let_go(struct xp_engine *engine);
bool xp_engine_is_mine(const struct xp_engine *engine);
bool xp_engine_turn(struct xp_engine *engine); /* the runner */
/* The runner: the peer that it waits for can run only when this thread does not. */
bool xp_engine_shares_core(const struct xp_engine *engine);
void xp_engine_wake(struct xp_engine *engine);               /* any thread */
void xp_engine_timer(struct xp_engine *engine, uint64_t at); /* any: a turn is due then */
/* A thread that waits turns the engine meanwhile, as often as it can; the engine's own then keeps
 * out of the way. help() is some turns, unless somebody else is the engine; it returns the time.
 * *mine: this thread is the engine, and stays so after it if it could be. */
void xp_engine_help_start(struct xp_engine *engine);
uint64_t xp_engine_help(struct xp_engine *engine, bool *mine);
/* Helps until is_done(), awake for the node's time to spin, and then asleep; a helper that sleeps
 * has called help_start(). `mine`: this thread is the engine already; in any case it lets go.
 * False: it is not done; asleep: and another one sleeps. */
bool xp_engine_help_awake(struct xp_engine *engine, bool mine, bool (*is_done)(void *user),
                          void *user);
bool xp_engine_help_asleep(struct xp_engine *engine, bool (*is_done)(void *user), void *user);
/* Sleeps until something comes or xp_engine_nudge(); not if is_done() already. False: another one
 * sleeps. */
bool xp_engine_help_sleep(struct xp_engine *engine, bool (*is_done)(void *user), void *user);
void xp_engine_nudge(struct xp_engine *engine); /* is_done() may have changed; any thread */
void xp_engine_help_stop(struct xp_engine *engine);
void xp_engine_push_end(struct xp_engine *engine); /* sends on quick wires what is ready, lets go */
void xp_leg_kick(struct xp_leg *leg);              /* any: pump it */
void xp_conn_work(struct xp_conn *conn);           /* any: xp_conn_turn is due */
/* With all signals blocked: they are the business of the program that we live in. An errno value.
 */
FAB_NODISCARD int xp_thread_start(pthread_t *thread, void *(*run)(void *), void *argument);
FAB_NODISCARD enum fab_status xp_engine_start(struct xp_engine *engine, struct fab_err *err);
void xp_engine_stop(struct xp_engine *engine); /* others may still wake it */
void xp_engine_fini(struct xp_engine *engine); /* all are stopped */
uint64_t xp_engine_deadline_ns(const struct xp_engine *engine);

/* xp_leg.c; on the engine, no lock held unless named _locked */
extern const struct xp_wire_events xp_leg_events;
/* Whether the leg is to be there: a lost session keeps its control legs until the peer knows. */
bool xp_leg_is_wanted_locked(const struct xp_leg *leg);
void xp_leg_pump(struct xp_leg *leg);
/* Something is to go out on the active leg: now, where this thread is the engine of a quick wire,
 * else at its next turn. Any thread. */
void xp_conn_send_locked(struct xp_conn *conn);
uint64_t xp_leg_timer(struct xp_leg *leg, uint64_t now_ns); /* next deadline */
void xp_life_doom_locked(struct xp_life *life, const char *why);
void xp_life_probe_locked(struct xp_life *life, uint64_t now_ns); /* asks the peer for an answer */
void xp_leg_sample_locked(struct xp_leg *leg, uint64_t took_ns);  /* feeds usual_ns */
void xp_leg_free_lives(struct xp_leg *leg);                       /* teardown */

/* xp_hello.c: engine */
void xp_hello_take(struct xp_slot *slot, struct xp_ep *ep, const uint8_t *header, size_t bytes);
void xp_leg_dial(struct xp_leg *leg, uint64_t now_ns);
void xp_hello_fill_locked(struct xp_life *life, enum xp_frame_kind kind, struct xp_op *op);
struct xp_life *xp_life_create(struct xp_leg *leg, uint64_t now_ns);
void xp_life_destroy(struct xp_life *life); /* on no list */

/* xp_data.c: control engine. A frame with the token of that life. */
void xp_data_take(struct xp_life *life, const uint8_t *header, size_t header_bytes,
                  const uint8_t *body, size_t body_bytes);
/* What the peer says it has; FAB_ERR_PROTOCOL if we never sent that. */
FAB_NODISCARD enum fab_status xp_data_progress_locked(struct xp_conn *conn,
                                                      const uint64_t received[XP_LANE_COUNT],
                                                      uint64_t executed, uint64_t executed_bytes,
                                                      uint64_t now_ns);
bool xp_data_is_acked_locked(const struct xp_conn *conn); /* the peer has all that was posted */
void xp_data_executed_locked(struct xp_conn *conn);       /* gives credit up to executed_wish */
void xp_data_rewind_locked(struct xp_conn *conn);         /* sends again what is not acknowledged */
/* Why a message cannot be taken now; FAB_OK: it can. */
FAB_NODISCARD enum fab_status xp_data_room_locked(const struct xp_conn *conn, size_t args_bytes);
bool xp_data_fill_locked(struct xp_life *life, struct xp_op *op, uint64_t now_ns);
void xp_data_sent_locked(struct xp_life *life); /* after fill(), the frames being out */
FAB_NODISCARD enum fab_status xp_urgent_add_locked(struct xp_conn *conn, enum xp_wire_message kind,
                                                   uint32_t op, int32_t result,
                                                   const struct iovec *parts, size_t part_count);
void xp_note_send_locked(struct xp_conn *conn, enum xp_wire_message kind, int32_t result,
                         const struct xp_note *note);

/* xp_command.c: on a quick wire the calling thread becomes the control engine, if it can, so that
 * what it makes ready leaves at once. True: push_end() must follow, without the lock. */
bool xp_conn_push_begin_locked(struct xp_conn *conn);
void xp_conn_push_end(struct xp_conn *conn, bool begun);

/* xp_conn.c */
enum fab_status xp_conn_status_locked(const struct xp_conn *conn); /* why it takes nothing more */
uint64_t xp_conn_turn(struct xp_conn *conn, uint64_t now_ns); /* control engine; next deadline */
bool xp_conn_is_over(struct xp_conn *conn);                   /* may be freed */
void xp_conn_free(struct xp_conn *conn);
void xp_conn_lose_locked(struct xp_conn *conn, enum fab_status status, const char *why);
/* The end is not all said: to the peer, or in answer to it. */
bool xp_conn_owes_word_locked(const struct xp_conn *conn);
void xp_conn_event_locked(struct xp_conn *conn, enum xp_event_kind kind, uint32_t rail,
                          enum fab_status status, const char *text);
void xp_conn_choose_active_locked(struct xp_conn *conn);
/* A leg came up, or was lost: whether the standby pairs are in use follows. */
void xp_conn_fall_back_locked(struct xp_conn *conn, const struct xp_leg *leg, bool lost);

/* xp_bulk.c */
bool xp_bulk_fill_locked(struct xp_life *life, struct xp_op *op, uint64_t now_ns);
/* After fill, no lock held: asks place(). False: the chunk is not to be sent now; op is unused. */
bool xp_bulk_place(struct xp_op *op);
void xp_bulk_sent_locked(struct xp_op *op, enum fab_status status);
void xp_bulk_life_lost_locked(struct xp_life *life);
void xp_bulk_fail_all_locked(struct xp_conn *conn, enum fab_status status);
void xp_bulk_run_finished(struct xp_conn *conn); /* no lock held: calls done() */
void xp_bulk_offer(struct xp_life *life, const struct xp_chunk_header *header,
                   struct xp_offer *offer);
FAB_NODISCARD enum fab_status xp_bulk_note(struct xp_conn *conn, const struct xp_note *note,
                                           enum xp_wire_message kind, int32_t result);

#endif /* UCX_TRANSPORT_XP_INT_H */
