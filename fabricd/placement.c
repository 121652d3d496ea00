/* SPDX-License-Identifier: Apache-2.0
 * fabricd/placement.c - choosing GPUs: machines in a good order, several beginnings, then swaps.
 *
 * GPUs of one place in a machine are alike, and so nearly are machines at one distance. So the
 * search works on machines: for each host they are sorted by what one GPU there would get, hops and
 * fit, and only the best are looked at further (a choice needs at most one machine a GPU;
 * KEPT_MACHINES leaves room for uplinks that fill up). A beginning takes up to c GPUs of each in
 * that order, for every c; the best beginning is then improved by swaps of one GPU for a free one
 * and by exchanges between two hosts, most promising first, until none helps or the trials are used
 * up.
 */
#include "fabricd/placement.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"

enum {
    KEPT_MACHINES = 192,
    TRIALS_MAX = 96, /* each scores a whole choice, about 50 us for 16 GPUs */
};

/* Rates closer than this are the same: rounding must not decide against hops. */
static const double rate_tolerance = 0.005;

/* From a host to a machine. */
struct way {
    bool is_there;
    uint32_t mbps, hops;
};

/* A machine with free GPUs. */
struct stock {
    topo_id machine;
    uint32_t first, count; /* of its free GPUs in `sorted`; taken ones are behind `left` */
    uint32_t left;
    struct way way; /* to the host that is being served */
};

struct search {
    const struct placement_request *request;
    topo_id *sorted;      /* free GPUs, machine by machine */
    struct stock *stocks; /* by machine */
    uint32_t stock_count;
    struct way *ways; /* of each host to each stock, host by host */
    bool has_fabric;
    uint32_t trials;
    struct placement best;
    bool has_best;
};

/* ---- scoring ----------------------------------------------------------------------------------
 */

static int order(double a, double b)
{
    return a < b ? -1 : a > b;
}

int placement_compare(enum placement_strategy strategy, const struct placement_score *a,
                      const struct placement_score *b)
{
    const double larger = fmax(a->min_mbps, b->min_mbps);
    int first = 0;

    if (strategy == PLACEMENT_PACK)
        first = order(a->machines, b->machines);
    if (strategy == PLACEMENT_SPREAD)
        first = order(b->machines, a->machines);
    if (first)
        return first;
    if (fabs(a->min_mbps - b->min_mbps) > rate_tolerance * larger)
        return order(b->min_mbps, a->min_mbps);
    if (a->hops != b->hops)
        return order(a->hops, b->hops);
    if (a->broken != b->broken)
        return order(a->broken, b->broken);
    return order(a->machines, b->machines);
}

static topo_id machine_of(const struct topo *topo, topo_id thing)
{
    return topo_thing(topo, thing)->machine;
}

static struct stock *stock_of(const struct search *search, topo_id machine)
{
    uint32_t low = 0, high = search->stock_count;

    while (low < high) {
        const uint32_t middle = (low + high) / 2;

        if (search->stocks[middle].machine < machine)
            low = middle + 1;
        else
            high = middle;
    }
    return low < search->stock_count && search->stocks[low].machine == machine
               ? &search->stocks[low]
               : NULL;
}

static void judge_machines(const struct search *search, const topo_id *gpus, uint32_t gpu_count,
                           struct placement_score *score)
{
    const struct stock *seen[PLACEMENT_GPUS_MAX];

    for (uint32_t i = 0; i < gpu_count; i++) {
        const struct stock *stock = stock_of(search, machine_of(search->request->topo, gpus[i]));
        uint32_t k = 0;

        while (k < score->machines && seen[k] != stock)
            k++;
        if (k < score->machines)
            continue;
        seen[score->machines++] = stock;
        score->broken += stock ? stock->count : 0;
    }
    score->broken -= score->broken < gpu_count ? score->broken : gpu_count;
}

static enum fab_status judge_ways(const struct placement_request *request, const topo_id *gpus,
                                  uint32_t gpu_count, struct placement_score *score,
                                  struct fab_err *err)
{
    struct topo_flow flows[PLACEMENT_GPUS_MAX] = {0};
    double rates[PLACEMENT_GPUS_MAX];
    uint32_t flow = 0;
    enum fab_status status;

