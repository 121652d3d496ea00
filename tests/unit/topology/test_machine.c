/* SPDX-License-Identifier: Apache-2.0
 * Tests of topology/machine: hwloc's XML, files below a prefix, softcuda's NVML.
 *
 * machine.xml is made by hand: two sockets; on the first an HCA on a root port, a PCIe switch with
 * two GPUs, and a network card; on the second a GPU on a root port.
 */
#include "tests/support/check.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "topology/machine.h"

static char scratch[64];
static struct topo_machine machine;

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info, (void)type, (void)where;
    return remove(path);
}

static void remove_scratch(void)
{
    (void)nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static const char *path_of(const char *name)
{
    static char path[4][PATH_MAX];
    static unsigned next;
    char *text = path[next++ % FAB_ARRAY_LEN(path)];

    (void)snprintf(text, PATH_MAX, "%s%s", scratch, name);
    return text;
}

static void make_folders(const char *path)
{
    char part[PATH_MAX];

    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        (void)snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
        if (mkdir(part, 0755) != 0)
            assert_int_equal(errno, EEXIST);
    }
}

static void write_bytes(const char *name, const void *bytes, size_t size_bytes)
{
    const char *path = path_of(name);
    FILE *file;

    make_folders(path);
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size_bytes, file), size_bytes);
    assert_int_equal(fclose(file), 0);
}

static void write_text(const char *name, const char *text)
{
    write_bytes(name, text, strlen(text));
}

static enum fab_status discover(const char *xml, const char *nvml, struct fab_err *err)
{
    struct topo_machine_source source = {
        .name = "c4130-1", .hwloc_xml = xml, .nvml = nvml, .sysroot = scratch};

    return topo_machine_discover(&source, &machine, err);
}

/* machine.xml with one text replaced (all places), as a file of its own. */
static const char *xml_with(const char *from, const char *to)
{
    char *text = NULL, *out = NULL;
    size_t size_bytes = 0;
    FILE *stream = open_memstream(&out, &size_bytes);
    const char *at, *found;

    assert_non_null(stream);
    assert_int_equal(fab_file_read(MACHINE_XML, 1 << 20, &text, NULL, NULL), FAB_OK);
    for (at = text; (found = strstr(at, from)); at = found + strlen(from)) {
        (void)fwrite(at, 1, (size_t)(found - at), stream);
        (void)fputs(to, stream);
    }
    (void)fputs(at, stream);
    assert_int_equal(fclose(stream), 0);
    assert_ptr_not_equal(at, text); /* it stood there */
    write_bytes("/changed.xml", out, size_bytes);
    free(out);
    free(text);
    return path_of("/changed.xml");
}

/* ---- hwloc ------------------------------------------------------------------------------------
 */

