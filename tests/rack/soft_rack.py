#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A rack in software: hosts as namespaces (rack.sh), a fabric (ibsim, OpenSM), GPUs (softcuda), and
the real daemons, libraries and programs on them.

    soft_rack.py [--bin DIR] run RACK COMMAND...    a rack of its own; COMMAND on its first host; then all is gone
    soft_rack.py [--bin DIR] up RACK                leaves one standing, and says what to type
    soft_rack.py shell HOST [COMMAND...]            a shell, or COMMAND, on a host of the standing one
    soft_rack.py down                               ends the standing one

RACK is a name of configs/racks, or a folder that configs/rack-gen made. DIR holds the built programs
(build/release/bin). Daemons see no description of the rack: each discovers its node. COMMAND finds
RACK_FOLDER, RACK_RUN (rack.sh), RACK_LOGS, and the console of ibsim as the fifo $IBSIM_CONSOLE.
RACK_WARM=N: agents keep N workers waiting for each system (worker.warm). RACK_STANDING: the folder of the
standing rack (build/rack), for a second one.

Exit status: the command's; 77 with a reason where the machine forbids namespaces.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "ibsim"))
import simulator  # noqa: E402
from api import Api  # noqa: E402

RACK_SH = HERE / "rack.sh"
# Of the one that `up` leaves.
STANDING = pathlib.Path(os.environ.get("RACK_STANDING") or TOP / "build" / "rack")
LIMIT_S = 120
PORT = 7471
UIDS = (60000, 1000)  # of leases, where we may use other uids


class RackError(Exception):
    pass


# ---- the rack's files ---------------------------------------------------------------------------

def folder_of(rack, bin_dir):
    made = bin_dir.parent / "racks" / rack
    folder = made if made.is_dir() else pathlib.Path(rack).resolve()
    if not (folder / "hosts.list").is_file():
        raise RackError(f"there is no rack '{rack}': neither {made} nor that folder has a hosts.list")
    return folder


def hosts_of(folder):
    """Dicts of number, name, rails, gpus, roles; and of node.env's values."""
    hosts = []
    for line in (folder / "hosts.list").read_text().splitlines():
        if line[:1].isdigit():
            number, name, rails, gpus, roles = line.split()
            values = dict(part.split("=", 1)
                          for part in (folder / "hosts" / name / "node.env").read_text().splitlines())
            hosts.append({"name": name, "gpus": int(gpus), "roles": roles.split(","),
                          **{key: value.strip("'") for key, value in values.items()}})
    return hosts


# ---- one rack, inside its namespaces ------------------------------------------------------------

def has_uids():
    """Whether other uids can be used here: not in a user namespace that maps one."""
    mapped = sum(int(line.split()[2]) for line in open("/proc/self/uid_map", encoding="ascii"))
    return mapped > UIDS[0] + UIDS[1]


