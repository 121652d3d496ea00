#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The manager is killed (-9) again and again while clients make and delete systems: what was acknowledged holds.

    kill_manager.py [--bin DIR] [--seed N] [--kills N] [RACK]

After each kill and restart: every system whose making was acknowledged is there with the same GPUs, none
whose deletion was acknowledged is, none is there that nobody asked for, and store, API, agents and devices
agree (accounts.py). Of what was in flight either may have become. Prints its seed and counts; exit status
0, 1 with what was wrong, 77 with a reason.
"""
import http.client
import json
import random
import sqlite3
import sys
import threading
import time

sys.dont_write_bytecode = True
import accounts  # noqa: E402
import soft_rack  # noqa: E402
from api import Api  # noqa: E402
from soft_rack import RackError  # noqa: E402

SETTLE_S = 60  # generous, only so that nothing hangs for ever
CLIENTS = 6
OWN_MAX = 2  # systems that a client has at a time
CREATED, GONE = 201, 204
FINAL = {"composed", "failed"}  # states that do not pass by themselves


class Book:
    """What was acknowledged. Thread: any, a name is one client's."""

    def __init__(self):
        self.made = {}  # name: its GPUs; None: made or gone, nobody knows
        self.seen = {"created": 0, "deleted": 0, "full": 0, "in flight": 0}
        self.lock = threading.Lock()

    def count(self, what):
        with self.lock:
            self.seen[what] += 1

    def create(self, api, name, host, gpus):
        """False: the manager is away."""
        self.made[name] = None
        status, _, text = api.create(name, host, gpus)
        if status == CREATED:
            system = json.loads(text)
            self.made[name] = [gpu["Uuid"] for at in system["Oem"]["Fabric"]["Hosts"] for gpu in at["Gpus"]]
            self.count("created")
        elif is_away(status, text):
            return False
        elif status == 503:
            del self.made[name]
            self.count("full")
        else:
            raise RackError(f"create of {name}: HTTP status {status}: {text.decode()}")
        return True

    def delete(self, api, name):
        self.made[name] = None
        status, _, text = api.delete(name)
        if status == GONE:
            del self.made[name]
            self.count("deleted")
        elif is_away(status, text):
            return False
        else:
            raise RackError(f"delete of {name}: HTTP status {status}: {text.decode()}")
        return True

    def compare(self, systems):
        """What is there by name, against what was acknowledged; then it is what is there."""
        for name, gpus in self.made.items():
            if gpus is None:
                self.count("in flight")
            elif name not in systems:
                raise RackError(f"{name} was acknowledged and is not there")
            elif systems[name] != ("composed", gpus):
                raise RackError(f"{name} was acknowledged with {gpus} and is {systems[name]}")
        for name in systems:
            if name not in self.made:
                raise RackError(f"{name} is there: its deletion was acknowledged, or its making refused")
        self.made = {name: gpus for name, (_, gpus) in systems.items()}


def is_away(status, text):
    return status == 503 and b"ManagerAway" in text


class Kills:
    def __init__(self, rack, seed):
        self.rack, self.random, self.book, self.kills = rack, random.Random(seed), Book(), 0
        self.hosts = [host for host in rack.hosts if not host["gpus"]]
        manager = next(host for host in rack.hosts if "manager" in host["roles"])
        self.manager = f"{manager['name']}-manager"
        self.own_socket = rack.private(manager) / "manager" / "api.sock"
        self.api = rack.api(rack.hosts[0])
        self.names = 0

    def client(self, pick, number, mine, failures):
        """Until the manager is away. `mine`: its systems, by name."""
        host = pick.choice(self.hosts)
        # Half of them ask the manager itself, the others their host's agent.
        api = Api(self.own_socket) if number % 2 else self.rack.api(host)
        try:
            for i in range(1 << 30):
                if mine and (len(mine) >= OWN_MAX or pick.random() < 0.5):
                    name = mine.pop(pick.randrange(len(mine)))
                    if not self.book.delete(api, name):
                        return
                else:
                    name = f"kill-{self.kills}-{number}-{i}"
                    if not self.book.create(api, name, host["name"], pick.choice([1, 2, 3])):
                        return
                    if name in self.book.made:
                        mine.append(name)
        except (OSError, http.client.HTTPException):
            return  # the manager died while it answered
        except Exception as error:  # of a thread: told by the round
            failures.append(error)

    def kill(self):
        self.rack.kill_daemon(self.manager)
        self.kills += 1

    def round(self):
        failures, names = [], sorted(self.book.made)
        threads = [threading.Thread(target=self.client, args=(random.Random(self.random.random()), number,
                                                              names[number::CLIENTS], failures))
                   for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        time.sleep(self.random.random())
        self.kill()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        while self.random.random() < 0.3:  # and while it reads what it wrote
            self.rack.restart_daemon(self.manager)
            time.sleep(self.random.random() * 0.2)
            self.kill()
        self.rack.restart_daemon(self.manager)
        self.wait(self.not_settled, "systems do not settle")
        systems, _ = accounts.of_api(self.api)
        self.book.compare({name: (state, [uuid for _, uuids in hosts for uuid in uuids])
                           for name, (state, hosts) in systems.items()})
        self.wait(lambda: accounts.disagreements(self.rack, self.api), "accounts differ")

    def not_settled(self):
        systems, gpus = accounts.of_api(self.api)
        moving = [f"{name} {state}" for name, (state, _) in systems.items() if state not in FINAL]
        blocks = self.api.members("CompositionService/ResourceBlocks")
        moving += [f"{gpu['Uuid']} {gpu['State']}" for gpu in (block["Oem"]["Fabric"] for block in blocks)
                   if gpu["State"] not in ("free", "composed")]
        if len(gpus) != sum(host["gpus"] for host in self.rack.hosts):
            return f"there are {len(gpus)} GPUs"
        return ", ".join(moving) or None

    def wait(self, holds, what):
        end, wrong = time.monotonic() + SETTLE_S, "?"
        while wrong is not None:
            if time.monotonic() > end:
                raise RackError(f"{what}: {wrong}")
            try:
                wrong = holds()
            except (OSError, http.client.HTTPException, sqlite3.Error) as error:
                wrong = repr(error)
            if wrong is not None:
                time.sleep(0.02)

    def clear(self):
        for name in sorted(self.book.made):
            if not self.book.delete(self.api, name):
                raise RackError("the manager is away")
        self.wait(lambda: accounts.disagreements(self.rack, self.api), "accounts differ at the end")


def work(rack, given):
    test = Kills(rack, given.seed)
    while test.kills < given.kills:
        try:
            test.round()
        except Exception as error:
            raise RackError(f"after {test.kills} kills: {error}") from error
    test.clear()
    if not test.book.seen["created"] or not test.book.seen["deleted"]:
        raise RackError(f"nothing was acknowledged: {test.book.seen}")
    return f"{test.kills} kills; " + ", ".join(f"{what} {count}" for what, count in test.book.seen.items())


if __name__ == "__main__":
    sys.exit(soft_rack.seeded(__file__, __doc__, work, kills=100))
