#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""MPI jobs over two hosts of a rack in software, 8 ranks and 8 GPUs on each: plain mpirun with what
`compose mpi-env` writes trains to what one process with native GPUs trains to, and jobs that fail give
everything back.

    test_mpi.py --bin DIR TRAIN_MPI

Exit status: 0, 1 with what was wrong, 77 with a reason where the machine forbids namespaces.
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import soft_rack  # noqa: E402
from soft_rack import RackError, SoftRack  # noqa: E402

HANG_S = 90  # so that nothing hangs for ever
HOSTS = ("r730-1", "r730-2")
GPUS = 16
LAYOUT = f"{GPUS} ranks with 1 GPU each"
LONG = ("--steps", "1000000")
SHORT = ("--steps", "20")
RAIL_BYTES = 100_000  # of a short job, on each rail of each host, at least


class Mpi:
    def __init__(self, rack, train):
        self.rack, self.train = rack, train
        self.environment = rack.environment()
        self.folder = rack.run / "mpi"

    # ---- means

    def compose(self, *arguments):
        done = subprocess.run(self.rack.on(HOSTS[0], self.rack.bin / "compose", *arguments),
                              capture_output=True, text=True, timeout=HANG_S, check=False)
        if done.returncode != 0:
            raise RackError(f"compose {' '.join(map(str, arguments))}: {done.stderr}")
        return done.stdout

    def prepare(self):
        self.compose("create", "--gpus", GPUS, "--host", ",".join(HOSTS), "--name", "job")
        about = json.loads(self.compose("mpi-env", "job", "--dir", self.folder, "--json"))
        self.environment |= about["environment"] | {
            "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "OMPI_MCA_plm_rsh_agent": str(soft_rack.HERE / "rsh"),
            # Below /tmp two racks' r730-1 would meet.
            "OMPI_MCA_orte_tmpdir_base": str(self.rack.run),
            # A host that is gone is noticed sooner.
            "OMPI_MCA_oob_tcp_keepalive_time": "1", "OMPI_MCA_oob_tcp_keepalive_intvl": "1",
            "OMPI_MCA_oob_tcp_keepalive_probes": "2"}

    def start(self, *arguments, options=()):
        # No pipes: mpirun's daemon on a host that is cut off would hold them open.
        with open(self.rack.run / "out", "w") as out, open(self.rack.run / "err", "w") as err:
            return subprocess.Popen(self.rack.on(HOSTS[0], "mpirun", *options, self.train, *arguments),
                                    env=self.environment, stdin=subprocess.DEVNULL, stdout=out,
                                    stderr=err)

    def end(self, process):
        """What mpirun has said, on each stream."""
        try:
            process.wait(timeout=HANG_S)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise RackError("mpirun does not end") from error
        return (self.rack.run / "out").read_text(), (self.rack.run / "err").read_text()

    def space(self, host):
        number = 1 + [each["name"] for each in self.rack.hosts].index(host)
        return number, (self.rack.run / f"{number}.net").stat().st_ino

    def processes(self, host=None, name=None):
        """All processes of the rack are in our process space: those of a host, of a name."""
        found, wanted = [], self.space(host)[1] if host else None
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if name and name not in (path / "comm").read_text():
                    continue
                if wanted and (path / "ns" / "net").stat().st_ino != wanted:
                    continue
                found.append(int(path.name))
            except OSError:
                pass
        return found

    def ranks(self, host=None):
        return self.processes(host, "train-mpi")

    def programs(self):
        return json.loads(self.compose("show", "job", "--json"))["programs"]

    def wait(self, what, is_so):
        end = time.monotonic() + HANG_S
        while not is_so():
            if time.monotonic() > end:
                raise RackError(f"it never came to this: {what}")
            time.sleep(0.05)

    def is_training(self):
        """Rank 0 has its GPU, and the ranks' workers have started: a program is counted before its worker."""
        return (LAYOUT in (self.rack.run / "err").read_text() and
                len(self.processes(name="gpu-worker")) >= GPUS and len(self.programs()) == GPUS)

    def running(self):
        """A job of which every rank has its GPU."""
        process = self.start(*LONG)
        self.wait("16 ranks run", lambda: self.is_training() or process.poll() is not None)
        if process.poll() is not None:
            raise RackError(f"the job ended: {self.end(process)}")
        workers = len(self.processes(name="gpu-worker"))
        if workers != GPUS:  # a rank attaches to the node of its GPU, and to no other
            raise RackError(f"16 ranks with a GPU each have {workers} workers")
        return process

    def check_released(self, hosts=HOSTS):
        """Ranks, workers and launchers are gone, and no agent counts a program."""
        began = time.monotonic()
        for host in hosts:
            self.wait(f"no rank on {host}", lambda host=host: not self.ranks(host))
            self.wait(f"no orted on {host}", lambda host=host: not self.processes(host, "orted"))
        self.wait("no worker", lambda: not self.processes(name="gpu-worker"))
        if len(hosts) == len(HOSTS):
            self.wait("no program", lambda: not self.programs())
        return time.monotonic() - began

    def wait_for_link(self, host):
        """Asks there: what the manager says of a node may be old."""
        self.wait(f"{host} is back", lambda: subprocess.run(
            self.rack.on(host, self.rack.bin / "compose", "show", "job"), capture_output=True,
            check=False).returncode == 0)

    def rail_bytes(self, host):
        rows = subprocess.run(self.rack.on(host, "cat", *(
            f"/sys/class/net/rail{rail}/statistics/{way}_bytes" for rail in range(2)
            for way in ("rx", "tx"))), check=True, capture_output=True, text=True).stdout.split()
        return [int(rows[0]) + int(rows[1]), int(rows[2]) + int(rows[3])]

    # ---- what is tested

    def native(self):
        return subprocess.run([self.rack.bin / "softcuda-run", "--devices", str(GPUS), self.train, *SHORT],
                              check=True, capture_output=True, text=True).stdout

    def check_trains(self, options=()):
        process = self.start(*SHORT, options=options)
        out, err = self.end(process)
        native = self.native()
        if process.returncode != 0 or out != native:
            raise RackError(f"status {process.returncode}; native said\n{native}and 16 ranks\n{out}{err}")
        if LAYOUT not in err or "through pinned host memory" not in err:
            raise RackError(f"not the job that was meant: {err}")
        self.check_released()
        return "the same weights as one native process"

    def test_training(self):
        before = {host: self.rail_bytes(host) for host in HOSTS}
        said = self.check_trains()
        for host in HOSTS:
            carried = [now - then for now, then in zip(self.rail_bytes(host), before[host])]
            if min(carried) < RAIL_BYTES:
                raise RackError(f"the rails of {host} carried {carried} bytes")
        return f"{said}, over both rails of both hosts"

    def test_training_over_ucx(self):
        """MPI's UCX, and ours as its guest, in the same processes; it takes rails without HCAs if told so."""
        return self.check_trains((
            "--mca", "pml", "ucx", "--mca", "opal_common_ucx_tls", "any", "--mca",
            "opal_common_ucx_devices", "any", "-x", "UCX_TLS=tcp,self", "-x", "UCX_NET_DEVICES=rail0,rail1"))

    def test_one_process(self):
        """Each host's GPUs, as one process of the system's sees them."""
        for host in HOSTS:
            done = subprocess.run(self.rack.on(host, self.rack.bin / "compose", "run", "-s", "job", "--",
                                               self.train, "--steps", "2"), env=self.environment,
                                  capture_output=True, text=True, check=False)
            # After two steps it need not have learned anything, so the status is not looked at.
            if ("1 rank with 8 GPUs each" not in done.stderr or "\nweights " not in done.stdout or
                    "not on all" in done.stdout):
                raise RackError(f"on {host}: {done.stdout}{done.stderr}")
        return "8 GPUs on each host"

    def test_rank_dies(self):
        process = self.running()
        os.kill(self.ranks("r730-2")[0], signal.SIGKILL)
        _, err = self.end(process)
        if process.returncode == 0 or "signal 9" not in err:
            raise RackError(f"mpirun ended with {process.returncode} and said: {err}")
        return f"all released {self.check_released():.2f} s after mpirun's end"

    def test_mpirun_killed(self):
        process = self.running()
        process.kill()
        process.wait()
        return f"all released {self.check_released():.2f} s after it"

    def test_cancelled(self):
        process = self.running()
        process.send_signal(signal.SIGINT)
        self.end(process)
        return f"all released {self.check_released():.2f} s after mpirun's end"

    def test_host_cut_off(self):
        """Whatever Open MPI's daemon makes of it there: its GPUs' workers end, and ranks when it is back."""
        process = self.running()
        self.set_rails("r730-2", "down")
        began = time.monotonic()
        self.end(process)
        if process.returncode == 0:
            raise RackError("mpirun did not notice that a host was cut off")
        ended = time.monotonic() - began
        released = self.check_released(HOSTS[:1])
        self.set_rails("r730-2", "up")
        self.wait_for_link("r730-2")
        self.check_released()
        return f"mpirun ended after {ended:.1f} s, all released {released:.1f} s later"

    def test_host_lost(self):
        """Its rails first, so that nobody hears of the end of its processes."""
        process = self.running()
        self.set_rails("r730-2", "down")
        for pid in self.processes("r730-2"):
            with contextlib.suppress(ProcessLookupError):  # ended with the process before it
                os.kill(pid, signal.SIGKILL)
        self.end(process)
        if process.returncode == 0:
            raise RackError("mpirun did not notice that a host was lost")
        released = self.check_released(HOSTS[:1])
        self.set_rails("r730-2", "up")
        self.rack.daemons["r730-2-agent"].wait()
        self.rack.restart_daemon("r730-2-agent")
        return f"all released {released:.1f} s after mpirun's end"

    def set_rails(self, host, state):
        for rail in range(2):
            subprocess.run(["nsenter", f"--net={self.rack.run}/switch{rail}.net", "ip", "link", "set",
                            f"p{self.space(host)[0]}", state], check=True)

    def test_trains_again(self):
        """On the same system, after all that."""
        self.wait_for_link("r730-2")
        return self.check_trains()

    def test_all_given_back(self):
        self.compose("delete", "job")
        states = [row["state"] for row in json.loads(self.compose("gpu", "list", "--json"))]
        if states != ["free"] * GPUS:
            raise RackError(f"GPUs are {states}")
        return "16 GPUs are free"

    TESTS = (test_one_process, test_training, test_training_over_ucx, test_rank_dies, test_cancelled,
             test_mpirun_killed, test_host_cut_off, test_host_lost, test_trains_again, test_all_given_back)


