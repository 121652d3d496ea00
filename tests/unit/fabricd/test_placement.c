/* SPDX-License-Identifier: Apache-2.0
 * Placement: against every possible choice on small racks, its rules one by one, and refusals.
 */
#include "fabricd/placement.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "tests/support/check.h"
#include "tests/unit/topology/make.h"

enum { FREE_MAX = 64, TRIALS = 60, SMALL_FREE = 11, SMALL_GPUS = 5, NAME_BYTES = 64 };

static topo_id find(const struct topo *topo, const char *name)
{
    const topo_id id = topo_find(topo, name);

    if (id == TOPO_NO_ID)
        fail_msg("%s is not in the model", name);
    return id;
}

static size_t all_gpus(const struct topo *topo, topo_id *gpus_out)
{
    size_t count = 0;

    for (topo_id id = TOPO_NO_ID;
         (id = topo_next(topo, TOPO_GPU, TOPO_NO_ID, id)) != TOPO_NO_ID && count < FREE_MAX;)
        gpus_out[count++] = id;
    return count;
}

/* Every set of `left` more GPUs from `from` on; keeps the best score. */
static void try_all(const struct placement_request *request, topo_id *chosen, uint32_t count,
                    uint32_t wanted, size_t from, struct placement_score *best, bool *has_best)
{
    struct placement_score score;

    if (count == wanted) {
        CHECK_EQ(placement_judge(request, chosen, count, &score, NULL), FAB_OK);
        if (!*has_best || placement_compare(request->strategy, &score, best) < 0)
            *best = score;
        *has_best = true;
        return;
    }
    for (size_t i = from; i + (wanted - count) <= request->free_count; i++) {
        chosen[count] = request->free_gpus[i];
        try_all(request, chosen, count + 1, wanted, i + 1, best, has_best);
    }
}

/* A GPU for each of the hosts, every way. */
static void try_each(const struct placement_request *request, topo_id *chosen, uint32_t count,
                     struct placement_score *best, bool *has_best)
{
    if (count == request->host_count) {
        try_all(request, chosen, count, count, 0, best, has_best);
        return;
    }
    for (size_t i = 0; i < request->free_count; i++) {
        bool is_taken = false;

        for (uint32_t k = 0; k < count; k++)
            is_taken |= chosen[k] == request->free_gpus[i];
        if (is_taken)
            continue;
        chosen[count] = request->free_gpus[i];
        try_each(request, chosen, count + 1, best, has_best);
    }
}

static bool is_set_of_free(const struct placement_request *request,
                           const struct placement *placement)
{
    for (uint32_t i = 0; i < placement->gpu_count; i++) {
        bool is_free = false;

        for (size_t k = 0; k < request->free_count; k++)
            is_free |= request->free_gpus[k] == placement->gpus[i];
        for (uint32_t k = 0; k < i; k++)
            is_free &= placement->gpus[k] != placement->gpus[i];
        if (!is_free)
            return false;
    }
    return true;
}

static void shuffle(topo_id *ids, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        const size_t k = (size_t)random() % i;
        const topo_id id = ids[i - 1];

        ids[i - 1] = ids[k];
        ids[k] = id;
    }
}

/* Within 2 % of the best of all choices. False: nothing was chosen. */
static bool choose_near(const struct placement_request *request, const struct placement_score *best,
                        struct placement *placement_out)
{
    if (!CHECK_EQ(placement_choose(request, placement_out, NULL), FAB_OK))
        return false;
    CHECK(is_set_of_free(request, placement_out));
    if (!CHECK(placement_out->score.min_mbps >= 0.98 * best->min_mbps))
        printf("%.0f of %.0f MB/s\n", placement_out->score.min_mbps, best->min_mbps);
    return true;
}

/* Random free GPUs of two racks: within 2 % of the best of all choices, and never worse in what
 * comes before the rate (machines, when packing or spreading). */
