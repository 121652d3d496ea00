#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A simulated InfiniBand fabric: ibsim, and OpenSM on it, without root, any number side by side.

    with Simulator(netlist) as sim:             a class for tests
        sim.start_manager()
        sim.run([program, ...]); sim.console('Unlink "leaf1"[3]')

    simulator.py NETLIST [--attach NODE] [--no-manager] COMMAND...     for scripts

COMMAND runs as a program on a node of the fabric (the first of the netlist, or NODE), in a scratch
folder, since clients make ./sys-PID: name files by their whole path. Lines written
to the fifo $IBSIM_CONSOLE are console commands of ibsim. When COMMAND ends, all ends; its exit status
is ours. Exit status 77 with a reason where ibsim or OpenSM is missing.

Whatever ends this process, SIGKILL too, ends the simulator, OpenSM and the command, and the next
start removes the scratch folder.
"""
import contextlib
import ctypes
import fcntl
import functools
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

LIMIT_S = 120  # of every wait: generous, only so that nothing hangs for ever
PROMPT = b"sim> "
PR_SET_PDEATHSIG = 1
# A sanitized program: the preload stands before its runtime, and libumad2sim 0.10 copies 32 bytes more
# than it has in read(), so memcpy() of libraries is not looked at. Our own code is.
# libibnetdisc of rdma-core 44 loses memory at each sweep (topology/fabric_sweep.c).
SANITIZERS = {"ASAN_OPTIONS": "verify_asan_link_order=0:replace_intrin=0",
              "LSAN_OPTIONS": "print_suppressions=0:suppressions=" +
                              str(pathlib.Path(__file__).resolve().parent / "lsan.supp")}
SKIPPED = 77
SCRATCH_PREFIX = "fabric-ibsim-"
# Above ibsim's defaults (256 switches): 64 racks have 290.
SIZES = ["-N", "4096", "-S", "512", "-P", "40000"]
_libc = ctypes.CDLL(None, use_errno=True)


class SimulatorError(Exception):
    pass


def preload():
    """The library that makes a program's umad calls go to ibsim; None if it is not installed."""
    for folder in ("/usr/lib", "/usr/lib64", "/usr/local/lib"):
        for path in sorted(pathlib.Path(folder).glob("**/umad2sim/libumad2sim.so")):
            return str(path)
    return None


def tool(name):
    """Absolute path; OpenSM and the diagnostics are in sbin, which users do not have in PATH."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin")


def missing():
    """Why no fabric can be simulated here, or None."""
    for name, package in (("ibsim", "ibsim-utils"), ("opensm", "opensm"),
                          ("ibnetdiscover", "infiniband-diags")):
        if not tool(name):
            return f"{name} is missing (package {package})"
    return None if preload() else "libumad2sim.so is missing (package libumad2sim0)"


def _die_with_parent(parent):
    """In the child: the kernel ends it when our thread does. Also where that has just been."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def spawn(arguments, **options):
    return subprocess.Popen([str(argument) for argument in arguments],
                            preexec_fn=functools.partial(_die_with_parent, os.getpid()), **options)


def _lock(folder):
    """The folder's lock, which ends with us however we end; None if another process, or user, has it. Not
    the number of a process: others may live in a process namespace of their own."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def _new_scratch():
    """A folder and its lock. Those of processes that were killed are removed."""
    top = pathlib.Path(tempfile.gettempdir())
    for path in top.glob(SCRATCH_PREFIX + "*"):
        if (lock := _lock(path)) is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)
    while True:
        path = pathlib.Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX))
        # Another start may have taken the new folder for a stale one.
        if (lock := _lock(path)) is not None and path.is_dir():
            return path, lock


class _Watched:
    """A process whose output a thread collects, so that it never blocks and can be waited for."""

    def __init__(self, arguments, **options):
        self.process = spawn(arguments, stdout=subprocess.PIPE, **options)
        self.output, self._changed, self._ended = b"", threading.Condition(), False
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self):
        while data := os.read(self.process.stdout.fileno(), 65536):
            with self._changed:
                self.output += data
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_for(self, holds, what):
        """Until holds(output)."""
        with self._changed:
            self._changed.wait_for(lambda: holds(self.output) or self._ended, LIMIT_S)
            if not holds(self.output):
                raise SimulatorError(f"{what}: {'it ended' if self._ended else 'it did not come'}:\n"
                                     + self.output.decode(errors='replace')[-2000:])
            return self.output

    def end(self, grace_s=5):
        """Asked first, then killed: OpenSM ignores SIGTERM while it waits for a lost simulator."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(grace_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        self._thread.join()
        self.process.stdout.close()


