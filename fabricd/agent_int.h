/* SPDX-License-Identifier: Apache-2.0
 * fabricd/agent_int.h - the agent's objects, for the files agent*.c.
 *
 * A lease is a GPU node's side of a system: GPUs, a uid, an account, workers. A view is a host's
 * side of it: who may attach, and which GPUs a program sees. A session is one attached program. A
 * peer is another node whose workers our programs use; a guest is another host whose programs use
 * workers of ours. Thread: the loop's.
 */
#ifndef FABRICD_AGENT_INT_H
#define FABRICD_AGENT_INT_H

#include <limits.h>
#include <sys/types.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "fabricd/agent.h"
#include "fabricd/http.h"
#include "fabricd/link.h"
#include "fabricd/loop.h"
#include "fabricd/message.h"
#include "fabricd/settings.h"
#include "session/ses_account.h"
#include "session/ses_broker.h"
#include "topology/machine.h"
#include "topology/records.h"

enum {
    AGENT_FENCES_MAX = 4096, /* GPUs that were ever in this node */
    AGENT_OUTPUT_BYTES = 1 << 20,
    HTTP_OK = 200,
    HTTP_NOT_FOUND = 404,
    HTTP_ERRORS = 400, /* and above */
    HTTP_BAD_REQUEST = 400,
    HTTP_URI_LONG = 414,
    HTTP_AWAY = 503,
    AGENT_WORKERS_MAX = 1024 /* at one time, of all leases */
};

/* ---- children (agent_child.c) -----------------------------------------------------------------
 */

struct agent_child_end {
    bool is_overdue; /* it was killed, and may not even be gone yet */
    int status;      /* waitpid's; not when overdue */
    const char *output;
    size_t output_bytes;
};

struct agent_child;

/* Forks; the child writes to its standard output what `run` does, and ends with what it returns.
 * `ended` is called once, later, unless the child is dropped before. */
FAB_NODISCARD enum fab_status
agent_child_start(struct agent *agent, uint64_t limit_ns,
                  int (*run)(const struct agent *agent, uint32_t argument), uint32_t argument,
                  void (*ended)(void *user, const struct agent_child_end *end), void *user,
                  struct agent_child **child_out, struct fab_err *err);
/* Before it wrote anything: each line of its output is told (it ends with NUL) and renews the
 * deadline. `line` must not drop the child. */
void agent_child_set_lines(struct agent_child *child,
                           void (*line)(void *user, const char *line, size_t bytes));
void agent_child_drop(struct agent_child *child); /* kills it; takes NULL */
uint64_t agent_children_turn(struct agent *agent, uint64_t now_ns);
void agent_children_end(struct agent *agent);

/* ---- fence numbers (agent_fence.c) ------------------------------------------------------------
 */

/* What must survive this process: below `floor` nothing may be served on the GPU; what `dirty` left
 * in its memory must be cleared first (0: it is clean). */
struct agent_fence {
    char uuid[LEDGER_UUID_BYTES];
    uint64_t floor, dirty;
};

/* Reads STATE/fences, and takes STATE/workers.lock. */
FAB_NODISCARD enum fab_status agent_fences_open(struct agent *agent, struct fab_err *err);
void agent_fences_close(struct agent *agent);
/* True when every worker of the agent before this one is gone. */
bool agent_fences_are_alone(struct agent *agent);
/* The row of a GPU, made if there is none. NULL: no memory. */
struct agent_fence *agent_fence_of(struct agent *agent, const char *uuid);
/* To the disk, before anything is answered. */
FAB_NODISCARD enum fab_status agent_fences_save(struct agent *agent, struct fab_err *err);

/* ---- the node's GPUs (agent_discover.c, agent_check.c) ----------------------------------------
 */

struct agent_lease;

struct agent_gpu {
    struct agent *agent;
    char uuid[LEDGER_UUID_BYTES];
    char name[LEDGER_NAME_BYTES];
    uint32_t index;
    struct agent_child *child;        /* its check or its clearing; one at a time */
    bool is_present;                  /* the last discovery found it */
    uint64_t checked_ns;              /* of its last check; 0: none yet */
    uint64_t again_ns;                /* a clearing is tried again then; 0: it did not fail */
    uint64_t cleared_ns;              /* its last clearing has ended */
    char reason[LEDGER_REASON_BYTES]; /* "": it passed */
    struct agent_lease *lease;
};

/* What the settings say of where this machine is read from; borrows their texts. */
struct topo_machine_source agent_machine_source(const struct fabricd_settings *settings);
void agent_discover_start(struct agent *agent);
uint64_t agent_discover_turn(struct agent *agent, uint64_t now_ns);
struct agent_gpu *agent_gpu_find(struct agent *agent, const char *uuid);
/* All of this node to the manager, if it is there and everything was checked once. */
void agent_report(struct agent *agent);

