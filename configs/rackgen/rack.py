# SPDX-License-Identifier: Apache-2.0
"""A rack description (configs/racks), made into hosts, switches and cables with GUIDs and names."""
import dataclasses
import fnmatch
import pathlib

from .machine import Catalogue, Machine, SwitchModel
from .table import Table

WIDTHS = ("1x", "4x", "8x", "12x")
SPEEDS = ("sdr", "ddr", "qdr", "fdr", "edr", "hdr")
HOSTS_MAX, SWITCHES_MAX = 4096, 1024
# Addresses of two Mellanox blocks; anything else that is unique would do.
HCA_GUID, HCA_GUID_STEP, SYSTEM_GUID_OFFSET = 0xe41d2d0300b00000, 0x10, 3
SWITCH_GUID, SWITCH_GUID_STEP = 0xf4521403000a0000, 0x100


def guid_text(guid):
    """As /sys and hwloc write it."""
    text = f"{guid:016x}"
    return ":".join(text[i:i + 4] for i in range(0, 16, 4))


@dataclasses.dataclass
class Hca:
    name: str  # mlx4_0
    host: str
    guid: int
    node: object  # its place in the machine's PCIe tree
    ports: int
    device_id: int
    cables: dict = dataclasses.field(default_factory=dict)  # port -> (end, port)
    rails: dict = dataclasses.field(default_factory=dict)  # port -> rail

    @property
    def id(self):
        return f"{self.host}/{self.name}"

    @property
    def system_guid(self):
        return self.guid + SYSTEM_GUID_OFFSET

    @property
    def description(self):
        return f"{self.host} {self.name}"


@dataclasses.dataclass
class Switch:
    name: str
    model: SwitchModel
    guid: int
    cables: dict = dataclasses.field(default_factory=dict)

    @property
    def id(self):
        return self.name

    @property
    def ports(self):
        return self.model.ports

    @property
    def description(self):
        return f"MF0;{self.name}:{self.model.model}/U1"


@dataclasses.dataclass
class Host:
    index: int  # from 1
    name: str
    machine: Machine
    hcas: list
    roles: list = dataclasses.field(default_factory=list)
    rails: int = 0


class Rack:
    def __init__(self, name, width, speed, where):
        self.name, self.width, self.speed, self.where = name, width, speed, where
        self.hosts, self.switches = [], []
        self.names, self.hca_count = set(), 0

    def add_name(self, name, where):
        if name in self.names:
            where.fail(f"two things are named {name}")
        self.names.add(name)

    def add_switch(self, name, model, where):
        self.add_name(name, where)
        guid = SWITCH_GUID + SWITCH_GUID_STEP * len(self.switches)
        self.switches.append(Switch(name, model, guid))
        return self.switches[-1]

    def add_host(self, name, machine, where):
        self.add_name(name, where)
        if len(self.hosts) == HOSTS_MAX:
            where.fail(f"more than {HOSTS_MAX} hosts")
        hcas = [Hca(f"mlx4_{node.index}", name, HCA_GUID + HCA_GUID_STEP * (self.hca_count + node.index),
                    node, machine.hca["ports"], machine.hca["device_id"])
                for node in machine.hcas()]
        self.hca_count += len(hcas)
        self.hosts.append(Host(len(self.hosts) + 1, name, machine, hcas))
        return self.hosts[-1]

    def find_switch(self, name, where):
        for switch in self.switches:
            if switch.name == name:
                return switch
        where.fail(f"no switch is named {name}")
        return None


def link(end, port, other, other_port):
    end.cables[port] = (other, other_port)
    other.cables[other_port] = (end, port)


def free_port(switch, where):
    for port in range(1, switch.ports + 1):
        if port not in switch.cables:
            return port
    where.fail(f"{switch.name} has no free port")
    return None


def cable_host(rack, host, cables, where):
    """Each "HCA:PORT SWITCH" is the host's next rail."""
    for rail, text in enumerate(cables):
        try:
            end, switch_name = text.split()
            hca_name, port = end.split(":")
            hca = next(hca for hca in host.hcas if hca.name == hca_name)
            port = int(port)
        except (AttributeError, StopIteration, ValueError):
            where.fail(f"cables: {text!r}: expected \"HCA:PORT SWITCH\" with an HCA of this machine")
        if not 1 <= port <= hca.ports or port in hca.cables:
            where.fail(f"cables: {text!r}: {hca.id} has no such free port")
        switch = rack.find_switch(switch_name, where)
        link(hca, port, switch, free_port(switch, where))
        hca.rails[port] = rail
    host.rails = len(cables)