    for (uint32_t host = 0; host < request->host_count; host++) {
        for (uint32_t i = 0; i < request->hosts[host].gpu_count && flow < gpu_count; i++, flow++) {
            const topo_id from = request->hosts[host].machine;
            struct topo_path path;

            flows[flow] = (struct topo_flow){from, gpus[flow], TOPO_NO_ID, TOPO_NO_ID};
            if (topo_path(request->topo, from, gpus[flow], &path, NULL) == FAB_OK)
                score->hops += path.ib_hops;
        }
    }
    status = topo_fair_share(request->topo, flows, flow, rates, err);
    score->min_mbps = flow > 0 ? INFINITY : 0;
    for (uint32_t i = 0; status == FAB_OK && i < flow; i++)
        score->min_mbps = fmin(score->min_mbps, rates[i]);
    return status;
}

static enum fab_status judge(const struct search *search, const topo_id *gpus, uint32_t gpu_count,
                             struct placement_score *score_out, struct fab_err *err)
{
    struct placement_score score = {0};
    const enum fab_status status = judge_ways(search->request, gpus, gpu_count, &score, err);

    if (status != FAB_OK)
        return status;
    judge_machines(search, gpus, gpu_count, &score);
    *score_out = score;
    return FAB_OK;
}

/* ---- stocks: what each machine has ------------------------------------------------------------
 */

static int by_machine(const void *a, const void *b, void *topo)
{
    const topo_id left = *(const topo_id *)a, right = *(const topo_id *)b;
    const int machines = order(machine_of(topo, left), machine_of(topo, right));

    return machines ? machines : order(left, right);
}

static void search_close(struct search *search)
{
    free(search->sorted);
    free(search->stocks);
    free(search->ways);
}

static enum fab_status search_open(const struct placement_request *request, struct search *search,
                                   struct fab_err *err)
{
    const struct topo *topo = request->topo;

    *search = (struct search){.request = request};
    search->has_fabric = topo_next(topo, TOPO_SWITCH, TOPO_NO_ID, TOPO_NO_ID) != TOPO_NO_ID;
    search->sorted = fab_alloc_zeroed(request->free_count + 1, sizeof(topo_id));
    search->stocks = fab_alloc_zeroed(request->free_count + 1, sizeof(struct stock));
    if (!search->sorted || !search->stocks)
        return fab_err_set(err, FAB_ERR_NOMEM, "choosing GPUs");
    for (size_t i = 0; i < request->free_count; i++) {
        const struct topo_thing *thing = topo_thing(topo, request->free_gpus[i]);

        if (!thing || thing->kind != TOPO_GPU)
            return fab_err_set(err, FAB_ERR_INVALID, "thing %u of the model is no GPU",
                               request->free_gpus[i]);
        search->sorted[i] = request->free_gpus[i];
    }
    qsort_r(search->sorted, request->free_count, sizeof(topo_id), by_machine,
            (void *)(uintptr_t)topo);
    for (uint32_t i = 0; i < request->free_count; i++) {
        const topo_id machine = machine_of(topo, search->sorted[i]);

        if (search->stock_count == 0 || search->stocks[search->stock_count - 1].machine != machine)
            search->stocks[search->stock_count++] = (struct stock){.machine = machine, .first = i};
        search->stocks[search->stock_count - 1].count++;
    }
    return FAB_OK;
}

enum fab_status placement_judge(const struct placement_request *request, const topo_id *gpus,
                                uint32_t gpu_count, struct placement_score *score_out,
                                struct fab_err *err)
{
    struct search search;
    enum fab_status status;

    if (gpu_count > PLACEMENT_GPUS_MAX)
        return fab_err_set(err, FAB_ERR_RANGE, "at most %d GPUs", PLACEMENT_GPUS_MAX);
    status = search_open(request, &search, err);
    if (status == FAB_OK)
        status = judge(&search, gpus, gpu_count, score_out, err);
    search_close(&search);
    return status;
}

/* ---- one host's machines, best first ----------------------------------------------------------
 */

/* The way between a host and a thing, by the rules of the header. */
static struct way way_to(const struct search *search, topo_id host, topo_id thing)
{
    struct topo_path path;

    if (topo_path(search->request->topo, host, thing, &path, NULL) == FAB_OK)
        return (struct way){.is_there = true, .mbps = path.mbps, .hops = path.ib_hops};
    return (struct way){.is_there = !search->has_fabric};
}

/* Each way once, whatever is tried. */
static enum fab_status find_ways(struct search *search, struct fab_err *err)
{
    const struct placement_request *request = search->request;

