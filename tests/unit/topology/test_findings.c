/* SPDX-License-Identifier: Apache-2.0
 * Tests of topology/findings: a sound rack has none, and each fault gives its own.
 */
#include "tests/support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "tests/unit/topology/make.h"

/* All findings as "code:thing ", in their order; "severity" of the first is the first letter. */
static const char *findings_of(const struct topo *topo, char *text, size_t size_bytes)
{
    text[0] = '\0';
    for (size_t i = 0; i < topo_finding_count(topo); i++) {
        const struct topo_finding *finding = topo_finding(topo, i);
        const struct topo_thing *thing = topo_thing(topo, finding->thing);

        CHECK(finding->text[0] != '\0');
        (void)snprintf(text + strlen(text), size_bytes - strlen(text), "%s%c %s %s", i ? ", " : "",
                       "nwc"[finding->severity], finding -> code, thing ? thing -> name : "-");
    }
    CHECK_EQ((intptr_t)topo_finding(topo, topo_finding_count(topo)), 0);
    return text;
}

static struct topo_fabric_port *peer_of(struct make_racks *racks, struct topo_fabric_port *port)
{
    return &racks->fabric.ports[port->peer];
}

static struct topo_fabric_port *host_port(struct make_racks *racks)
{
    return make_port(&racks->fabric, racks->hcas[4][0], 1);
}

static void both_widths(struct make_racks *racks, uint8_t width)
{
    host_port(racks)->width = width;
    peer_of(racks, host_port(racks))->width = width;
}

static void both_speeds(struct make_racks *racks, uint32_t lane_mbps)
{
    host_port(racks)->lane_mbps = lane_mbps;
    peer_of(racks, host_port(racks))->lane_mbps = lane_mbps;
}

/* ---- faults -----------------------------------------------------------------------------------
 */

static void nothing(struct make_racks *racks)
{
    (void)racks;
}

static void no_hca(struct make_racks *racks)
{
    racks->machines[0]->hca_count = 0;
    make_uncable(&racks->fabric, racks->hcas[0][0], 1);
    make_uncable(&racks->fabric, racks->hcas[0][0], 2);
    make_uncable(&racks->fabric, racks->hcas[0][1], 1);
    make_uncable(&racks->fabric, racks->hcas[0][1], 2);
}

static void duplicate_guid(struct make_racks *racks)
{
    racks->machines[5]->hcas[0].node_guid = racks->machines[4]->hcas[0].node_guid;
}

static void duplicate_in_fabric(struct make_racks *racks)
{
    racks->fabric.nodes[racks->hcas[5][0]].guid = racks->fabric.nodes[racks->hcas[4][0]].guid;
}

static void duplicate_switch(struct make_racks *racks)
{
    racks->fabric.nodes[racks->spines[1]].guid = racks->fabric.nodes[racks->spines[0]].guid;
    memcpy(racks->fabric.nodes[racks->spines[1]].description, "a b", sizeof("a b"));
    memcpy(racks->fabric.nodes[racks->spines[0]].description, "a b", sizeof("a b"));
}

static void hca_not_in_fabric(struct make_racks *racks)
{
    racks->fabric.nodes[racks->hcas[4][0]].guid = 0x9999;
}

static void cable_out(struct make_racks *racks)
{
    make_uncable(&racks->fabric, racks->hcas[4][0], 1);
}

static void both_cables_out(struct make_racks *racks)
{
    make_uncable(&racks->fabric, racks->hcas[4][0], 1);
    make_uncable(&racks->fabric, racks->hcas[4][0], 2);
}

static void trunk_out(struct make_racks *racks)
{
    make_uncable(&racks->fabric, racks->leaves[1][0], 21);
}

/* Both ends are trained, and the sweep met nobody through this cable. */
static void silent_trunk(struct make_racks *racks)
{
    struct topo_fabric_port *port = make_port(&racks->fabric, racks->leaves[1][0], 21);

    racks->fabric.ports[port->peer].peer = TOPO_NONE;
    port->peer = TOPO_NONE;
}

static void no_manager(struct make_racks *racks)
{
    peer_of(racks, host_port(racks))->state = TOPO_PORT_INIT;
    host_port(racks)->state = TOPO_PORT_INIT;
}

static void no_manager_between_switches(struct make_racks *racks)
{
    make_port(&racks->fabric, racks->leaves[1][0], 21)->state = TOPO_PORT_INIT;
}

static void silent_port(struct make_racks *racks)
{
    host_port(racks)->state = TOPO_PORT_UNKNOWN;
    host_port(racks)->lid = 0;
}