static void test_tree(void)
{
    static const struct {
        enum topo_pci_kind kind;
        const char *bdf;
        int32_t parent, numa;
        uint32_t mbps;
        bool is_switch;
    } wanted[] = {
        {TOPO_PCI_ROOT, "0000:00:00.0", TOPO_NONE, 0, 0, false},
        {TOPO_PCI_BRIDGE, "0000:00:01.0", 0, 0, 7877, false},
        {TOPO_PCI_DEVICE, "0000:02:00.0", 1, 0, 7877, false},
        {TOPO_PCI_BRIDGE, "0000:00:02.0", 0, 0, 15754, false},
        {TOPO_PCI_BRIDGE, "0000:03:00.0", 3, 0, 15754, true},
        {TOPO_PCI_BRIDGE, "0000:04:04.0", 4, 0, 15754, true},
        {TOPO_PCI_DEVICE, "0000:05:00.0", 5, 0, 15754, false},
        {TOPO_PCI_BRIDGE, "0000:04:08.0", 4, 0, 15754, true},
        {TOPO_PCI_DEVICE, "0000:06:00.0", 7, 0, 15754, false},
        {TOPO_PCI_ROOT, "0000:80:00.0", TOPO_NONE, 1, 0, false},
        {TOPO_PCI_BRIDGE, "0000:80:02.0", 9, 1, 15754, false},
        {TOPO_PCI_DEVICE, "0000:82:00.0", 10, 1, 15754, false},
    };
    char bdf[TOPO_BDF_BYTES];

    CHECK_EQ(discover(MACHINE_XML, NULL, NULL), FAB_OK);
    CHECK_STR(machine.name, "c4130-1");
    CHECK_EQ(machine.numa_count, 2);
    CHECK_STR(machine.numa[1].cpus, "2-3");
    CHECK_EQ(machine.numa[1].memory_bytes, (uint64_t)64 << 30);
    CHECK_EQ(machine.pci_count, FAB_ARRAY_LEN(wanted)); /* and no network card */
    for (uint32_t i = 0; i < FAB_ARRAY_LEN(wanted); i++) {
        const struct topo_pci *pci = &machine.pci[i];

        CHECK_CASE("pci %u", i);
        CHECK_EQ(pci->kind, wanted[i].kind);
        CHECK_STR(topo_bdf_format(&pci->bdf, bdf), wanted[i].bdf);
        CHECK_EQ(pci->parent, wanted[i].parent);
        CHECK_EQ(pci->numa, wanted[i].numa);
        CHECK_EQ(pci->link_mbps, wanted[i].mbps);
        CHECK_EQ(pci->is_switch, wanted[i].is_switch);
        CHECK_EQ(pci->acs, false);
    }
    CHECK_EQ(machine.gpu_count, 3);
    CHECK_EQ(machine.gpus[0].pci, 6);
    CHECK_EQ(machine.gpus[2].pci, 11);
    CHECK_EQ(machine.gpus[2].index, 2);
    CHECK_STR(machine.gpus[2].uuid, "");
}

static void test_hca(void)
{
    CHECK_EQ(discover(MACHINE_XML, NULL, NULL), FAB_OK);
    CHECK_EQ(machine.hca_count, 1);
    CHECK_STR(machine.hcas[0].name, "mlx4_0");
    CHECK_EQ(machine.hcas[0].pci, 2);
    CHECK_EQ(machine.hcas[0].node_guid, 0xe41d2d0300b00000);
    CHECK_EQ(machine.hcas[0].system_guid, 0xe41d2d0300b00003);
    CHECK_EQ(machine.hcas[0].port_count, 2);
    CHECK_EQ(machine.hcas[0].ports[0].state, TOPO_PORT_ACTIVE);
    CHECK_EQ(machine.hcas[0].ports[0].lid, 0x11);
    CHECK_EQ(machine.hcas[0].ports[1].number, 2);
    CHECK_EQ(machine.hcas[0].ports[1].state, TOPO_PORT_DOWN);
    CHECK_EQ(machine.hcas[0].ports[1].rate_mbps, 0);
}

/* A GPU in another place changes its place and nothing else. */
static void test_moved_gpu(void)
{
    static struct topo_machine before;

    CHECK_EQ(discover(MACHINE_XML, NULL, NULL), FAB_OK);
    before = machine;
    CHECK_EQ(discover(xml_with("0000:82:00.0", "0000:83:00.0"), NULL, NULL), FAB_OK);
    CHECK_EQ(machine.pci[11].bdf.bus, 0x83);
    machine.pci[11].bdf.bus = 0x82;
    CHECK_MEM(&machine, &before, sizeof(machine));
}