    search->ways =
        fab_alloc_zeroed((size_t)request->host_count * search->stock_count + 1, sizeof(struct way));
    if (!search->ways)
        return fab_err_set(err, FAB_ERR_NOMEM, "choosing GPUs");
    for (uint32_t host = 0; host < request->host_count; host++)
        for (uint32_t i = 0; i < search->stock_count; i++)
            search->ways[host * search->stock_count + i] =
                way_to(search, request->hosts[host].machine, search->stocks[i].machine);
    return FAB_OK;
}

struct ranking {
    const struct search *search;
    topo_id host;
    uint32_t wanted; /* GPUs */
};

/* How well a machine's free GPUs fit: one that is used up leaves nothing broken. */
static uint32_t rest_of(const struct stock *stock, uint32_t wanted)
{
    return stock->left > wanted ? stock->left - wanted : 0;
}

static uint32_t part_of(const struct stock *stock, uint32_t wanted)
{
    return stock->left < wanted ? stock->left : wanted;
}

static int by_worth(const void *a, const void *b, void *user)
{
    const struct ranking *ranking = user;
    const struct stock *left = *(struct stock *const *)a, *right = *(struct stock *const *)b;

    if (ranking->search->request->strategy == PLACEMENT_PACK && /* the largest parts first */
        part_of(left, ranking->wanted) != part_of(right, ranking->wanted))
        return order(part_of(right, ranking->wanted), part_of(left, ranking->wanted));
    if (left->way.mbps != right->way.mbps)
        return order(right->way.mbps, left->way.mbps);
    if (left->way.hops != right->way.hops)
        return order(left->way.hops, right->way.hops);
    if (rest_of(left, ranking->wanted) != rest_of(right, ranking->wanted))
        return order(rest_of(left, ranking->wanted), rest_of(right, ranking->wanted));
    if (left->left != right->left)
        return order(right->left, left->left);
    return order(left->machine, right->machine);
}

static int by_way(const void *a, const void *b, void *user)
{
    const struct ranking *ranking = user;
    const topo_id left = *(const topo_id *)a, right = *(const topo_id *)b;
    const struct way left_way = way_to(ranking->search, ranking->host, left);
    const struct way right_way = way_to(ranking->search, ranking->host, right);

    if (left_way.mbps != right_way.mbps)
        return order(right_way.mbps, left_way.mbps);
    return order(left, right);
}

/* The stocks that a host can reach, best first. */
static uint32_t rank(struct search *search, uint32_t host, uint32_t wanted, struct stock **ranked)
{
    struct ranking ranking = {
        .search = search, .host = search->request->hosts[host].machine, .wanted = wanted};
    uint32_t count = 0;

    for (uint32_t i = 0; i < search->stock_count; i++) {
        struct stock *stock = &search->stocks[i];

        stock->way = search->ways[host * search->stock_count + i];
        if (stock->left > 0 && stock->way.is_there)
            ranked[count++] = stock;
    }
    qsort_r(ranked, count, sizeof(struct stock *), by_worth, &ranking);
    return count < KEPT_MACHINES ? count : KEPT_MACHINES;
}

/* ---- beginnings -------------------------------------------------------------------------------
 */

/* Takes the GPU that is nearest to the host of those that are left, and puts it behind them. */
static topo_id take(struct search *search, struct stock *stock)
{
    topo_id *gpus = &search->sorted[stock->first];
    const topo_id taken = gpus[0];

    stock->left--;
    memmove(gpus, gpus + 1, stock->left * sizeof(topo_id));
    gpus[stock->left] = taken;
    return taken;
}

/* Up to `cap` GPUs of each machine; if that is not enough, again. False: too few can be reached. */
static bool serve(struct search *search, uint32_t host, uint32_t cap, struct stock **ranked,
                  struct placement *choice)
{
    const struct placement_host *served = &search->request->hosts[host];
    struct ranking ranking = {.search = search, .host = served->machine};
    uint32_t wanted = served->gpu_count;
    const uint32_t count = rank(search, host, wanted < cap ? wanted : cap, ranked);

