/* SPDX-License-Identifier: Apache-2.0
 * Tests of topology/fair: rates by hand, and the bottleneck condition on random racks and flows.
 */
#include "tests/support/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "tests/unit/topology/make.h"
#include "topology/topo_int.h"

enum { FLOWS_MAX = 96, ROUNDS = 300 };

static topo_id find(const struct topo *topo, const char *name)
{
    topo_id id = topo_find(topo, name);

    if (id == TOPO_NO_ID)
        fail_msg("%s is not in the model", name);
    return id;
}

/* Flows by names of things and ports ("": best), and the rates that come out. */
struct row {
    const char *label;
    struct {
        const char *from, *to, *local, *remote;
        double rate;
    } flows[5];
};

static void test_by_hand(void)
{
    static const struct row rows[] = {
        {"one flow has the cable", {{"rack1-r730-1", "rack1-c4130-1/gpu0", "", "", 6816}}},
        {"two flows share a port",
         {{"rack1-r730-1", "rack1-c4130-1/gpu0", "rack1-r730-1/mlx4_0:1", "", 3408},
          {"rack1-r730-1", "rack1-c4130-2/gpu0", "rack1-r730-1/mlx4_0:1", "", 3408}}},
        {"two ports of a card share its slot",
         {{"rack1-r730-1", "rack1-c4130-1/gpu0", "rack1-r730-1/mlx4_0:1", "", 3938.5},
          {"rack1-r730-1", "rack1-c4130-2/gpu0", "rack1-r730-1/mlx4_0:2", "", 3938.5}}},
        {"directions do not meet",
         {{"rack1-r730-1/mlx4_0:1", "rack1-r730-2/mlx4_0:1", "", "", 6816},
          {"rack1-r730-2/mlx4_0:1", "rack1-r730-1/mlx4_0:1", "", "", 6816}}},
        {"what one cannot use the other gets: SYS is staged",
         {{"rack1-r730-1", "rack1-c4130-1/gpu0", "rack1-r730-1/mlx4_0:1", "rack1-c4130-1/mlx4_1:1",
           3408},
          {"rack1-r730-1", "rack1-c4130-1/gpu2", "rack1-r730-1/mlx4_0:1", "rack1-c4130-1/mlx4_1:1",
           3408}}},
        {"three on a port, one of them narrow elsewhere",
         {{"rack1-r730-1/mlx4_0:1", "rack1-c4130-1/gpu0", "", "", 1704},
          {"rack1-r730-1/mlx4_0:1", "rack1-c4130-2/gpu0", "", "", 1704},
          {"rack1-r730-1/mlx4_0:1", "rack1-c4130-3/gpu0", "", "", 1704},
          {"rack1-r730-2/mlx4_0:1", "rack1-c4130-3/gpu0", "", "rack1-c4130-3/mlx4_0:1", 5112},
          {"rack1-r730-1/mlx4_0:1", "rack1-c4130-4/gpu0", "", "", 1704}}},
        {"inside a machine",
         {{"rack1-c4130-1/gpu0", "rack1-c4130-1/gpu1", "", "", 15754},
          {"rack1-c4130-1/gpu0", "rack1-c4130-1/gpu0", "", "", (double)UINT32_MAX}}},
        {"across sockets all share the link between them",
         {{"rack1-c4130-1/gpu0", "rack1-c4130-1/gpu2", "", "", 7877},
          {"rack1-c4130-1/gpu1", "rack1-c4130-1/gpu3", "", "", 7877}}},
    };
    struct make_racks racks;
    struct topo *topo;

    make_racks(&racks);
    topo = make_join(&racks);
    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct topo_flow flows[FAB_ARRAY_LEN(rows[0].flows)];
        double rates[FAB_ARRAY_LEN(flows)];
        size_t count = 0;

        CHECK_CASE("%s", rows[i].label);
        for (; count < FAB_ARRAY_LEN(flows) && rows[i].flows[count].from; count++)
            flows[count] = (struct topo_flow){find(topo, rows[i].flows[count].from),
                                              find(topo, rows[i].flows[count].to),
                                              topo_find(topo, rows[i].flows[count].local),
                                              topo_find(topo, rows[i].flows[count].remote)};
        CHECK_EQ(topo_fair_share(topo, flows, count, rates, NULL), FAB_OK);
        for (size_t flow = 0; flow < count; flow++)
            CHECK_NEAR(rates[flow], rows[i].flows[flow].rate, 0.01);
    }
    topo_free(topo);
    make_racks_free(&racks);
}