static void one_lane(struct make_racks *racks)
{
    both_widths(racks, 1);
}

static void two_lanes(struct make_racks *racks)
{
    both_widths(racks, 2);
}

static void half_cable(struct make_racks *racks)
{
    racks->fabric.nodes[racks->hcas[4][0]].device = 0x101b;
    racks->fabric.nodes[racks->leaves[0][0]].device = 54000;
    both_widths(racks, 2);
    both_speeds(racks, 6250);
}

static void qdr(struct make_racks *racks)
{
    both_speeds(racks, 1000);
}

static void slower_part(struct make_racks *racks)
{
    racks->fabric.nodes[racks->hcas[4][0]].device = 26428;
    both_speeds(racks, 1000);
}

static void exchanged_cables(struct make_racks *racks)
{
    make_uncable(&racks->fabric, racks->hcas[4][0], 1);
    make_uncable(&racks->fabric, racks->hcas[4][0], 2);
    make_cable(&racks->fabric, racks->hcas[4][0], 1, racks->leaves[0][1], 9);
    make_cable(&racks->fabric, racks->hcas[4][0], 2, racks->leaves[0][0], 9);
}

static void loop(struct make_racks *racks)
{
    make_cable(&racks->fabric, racks->spines[0], 30, racks->spines[0], 31);
}

static void exchanged_card(struct make_racks *racks)
{
    struct topo_fabric_node *one = &racks->fabric.nodes[racks->hcas[4][0]];

    memcpy(one->description, "rack1-r730-2 mlx4_0", sizeof("rack1-r730-2 mlx4_0"));
}

static void stranger(struct make_racks *racks)
{
    uint32_t node = make_node(&racks->fabric, TOPO_FABRIC_HCA, 0x777, "printer mlx4_0", 1);

    make_cable(&racks->fabric, node, 1, racks->leaves[0][0], 30);
}

static void symbol_errors(struct make_racks *racks)
{
    host_port(racks)->has_counters = true;
    host_port(racks)->symbol_errors = 1234;
    host_port(racks)->receive_errors = 9;
}

static void all_counters(struct make_racks *racks)
{
    struct topo_fabric_port *port = make_port(&racks->fabric, racks->spines[0], 1);

    *port = (struct topo_fabric_port){.node = port->node,
                                      .number = port->number,
                                      .peer = port->peer,
                                      .state = port->state,
                                      .width = port->width,
                                      .lane_mbps = port->lane_mbps,
                                      .has_counters = true,
                                      .symbol_errors = UINT64_MAX,
                                      .receive_errors = 10,
                                      .link_recoveries = 10,
                                      .link_downed = 1,
                                      .transmit_discards = 100,
                                      .transmit_wait = 1 << 30};
}

static void no_counters(struct make_racks *racks)
{
    host_port(racks)->symbol_errors = 1234;
}

static void no_lid(struct make_racks *racks)
{
    host_port(racks)->lid = 0;
}

static void duplicate_lid(struct make_racks *racks)
{
    host_port(racks)->lid = make_port(&racks->fabric, racks->hcas[5][0], 1)->lid;
}

static void overlapping_lids(struct make_racks *racks)
{
    host_port(racks)->lid = (uint16_t)(make_port(&racks->fabric, racks->hcas[5][0], 1)->lid - 1);
    host_port(racks)->lmc = 1;
    make_port(&racks->fabric, racks->hcas[4][0], 2)->lid = 40000;
}

static void no_peermem(struct make_racks *racks)
{
    racks->machines[0]->gpudirect.has_nvidia_peermem = false;
    racks->machines[4]->gpudirect.has_nvidia_peermem = false; /* has no GPU: not told */
}

static void iommu(struct make_racks *racks)
{
    racks->machines[0]->gpudirect.iommu_translates = true;
}

static void acs(struct make_racks *racks)
{
    racks->machines[0]->pci[1].acs = true; /* a root port: harmless */
    racks->machines[0]->pci[3].acs = true;
}

static void software_of(struct topo_machine *machine, const char *driver, uint32_t cuda,
                        const char *ofed)
{
    machine->software.cuda = cuda;
    (void)snprintf(machine->software.driver, sizeof(machine->software.driver), "%s", driver);
    (void)snprintf(machine->software.ofed, sizeof(machine->software.ofed), "%s", ofed);
}

static void set_all(struct make_racks *racks)
{
    for (unsigned i = 0; i < RACK_MACHINES_ALL; i++)
        software_of(racks->machines[i], "580.65.06", 13000, "5.8-1");
}

static void one_driver(struct make_racks *racks)
{
    set_all(racks);
}