class Simulator:
    """One fabric. `attach` is the node whose first port clients see. The thread that makes it must
    live as long: the children's end hangs on it."""

    def __init__(self, netlist, attach=None):
        self.manager = self.simulator = None
        # ./sys-PID of every client, OpenSM's files.
        self.scratch, self._lock = _new_scratch()
        self.environment = {**os.environ, "IBSIM_SOCKNAME": self.scratch.name}
        try:
            with open(self.scratch / "ibsim.err", "wb") as errors:
                self.simulator = _Watched([tool("ibsim"), "-s", *SIZES,
                                           pathlib.Path(netlist).resolve()],
                                          cwd=self.scratch, env=self.environment,
                                          stdin=subprocess.PIPE, stderr=errors)
            self.simulator.wait_for(lambda output: output.endswith(PROMPT), "ibsim's prompt")
        except BaseException:
            self.close()
            raise
        self.environment["LD_PRELOAD"] = preload()
        for name, ours in SANITIZERS.items():
            self.environment[name] = ":".join(filter(None, [os.environ.get(name), ours]))
        if attach:
            self.environment["SIM_HOST"] = attach

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for watched in (self.manager, self.simulator):
            if watched:
                watched.end()
        if self.simulator:
            self.simulator.process.stdin.close()
        shutil.rmtree(self.scratch, ignore_errors=True)
        os.close(self._lock)

    def start_manager(self):
        """OpenSM; returns after its first sweep. It sweeps again when a link changes."""
        environment = {**self.environment, "OSM_TMP_DIR": str(self.scratch),
                       "OSM_CACHE_DIR": str(self.scratch)}
        # -d2: each line of the log at once; -s 0: no sweeps by time; -t: of each answer, in ms: on a
        # busy machine 200 are too few, and who did not answer is left out.
        self.manager = _Watched([tool("opensm"), "-d2", "-s", "0", "-t", "2000", "-f", "stdout"],
                                cwd=self.scratch, env=environment, stdin=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
        self.manager.wait_for(lambda output: b"SUBNET UP" in output, "SUBNET UP")

    @contextlib.contextmanager
    def still(self):
        """OpenSM stands still: some changes make it sweep, and a sweep sets links anew."""
        self.manager.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.manager.process.send_signal(signal.SIGCONT)

    def manager_log(self):
        """The end of what OpenSM says."""
        return self.manager.output[-2000:].decode(errors="replace")

    def sweep_again(self):
        """OpenSM sweeps when a link changes, but misses what changes while it sweeps."""
        self.manager.process.send_signal(signal.SIGHUP)

    def console(self, *commands):
        """Commands of ibsim's console. Returns when each is done; says what it refused."""
        for command in commands:
            before = len(self.simulator.output)
            self.simulator.process.stdin.write(command.encode() + b"\n")
            self.simulator.process.stdin.flush()
            output = self.simulator.wait_for(
                lambda output: len(output) > before and output.endswith(PROMPT), command)
            answer = output[before:-len(PROMPT)].decode().strip()
            if answer.startswith("#") or "unknown" in answer:
                raise SimulatorError(f"{command}: {answer}")

    def run(self, arguments, check=True, environment=None, timeout_s=LIMIT_S):
        """A program on the fabric; its standard output."""
        run = subprocess.run([str(argument) for argument in arguments], cwd=self.scratch,
                             env={**self.environment, **(environment or {})}, timeout=timeout_s,
                             capture_output=True, text=True, stdin=subprocess.DEVNULL,
                             preexec_fn=functools.partial(_die_with_parent, os.getpid()))
        if check and run.returncode != 0:
            raise SimulatorError(f"{arguments}: exit status {run.returncode}\n{run.stdout[-1000:]}"
                                 f"{run.stderr[-1000:]}")
        return run.stdout


def serve_console(sim, fifo):
    """Lines of the fifo to ibsim, as long as we live."""
    while True:
        with open(fifo, encoding="utf-8") as lines:
            for line in lines:
                try:
                    sim.console(line.strip())
                except SimulatorError as error:
                    print(f"simulator: {error}", file=sys.stderr)


def main(arguments):
    attach, manager = None, True
    if not arguments or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    netlist, rest = arguments[0], arguments[1:]
    while rest and rest[0] in ("--attach", "--no-manager"):
        if rest[0] == "--attach":
            attach, rest = rest[1], rest[2:]
        else:
            manager, rest = False, rest[1:]
    if reason := missing():
        print(f"skipped: {reason}")
        return SKIPPED
    try:
        with Simulator(netlist, attach) as sim:
            if manager:
                sim.start_manager()
            fifo = sim.scratch / "console"
            os.mkfifo(fifo)
            threading.Thread(target=serve_console, args=(sim, fifo), daemon=True).start()
            return spawn(rest, cwd=sim.scratch,
                         env={**sim.environment, "IBSIM_CONSOLE": str(fifo)}).wait()
    except SimulatorError as error:
        print(f"simulator: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