static void test_bad_xml(void)
{
    struct fab_err err = {0};

    machine.pci_count = 99;
    CHECK_EQ(discover(path_of("/no-such.xml"), NULL, &err), FAB_ERR_NOT_FOUND);
    CHECK_HAS(err.text, "no-such.xml");
    write_text("/empty.xml", "");
    CHECK(discover(path_of("/empty.xml"), NULL, &err) == FAB_ERR_FORMAT);
    CHECK_EQ(discover(xml_with("mlx4_0", "mlx4/0"), NULL, &err), FAB_ERR_INVALID);
    CHECK_HAS(err.text, "c4130-1: HCA 0");
    CHECK_EQ(discover(xml_with("Port2State", "Port3State"), NULL, &err), FAB_OK);
    CHECK_EQ(machine.hcas[0].port_count, 1);
}

static void test_this_machine(void)
{
    struct topo_machine_source source = {.name = "here"};
    struct fab_err err = {0};
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    CHECK(cpus > 0);
    if (!CHECK_EQ(topo_machine_discover(&source, &machine, &err), FAB_OK))
        print_message("%s\n", err.text);
    CHECK(machine.numa_count >= 1);
    CHECK(machine.gpudirect.memlock_bytes > 0);
    CHECK_EQ(strlen(machine.boot_id), 36);
}

static void test_names(void)
{
    static const struct {
        const char *name;
        enum fab_status status;
    } cases[] = {
        {"r730-1.rack2", FAB_OK},
        {"", FAB_ERR_INVALID},
        {"a/b", FAB_ERR_INVALID},
        {"a b", FAB_ERR_INVALID},
        {"0123456789012345678901234567890123456789012345678901234567890123", FAB_ERR_LIMIT},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct topo_machine_source source = {.name = cases[i].name, .hwloc_xml = MACHINE_XML};

        CHECK_CASE("\"%s\"", cases[i].name);
        CHECK_EQ(topo_machine_discover(&source, &machine, NULL), cases[i].status);
    }
}

/* ---- files ------------------------------------------------------------------------------------
 */

static void test_empty_sysroot(void)
{
    CHECK_EQ(discover(MACHINE_XML, NULL, NULL), FAB_OK);
    CHECK_STR(machine.boot_id, "");
    CHECK_EQ(machine.gpudirect.has_nvidia_peermem, false);
    CHECK_EQ(machine.gpudirect.has_nv_peer_mem, false);
    CHECK_EQ(machine.gpudirect.has_gdrdrv, false);
    CHECK_EQ(machine.gpudirect.iommu_translates, false);
    CHECK_EQ(machine.gpudirect.memlock_bytes, 0);
    CHECK_STR(machine.hcas[0].ports[0].netdev, "");
}