/* Starts the check of a GPU, or does nothing while something runs on it. */
void agent_check_start(struct agent_gpu *gpu);
/* Its last check ended after `since_ns`, or is younger than the setting worker.check_age. */
bool agent_check_is_fresh(const struct agent_gpu *gpu, uint64_t since_ns, uint64_t now_ns);
void agent_check_tell(const struct agent_gpu *gpu);
/* Starts to clear the memory of a GPU that nobody uses; its fence row says when it is clean. */
void agent_clear_start(struct agent_gpu *gpu);

/* ---- leases: the GPU node's side (agent_lease.c) ----------------------------------------------
 */

enum agent_lease_state { AGENT_LEASE_PREPARING, AGENT_LEASE_READY, AGENT_LEASE_RELEASING };

struct agent_lease {
    struct fab_list node;
    struct agent *agent;
    enum agent_lease_state state;
    char system[LEDGER_NAME_BYTES];
    uint64_t fence;
    uint64_t since_ns; /* its preparing; a check after that counts, however old */
    uint32_t owner_uid;
    uint32_t gpu_count;
    struct message_gpu gpus[LEDGER_NODE_GPU_MAX]; /* this node's own */
    bool is_released[LEDGER_NODE_GPU_MAX];        /* of gpus[] */
    bool was_ready;                               /* before it was released */
    uid_t uid;                                    /* of its workers; 0: the daemon's */
    struct ses_account *account;
    char image_folder[PATH_MAX]; /* "": none */
    struct fab_list workers;
    uint64_t warm_ns; /* before that no worker is started that nobody asked for */
};

void agent_lease_prepare(struct agent *agent, const struct message_command *command);
void agent_lease_release(struct agent *agent, const struct message_command *command);
struct agent_lease *agent_lease_find(struct agent *agent, const char *system, uint64_t fence);
uint64_t agent_leases_turn(struct agent *agent, uint64_t now_ns);
/* The manager does not know this system any more. */
void agent_lease_drop(struct agent_lease *lease);
void agent_leases_end(struct agent *agent); /* at the agent's end */

/* ---- workers: processes of this node (agent_worker.c) -----------------------------------------
 */

struct agent_worker {
    struct fab_list node; /* of its lease */
    struct agent_lease *lease;
    pid_t pid;
    uint32_t slot; /* of the account */
    int warm_fd;   /* it waits for a program, and hears of it here; -1: it has one */
    int process_fd;
    struct loop_watch *process; /* while it waits: then nobody else sees its end */
    struct ses_node opened;     /* while it waits: its rails, */
    uint64_t addresses;         /* and agent_rails_addresses() of then */
    bool is_unwanted;           /* the setting is lower now, or the rails are others */
};

/* Finds gpu-worker. */
FAB_NODISCARD enum fab_status agent_worker_find(struct agent *agent, struct fab_err *err);
/* Starts one, or takes one that waits. `fd` is inherited, and stays the caller's. FAB_ERR_STATE:
 * the lease is not ready. */
FAB_NODISCARD enum fab_status agent_worker_start(struct agent_lease *lease, int fd,
                                                 struct agent_worker **worker_out,
                                                 struct fab_err *err);
/* Starts one that finds `fd` by this variable. */
FAB_NODISCARD enum fab_status agent_worker_fork(struct agent_lease *lease, const char *variable,
                                                int fd, struct agent_worker **worker_out,
                                                struct fab_err *err);
/* Its process has ended: reaps it, and gives back what it had. */
void agent_worker_end(struct agent_worker *worker);
void agent_worker_kill(struct agent_worker *worker);
/* Becomes `gpu-worker ARGUMENT DEVICE` with the node's driver; for checks. Returns on failure. */
int agent_worker_run(const struct agent *agent, const char *argument, uint32_t device);
/* Leases have users of their own: there are some, and this daemon may become them. */
bool agent_has_uids(const struct agent *agent);
/* For a child: this user and nobody else from now on. False: errno says why not. */
bool agent_become_uid(uid_t uid);
/* Whether the users of leases reach gpu-worker, its driver and NVML (agent_reach.c). FAB_ERR_DENIED
 * names the folder that is closed to them. Waits for a child that looks at these paths only;
 * FAB_ERR_TIMEOUT names the file at which it hangs. */
FAB_NODISCARD enum fab_status agent_reach_check(const struct agent *agent, uint64_t limit_ns,
                                                struct fab_err *err);

/* ---- workers that wait (agent_warm.c) ----------------------------------------------------------
 */

/* Gives `fd`, a worker's end of a session, to one that waits; NULL: none does. */
struct agent_worker *agent_warm_take(struct agent_lease *lease, int fd);
void agent_warm_drop(
    struct agent_worker *worker); /* it does not wait any more; also one with work */
