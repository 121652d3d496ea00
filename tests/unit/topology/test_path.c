/* SPDX-License-Identifier: Apache-2.0
 * Tests of topology/graph and topology/path: classes of every profile, paths between racks, rails.
 */
#include "tests/support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "tests/unit/topology/make.h"

static struct topo *join_one(const struct topo_machine *machine)
{
    struct topo *topo = NULL;

    assert_int_equal(topo_join(&machine, 1, NULL, &topo, NULL), FAB_OK);
    return topo;
}

static topo_id find(const struct topo *topo, const char *format, ...) FAB_PRINTF(2, 3);

static topo_id find(const struct topo *topo, const char *format, ...)
{
    char name[256];
    va_list arguments;
    topo_id id;

    va_start(arguments, format);
    (void)vsnprintf(name, sizeof(name), format, arguments);
    va_end(arguments);
    id = topo_find(topo, name);
    if (id == TOPO_NO_ID)
        fail_msg("%s is not in the model", name);
    return id;
}

static struct topo_path path_of(const struct topo *topo, topo_id from, topo_id to)
{
    struct topo_path path = {.class = TOPO_APART};

    CHECK_EQ(topo_path(topo, from, to, &path, NULL), FAB_OK);
    return path;
}

/* Classes as words: the GPUs' to each other (upper triangle, row by row), then to each HCA. */
static void test_classes(void)
{
    static const struct {
        const char *profile, *gpus, *hcas;
    } cases[] = {
        {"A", "PIX PIX PIX PIX PIX PIX ", "PHB PHB PHB PHB "},
        {"B", "PIX PIX PIX PIX PIX PIX ", "PHB PHB PHB PHB "},
        {"C", "PHB SYS SYS SYS SYS PHB ", "PHB PHB SYS SYS "},
        {"D", "SYS ", "PHB SYS "},
        {"G", "PIX SYS SYS SYS SYS PIX ", "PIX SYS PIX SYS SYS PIX SYS PIX "},
        {"K", "NV NV NV NV NV NV ", "PHB PHB PHB PHB "},
        {"k80", "PIX PXB PXB PXB PXB PIX ", "PXB PXB PXB PXB "},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct topo_machine *machine = make_machine(cases[i].profile, "m", 0x100);
        struct topo *topo = join_one(machine);
        char gpus[128] = "", hcas[128] = "";

        CHECK_CASE("%s", cases[i].profile);
        for (unsigned a = 0; a < machine->gpu_count; a++) {
            topo_id from = find(topo, "m/gpu%u", a);

            for (unsigned b = a + 1; b < machine->gpu_count; b++) {
                struct topo_path there = path_of(topo, from, find(topo, "m/gpu%u", b));
                struct topo_path back = path_of(topo, find(topo, "m/gpu%u", b), from);

                (void)snprintf(gpus + strlen(gpus), sizeof(gpus) - strlen(gpus), "%s ",
                               topo_class_name(there.class));
                CHECK_EQ(there.class, back.class);
                CHECK_EQ(there.mbps, back.mbps);
                CHECK_EQ(there.latency_ns, back.latency_ns);
            }
            for (unsigned b = 0; b < machine->hca_count; b++)
                (void)snprintf(
                    hcas + strlen(hcas), sizeof(hcas) - strlen(hcas), "%s ",
                    topo_class_name(path_of(topo, from, find(topo, "m/mlx4_%u", b)).class));
        }
        CHECK_STR(gpus, cases[i].gpus);
        CHECK_STR(hcas, cases[i].hcas);
        topo_free(topo);
        free(machine);
    }
}

static void test_nvlinks(void)
{
    struct topo_machine *machine = make_machine("K", "m", 0x100);
    struct topo_path path;
    struct topo *topo;

    machine->nvlinks[0].mbps = 0; /* not known */
    machine->nvlink_count = 5;    /* none between 2 and 3 */
    topo = join_one(machine);
    path = path_of(topo, find(topo, "m/gpu3"), find(topo, "m/gpu1"));
    CHECK_EQ(path.class, TOPO_NV);
    CHECK_EQ(path.nvlinks, 2);
    CHECK_EQ(path.mbps, 50000);
    CHECK_EQ(path_of(topo, find(topo, "m/gpu0"), find(topo, "m/gpu1")).mbps, 20000);
    path = path_of(topo, find(topo, "m/gpu2"), find(topo, "m/gpu3"));
    CHECK_EQ(path.class, TOPO_PIX);
    CHECK_EQ(path.nvlinks, 0);
    topo_free(topo);
    free(machine);
}

