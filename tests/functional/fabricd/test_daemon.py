#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""fabricd as a process on one node with softcuda: settings, readiness, reload, kill, stop.

Usage: test_daemon.py BUILD SOURCE. It waits for what the daemon says (its notifications, its event
stream), never for a time.
"""
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import unittest

BUILD, SOURCE = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
ROOT = "/redfish/v1"
LIMIT_S = 60  # of anything that is waited for: only a hang meets it


class Connection(http.client.HTTPConnection):
    """HTTP on a unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=LIMIT_S)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(LIMIT_S)
        self.sock.connect(self.path)


class Daemon:
    """One fabricd in a folder of its own, which stays when it is started again."""

    def __init__(self, folder, *arguments):
        self.folder, self.arguments, self.process = folder, arguments, None
        self.config = folder / "fabricd.conf"
        self.config.write_text('node = "here"; role : { manager = true; agent = true; };\n')
        (folder / "softcuda").mkdir()

    def environment(self):
        return dict(os.environ, SOFTCUDA_DEVICES="2", SOFTCUDA_STATE=str(self.folder / "softcuda"),
                    NOTIFY_SOCKET=str(self.folder / "notify"), FABRIC_LOG="info")

    def command(self, *more):
        soft = BUILD / "lib/softcuda"
        return [str(BUILD / "bin/fabricd"), f"--config={self.config}",
                f"--state-dir={self.folder}/state", f"--run-dir={self.folder}/run",
                f"--discovery-nvml={soft}/libnvidia-ml.so.1",
                f"--worker-driver={soft}/libcuda.so.1", *self.arguments, *more]

    def start(self):
        self.notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notices.settimeout(LIMIT_S)
        (self.folder / "notify").unlink(missing_ok=True)
        self.notices.bind(str(self.folder / "notify"))
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(self.command(), env=self.environment(), stderr=log)
        self.wait_notice("READY=1")

    def wait_notice(self, text):
        while not self.notices.recv(4096).startswith(text.encode()):
            pass

    def end(self, how):
        self.process.send_signal(how)
        status = self.process.wait(LIMIT_S)
        self.notices.close()
        self.process = None
        return status

    def ask(self, method, path, body=None):
        connection = Connection(self.folder / "run/api.sock")
        connection.request(method, path, json.dumps(body) if body else None)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if text else None

    def wait_event(self, kind, after=0):
        """Follows the events until one of that kind comes; returns it."""
        connection = Connection(self.folder / "run/api.sock")
        connection.request("GET", f"{ROOT}/EventService/SSE?after={after}")
        answer = connection.getresponse()
        try:
            while True:
                line = answer.readline()
                if not line:
                    raise EOFError("the stream has ended")
                if line.startswith(b"data: "):
                    event = json.loads(line[6:])
                    if event["kind"] == kind:
                        return event
        finally:
            connection.close()

    def close(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.notices.close()


class DaemonTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="test-fabricd-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def daemon(self, *arguments):
        daemon = Daemon(self.folder, *arguments)
        self.addCleanup(daemon.close)
        return daemon

    def run_once(self, daemon, *more):
        return subprocess.run(daemon.command(*more), env=daemon.environment(), capture_output=True,
                              text=True, timeout=LIMIT_S, check=False)

    def test_misuse(self):
        daemon = self.daemon()
        for more, status, text in ((("--check-config",), 0, ""),
                                   (("--check-config", "--node=-x"), 2, "-x"),
                                   (("--check-config", "--role-boss"), 64, "unrecognized option"),
                                   (("--check-config", "more"), 64, "no such argument"),
                                   (("--check-config", "--listen=10.0.0.1:1"), 1, "tls.ca"),
                                   (("--check-config", "--config=/nonexistent"), 1, "nonexistent")):
            with self.subTest(more=more):
                result = self.run_once(daemon, *more)
                self.assertEqual(result.returncode, status, result.stderr)
                self.assertIn(text, result.stderr)
                self.assertEqual(result.stdout, "")

    def test_help_has_every_setting(self):
        result = self.run_once(self.daemon(), "--help")
        self.assertEqual(result.returncode, 0)
        for text in ("--check-config", "lost-after", "tls-ca", "run-dir"):
            self.assertIn(text, result.stdout)

    def test_discover(self):
        result = self.run_once(self.daemon(), "--discover")
        self.assertEqual(result.returncode, 0, result.stderr)
        machine = json.loads(result.stdout)
        self.assertEqual(machine["name"], "here")
        self.assertEqual(len(machine["gpus"]), 2)

    def test_life(self):
        daemon = self.daemon()
        daemon.start()
        daemon.wait_event("node-up")
        with self.subTest("a create"):
            status, system = daemon.ask("POST", f"{ROOT}/Systems",
                                        {"Name": "train", "Oem": {"Fabric": {"Gpus": 2}}})
            self.assertEqual((status, system.get("SystemType")), (201, "Composed"), system)
        with self.subTest("a second daemon"):
            second = self.run_once(daemon)
            self.assertEqual(second.returncode, 1)
            self.assertEqual(len(second.stderr.strip().splitlines()), 1, second.stderr)
        with self.subTest("a kill, and a start"):
            last = daemon.ask("GET", f"{ROOT}/Oem/Fabric/Events")[1]["Members"][-1]["number"]
            self.assertEqual(daemon.end(signal.SIGKILL), -signal.SIGKILL)
            daemon.start()
            daemon.wait_event("node-up", last)
            system = daemon.ask("GET", f"{ROOT}/Systems/train")[1]["Oem"]["Fabric"]
            self.assertEqual(system["State"], "composed")
            self.assertEqual({gpu["State"] for gpu in system["Hosts"][0]["Gpus"]}, {"composed"})
        with self.subTest("a reload"):
            daemon.config.write_text(daemon.config.read_text() + 'lost_after = "9s";\n')
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_notice("RELOADING=1")
            daemon.wait_notice("READY=1")
            daemon.config.write_text(daemon.config.read_text() + "no = 1;\n")
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_notice("READY=1")
            log = (self.folder / "log").read_text()
            self.assertIn("the settings were read again", log)
            self.assertIn("the settings stay as they were", log)
        with self.subTest("a delete"):
            self.assertEqual(daemon.ask("DELETE", f"{ROOT}/Systems/train")[0], 204)
            blocks = daemon.ask("GET", f"{ROOT}/CompositionService/ResourceBlocks?$expand=.")[1]
            self.assertEqual([block["CompositionStatus"]["CompositionState"]
                              for block in blocks["Members"]], ["Unused"] * 2)
        with self.subTest("a stop"):
            self.assertEqual(daemon.end(signal.SIGTERM), 0, (self.folder / "log").read_text())
            self.assertEqual(list((self.folder / "run").iterdir()), [])

    def test_network(self):
        certificates, stranger = self.folder / "certificates", self.folder / "stranger"
        certificates.mkdir()
        stranger.mkdir()
        compose = [str(BUILD / "bin/compose"), "cert"]
        for more in (["ca"], ["node", "here", "--address", "127.0.0.1"], ["user", "nobody-here"]):
            subprocess.run([*compose, *more, "--dir", str(certificates)], check=True,
                           capture_output=True, timeout=LIMIT_S)
        for more in (["ca"], ["user", "root"]):
            subprocess.run([*compose, *more, "--dir", str(stranger)], check=True,
                           capture_output=True, timeout=LIMIT_S)
        with socket.socket() as probe:  # a port that is free
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        daemon = self.daemon("--no-role-agent", f"--api-listen=127.0.0.1:{port}",
                             f"--tls-ca={certificates}/ca.pem",
                             f"--tls-certificate={certificates}/here.pem",
                             f"--tls-key={certificates}/here.key")
        daemon.start()

        def ask(path, name=None, folder=certificates):
            context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
            if name:
                context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
            connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=LIMIT_S,
                                                     context=context)
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                answer.read()
                return answer
            finally:
                connection.close()

        root = ask(ROOT)
        self.assertEqual(root.status, 200)
        self.assertEqual(root.getheader("OData-Version"), "4.0")
        self.assertTrue(root.getheader("ETag"))
        self.assertEqual(ask(f"{ROOT}/Systems").status, 401)
        self.assertEqual(ask(f"{ROOT}/Systems", "nobody-here").status, 200)
        with self.assertRaises((OSError, http.client.HTTPException)):  # cut off
            ask(f"{ROOT}/Systems", "root", stranger)

        def reload():
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_notice("RELOADING=1")
            daemon.wait_notice("READY=1")

        def serial():
            with socket.create_connection(("127.0.0.1", port), LIMIT_S) as plain, \
                    ssl.create_default_context(cafile=str(certificates / "ca.pem")) \
                    .wrap_socket(plain, server_hostname="127.0.0.1") as secure:
                return secure.getpeercert()["serialNumber"]

        with self.subTest("a user is revoked, in the second list of two"):
            revoked, lists = certificates / "revoked.pem", ""
            for more in (["user", "somebody-else"], ["user", "first"], ["revoke", "first"],
                         ["revoke", "nobody-here"]):
                subprocess.run([*compose, *more, "--dir", str(certificates)], check=True,
                               capture_output=True, timeout=LIMIT_S)
                lists += revoked.read_text() if more[0] == "revoke" else ""
            revoked.write_text(lists)
            self.assertEqual(ask(f"{ROOT}/Systems", "nobody-here").status, 200)  # not read yet
            daemon.config.write_text(daemon.config.read_text() +
                                     f'tls : {{ revoked = "{revoked}"; }};\n')
            reload()
            with self.assertRaises((OSError, http.client.HTTPException)):
                ask(f"{ROOT}/Systems", "nobody-here")
            self.assertEqual(ask(f"{ROOT}/Systems", "somebody-else").status, 200)
        with self.subTest("the daemon has a new certificate"):
            before = serial()
            for name in ("here.pem", "here.key"):
                (certificates / name).unlink()
            reload()
            self.assertIn("the settings stay as they were", (self.folder / "log").read_text())
            self.assertEqual(serial(), before)
            subprocess.run([*compose, "node", "here", "--address", "127.0.0.1", "--dir",
                            str(certificates)], check=True, capture_output=True, timeout=LIMIT_S)
            self.assertEqual(serial(), before)
            reload()
            self.assertNotEqual(serial(), before)
        self.assertEqual(daemon.end(signal.SIGTERM), 0, (self.folder / "log").read_text())

    def test_manager_alone(self):
        daemon = self.daemon("--no-role-agent")
        daemon.start()
        self.assertEqual(daemon.ask("GET", ROOT)[1]["Oem"]["Fabric"]["Manager"], "here")
        status, answer = daemon.ask("POST", f"{ROOT}/Systems", {"Oem": {"Fabric": {"Gpus": 1}}})
        self.assertEqual(status, 400, answer)  # this node is no host
        self.assertEqual(daemon.ask("GET", f"{ROOT}/Oem/Fabric/Topology")[0], 503)
        connection = Connection(self.folder / "run/api.sock")
        connection.request("GET", f"{ROOT}/EventService/SSE")
        answer = connection.getresponse()
        self.assertEqual(answer.readline(), b": follow\n")
        # Its follower may stay: a stop ends it.
        self.assertEqual(daemon.end(signal.SIGTERM), 0, (self.folder / "log").read_text())
        answer.fp.read()  # to its end
        connection.close()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
