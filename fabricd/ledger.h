/* SPDX-License-Identifier: Apache-2.0
 * fabricd/ledger.h - who has which GPU: nodes, GPUs and systems, and every way from state to state.
 *
 * The ledger is the only place where a GPU changes hands. Each call checks, writes one commit to
 * the store (the new rows and an event with the reason), and only then shows the change; a call
 * that fails changes nothing. It starts no process and opens no connection: the manager tells it
 * what agents report and asks it what they should do.
 *
 * The rule that nothing may break: a GPU belongs to one system at most, and is free again only when
 * its node's agent confirmed the release of that fence number, came back with another boot id, or
 * an administrator fenced the node. An unreachable node's GPUs are lost, never free.
 *
 * Times are wall-clock milliseconds (they are stored and shown). Thread: the manager's loop.
 */
#ifndef FABRICD_LEDGER_H
#define FABRICD_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "fabricd/rails.h"

struct fab_err;
struct store;
struct ledger;

enum {
    LEDGER_NAME_BYTES =
        64, /* of nodes, systems; [A-Za-z0-9._-], not beginning with a dot or dash */
    LEDGER_UUID_BYTES = 48,
    LEDGER_REASON_BYTES = 200,
    LEDGER_NODE_GPU_MAX = 64,
    LEDGER_SYSTEM_GPU_MAX = 64,
    LEDGER_SYSTEM_HOST_MAX = 64,
    LEDGER_EVENTS_KEPT = 10000 /* older ones go */
};

/* What a GPU or a system is. A GPU's state is not stored but follows, in this order, from its node
 * (lost), its last check (failed), its system's state, what its agent still has on it (releasing),
 * and whether it or its node is drained. */
enum ledger_state {
    LEDGER_FREE,      /* may be given */
    LEDGER_RESERVED,  /* belongs to a system that agents do not know yet */
    LEDGER_COMPOSING, /* agents prepare and check it */
    LEDGER_COMPOSED,  /* programs may use it */
    LEDGER_RELEASING, /* agents end its workers and clear its memory */
    LEDGER_FAILED,    /* its check failed; a system: one of its GPUs or its host is gone */
    LEDGER_LOST,      /* its node is not reachable */
    LEDGER_DRAINED    /* free, but not to be given */
};
const char *ledger_state_name(enum ledger_state state); /* "free" ... */

struct ledger_system;

struct ledger_gpu {
    char uuid[LEDGER_UUID_BYTES];
    char name[LEDGER_NAME_BYTES]; /* the model: "Tesla K80" */
    uint32_t index;               /* on its node, as its driver counts */
    uint64_t fence;               /* of its present or last system; agents refuse lower ones */
    bool has_failed, is_drained;
    uint64_t dirty_fence; /* not stored: what the agent still has of a system that is gone */
    uint64_t revision;    /* of its row in the store */
    char reason[LEDGER_REASON_BYTES]; /* of has_failed or is_drained */
    uint64_t since_ms;                /* of its last change */
    struct ledger_node *node;
    struct ledger_system *system; /* NULL: nobody's */
};

struct ledger_node {
    char name[LEDGER_NAME_BYTES];
    char boot_id[40];
    bool is_lost, is_drained;
    char reason[LEDGER_REASON_BYTES]; /* of is_lost or is_drained */
    uint64_t since_ms;
    uint64_t revision; /* of its row in the store */
    uint32_t gpu_count;
    struct ledger_gpu *gpus[LEDGER_NODE_GPU_MAX]; /* by index */
};

/* A host of a system with its GPUs in the order that its programs count them. */
struct ledger_host {
    char node[LEDGER_NAME_BYTES];
    uint32_t first_gpu, gpu_count; /* in the system's gpus[] */
};

