# SPDX-License-Identifier: Apache-2.0
"""A fabric as two programs see it: fabric_probe (ours) and ibnetdiscover. Things have the names of the
rack: "leaf1", "c4130-1/mlx4_0"; a port is (name, number)."""
import dataclasses
import re

DOWN, INIT, ACTIVE, UNKNOWN = 1, 2, 4, 0
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
                 facts["lane"]) for port, facts in self.ports.items() if facts["peer"]}


def _pairs(words):
    return {key: int(value, 16) if key in ("system", "vendor", "guid") else
            value if ":" in value else int(value) for key, value in zip(words[::2], words[1::2])}


def from_probe(text):
    fabric, names = Fabric({}, {}, {}), {}
    for line in text.splitlines():
        kind, guid, rest = line.split(" ", 2)
        if kind == "node":
            facts, description = rest.split(" description ", 1)
            names[guid] = name_of(description)
            if names[guid] in fabric.nodes:
                raise ValueError(f"two nodes are named {names[guid]}")
            fabric.nodes[names[guid]] = {"guid": int(guid, 16), **_pairs(facts.split())}
        else:
            facts = _pairs(rest.split())
            port = (names[guid], facts.pop("number"))
            peer = facts.pop("peer", None)
            if peer:
                peer_guid, number = peer.split(":")
                peer = (names[peer_guid], int(number))
            counters = {key: facts.pop(key) for key in COUNTERS if key in facts}
            fabric.ports[port] = {**facts, "peer": peer}
            if counters:
                fabric.counters[port] = counters
    return fabric


COUNTERS = ("symbol", "downed", "recoveries", "receive", "discards", "wait", "sent", "received")
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
