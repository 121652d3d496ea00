# SPDX-License-Identifier: Apache-2.0
"""The fabric as a netlist for ibsim (the format of ibnetdiscover), and a check of any such list."""
import re

WIDTH_BITS = {"1x": 1, "4x": 2, "8x": 4, "12x": 8}
SPEED_BITS = {"sdr": (1, 0), "ddr": (3, 0), "qdr": (7, 0), "fdr": (7, 1), "edr": (7, 3), "hdr": (7, 7)}
VENDOR = 0x2c9


def emit(rack):
    """One text. Hosts come first: ibsim attaches clients that say nothing to the first node."""
    widest, (speed, extended) = WIDTH_BITS[rack.width], SPEED_BITS[rack.speed]
    lines = [f"# rack {rack.name}: generated from {rack.where}", f"width={1 | widest}",
             f"speed={speed}", f"extspeed={extended}", ""]
    for host in rack.hosts:
        for hca in host.hcas:
            lines += _node(hca, "Hca", VENDOR, hca.device_id, hca.system_guid, "caguids")
    for switch in rack.switches:
        lines += _node(switch, "Switch", switch.model.vendor_id, switch.model.device_id,
                       switch.guid, "switchguids")
    return "\n".join(lines)


def _node(end, kind, vendor, device, system_guid, guid_key):
    # "enhanced port 0": a switch's management port counts errors as a port does.
    tail = " enhanced port 0" if kind == "Switch" else ""
    lines = [f"vendid={vendor:#x}", f"devid={device}", f"sysimgguid={system_guid:#x}",
             f"{guid_key}={end.guid:#x}",
             f"{kind}\t{end.ports} \"{end.id}\"\t\t# \"{end.description}\"{tail}"]
    for port in sorted(end.cables):
        other, other_port = end.cables[port]
        lines.append(f"[{port}]\t\"{other.id}\"[{other_port}]")
    return lines + [""]


GUID_LINE = re.compile(r"^(?:ca|switch|rt)guids=(0x[0-9a-fA-F]+)")
NODE_LINE = re.compile(r"^(Switch|Hca|Ca|Rt)\s+(\d+)\s+\"([^\"]+)\"")
PORT_LINE = re.compile(r"^\[(\d+)\](?:\([0-9a-fA-F]+\))?\s+\"([^\"]+)\"\[(\d+)\]")


def problems(text):
    """What a simulator would take without a word, or refuse with an odd one: a GUID twice (it merges
    the two nodes), a node twice, a cable with one end, a port beyond the last. Yields sentences."""
    guids, ports, cables = {}, {}, {}
    guid = node = None
    for line in text.splitlines():
        if match := GUID_LINE.match(line):
            guid = int(match[1], 16)
        elif match := NODE_LINE.match(line):
            node = match[3]
            if node in ports:
                yield f"two nodes are named {node}"
            ports[node] = int(match[2])
            if guid is None:
                yield f"{node} has no GUID"
            elif guid in guids:
                yield f"{node} and {guids[guid]} have the same GUID {guid:#018x}"
            guids[guid] = node
            guid = None
        elif match := PORT_LINE.match(line):
            end = (node, int(match[1]))
            if end in cables:
                yield f"{node}[{match[1]}] has two cables"
            cables[end] = (match[2], int(match[3]))
        elif not line.strip():
            node = None
    if not ports:
        yield "no node"
    yield from _cable_problems(ports, cables)


def _cable_problems(ports, cables):
    for (node, port), (other, other_port) in cables.items():
        if node not in ports or not 1 <= port <= ports[node]:
            yield f"{node}[{port}]: there is no such port"
        if other not in ports:
            yield f"{node}[{port}] leads to {other}, which is not there"
        elif cables.get((other, other_port)) != (node, port):
            yield f"{node}[{port}] leads to {other}[{other_port}], which does not lead back"