static void test_against_all(void)
{
    static const enum placement_strategy strategies[] = {PLACEMENT_BEST, PLACEMENT_PACK,
                                                         PLACEMENT_SPREAD};
    struct make_racks racks;
    struct topo *topo;
    topo_id gpus[FREE_MAX];
    size_t count;

    make_racks(&racks);
    topo = make_join(&racks);
    count = all_gpus(topo, gpus);
    srandom(20261125);
    for (int trial = 0; trial < TRIALS; trial++) {
        const struct placement_host host = {find(topo, "rack1-r730-1"),
                                            1 + (uint32_t)random() % SMALL_GPUS};
        const enum placement_strategy strategy = strategies[trial % 3];
        struct placement_request request = {.topo = topo,
                                            .hosts = &host,
                                            .host_count = 1,
                                            .free_gpus = gpus,
                                            .free_count = SMALL_FREE,
                                            .strategy = strategy};
        topo_id chosen[SMALL_GPUS];
        struct placement placement;
        struct placement_score best = {0};
        bool has_best = false;

        shuffle(gpus, count);
        try_all(&request, chosen, 0, host.gpu_count, 0, &best, &has_best);
        CHECK_CASE("trial %d: %u GPUs, strategy %d", trial, host.gpu_count, strategy);
        if (!choose_near(&request, &best, &placement))
            continue;
        CHECK_EQ(placement.gpu_count, host.gpu_count);
        if (strategy != PLACEMENT_BEST)
            CHECK_EQ(placement.score.machines, best.machines);
    }
    topo_free(topo);
    make_racks_free(&racks);
}

/* The same of one GPU for each of several hosts, which then share the GPUs' HCAs. */
static void test_hosts_against_all(void)
{
    static const char *const names[] = {"rack1-r730-1", "rack1-r730-2", "rack2-r730-1"};
    struct make_racks racks;
    struct topo *topo;
    topo_id gpus[FREE_MAX];
    size_t count;

    make_racks(&racks);
    topo = make_join(&racks);
    count = all_gpus(topo, gpus);
    srandom(20261126);
    for (int trial = 0; trial < TRIALS; trial++) {
        struct placement_host hosts[FAB_ARRAY_LEN(names)];
        const struct placement_request request = {.topo = topo,
                                                  .hosts = hosts,
                                                  .host_count = 2 + (uint32_t)trial % 2,
                                                  .free_gpus = gpus,
                                                  .free_count =
                                                      3 + (size_t)random() % (SMALL_FREE - 4)};
        topo_id chosen[FAB_ARRAY_LEN(names)];
        struct placement placement;
        struct placement_score best = {0};
        bool has_best = false;

        for (size_t i = 0; i < FAB_ARRAY_LEN(names); i++)
            hosts[i] = (struct placement_host){find(topo, names[i]), 1};
        shuffle(gpus, count);
        try_each(&request, chosen, 0, &best, &has_best);
        CHECK_CASE("trial %d: %u hosts, %zu free", trial, request.host_count, request.free_count);
        (void)choose_near(&request, &best, &placement);
    }
    topo_free(topo);
    make_racks_free(&racks);
}

/* Which machines give how many, in words: "rack1-c4130-0:4 ...". */
static void describe(const struct topo *topo, const struct placement *placement, char *text,
                     size_t bytes)
{
    size_t used = 0;

    text[0] = '\0';
    for (uint32_t i = 0; i < placement->gpu_count && used < bytes;) {
        const topo_id machine = topo_thing(topo, placement->gpus[i])->machine;
        uint32_t k = i;

        while (k < placement->gpu_count && topo_thing(topo, placement->gpus[k])->machine == machine)
            k++;
        used += (size_t)snprintf(text + used, bytes - used, "%s%s:%u", i ? " " : "",
                                 topo_thing(topo, machine)->name, k - i);
        i = k;
    }
}

