# SPDX-License-Identifier: Apache-2.0
"""A machine profile (configs/machines) as a PCIe tree with bus numbers, the way firmware counts them:
depth first, one bus for each link."""
import dataclasses
import functools

from .table import Table

# GB/s of one lane, in one direction, by generation: what hwloc computes from the link's registers.
LANE_GBPS = {1: 0.25, 2: 0.5, 3: 8 * 128 / 130 / 8, 4: 16 * 128 / 130 / 8, 5: 32 * 128 / 130 / 8}
ROOT, BRIDGE, GPU, HCA = "root", "bridge", "gpu", "hca"
SWITCH_DEVICE_STEP = 4  # downstream ports of a PEX87xx are devices 04, 08, 0c ...


@dataclasses.dataclass
class Node:
    """One PCI function, or a host bridge."""
    kind: str
    socket: int
    bus: int
    device: int = 0
    vendor: int = 0
    device_id: int = 0
    device_class: int = 0x0604
    lanes: int = 0
    generation: int = 0
    model: str = ""
    first_bus: int = 0  # of a bridge: what lies behind it
    last_bus: int = 0
    is_switch: bool = False
    is_downstream: bool = False
    index: int = 0  # of a GPU or an HCA in its machine
    children: list = dataclasses.field(default_factory=list)

    @property
    def bdf(self):
        return f"0000:{self.bus:02x}:{self.device:02x}.0"

    @property
    def gbps(self):
        return self.lanes * LANE_GBPS[self.generation]

    def walk(self):
        yield self
        for child in self.children:
            yield from child.walk()


@dataclasses.dataclass
class Machine:
    name: str
    model: str
    sockets: int
    cores: int
    threads: int
    memory: int  # bytes of a socket
    gpudirect: list
    iommu: str
    gpu: dict  # what a GPU is; None without GPUs
    hca: dict
    roots: list = dataclasses.field(default_factory=list)

    def nodes(self):
        for root in self.roots:
            yield from root.walk()

    def gpus(self):
        return [node for node in self.nodes() if node.kind == GPU]

    def hcas(self):
        return [node for node in self.nodes() if node.kind == HCA]


@dataclasses.dataclass(frozen=True)
class SwitchModel:
    model: str
    ports: int
    vendor_id: int
    device_id: int


class _Tree:
    """Builds the tree of one machine, counting buses and devices."""

    def __init__(self, machine, switch, root_port):
        self.machine, self.switch, self.root_port = machine, switch, root_port
        self.counts = {GPU: 0, HCA: 0}
        self.bus = 0

    def root(self, table):
        socket = table.number("socket", 0, self.machine.sockets - 1)
        try:
            low, high = (int(part, 16) for part in table.take("buses", str).split("-"))
        except ValueError:
            table.fail("buses: expected \"00-7f\"")
        root = Node(ROOT, socket, low, first_bus=low, last_bus=high)
        self.bus = low
        for port in table.tables("ports"):
            root.children.append(self.port(port, root))
        if self.bus > high:
            table.fail(f"buses: {self.bus:02x} is needed")
        table.finish()
        return root

    def port(self, table, root):
        slot, lanes = table.number("slot", 0, 31), table.number("lanes", 1, 16)
        holds = table.take("holds", object)
        table.finish()
        node = self.bridge(root, slot, self.root_port, lanes)
        node.children.append(self.thing(table, holds, node))
        node.last_bus = self.bus
        return node

    def bridge(self, above, device, part, lanes, is_switch=False):
        self.bus += 1
        return Node(BRIDGE, above.socket, above.first_bus, device, *part["pci"], lanes=lanes,
                    generation=3, first_bus=self.bus, is_switch=is_switch)

    def thing(self, table, holds, above):
        if holds in (GPU, HCA):
            return self.device(table, holds, above)
        if not isinstance(holds, dict) or list(holds) != ["switch"]:
            table.fail(f"holds: {holds!r} is neither \"gpu\", \"hca\" nor {{ switch = [...] }}")
        upstream = self.bridge(above, 0, self.switch, self.switch["lanes"], is_switch=True)
        for i, below in enumerate(holds["switch"]):
            lanes = self.machine.hca["lanes"] if below == HCA else self.switch["lanes"]
            down = self.bridge(upstream, SWITCH_DEVICE_STEP * (i + 1), self.switch, lanes, True)
            down.is_downstream = True
            down.children.append(self.thing(table, below, down))
            down.last_bus = self.bus
            upstream.children.append(down)
        upstream.last_bus = self.bus
        return upstream

    def device(self, table, kind, above):
        part = self.machine.gpu if kind == GPU else self.machine.hca
        if part is None:
            table.fail(f"holds a {kind} and the machine says none")
        index, self.counts[kind] = self.counts[kind], self.counts[kind] + 1
        return Node(kind, above.socket, above.first_bus, 0, *part["pci"], part["class"],
                    min(part["lanes"], above.lanes), part["generation"], part["model"],
                    index=index)