static void test_ports(void)
{
    static const struct {
        const char *text;
        uint32_t mbps;
    } rates[] = {
        {"56 Gb/sec (4X FDR)\n", 6816},
        {"40 Gb/sec (4X QDR)\n", 4000},
        {"41.25 Gb/sec (4X FDR10)\n", 5000},
        {"2.5 Gb/sec (1X SDR)\n", 250},
        {"200 Gb/sec (4X HDR)\n", 25000},
        {"100 Gb/sec (2X HDR)\n", 12500},
        {"56 Gb/sec\n", 0},
        {"56 Gb/sec (4X WHAT)\n", 0},
        {"(99X FDR)", 0},
        {"", 0},
    };
    struct topo_hca_port *port = &machine.hcas[0].ports[1];

    write_text("/sys/class/infiniband/mlx4_0/ports/2/state", "2: INIT\n");
    write_text("/sys/class/infiniband/mlx4_0/ports/2/lid", "0x1f\n");
    write_text("/sys/class/infiniband/mlx4_0/ports/2/sm_lid", "0x1\n");
    write_text("/sys/class/infiniband/mlx4_0/ports/2/gids/0",
               "fe80:0000:0000:0001:e41d:2d03:00b0:0002\n");
    write_text("/sys/class/infiniband/mlx4_0/device/net/ib1/dev_port", "1\n");
    write_text("/sys/class/infiniband/mlx4_0/device/net/ib1/mtu", "2044\n");
    write_text("/sys/class/infiniband/mlx4_0/device/net/ib1.8001/dev_id", "0x1\n");
    write_text("/sys/class/infiniband/mlx4_0/device/net/ib0/dev_id", "0x0\n");
    write_text("/sys/class/infiniband/mlx4_0/device/net/ib9/dev_port", "8\n");
    for (size_t i = 0; i < FAB_ARRAY_LEN(rates); i++) {
        CHECK_CASE("rate \"%s\"", rates[i].text);
        write_text("/sys/class/infiniband/mlx4_0/ports/2/rate", rates[i].text);
        CHECK_EQ(discover(MACHINE_XML, NULL, NULL), FAB_OK);
        CHECK_EQ(port->rate_mbps, rates[i].mbps);
    }
    CHECK_EQ(port->state, TOPO_PORT_INIT);
    CHECK_EQ(port->lid, 0x1f);
    CHECK_EQ(port->manager_lid, 1);
    CHECK_EQ(port->subnet, 0xfe80000000000001);
    CHECK_STR(port->netdev, "ib1");
    CHECK_EQ(port->mtu, 2044);
    CHECK_STR(machine.hcas[0].ports[0].netdev, "ib0");
    CHECK_EQ(machine.hcas[0].ports[0].mtu, 0);
    CHECK_EQ(machine.hcas[0].ports[0].state, TOPO_PORT_ACTIVE); /* hwloc's word */
    /* Ports that only the files have. */
    CHECK_EQ(discover(xml_with("Port1State", "Port7State"), NULL, NULL), FAB_OK);
    CHECK_EQ(machine.hcas[0].port_count, 0);
    write_text("/sys/class/infiniband/mlx4_0/ports/1/state", "4: ACTIVE\n");
    CHECK_EQ(discover(path_of("/changed.xml"), NULL, NULL), FAB_OK);
    CHECK_EQ(machine.hcas[0].port_count, 2);
    CHECK_EQ(machine.hcas[0].has_dma_buf, false);
    assert_int_equal(symlink("../../bus/pci/drivers/mlx5_core",
                             path_of("/sys/class/infiniband/mlx4_0/device/driver")),
                     0);
    CHECK_EQ(discover(MACHINE_XML, NULL, NULL), FAB_OK);
    CHECK_EQ(machine.hcas[0].has_dma_buf, true);
    remove_scratch();
}

static void test_host_facts(void)
{
    static const struct {
        const char *label, *limits;
        uint64_t bytes;
    } limits[] = {
        {"a number", "Limit  Soft\nMax locked memory         8388608    8388608    bytes\n",
         8388608},
        {"no limit", "Max locked memory         unlimited            unlimited            bytes\n",
         UINT64_MAX},
        {"another line", "Max processes 12\n", 0},
    };

    write_text("/proc/sys/kernel/random/boot_id", "91c8f7da-b321-4934-a638-2d596a17cd91\n");
    for (size_t i = 0; i < FAB_ARRAY_LEN(limits); i++) {
        CHECK_CASE("%s", limits[i].label);
        write_text("/proc/self/limits", limits[i].limits);
        CHECK_EQ(discover(MACHINE_XML, NULL, NULL), FAB_OK);
        CHECK_EQ(machine.gpudirect.memlock_bytes, limits[i].bytes);
    }
    CHECK_STR(machine.boot_id, "91c8f7da-b321-4934-a638-2d596a17cd91");
    CHECK_STR(machine.software.ofed, "");
    write_text("/sys/module/mlx_compat/version", "5.8-1.0.1\n");
    write_text("/sys/module/nvidia_peermem/version", "1\n");
    write_text("/sys/module/gdrdrv/version", "1\n");
    CHECK_EQ(discover(MACHINE_XML, NULL, NULL), FAB_OK);
    CHECK_EQ(machine.gpudirect.has_nvidia_peermem, true);
    CHECK_EQ(machine.gpudirect.has_nv_peer_mem, false);
    CHECK_EQ(machine.gpudirect.has_gdrdrv, true);
    CHECK_STR(machine.software.ofed, "5.8-1.0.1");
    write_text("/sys/kernel/mm/memory_peers/nv_mem/version", "1\n");
    CHECK_EQ(discover(MACHINE_XML, NULL, NULL), FAB_OK);
    CHECK_EQ(machine.gpudirect.has_nv_peer_mem, true);
    remove_scratch();
}

