/* SPDX-License-Identifier: Apache-2.0
 * fabricd/ledger_int.h - inside the ledger: its tables, and one change of them.
 *
 * A change works on the objects themselves: ledger_touch_*() keeps a copy of each first, and
 * ledger_commit() writes the rows of what was touched, or puts the copies back. So nobody sees what
 * the store does not have, and no function has a way back of its own.
 */
#ifndef FABRICD_LEDGER_INT_H
#define FABRICD_LEDGER_INT_H

#include "base/map.h"
#include "base/vec.h"
#include "fabricd/ledger.h"

#define LEDGER_FENCE_KEY "fence"
#define LEDGER_NODE_PREFIX "node/"
#define LEDGER_GPU_PREFIX "gpu/"
#define LEDGER_SYS_PREFIX "system/"
#define LEDGER_EVENT_PREFIX "event/"

struct ledger {
    struct store *store;
    struct fab_vec nodes;   /* struct ledger_node *, by name */
    struct fab_vec systems; /* struct ledger_system *, by age */
    struct fab_map gpus;    /* by uuid */
    uint64_t fence;         /* the highest one given */
    uint64_t fence_revision;
    uint64_t event_number; /* of the last event */
};

/* ---- rows (ledger_rows.c) ---------------------------------------------------------------------
 */

/* Rows as JSON text, given to the caller; NULL: no memory. */
char *ledger_node_row(const struct ledger_node *node);
char *ledger_gpu_row(const struct ledger_gpu *gpu);
char *ledger_system_row(const struct ledger_system *system);
/* Fills the empty ledger from its store. */
FAB_NODISCARD enum fab_status ledger_load(struct ledger *ledger, struct fab_err *err);

/* ---- objects (ledger.c) -----------------------------------------------------------------------
 */

struct ledger_node *ledger_get_node(const struct ledger *ledger, const char *name);
struct ledger_system *ledger_get_system(const struct ledger *ledger, const char *name);
/* Adding to the tables; they take the object only on FAB_OK. */
FAB_NODISCARD enum fab_status ledger_add_node(struct ledger *ledger, struct ledger_node *node);
FAB_NODISCARD enum fab_status ledger_add_gpu(struct ledger *ledger, struct ledger_node *node,
                                             struct ledger_gpu *gpu);
FAB_NODISCARD enum fab_status ledger_add_system(struct ledger *ledger,
                                                struct ledger_system *system);
/* Takes it out of the tables, does not free it. A system's GPUs are nobody's then. */
void ledger_drop_node(struct ledger *ledger, struct ledger_node *node);
void ledger_drop_gpu(struct ledger *ledger, struct ledger_gpu *gpu);
void ledger_drop_system(struct ledger *ledger, struct ledger_system *system);

/* ---- one change (ledger_change.c) -------------------------------------------------------------
 */

enum ledger_fate { LEDGER_CHANGED, LEDGER_ADDED, LEDGER_REMOVED };

struct ledger_change {
    struct ledger *ledger;
    uint64_t now_ms;
    struct fab_vec touched; /* struct touched (ledger_change.c) */
    struct fab_vec events;  /* char *: the JSON of each */
    bool gives_fence;       /* the fence counter goes up by one */
    enum fab_status status; /* of the first step that failed: there is only no memory */
};

void ledger_begin(struct ledger_change *change, struct ledger *ledger, uint64_t now_ms);
/* Each object that is to change, before it does. Sets since_ms (but a system's, which is its
 * state's). False: there is no memory, leave it as it is (the commit will fail). */
FAB_NODISCARD bool ledger_touch_node(struct ledger_change *change, struct ledger_node *node);
FAB_NODISCARD bool ledger_touch_gpu(struct ledger_change *change, struct ledger_gpu *gpu);
FAB_NODISCARD bool ledger_touch_system(struct ledger_change *change, struct ledger_system *system);
/* New objects, already filled: they join the tables. Freed if that or the commit fails. */
void ledger_create_node(struct ledger_change *change, struct ledger_node *node);
void ledger_create_gpu(struct ledger_change *change, struct ledger_node *node,
                       struct ledger_gpu *gpu);
void ledger_create_system(struct ledger_change *change, struct ledger_system *system);
/* Objects that go with the commit; until then they stay as they are. */
void ledger_remove_node(struct ledger_change *change, struct ledger_node *node);
void ledger_remove_gpu(struct ledger_change *change, struct ledger_gpu *gpu);
void ledger_remove_system(struct ledger_change *change, struct ledger_system *system);
/* "node-lost", "c4130-1", "..." */
void ledger_event(struct ledger_change *change, const char *kind, const char *subject,
                  const char *format, ...) FAB_PRINTF(4, 5);
/* Writes what was touched, in one commit; nothing touched: nothing written. On failure the ledger
 * is as before ledger_begin(). Ends the change in any case. */
FAB_NODISCARD enum fab_status ledger_commit(struct ledger_change *change, struct fab_err *err);

/* Steps that several calls share. */
void ledger_set_state(struct ledger_change *change, struct ledger_system *system,
                      enum ledger_state state, uint64_t limit_ms, const char *reason);
/* Nothing of its system is on the GPU any more; the system goes with the last one, if it is
 * releasing. */
void ledger_confirm(struct ledger_change *change, struct ledger_gpu *gpu);

#endif /* FABRICD_LEDGER_INT_H */
