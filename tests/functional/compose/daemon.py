# SPDX-License-Identifier: Apache-2.0
"""bin/fabricd as manager and agent of one node on softcuda, and `compose` beside it.

Nothing waits by sleeping: the daemon says READY=1 to NOTIFY_SOCKET, all else is an event.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

LIMIT_S = 100  # of any one step on a busy machine; a step that takes longer has failed
SANITIZERS = ("ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS")


class Daemon:
    """`build` is the build folder: bin/ and lib/ below it."""

    def __init__(self, build, gpus=4, memory="512MiB", settings=""):
        self.build = build
        self.folder = tempfile.mkdtemp(prefix="test-fabricd-")
        self.run_dir = os.path.join(self.folder, "run")
        self.config = os.path.join(self.folder, "fabricd.conf")
        devices = os.path.join(self.folder, "devices.cfg")
        with open(devices, "w", encoding="utf-8") as file:
            file.write(f'devices = ( {{ count = {gpus}; memory = "{memory}"; }} );\n')
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(f'node = "n1";\nrole : {{ manager = true; agent = true; }};\n'
                       f'state_dir = "{self.folder}/state";\nrun_dir = "{self.run_dir}";\n'
                       f'discovery : {{ nvml = "{build}/lib/softcuda/libnvidia-ml.so.1"; }};\n'
                       f'worker : {{ driver = "{build}/lib/softcuda/libcuda.so.1"; }};\n'
                       + settings)
        self.environment = {"PATH": os.environ["PATH"], "TZ": "UTC", "LC_ALL": "C",
                            "FABRIC_API": os.path.join(self.run_dir, "api.sock"),
                            **{name: os.environ[name] for name in SANITIZERS if name in os.environ}}
        self.daemon_environment = {**self.environment, "SOFTCUDA_CONFIG": devices,
                                   "SOFTCUDA_STATE": os.path.join(self.folder, "softcuda")}
        os.mkdir(self.daemon_environment["SOFTCUDA_STATE"])
        self.process = None

    def start(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            path = os.path.join(self.folder, "notify")
            notify.bind(path)
            notify.settimeout(LIMIT_S)
            with open(os.path.join(self.folder, "log"), "ab") as log:
                self.process = subprocess.Popen(
                    [f"{self.build}/bin/fabricd", "--config", self.config], stdin=subprocess.DEVNULL,
                    stdout=log, stderr=log, env={**self.daemon_environment, "NOTIFY_SOCKET": path})
            try:
                while b"READY=1" not in notify.recv(1024):
                    pass
            finally:
                os.unlink(path)

    def stop(self, how=signal.SIGTERM):
        """Its exit status; -9 for a kill."""
        self.process.send_signal(how)
        status = self.process.wait(LIMIT_S)
        self.process = None
        return status

    def log(self):
        with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def close(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder)

    # ---- compose --------------------------------------------------------------------------------

    def compose(self, *words):
        return subprocess.run([f"{self.build}/bin/compose", *words], env=self.environment, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S)

    def rows(self, *words):
        done = self.compose("--json", *words)
        if done.returncode != 0:
            raise AssertionError(f"compose {' '.join(words)}: {done.stderr}\n{self.log()}")
        return json.loads(done.stdout)

    def popen(self, *words):
        return subprocess.Popen([f"{self.build}/bin/compose", *words], env=self.environment,
                                text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    def wait_for(self, kind, subject, after=0):
        """The number of the first such event behind `after`; waits for it."""
        with self.popen("events", "--follow", "--json", "--after", str(after)) as follow:
            timer = Timer(follow)
            try:
                for line in follow.stdout:
                    event = json.loads(line)
                    if (event["kind"], event["subject"]) == (kind, subject):
                        return event["number"]
            finally:
                timer.cancel()
                follow.kill()
        raise AssertionError(f"no event {kind} {subject} in {LIMIT_S} s\n{self.log()}")


class Timer:
    """Ends a process that says nothing for too long."""

    def __init__(self, process):
        self.timer = threading.Timer(LIMIT_S, process.kill)
        self.timer.start()

    def cancel(self):
        self.timer.cancel()