static void test_iommu(void)
{
    static const struct {
        const char *label, *device, *type;
        bool translates;
    } cases[] = {
        {"off for a GPU", "0000:05:00.0", "identity\n", false},
        {"on for the network card", "0000:08:00.0", "DMA\n", false},
        {"on for a GPU", "0000:05:00.0", "DMA\n", true},
        {"on, lazily, for the HCA", "0000:02:00.0", "DMA-FQ\n", true},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        char name[128];

        CHECK_CASE("%s", cases[i].label);
        write_text("/sys/kernel/iommu_groups/17/type", cases[i].type);
        (void)snprintf(name, sizeof(name), "/sys/kernel/iommu_groups/17/devices/%s",
                       cases[i].device);
        make_folders(path_of("/sys/kernel/iommu_groups/17/devices/"));
        assert_int_equal(symlink("../../nowhere", path_of(name)), 0);
        CHECK_EQ(discover(MACHINE_XML, NULL, NULL), FAB_OK);
        CHECK_EQ(machine.gpudirect.iommu_translates, cases[i].translates);
        remove_scratch();
    }
}

/* A configuration space with two extended capabilities, the second for access control. */
static void test_acs(void)
{
    static const struct {
        const char *label;
        uint8_t control;
        size_t size_bytes;
        uint16_t next;
        bool acs;
    } cases[] = {
        {"off", 0, 4096, 0x140, false},
        {"source validation only", 0x01, 4096, 0x140, false},
        {"requests redirected", 0x05, 4096, 0x140, true},
        {"completions redirected", 0x08, 4096, 0x140, true},
        {"what the kernel shows others than root", 0x05, 64, 0x140, false},
        {"cut inside the capability", 0x05, 0x144, 0x140, false},
        {"list that goes round", 0x05, 4096, 0x100, false},
        {"list that points before its start", 0x05, 4096, 0x40, false},
        {"list that points out", 0x05, 4096, 0xffc, false},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        uint8_t config[4096] = {0};

        CHECK_CASE("%s", cases[i].label);
        config[0x100] = 0x01; /* error reporting */
        config[0x102] = (uint8_t)(1 | (cases[i].next & 0xf) << 4);
        config[0x103] = (uint8_t)(cases[i].next >> 4);
        config[0x140] = 0x0d;
        config[0x142] = 1;
        config[0x146] = cases[i].control;
        write_bytes("/sys/bus/pci/devices/0000:04:04.0/config", config, cases[i].size_bytes);
        CHECK_EQ(discover(MACHINE_XML, NULL, NULL), FAB_OK);
        CHECK_EQ(machine.pci[5].acs, cases[i].acs);
        CHECK_EQ(machine.pci[7].acs, false);
        remove_scratch();
    }
}

static void test_bar1(void)
{
    write_text("/sys/bus/pci/devices/0000:05:00.0/resource",
               "0x0000000092000000 0x0000000092ffffff 0x0000000000040200\n"
               "0x0000383800000000 0x0000383bffffffff 0x000000000014220c\n");
    write_text("/sys/bus/pci/devices/0000:06:00.0/resource", "0x0 0x0 0x0\n0x0 0x0 0x0\n");
    CHECK_EQ(discover(MACHINE_XML, NULL, NULL), FAB_OK);
    CHECK_EQ(machine.gpus[0].bar1_bytes, (uint64_t)16 << 30);
    CHECK_EQ(machine.gpus[1].bar1_bytes, 0);
    CHECK_EQ(machine.gpus[2].bar1_bytes, 0);
    remove_scratch();
}