/* Two host bridges on one socket, and firmware that says nothing of sockets. */
static void test_roots(void)
{
    struct topo_machine *machine = make_machine("C", "m", 0x100);
    static const struct {
        const char *label;
        int32_t numa;
        uint32_t nodes;
        const char *class;
    } cases[] = {
        {"other socket", 1, 2, "SYS"},
        {"same socket", 0, 2, "NODE"},
        {"not known, two sockets", TOPO_NONE, 2, "SYS"},
        {"not known, one socket", TOPO_NONE, 1, "NODE"},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct topo *topo;

        CHECK_CASE("%s", cases[i].label);
        machine->numa_count = cases[i].nodes;
        for (uint32_t pci = 0; pci < machine->pci_count; pci++) {
            if (pci >= 7)
                machine->pci[pci].numa = cases[i].numa;
        }
        topo = join_one(machine);
        CHECK_STR(topo_class_name(path_of(topo, find(topo, "m/gpu0"), find(topo, "m/gpu2")).class),
                  cases[i].class);
        topo_free(topo);
    }
    free(machine);
}

/* Two functions of one card share a root port and meet at it. */
static void test_functions(void)
{
    struct topo_machine *machine = make_machine("C", "m", 0x100);
    struct topo_pci *second = &machine->pci[machine->pci_count++];
    struct topo_path path;
    struct topo *topo;

    *second = machine->pci[machine->hcas[0].pci];
    second->bdf.function = 1;
    machine->hcas[1] = machine->hcas[0];
    machine->hcas[1].pci = (int32_t)machine->pci_count - 1;
    machine->hcas[1].node_guid++;
    (void)snprintf(machine->hcas[1].name, sizeof(machine->hcas[1].name), "mlx4_1");
    machine->hca_count = 2;
    topo = join_one(machine);
    path = path_of(topo, find(topo, "m/mlx4_0"), find(topo, "m/mlx4_1"));
    CHECK_STR(topo_class_name(path.class), "PIX");
    topo_free(topo);
    free(machine);
}

static void test_memory(void)
{
    struct topo_machine *machine = make_machine("C", "m", 0x100);
    struct topo *topo = join_one(machine);

    CHECK_EQ(path_of(topo, find(topo, "m"), find(topo, "m/gpu2")).class, TOPO_PHB);
    CHECK_EQ(path_of(topo, find(topo, "m/gpu2"), find(topo, "m/numa1")).class, TOPO_PHB);
    CHECK_EQ(path_of(topo, find(topo, "m/gpu2"), find(topo, "m/numa0")).class, TOPO_SYS);
    CHECK_EQ(path_of(topo, find(topo, "m/numa0"), find(topo, "m/gpu2")).mbps, 15754);
    CHECK_EQ(path_of(topo, find(topo, "m/numa0"), find(topo, "m/numa1")).mbps, 19200);
    CHECK_EQ(path_of(topo, find(topo, "m/gpu2"), find(topo, "m/gpu2")).class, TOPO_SELF);
    CHECK_EQ(path_of(topo, find(topo, "m/gpu2"), find(topo, "m/gpu2")).mbps, UINT32_MAX);
    topo_free(topo);
    free(machine);
}

