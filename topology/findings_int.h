/* SPDX-License-Identifier: Apache-2.0
 * topology/findings_int.h - between findings.c and findings_fabric.c.
 */
#ifndef TOPOLOGY_FINDINGS_INT_H
#define TOPOLOGY_FINDINGS_INT_H

#include "topology/topo_int.h"

struct judge {
    struct topo *topo;
    struct fab_map hcas;  /* NodeGUIDs that machines have, to thing + 1 */
    struct fab_map nodes; /* NodeGUIDs of HCAs in the fabric */
    bool is_out_of_memory;
};

/* `code` is a static text. */
void judge_add(struct judge *judge, enum topo_severity severity, const char *code, topo_id thing,
               const char *format, ...) FAB_PRINTF(5, 6);
const char *judge_name(const struct judge *judge, topo_id thing);

FAB_NODISCARD enum fab_status judge_fabric(struct judge *judge);

#endif /* TOPOLOGY_FINDINGS_INT_H */