static void test_no_way(void)
{
    struct make_racks racks;
    struct topo_flow flows[2];
    double rates[2] = {4711, 4711};
    struct topo *topo;
    struct fab_err err;

    make_racks(&racks);
    for (unsigned port = 1; port <= 2; port++)
        make_uncable(&racks.fabric, racks.hcas[4][0], port);
    topo = make_join(&racks);
    flows[0] = (struct topo_flow){find(topo, "rack1-r730-1"), find(topo, "rack1-r730-2"),
                                  TOPO_NO_ID, TOPO_NO_ID};
    flows[1] = flows[0];
    flows[1].from = (topo_id)topo_count(topo);
    CHECK_EQ(topo_fair_share(topo, flows, 2, rates, &err), FAB_ERR_INVALID);
    CHECK_HAS(err.text, "flow 1");
    CHECK_NEAR(rates[0], 4711, 0);
    CHECK_EQ(topo_fair_share(topo, flows, 1, rates, NULL), FAB_OK);
    CHECK_NEAR(rates[0], 0, 0);
    CHECK_EQ(topo_fair_share(topo, flows, 0, rates, NULL), FAB_OK);
    topo_free(topo);
    make_racks_free(&racks);
}

static uint32_t random_below(uint64_t *seed, uint32_t limit)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33) % limit;
}

/* Links of all widths, some cables out, GPUDirect on some machines. */
static void damage(struct make_racks *racks, uint64_t *seed)
{
    static const uint8_t widths[] = {1, 2, 4, 4, 4, 8};

    for (uint32_t i = 0; i < racks->fabric.port_count; i++) {
        struct topo_fabric_port *port = &racks->fabric.ports[i];

        if (port->peer <= (int32_t)i)
            continue;
        port->width = racks->fabric.ports[port->peer].width =
            widths[random_below(seed, FAB_ARRAY_LEN(widths))];
        if (random_below(seed, 10) == 0)
            make_uncable(&racks->fabric, port->node, port->number);
    }
    for (unsigned i = 0; i < RACK_MACHINES_ALL; i++) {
        racks->machines[i]->gpudirect.has_nvidia_peermem = random_below(seed, 2) == 0;
        for (uint32_t pci = 0; pci < racks->machines[i]->pci_count; pci++)
            racks->machines[i]->pci[pci].link_mbps = 1000 + random_below(seed, 15000);
    }
}

/* Max-min fair means: no lane carries more than it has, and every flow is at its own bound or on a
 * full lane where no other flow is faster. */
static void check_fair(const struct topo *topo, const struct topo_flow *flows, const double *rates,
                       size_t count)
{
    static struct way ways[FLOWS_MAX];
    double *load = calloc(topo->lane_count + 1, sizeof(double));
    double *fastest = calloc(topo->lane_count + 1, sizeof(double));

    assert_non_null(load);
    assert_non_null(fastest);
    for (size_t i = 0; i < count; i++) {
        topo_id local, remote;
        bool has_way = topo_way_find(topo, &flows[i], &ways[i], &local, &remote);

        if (!has_way) {
            ways[i].lane_count = 0;
            CHECK_NEAR(rates[i], 0, 0);
        }
        for (uint32_t lane = 0; lane < ways[i].lane_count; lane++) {
            uint32_t number = ways[i].lanes[lane];

            load[number] += rates[i];
            fastest[number] = rates[i] > fastest[number] ? rates[i] : fastest[number];
        }
    }
    for (uint32_t lane = 0; lane < topo->lane_count; lane++)
        CHECK(load[lane] <= topo->lane_mbps[lane] * (1 + 1e-9));
    for (size_t i = 0; i < count; i++) {
        bool is_bound = ways[i].lane_count == 0 || rates[i] >= ways[i].most_mbps * (1 - 1e-9);

        CHECK(rates[i] <= ways[i].most_mbps * (1 + 1e-9) || ways[i].lane_count == 0);
        for (uint32_t lane = 0; lane < ways[i].lane_count && !is_bound; lane++) {
            uint32_t number = ways[i].lanes[lane];

            is_bound = load[number] >= topo->lane_mbps[number] * (1 - 1e-9) &&
                       rates[i] >= fastest[number] * (1 - 1e-9);
        }
        CHECK(is_bound);
    }
    free(load);
    free(fastest);
}

static void test_random(void)
{
    for (uint64_t round = 1; round <= ROUNDS && check_failures() == 0; round++) {
        uint64_t seed = round;
        struct make_racks racks;
        struct topo_flow flows[FLOWS_MAX];
        double rates[FLOWS_MAX];
        size_t count = 1 + random_below(&seed, FLOWS_MAX);
        struct topo *topo;

        CHECK_CASE("seed %u", (unsigned)round);
        make_racks(&racks);
        damage(&racks, &seed);
        topo = make_join(&racks);
        for (size_t i = 0; i < count; i++)
            flows[i] = (struct topo_flow){random_below(&seed, (uint32_t)topo_count(topo)),
                                          random_below(&seed, (uint32_t)topo_count(topo)),
                                          TOPO_NO_ID, TOPO_NO_ID};
        CHECK_EQ(topo_fair_share(topo, flows, count, rates, NULL), FAB_OK);
        check_fair(topo, flows, rates, count);
        topo_free(topo);
        make_racks_free(&racks);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_by_hand), CHECK_TEST(test_no_way),
                                       CHECK_TEST(test_random)};

    return check_run(tests);
}
