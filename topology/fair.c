/* SPDX-License-Identifier: Apache-2.0
 * topology/fair.c - max-min fair rates by progressive filling.
 *
 * All rates rise together; when a lane is full, the flows on it keep their rate and the others go
 * on. What a lane offers each of its rising flows can only grow while others stop, so a heap whose
 * entries are brought up to date when they come out finds the next full lane: O(n log n) in all
 * lanes of all flows.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "topology/topo_int.h"

/* A lane in use, or the bound of one flow. */
struct pipe {
    double left;     /* MB/s that are not given away */
    uint32_t rising; /* flows on it that still rise */
    uint32_t first;  /* its flows: users[first .. first + count) */
    uint32_t count;
};

struct filling {
    const struct topo *topo;
    struct fab_vec pipes;         /* struct pipe */
    struct fab_vec pipes_of_flow; /* uint32_t, the flows' pipes one after the other */
    uint32_t *first_of_flow;      /* flow_count + 1 */
    uint32_t *pipe_of_lane;       /* 0: not in use yet, else pipe + 1 */
    uint32_t *users;
    bool *is_done;
    struct heap_entry {
        double level;
        uint32_t pipe;
    } * heap;
    size_t heap_count;
    double *rates;
};

static enum fab_status no_memory(struct fab_err *err)
{
    return fab_err_set(err, FAB_ERR_NOMEM, "the lanes of all flows");
}

/* ---- which flow uses which pipes --------------------------------------------------------------
 */

static bool use_pipe(struct filling *filling, uint32_t pipe)
{
    fab_vec_at(&filling->pipes, struct pipe, pipe)->count++;
    return fab_vec_push(&filling->pipes_of_flow, &pipe) == FAB_OK;
}

static bool add_pipe(struct filling *filling, uint32_t mbps)
{
    struct pipe pipe = {.left = mbps};

    return fab_vec_push(&filling->pipes, &pipe) == FAB_OK &&
           use_pipe(filling, (uint32_t)filling->pipes.count - 1);
}

/* A lane that a way passes twice (staged through a switch) counts twice. */
static bool use_lane(struct filling *filling, uint32_t lane)
{
    uint32_t *pipe = &filling->pipe_of_lane[lane];

    if (*pipe)
        return use_pipe(filling, *pipe - 1);
    if (!add_pipe(filling, filling->topo->lane_mbps[lane]))
        return false;
    *pipe = (uint32_t)filling->pipes.count;
    return true;
}

static bool is_flow(const struct topo *topo, const struct topo_flow *flow)
{
    return topo_thing(topo, flow->from) && topo_thing(topo, flow->to);
}

static bool add_flow(struct filling *filling, const struct topo_flow *flow, uint32_t index)
{
    topo_id local, remote;
    struct way way;

    filling->first_of_flow[index] = (uint32_t)filling->pipes_of_flow.count;
    filling->rates[index] = 0;
    if (!topo_way_find(filling->topo, flow, &way, &local, &remote))
        return true;
    for (uint32_t i = 0; i < way.lane_count; i++) {
        if (!use_lane(filling, way.lanes[i]))
            return false;
    }
    /* A flow that meets nothing has no bound; it gets the largest figure. */
    return (way.most_mbps == UINT32_MAX && way.lane_count > 0) || add_pipe(filling, way.most_mbps);
}

static enum fab_status add_flows(struct filling *filling, const struct topo_flow *flows,
                                 size_t flow_count, struct fab_err *err)
{
    for (size_t i = 0; i < flow_count; i++) {
        if (!is_flow(filling->topo, &flows[i]))
            return fab_err_set(err, FAB_ERR_INVALID, "flow %zu: no such thing", i);
        if (!add_flow(filling, &flows[i], (uint32_t)i))
            return no_memory(err);
    }
    filling->first_of_flow[flow_count] = (uint32_t)filling->pipes_of_flow.count;
    return FAB_OK;
}

/* Turns "pipes of a flow" round into "flows of a pipe". */
static enum fab_status list_users(struct filling *filling, size_t flow_count, struct fab_err *err)
{
    struct pipe *pipes = fab_vec_items(&filling->pipes, struct pipe);
    const uint32_t *used = fab_vec_items(&filling->pipes_of_flow, uint32_t);
    uint32_t next = 0;

