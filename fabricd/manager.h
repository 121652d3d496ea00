/* SPDX-License-Identifier: Apache-2.0
 * fabricd/manager.h - the manager's mind: requests and reports in, commands and answers out.
 *
 * It decides and remembers (ledger.h), and does no I/O of its own: agents' messages are handed in
 * and commands leave through `ops`, so tests run a whole rack in one thread. Whatever is lost on
 * the way does no harm: an agent that reports is told again everything that should be, and commands
 * may be repeated.
 *
 * Times are wall-clock milliseconds. Thread: the manager's loop.
 */
#ifndef FABRICD_MANAGER_H
#define FABRICD_MANAGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "fabricd/ledger.h"
#include "fabricd/placement.h"
#include "fabricd/rails.h"

struct manager;

enum {
    MANAGER_CREATE_LIMIT_MS = 30000, /* of a create that names none */
    MANAGER_WAITING_MAX = 1024       /* creates that wait for GPUs */
};

/* What an agent is to do about one system. Everything is borrowed for the call. */
enum manager_verb {
    MANAGER_PREPARE, /* GPU node: check these GPUs, serve this fence number on them */
    MANAGER_PRESENT, /* host: programs of the owner may attach to the system */
    MANAGER_RELEASE, /* GPU node: end every worker up to this fence number, clear, confirm */
    MANAGER_WITHDRAW /* host: programs may not attach any more; confirm */
};
const char *manager_verb_name(enum manager_verb verb);

struct manager_command {
    enum manager_verb verb;
    const char *node;
    const char *system;
    uint32_t owner_uid;
    uint64_t fence;
    /* PREPARE, RELEASE: the node's own GPUs; PRESENT: the host's virtual GPUs in their order. */
    uint32_t gpu_count;
    const struct ledger_gpu *const *gpus;
    const struct rails_choice *rails; /* of each GPU */
};

/* Called inside the calls below; they may not call back. */
struct manager_ops {
    /* Lost if the node is not connected: it is sent again when the node reports. */
    void (*command)(void *user, const struct manager_command *command);
    /* The end of a request. `system` is NULL when it failed (err says why) or is gone. */
    void (*answer)(void *user, uint64_t request_id, enum fab_status status,
                   const struct ledger_system *system, const struct fab_err *err);
    /* The rails that a node has reported, by number; returns how many. May be NULL: none are known.
     */
    uint32_t (*rails)(void *user, const char *node, const struct rails_rail **rails_out);
};

/* `ledger` and `ops` are kept. */
FAB_NODISCARD enum fab_status manager_create(struct ledger *ledger, const struct manager_ops *ops,
                                             void *user, struct manager **manager_out,
                                             struct fab_err *err);
void manager_destroy(struct manager *manager); /* takes NULL; unanswered requests stay so */

/* The present model, borrowed until the next one. NULL: none yet. */
FAB_NODISCARD enum fab_status manager_set_topo(struct manager *manager, const struct topo *topo,
                                               struct fab_err *err);

/* An ad hoc system is deleted when its host was lost for so long, as GPU nodes end the workers of a
 * host that stays away: the manager cannot tell whether it is cut off from the
 * manager alone. Never, before this is called. */
void manager_set_grace(struct manager *manager, uint64_t grace_ms);

/* ---- requests ---------------------------------------------------------------------------------
 */

struct manager_request {
    const char *name; /* NULL: the manager finds one ("system-1") */
    uint32_t owner_uid;
    bool is_adhoc;
    const char *const *hosts;
    uint32_t host_count;
    uint32_t gpu_count;       /* of all hosts together; splits evenly */
    const char *const *uuids; /* these GPUs, in this order, instead of a placement; may be NULL */
    enum placement_strategy strategy;
    uint32_t rails;    /* each GPU is used over so many; 0: over all that there are */
    uint64_t wait_ms;  /* for GPUs to be free; 0: not at all */
    uint64_t limit_ms; /* from GPUs to composed; 0: MANAGER_CREATE_LIMIT_MS */
};

/* Answered under `request_id` (not 0) when the system is composed, or has failed and is undone; in
 * the call or later. Creates that wait are served in their order. */
void manager_ask_create(struct manager *manager, uint64_t request_id,
                        const struct manager_request *request, uint64_t now_ms);
/* Answered when the system is gone. `request_id` 0: nobody waits. */
void manager_ask_delete(struct manager *manager, uint64_t request_id, const char *system,
                        const char *reason, uint64_t now_ms);
/* Whoever asked does not wait any more: a create that has no GPUs yet is dropped, one that has is
 * undone; a delete goes on. */
void manager_forget(struct manager *manager, uint64_t request_id, uint64_t now_ms);

/* ---- agents -----------------------------------------------------------------------------------
 * Reports go to the ledger first (ledger_node_report, ledger_gpu_checked ...); these say what
 * follows for systems.
 */

/* A node has reported, or its report has changed: it is told what should be. */
void manager_node_up(struct manager *manager, const char *node, uint64_t now_ms);
/* PREPARE or PRESENT of this fence number is done; reason NULL: well. An old number is ignored. */
void manager_prepared(struct manager *manager, const char *node, const char *system, uint64_t fence,
                      const char *reason, uint64_t now_ms);
/* After any other change of the ledger, and when manager_next_ms() has come. */
void manager_turn(struct manager *manager, uint64_t now_ms);
/* When to turn next; UINT64_MAX: nothing waits for time. */
uint64_t manager_next_ms(const struct manager *manager);

#endif /* FABRICD_MANAGER_H */
