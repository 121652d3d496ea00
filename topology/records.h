/* SPDX-License-Identifier: Apache-2.0
 * topology/records.h - what discovery found: plain facts of one machine and of one fabric.
 *
 * An agent fills a machine record of its own host (machine.h), the node with role `fabric` fills
 * the fabric record (fabric.h); both travel to the manager as JSON (codec.h) and are joined there
 * into a model (topo.h). A record says what is there, never what should be: judging is the model's
 * work.
 *
 * Units: bandwidth in MB/s (10^6 bytes a second, one direction), memory in bytes. 0 is "unknown"
 * unless said otherwise. Texts end with NUL and hold printable ASCII only (codec.h refuses others).
 */
#ifndef TOPOLOGY_RECORDS_H
#define TOPOLOGY_RECORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct fab_err;

/* Bounds of one machine; a machine that has more is refused, not cut. */
enum {
    TOPO_NAME_BYTES = 64,
    TOPO_TEXT_BYTES = 96,
    TOPO_CPUSET_BYTES = 256, /* a list as in /sys: "0-5,12-17" */
    TOPO_NUMA_MAX = 64,
    TOPO_PCI_MAX = 256,
    TOPO_PCI_DEPTH_MAX = 32, /* from a root down to a device */
    TOPO_GPU_MAX = 64,
    TOPO_NVLINK_MAX = 256, /* pairs of GPUs */
    TOPO_HCA_MAX = 16,
    TOPO_HCA_PORT_MAX = 4,
    TOPO_FABRIC_NODE_MAX = 1 << 16,
    TOPO_FABRIC_PORT_MAX = 1 << 20,
    TOPO_NONE = -1 /* "no index" in all records */
};

/* ---- one machine ------------------------------------------------------------------------------
 */

struct topo_numa {
    uint32_t os_index;
    uint64_t memory_bytes;
    char cpus[TOPO_CPUSET_BYTES];
};

struct topo_bdf {
    uint32_t domain;
    uint8_t bus, device, function;
};

enum topo_pci_kind {
    TOPO_PCI_ROOT,   /* a host bridge: a root complex's port group */
    TOPO_PCI_BRIDGE, /* a port of a PCIe switch, or a root port */
    TOPO_PCI_DEVICE
};

/* The tree of what leads to a GPU or an HCA; other devices are left out. Parents stand before
 * children. */
struct topo_pci {
    enum topo_pci_kind kind;
    struct topo_bdf bdf; /* of a root: domain and first bus */
    int32_t parent;      /* index in pci[]; TOPO_NONE for a root */
    int32_t numa;        /* index in numa[]; TOPO_NONE: the firmware did not say */
    uint32_t
        link_mbps;  /* of the link above it; of a root port or a switch's lower port: below it */
    bool is_switch; /* a bridge that belongs to a PCIe switch (not a root port) */
    bool acs; /* access control services redirect peer traffic upwards here; false: or unreadable */
};

struct topo_gpu {
    int32_t pci;    /* TOPO_NONE: NVML has it, the PCI tree does not */
    uint32_t index; /* NVML's; without NVML its place in the order of bus ids */
    char name[TOPO_TEXT_BYTES];
    char uuid[48]; /* "": NVML does not know it */
    uint64_t memory_bytes;
    uint64_t bar1_bytes;
    uint32_t cc_major, cc_minor;
    bool has_dma_buf; /* its driver can export memory as dma-buf */
};

/* NVLinks that join two GPUs without a switch between. */
struct topo_nvlink {
    int32_t a, b;   /* indices in gpus[], a below b; a pair stands once */
    uint32_t links; /* not 0 */
    uint32_t mbps;  /* of all of them */
};

enum topo_port_state {
    TOPO_PORT_UNKNOWN,
    TOPO_PORT_DOWN,
    TOPO_PORT_INIT,
    TOPO_PORT_ARMED,
    TOPO_PORT_ACTIVE
};

struct topo_hca_port {
    uint8_t number; /* from 1 */
    enum topo_port_state state;
    uint16_t lid;
    uint32_t rate_mbps;
    uint16_t manager_lid;         /* of the subnet manager that it obeys */
    uint64_t subnet;              /* the prefix of its GIDs */
    char netdev[TOPO_NAME_BYTES]; /* the IP interface on this port; "" if none */
    uint32_t mtu;                 /* of that interface, bytes */
};

struct topo_hca {
    int32_t pci;
    char name[TOPO_NAME_BYTES]; /* "mlx4_0" */
    uint64_t node_guid;         /* joins the fabric */
    uint64_t system_guid;
    bool has_dma_buf; /* its driver can register memory given as dma-buf */
    uint32_t port_count;
    struct topo_hca_port ports[TOPO_HCA_PORT_MAX];
};

/* What GPUDirect RDMA needs of the host (facts: files under sysroot). */
struct topo_gpudirect {
    bool has_nvidia_peermem, has_nv_peer_mem, has_gdrdrv;
    bool iommu_translates;  /* neither off nor passthrough */
    uint64_t memlock_bytes; /* limit of the agent's process; UINT64_MAX: none */
};

/* What must be the same on all nodes that one program uses. */
struct topo_software {
    char driver[TOPO_NAME_BYTES]; /* of the GPUs: "580.65.06"; "": there is none */
    uint32_t cuda;                /* that this driver offers: 13000; 0: unknown */
    char ofed[TOPO_NAME_BYTES]; /* of an OFED package: "5.8-1.0.1"; "": the kernel's own drivers */
};

