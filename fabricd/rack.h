/* SPDX-License-Identifier: Apache-2.0
 * fabricd/rack.h - what the manager has heard: each node's last report, the last sweep, their
 * model.
 *
 * Nothing here is stored: after a restart of the manager it comes again with the first reports.
 * What must be remembered is in the ledger. Thread: the manager's loop.
 */
#ifndef FABRICD_RACK_H
#define FABRICD_RACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "fabricd/message.h"
#include "topology/topo.h"

struct fab_err;
struct manager;
struct rack;

struct rack_node {
    char name[LEDGER_NAME_BYTES];
    char address[MESSAGE_ADDRESS_BYTES]; /* of its agent; "": it is dialled by nobody */
    struct topo_machine *machine;
    struct message_gpu_report gpus[LEDGER_NODE_GPU_MAX];
    uint32_t gpu_count;
    struct message_program *programs;
    uint32_t program_count;
    struct message_health *health;
    uint32_t health_count;
    struct topo_gauges *gauges;         /* NULL: none yet */
    struct rails_rail rails[RAILS_MAX]; /* by number */
    uint32_t rail_count;
};

FAB_NODISCARD enum fab_status rack_create(struct rack **rack_out, struct fab_err *err);
void rack_destroy(struct rack *rack); /* takes NULL */

/* Copies a node's report. *is_new_out: its machine or GPUs are not those of the last one. */
FAB_NODISCARD enum fab_status rack_report(struct rack *rack, const char *node, const char *address,
                                          const struct message_report *report, bool *is_new_out,
                                          struct fab_err *err);
/* Copies what a node has measured. FAB_ERR_NOT_FOUND: it has not reported yet. */
FAB_NODISCARD enum fab_status rack_gauges(struct rack *rack, const char *node,
                                          const struct topo_gauges *gauges, struct fab_err *err);
/* Copies a sweep. The model is not stale by traffic alone. */
FAB_NODISCARD enum fab_status rack_sweep(struct rack *rack, const struct topo_fabric *fabric,
                                         struct fab_err *err);

/* Something has changed since the last rack_join(). */
bool rack_is_stale(const struct rack *rack);
/* Makes a new model and gives it to the manager. A failure leaves the old one, until the next
 * change. */
FAB_NODISCARD enum fab_status rack_join(struct rack *rack, struct manager *manager,
                                        struct fab_err *err);

const struct topo *rack_topo(const struct rack *rack);          /* NULL: none yet */
const struct topo_fabric *rack_fabric(const struct rack *rack); /* NULL: none was swept */
size_t rack_node_count(const struct rack *rack);
const struct rack_node *rack_node(const struct rack *rack, size_t index);
const struct rack_node *rack_find(const struct rack *rack, const char *node); /* NULL: not heard */
/* The rails that a node has reported, by number; returns how many. */
uint32_t rack_rails(const struct rack *rack, const char *node, const struct rails_rail **rails_out);
/* A GPU in the model; TOPO_NO_ID. */
topo_id rack_gpu(const struct rack *rack, const char *uuid);
/* What its node measured last of a GPU; NULL: nothing. */
const struct topo_gpu_gauge *rack_gpu_gauge(const struct rack *rack, const char *node,
                                            const char *uuid);

#endif /* FABRICD_RACK_H */
