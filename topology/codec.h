/* SPDX-License-Identifier: Apache-2.0
 * topology/codec.h - records as JSON: how agents tell the manager, and how a site records a rack.
 *
 * Reading trusts nothing: every count, index, length and character is checked (fuzzed), unknown
 * members are refused. GUIDs are strings "0x%016x", sizes are integers.
 */
#ifndef TOPOLOGY_CODEC_H
#define TOPOLOGY_CODEC_H

#include "base/json.h"
#include "base/status.h"
#include "topology/records.h"

struct fab_err;

/* The value is given to the caller (json_decref). FAB_ERR_NOMEM. */
FAB_NODISCARD enum fab_status topo_machine_to_json(const struct topo_machine *machine,
                                                   json_t **json_out, struct fab_err *err);
FAB_NODISCARD enum fab_status topo_fabric_to_json(const struct topo_fabric *fabric,
                                                  json_t **json_out, struct fab_err *err);
FAB_NODISCARD enum fab_status topo_gauges_to_json(const struct topo_gauges *gauges,
                                                  json_t **json_out, struct fab_err *err);

/* FAB_ERR_INVALID, FAB_ERR_RANGE, FAB_ERR_LIMIT name the member. fabric_out: topo_fabric_clear. */
FAB_NODISCARD enum fab_status
topo_machine_from_json(const json_t *json, struct topo_machine *machine_out, struct fab_err *err);
FAB_NODISCARD enum fab_status
topo_fabric_from_json(const json_t *json, struct topo_fabric *fabric_out, struct fab_err *err);
FAB_NODISCARD enum fab_status
topo_gauges_from_json(const json_t *json, struct topo_gauges *gauges_out, struct fab_err *err);

#endif /* TOPOLOGY_CODEC_H */