    filling->users = fab_alloc(sizeof(uint32_t) * (filling->pipes_of_flow.count + 1));
    filling->heap = fab_alloc(sizeof(filling->heap[0]) * (filling->pipes.count + 1));
    if (!filling->users || !filling->heap)
        return no_memory(err);
    for (size_t i = 0; i < filling->pipes.count; i++) {
        pipes[i].first = next;
        next += pipes[i].count;
    }
    for (uint32_t flow = 0; flow < flow_count; flow++) {
        for (uint32_t i = filling->first_of_flow[flow]; i < filling->first_of_flow[flow + 1]; i++) {
            struct pipe *pipe = &pipes[used[i]];

            filling->users[pipe->first + pipe->rising++] = flow;
        }
    }
    return FAB_OK;
}

/* ---- filling ----------------------------------------------------------------------------------
 */

static void heap_swap(struct heap_entry *a, struct heap_entry *b)
{
    struct heap_entry kept = *a;

    *a = *b;
    *b = kept;
}

static void heap_push(struct filling *filling, struct heap_entry entry)
{
    struct heap_entry *heap = filling->heap;
    size_t at = filling->heap_count++;

    heap[at] = entry;
    for (; at > 0 && heap[at].level < heap[(at - 1) / 2].level; at = (at - 1) / 2)
        heap_swap(&heap[at], &heap[(at - 1) / 2]);
}

static struct heap_entry heap_pop(struct filling *filling)
{
    struct heap_entry *heap = filling->heap, top = heap[0];
    size_t at = 0;

    heap[0] = heap[--filling->heap_count];
    for (;;) {
        size_t least = at;

        for (size_t child = 2 * at + 1; child <= 2 * at + 2; child++) {
            if (child < filling->heap_count && heap[child].level < heap[least].level)
                least = child;
        }
        if (least == at)
            return top;
        heap_swap(&heap[at], &heap[least]);
        at = least;
    }
}

static void stop_flow(struct filling *filling, uint32_t flow, double rate)
{
    const uint32_t *used = fab_vec_items(&filling->pipes_of_flow, uint32_t);

    filling->is_done[flow] = true;
    filling->rates[flow] = rate;
    for (uint32_t i = filling->first_of_flow[flow]; i < filling->first_of_flow[flow + 1]; i++) {
        struct pipe *pipe = fab_vec_at(&filling->pipes, struct pipe, used[i]);

        pipe->left -= rate;
        pipe->rising--;
    }
}

static double level_of(const struct pipe *pipe)
{
    return pipe->left > 0 ? pipe->left / pipe->rising : 0;
}

static void fill(struct filling *filling)
{
    struct pipe *pipes = fab_vec_items(&filling->pipes, struct pipe);

    for (uint32_t i = 0; i < filling->pipes.count; i++)
        heap_push(filling, (struct heap_entry){level_of(&pipes[i]), i});
    while (filling->heap_count > 0) {
        struct heap_entry entry = heap_pop(filling);
        struct pipe *pipe = &pipes[entry.pipe];
        double level;

        if (pipe->rising == 0)
            continue;
        level = level_of(pipe);
        if (level > entry.level) { /* others have stopped meanwhile */
            heap_push(filling, (struct heap_entry){level, entry.pipe});
            continue;
        }
        for (uint32_t i = pipe->first; i < pipe->first + pipe->count; i++) {
            if (!filling->is_done[filling->users[i]])
                stop_flow(filling, filling->users[i], level);
        }
    }
}

enum fab_status topo_fair_share(const struct topo *topo, const struct topo_flow *flows,
                                size_t flow_count, double *rates_out, struct fab_err *err)
{
    struct filling filling = {
        .topo = topo, .pipes = FAB_VEC(struct pipe), .pipes_of_flow = FAB_VEC(uint32_t)};
    enum fab_status status;

    filling.first_of_flow = fab_alloc_zeroed(flow_count + 1, sizeof(uint32_t));
    filling.pipe_of_lane = fab_alloc_zeroed(topo->lane_count + 1, sizeof(uint32_t));
    filling.is_done = fab_alloc_zeroed(flow_count + 1, sizeof(bool));
    filling.rates = fab_alloc_zeroed(flow_count + 1, sizeof(double));
    status = filling.first_of_flow && filling.pipe_of_lane && filling.is_done && filling.rates
                 ? add_flows(&filling, flows, flow_count, err)
                 : no_memory(err);
    if (status == FAB_OK)
        status = list_users(&filling, flow_count, err);
    if (status == FAB_OK) {
        fill(&filling);
        if (flow_count > 0)
            memcpy(rates_out, filling.rates, flow_count * sizeof(double));
    }
    fab_vec_fini(&filling.pipes);
    fab_vec_fini(&filling.pipes_of_flow);
    free(filling.first_of_flow);
    free(filling.pipe_of_lane);
    free(filling.is_done);
    free(filling.rates);
    free(filling.users);
    free(filling.heap);
    return status;
}