static void other_driver(struct make_racks *racks)
{
    set_all(racks);
    software_of(racks->machines[2], "550.54", 12040, "5.8-1");
    software_of(racks->machines[4], "550.54", 12040, "5.8-1"); /* it has no GPUs */
}

static void other_cuda(struct make_racks *racks)
{
    set_all(racks);
    racks->machines[0]->software.cuda = 13010;
}

static void other_ofed(struct make_racks *racks)
{
    set_all(racks);
    software_of(racks->machines[4], "", 0, "");
}

static void mtu_of_all(struct make_racks *racks, uint32_t mtu)
{
    for (unsigned i = 0; i < RACK_MACHINES_ALL; i++)
        for (uint32_t k = 0; k < racks->machines[i]->hca_count; k++)
            for (uint32_t n = 0; n < racks->machines[i]->hcas[k].port_count; n++)
                racks->machines[i]->hcas[k].ports[n].mtu = mtu;
}

static void other_mtu(struct make_racks *racks)
{
    mtu_of_all(racks, 65520);
    racks->machines[5]->hcas[0].ports[1].mtu = 2044;
}

static void low_memlock(struct make_racks *racks)
{
    racks->machines[4]->gpudirect.memlock_bytes = 64 << 10;
}

static void small_bar1(struct make_racks *racks)
{
    racks->machines[0]->gpus[0].bar1_bytes = 64 << 20;
}

static void lost_gpu(struct make_racks *racks)
{
    racks->machines[0]->gpus[1].uuid[0] = '\0';
}

static void gpu_nowhere(struct make_racks *racks)
{
    racks->machines[0]->gpus[1].pci = TOPO_NONE;
}

static void far_gpu(struct make_racks *racks)
{
    make_uncable(&racks->fabric, racks->hcas[0][1], 1);
    make_uncable(&racks->fabric, racks->hcas[0][1], 2);
}

/* The table of codes in topology/README.md, and which of them a row here has shown. */
static char *readme;
static char shown[4096];

static void note_codes(const struct topo *topo)
{
    for (size_t i = 0; i < topo_finding_count(topo); i++) {
        char code[64];

        (void)snprintf(code, sizeof(code), "`%s`", topo_finding(topo, i)->code);
        CHECK_HAS(readme, code);
        if (!strstr(shown, code))
            (void)snprintf(shown + strlen(shown), sizeof(shown) - strlen(shown), "%s", code);
    }
}

/* Rows begin with one code, or several separated by ", ". */
static void test_documented(void)
{
    const char *at = strstr(readme, "## Findings");
    const char *end = at ? strstr(at, "What a link could do") : NULL;
    unsigned count = 0;

    if (!CHECK(at && end))
        return;
    while ((at = strstr(at, "\n| `")) && at < end) {
        for (at += 3; *at == '`'; count++) {
            const char *close = strchr(at + 1, '`');
            char code[64];

            (void)snprintf(code, sizeof(code), "%.*s", (int)(close + 1 - at), at);
            CHECK_HAS(shown, code);
            at = close + 1;
            at += !strncmp(at, ", ", 2) ? 2 : 0;
        }
    }
    CHECK(count > 20);
}