class SoftRack:
    """On the first host of rack.sh's namespaces. `worker`: further settings worker.NAME (fabricd.conf(5)) of agents."""

    def __init__(self, folder, bin_dir, worker=None):
        self.hosts = hosts_of(folder)
        self.run = pathlib.Path(os.environ["RACK_RUN"])
        self.folder, self.built, self.bin = folder, bin_dir.parent, self.run / "build" / bin_dir.name
        self.worker = worker or {}
        self.logs = self.run / "logs"
        self.logs.mkdir(exist_ok=True)
        self.fabric, self.daemons = None, {}
        # Daemons end with the thread that starts them (simulator.spawn), so it is always this one.
        self.starter = concurrent.futures.ThreadPoolExecutor(max_workers=1)

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def start(self):
        self.make_folders()
        self.make_certificates()
        self.start_fabric()
        for host in self.hosts:
            if "manager" in host["roles"]:
                self.start_daemon(host, "manager")
        for host in self.hosts:
            self.start_daemon(host, "agent")
        self.wait_until_up()

    def close(self):
        for process in self.daemons.values():
            process.terminate()
        for process in self.daemons.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.starter.shutdown()
        if self.fabric:
            self.fabric.close()

    def on(self, host, *command):
        return [str(RACK_SH), "on", host, *map(str, command)]

    def private(self, host):
        """What the host has as /run/fabricd, and only it."""
        return self.run / "host" / host["name"]

    def make_folders(self):
        """What workers read is where any uid comes to: the tree may be in a home that is closed."""
        (self.run / "build").mkdir()
        subprocess.run(["mount", "--bind", self.built, self.run / "build"], check=True)
        for host in self.hosts:
            for name in ("state", "manager", "softcuda", "tls"):
                (self.private(host) / name).mkdir(parents=True, mode=0o755)
            (self.private(host) / "softcuda").chmod(0o1777)  # workers of all tenants count there
            if "SOFTCUDA_CONFIG" in host:
                shutil.copy(host["SOFTCUDA_CONFIG"], self.private(host) / "softcuda.cfg")

    def compose(self, *arguments):
        return subprocess.run([self.bin / "compose", *arguments], check=True, capture_output=True,
                              text=True)

    def make_certificates(self):
        authority = self.run / "authority"
        authority.mkdir(mode=0o700)
        self.compose("cert", "ca", "--dir", authority)
        for host in self.hosts:
            self.compose("cert", "node", host["name"], "--dir", authority)
            target = self.private(host) / "tls"
            for source, name in (("ca.pem", "ca.pem"), (f"{host['name']}.pem", "node.pem"),
                                 (f"{host['name']}.key", "node.key")):
                (target / name).write_bytes((authority / source).read_bytes())
                (target / name).chmod(0o600)

    # ---- the fabric

    def start_fabric(self):
        reason = simulator.missing()
        if reason:
            print(f"soft_rack: no InfiniBand fabric is simulated: {reason}", file=sys.stderr)
            return
        manager = self.hosts[0]
        self.fabric = simulator.Simulator(self.folder / "fabric.net", f"{manager['name']}/mlx4_0")
        self.fabric.start_manager()
        fifo = self.fabric.scratch / "console"
        os.mkfifo(fifo)
        threading.Thread(target=simulator.serve_console, args=(self.fabric, fifo),
                         daemon=True).start()
        os.environ["IBSIM_CONSOLE"] = str(fifo)
        # The daemon itself is not preloaded, only what it starts to look at the fabric.
        environment = self.fabric.environment
        lines = [f"export {name}='{environment[name]}'\n"
                 for name in ("IBSIM_SOCKNAME", "SIM_HOST", "LD_PRELOAD", *simulator.SANITIZERS)]
        sweep = self.run / "fabric-sweep"
        sweep.write_text(f"#!/bin/sh\ncd '{self.fabric.scratch}' || exit 1\n{''.join(lines)}"
                         f"exec '{self.bin}/fabric-sweep' \"$@\"\n")
        sweep.chmod(0o755)

    # ---- daemons

    def settings(self, host, role):
        """The text of fabricd.conf(5)."""
        is_manager = role == "manager"
        first = host["NODE_ADDRESSES"].split(",")[0]
        roles = [name for name in host["roles"] if (name == "agent") != is_manager]
        values = {
            "node": host["name"],
            "run_dir": "/run/fabricd/manager" if is_manager else "/run/fabricd",
            "state_dir": "/run/fabricd/state",
            "listen": f"{first}:{PORT if is_manager else PORT + 1}",
            "role": {name: name in roles for name in ("manager", "agent", "fabric")},
            "tls": {"ca": "/run/fabricd/tls/ca.pem", "certificate": "/run/fabricd/tls/node.pem",
                    "key": "/run/fabricd/tls/node.key"},
        }
        if is_manager and self.fabric:
            values["fabric"] = {"program": str(self.run / "fabric-sweep"), "every": "2s"}
        if not is_manager:
            values["manager"] = f"{host['NODE_MANAGER']}:{PORT}"
            values["discovery"] = {"hwloc_xml": host["NODE_HWLOC_XML"], "sysroot": host["NODE_SYSROOT"]}
            values["rails"] = tuple({"device": name} for name in host["NODE_NETDEVS"].split(","))
        if not is_manager and host["gpus"]:
            softcuda = self.bin.parent / "lib" / "softcuda"
            values["discovery"]["nvml"] = str(softcuda / "libnvidia-ml.so.1")
            values["worker"] = {"driver": str(softcuda / "libcuda.so.1"),
                                "warm": int(os.environ.get("RACK_WARM", "0"))}
            if has_uids():
                values["worker"] |= {"uid_first": UIDS[0], "uid_count": UIDS[1]}
        if self.worker and not is_manager:
            values["worker"] = values.get("worker", {}) | self.worker
        return "".join(f"{name} = {self.setting(value)};\n" for name, value in values.items())

    def setting(self, value):
        """As libconfig writes it."""
        if isinstance(value, dict):
            return "{ " + " ".join(f"{name} = {self.setting(inner)};" for name, inner in value.items()) + " }"
        if isinstance(value, tuple):
            return "( " + ", ".join(map(self.setting, value)) + " )"
        return json.dumps(value)

    def start_daemon(self, host, role):
        (self.private(host) / f"{role}.conf").write_text(self.settings(host, role))
        self.launch(host, role)

    def launch(self, host, role):
        name = f"{host['name']}-{role}"
        with open(self.logs / name, "ab") as log:
            self.daemons[name] = self.starter.submit(
                simulator.spawn,
                self.on(host["name"], self.bin / "fabricd", "--config", f"/run/fabricd/{role}.conf"),
                env=self.driver_of(host), stdin=subprocess.DEVNULL, stdout=log, stderr=log).result()

    def driver_of(self, host):
        """The environment in which softcuda is the driver of this host's devices."""
        environment = {**os.environ, "SOFTCUDA_STATE": "/run/fabricd/softcuda"}
        if "SOFTCUDA_CONFIG" in host:
            environment["SOFTCUDA_CONFIG"] = "/run/fabricd/softcuda.cfg"
        return environment

    def api(self, host):
        """A new connection to the API of this host's agent."""
        return Api(self.private(host) / "api.sock")

    def kill_daemon(self, name):
        self.daemons[name].kill()
        self.daemons[name].wait()

    def restart_daemon(self, name):
        node, role = name.rsplit("-", 1)
        self.launch(next(host for host in self.hosts if host["name"] == node), role)

    def wait_until_up(self):
        """Until every node has reported and every GPU was checked."""
        wanted, seen = sum(host["gpus"] for host in self.hosts), "nothing"
        first = self.hosts[0]["name"]
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            for name, process in self.daemons.items():
                if process.poll() is not None:
                    raise RackError(f"{name} ended with status {process.returncode}:\n" +
                                    (self.logs / name).read_text()[-2000:])
            listed = subprocess.run(self.on(first, self.bin / "compose", "gpu", "list", "--json"),
                                    capture_output=True, text=True, check=False)
            if listed.returncode == 0:
                states = [row["state"] for row in json.loads(listed.stdout)]
                if states.count("free") == wanted and self.nodes_up(first) == len(self.hosts):
                    return
                seen = f"{len(states)} GPUs: {sorted(set(states))}"
            else:
                seen = listed.stderr.strip()
            time.sleep(0.05)
        raise RackError(f"the rack did not come up: {seen}; logs: {self.logs}")

    def nodes_up(self, first):
        listed = subprocess.run(self.on(first, self.bin / "compose", "node", "list", "--json"),
                                capture_output=True, text=True, check=True)
        return sum(row["state"] != "lost" for row in json.loads(listed.stdout))

    def environment(self):
        return {**os.environ, "RACK_FOLDER": str(self.folder), "RACK_LOGS": str(self.logs),
                "PATH": f"{self.bin}:{os.environ['PATH']}"}


