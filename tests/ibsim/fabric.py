# SPDX-License-Identifier: Apache-2.0
"""A fabric as two programs see it: fabric-sweep (ours) and ibnetdiscover. Things have the names of the
rack: "leaf1", "c4130-1/mlx4_0"; a port is (name, number)."""
import dataclasses
import json
import re

DOWN, INIT, ACTIVE, UNKNOWN = "down", "init", "active", "unknown"
NO_GUID = "0x0000000000000000"
LANE_MBPS = {"SDR": 250, "DDR": 500, "QDR": 1000, "FDR": 1704, "EDR": 3125}


def name_of(description):
    """"MF0;leaf1:SX6036/U1" -> "leaf1", "r730-1 mlx4_0" -> "r730-1/mlx4_0"."""
    match = re.fullmatch(r"MF0;([^:]+):.*", description)
    return match[1] if match else description.replace(" ", "/")


@dataclasses.dataclass
class Fabric:
    nodes: dict  # name -> {guid, kind, ...}
    ports: dict  # (name, number) -> {state, width, ..., peer: (name, number) or None}
    counters: dict  # (name, number) -> {symbol, downed, ...}, where they were read

    def links(self):
        """{(port, peer, lid, width, lane)}, both directions; a switch's ports have its LID."""
        return {(port, facts["peer"], facts["lid"] or self.nodes[port[0]]["lid"], facts["width"],
                 facts["lane_mbps"]) for port, facts in self.ports.items() if facts["peer"]}


def from_sweep(text):
    """Of fabric-sweep's output."""
    sweep = json.loads(text)
    names = [name_of(node["description"]) for node in sweep["nodes"]]
    if len(set(names)) != len(names):
        raise ValueError("two nodes have the same name")
    ends = [(names[port["node"]], port["number"]) for port in sweep["ports"]]
    fabric = Fabric({name: {key: node[key] for key in NODE_FACTS}
                     for name, node in zip(names, sweep["nodes"])}, {}, {})
    for end, port in zip(ends, sweep["ports"]):
        peer = None if port["peer"] < 0 else ends[port["peer"]]
        fabric.ports[end] = {key: port[key] for key in PORT_FACTS} | {"peer": peer}
        if port["has_counters"]:
            fabric.counters[end] = {key: port[key] for key in COUNTERS}
    return fabric


NODE_FACTS = ("kind", "guid", "system_guid", "vendor", "device", "lid", "port_count")
PORT_FACTS = ("guid", "lid", "lmc", "state", "is_polling", "width", "lane_mbps", "enabled_mbps")
COUNTERS = ("symbol_errors", "link_downed", "link_recoveries", "receive_errors", "transmit_discards",
            "transmit_wait", "transmit_bytes", "receive_bytes")
NODE = re.compile(r'^(?:Switch|Ca)\s+\d+ "[SH]-([0-9a-f]+)"\s+# "([^"]*)"(?:.* lid (\d+) lmc)?')
PORT = re.compile(r'^\[(\d+)\](?:\(\w+\))?\s+"[SH]-([0-9a-f]+)"\[(\d+)\]')
SWITCH_END = re.compile(r'# ".*" lid \d+ (\d+)x(\w+)')
HCA_END = re.compile(r'# lid (\d+) lmc \d+ ".*" lid \d+ (\d+)x(\w+)')


def ibnetdiscover_links(text):
    """What Fabric.links() gives, as ibnetdiscover says it."""
    names, rows, node, lid = {}, [], None, 0
    for line in text.splitlines():
        if match := NODE.match(line):
            node, lid = match[1], int(match[3] or 0)
            names[node] = name_of(match[2])
        elif match := PORT.match(line):
            end = HCA_END.search(line)
            words = end.groups() if end else (lid, *SWITCH_END.search(line).groups())
            rows.append((node, int(match[1]), match[2], int(match[3]), int(words[0]), int(words[1]),
                         LANE_MBPS[words[2]]))
    return {((names[node], port), (names[peer], peer_port), *facts)
            for node, port, peer, peer_port, *facts in rows}


def changes(before, after):
    """{name: "gone" or "new"} and {port: {fact: new value}}: all that differs but the counters."""
    nodes = {name: "gone" for name in before.nodes.keys() - after.nodes.keys()} | \
        {name: "new" for name in after.nodes.keys() - before.nodes.keys()}
    ports = {}
    for port in before.ports.keys() & after.ports.keys():
        old, new = before.ports[port], after.ports[port]
        if old != new:
            ports[port] = {fact: new[fact] for fact in new if new[fact] != old[fact]}
    for name in before.nodes.keys() & after.nodes.keys():
        if before.nodes[name] != after.nodes[name]:
            nodes[name] = "changed"
    return nodes, ports
