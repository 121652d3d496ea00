/* SPDX-License-Identifier: Apache-2.0
 * topology/topo.h - the model: every machine and the fabric as one graph, and what is asked of it.
 *
 * topo_join() takes records (records.h) and makes a model that never changes; a new discovery makes
 * a new model. Things are named by a small index, `topo_id`, valid in their model only, and by a
 * path-like name that survives models: "r730-1", "c4130-2/gpu1", "c4130-2/mlx4_0",
 * "c4130-2/mlx4_0:1", "c4130-2/numa0", "leaf1".
 *
 * Edges carry bandwidth per direction (MB/s) and latency (ns). The figures of a path through an HCA
 * are those that the data path will get: UCX's own model of GPU-to-HCA distance. A model is read
 * by any number of threads. Nothing here blocks.
 */
#ifndef TOPOLOGY_TOPO_H
#define TOPOLOGY_TOPO_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"
#include "topology/records.h"

struct fab_err;
struct topo;

typedef uint32_t topo_id;
#define TOPO_NO_ID UINT32_MAX

enum topo_kind {
    TOPO_MACHINE,
    TOPO_NUMA,
    TOPO_ROOT,       /* root complex */
    TOPO_PCI_SWITCH, /* one switch, all its ports */
    TOPO_GPU,
    TOPO_HCA,
    TOPO_PORT,  /* of an HCA */
    TOPO_SWITCH /* InfiniBand */
};

/* As `nvidia-smi topo -m` says it, nearest first; TOPO_IB goes over the fabric. */
enum topo_class {
    TOPO_SELF,
    TOPO_NV, /* NVLinks from GPU to GPU */
    TOPO_PIX,
    TOPO_PXB,
    TOPO_PHB,
    TOPO_NODE,
    TOPO_SYS,
    TOPO_IB,
    TOPO_APART
};

struct topo_thing {
    enum topo_kind kind;
    const char *name; /* unique in the model; lives as long as it */
    topo_id parent;   /* what holds it: a machine, NUMA node, switch ...; TOPO_NO_ID at the top */
    topo_id machine;  /* TOPO_NO_ID for an InfiniBand switch */
    /* The records behind it, NULL where its kind has none. */
    const struct topo_machine *machine_record;
    const struct topo_gpu *gpu;
    const struct topo_hca *hca;
    const struct topo_hca_port *port;
    const struct topo_fabric_node *fabric_node;
    const struct topo_fabric_port *fabric_port;
};

/* ---- making -----------------------------------------------------------------------------------
 */

/* Joins by PCI bus id (GPU) and NodeGUID (HCA to fabric). The records are copied, machines in the
 * order of their names (node-2 before node-10). `fabric` may be NULL: machines only. A
 * contradiction is a finding, not an error; FAB_ERR_INVALID is for records that break their own
 * bounds or indices, FAB_ERR_EXISTS for two machines of one name. */
FAB_NODISCARD enum fab_status topo_join(const struct topo_machine *const *machines,
                                        size_t machine_count, const struct topo_fabric *fabric,
                                        struct topo **topo_out, struct fab_err *err);
void topo_free(struct topo *topo); /* takes NULL */

/* ---- looking ----------------------------------------------------------------------------------
 */

size_t topo_count(const struct topo *topo);
const struct topo_thing *topo_thing(const struct topo *topo, topo_id id); /* NULL: no such id */
topo_id topo_find(const struct topo *topo, const char *name);             /* TOPO_NO_ID: none */
/* The next thing of a kind after `after` (TOPO_NO_ID: the first), in `machine` (TOPO_NO_ID: any).
 */
topo_id topo_next(const struct topo *topo, enum topo_kind kind, topo_id machine, topo_id after);

/* ---- paths ------------------------------------------------------------------------------------
 */

struct topo_path {
    enum topo_class class;
    uint32_t ib_hops; /* InfiniBand switches on the way */
    uint32_t nvlinks; /* of class TOPO_NV */
    uint32_t mbps;    /* of the narrowest edge */
    uint32_t latency_ns;
    topo_id local_port, remote_port; /* the HCA ports used; TOPO_NO_ID on one machine */
};

/* The best path between any two things (most bandwidth, then least latency; of equal pairs of ports
 * GPUs take turns by their number). From a thing to itself: TOPO_SELF, UINT32_MAX. A machine is its
 * memory, beside whichever HCA is used. FAB_ERR_UNREACHABLE: no way; FAB_ERR_INVALID: a bad id. */
FAB_NODISCARD enum fab_status topo_path(const struct topo *topo, topo_id from, topo_id to,
                                        struct topo_path *path_out, struct fab_err *err);

/* The ports that serve a GPU (or a NUMA node, or a machine), nearest first: by class, then
 * bandwidth, then name; ports that are not active are left out. Returns how many there are, fills
 * at most `most`. */
struct topo_rail {
    topo_id port;
    struct topo_path path; /* from the thing to the port */
    bool is_direct;        /* GPUDirect may be used on it; otherwise staged through `numa` */
    topo_id numa;          /* where worker threads and staging memory belong */
};
size_t topo_rails(const struct topo *topo, topo_id thing, struct topo_rail *rails_out, size_t most);

/* Max-min fair rates of many flows at once (MB/s), each over its best path or the path given by its
 * ports (TOPO_NO_ID: best). A flow that has no way gets 0. */
struct topo_flow {
    topo_id from, to;
    topo_id local_port, remote_port;
};
FAB_NODISCARD enum fab_status topo_fair_share(const struct topo *topo,
                                              const struct topo_flow *flows, size_t flow_count,
                                              double *rates_out, struct fab_err *err);

const char *topo_class_name(enum topo_class class); /* "PIX" ...; "NV", "IB"; "-" for TOPO_APART */

/* ---- findings ---------------------------------------------------------------------------------
 */

enum topo_severity { TOPO_NOTICE, TOPO_WARNING, TOPO_CRITICAL };

/* One row: what discovery shows that should not be. Codes are stable and documented in
 * topology/README.md. */
struct topo_finding {
    enum topo_severity severity;
    const char *code;
    topo_id thing;    /* what it is about; TOPO_NO_ID if it is in no model (a stranger) */
    const char *text; /* a sentence with the values, and what to do */
};

size_t topo_finding_count(const struct topo *topo);
const struct topo_finding *topo_finding(const struct topo *topo, size_t index);

/* ---- showing ----------------------------------------------------------------------------------
 */

enum topo_format {
    TOPO_FORMAT_TREE,
    TOPO_FORMAT_MATRIX,
    TOPO_FORMAT_DOT,
    TOPO_FORMAT_SVG,
    TOPO_FORMAT_JSON
};

/* Writes the whole model. FAB_ERR_IO: the stream refused. */
FAB_NODISCARD enum fab_status topo_print(const struct topo *topo, enum topo_format format,
                                         FILE *stream, struct fab_err *err);

#endif /* TOPOLOGY_TOPO_H */