/* ---- NVML -------------------------------------------------------------------------------------
 */

static void use_devices(const char *config)
{
    write_text("/devices.cfg", config);
    make_folders(path_of("/state/"));
    (void)setenv("SOFTCUDA_CONFIG", path_of("/devices.cfg"), 1);
    (void)setenv("SOFTCUDA_STATE", path_of("/state"), 1);
}

static void test_nvml(void)
{
    if (strcmp(NVML_LIBRARY, "") == 0)
        check_skip("built without softcuda's libnvidia-ml.so.1");
    use_devices(
        "peers = \"links\"; links = ( { a = 0; b = 1; nvlinks = 2; } );\n"
        "devices = ( { name = \"one\"; pci_bus_id = \"0000:06:00.0\"; memory = \"8GiB\";\n"
        "              compute = \"7.5\"; uuid = \"GPU-00112233-4455-6677-8899-aabbccddeeff\"; },\n"
        "            { name = \"two\"; pci_bus_id = \"0000:82:00.0\"; compute = \"8.6\"; },\n"
        "            { name = \"far\"; pci_bus_id = \"0000:c1:00.0\"; } );\n");
    write_text("/proc/driver/nvidia/version",
               "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54\n");
    CHECK_EQ(discover(MACHINE_XML, NVML_LIBRARY, NULL), FAB_OK);
    CHECK_EQ(machine.gpu_count, 4);
    CHECK(machine.software.driver[0] != '\0');
    CHECK_EQ(machine.software.cuda, 13000);
    /* In the order of bus ids; what NVML does not know has no name and the last numbers. */
    CHECK_STR(machine.gpus[0].uuid, "");
    CHECK_EQ(machine.gpus[0].index, 3);
    CHECK_EQ(machine.gpus[0].has_dma_buf, false);
    CHECK_STR(machine.gpus[1].name, "one");
    CHECK_STR(machine.gpus[1].uuid, "GPU-00112233-4455-6677-8899-aabbccddeeff");
    CHECK_EQ(machine.gpus[1].index, 0);
    CHECK_EQ(machine.gpus[1].memory_bytes, (uint64_t)8 << 30);
    CHECK_EQ(machine.gpus[1].cc_major, 7);
    CHECK_EQ(machine.gpus[1].cc_minor, 5);
    CHECK_EQ(machine.gpus[1].pci, 8);
    CHECK_EQ(machine.gpus[1].has_dma_buf, true);
    CHECK(machine.gpus[1].bar1_bytes > 0);
    CHECK_STR(machine.gpus[2].name, "two");
    CHECK_EQ(machine.gpus[2].index, 1);
    CHECK_STR(machine.gpus[3].name, "far");
    CHECK_EQ(machine.gpus[3].pci, TOPO_NONE);
    CHECK_EQ(machine.nvlink_count, 1);
    CHECK_EQ(machine.nvlinks[0].a, 1);
    CHECK_EQ(machine.nvlinks[0].b, 2);
    CHECK_EQ(machine.nvlinks[0].links, 2);
    CHECK_EQ(machine.nvlinks[0].mbps, 50000);
    /* Loaded anew: other devices. */
    use_devices("devices = ( { name = \"new\"; pci_bus_id = \"0000:05:00.0\"; } );\n");
    CHECK_EQ(discover(MACHINE_XML, NVML_LIBRARY, NULL), FAB_OK);
    CHECK_EQ(machine.gpu_count, 3);
    CHECK_STR(machine.gpus[0].name, "new");
    CHECK_STR(machine.gpus[1].uuid, "");
    remove_scratch();
}

