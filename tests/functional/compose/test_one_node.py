#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""From `compose create` to a program's result and back, on one node: real daemon, real workers.

usage: test_one_node.py BUILD_FOLDER AGENT_PROGRAM
"""
import json
import os
import signal
import socket
import sys
import unittest

from daemon import LIMIT_S, Daemon

BUILD = PROGRAM = None
GPUS = 4


class OneNode(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(BUILD, GPUS)
        cls.addClassCleanup(cls.daemon.close)
        cls.daemon.start()
        cls.daemon.wait_for("node-up", "n1")

    def setUp(self):
        self.before = self.last_event()

    def tearDown(self):
        """Whatever a test did, all GPUs are free again."""
        for row in self.daemon.rows("list"):
            if row["state"] != "releasing":
                self.daemon.rows("delete", row["name"])
        for row in self.daemon.rows("list"):
            self.daemon.wait_for("system-released", row["name"], self.before)
        states = [row["state"] for row in self.daemon.rows("gpu", "list")]
        self.assertEqual(states, ["free"] * GPUS, self.daemon.log())

    def last_event(self):
        return max(row["number"] for row in self.daemon.rows("events"))

    def test_create_run_delete(self):
        done = self.daemon.compose("create", "--gpus", "2", "--name", "train")
        self.assertEqual((done.returncode, done.stdout), (0, "train\n"), done.stderr)
        done = self.daemon.compose("run", "-s", "train", "--", PROGRAM, "once")
        self.assertEqual((done.returncode, done.stdout), (0, "2 devices\n"),
                         done.stderr + self.daemon.log())
        about = self.daemon.rows("show", "train")
        self.assertEqual([row["state"] for row in about["gpus"]], ["composed"] * 2)
        self.assertEqual(about["owner_uid"], os.getuid())
        self.assertEqual(len(self.daemon.rows("gpu", "--free")), GPUS - 2)
        self.assertEqual(self.daemon.compose("delete", "train").returncode, 0)
        self.assertEqual(self.daemon.rows("list"), [])

    def test_perf(self):
        """The copy suite on a system, and on GPUs of its own: rows, and the report where it is said."""
        self.assertEqual(self.daemon.compose("create", "--gpus", "2", "--name", "fast").returncode, 0)
        report = os.path.join(self.daemon.folder, "r.html")
        for words, label in ((["fast"], "fast"), (["--gpus", "1", "--"], "adhoc")):
            with self.subTest(label):
                done = self.daemon.compose("perf", "--json", *words, "-t", "h2d", "-m", "pinned", "-s", "4K",
                                           "-D", "0.01", "-r", "5", "--max-spread", "1000", "-o", report)
                self.assertEqual(done.returncode, 0, done.stderr + self.daemon.log())
                result = json.loads(done.stdout)
                self.assertEqual(result["label"], label)
                self.assertEqual(len(result["devices"]), 2 if label == "fast" else 1)
                self.assertEqual([row["is_verified"] for row in result["rows"]], [True, True])
                self.assertTrue(os.path.exists(report))
                os.unlink(report)
        self.assertEqual(self.daemon.compose("perf", "fast", "--frob").returncode, 2)
        self.assertEqual(self.daemon.compose("delete", "fast").returncode, 0)

    def test_all_or_nothing(self):
        rows = [
            (["create", "--gpus", "3", "--name", "other"], "asked for 3 GPUs, 2 are free"),
            (["create", "--gpus", "1", "--name", "train"], "train is there already"),
            (["create", "--gpus", "1", "--host", "nowhere"], "there is no host nowhere"),
            (["create", "--gpus", "1", "--name", "-x"], "-x"),
            (["create", "--gpus", "3", "--wait", "1ms"], "3 GPUs"),
            (["run", "--gpus", "3", "true"], "asked for 3 GPUs, 2 are free"),
            (["run", "-s", "nothing", "true"], "nothing"),
            (["show", "nothing"], "nothing"),
            (["delete", "nothing"], "nothing"),
            (["drain", "nothing"], "nothing"),
        ]
        self.daemon.rows("create", "--gpus", "2", "--name", "train")
        for words, says in rows:
            with self.subTest(" ".join(words)):
                done = self.daemon.compose(*words)
                self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
                self.assertIn(says, done.stderr)
                self.assertEqual([row["name"] for row in self.daemon.rows("list")], ["train"])
        again = self.daemon.rows("create", "--gpus", "2", "--name", "train")
        self.assertEqual((again["name"], again["gpus"]), ("train", 2))

    def test_drained(self):
        self.daemon.rows("drain", "n1:0", "--reason", "fan")
        row = self.daemon.rows("gpu", "list")[0]
        self.assertEqual((row["state"], row["reason"]), ("drained", "fan"))
        done = self.daemon.compose("create", "--gpus", str(GPUS))
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"{GPUS - 1} are free", done.stderr)
        self.daemon.rows("undrain", "n1:0")

    def test_an_ad_hoc_system_ends_with_its_program(self):
        ends = [("normally", "", 0), ("by a signal", signal.SIGTERM, -signal.SIGTERM),
                ("killed", signal.SIGKILL, -signal.SIGKILL)]
        for label, how, status in ends:
            with self.subTest(label), \
                    self.daemon.popen("run", "--gpus", "2", PROGRAM, "hold") as child:
                self.assertEqual(child.stdout.readline(), "2 devices\n", self.daemon.log())
                systems = self.daemon.rows("list")
                self.assertEqual([(row["gpus"], row["adhoc"]) for row in systems], [(2, True)])
                if how:
                    child.send_signal(how)
                child.communicate(timeout=LIMIT_S)
                self.assertEqual(child.returncode, status)
                self.daemon.wait_for("system-released", systems[0]["name"], self.before)

    def test_a_deleted_system_ends_its_programs_work(self):
        self.daemon.rows("create", "--gpus", "1", "--name", "train")
        with self.daemon.popen("run", "-s", "train", PROGRAM, "hold") as child:
            self.assertEqual(child.stdout.readline(), "1 devices\n", self.daemon.log())
            programs = self.daemon.rows("show", "train")["programs"]
            self.assertEqual([row["pid"] for row in programs], [child.pid])
            self.daemon.rows("delete", "train")
            said, _ = child.communicate(timeout=LIMIT_S)
            self.assertRegex(said, "then [1-9]")  # an error, and no hang

    def test_views(self):
        self.daemon.rows("create", "--gpus", "1", "--name", "train")
        self.assertIn("gpu0", self.daemon.compose("topo").stdout)
        self.assertIn("<svg", self.daemon.compose("topo", "--svg").stdout)
        self.assertEqual(self.daemon.compose("smi", "-L").stdout.count("GPU 0: softcuda"), 1)
        checks = json.loads(self.daemon.compose("health", "--json", "n1").stdout)
        self.assertIn(("GPU 3 check", "pass"), [(row["check"], row["grade"]) for row in checks])


class Restart(unittest.TestCase):
    """A system outlives the daemon's kill; a clean stop leaves no socket."""

    def test_restart(self):
        daemon = Daemon(BUILD, 2)
        self.addCleanup(daemon.close)
        daemon.start()
        daemon.wait_for("node-up", "n1")
        daemon.rows("create", "--gpus", "1", "--name", "train")
        last = max(row["number"] for row in daemon.rows("events"))
        daemon.stop(signal.SIGKILL)
        daemon.start()
        daemon.wait_for("node-up", "n1", last)
        self.assertEqual([row["name"] for row in daemon.rows("list")], ["train"])
        daemon.rows("delete", "train")
        self.assertEqual([row["state"] for row in daemon.rows("gpu", "list")], ["free"] * 2)
        self.assertEqual(daemon.stop(), 0, daemon.log())
        self.assertEqual([name for name in os.listdir(daemon.run_dir) if name.endswith(".sock")], [])