static void test_rules(void)
{
    static const struct {
        const char *label, *host;
        uint32_t gpu_count;
        enum placement_strategy strategy;
        const char *not_free; /* machines, as a part of their name */
        const char *machines; /* how many give GPUs */
        const char *nothing_of;
    } rows[] = {
        {"16 stay in the rack", "rack1-r730-1", 16, PLACEMENT_BEST, "none", "4", "rack2"},
        {"the other rack's host", "rack2-r730-2", 16, PLACEMENT_BEST, "none", "4", "rack1"},
        {"4 packed", "rack1-r730-1", 4, PLACEMENT_PACK, "none", "1", "rack2"},
        {"4 spread", "rack1-r730-1", 4, PLACEMENT_SPREAD, "none", "4", "rack2"},
        {"8 spread over both", "rack1-r730-1", 8, PLACEMENT_SPREAD, "none", "8", "none"},
        {"a GPU node's own first", "rack1-c4130-2", 4, PLACEMENT_PACK, "none", "1", "c4130-1"},
        {"out of the rack when it is full", "rack1-r730-1", 4, PLACEMENT_PACK, "rack1", "1",
         "rack1"},
        {"32 take all", "rack1-r730-1", 32, PLACEMENT_BEST, "nothing", "8", "nothing"},
    };
    struct make_racks racks;
    struct topo *topo;

    make_racks(&racks);
    topo = make_join(&racks);
    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        const struct placement_host host = {find(topo, rows[i].host), rows[i].gpu_count};
        topo_id all[FREE_MAX], gpus[FREE_MAX];
        const size_t count = all_gpus(topo, all);
        struct placement_request request = {.topo = topo,
                                            .hosts = &host,
                                            .host_count = 1,
                                            .free_gpus = gpus,
                                            .strategy = rows[i].strategy};
        struct placement placement = {.gpu_count = 0};
        char text[1024], machines[8];

        for (size_t k = 0; k < count; k++)
            if (!strstr(topo_thing(topo, all[k])->name, rows[i].not_free))
                gpus[request.free_count++] = all[k];
        CHECK_CASE("%s", rows[i].label);
        CHECK_EQ(placement_choose(&request, &placement, NULL), FAB_OK);
        describe(topo, &placement, text, sizeof(text));
        (void)snprintf(machines, sizeof(machines), "%u", placement.score.machines);
        CHECK_STR(machines, rows[i].machines);
        if (!CHECK(!strstr(text, rows[i].nothing_of)))
            printf("%s\n", text);
    }
    topo_free(topo);
    make_racks_free(&racks);
}

/* Two hosts get GPUs of their own; the same request has the same answer. */
static void test_two_hosts(void)
{
    struct make_racks racks;
    struct topo *topo;
    topo_id gpus[FREE_MAX];
    struct placement first, second;

    make_racks(&racks);
    topo = make_join(&racks);
    {
        const struct placement_host hosts[] = {{find(topo, "rack1-r730-1"), 8},
                                               {find(topo, "rack2-r730-1"), 8}};
        const struct placement_request request = {.topo = topo,
                                                  .hosts = hosts,
                                                  .host_count = 2,
                                                  .free_gpus = gpus,
                                                  .free_count = all_gpus(topo, gpus)};

        CHECK_CASE("two hosts");
        CHECK_EQ(placement_choose(&request, &first, NULL), FAB_OK);
        CHECK_EQ(placement_choose(&request, &second, NULL), FAB_OK);
        CHECK_EQ(first.gpu_count, 16);
        CHECK(is_set_of_free(&request, &first));
        CHECK_MEM(first.gpus, second.gpus, 16 * sizeof(first.gpus[0]));
        for (uint32_t i = 0; i < 16; i++)
            CHECK_HAS(topo_thing(topo, first.gpus[i])->name, i < 8 ? "rack1-" : "rack2-");
    }
    topo_free(topo);
    make_racks_free(&racks);
}