def inside(folder, bin_dir, command):
    with SoftRack(pathlib.Path(folder), pathlib.Path(bin_dir)) as rack:
        return simulator.spawn(rack.on(rack.hosts[0]["name"], *command), env=rack.environment()).wait()


# ---- tests that take a seed ---------------------------------------------------------------------

def seeded(script, usage, work, **options):
    """Exit status of a test that runs `work(rack, arguments)` on a rack of its own. Its text, or what went
    wrong with the ends of all logs, is printed beside the seed. `options`: further ones, and their defaults."""
    name = pathlib.Path(script).stem
    parser = argparse.ArgumentParser(usage=usage)
    parser.add_argument("--bin", default=TOP / "build" / "release" / "bin")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    for option, default in options.items():
        parser.add_argument(f"--{option}", type=type(default), default=default)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("rack", nargs="?", default="demo")
    given = parser.parse_args()
    if not given.folder:
        bin_dir = pathlib.Path(given.bin).resolve()
        folder = folder_of(given.rack, bin_dir)
        print(f"{name}: seed {given.seed}", flush=True)
        os.execv(RACK_SH, [str(RACK_SH), "run", str(folder / "hosts.list"), sys.executable, script,
                           f"--bin={bin_dir}", f"--seed={given.seed}", f"--folder={folder}",
                           *(f"--{option}={getattr(given, option)}" for option in options)])
    with SoftRack(pathlib.Path(given.folder), pathlib.Path(given.bin)) as rack:
        try:
            said = work(rack, given)
        except Exception as error:
            print(f"{name}: seed {given.seed}: {error}")
            for path in sorted(rack.logs.iterdir()):
                print(f"---- {path.name}\n" + path.read_text(errors="replace")[-1500:])
            return 1
    print(f"{name}: seed {given.seed}: {said}")
    return 0