struct ledger_system {
    char name[LEDGER_NAME_BYTES];
    enum ledger_state state; /* RESERVED, COMPOSING, COMPOSED, RELEASING or FAILED */
    char reason[LEDGER_REASON_BYTES];
    uint32_t owner_uid;
    bool is_adhoc;     /* lives as long as the program it was made for */
    uint64_t since_ms; /* of its state */
    uint64_t created_ms;
    uint64_t limit_ms; /* when its state must have ended; UINT64_MAX: no limit */
    uint64_t revision; /* of its row in the store */
    uint32_t host_count, gpu_count;
    struct ledger_host hosts[LEDGER_SYSTEM_HOST_MAX];
    struct ledger_gpu *gpus[LEDGER_SYSTEM_GPU_MAX];
    uint32_t rails;                                      /* that were asked for; 0: all */
    struct rails_choice rails_of[LEDGER_SYSTEM_GPU_MAX]; /* each GPU's; none: not decided here */
    bool is_confirmed[LEDGER_SYSTEM_GPU_MAX];            /* nothing of it is on that GPU any more */
};

/* Loads what the store holds. All nodes are lost until their agents report. `store` is kept.
 * FAB_ERR_FORMAT: rows that contradict each other (err names them). */
FAB_NODISCARD enum fab_status ledger_open(struct store *store, uint64_t now_ms,
                                          struct ledger **ledger_out, struct fab_err *err);
void ledger_close(struct ledger *ledger); /* takes NULL */

/* ---- what agents report -----------------------------------------------------------------------
 */

struct ledger_gpu_report {
    const char *uuid, *name;
    uint32_t index;
    uint64_t fence; /* whose workers or contents the agent still has for it; 0: none, it is clean */
};

/* The node is reachable and has these GPUs (all of it: a GPU that is not named is gone, and stays
 * as failed while a system has it). A new boot id confirms every release of the node, and fails the
 * systems that had its GPUs. A GPU that a releasing system has, and that the agent reports clean,
 * is confirmed. FAB_ERR_EXISTS: the uuid is another node's; FAB_ERR_RANGE: too many. */
FAB_NODISCARD enum fab_status ledger_node_report(struct ledger *ledger, const char *name,
                                                 const char *boot_id,
                                                 const struct ledger_gpu_report *gpus,
                                                 uint32_t gpu_count, uint64_t now_ms,
                                                 struct fab_err *err);
/* The node's agent is silent or said goodbye: its GPUs are lost. */
FAB_NODISCARD enum fab_status ledger_node_lost(struct ledger *ledger, const char *name,
                                               const char *reason, uint64_t now_ms,
                                               struct fab_err *err);
/* The result of a GPU's check; reason NULL: it passed. */
FAB_NODISCARD enum fab_status ledger_gpu_checked(struct ledger *ledger, const char *uuid,
                                                 const char *reason, uint64_t now_ms,
                                                 struct fab_err *err);
/* The agent has ended every worker of this fence number on the GPU and cleared its memory. A report
 * of an older number is ignored (FAB_OK). The system goes with its last GPU. */
FAB_NODISCARD enum fab_status ledger_gpu_released(struct ledger *ledger, const char *uuid,
                                                  uint64_t fence, uint64_t now_ms,
                                                  struct fab_err *err);

/* ---- what administrators ask ------------------------------------------------------------------
 */

/* Out of service, or back (reason NULL). `name` is a node or a GPU's uuid. Systems keep what they
 * have. Draining what is drained changes the reason. FAB_ERR_NOT_FOUND. */
FAB_NODISCARD enum fab_status ledger_drain(struct ledger *ledger, const char *name,
                                           const char *reason, uint64_t now_ms,
                                           struct fab_err *err);
/* An administrator vouches that nothing runs on a lost node any more: its releases are confirmed,
 * its systems fail. FAB_ERR_STATE: the node is reachable. */
FAB_NODISCARD enum fab_status ledger_fence(struct ledger *ledger, const char *node,
                                           const char *reason, uint64_t now_ms,
                                           struct fab_err *err);
/* Forgets a node that is lost and has nothing of a system. FAB_ERR_STATE. */
FAB_NODISCARD enum fab_status ledger_node_forget(struct ledger *ledger, const char *name,
                                                 uint64_t now_ms, struct fab_err *err);

