/* SPDX-License-Identifier: Apache-2.0
 * fabricd/rails.c - pairs of rails by the way between them, then by nearness to the GPUs.
 *
 * Each pair that is possible has a price; a set of the host's rails will do if every node can give
 * each of them a rail of its own (a matching, by augmenting paths: there are seven at most). The
 * host's rails are tried cheapest first and taken if all nodes can still follow. Where rails are
 * planes, each reaching only its own, that is the best set there is.
 */
#include "fabricd/rails.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

enum {
    PRICE_OTHER = 1,         /* of another number: what is cabled by number stays so */
    PRICE_NEARER = 1 << 4,   /* for each rail that is nearer to one of the GPUs */
    PRICE_HOP = 1 << 16,     /* a switch on the way */
    PRICE_LATER = 1 << 28,   /* of no use now */
    PRICE_NEVER = INT32_MAX, /* no way */
    PORTS_MAX = TOPO_HCA_MAX * TOPO_HCA_PORT_MAX
};

struct prices {
    int32_t of[RAILS_MAX][RAILS_MAX]; /* local, remote */
    uint32_t local_count, remote_count;
};

/* Who has a node's rail; -1: nobody. */
struct owners {
    int32_t of[RAILS_MAX];
};

/* ---- prices -----------------------------------------------------------------------------------
 */

static topo_id port_of(const struct topo *topo, const struct rails_end *end, uint32_t rail)
{
    char name[TOPO_NAME_BYTES + RAILS_PORT_BYTES + 1];

    if (!topo || !end->rails[rail].port[0])
        return TOPO_NO_ID;
    (void)snprintf(name, sizeof(name), "%.64s/%s", end->node, end->rails[rail].port);
    return topo_find(topo, name);
}

/* How many ports are nearer to the thing than this one; of ports that are not active, all. */
static int32_t nearer_ports(const struct topo *topo, topo_id thing, topo_id port)
{
    struct topo_rail rails[PORTS_MAX];
    const size_t count = topo_rails(topo, thing, rails, PORTS_MAX);
    int32_t nearer = 0;

    for (size_t i = 0; i < count; i++) {
        if (i > 0 && (rails[i].path.class != rails[i - 1].path.class ||
                      rails[i].path.mbps != rails[i - 1].path.mbps))
            nearer = (int32_t)i;
        if (rails[i].port == port)
            return nearer;
    }
    return PORTS_MAX;
}

static bool is_active(const struct topo *topo, topo_id port)
{
    return nearer_ports(topo, topo_thing(topo, port)->machine, port) < PORTS_MAX;
}

static bool is_same_net(const struct rails_rail *a, const struct rails_rail *b)
{
    return strcmp(a->net, b->net) == 0; /* "": both are no IP interface */
}

/* Whether a packet would get there now, and over how many switches. */
static bool find_way(const struct topo *topo, topo_id from, topo_id to, uint32_t *hops_out)
{
    struct topo_path path;

    *hops_out = 0;
    if ((from != TOPO_NO_ID && !is_active(topo, from)) ||
        (to != TOPO_NO_ID && !is_active(topo, to)))
        return false;
    if (from == TOPO_NO_ID || to == TOPO_NO_ID ||
        topo_next(topo, TOPO_SWITCH, TOPO_NO_ID, TOPO_NO_ID) == TOPO_NO_ID)
        return true; /* as far as is known */
    if (topo_path(topo, from, to, &path, NULL) != FAB_OK)
        return false;
    *hops_out = path.ib_hops;
    return true;
}

static int32_t price_of(const struct topo *topo, const struct rails_end *host, uint32_t local,
                        const struct rails_target *target, uint32_t remote, uint32_t wanted)
{
    const struct rails_rail *from = &host->rails[local], *to = &target->end.rails[remote];
    const topo_id here = port_of(topo, host, local), there = port_of(topo, &target->end, remote);
    const bool has_fabric =
        topo && topo_next(topo, TOPO_SWITCH, TOPO_NO_ID, TOPO_NO_ID) != TOPO_NO_ID;
    const bool is_joined = has_fabric && here != TOPO_NO_ID && there != TOPO_NO_ID;
    int32_t price = local == remote ? 0 : PRICE_OTHER;
    uint32_t hops;

    if (!is_same_net(from, to) || (!from->net[0] && !is_joined && local != remote))
        return PRICE_NEVER;
    if (!find_way(topo, here, there, &hops))
        return wanted == 0 && (from->net[0] || local == remote) ? price + PRICE_LATER : PRICE_NEVER;
    for (uint32_t i = 0; wanted > 0 && there != TOPO_NO_ID && i < target->gpu_count; i++)
        price += PRICE_NEARER * nearer_ports(topo, target->gpus[i], there);
    return price + (int32_t)hops * PRICE_HOP;
}

static void fill_prices(const struct topo *topo, const struct rails_end *host,
                        const struct rails_target *target, uint32_t wanted, struct prices *prices)
{
    *prices = (struct prices){.local_count = host->count, .remote_count = target->end.count};
    for (uint32_t i = 0; i < prices->local_count; i++)
        for (uint32_t k = 0; k < prices->remote_count; k++)
            prices->of[i][k] = price_of(topo, host, i, target, k, wanted);
}