uint64_t agent_warm_turn(struct agent *agent, uint64_t now_ns);

/* ---- rails (agent_rails.c) ---------------------------------------------------------------------
 */

struct agent_session;

/* All rails of this node by number (room for RAILS_MAX), for the manager; returns how many. */
uint32_t agent_rails_list(const struct agent *agent, struct rails_rail *rails_out);
/* This node as its processes must know it; `is_apart`: it has peers on other nodes. Interfaces that
 * have no link now, or are not there, are left out. */
void agent_node_fill(struct agent *agent, bool is_apart, struct ses_node *node_out);
/* A sum of the addresses of the rails that are interfaces: another sum, other addresses. 0: they
 * could not be read. */
uint64_t agent_rails_addresses(const struct agent *agent);
/* Takes the rails away that the session does not use, and puts the others in their order: of this
 * node, and of the node of a worker. */
void agent_rails_keep_here(const struct agent_session *session, struct ses_node *here);
void agent_rails_keep_there(const struct message_gpu *gpu, struct ses_node *there);
/* A GPU of that node in the session: all of them have the same rails. */
const struct message_gpu *agent_rails_gpu(const struct agent_session *session, const char *node);
/* The pairs to worker `index` on another node; 0: no rail leads there now. */
uint32_t agent_rails_pair(const struct agent_session *session, uint32_t index,
                          struct ses_pair *pairs_out);

/* ---- views and sessions: the host's side (agent_view.c, agent_client.c) -----------------------
 */

struct agent_view {
    struct fab_list node;
    struct message_command command; /* PRESENT's */
    bool is_going;                  /* nobody may attach any more */
    bool is_told;                   /* the manager waits for its end */
    int asker_fd;                   /* pidfd of the program that it was made for; -1: none known */
    struct loop_watch *asker_watch;
    uint64_t delete_ns; /* of an ad hoc one without a program: when to ask for its end */
    struct agent *agent;
};

void agent_view_present(struct agent *agent, const struct message_command *command);
void agent_view_withdraw(struct agent *agent, const struct message_command *command);
struct agent_view *agent_view_find(struct agent *agent, const char *system);
/* What went on: sessions of a view that goes may have ended; ad hoc systems may have lost their
 * program. */
uint64_t agent_views_turn(struct agent *agent, uint64_t now_ns);
void agent_view_drop(struct agent_view *view, const char *why);
/* The program that an ad hoc system was made for; the pidfd is given. */
void agent_view_set_asker(struct agent *agent, const char *system, int pidfd);
void agent_views_end(struct agent *agent);

struct agent_channel;

struct agent_seat {
    char node[LEDGER_NAME_BYTES];
    struct agent_worker *worker;   /* on this node */
    struct agent_channel *channel; /* on another one */
    struct ses_node where;
};

struct agent_session {
    struct fab_list node;
    struct agent *agent;
    char system[LEDGER_NAME_BYTES];
    uint64_t fence;
    uid_t uid;
    pid_t pid;
    char command[64];
    uint64_t since_ms;
    bool is_apart;
    struct ses_node here; /* as it was granted */
    uint32_t worker_count;
    struct agent_seat seats[SES_WORKERS_MAX];
    struct message_command command_of; /* the view's, with the GPUs that were granted */
};

extern const struct ses_broker_ops agent_broker_ops;
bool agent_has_sessions(struct agent *agent, const char *system, uint64_t fence);
void agent_sessions_revoke(struct agent *agent, const char *system, uint64_t fence,
                           const char *why);

/* ---- workers elsewhere (agent_peer.c) and for others (agent_serve.c) --------------------------
 */

/* A worker on another node for seat `index` of `session`; `fd` is the worker's end, which is
 * copied.
 */
FAB_NODISCARD enum fab_status agent_channel_open(struct agent_session *session, uint32_t index,
                                                 const struct message_gpu *gpu, int fd,
                                                 struct agent_channel **channel_out,
                                                 struct fab_err *err);
/* Nobody here wants it any more: it is ended there. Takes NULL. */
void agent_channel_stop(struct agent_channel *channel);
void agent_peers_end(struct agent *agent);
uint64_t agent_peers_turn(struct agent *agent, uint64_t now_ns);

/* Its workers for other hosts are about to be killed: who asked for them hears why. */
void agent_serve_lease_end(struct agent_lease *lease, const char *why);
uint64_t agent_guests_turn(struct agent *agent, uint64_t now_ns);
void agent_guests_end(struct agent *agent);
/* For tests: every link of a host is cut; whether every link to a node is up. */
void agent_guests_cut(struct agent *agent);
bool agent_peers_are_up(struct agent *agent);

/* ---- the manager's link (agent_manager.c) -----------------------------------------------------
 */