static void test_faults(void)
{
    static const struct {
        const char *label;
        void (*fault)(struct make_racks *racks);
        const char *findings;
    } cases[] = {
        {"nothing", nothing, ""},
        {"no HCA", no_hca,
         "w no-hca rack1-c4130-1, n stranger-in-fabric -, n stranger-in-fabric -"},
        {"duplicate GUID of machines", duplicate_guid,
         "c duplicate-guid rack1-r730-2/mlx4_0, n stranger-in-fabric -"},
        {"duplicate GUID in the fabric", duplicate_in_fabric,
         "c duplicate-guid -, w hca-not-in-fabric rack1-r730-2/mlx4_0"},
        {"duplicate GUID of switches", duplicate_switch, "c duplicate-guid -"},
        {"HCA not in the fabric", hca_not_in_fabric,
         "w hca-not-in-fabric rack1-r730-1/mlx4_0, n stranger-in-fabric -"},
        {"cable out", cable_out, "w link-down rack1-r730-1/mlx4_0:1"},
        {"both cables out", both_cables_out,
         "c link-down rack1-r730-1/mlx4_0:1, c link-down rack1-r730-1/mlx4_0:2"},
        {"cable between switches out", trunk_out, "n uneven-trunk spine1"},
        {"nobody answers at a trained port", silent_trunk,
         "w no-answer spine1, w no-answer rack2-leaf1, n uneven-trunk spine1"},
        {"no subnet manager", no_manager, "w port-not-active rack1-r730-1/mlx4_0:1"},
        {"no subnet manager between switches", no_manager_between_switches,
         "w port-not-active rack2-leaf1"},
        {"a port that does not answer", silent_port, "w port-not-active rack1-r730-1/mlx4_0:1"},
        {"one lane", one_lane, "w width-degraded rack1-leaf1"},
        {"two lanes", two_lanes, "w width-degraded rack1-leaf1"},
        {"half a cable of HDR", half_cable, ""},
        {"QDR instead of FDR", qdr, "w speed-degraded rack1-leaf1"},
        {"QDR of a part that has no more", slower_part, ""},
        {"cables exchanged", exchanged_cables,
         "w miscabled rack1-r730-1/mlx4_0:2, w miscabled rack1-r730-1/mlx4_0:1"},
        {"cable from a switch to itself", loop, "w miscabled spine1"},
        {"card in another machine", exchanged_card, "w wrong-description rack1-r730-1/mlx4_0"},
        {"stranger", stranger, "n stranger-in-fabric -"},
        {"symbol errors", symbol_errors, "w symbol-errors rack1-r730-1/mlx4_0:1"},
        {"all counters", all_counters,
         "w symbol-errors spine1, w receive-errors spine1, w link-recoveries spine1, "
         "n link-downed spine1, n discards spine1"},
        {"counters not read", no_counters, ""},
        {"no LID", no_lid, "w no-lid rack1-r730-1/mlx4_0:1"},
        {"LID of another", duplicate_lid, "c duplicate-lid rack1-r730-2/mlx4_0:1"},
        {"LIDs that overlap", overlapping_lids, "c duplicate-lid rack1-r730-2/mlx4_0:1"},
        {"no driver for GPUDirect", no_peermem, "n no-gpudirect rack1-c4130-1"},
        {"IOMMU", iommu, "w iommu-translates rack1-c4130-1"},
        {"ACS", acs, "w acs-on rack1-c4130-1"},
        {"little memory to lock", low_memlock, "w low-memlock rack1-r730-1"},
        {"one driver everywhere", one_driver, ""},
        {"another driver on one", other_driver, "w driver-differs rack1-c4130-3"},
        {"another CUDA on one", other_cuda, "w driver-differs rack1-c4130-1"},
        {"other HCA drivers on one", other_ofed, "n ofed-differs rack1-r730-1"},
        {"a smaller MTU on one", other_mtu, "w mtu-differs rack1-r730-2"},
        {"small BAR1", small_bar1, "n small-bar1 rack1-c4130-1/gpu0"},
        {"GPU without a driver", lost_gpu, "w gpu-without-driver rack1-c4130-1/gpu1"},
        {"GPU that NVML alone has", gpu_nowhere, "c gpu-not-in-pci rack1-c4130-1/gpu1"},
        {"GPUs far from the only HCA", far_gpu,
         "n far-gpu rack1-c4130-1/gpu2, n far-gpu rack1-c4130-1/gpu3, "
         "c link-down rack1-c4130-1/mlx4_1:1, c link-down rack1-c4130-1/mlx4_1:2"},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct make_racks racks;
        struct topo *topo;
        char text[1024];

        CHECK_CASE("%s", cases[i].label);
        make_racks(&racks);
        cases[i].fault(&racks);
        topo = make_join(&racks);
        CHECK_STR(findings_of(topo, text, sizeof(text)), cases[i].findings);
        note_codes(topo);
        topo_free(topo);
        make_racks_free(&racks);
    }
}

/* Without a fabric record the host's own word counts. */
static void test_no_fabric(void)
{
    struct topo_machine *machine = make_machine("r730", "a", 0x100);
    const struct topo_machine *borrowed = machine;
    struct topo *topo = NULL;
    char text[256];

    CHECK_EQ(topo_join(&borrowed, 1, NULL, &topo, NULL), FAB_OK);
    CHECK_STR(findings_of(topo, text, sizeof(text)), "");
    topo_free(topo);
    machine->hcas[0].ports[1].state = TOPO_PORT_DOWN;
    CHECK_EQ(topo_join(&borrowed, 1, NULL, &topo, NULL), FAB_OK);
    CHECK_STR(findings_of(topo, text, sizeof(text)), "w port-not-active a/mlx4_0:2");
    topo_free(topo);
    free(machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_faults), CHECK_TEST(test_documented),
                                       CHECK_TEST(test_no_fabric)};
    int result;

    if (fab_file_read(FINDINGS_README, 1 << 20, &readme, NULL, NULL) != FAB_OK)
        return 1;
    result = check_run(tests);
    free(readme);
    return result;
}