static void test_refusals(void)
{
    struct make_racks racks;
    struct topo *topo;
    topo_id gpus[FREE_MAX];
    size_t count;

    make_racks(&racks);
    topo = make_join(&racks);
    count = all_gpus(topo, gpus);
    {
        const topo_id host = find(topo, "rack1-r730-1");
        const struct {
            const char *label;
            struct placement_host host;
            uint32_t host_count;
            size_t free_count;
            enum fab_status status;
            const char *error;
        } rows[] = {
            {"no host", {host, 1}, 0, count, FAB_ERR_RANGE, "hosts, not 0"},
            {"no GPU wanted", {host, 0}, 1, count, FAB_ERR_INVALID, "wants no GPU"},
            {"a GPU as host", {gpus[0], 1}, 1, count, FAB_ERR_INVALID, "no machine"},
            {"no such thing", {TOPO_NO_ID, 1}, 1, count, FAB_ERR_INVALID, "no machine"},
            {"too many", {host, 65}, 1, count, FAB_ERR_RANGE, "1 to 64 GPUs"},
            {"not enough", {host, 5}, 1, 4, FAB_ERR_LIMIT, "5 GPUs were asked for, 4 are free"},
            {"none free", {host, 1}, 1, 0, FAB_ERR_LIMIT, "0 are free"},
        };

        for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
            const struct placement_request request = {.topo = topo,
                                                      .hosts = &rows[i].host,
                                                      .host_count = rows[i].host_count,
                                                      .free_gpus = gpus,
                                                      .free_count = rows[i].free_count};
            struct placement placement = {.gpu_count = 77};
            struct fab_err err = {0};

            CHECK_CASE("%s", rows[i].label);
            CHECK_EQ(placement_choose(&request, &placement, &err), rows[i].status);
            CHECK_HAS(err.text, rows[i].error);
            CHECK_EQ(placement.gpu_count, 77);
        }
    }
    topo_free(topo);
    make_racks_free(&racks);
}

/* A host whose cables are out reaches nothing; without any fabric record all are equal. */
static void test_unreachable(void)
{
    struct make_racks racks;
    struct topo *topo;
    topo_id gpus[FREE_MAX];
    struct placement placement;
    struct fab_err err = {0};

    make_racks(&racks);
    for (unsigned port = 1; port <= 2; port++)
        make_uncable(&racks.fabric, racks.hcas[4][0], port);
    topo = make_join(&racks);
    {
        const struct placement_host host = {find(topo, racks.machines[4]->name), 2};
        const struct placement_request request = {.topo = topo,
                                                  .hosts = &host,
                                                  .host_count = 1,
                                                  .free_gpus = gpus,
                                                  .free_count = all_gpus(topo, gpus)};

        CHECK_CASE("no cable");
        CHECK_EQ(placement_choose(&request, &placement, &err), FAB_ERR_LIMIT);
        CHECK_HAS(err.text, "the fabric leads to too few");
    }
    topo_free(topo);
    CHECK_EQ(topo_join((const struct topo_machine *const *)racks.machines, RACK_MACHINES_ALL, NULL,
                       &topo, NULL),
             FAB_OK);
    {
        const struct placement_host host = {find(topo, racks.machines[4]->name), 4};
        const struct placement_request request = {.topo = topo,
                                                  .hosts = &host,
                                                  .host_count = 1,
                                                  .free_gpus = gpus,
                                                  .free_count = all_gpus(topo, gpus)};

        CHECK_CASE("no fabric");
        CHECK_EQ(placement_choose(&request, &placement, &err), FAB_OK);
        CHECK_EQ(placement.score.machines, 1);
    }
    topo_free(topo);
    make_racks_free(&racks);
}

/* The machine that gives all of four GPUs to the host; TOPO_NO_ID: there is none. */
static topo_id giver(const struct make_racks *racks, const char *host_name)
{
    struct topo *topo = make_join(racks);
    topo_id gpus[FREE_MAX], machine = TOPO_NO_ID;
    const struct placement_host host = {find(topo, host_name), 4};
    const struct placement_request request = {.topo = topo,
                                              .hosts = &host,
                                              .host_count = 1,
                                              .free_gpus = gpus,
                                              .free_count = all_gpus(topo, gpus),
                                              .strategy = PLACEMENT_PACK};
    struct placement placement;

    if (CHECK_EQ(placement_choose(&request, &placement, NULL), FAB_OK)) {
        machine = topo_thing(topo, placement.gpus[0])->machine;
        for (uint32_t i = 1; i < placement.gpu_count; i++)
            CHECK_EQ(topo_thing(topo, placement.gpus[i])->machine, machine);
        CHECK(topo_thing(topo, machine)->name != NULL);
    }
    for (uint32_t i = 0; machine != TOPO_NO_ID && i < RACK_MACHINES_ALL; i++)
        if (find(topo, racks->machines[i]->name) == machine) {
            topo_free(topo);
            return i;
        }
    topo_free(topo);
    return TOPO_NO_ID;
}