bool agent_tell(struct agent *agent, const struct message *message); /* false: it is not there */
void agent_hello(const struct agent *agent, bool to_agent, struct message *message_out);
uint64_t agent_manager_turn(struct agent *agent, uint64_t now_ns);
void agent_manager_end(struct agent *agent);

/* ---- the API's socket (agent_api.c) -----------------------------------------------------------
 */

FAB_NODISCARD enum fab_status agent_api_open(struct agent *agent, struct fab_err *err);
void agent_api_close(struct agent *agent);
void agent_api_answer(struct agent *agent, const struct message_answer *answer);
/* The manager is not there any more. */
void agent_api_cut(struct agent *agent);
/* True: a request of this user that may make a system waits for its answer. */
bool agent_api_is_asking(struct agent *agent, uint32_t uid);
/* A request of the agent's own. `done` gets the HTTP status; not called if the link is cut. */
void agent_api_ask(struct agent *agent, const char *method, const char *path, uint32_t uid,
                   void (*done)(struct agent *agent, const char *system, uint64_t fence,
                                uint32_t status),
                   const char *system, uint64_t fence);

/* ---- what changes all the time (agent_meter.c) -------------------------------------------------
 */

/* Counters of ports at an earlier time. */
struct agent_port_base {
    uint64_t at_ns; /* 0: none */
    uint32_t count;
    struct topo_port_gauge ports[TOPO_GAUGE_PORT_MAX];
};

struct agent_meter {
    struct agent_child *child;
    uint64_t again_ns, again_in_ns; /* it is started again then */
    bool is_known;                  /* gauges are of the last seconds */
    uint64_t from_ns;               /* when they began to be read */
    struct topo_gauges gauges;
    struct agent_port_base bases[2];  /* the older one is what rates are measured from */
    char reason[LEDGER_REASON_BYTES]; /* why it is not known; "": it is, or soon */
};

uint64_t agent_meter_turn(struct agent *agent, uint64_t now_ns);
/* Its memory has just been cleared: how much is in use is not known until it is measured again. */
void agent_meter_cleared(struct agent_gpu *gpu);
/* Another child, which sees the GPUs that are there now. */
void agent_meter_renew(struct agent *agent);

/* ---- health (agent_health.c) ------------------------------------------------------------------
 */

struct agent_health { /* as the manager heard it last */
    struct message_health rows[MESSAGE_HEALTH_MAX];
    uint32_t count;
    uint64_t at_ns;
};

uint32_t agent_health_fill(const struct agent *agent, struct message_health *rows, uint32_t most);

/* ---- the agent (agent.c) ----------------------------------------------------------------------
 */

struct agent {
    struct loop *loop;
    const struct fabricd_settings *settings;
    struct link_tls *tls;
    struct fab_log log;
    const struct fab_clock *clock;
    uint64_t instance; /* random, of this run: a restart is told from a lost link by it */
    char boot_id[40];
    uint8_t node_id[SES_NODE_ID_BYTES];
    char worker_path[PATH_MAX];

    struct fab_list children;

    struct agent_fence *fences;
    uint32_t fence_count;
    int lock_fd;
    bool is_alone;

    struct topo_machine *machine; /* NULL: not discovered yet */
    struct agent_child *discovery;
    struct agent_meter meter;
    struct agent_health health;
    uint64_t discover_ns; /* when next */
    struct agent_gpu *gpus[LEDGER_NODE_GPU_MAX];
    uint32_t gpu_count;
    bool is_offered;      /* everything was checked once: the manager may hear of it */
    bool is_changed;      /* a report is due */
    bool is_checked_told; /* this manager heard what the checks said */

    struct fab_list leases;
    uint64_t uids_used[(UINT16_MAX + 1) / 64]; /* bits, from settings->uid_first on */
    uint32_t worker_count;
    uint64_t warm_look_ns; /* when the rails of those that wait are compared again */
    uint32_t rails_down;   /* bits by number, as the last agent_node_fill() found them */

    struct ses_broker *broker;
    struct loop_watch *broker_watch;
    struct fab_list views, sessions;

    struct fab_list peers, guests;
    uint64_t guests_turned_ns; /* for loop_lateness_ns() */

    struct link *manager;
    link_pair pair; /* the manager is in this process; NULL: it is dialled */
    void *pair_user;
    bool is_manager_up; /* welcomed */
    uint64_t redial_ns, backoff_ns;

    struct http *http;
    struct fab_list requests;
    uint64_t last_request;
};

/* Copies a text that must fit; a longer one is cut (names were checked where they came in). */
void agent_copy_text(char *to, size_t to_bytes, const char *from);
uint64_t agent_now_ns(const struct agent *agent);

#endif /* FABRICD_AGENT_INT_H */