/* A GPU to a port of its machine, as UCX prices it, and what switches GPUDirect off. */
static void test_gpudirect(void)
{
    enum cause { NOTHING, NO_DRIVER, DMA_BUF, ONE_DMA_BUF, IOMMU, ACS };
    static const struct {
        const char *label, *profile, *gpu;
        enum cause cause;
        bool is_direct;
        uint32_t mbps;
    } cases[] = {
        {"below one switch", "G", "m/gpu0", NOTHING, true, 6816},
        {"through the root complex", "C", "m/gpu0", NOTHING, true, 3500},
        {"root complex, a switch before it", "B", "m/gpu0", NOTHING, true, 3500},
        {"several switches", "k80", "m/gpu0", NOTHING, true, 6816},
        {"root complex, six steps away", "k80 far", "m/gpu0", NOTHING, true, 3200},
        {"other socket", "C", "m/gpu2", NOTHING, false, 3500},
        {"no driver for it", "G", "m/gpu0", NO_DRIVER, false, 3500},
        {"dma-buf at both ends", "G", "m/gpu0", DMA_BUF, true, 6816},
        {"dma-buf at the GPU only", "G", "m/gpu0", ONE_DMA_BUF, false, 3500},
        {"IOMMU translates", "G", "m/gpu0", IOMMU, false, 3500},
        {"ACS on the switch", "G", "m/gpu0", ACS, false, 3500},
        {"ACS where the root is passed anyway", "C", "m/gpu0", ACS, true, 3500},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct topo_machine *machine = make_machine(cases[i].profile, "m", 0x100);
        struct topo_rail rails[8];
        struct topo *topo;
        enum cause cause = cases[i].cause;

        CHECK_CASE("%s", cases[i].label);
        if (cause == NO_DRIVER || cause == DMA_BUF || cause == ONE_DMA_BUF)
            machine->gpudirect.has_nvidia_peermem = false;
        machine->gpus[0].has_dma_buf = cause == DMA_BUF || cause == ONE_DMA_BUF;
        machine->hcas[0].has_dma_buf = cause == DMA_BUF;
        machine->gpudirect.iommu_translates = cause == IOMMU;
        for (uint32_t pci = 0; pci < machine->pci_count; pci++)
            machine->pci[pci].acs = cause == ACS && machine->pci[pci].kind == TOPO_PCI_BRIDGE;
        topo = join_one(machine);
        CHECK(topo_rails(topo, find(topo, "%s", cases[i].gpu), rails, 8) >= 2);
        CHECK_EQ(rails[0].is_direct, cases[i].is_direct);
        CHECK_EQ(rails[0].path.mbps, cases[i].mbps);
        topo_free(topo);
        free(machine);
    }
}

static void test_rails(void)
{
    struct topo_machine *machine = make_machine("G", "m", 0x100);
    struct topo_rail rails[8];
    struct topo *topo;
    static const char *const order[] = {"m/mlx4_1:1", "m/mlx4_1:2", "m/mlx4_0:2"};

    machine->hcas[0].ports[0].state = TOPO_PORT_DOWN;
    topo = join_one(machine);
    CHECK_EQ(topo_rails(topo, find(topo, "m/gpu3"), rails, 8), 3);
    for (size_t i = 0; i < FAB_ARRAY_LEN(order); i++)
        CHECK_STR(topo_thing(topo, rails[i].port)->name, order[i]);
    CHECK_STR(topo_thing(topo, rails[0].numa)->name, "m/numa1");
    CHECK_STR(topo_thing(topo, rails[2].numa)->name, "m/numa0");
    CHECK_EQ(rails[0].path.class, TOPO_PIX);
    CHECK_EQ(rails[2].path.class, TOPO_SYS);
    CHECK_EQ(topo_rails(topo, find(topo, "m"), rails, 1), 3);
    CHECK_STR(topo_thing(topo, rails[0].port)->name, "m/mlx4_0:2");
    CHECK_EQ(topo_rails(topo, find(topo, "m/numa1"), rails, 8), 3);
    CHECK_STR(topo_thing(topo, rails[0].port)->name, "m/mlx4_1:1");
    CHECK_EQ(topo_rails(topo, TOPO_NO_ID, rails, 8), 0);
    topo_free(topo);
    free(machine);
}