def _gpu_part(table):
    part = {"pci": table.pci_id("pci"), "class": int(table.take("class", str), 16),
            "model": table.take("model", str), "lanes": table.number("lanes", 1, 16),
            "generation": table.number("generation", 1, 5), "bar1": table.size("bar1"),
            "nvlinks": table.number("nvlinks", 0, 18), "softcuda": table.table("softcuda").rest()}
    table.finish()
    return part


def _hca_part(table):
    part = {"pci": table.pci_id("pci"), "class": int(table.take("class", str), 16),
            "model": table.take("model", str), "lanes": table.number("lanes", 1, 16),
            "generation": table.number("generation", 1, 5), "ports": table.number("ports", 1, 4),
            "device_id": table.number("device_id", 0, 0xffff)}
    table.finish()
    return part


def _bridge_part(table):
    part = {"pci": table.pci_id("pci"), "lanes": table.number("lanes", 1, 16, 16),
            "generation": table.number("generation", 1, 5, 3)}
    table.finish()
    return part


_PARTS = {"gpu": _gpu_part, "hca": _hca_part, "pcie-switch": _bridge_part, "root-port": _bridge_part}


class Catalogue:
    """The profiles of a folder."""

    def __init__(self, folder):
        self.folder = folder

    @functools.cache
    def _part(self, kind, name):
        kinds = Table.load(self.folder / "parts.toml").table(kind)
        return _PARTS[kind](kinds.table(name))

    def is_host(self, name):
        """Parts and switches are no hosts."""
        return "sockets" in Table.load(self.folder / f"{name}.toml").rest()

    @functools.cache
    def machine(self, name):
        table = Table.load(self.folder / f"{name}.toml")
        chosen = {kind: table.take(kind, str, "") for kind in _PARTS}
        parts = {kind: self._part(kind, part) if part else None for kind, part in chosen.items()}
        for kind in ("hca", "pcie-switch", "root-port"):
            if parts[kind] is None:
                table.fail(f"{kind} is missing")
        machine = Machine(
            name, table.take("model", str), table.number("sockets", 1, 8),
            table.number("cores", 1, 64), table.number("threads", 1, 8), table.size("memory"),
            table.take("gpudirect", list), table.choice("iommu", ("off", "passthrough", "on")),
            parts["gpu"], parts["hca"])
        tree = _Tree(machine, parts["pcie-switch"], parts["root-port"])
        machine.roots = [tree.root(root) for root in table.tables("root")]
        table.finish()
        return machine

    @functools.cache
    def switch(self, name):
        table = Table.load(self.folder / f"{name}.toml")
        model = SwitchModel(table.take("model", str), table.number("ports", 1, 254),
                            table.number("vendor_id", 0, 0xffffff),
                            table.number("device_id", 0, 0xffff))
        table.finish()
        return model