    for (bool has_taken = true; wanted > 0 && has_taken;) {
        has_taken = false;
        for (uint32_t i = 0; i < count && wanted > 0; i++) {
            if (ranked[i]->left > wanted || ranked[i]->left > cap) /* which ones matters */
                qsort_r(&search->sorted[ranked[i]->first], ranked[i]->left, sizeof(topo_id), by_way,
                        &ranking);
            for (uint32_t k = 0; k < cap && ranked[i]->left > 0 && wanted > 0; k++, wanted--) {
                choice->gpus[choice->gpu_count++] = take(search, ranked[i]);
                has_taken = true;
            }
        }
    }
    return wanted == 0;
}

/* Keeps the choice if it is the best so far. */
static enum fab_status try(struct search *search, const struct placement *choice,
                           struct fab_err *err)
{
    struct placement judged = *choice;
    const enum fab_status status =
        judge(search, choice->gpus, choice->gpu_count, &judged.score, err);

    search->trials++;
    if (status == FAB_OK &&
        (!search->has_best ||
         placement_compare(search->request->strategy, &judged.score, &search->best.score) < 0)) {
        search->best = judged;
        search->has_best = true;
    }
    return status;
}

static enum fab_status begin(struct search *search, uint32_t cap, struct stock **ranked,
                             struct fab_err *err)
{
    struct placement choice = {0};
    bool is_enough = true;

    for (uint32_t i = 0; i < search->stock_count; i++)
        search->stocks[i].left = search->stocks[i].count;
    for (uint32_t i = 0; is_enough && i < search->request->host_count; i++)
        is_enough = serve(search, i, cap, ranked, &choice);
    return is_enough ? try(search, &choice, err) : FAB_OK;
}

static enum fab_status begin_all(struct search *search, struct fab_err *err)
{
    struct stock **ranked = fab_alloc_zeroed(search->stock_count + 1, sizeof(*ranked));
    enum fab_status status =
        ranked ? find_ways(search, err) : fab_err_set(err, FAB_ERR_NOMEM, "choosing GPUs");
    uint32_t most = 1;

    for (uint32_t i = 0; i < search->stock_count; i++)
        most = search->stocks[i].count > most ? search->stocks[i].count : most;
    for (uint32_t cap = most; status == FAB_OK && cap > 0; cap = cap > 4 ? cap / 2 : cap - 1)
        status = begin(search, cap, ranked, err);
    free(ranked);
    return status;
}

/* ---- swaps ------------------------------------------------------------------------------------
 */

static bool is_chosen(const struct placement *choice, topo_id gpu)
{
    for (uint32_t i = 0; i < choice->gpu_count; i++)
        if (choice->gpus[i] == gpu)
            return true;
    return false;
}

/* Whether a free GPU of the stock before the k-th hangs where that does, or the chosen one does. */
static bool is_like_before(const struct search *search, const struct stock *stock, uint32_t k,
                           const struct placement *from, topo_id chosen)
{
    const struct topo *topo = search->request->topo;
    const topo_id *gpus = &search->sorted[stock->first];
    const topo_id place = topo_thing(topo, gpus[k])->parent;

    for (uint32_t i = 0; i < k; i++)
        if (!is_chosen(from, gpus[i]) && topo_thing(topo, gpus[i])->parent == place)
            return true;
    return topo_thing(topo, chosen)->parent == place;
}

/* Tries a change of the best choice, unless the trials are used up. */
static enum fab_status change(struct search *search, const struct placement *choice,
                              bool *is_better_out, struct fab_err *err)
{
    enum fab_status status = FAB_OK;

    if (search->trials < TRIALS_MAX)
        status = try(search, choice, err);
    *is_better_out = memcmp(choice->gpus, search->best.gpus, sizeof(choice->gpus)) == 0;
    return status;
}

/* One GPU of the best choice against each of a machine: of another one the nearest, since places
 * are then bettered in a swap of their own; of its own one of each other place. */
static enum fab_status swap(struct search *search, const struct placement *from, uint32_t at,
                            const struct stock *stock, bool *is_better_out, struct fab_err *err)
{
    const topo_id chosen = from->gpus[at];
    const bool is_own = stock->machine == machine_of(search->request->topo, chosen);
    enum fab_status status = FAB_OK;
    bool is_tried = false;

    for (uint32_t k = 0; k < stock->count && status == FAB_OK && !*is_better_out; k++) {
        struct placement choice = *from;

        choice.gpus[at] = search->sorted[stock->first + k];
        if (is_chosen(from, choice.gpus[at]) ||
            (is_own ? is_like_before(search, stock, k, from, chosen) : is_tried))
            continue;
        is_tried = true;
        status = change(search, &choice, is_better_out, err);
    }
    return status;
}