static void test_broken_nvml(void)
{
    struct fab_err err = {0};

    CHECK_EQ(discover(MACHINE_XML, path_of("/no-such-library.so"), NULL), FAB_OK);
    CHECK_EQ(machine.gpu_count, 3);
    write_text("/broken.so", "no library\n");
    machine.gpu_count = 77;
    CHECK_EQ(discover(MACHINE_XML, path_of("/broken.so"), &err), FAB_ERR_DEVICE);
    CHECK_HAS(err.text, "broken.so");
    CHECK_EQ(discover(MACHINE_XML, "libc.so.6", &err), FAB_ERR_DEVICE);
    CHECK_HAS(err.text, "nvmlInit_v2");
    CHECK_EQ(machine.gpu_count, 77);
    if (strcmp(NVML_LIBRARY, "") != 0) {
        use_devices("nonsense\n"); /* no driver behind it: as if there were no NVML */
        CHECK_EQ(discover(MACHINE_XML, NVML_LIBRARY, &err), FAB_OK);
        CHECK_EQ(machine.gpu_count, 3);
        CHECK_STR(machine.gpus[0].uuid, "");
    }
    remove_scratch();
}

/* ---- what changes all the time ----------------------------------------------------------------
 */

static void test_counters(void)
{
    static const struct {
        const char *file, *text;
    } files[] = {
        {"mlx5_0/ports/1/hw_counters/local_ack_timeout_err", "3\n"},
        {"mlx5_0/ports/1/hw_counters/packet_seq_err", "4\n"},
        {"mlx5_0/ports/1/counters/symbol_error", "5\n"},
        {"mlx5_0/ports/1/counters/port_rcv_errors", "6\n"},
        {"mlx5_0/ports/1/counters/link_downed", "7\n"},
        {"mlx5_0/ports/2/state", "4: ACTIVE\n"},
        {"rxe0/ports/1/hw_counters/rcvd_seq_err", "8\n"},
    };
    static struct topo_gauges gauges;
    const struct topo_port_gauge *first, *rxe;
    struct topo_meter *meter = NULL;

    for (size_t i = 0; i < FAB_ARRAY_LEN(files); i++) {
        char name[128];

        (void)snprintf(name, sizeof(name), "/sys/class/infiniband/%s", files[i].file);
        write_text(name, files[i].text);
    }
    if (!CHECK_EQ(topo_meter_open(NULL, scratch, &meter, NULL), FAB_OK))
        return;
    CHECK_EQ(topo_meter_read(meter, &gauges, NULL), FAB_OK);
    CHECK_EQ(gauges.gpu_count, 0);
    CHECK_EQ(gauges.port_count, 3);
    rxe = strcmp(gauges.ports[0].hca, "rxe0") == 0 ? &gauges.ports[0] : &gauges.ports[2];
    first = rxe == &gauges.ports[0] ? &gauges.ports[1] : &gauges.ports[0];
    CHECK_STR(first->hca, "mlx5_0");
    CHECK_EQ(first->number, 1);
    CHECK_EQ(first->retransmissions, 7);
    CHECK_EQ(first->errors, 11);
    CHECK_EQ(first->link_downed, 7);
    CHECK_EQ(first[1].number, 2);
    CHECK_EQ(first[1].retransmissions, UINT64_MAX);
    CHECK_EQ(first[1].link_downed, UINT64_MAX);
    CHECK_STR(rxe->hca, "rxe0");
    CHECK_EQ(rxe->retransmissions, 8);
    write_text("/sys/class/infiniband/mlx5_0/ports/1/counters/link_downed", "9\n");
    CHECK_EQ(topo_meter_read(meter, &gauges, NULL), FAB_OK);
    CHECK_EQ(first->link_downed, 9);
    topo_meter_close(meter);
    remove_scratch();
}

