# SPDX-License-Identifier: Apache-2.0
"""A machine as hwloc's XML, version 2.0: what HWLOC_XMLFILE makes every program see."""
import xml.etree.ElementTree as ElementTree

from .machine import BRIDGE, GPU, HCA, ROOT
from .rack import guid_text

OSDEV_GPU, OSDEV_NETWORK, OSDEV_FABRIC = "1", "2", "3"  # version 2.0's numbers
PORT_ACTIVE = "4"


def _mask(first, count):
    """A bitmap as hwloc writes it: words of 32 bits, highest first."""
    value = ((1 << count) - 1) << first
    words = []
    while True:
        words.insert(0, f"0x{value & 0xffffffff:08x}")
        value >>= 32
        if not value:
            return ",".join(words)


class _Writer:
    """Objects with their running number."""

    def __init__(self, host):
        self.host, self.machine, self.count = host, host.machine, 0

    def object(self, above, kind, **attributes):
        self.count += 1
        return ElementTree.SubElement(above, "object", type=kind, gp_index=str(self.count),
                                      **attributes)

    def placed(self, above, kind, index, cpus, nodes):
        cpuset, nodeset = _mask(*cpus), _mask(*nodes)
        return self.object(above, kind, os_index=str(index), cpuset=cpuset, complete_cpuset=cpuset,
                           nodeset=nodeset, complete_nodeset=nodeset)

    @staticmethod
    def info(above, name, value):
        ElementTree.SubElement(above, "info", name=name, value=value)

    def topology(self):
        top = ElementTree.Element("topology", version="2.0")
        pus = self.machine.sockets * self.machine.cores * self.machine.threads
        machine = self.placed(top, "Machine", 0, (0, pus), (0, self.machine.sockets))
        machine.set("allowed_cpuset", machine.get("cpuset"))
        machine.set("allowed_nodeset", machine.get("nodeset"))
        self.info(machine, "DMIProductName", self.machine.model)
        self.info(machine, "HostName", self.host.name)
        for socket in range(self.machine.sockets):
            self.package(machine, socket)
        for name in ("discovery.pu", "discovery.numa", "discovery.numa_memory"):
            ElementTree.SubElement(top, "support", name=name)
        return top

    def package(self, machine, socket):
        threads, cores = self.machine.threads, self.machine.cores
        first, nodes = socket * cores * threads, (socket, 1)
        package = self.placed(machine, "Package", socket, (first, cores * threads), nodes)
        numa = self.placed(package, "NUMANode", socket, (first, cores * threads), nodes)
        numa.set("local_memory", str(self.machine.memory))
        ElementTree.SubElement(numa, "page_type", size="4096",
                               count=str(self.machine.memory // 4096))
        for i in range(cores):
            cpu = first + i * threads
            core = self.placed(package, "Core", socket * cores + i, (cpu, threads), nodes)
            for j in range(threads):
                self.placed(core, "PU", cpu + j, (cpu + j, 1), nodes)
        for root in self.machine.roots:
            if root.socket == socket:
                self.pci(package, root, 0)

    def pci(self, above, node, depth):
        if node.kind == ROOT:
            mine = self.object(above, "Bridge", bridge_type="0-1", depth=str(depth),
                               bridge_pci=f"0000:[{node.first_bus:02x}-{node.last_bus:02x}]")
        else:
            mine = self.function(above, node, depth)
        for child in node.children:
            self.pci(mine, child, depth + 1)

    def function(self, above, node, depth):
        common = {"pci_busid": node.bdf, "pci_link_speed": f"{node.gbps:f}",
                  "pci_type": f"{node.device_class:04x} [{node.vendor:04x}:{node.device_id:04x}] "
                              "[0000:0000] 00 00"}
        if node.kind == BRIDGE:
            return self.object(above, "Bridge", bridge_type="1-1", depth=str(depth),
                               bridge_pci=f"0000:[{node.first_bus:02x}-{node.last_bus:02x}]",
                               **common)
        device = self.object(above, "PCIDev", **common)
        self.info(device, "PCIDevice", node.model)
        if node.kind == GPU:
            gpu = self.object(device, "OSDev", name=f"nvml{node.index}", osdev_type=OSDEV_GPU)
            self.info(gpu, "Backend", "NVML")
        elif node.kind == HCA:
            self.hca(device, self.host.hcas[node.index])
        return device

    def hca(self, device, hca):
        fabric = self.object(device, "OSDev", name=hca.name, osdev_type=OSDEV_FABRIC)
        self.info(fabric, "NodeGUID", guid_text(hca.guid))
        self.info(fabric, "SysImageGUID", guid_text(hca.system_guid))
        for port in sorted(hca.rails):
            # No LID: a subnet manager gives it.
            self.info(fabric, f"Port{port}State", PORT_ACTIVE)
        for port, rail in sorted(hca.rails.items()):
            network = self.object(device, "OSDev", name=f"rail{rail}", osdev_type=OSDEV_NETWORK)
            self.info(network, "Port", str(port))


def emit(host):
    top = _Writer(host).topology()
    ElementTree.indent(top)
    return ('<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE topology SYSTEM "hwloc2.dtd">\n' +
            ElementTree.tostring(top, encoding="unicode") + "\n")