/* A machine's cables go to the other rack's leaves: its GPUs are not the nearest any more, and it
 * is another machine of this rack that gives. Back in their places, it gives again. */
static void test_moved_cables(void)
{
    struct make_racks racks;
    topo_id first;

    make_racks(&racks);
    first = giver(&racks, racks.machines[4]->name);
    if (!CHECK(first < RACK_MACHINES))
        return;
    for (uint32_t rack = RACKS; rack-- > 0;) {
        topo_id now;

        CHECK_CASE("cables in rack %u", rack + 1);
        for (unsigned hca = 0; hca < 2; hca++)
            for (unsigned port = 1; port <= 2 && racks.hcas[first][hca] != UINT32_MAX; port++) {
                make_uncable(&racks.fabric, racks.hcas[first][hca], port);
                make_cable(&racks.fabric, racks.hcas[first][hca], port,
                           racks.leaves[rack][port - 1], 30 + 2 * hca + port);
            }
        now = giver(&racks, racks.machines[4]->name);
        CHECK_EQ(now == first, rack == 0);
        CHECK(now < RACK_MACHINES);
    }
    make_racks_free(&racks);
}

/* A GPU of machine 0 for each of two hosts, as indices in its record, the lower one first. */
static void two_of_machine(const struct make_racks *racks, uint32_t chosen_out[2])
{
    struct topo *topo = make_join(racks);
    const topo_id machine = find(topo, racks->machines[0]->name);
    topo_id gpus[FREE_MAX];
    const struct placement_host hosts[] = {{find(topo, racks->machines[4]->name), 1},
                                           {find(topo, racks->machines[5]->name), 1}};
    struct placement_request request = {
        .topo = topo, .hosts = hosts, .host_count = 2, .free_gpus = gpus};
    struct placement placement;

    for (topo_id id = TOPO_NO_ID; (id = topo_next(topo, TOPO_GPU, machine, id)) != TOPO_NO_ID;)
        gpus[request.free_count++] = id;
    CHECK_EQ(request.free_count, racks->machines[0]->gpu_count);
    if (CHECK_EQ(placement_choose(&request, &placement, NULL), FAB_OK))
        for (int i = 0; i < 2; i++)
            chosen_out[i] = topo_thing(topo, placement.gpus[i])->gpu->index;
    if (chosen_out[0] > chosen_out[1]) {
        const uint32_t lower = chosen_out[1];

        chosen_out[1] = chosen_out[0];
        chosen_out[0] = lower;
    }
    topo_free(topo);
}

/* The port below which a GPU is. */
static struct topo_pci *port_of(struct topo_machine *machine, uint32_t gpu)
{
    return &machine->pci[machine->pci[machine->gpus[gpu].pci].parent];
}

/* Each HCA feeds one of the GPUs. When the second goes to the first one's switch, what is left on
 * its own takes its place; when it is back, it is chosen again. */
static void test_moved_gpu(void)
{
    struct make_racks racks;
    struct topo_machine *machine;
    uint32_t first[2] = {0, 0}, now[2] = {0, 0};
    int32_t home, away;

    make_racks(&racks);
    machine = racks.machines[0];
    two_of_machine(&racks, first);
    home = port_of(machine, first[1])->parent;
    away = port_of(machine, first[0])->parent;
    if (!CHECK(home != away))
        return;
    port_of(machine, first[1])->parent = away;
    two_of_machine(&racks, now);
    CHECK(now[0] != first[1] && now[1] != first[1]);
    CHECK(port_of(machine, now[0])->parent == home || port_of(machine, now[1])->parent == home);
    port_of(machine, first[1])->parent = home;
    two_of_machine(&racks, now);
    CHECK_MEM(now, first, sizeof(first));
    make_racks_free(&racks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_against_all),  CHECK_TEST(test_hosts_against_all),
        CHECK_TEST(test_rules),        CHECK_TEST(test_two_hosts),
        CHECK_TEST(test_refusals),     CHECK_TEST(test_unreachable),
        CHECK_TEST(test_moved_cables), CHECK_TEST(test_moved_gpu)};

    return check_run(tests);
}
