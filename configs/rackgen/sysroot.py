# SPDX-License-Identifier: Apache-2.0
"""The files below a host's sysroot: what the kernel of such a machine would show (/sys, /proc) and
what discovery reads there."""
import hashlib
import uuid

from .machine import BRIDGE, GPU, ROOT
from .rack import guid_text

MTU = 2044  # IPoIB in datagrams of 2 KiB
# Of the agent's process: what a service with LimitMEMLOCK=infinity has.
LIMITS = (f"{'Limit':<26}{'Soft Limit':<21}{'Hard Limit':<21}Units\n"
          f"{'Max locked memory':<26}{'unlimited':<21}{'unlimited':<21}bytes\n")
RATE = {"sdr": 2.5, "ddr": 5, "qdr": 10, "fdr": 14, "edr": 25, "hdr": 50}  # Gbit/s of a lane, as said
PCI_GTPS = {1: "2.5", 2: "5.0", 3: "8.0", 4: "16.0", 5: "32.0"}
FLAGS_MEMORY_64BIT_PREFETCH = 0x14220c
SUBNET = "fe80:0000:0000:0000"
COUNTERS = ("counters/symbol_error", "counters/port_rcv_errors", "counters/link_error_recovery",
            "counters/link_downed", "hw_counters/sq_num_to", "hw_counters/sq_num_oos",
            "hw_counters/sq_num_rnr")
BAR0_BYTES = 16 << 20
ACS_CAPABILITY = 0x000d


class Link(str):
    """The target of a symbolic link."""


def emit(rack, host):
    """{path: text, bytes or Link}, relative to the sysroot; a path that ends in / is an empty folder."""
    files = {"proc/sys/kernel/random/boot_id": _boot_id(rack, host) + "\n",
             "sys/kernel/iommu_groups/": "", "sys/class/infiniband/": "", "sys/module/": "",
             "sys/class/net/lo/mtu": "65536\n", "proc/self/limits": LIMITS}
    for module in host.machine.gpudirect:
        files[f"sys/module/{module}/version"] = "550.54\n"
        if module == "gdrdrv":
            files["dev/gdrdrv"] = ""
    for number, node in enumerate(node for node in host.machine.nodes() if node.kind != ROOT):
        _function(files, node, host.machine)
        if host.machine.iommu != "off":
            kind = "DMA" if host.machine.iommu == "on" else "identity"
            files[f"sys/kernel/iommu_groups/{number}/type"] = kind + "\n"
            files[f"sys/kernel/iommu_groups/{number}/devices/{node.bdf}/"] = ""
    for hca in host.hcas:
        _hca(files, rack, hca)
    return files


def _boot_id(rack, host):
    digest = hashlib.sha256(f"{rack.name} {host.name}".encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))


def _function(files, node, machine):
    path = f"sys/bus/pci/devices/{node.bdf}"
    files |= {f"{path}/vendor": f"{node.vendor:#06x}\n", f"{path}/device": f"{node.device_id:#06x}\n",
              f"{path}/class": f"{node.device_class:#06x}00\n",
              f"{path}/numa_node": f"{node.socket}\n",
              f"{path}/current_link_speed": f"{PCI_GTPS[node.generation]} GT/s PCIe\n",
              f"{path}/current_link_width": f"{node.lanes}\n"}
    if node.kind == GPU:
        files[f"{path}/resource"] = _resource(node, machine.gpu["bar1"])
    if node.kind == BRIDGE:
        files[f"{path}/config"] = _config(node)


def _resource(node, bar1):
    """One line a region: first, last, flags. Region 1 of an NVIDIA GPU is 64 bits wide, so the next
    is empty."""
    base = 0x380000000000 + (node.bus << 36)
    regions = [(0x90000000 + (node.bus << 24), BAR0_BYTES), (base, bar1), None, (base + (32 << 30),
                                                                              32 << 20)]
    lines = [f"{start:#018x} {start + size - 1:#018x} {FLAGS_MEMORY_64BIT_PREFETCH:#018x}"
             for start, size in (region or (0, 1) for region in regions)]
    empty = " ".join([f"{0:#018x}"] * 3)
    lines[2] = empty
    return "\n".join(lines + [empty] * 9) + "\n"


def _config(node):
    """The configuration space: identity, and for a switch's downstream port the capability for
    access control with nothing switched on."""
    space = bytearray(4096)
    space[0:2], space[2:4] = node.vendor.to_bytes(2, "little"), node.device_id.to_bytes(2, "little")
    space[0x0a:0x0c] = node.device_class.to_bytes(2, "little")
    space[0x0e] = 1  # the header of a bridge
    if node.is_downstream:
        space[0x100:0x104] = (ACS_CAPABILITY | 1 << 16).to_bytes(4, "little")
    return bytes(space)


def _hca(files, rack, hca):
    path = f"sys/class/infiniband/{hca.name}"
    device = f"bus/pci/devices/{hca.node.bdf}"
    files |= {f"{path}/node_guid": guid_text(hca.guid) + "\n",
              f"{path}/sys_image_guid": guid_text(hca.system_guid) + "\n",
              f"{path}/node_type": "1: CA\n", f"{path}/node_desc": hca.description + "\n",
              f"{path}/device": Link(f"../../../{device}"),
              f"sys/{device}/driver": Link("../../../../bus/pci/drivers/mlx4_core"),
              "sys/bus/pci/drivers/mlx4_core/": ""}
    for port in range(1, hca.ports + 1):
        _port(files, rack, hca, port, f"{path}/ports/{port}")
    for port, rail in hca.rails.items():
        net = f"{device}/net/rail{rail}"
        files |= {f"sys/{net}/dev_port": f"{port - 1}\n", f"sys/{net}/dev_id": f"{port - 1:#x}\n",
                  f"sys/{net}/mtu": f"{MTU}\n", f"sys/{net}/type": "32\n",
                  f"sys/class/net/rail{rail}": Link(f"../../{net}")}


def _port(files, rack, hca, port, path):
    lanes = int(rack.width[:-1])
    rate = RATE[rack.speed] * lanes
    cabled = port in hca.cables
    files |= {f"{path}/link_layer": "InfiniBand\n",
              f"{path}/state": "4: ACTIVE\n" if cabled else "1: DOWN\n",
              f"{path}/phys_state": "5: LinkUp\n" if cabled else "2: Polling\n",
              f"{path}/rate": f"{rate:g} Gb/sec ({lanes}X {rack.speed.upper()})\n" if cabled else
                              f"10 Gb/sec ({lanes}X SDR)\n",
              f"{path}/lid": "0x0\n", f"{path}/lid_mask_count": "0\n",
              f"{path}/sm_lid": "0x1\n" if cabled else "0x0\n",
              f"{path}/gids/0": f"{SUBNET}:{guid_text(hca.guid + port)}\n"}
    files |= {f"{path}/{name}": "0\n" for name in COUNTERS}
