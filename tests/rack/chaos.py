#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Chaos on a rack in software: everything is killed or cut at any moment, and nothing may be lost.

    chaos.py [--bin DIR] [--program EVERY_GPU] [--seed N] [--seconds S | --rounds N] [RACK]

A round does a few things at once: systems are made, used and deleted by two users' worth of commands,
while daemons, workers and programs are killed (-9), rails are cut and cables of the simulated fabric are
pulled. Then all is mended, and must agree: every system can be deleted, every GPU is free again and in
the hands of nobody, no worker and no zombie is left; the next system of all GPUs computes right; and with it,
and when it is gone, store, API, agents and the devices' own accounts say the same (accounts.py). Prints its
seed; exit status 0, 1 with what was wrong, 77 with a reason.
"""
import http.client
import json
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
import accounts  # noqa: E402
import soft_rack  # noqa: E402
from soft_rack import RackError  # noqa: E402

SETTLE_S = 60  # for anything to become as it should: generous, only so that nothing hangs for ever
PROGRAM_S = 60


class Chaos:
    def __init__(self, rack, seed, program):
        self.rack, self.random, self.program = rack, random.Random(seed), program
        self.hosts = [host["name"] for host in rack.hosts if not host["gpus"]]
        self.nodes = [host["name"] for host in rack.hosts]
        self.gpus = sum(host["gpus"] for host in rack.hosts)
        self.api = rack.api(rack.hosts[0])
        self.counts, self.cut = {}, []
        self.lock = threading.Lock()
        self.systems = 0

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    # ---- what users do

    def compose(self, host, *arguments, limit_s=PROGRAM_S):
        try:
            done = subprocess.run(self.rack.on(host, self.rack.bin / "compose", *arguments),
                                  capture_output=True, text=True, timeout=limit_s, check=False,
                                  stdin=subprocess.DEVNULL, env=self.rack.environment())
        except subprocess.TimeoutExpired as error:
            raise RackError(f"compose {' '.join(arguments)} on {host} does not end") from error
        # A status below 0: it was one of those that we kill.
        if done.returncode > 1 and arguments[0] != "run":
            raise RackError(f"compose {' '.join(arguments)}: exit status {done.returncode}: {done.stderr}")
        return done

    def user(self, pick):
        """Makes a system, runs programs on it, deletes it; any of these may fail, none may hang."""
        host = pick.choice(self.hosts)
        count = pick.choice([1, 2, 4, 8])
        if pick.random() < 0.4:
            self.count("ad hoc")
            self.compose(host, "run", "--gpus", str(count), "--", str(self.program))
            return
        with self.lock:
            self.systems += 1
            name = f"chaos-{self.systems}"
        made = self.compose(host, "create", "--gpus", str(count), "--host", host, "--name", name,
                            *(["--wait", "5s"] if pick.random() < 0.5 else []))
        self.count("created" if made.returncode == 0 else "not created")
        if made.returncode == 0:
            for _ in range(pick.randrange(3)):
                ran = self.compose(host, "run", "-s", name, "--", str(self.program))
                self.count("ran" if ran.returncode == 0 else "program failed")
        if pick.random() < 0.8:
            self.compose(pick.choice(self.nodes), "delete", name)

    # ---- what befalls them

    def processes(self, *names):
        """Pids of the rack's processes of these names; all processes here are the rack's."""
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if (path / "comm").read_text().strip() in names:
                    found.append(int(path.name))
            except OSError:
                pass
        return found

    def kill(self, pick, *names):
        pids = self.processes(*names)
        if pids:
            self.count(f"kill {names[0]}")
            try:
                os.kill(pick.choice(pids), signal.SIGKILL)
            except ProcessLookupError:
                pass

    def kill_daemon(self, pick):
        name = pick.choice(sorted(self.rack.daemons))
        self.count("kill manager" if name.endswith("manager") else "kill agent")
        self.rack.kill_daemon(name)
        time.sleep(pick.random())  # how long it is away
        self.rack.restart_daemon(name)

    def cut_rail(self, pick):
        number, rail = pick.randrange(len(self.nodes)) + 1, pick.randrange(2)
        self.count("cut rail")
        self.set_rail(number, rail, "down")
        time.sleep(pick.random())
        self.set_rail(number, rail, "up")

    def set_rail(self, number, rail, state):
        subprocess.run(["nsenter", f"--net={self.rack.run}/switch{rail}.net", "ip", "link", "set",
                        f"p{number}", state], check=True)

    def unplug(self, pick):
        if not self.rack.fabric:
            return
        self.count("unplug")
        node = f'"{pick.choice(self.nodes)}/mlx4_0"[1]'
        self.rack.fabric.console(f"Unlink {node}")
        time.sleep(pick.random())
        self.rack.fabric.console(f"Relink {node}")

    def blow(self, pick):
        pick.choice([self.kill_daemon, self.cut_rail, self.unplug,
                     lambda pick: self.kill(pick, "gpu-worker"),
                     lambda pick: self.kill(pick, "every_gpu"),
                     lambda pick: self.kill(pick, "compose")])(pick)

    # ---- a round, and what must hold after it

    def round(self):
        failures = []

        def act(doing, seed, times):
            pick = random.Random(seed)
            try:
                for _ in range(times):
                    doing(pick)
            except Exception as error:  # of a thread: told by the round
                failures.append(error)

        threads = [threading.Thread(target=act, args=(self.user, self.random.random(), 2)) for _ in range(3)]
        blows = threading.Thread(target=act, args=(self.blow, self.random.random(),
                                                   self.random.randrange(1, 5)))
        for thread in (*threads, blows):
            thread.start()
        for thread in (*threads, blows):
            thread.join()
        if failures:
            raise failures[0]
        self.settle()

    def wait(self, holds, what):
        end = time.monotonic() + SETTLE_S
        while (wrong := holds()) is not None:
            if time.monotonic() > end:
                raise RackError(f"{what}: {wrong}")
            time.sleep(0.05)

    def settle(self):
        first = self.hosts[0]
        self.wait(lambda: self.not_deleted(first), "systems do not go")
        self.wait(lambda: self.not_free(first), "GPUs do not come back")
        self.wait(lambda: f"{left} workers" if (left := len(self.processes("gpu-worker"))) else None,
                  "workers are left")
        self.wait(self.zombies, "zombies are left")
        self.wait(self.device_memory, "the API shows memory in use")
        self.agree("nothing is composed")
        made = self.compose(first, "create", "--gpus", str(self.gpus), "--host", first, "--name", "after",
                            "--wait", "20s")
        if made.returncode != 0:
            raise RackError(f"the next create fails: {made.stderr}")
        ran = self.compose(first, "run", "-s", "after", "--", str(self.program))
        if ran.returncode != 0:
            raise RackError(f"a program on the next system fails: {ran.stdout}{ran.stderr}")
        self.agree("all is composed")
        gone = self.compose(first, "delete", "after")
        if gone.returncode != 0:
            raise RackError(f"the next delete fails: {gone.stderr}")
        self.agree("the next system is gone")

    def agree(self, when):
        def holds():
            try:
                return accounts.disagreements(self.rack, self.api)
            except (OSError, http.client.HTTPException, sqlite3.Error) as error:
                return f"asking failed: {error!r}"

        self.wait(holds, f"accounts differ when {when}")

    def prove(self):
        """That a device's account shows who uses it: otherwise its emptiness would prove nothing."""
        host = self.hosts[0]
        made = self.compose(host, "create", "--gpus", str(self.gpus), "--host", host, "--name", "proof")
        if made.returncode != 0:
            raise RackError(f"the first create fails: {made.stderr}")
        program = subprocess.Popen(
            self.rack.on(host, self.rack.bin / "compose", "run", "-s", "proof", "--", self.program, "256",
                         str(1 << 30)),
            env=self.rack.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)

        def shown():
            unused = [uuid for uuid, (used, processes) in accounts.of_devices(self.rack).items()
                      if not used or not processes]
            return f"{unused} seem unused" if unused else None

        try:
            self.wait(shown, "devices do not show their use")
        finally:
            self.compose(host, "delete", "proof")
            program.kill()
            program.wait()

    def listed(self, host, *arguments):
        """Rows, or the error as a text."""
        done = self.compose(host, *arguments, "--json")
        if done.returncode != 0:
            return done.stderr.strip()
        rows = json.loads(done.stdout)
        return next(iter(rows.values())) if isinstance(rows, dict) else rows

    def not_deleted(self, host):
        rows = self.listed(host, "list")
        if isinstance(rows, str):
            return rows
        for row in rows:
            self.compose(host, "delete", row["name"])
        return f"{[row['name'] for row in rows]}" if rows else None

    def not_free(self, host):
        rows = self.listed(host, "gpu", "list")
        if isinstance(rows, str):
            return rows
        others = [f"{row['node']}/{row['index']} {row['state']} ({row.get('reason', '')})"
                  for row in rows if row["state"] != "free"]
        if len(rows) != self.gpus:
            return f"{len(rows)} GPUs are listed, there are {self.gpus}"
        return ", ".join(others) or None

    @staticmethod
    def zombies():
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                if path.read_text().rsplit(")", 1)[1].split()[0] == "Z":
                    found.append(path.read_text()[:60])
            except OSError:
                pass
        return ", ".join(found) or None

    def device_memory(self):
        """As the API shows it; what is not known (-1) is not 0."""
        rows = self.listed(self.hosts[0], "gpu", "list")
        if isinstance(rows, str):
            return rows
        used = [f"{row['node']}/{row['index']}: {row['used_bytes']} bytes" for row in rows
                if row["used_bytes"] != 0]
        return ", ".join(used) or None


def work(rack, given):
    chaos = Chaos(rack, given.seed, pathlib.Path(given.program).resolve())
    chaos.prove()
    end, rounds = time.monotonic() + given.seconds, 0
    while rounds < given.rounds if given.rounds else rounds == 0 or time.monotonic() < end:
        try:
            chaos.round()
        except Exception as error:
            raise RackError(f"round {rounds + 1}: {error}") from error
        rounds += 1
    return f"{rounds} rounds; " + ", ".join(f"{what} {count}" for what, count in sorted(chaos.counts.items()))


if __name__ == "__main__":
    sys.exit(soft_rack.seeded(__file__, __doc__, work, seconds=60, rounds=0,
                              program=str(soft_rack.TOP / "build" / "release" / "tests" / "every_gpu")))