/* ---- systems ----------------------------------------------------------------------------------
 */

struct ledger_request {
    const char *name;
    uint32_t owner_uid;
    bool is_adhoc;
    uint32_t host_count;
    const struct ledger_host *hosts; /* gpu ranges one after another, all of gpus[] */
    const char *const *uuids;        /* all hosts' GPUs, in order */
    uint32_t gpu_count;
    uint32_t rails;                     /* ledger_system */
    const struct rails_choice *choices; /* of each GPU; NULL: not decided */
    uint64_t limit_ms;                  /* until when it must be composed, or it is undone */
};

/* All GPUs or none: each gets the same new fence number, above every earlier one. The system is
 * RESERVED. FAB_ERR_EXISTS: the name is taken; FAB_ERR_BUSY: a GPU is not free (err says which, and
 * why); FAB_ERR_NOT_FOUND, FAB_ERR_INVALID, FAB_ERR_RANGE. The system is the ledger's. */
FAB_NODISCARD enum fab_status ledger_reserve(struct ledger *ledger,
                                             const struct ledger_request *request, uint64_t now_ms,
                                             const struct ledger_system **system_out,
                                             struct fab_err *err);
/* RESERVED to COMPOSING, COMPOSING to COMPOSED. FAB_ERR_STATE: not from where it is. */
FAB_NODISCARD enum fab_status ledger_advance(struct ledger *ledger, const char *name,
                                             enum ledger_state state, uint64_t now_ms,
                                             struct fab_err *err);
/* Any state to RELEASING. A system of which no agent knows (RESERVED) is gone at once. Again: OK.
 */
FAB_NODISCARD enum fab_status ledger_release(struct ledger *ledger, const char *name,
                                             const char *reason, uint64_t now_ms,
                                             struct fab_err *err);
/* Undoes what is over its limit (RESERVED, COMPOSING -> RELEASING). *next_ms_out: when to call
 * again; UINT64_MAX: nothing runs. */
FAB_NODISCARD enum fab_status ledger_expire(struct ledger *ledger, uint64_t now_ms,
                                            uint64_t *next_ms_out, struct fab_err *err);

/* ---- looking ----------------------------------------------------------------------------------
 * What these return is the ledger's and holds until its next change.
 */

size_t ledger_node_count(const struct ledger *ledger);
size_t ledger_system_count(const struct ledger *ledger);
const struct ledger_node *ledger_node(const struct ledger *ledger, size_t index);     /* by name */
const struct ledger_system *ledger_system(const struct ledger *ledger, size_t index); /* by age */
const struct ledger_node *ledger_find_node(const struct ledger *ledger, const char *name);
const struct ledger_gpu *ledger_find_gpu(const struct ledger *ledger, const char *uuid);
const struct ledger_system *ledger_find_system(const struct ledger *ledger, const char *name);
enum ledger_state ledger_gpu_state(const struct ledger_gpu *gpu);
/* Why it is what it is ("", if there is nothing to say). */
const char *ledger_gpu_reason(const struct ledger_gpu *gpu);

/* Every change, oldest first, from number `after` + 1 on; a JSON object each: number, time, kind,
 * subject, reason. Returns what `visit` returned first that is not FAB_OK. */
typedef enum fab_status (*ledger_event_visit)(void *user, uint64_t number, const char *json,
                                              struct fab_err *err);
FAB_NODISCARD enum fab_status ledger_events(struct ledger *ledger, uint64_t after,
                                            ledger_event_visit visit, void *user,
                                            struct fab_err *err);
/* The number of the last change; 0: none yet. */
uint64_t ledger_last_event(const struct ledger *ledger);

/* Checks every rule above over the whole ledger and its store; for tests and after a crash.
 * FAB_ERR_FORMAT names the first row that breaks one. */
FAB_NODISCARD enum fab_status ledger_verify(struct ledger *ledger, struct fab_err *err);

#endif /* FABRICD_LEDGER_H */