/* ---- matching ---------------------------------------------------------------------------------
 */

/* The cheapest of the node's rails for `local` that `seen` lacks; remote_count: none. */
static uint32_t cheapest(const struct prices *prices, uint32_t local, uint32_t seen)
{
    uint32_t best = prices->remote_count;
    int32_t price = PRICE_NEVER;

    for (uint32_t k = 0; k < prices->remote_count; k++) {
        if ((seen & 1u << k) || prices->of[local][k] >= price)
            continue;
        price = prices->of[local][k];
        best = k;
    }
    return best;
}

static uint32_t taken(const struct prices *prices, const struct owners *owners)
{
    uint32_t set = 0;

    for (uint32_t k = 0; k < prices->remote_count; k++)
        set |= owners->of[k] >= 0 ? 1u << k : 0;
    return set;
}

/* Gives `local` a rail of the node: a free one, else one whose owner can have another. */
static bool give(const struct prices *prices, uint32_t local, struct owners *owners, uint32_t *seen)
{
    uint32_t remote = cheapest(prices, local, *seen | taken(prices, owners));

    if (remote < prices->remote_count) {
        owners->of[remote] = (int32_t)local;
        return true;
    }

    while ((remote = cheapest(prices, local, *seen)) < prices->remote_count) {
        *seen |= 1u << remote;
        if (!give(prices, (uint32_t)owners->of[remote], owners, seen))
            continue;
        owners->of[remote] = (int32_t)local;
        return true;
    }
    return false;
}

/* Gives each of the host's rails one of the node's; false: one has none. */
static bool give_all(const struct prices *prices, const uint32_t *locals, uint32_t count,
                     struct owners *owners)
{
    bool has_all = true;

    for (uint32_t k = 0; k < RAILS_MAX; k++)
        owners->of[k] = -1;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t seen = 0;

        has_all = give(prices, locals[i], owners, &seen) && has_all;
    }
    return has_all;
}

/* ---- choosing ---------------------------------------------------------------------------------
 */

struct local {
    uint32_t number;
    int64_t price; /* the cheapest way to each node, together */
};

static int by_price(const void *a, const void *b)
{
    const struct local *left = a, *right = b;

    if (left->price != right->price)
        return left->price < right->price ? -1 : 1;
    return left->number < right->number ? -1 : 1;
}

static void order_locals(const struct prices *prices, uint32_t target_count, uint32_t count,
                         uint32_t wanted, struct local *locals)
{
    for (uint32_t i = 0; i < count; i++) {
        locals[i] = (struct local){.number = i};
        for (uint32_t t = 0; t < target_count; t++) {
            const uint32_t best = cheapest(&prices[t], i, 0);

            locals[i].price += best < prices[t].remote_count ? prices[t].of[i][best] : PRICE_NEVER;
        }
    }
    if (wanted > 0) /* else the administrator's order stands */
        qsort(locals, count, sizeof(*locals), by_price);
}

/* Can all nodes follow? Without a number, one is enough. */
static bool is_of_use(const struct prices *prices, uint32_t target_count, const uint32_t *locals,
                      uint32_t count, uint32_t wanted)
{
    struct owners owners;
    bool has_one = false, has_all = true;

    for (uint32_t t = 0; t < target_count; t++) {
        has_all = give_all(&prices[t], locals, count, &owners) && has_all;
        has_one = has_one || cheapest(&prices[t], locals[count - 1], 0) < prices[t].remote_count;
    }
    return wanted > 0 ? has_all : has_one;
}

static void fill_choice(const struct prices *prices, const uint32_t *locals, uint32_t count,
                        struct rails_choice *choice)
{
    struct owners owners;

    *choice = (struct rails_choice){.count = 0};
    (void)give_all(prices, locals, count, &owners);
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < prices->remote_count; k++)
            if (owners.of[k] == (int32_t)locals[i])
                choice->pairs[choice->count++] = (struct rails_pair){locals[i], k};
}

uint32_t rails_choose(const struct topo *topo, const struct rails_end *host,
                      const struct rails_target *targets, uint32_t target_count, uint32_t wanted,
                      struct rails_choice *choices_out)
{
    struct prices prices[TOPO_GPU_MAX];
    struct local order[RAILS_MAX];
    uint32_t locals[RAILS_MAX], count = 0;
    const uint32_t most = wanted > 0 ? wanted : RAILS_MAX;

    target_count = target_count < TOPO_GPU_MAX ? target_count : TOPO_GPU_MAX;
    for (uint32_t t = 0; t < target_count; t++)
        fill_prices(topo, host, &targets[t], wanted, &prices[t]);
    order_locals(prices, target_count, host->count, wanted, order);
    for (uint32_t i = 0; i < host->count && count < most; i++) {
        locals[count] = order[i].number;
        if (is_of_use(prices, target_count, locals, count + 1, wanted))
            count++;
    }
    for (uint32_t t = 0; t < target_count; t++)
        fill_choice(&prices[t], locals, count, &choices_out[t]);
    return count;
}
