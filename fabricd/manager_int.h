/* SPDX-License-Identifier: Apache-2.0
 * fabricd/manager_int.h - the manager's object, for the files manager*.c.
 */
#ifndef FABRICD_MANAGER_INT_H
#define FABRICD_MANAGER_INT_H

#include "base/map.h"
#include "base/vec.h"
#include "fabricd/manager.h"

struct manager {
    struct ledger *ledger;
    const struct manager_ops *ops;
    void *user;
    const struct topo *topo;
    struct fab_map topo_gpus; /* uuid to id + 1 */
    struct fab_vec told;      /* struct told * */
    struct fab_vec line;      /* struct waiting *, oldest first */
    uint64_t next_name;
    uint64_t next_ms;   /* of the ledger's limits */
    uint64_t grace_ms;  /* of manager_set_grace() */
    uint64_t orphan_ms; /* when the next ad hoc system has lost its host for good */
};

/* What a create comes to, before anything is changed. */
struct manager_plan {
    char name[LEDGER_NAME_BYTES];
    struct ledger_host hosts[LEDGER_SYSTEM_HOST_MAX];
    const char *uuids[LEDGER_SYSTEM_GPU_MAX];
    struct rails_choice rails[LEDGER_SYSTEM_GPU_MAX];
    uint32_t gpu_count;
};

/* Hosts, GPUs, rails and a name for the request. FAB_ERR_LIMIT: may work later (err says what
 * stands in the way). */
FAB_NODISCARD enum fab_status manager_plan(struct manager *manager,
                                           const struct manager_request *request,
                                           struct manager_plan *plan, struct fab_err *err);

#endif /* FABRICD_MANAGER_INT_H */
