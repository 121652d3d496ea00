#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Workers that wait for a program (worker.warm), on a rack: a program is served by them, over the rails that they
had open before it came; and while a node's rail has no link they are others, without it, as are programs.

    test_warm.py [--bin DIR] [--program EVERY_GPU] [--seed N] [RACK]

What a worker has open is read from the kernel: its sockets, by their inodes.
"""
import os
import pathlib
import socket
import struct
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import soft_rack  # noqa: E402
from soft_rack import RackError  # noqa: E402

WARM = 2
WAIT_S = 90  # generous, only so that nothing hangs for ever
LISTEN, ESTABLISHED = "0A", "01"


def sockets_of(pid):
    """{inode: (state, local address, local port)} of a process's TCP sockets; {} where it has ended."""
    try:
        links = [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
        lines = pathlib.Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    except OSError:
        return {}
    own = {link[8:-1] for link in links if link.startswith("socket:[")}
    found = {}
    for fields in map(str.split, lines):
        if fields[9] in own:
            address, port = fields[1].split(":")
            found[fields[9]] = (fields[3], socket.inet_ntoa(struct.pack("=I", int(address, 16))), int(port, 16))
    return found


def listening(sockets):
    return {inode for inode, (state, _, _) in sockets.items() if state == LISTEN}


class Warm:
    """`count`: of workers that wait on each node."""

    def __init__(self, rack, program=None, count=WARM):
        self.rack, self.program, self.count = rack, program, count
        self.host = rack.hosts[0]["name"]
        self.gpus = sum(host["gpus"] for host in rack.hosts)
        self.rails = {}  # of each node with GPUs: its addresses
        self.spaces = {}  # network namespaces: their nodes
        for host in rack.hosts:
            if host["gpus"]:
                self.rails[host["name"]] = host["NODE_ADDRESSES"].split(",")
                self.spaces[os.stat(rack.run / f"{host['name']}.net").st_ino] = host["name"]

    def workers(self):
        """{node: {pid: its sockets}}"""
        found = {node: {} for node in self.rails}
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and (entry / "comm").read_text() == "gpu-worker\n" and \
                        b"\0--c" not in (entry / "cmdline").read_bytes():  # --check, --clear
                    node = self.spaces[os.stat(entry / "ns/net").st_ino]
                    found[node][int(entry.name)] = sockets_of(entry.name)
            except OSError:
                pass  # it has ended
        return found

    def wait(self, what, find):
        """The first true value."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            value = find()
            if value:
                return value
            time.sleep(0.05)
        raise RackError(f"never: {what}; workers: {self.workers()}")

    def ready(self, but=(), without=None):
        """All that wait, as workers() says it, when each node has them with all its rails open, and none is of `but`.
        `without`: an address that none has open."""
        workers = self.workers()
        for node, found in workers.items():
            wanted = {address for address in self.rails[node] if address != without}
            if len(found) != self.count or any(pid in but for pid in found):
                return None
            for sockets in found.values():
                if {address for state, address, _ in sockets.values() if state == LISTEN} != wanted:
                    return None
        return workers

    def start(self):
        return subprocess.Popen(self.rack.on(self.host, self.rack.bin / "compose", "run", "-s", "warm", "--",
                                             self.program, 1024, 100000),
                                env=self.rack.environment(), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def serving(self, before, without=None):
        """{node: pid} when of each node one of those before carries data over all rails, by ports that it had open."""
        serving, workers = {}, self.workers()
        for node, found in before.items():
            wanted = {address for address in self.rails[node] if address != without}
            for pid, sockets in found.items():
                ports = {port for state, _, port in sockets.values() if state == LISTEN}
                now = workers[node].get(pid, {})
                used = {address for state, address, port in now.values() if state == ESTABLISHED and port in ports}
                if used == wanted and listening(sockets) <= listening(now):
                    serving[node] = pid
        return serving if len(serving) == len(before) else None

    def run(self, before, without=None):
        """A program on what waits."""
        program = self.start()
        try:
            serving = self.wait("a program on workers that waited, over the rails that they had open",
                                lambda: self.serving(before, without) or program.poll() is not None)
            if serving is True:
                raise RackError(f"the program ended: {program.stdout.read()}")
        finally:
            program.kill()
            program.wait()
            program.stdout.close()
        done = subprocess.run(self.rack.on(self.host, self.rack.bin / "compose", "run", "-s", "warm", "--", self.program),
                              env=self.rack.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=WAIT_S, check=False)
        if done.stdout != f"{self.gpus} GPUs computed right\n":
            raise RackError(f"a program: {done.returncode}: {done.stdout}{done.stderr}")
        return set(serving.values())

    def set_link(self, number, rail, state):
        subprocess.run(["nsenter", f"--net={self.rack.run}/switch{rail}.net", "ip", "link", "set", f"p{number}", state],
                       check=True)

    def all(self):
        status, _, text = self.rack.api(self.rack.hosts[0]).create("warm", self.host, self.gpus)
        if status != 201:
            raise RackError(f"create: HTTP status {status}: {text.decode()}")
        used = self.run(self.wait("workers that wait", self.ready))
        # A rail of one node loses its link, and has it again.
        number, node = next((i + 1, host["name"]) for i, host in enumerate(self.rack.hosts) if host["gpus"])
        lost = self.rails[node][1]
        for state, without in (("down", lost), ("up", None)):
            before = self.wait("workers that wait", lambda: self.ready(used, lost if state == "up" else None))
            self.set_link(number, 1, state)
            after = self.wait(f"other workers of {node}, rail {state}", lambda: self.ready({*before[node], *used}, without))
            if any(set(after[other]) != set(before[other]) for other in after if other != node):
                raise RackError(f"workers of other nodes are others: {before}, then {after}")
            used |= self.run(after, without)
        status = self.rack.api(self.rack.hosts[0]).delete("warm")[0]
        if status != 204 or any(self.workers().values()):
            raise RackError(f"delete: HTTP status {status}; workers: {self.workers()}")
        return f"{len(used)} workers that waited were used"


if __name__ == "__main__":
    os.environ["RACK_WARM"] = str(WARM)
    sys.exit(soft_rack.seeded(__file__, __doc__, lambda rack, given: Warm(rack, given.program).all(),
                              program=str(soft_rack.TOP / "build/release/tests/every_gpu")))