def inside(arguments):
    with SoftRack(pathlib.Path(arguments.folder), pathlib.Path(arguments.bin),
                  {"grace": "3s"}) as rack:  # how long a silent host keeps its GPUs
        mpi = Mpi(rack, arguments.train)
        mpi.prepare()
        for test in Mpi.TESTS:
            began = time.monotonic()
            print(f"{test.__name__[5:]}: ", end="", flush=True)
            print(f"{test(mpi)} ({time.monotonic() - began:.1f} s)", flush=True)
    return 0


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--bin", default=soft_rack.TOP / "build" / "release" / "bin")
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("train")
    arguments = parser.parse_args()
    if arguments.folder:
        try:
            return inside(arguments)
        except RackError as error:
            print(error)
            return 1
    if not shutil.which("mpirun"):
        print("mpirun is missing (package openmpi-bin)")
        return 77
    arguments.bin = pathlib.Path(arguments.bin).resolve()
    folder = soft_rack.folder_of("demo", arguments.bin)
    os.execv(soft_rack.RACK_SH, [
        str(soft_rack.RACK_SH), "run", str(folder / "hosts.list"), sys.executable, __file__, "--bin",
        str(arguments.bin), "--folder", str(folder), str(pathlib.Path(arguments.train).resolve())])


if __name__ == "__main__":
    sys.exit(main())