static void test_meter(void)
{
    static const struct {
        const char *label;
        uint64_t bits;
    } slowed[] = {{"no", 0},
                  {"power", TOPO_SLOWED_POWER_CAP},
                  {"thermal", TOPO_SLOWED_THERMAL},
                  {"hardware", TOPO_SLOWED_HARDWARE | TOPO_SLOWED_HARDWARE_THERMAL}};
    static struct topo_gauges gauges;

    if (strcmp(NVML_LIBRARY, "") == 0)
        check_skip("built without softcuda's libnvidia-ml.so.1");
    for (size_t i = 0; i < FAB_ARRAY_LEN(slowed); i++) {
        struct topo_meter *meter = NULL;
        struct fab_err err = {0};
        char config[160];

        CHECK_CASE("%s", slowed[i].label);
        (void)snprintf(config, sizeof(config),
                       "devices = ( { uuid = \"GPU-00112233-4455-6677-8899-aabbccddeeff\";\n"
                       "slowed = \"%s\"; } );\n",
                       slowed[i].label);
        use_devices(config);
        if (!CHECK_EQ(topo_meter_open(NVML_LIBRARY, scratch, &meter, &err), FAB_OK)) {
            CHECK_STR(err.text, "");
            continue;
        }
        CHECK_EQ(topo_meter_read(meter, &gauges, NULL), FAB_OK);
        CHECK_EQ(gauges.gpu_count, 1);
        CHECK_STR(gauges.gpus[0].uuid, "GPU-00112233-4455-6677-8899-aabbccddeeff");
        CHECK_EQ(gauges.gpus[0].load, 0);
        CHECK_EQ(gauges.gpus[0].used_bytes, 0);
        CHECK(gauges.gpus[0].sm_mhz > 0 && gauges.gpus[0].sm_mhz != UINT32_MAX);
        CHECK(gauges.gpus[0].celsius > 0 && gauges.gpus[0].celsius < 100);
        CHECK(gauges.gpus[0].power_mw > 0 && gauges.gpus[0].power_mw != UINT32_MAX);
        CHECK(gauges.gpus[0].energy_mj != UINT64_MAX);
        CHECK_EQ(gauges.gpus[0].slowed_by & (TOPO_SLOWED_POWER_CAP | TOPO_SLOWED_THERMAL |
                                             TOPO_SLOWED_HARDWARE | TOPO_SLOWED_HARDWARE_THERMAL),
                 slowed[i].bits);
        topo_meter_close(meter);
        remove_scratch();
    }
}

static void test_no_meter(void)
{
    static struct topo_gauges gauges;
    struct topo_meter *meter = NULL;
    struct fab_err err = {0};

    CHECK_EQ(topo_meter_open(path_of("/no-such-library.so"), scratch, &meter, NULL), FAB_OK);
    CHECK_EQ(topo_meter_read(meter, &gauges, NULL), FAB_OK);
    CHECK_EQ(gauges.gpu_count, 0);
    topo_meter_close(meter);
    meter = NULL;
    CHECK_EQ(topo_meter_open("libc.so.6", scratch, &meter, &err), FAB_ERR_DEVICE);
    CHECK_HAS(err.text, "nvmlInit_v2");
    CHECK(meter == NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_tree),          CHECK_TEST(test_hca),          CHECK_TEST(test_moved_gpu),
        CHECK_TEST(test_bad_xml),       CHECK_TEST(test_this_machine), CHECK_TEST(test_names),
        CHECK_TEST(test_empty_sysroot), CHECK_TEST(test_ports),        CHECK_TEST(test_host_facts),
        CHECK_TEST(test_iommu),         CHECK_TEST(test_acs),          CHECK_TEST(test_bar1),
        CHECK_TEST(test_nvml),          CHECK_TEST(test_broken_nvml),  CHECK_TEST(test_counters),
        CHECK_TEST(test_meter),         CHECK_TEST(test_no_meter),
    };

    (void)snprintf(scratch, sizeof(scratch), "/tmp/topo-test-XXXXXX");
    if (!mkdtemp(scratch))
        check_skip("no folder in /tmp");
    (void)atexit(remove_scratch);
    return check_run(tests);
}