# ---- from outside -------------------------------------------------------------------------------

def run(folder, bin_dir, command):
    os.execv(RACK_SH, [str(RACK_SH), "run", str(folder / "hosts.list"), sys.executable,
                       str(pathlib.Path(__file__).resolve()), "inside", str(folder), str(bin_dir),
                       *command])


def standing():
    """The first process inside the standing rack; None: there is none."""
    try:
        outer = int((STANDING / "pid").read_text())
        children = pathlib.Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
        command = pathlib.Path(f"/proc/{outer}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return int(children[0]) if children and b"unshare" in command.split(b"\0")[0] else None


def up(folder, bin_dir):
    if standing():
        raise RackError("a rack is standing already; ./setup rack down ends it")
    STANDING.mkdir(parents=True, exist_ok=True)
    ready = STANDING / "ready"
    ready.unlink(missing_ok=True)
    with open(STANDING / "log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, __file__, "--bin", bin_dir, "run", folder, "sh", "-c",
             'touch "$0" && exec sleep infinity', str(ready)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    (STANDING / "pid").write_text(str(process.pid))
    while not ready.exists():
        if process.poll() is not None:
            sys.stderr.write((STANDING / "log").read_text(errors="replace"))
            return process.returncode or 1
        time.sleep(0.05)
    hosts = hosts_of(folder)
    print(f"The rack is up: {len(hosts)} hosts, {sum(host['gpus'] for host in hosts)} GPUs. Now, for example:\n\n"
          f"    ./setup rack shell {hosts[0]['name']} compose node list\n"
          f"    ./setup rack shell {hosts[0]['name']}\n"
          f"    ./setup rack down")
    return 0


def shell(host, command):
    inner = standing()
    if not inner:
        raise RackError("no rack is standing; ./setup rack up makes one")
    folders = pathlib.Path(f"/proc/{inner}/root/run/rack/host")
    names = sorted(path.name for path in folders.iterdir())
    if host not in names:
        raise RackError(f"the rack has no host '{host}'; it has {', '.join(names)}")
    spaces = ["--mount", "--net", "--pid"]
    if os.getuid() != 0:
        spaces += ["--user", "--preserve-credentials"]
    bin_dir = (STANDING / "bin").read_text()
    environment = {**os.environ, "RACK_RUN": "/run/rack", "PATH": f"{bin_dir}:{os.environ['PATH']}"}
    os.execvpe("nsenter", ["nsenter", "--target", str(inner), *spaces, str(RACK_SH), "on", host,
                           *(command or [os.environ.get("SHELL", "bash")])], environment)


def down():
    inner = standing()
    if not inner:
        print("no rack is standing")
        return 0
    outer = int((STANDING / "pid").read_text())
    os.kill(inner, signal.SIGTERM)
    end = time.monotonic() + 30
    while pathlib.Path(f"/proc/{outer}").exists() and time.monotonic() < end:
        time.sleep(0.05)
    if pathlib.Path(f"/proc/{outer}").exists():
        os.kill(outer, signal.SIGKILL)  # the kernel ends all inside with it
    (STANDING / "pid").unlink()
    return 0


def main():
    parser = argparse.ArgumentParser(usage=__doc__, add_help=True)
    parser.add_argument("--bin", default=TOP / "build" / "release" / "bin")
    parser.add_argument("verb", choices=["run", "up", "shell", "down", "inside"])
    parser.add_argument("rest", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    bin_dir, rest = pathlib.Path(given.bin).resolve(), given.rest
    try:
        if given.verb == "inside":
            return inside(rest[0], rest[1], rest[2:])
        if given.verb == "run" and len(rest) > 1:
            return run(folder_of(rest[0], bin_dir), bin_dir, rest[1:])
        if given.verb == "up" and len(rest) <= 1:
            STANDING.mkdir(parents=True, exist_ok=True)
            (STANDING / "bin").write_text(str(bin_dir))
            return up(folder_of(rest[0] if rest else "demo", bin_dir), bin_dir)
        if given.verb == "shell" and rest:
            return shell(rest[0], rest[1:])
        if given.verb == "down" and not rest:
            return down()
    except (RackError, simulator.SimulatorError) as error:
        print(f"soft_rack: {error}", file=sys.stderr)
        return 1
    parser.print_usage(sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