static void test_between_racks(void)
{
    struct make_racks racks;
    struct topo_path path;
    struct topo *topo;
    struct fab_err err;

    make_racks(&racks);
    topo = make_join(&racks);
    path = path_of(topo, find(topo, "rack1-c4130-1/gpu0"), find(topo, "rack2-c4130-4/gpu3"));
    CHECK_EQ(path.class, TOPO_IB);
    CHECK_EQ(path.ib_hops, 3);
    CHECK_EQ(path.mbps, 6816);
    CHECK_STR(topo_thing(topo, path.local_port)->name, "rack1-c4130-1/mlx4_0:2");
    CHECK_STR(topo_thing(topo, topo_thing(topo, path.remote_port)->parent)->name,
              "rack2-c4130-4/mlx4_1");
    path = path_of(topo, find(topo, "rack1-c4130-1/gpu0"), find(topo, "rack1-c4130-2/gpu0"));
    CHECK_EQ(path.ib_hops, 1);
    path = path_of(topo, find(topo, "rack1-r730-1"), find(topo, "rack1-c4130-2/gpu2"));
    CHECK_EQ(path.ib_hops, 1);
    CHECK_EQ(path.mbps, 6816);
    path = path_of(topo, find(topo, "rack1-r730-1"), find(topo, "spine2"));
    CHECK_EQ(path.ib_hops, 2);
    path = path_of(topo, find(topo, "rack1-leaf1"), find(topo, "rack1-leaf2"));
    CHECK_EQ(path.ib_hops, 2);
    CHECK_EQ(topo_path(topo, 1 << 20, 0, &path, &err), FAB_ERR_INVALID);
    topo_free(topo);

    for (unsigned port = 20; port < 24; port++) {
        make_uncable(&racks.fabric, racks.leaves[0][0], port);
        make_uncable(&racks.fabric, racks.leaves[0][1], port);
    }
    topo = make_join(&racks);
    path.mbps = 4711;
    CHECK_EQ(topo_path(topo, find(topo, "rack1-r730-1"), find(topo, "rack2-r730-1"), &path, &err),
             FAB_ERR_UNREACHABLE);
    CHECK_HAS(err.text, "no way from rack1-r730-1 to rack2-r730-1");
    CHECK_EQ(path.mbps, 4711);
    topo_free(topo);
    make_racks_free(&racks);
}

/* A slow cable is avoided where there is another rail, and told where there is none. */
static void test_narrow(void)
{
    struct make_racks racks;
    struct topo_path path;
    struct topo *topo;

    make_racks(&racks);
    make_port(&racks.fabric, racks.hcas[4][0], 1)->width = 1;
    make_port(&racks.fabric,
              racks.fabric.ports[make_port(&racks.fabric, racks.hcas[4][0], 1)->peer].node, 9)
        ->width = 1;
    topo = make_join(&racks);
    path = path_of(topo, find(topo, "rack1-r730-1"), find(topo, "rack1-r730-2"));
    CHECK_EQ(path.mbps, 6816);
    CHECK_STR(topo_thing(topo, path.local_port)->name, "rack1-r730-1/mlx4_0:2");
    path = path_of(topo, find(topo, "rack1-r730-1/mlx4_0:1"), find(topo, "rack1-r730-2"));
    CHECK_EQ(path.mbps, 1704);
    topo_free(topo);
    make_racks_free(&racks);
}

/* Ports joined by a cable alone. */
static void test_back_to_back(void)
{
    struct topo_machine *machines[2] = {make_machine("r730", "a", 0x100),
                                        make_machine("r730", "b", 0x200)};
    const struct topo_machine *borrowed[2] = {machines[0], machines[1]};
    struct topo_fabric fabric = {0};
    uint32_t a = make_node(&fabric, TOPO_FABRIC_HCA, 0x100, "a mlx4_0", 2);
    uint32_t b = make_node(&fabric, TOPO_FABRIC_HCA, 0x200, "b mlx4_0", 2);
    struct topo_path path;
    struct topo *topo = NULL;

    make_cable(&fabric, a, 2, b, 1);
    CHECK_EQ(topo_join(borrowed, 2, &fabric, &topo, NULL), FAB_OK);
    path = path_of(topo, find(topo, "a"), find(topo, "b"));
    CHECK_EQ(path.class, TOPO_IB);
    CHECK_EQ(path.ib_hops, 0);
    CHECK_STR(topo_thing(topo, path.local_port)->name, "a/mlx4_0:2");
    topo_free(topo);
    topo_fabric_clear(&fabric);
    free(machines[0]);
    free(machines[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_classes),      CHECK_TEST(test_nvlinks),       CHECK_TEST(test_roots),
        CHECK_TEST(test_functions),    CHECK_TEST(test_memory),        CHECK_TEST(test_gpudirect),
        CHECK_TEST(test_rails),        CHECK_TEST(test_between_racks), CHECK_TEST(test_narrow),
        CHECK_TEST(test_back_to_back),
    };

    return check_run(tests);
}