def _numbered(table, separator, limit):
    """NAME, or with a count NAME followed by first, first + 1 ..."""
    name, count = table.name("name"), table.number("count", 0, limit, 0)
    first = table.number("first", 0, limit, 1)
    return [f"{name}{separator}{i}" for i in range(first, first + count)] if count else [name]


def _read_switches(rack, table, catalogue):
    for entry in table.tables("switch"):
        model = catalogue.switch(entry.take("machine", str))
        for name in _numbered(entry, "", SWITCHES_MAX):
            rack.add_switch(name, model, entry)
        entry.finish()


def _read_hosts(rack, table, catalogue):
    for entry in table.tables("host"):
        machine, cables = catalogue.machine(entry.take("machine", str)), entry.take("cables", list)
        for name in _numbered(entry, "-", HOSTS_MAX):
            cable_host(rack, rack.add_host(name, machine, entry), cables, entry)
        entry.finish()


def _read_trunks(rack, table):
    for entry in table.tables("trunk"):
        between, cables = entry.take("between", list), entry.number("cables", 1, 36)
        if len(between) != 2:
            entry.fail("between: expected two names or patterns of switches")
        sides = [[switch for switch in rack.switches if fnmatch.fnmatchcase(switch.name, pattern)]
                 for pattern in between]
        if not all(sides):
            entry.fail("between: no such switches")
        for left in sides[0]:
            for right in sides[1]:
                for _ in range(cables):
                    link(left, free_port(left, entry), right, free_port(right, entry))
        entry.finish()


def load(path, machines):
    """The rack that a description says."""
    path = pathlib.Path(path)
    table = Table.load(path)
    rack = Rack(path.stem, table.choice("width", WIDTHS), table.choice("speed", SPEEDS), str(path))
    catalogue = Catalogue(pathlib.Path(machines))
    _read_switches(rack, table, catalogue)
    _read_hosts(rack, table, catalogue)
    _read_trunks(rack, table)
    manager = table.take("manager", str)
    table.finish()
    for host in rack.hosts:
        host.roles = ["agent"]
        if host.name == manager:
            host.roles = ["manager", "agent", "fabric"]
    if not any("manager" in host.roles for host in rack.hosts):
        table.fail(f"manager: no host is named {manager}")
    return rack


LEAVES_A_POD = 18  # of a 36-port switch: half down, half up


def big(c4130, r730, racks, machines):
    """Many racks: two leaves each (one a rail), pods of 18 leaves and 18 spines, 18 core switches
    when there is more than one pod. Every host has a dual-port HCA."""
    catalogue = Catalogue(pathlib.Path(machines))
    where = Table({}, f"big {c4130} {r730} {racks}")
    if c4130 + r730 > LEAVES_A_POD or not 1 <= racks <= 99:
        where.fail(f"at most {LEAVES_A_POD} hosts a rack and 99 racks")
    rack = Rack("big", "4x", "fdr", where.where)
    model = catalogue.switch("sx6036")
    leaves = []
    for number in range(1, racks + 1):
        mine = [rack.add_switch(f"r{number:02d}-leaf{rail}", model, where) for rail in (1, 2)]
        leaves += mine
        for kind, machine, count in (("r730", "r730", r730), ("c4130", "c4130-c", c4130)):
            for i in range(1, count + 1):
                host = rack.add_host(f"r{number:02d}-{kind}-{i}", catalogue.machine(machine), where)
                cable_host(rack, host, [f"mlx4_0:{rail + 1} {mine[rail].name}" for rail in (0, 1)],
                           where)
    spines = [_add_pod(rack, pod, leaves, model, where)
              for pod in range(-(-len(leaves) // LEAVES_A_POD))]
    if len(spines) > 1:
        _add_core(rack, spines, model, where)
    for host in rack.hosts:
        host.roles = ["agent"]
    rack.hosts[0].roles = ["manager", "agent", "fabric"]
    return rack


def _add_pod(rack, pod, leaves, model, where):
    spines = [rack.add_switch(f"pod{pod + 1}-spine{i + 1}", model, where)
              for i in range(LEAVES_A_POD)]
    for spine in spines:
        for leaf in leaves[pod * LEAVES_A_POD:(pod + 1) * LEAVES_A_POD]:
            link(leaf, free_port(leaf, where), spine, free_port(spine, where))
    return spines


def _add_core(rack, pods, model, where):
    cores = [rack.add_switch(f"core{i + 1}", model, where) for i in range(LEAVES_A_POD)]
    ups = min(4, model.ports // len(pods))
    for spines in pods:
        for j, spine in enumerate(spines):
            for up in range(ups):
                core = cores[(j * ups + up) % len(cores)]
                link(spine, free_port(spine, where), core, free_port(core, where))