/* About 45 KiB: allocate it. */
struct topo_machine {
    char name[TOPO_NAME_BYTES]; /* the node's name, a setting */
    char boot_id[40];
    struct topo_software software;
    uint32_t numa_count, pci_count, gpu_count, nvlink_count, hca_count;
    struct topo_numa numa[TOPO_NUMA_MAX];
    struct topo_pci pci[TOPO_PCI_MAX];
    struct topo_gpu gpus[TOPO_GPU_MAX];
    struct topo_nvlink nvlinks[TOPO_NVLINK_MAX];
    struct topo_hca hcas[TOPO_HCA_MAX];
    struct topo_gpudirect gpudirect;
};

/* ---- what changes all the time ----------------------------------------------------------------
 */

/* A GPU at one moment; UINT32_MAX and UINT64_MAX: not known. */
struct topo_gpu_gauge {
    char uuid[48];
    uint32_t load; /* percent of the last moments in which a kernel ran */
    uint32_t sm_mhz, celsius, power_mw;
    uint64_t used_bytes;
    uint64_t energy_mj; /* since the driver was loaded */
    uint64_t slowed_by; /* enum topo_slowed */
};

/* Why a clock is lower than it could be: the bits of NVML's clocks event reasons. */
enum topo_slowed {
    TOPO_SLOWED_POWER_CAP = 1 << 2,
    TOPO_SLOWED_HARDWARE = 1 << 3,
    TOPO_SLOWED_THERMAL = 1 << 5, /* by the driver */
    TOPO_SLOWED_HARDWARE_THERMAL = 1 << 6,
    TOPO_SLOWED_POWER_BRAKE = 1 << 7 /* by the power supply */
};

/* Counters of an HCA's port, which grow; UINT64_MAX: not known. */
struct topo_port_gauge {
    char hca[TOPO_NAME_BYTES];
    uint8_t number;
    uint64_t retransmissions; /* timeouts, sequence errors, receivers that were not ready */
    uint64_t errors;          /* of symbols, integrity, received packets */
    uint64_t link_downed;
};

enum { TOPO_GAUGE_PORT_MAX = TOPO_HCA_MAX * TOPO_HCA_PORT_MAX };

struct topo_gauges {
    uint32_t gpu_count, port_count;
    struct topo_gpu_gauge gpus[TOPO_GPU_MAX];
    struct topo_port_gauge ports[TOPO_GAUGE_PORT_MAX];
};

/* ---- one fabric -------------------------------------------------------------------------------
 */

enum topo_fabric_kind { TOPO_FABRIC_HCA, TOPO_FABRIC_SWITCH, TOPO_FABRIC_ROUTER };

struct topo_fabric_node {
    enum topo_fabric_kind kind;
    uint64_t guid; /* NodeGUID */
    uint64_t system_guid;
    uint32_t vendor, device;
    uint16_t lid;                          /* a switch's own; 0 for others */
    uint32_t first_port;                   /* index in ports[] */
    uint32_t port_count;                   /* connected or not */
    char description[TOPO_NAME_BYTES + 1]; /* NodeDescription: "r730-1 mlx4_0" */
};

/* One end of a link. Counters are PMA's, saturating; valid if has_counters. */
struct topo_fabric_port {
    uint32_t node;  /* index in nodes[] */
    uint8_t number; /* 1.. */
    int32_t peer;   /* index in ports[]; TOPO_NONE: no cable seen */
    uint64_t guid;
    uint16_t lid;
    uint8_t lmc;
    enum topo_port_state state;
    bool is_polling;       /* physical state: looking for a peer */
    uint8_t width;         /* lanes in use: 1, 2, 4, 8, 12 */
    uint32_t lane_mbps;    /* payload of one lane: FDR 1704, QDR 1000 */
    uint32_t enabled_mbps; /* of the widths and speeds that are enabled; 0: not known */
    bool has_counters;
    uint64_t symbol_errors, link_downed, link_recoveries, receive_errors, transmit_discards,
        transmit_wait, transmit_bytes, receive_bytes;
};

struct topo_fabric {
    uint32_t node_count, port_count;
    struct topo_fabric_node *nodes;
    struct topo_fabric_port *ports;
};

/* "0000:03:00.0", as hwloc, NVML ("00000000:03:00.0") and /sys write it; nothing else. */
FAB_NODISCARD bool topo_bdf_parse(const char *text, struct topo_bdf *bdf_out);
bool topo_bdf_is_equal(const struct topo_bdf *a, const struct topo_bdf *b);
enum { TOPO_BDF_BYTES = 24 };
/* Returns `text`. */
const char *topo_bdf_format(const struct topo_bdf *bdf, char text[TOPO_BDF_BYTES]);

/* What every reader of records may rely on: counts within bounds, indices of what there is, parents
 * before children, a peer's peer is the port itself, printable texts with an end, one HCA or GPU a
 * name. FAB_ERR_INVALID, FAB_ERR_LIMIT; err says where. */
FAB_NODISCARD enum fab_status topo_machine_check(const struct topo_machine *machine,
                                                 struct fab_err *err);
FAB_NODISCARD enum fab_status topo_fabric_check(const struct topo_fabric *fabric,
                                                struct fab_err *err);

/* Frees the arrays and zeroes the record. */
void topo_fabric_clear(struct topo_fabric *fabric);

#endif /* TOPOLOGY_RECORDS_H */
