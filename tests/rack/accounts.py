# SPDX-License-Identifier: Apache-2.0
"""Who has which GPU of a soft rack, asked of each that keeps an account, and where they disagree.

The manager's store (rows of SQLite), its API, each agent's file of fence numbers, and each device's own
account (device_accounts.c). Each says a part; disagreements() compares what two of them say.
"""
import json
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile


class Gpu:
    def __init__(self, node, index, fence):
        self.node, self.index, self.fence = node, index, fence

    def __eq__(self, other):
        return vars(self) == vars(other)

    def __repr__(self):
        return f"{self.node}/{self.index} (number {self.fence})"


def of_store(rack):
    """{system: (state, [(host, [uuid])])} and {uuid: Gpu}. The manager has the database for itself: read
    from a copy."""
    manager = next(host for host in rack.hosts if "manager" in host["roles"])
    systems, gpus = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for path in (rack.private(manager) / "state").glob("fabricd.db*"):
            shutil.copy(path, folder)
        database = sqlite3.connect(pathlib.Path(folder) / "fabricd.db")
        rows = database.execute("SELECT key, value FROM entry").fetchall()
        database.close()
    for key, value in rows:
        kind, _, name = key.partition("/")
        if kind == "system":
            row = json.loads(value)
            systems[name] = (row["state"], [(host["node"], host["gpus"]) for host in row["hosts"]])
        elif kind == "gpu":
            row = json.loads(value)
            gpus[name] = Gpu(row["node"], row["index"], row["fence"])
    return systems, gpus


def of_api(api):
    """The same."""
    systems = {}
    for member in api.members("Systems"):
        if member["SystemType"] == "Composed":
            fabric = member["Oem"]["Fabric"]
            systems[member["Id"]] = (fabric["State"], [
                (host["Name"], [gpu["Uuid"] for gpu in host["Gpus"]]) for host in fabric["Hosts"]])
    blocks = [member["Oem"]["Fabric"] for member in api.members("CompositionService/ResourceBlocks")]
    return systems, {block["Uuid"]: Gpu(block["Node"], block["Index"], block["Fence"]) for block in blocks}


def of_agents(rack):
    """{uuid: (lowest number that is served, number whose bytes may be in its memory or 0)}"""
    found = {}
    for host in rack.hosts:
        path = rack.private(host) / "state" / "fences"
        for line in path.read_text().splitlines() if path.exists() else []:
            uuid, floor, dirty = line.split()
            found[uuid] = (int(floor), int(dirty))
    return found


def of_devices(rack):
    """{uuid: (bytes in use, processes)}"""
    program = rack.bin.parent / "tests" / "device_accounts"
    asked = []
    for host in rack.hosts:
        if host["gpus"]:
            asked.append((host, subprocess.Popen(rack.on(host["name"], program), env=rack.driver_of(host),
                                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                                 text=True)))
    found = {}
    for host, process in asked:
        text = process.communicate()[0]
        if process.returncode != 0:
            raise OSError(f"{program.name} on {host['name']}: {text}")
        for line in text.splitlines():
            uuid, used, processes = line.split()
            found[uuid] = (int(used), int(processes))
    return found


def disagreements(rack, api):
    """None, or a text. Holds for a rack that is at rest: nothing is being made, checked or deleted."""
    systems, gpus = of_store(rack)
    said_systems, said_gpus = of_api(api)
    agents, devices = of_agents(rack), of_devices(rack)
    if systems != said_systems:
        return f"systems: the store has {systems}, the API says {said_systems}"
    if gpus != said_gpus:
        return f"GPUs: the store has {gpus}, the API says {said_gpus}"
    if gpus.keys() != devices.keys():
        return f"GPUs: the store has {sorted(gpus)}, there are {sorted(devices)}"
    owner, wrong = {}, []
    for name, (_, hosts) in systems.items():
        for uuid in (uuid for _, uuids in hosts for uuid in uuids):
            if uuid in owner:
                wrong.append(f"{gpus[uuid]}: of {owner[uuid]} and of {name}")
            owner[uuid] = name
    for uuid, gpu in gpus.items():
        floor, dirty = agents.get(uuid, (0, 0))
        used, processes = devices[uuid]
        if uuid in owner:
            if floor != gpu.fence or dirty not in (0, gpu.fence):
                wrong.append(f"{gpu} of {owner[uuid]}: its agent serves {floor}, memory is of {dirty}")
        else:
            if floor > gpu.fence + 1 or dirty:
                wrong.append(f"{gpu}, nobody's: its agent serves {floor}, memory is of {dirty}")
            if used or processes:
                wrong.append(f"{gpu}, nobody's: its device has {used} bytes in use, {processes} processes")
    return "; ".join(wrong) or None
