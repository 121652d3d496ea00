/* SPDX-License-Identifier: Apache-2.0
 * fabricd/placement.h - which free GPUs a system gets.
 *
 * A choice is scored by what its programs will see: the bandwidth that every GPU gets when all are
 * fed at once (max-min fair share over the graph), then switch hops, then how whole it leaves the
 * rest of the rack. It is a search from several good beginnings (placement.c), within 2 % of the
 * best of all choices on small racks (test_placement). The same request has the same answer.
 * Thread: any; nothing is kept.
 */
#ifndef FABRICD_PLACEMENT_H
#define FABRICD_PLACEMENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "topology/topo.h"

struct fab_err;

enum {
    PLACEMENT_GPUS_MAX = 64,
    PLACEMENT_HOSTS_MAX = 64,
};

enum placement_strategy {
    PLACEMENT_BEST,  /* bandwidth, hops, wholeness */
    PLACEMENT_PACK,  /* on as few machines as possible, then as above */
    PLACEMENT_SPREAD /* on as many machines as possible, then as above */
};

struct placement_host {
    topo_id machine;
    uint32_t gpu_count; /* not 0 */
};

struct placement_request {
    const struct topo *topo;
    const struct placement_host *hosts; /* each machine once */
    uint32_t host_count;
    const topo_id *free_gpus; /* each once */
    size_t free_count;
    enum placement_strategy strategy;
};

struct placement_score {
    double min_mbps;   /* of the GPU that gets least, all fed at once */
    uint32_t hops;     /* InfiniBand switches on all ways together */
    uint32_t machines; /* that give a GPU */
    uint32_t broken;   /* free GPUs left on them: a later request may want a whole machine */
};

struct placement {
    topo_id gpus[PLACEMENT_GPUS_MAX]; /* the hosts' GPUs one after another, in their order */
    uint32_t gpu_count;
    struct placement_score score;
};

/* FAB_ERR_LIMIT: fewer GPUs are free (or can be reached) than were asked for; FAB_ERR_RANGE,
 * FAB_ERR_INVALID: the request; FAB_ERR_NOMEM. A GPU that the fabric does not lead to is not taken;
 * where no fabric was discovered at all, distances count as equal. */
FAB_NODISCARD enum fab_status placement_choose(const struct placement_request *request,
                                               struct placement *placement_out,
                                               struct fab_err *err);

/* The score of a choice that is already made (in the order of struct placement): for tests, and for
 * what `compose show` tells. */
FAB_NODISCARD enum fab_status placement_judge(const struct placement_request *request,
                                              const topo_id *gpus, uint32_t gpu_count,
                                              struct placement_score *score_out,
                                              struct fab_err *err);

/* Below 0: `a` is better. */
int placement_compare(enum placement_strategy strategy, const struct placement_score *a,
                      const struct placement_score *b);

#endif /* FABRICD_PLACEMENT_H */