class Network(unittest.TestCase):
    """HTTPS with the certificates that `compose cert` makes."""

    @classmethod
    def setUpClass(cls):
        cls.daemon = daemon = Daemon(BUILD, 1)
        cls.addClassCleanup(daemon.close)
        os.mkdir(f"{daemon.folder}/other")
        for words in (["ca"], ["node", "n1", "--address", "127.0.0.1"], ["user", "ann"]):
            daemon.rows("cert", *words, "--dir", daemon.folder)
        for words in (["ca"], ["user", "eve"]):
            daemon.rows("cert", *words, "--dir", f"{daemon.folder}/other")
        with socket.socket() as holder:
            # Held, so that nobody else gets the port: two may have it that do not both listen.
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind(("127.0.0.1", 0))
            cls.port = holder.getsockname()[1]
            with open(daemon.config, "a", encoding="utf-8") as file:
                file.write(f'tls : {{ ca = "{daemon.folder}/ca.pem"; '
                           f'certificate = "{daemon.folder}/n1.pem"; '
                           f'key = "{daemon.folder}/n1.key"; }};\n'
                           f'api : {{ listen = "127.0.0.1:{cls.port}"; }};\n')
            daemon.start()
        daemon.wait_for("node-up", "n1")

    def test_certificates(self):
        # (label, host, CA, certificate, key, what is said; "" if it works)
        rows = [
            ("an administrator's", "127.0.0.1", "ca", "n1", "n1", ""),
            ("a user's", "127.0.0.1", "ca", "ann", "ann", ""),
            ("none", "127.0.0.1", "ca", None, None, "show a certificate"),
            ("another site's user", "127.0.0.1", "ca", "other/eve", "other/eve",
             "eve.pem of the rack's CA?"),
            ("another site's CA", "127.0.0.1", "other/ca", "ann", "ann", "could not prove who it is"),
            ("a name that is not the node's", "localhost", "ca", "ann", "ann",
             "could not prove who it is"),
            ("another's key", "127.0.0.1", "ca", "ann", "n1", "cannot be used"),
        ]
        for label, host, ca, certificate, key, says in rows:
            with self.subTest(label):
                files = ["--ca", f"{self.daemon.folder}/{ca}.pem"]
                if certificate:
                    files += ["--cert", f"{self.daemon.folder}/{certificate}.pem",
                              "--key", f"{self.daemon.folder}/{key}.key"]
                done = self.daemon.compose("--json", "gpu", "list", "--url",
                                           f"https://{host}:{self.port}", *files)
                self.assertEqual(done.returncode, 1 if says else 0, done.stderr)
                if says:
                    self.assertEqual((done.stdout, done.stderr.count("\n")), ("", 1))
                    self.assertIn(says, done.stderr)
                else:
                    self.assertEqual(len(json.loads(done.stdout)), 1)


if __name__ == "__main__":
    BUILD, PROGRAM = (os.path.abspath(sys.argv.pop(1)) for _ in range(2))
    unittest.main()