/* Two hosts exchange a GPU for one of another place. `first` is where the second host's begin. */
static enum fab_status exchange(struct search *search, const struct placement *from, uint32_t at,
                                uint32_t first, bool *is_better_out, struct fab_err *err)
{
    const struct topo *topo = search->request->topo;
    enum fab_status status = FAB_OK;

    for (uint32_t i = first; i < from->gpu_count && status == FAB_OK && !*is_better_out; i++) {
        struct placement choice = *from;

        if (topo_thing(topo, from->gpus[at])->parent == topo_thing(topo, from->gpus[i])->parent)
            continue;
        choice.gpus[at] = from->gpus[i];
        choice.gpus[i] = from->gpus[at];
        status = change(search, &choice, is_better_out, err);
    }
    return status;
}

static enum fab_status exchange_all(struct search *search, const struct placement *from,
                                    bool *is_better_out, struct fab_err *err)
{
    const struct placement_request *request = search->request;
    enum fab_status status = FAB_OK;
    uint32_t at = 0, next = 0;

    for (uint32_t host = 0; host < request->host_count; host++)
        for (next += request->hosts[host].gpu_count; at < next; at++)
            if (status == FAB_OK && !*is_better_out)
                status = exchange(search, from, at, next, is_better_out, err);
    return status;
}

/* The first change that makes the choice better. */
static enum fab_status improve(struct search *search, bool *is_better_out, struct fab_err *err)
{
    const struct placement from = search->best;
    enum fab_status status = FAB_OK;

    *is_better_out = false;
    for (uint32_t at = from.gpu_count; at > 0 && !*is_better_out; at--)
        for (uint32_t i = 0; i < search->stock_count && search->trials < TRIALS_MAX &&
                             status == FAB_OK && !*is_better_out;
             i++)
            status = swap(search, &from, at - 1, &search->stocks[i], is_better_out, err);
    return status == FAB_OK && !*is_better_out ? exchange_all(search, &from, is_better_out, err)
                                               : status;
}

/* ---- the whole --------------------------------------------------------------------------------
 */

static enum fab_status check(const struct placement_request *request, struct fab_err *err)
{
    uint32_t wanted = 0;

    if (request->host_count == 0 || request->host_count > PLACEMENT_HOSTS_MAX)
        return fab_err_set(err, FAB_ERR_RANGE, "1 to %d hosts, not %u", PLACEMENT_HOSTS_MAX,
                           request->host_count);
    for (uint32_t i = 0; i < request->host_count; i++) {
        const struct topo_thing *thing = topo_thing(request->topo, request->hosts[i].machine);

        if (!thing || thing->kind != TOPO_MACHINE || request->hosts[i].gpu_count == 0)
            return fab_err_set(err, FAB_ERR_INVALID, "host %u is no machine, or wants no GPU", i);
        wanted += request->hosts[i].gpu_count > PLACEMENT_GPUS_MAX ? PLACEMENT_GPUS_MAX + 1
                                                                   : request->hosts[i].gpu_count;
    }
    if (wanted > PLACEMENT_GPUS_MAX)
        return fab_err_set(err, FAB_ERR_RANGE, "1 to %d GPUs, not %u", PLACEMENT_GPUS_MAX, wanted);
    if (wanted > request->free_count)
        return fab_err_set(err, FAB_ERR_LIMIT, "%u GPUs were asked for, %zu are free", wanted,
                           request->free_count);
    return FAB_OK;
}

enum fab_status placement_choose(const struct placement_request *request,
                                 struct placement *placement_out, struct fab_err *err)
{
    enum fab_status status = check(request, err);
    struct search search;
    bool is_better = true;

    if (status != FAB_OK)
        return status;
    status = search_open(request, &search, err);
    if (status == FAB_OK)
        status = begin_all(&search, err);
    if (status == FAB_OK && !search.has_best)
        status = fab_err_set(err, FAB_ERR_LIMIT,
                             "%zu GPUs are free, but the fabric leads to too few of them: see "
                             "`compose topo`",
                             request->free_count);
    while (status == FAB_OK && is_better)
        status = improve(&search, &is_better, err);
    if (status == FAB_OK)
        *placement_out = search.best;
    search_close(&search);
    return status;
}
