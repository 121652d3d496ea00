#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bin/compose as a user meets it: exit status, the two streams, and what was sent.

usage: test_cli.py COMPOSE COMPOSE_EXAMPLE PROGRAM
"""
import contextlib
import json
import os
import pty
import subprocess
import sys
import tempfile
import unittest

import api_server
from api_server import Api, block, error, machine, members, system

COMPOSE = EXAMPLE = PROGRAM = None
EXPAND = "/redfish/v1/Systems?$expand=."
BLOCKS = "/redfish/v1/CompositionService/ResourceBlocks?$expand=."
ROOT = {("GET", "/redfish/v1"): (200, {"Oem": {"Fabric": {"Node": "r730-1"}}})}


def run(*words, api=None, environment=None, program=None, stderr=subprocess.PIPE):
    """The finished process. Without `api` there is a socket's name, and nobody listens there."""
    settings = {"PATH": os.environ["PATH"], "TZ": "UTC", "LC_ALL": "C",
                "FABRIC_API": api.socket if api else "/nonexistent/api.sock", **(environment or {})}
    for name in ("ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"):
        if name in os.environ:
            settings[name] = os.environ[name]
    return subprocess.run([program or COMPOSE, *words], env=settings, stdout=subprocess.PIPE, stderr=stderr,
                          text=True, stdin=subprocess.DEVNULL, timeout=120)


class Misuse(unittest.TestCase):
    """Exit status 2, one line that names the option and the cure, and nothing is sent."""

    ROWS = [
        ([], "no command is given"),
        (["frobnicate"], "there is no command 'frobnicate'"),
        (["--jason", "list"], "'--jason' is not an option"),
        (["create"], "how many GPUs?"),
        (["create", "--gpus", "0", "--host", "a"], "a number from 1 to 64, not '0'"),
        (["create", "--gpus", "65", "--host", "a"], "a number from 1 to 64, not '65'"),
        (["create", "--gpus", "-1", "--host", "a"], "a number from 1 to 64, not '-1'"),
        (["create", "--gpus", "2x", "--host", "a"], "not '2x'"),
        (["create", "--gpus", "99999999999999999999", "--host", "a"], "a number from 1 to 64"),
        (["create", "--gpus"], "--gpus needs a value"),
        (["create", "-n"], "-n needs a value"),
        (["create", "--gpus", "1", "--gpus", "2"], "--gpus is given twice"),
        (["create", "-n", "1", "--gpus", "1"], "--gpus is given twice"),
        (["create", "--gpus", "1", "--host", "a", "--host", "b"], "--host is given twice"),
        (["create", "--gpus", "2", "--host", "a,"], "names joined by commas"),
        (["create", "--gpus", "2", "--host", "a,a"], "names a twice"),
        (["create", "--gpus", "3", "--host", "a,b"], "3 GPUs cannot be split evenly over 2 hosts"),
        (["create", "--gpus", "1", "--pack", "--spread"], "exclude each other"),
        (["create", "--gpus", "1", "--wait", "60"], "a time such as 60s, not '60'"),
        (["create", "--gpus", "1", "--rails", "9"], "a number from 1 to 7, not '9'"),
        (["create", "--gpus", "1", "--name", ""], "a name of 1 to 63 characters"),
        (["create", "--gpus", "1", "--name", "x" * 64], "a name of 1 to 63 characters"),
        (["create", "--gpus", "1", "more"], "what is 'more'?"),
        (["create", "--pack=yes", "--gpus", "1"], "'--pack=yes'"),
        (["list", "--frob"], "'--frob' is not an option"),
        (["list", "train"], "what is 'train'?"),
        (["show"], "which system?"),
        (["show", "a", "b"], "what is 'b'?"),
        (["delete"], "which system?"),
        (["delete", "a", "a"], "a is named twice"),
        (["node", "erase"], "'erase' is not 'list'"),
        (["gpu", "list", "list"], "what is 'list'?"),
        (["topo", "--dot", "--svg"], "--dot and --svg exclude each other"),
        (["topo", "--dot", "--json"], "--dot and --json exclude each other"),
        (["run"], "which program?"),
        (["run", "true"], "on which GPUs?"),
        (["run", "-s", "a", "--gpus", "1", "true"], "--system excludes --gpus"),
        (["run", "--gpus", "0", "true"], "a number from 1 to 64"),
        (["run", "-s", "a", "--wait", "1s", "true"], "belong to --gpus"),
        (["run", "--config", "x", "-s", "a", "true"], "--config belongs to --local"),
        (["run", "--local", "--config", "/nonexistent/x", "true"], "there is no file"),
        (["perf", "-s", "a", "--gpus", "1"], "a system has its GPUs"),
        (["perf", "-s", "a", "b"], "two systems: a and b"),
        (["perf", "--gpus", "0"], "a number from 1 to 64"),
        (["perf", "--url", "https://m:1", "-s", "a"], "daemon of their own host"),
        (["run", "--url", "https://m:1", "-s", "a", "true"], "daemon of their own host"),
        (["env"], "which system?"),
        (["mpi-env"], "which system?"),
        (["mpi-env", "a", "b"], "what is 'b'?"),
        (["mpi-env", "a", "--dir", ""], "--dir takes a folder"),
        (["mpi-env", "a", "--network", "ib"], "--network takes ucx or tcp, not 'ib'"),
        (["mpi-env", "a", "--url", "https://m:1"], "daemon of their own host"),
        (["smi", "--query-gpu=index,frob", "--format=csv"], "'frob' is not a field"),
        (["smi", "--query-gpu=index", "--format=xml"], "not 'xml'"),
        (["smi", "--query-gpu=index", "--format=noheader"], "--format must say csv"),
        (["smi", "--format=csv"], "--format belongs to --query-gpu"),
        (["smi", "-L", "--json"], "exclude each other"),
        (["events", "--after", "x"], "an event's number"),
        (["events", "--after", "-1"], "an event's number"),
        (["drain"], "which one?"),
        (["drain", "a", "a"], "a is named twice"),
        (["drain", "a:x"], "neither a node, NODE:GPU nor a uuid"),
        (["fence", "a"], "--reason takes a text"),
        (["cert"], "of what?"),
        (["cert", "rack", "--dir", "/tmp"], "what is 'rack'?"),
        (["cert", "revoke", "--dir", "/tmp"], "which one?"),
        (["cert", "revoke", "a", "--dir", "/tmp", "--days", "3"], "--days belongs to"),
        (["cert", "node", "--dir", "/tmp"], "which node?"),
        (["cert", "ca"], "where?"),
        (["cert", "ca", "a", "--dir", "/tmp"], "what is 'a'?"),
        (["cert", "node", "a", "b", "--dir", "/tmp"], "what is 'b'?"),
        (["cert", "user", "a", "--dir", "/tmp", "--address", "x"], "--address belongs to node"),
        (["cert", "node", "a", "--dir", "/tmp", "--name", "x"], "--name belongs to ca"),
        (["cert", "ca", "--dir", "/tmp", "--days", "0"], "a number from 1 to 36500"),
        (["drain", "a", "--reason", ""], "--reason takes a text"),
        (["undrain", "a", "--reason", "x"], "'--reason' is not an option"),
        (["fence", "GPU-1", "--reason", "off"], "only nodes are fenced"),
        (["list", "--url", "http://x"], "--url takes https://HOST:PORT"),
        (["list", "--socket", "/a", "--url", "https://x"], "exclude each other"),
        (["--socket", "/a", "list", "--socket", "/b"], "--socket is given twice"),
        (["list", "--socket", "no/such/socket"], "there is no socket"),
    ]

    def test_rows(self):
        api = self.enterContext(Api())
        for words, says in self.ROWS:
            with self.subTest(" ".join(words)):
                done = run(*words, api=api)
                self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
                self.assertTrue(done.stderr.startswith("compose"), done.stderr)
                self.assertIn(says, done.stderr)
                self.assertIn("--help'", done.stderr)
                self.assertEqual(api.requests, [])


class NotYet(unittest.TestCase):
    ROWS = [["attach"], ["detach", "x"], ["resize", "train", "--gpus", "24"], ["cdi", "train"],
            ["top"],
            ["create", "--gpus", "1", "--share", "0.5"], ["create", "--memory", "8GiB"],
            ["create", "--dmr"], ["run", "-p", "0.5", "true"], ["run", "-m", "100", "true"],
            ["run", "--gpus", "1", "--dmr", "true"], ["run", "-l", "a,b", "true"]]

    def test_rows(self):
        api = self.enterContext(Api())
        for words in self.ROWS:
            with self.subTest(" ".join(words)):
                done = run(*words, api=api)
                self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
                self.assertIn("is not in this version", done.stderr)
                self.assertEqual(api.requests, [])


class Failures(unittest.TestCase):
    """Exit status 1, nothing on stdout, the API's sentence or ours on one line."""

    FULL = (503, error("Fabric.1.0.Full", "r730-1 asked for 16 GPUs, 12 are free: wait with --wait"))
    ROWS = [
        ("full", ["create", "--gpus", "16", "--host", "r730-1"],
         {("POST", "/redfish/v1/Systems"): FULL}, "12 are free: wait with --wait"),
        ("unknown host", ["create", "--gpus", "1", "--host", "nowhere"],
         {("POST", "/redfish/v1/Systems"):
          (404, error("Base.1.0.ResourceNotFound", "there is no host nowhere"))},
         "there is no host nowhere"),
        ("name taken", ["create", "--gpus", "1", "--host", "a", "--name", "train"],
         {("POST", "/redfish/v1/Systems"): (409, error("Fabric.1.0.NameTaken", "train exists"))},
         "train exists"),
        ("limit passed", ["create", "--gpus", "1", "--host", "a"],
         {("POST", "/redfish/v1/Systems"): (504, error("Fabric.1.0.Timeout", "undone: c4130-3"))},
         "undone: c4130-3"),
        ("manager away", ["list"],
         {("GET", EXPAND): (503, error("Fabric.1.0.Away", "the manager does not answer"))},
         "the manager does not answer"),
        ("no reason given", ["list"], {("GET", EXPAND): (500, "oops")}, "HTTP status 500"),
        ("no JSON", ["list"], {("GET", EXPAND): (200, "oops")}, "cannot be read"),
        ("no members", ["list"], {("GET", EXPAND): (200, {})}, "has no members"),
        ("no HTTP", ["list"], {("GET", EXPAND): (None, b"\x00\x01\x02")}, "broke off"),
        ("an answer cut short", ["list"],
         {("GET", EXPAND): (None, b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{")}, "broke off"),
        ("an endless answer", ["list"],
         {("GET", EXPAND): (200, b"x" * (18 << 20))}, "answers more than 17 MiB"),
        ("escapes and lines in a message", ["list"],
         {("GET", EXPAND): (503, error("x", "a\x1b[2Jb\nc"))}, "compose: a [2Jb c\n"),
        ("no such system", ["show", "nothing"], {}, "there is no /redfish/v1/Systems/nothing"),
        ("a name with a slash", ["show", "a/b"], {}, "there is no /redfish/v1/Systems/a%2Fb"),
        ("delete of nothing", ["delete", "nothing"], {}, "there is no /redfish/v1/Systems/nothing"),
        ("no host here", ["create", "--gpus", "1"], {("GET", "/redfish/v1"): (200, {})},
         "name a host with --host"),
        ("run on a failed system", ["run", "-s", "train", "true"],
         {("GET", "/redfish/v1/Systems/train"): (200, system(state="failed", reason="c4130-1 lost"))},
         "train is failed and cannot be used now: c4130-1 lost"),
        ("run on another host's", ["run", "-s", "train", "true"],
         {("GET", "/redfish/v1/Systems/train"): (200, system(host="r730-2")), **ROOT},
         "train is not composed for r730-1"),
        ("env of another host's", ["env", "train"],
         {("GET", "/redfish/v1/Systems/train"): (200, system(host="r730-2")), **ROOT},
         "train is not composed for r730-1"),
        ("mpi-env of another host's", ["mpi-env", "train"],
         {("GET", "/redfish/v1/Systems/train"): (200, system(host="r730-2")), **ROOT},
         "train is not composed for r730-1"),
        ("mpi-env without a network", ["mpi-env", "train"],
         {("GET", "/redfish/v1/Systems/train"): (200, system()), **ROOT,
          ("GET", "/redfish/v1/Systems/r730-1"): (200, machine("r730-1")),
          ("GET", "/redfish/v1/Oem/Fabric/Topology?format=json"): (200, {"things": []})},
         "r730-1 has no network on its rails, and none with its daemon's address '10.0.0.1'"),
        ("mpi-env into no folder", ["mpi-env", "train", "--dir", "/nonexistent/x"],
         {("GET", "/redfish/v1/Systems/train"): (200, system()), **ROOT,
          ("GET", "/redfish/v1/Systems/r730-1"): (200, {"Oem": {"Fabric": {"Address": "127.0.0.1:7"}}}),
          ("GET", "/redfish/v1/Oem/Fabric/Topology?format=json"): (200, {"things": []})},
         "the folder /nonexistent/x cannot be made"),
        ("mpi-env into a folder that Open MPI cannot name", ["mpi-env", "train", "--dir", "a b"],
         {("GET", "/redfish/v1/Systems/train"): (200, system()), **ROOT,
          ("GET", "/redfish/v1/Systems/r730-1"): (200, {"Oem": {"Fabric": {"Address": "127.0.0.1:7"}}}),
          ("GET", "/redfish/v1/Oem/Fabric/Topology?format=json"): (200, {"things": []})},
         "has a space in its name, and Open MPI ends its fork agent's name there"),
        ("smi without a system", ["smi"], {("GET", EXPAND): members(machine("a"))},
         "no system is composed"),
        ("smi with several", ["smi"], {("GET", EXPAND): members(system("a"), system("b"))},
         "there are several systems"),
        ("drain of no GPU", ["drain", "c4130-1:9"], {("GET", BLOCKS): members(block(0))},
         "there is no GPU c4130-1:9"),
        ("drain refused", ["drain", "c4130-1"],
         {("PATCH", "/redfish/v1/Systems/c4130-1"): (403, error("x", "only administrators"))},
         "only administrators"),
        ("health of no node", ["health", "x"], {("GET", EXPAND): members(machine("a"))},
         "there is no node x"),
        ("follow refused", ["events", "--follow"], {}, "there is no /redfish/v1/EventService"),
    ]

    def test_rows(self):
        for label, words, answers, says in self.ROWS:
            with self.subTest(label), Api(answers) as api:
                done = run(*words, api=api)
                self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
                self.assertIn(says, done.stderr)

    def test_nobody_listens(self):
        for words in (["list"], ["create", "--gpus", "1", "--host", "a"], ["events", "--follow"],
                      ["run", "--gpus", "1", "true"], ["env", "a"], ["mpi-env", "a"]):
            with self.subTest(" ".join(words)):
                done = run(*words)
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
                self.assertIn("no fabricd answers at /nonexistent/api.sock", done.stderr)

    def test_certificates(self):
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as junk:
            junk.write("no certificate\n")
            junk.flush()
            rows = [
                (["--ca", "/nonexistent/ca.pem"], "CA certificate /nonexistent/ca.pem cannot be read"),
                (["--cert", "/nonexistent/c.pem", "--key", junk.name], "cannot be read"),
                (["--cert", junk.name], "a certificate and its key are given together"),
            ]
            for words, says in rows:
                with self.subTest(" ".join(words)):
                    done = run("list", "--url", "https://127.0.0.1:9", *words)
                    self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
                    self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
                    self.assertIn(says, done.stderr)

    def test_program_is_looked_for_first(self):
        with Api(ROOT) as api:
            for program, status in (("no-such-program", 127), (__file__ + ".no", 127), ("/tmp", 126)):
                done = run("run", "--gpus", "1", program, api=api)
                self.assertEqual((done.returncode, api.requests), (status, []), done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)


class Output(unittest.TestCase):
    maxDiff = None

    PROGRAM = {"Host": "r730-1", "Uid": 0, "Pid": 42, "Command": "./train\x1b[2J",
               "SinceMs": 1764115200000}
    ANSWERS = {
        **ROOT,
        ("GET", EXPAND): members(machine("c4130-1", gpus=4, health=[
            {"Name": "memory-lock limit", "Value": "64 KiB", "Grade": "fail", "Advice": "raise it"}]),
            machine("r730-1", "drained", reason="disk"),
            system("train", 2, programs=[PROGRAM])),
        ("GET", BLOCKS): members(block(0, state="composed", owner="train"), block(1),
                                 block(5, "c4130-2")),
        ("GET", "/redfish/v1/Systems/train"): (200, system("train", 2, programs=[PROGRAM])),
        ("GET", "/redfish/v1/Oem/Fabric/Findings"): members(
            {"Severity": "warning", "Code": "link.width", "Thing": "sw1/3", "Text": "1x of 4x"}),
        ("GET", "/redfish/v1/Oem/Fabric/Events?after=0"): members(
            {"number": 1, "time": 1764115200000, "kind": "system", "subject": "train",
             "reason": "composed"}),
        ("GET", "/redfish/v1/Oem/Fabric/Topology?format=tree"): (200, "r730-1\n"),
        ("GET", "/redfish/v1/Oem/Fabric/Topology?format=matrix"): (200, "X IB1\n"),
        ("GET", "/redfish/v1/Oem/Fabric/Topology?format=json"): (200, "{}"),
        ("POST", "/redfish/v1/Systems"): (201, system("train", 2)),
        ("DELETE", "/redfish/v1/Systems/train"): (204, ""),
        ("PATCH", "/redfish/v1/Systems/c4130-1"): (200, {}),
        ("PATCH", "/redfish/v1/CompositionService/ResourceBlocks/GPU-0005"): (200, {}),
    }

    # (words, exit status, stdout)
    TEXTS = [
        (["node", "list"], 0,
         "NODE    STATE   GPUS ADDRESS       SINCE               REASON\n"
         "c4130-1 up         4 10.0.0.1:7000 2025-11-26 00:00:00 -\n"
         "r730-1  drained    0 10.0.0.1:7000 2025-11-26 00:00:00 disk\n"),
        (["list_gpus", "--node", "c4130-2"], 0,
         "NODE    GPU MODEL       MEMORY GPU%    USED STATE SYSTEM SINCE               RAILS    UUID     REASON\n"
         "c4130-2   1 Tesla K80 12.0 GiB 50 % 5.0 MiB free  -      2025-11-26 00:00:00 mlx5_0:1 GPU-0005 -\n"),
        (["list"], 0,
         "SYSTEM STATE    HOSTS  GPUS GPU%    USED OWNER PROGRAMS CREATED             REASON\n"
         "train  composed r730-1    2  5 % 1.0 MiB root         1 2025-11-25 23:59:59 -\n"),
        (["show", "train"], 0,
         "System   train\nState    composed\nSince    2025-11-26 00:00:00\nOwner    root\n"
         "Ad hoc   no\nCreated  2025-11-25 23:59:59\n\n"
         "HOST   GPU NODE    INDEX MODEL       MEMORY GPU%    USED STATE    PATH HOPS MB/S RAILS                     UUID\n"
         "r730-1   0 c4130-1     0 Tesla K80 12.0 GiB  0 %     0 B composed IB1     1 6800 mlx5_0:1-mlx5_0:1(direct) GPU-0000\n"
         "r730-1   1 c4130-1     1 Tesla K80 12.0 GiB 10 % 1.0 MiB composed IB1     1 6800 mlx5_0:1-mlx5_0:1(direct) GPU-0001\n"
         "\n"
         "HOST   PID USER SINCE               COMMAND\n"
         "r730-1  42 root 2025-11-26 00:00:00 ./train\\x1b[2J\n"),
        (["health"], 1,
         "NODE    CHECK             GRADE    VALUE   ADVICE\n"
         "c4130-1 agent             pass     up      -\n"
         "c4130-1 memory-lock limit fail     64 KiB  raise it\n"
         "r730-1  agent             marginal drained disk\n"
         "sw1/3   link.width        marginal warning 1x of 4x\n"),
        (["health", "--bad", "r730-1"], 0,
         "NODE   CHECK GRADE    VALUE   ADVICE\n"
         "r730-1 agent marginal drained disk\n"),
        (["events"], 0,
         "NUMBER TIME                WHAT   SUBJECT REASON\n"
         "     1 2025-11-26 00:00:00 system train   composed\n"),
        (["topo"], 0, "r730-1\n"),
        (["topo", "--matrix"], 0, "X IB1\n"),
        (["topo", "--json"], 0, "{}\n"),
        (["create", "--gpus", "2"], 0, "train\n"),
        (["delete", "train"], 0, ""),
        (["smi", "-L"], 0, "GPU 0: Tesla K80 (UUID: GPU-0000)\nGPU 1: Tesla K80 (UUID: GPU-0001)\n"),
        (["smi", "train", "--query-gpu=index,utilization.gpu,memory.used", "--format=csv"], 0,
         "index, utilization.gpu [%], memory.used [MiB]\n0, 0 %, 0 MiB\n1, 10 %, 1 MiB\n"),
        (["smi", "--query-gpu=gpu_uuid,memory.free,fabric.node",
          "--format=csv,noheader,nounits"], 0,
         "GPU-0000, 12288, c4130-1\nGPU-0001, 12287, c4130-1\n"),
        (["drain", "c4130-1", "c4130-2:1", "--reason", "fan"], 0,
         "NAME      IS      REASON\nc4130-1   drained fan\nc4130-2:1 drained fan\n"),
        (["undrain", "c4130-1"], 0, "NAME    IS           REASON\nc4130-1 in use again -\n"),
        (["fence", "c4130-1", "--reason", "unplugged"], 0,
         "NAME    IS     REASON\nc4130-1 fenced unplugged\n"),
    ]

    def test_texts(self):
        for words, status, text in self.TEXTS:
            with self.subTest(" ".join(words)), Api(self.ANSWERS) as api:
                done = run(*words, api=api)
                lines = [line.rstrip() for line in done.stdout.splitlines()]
                self.assertEqual((done.returncode, lines), (status, text.splitlines()), done.stderr)

    # (words, path into the JSON, value)
    JSONS = [
        (["node", "list"], lambda rows: rows[0]["gpus"], 4),
        (["gpu", "list"], lambda rows: [row["uuid"] for row in rows],
         ["GPU-0000", "GPU-0001", "GPU-0005"]),
        (["gpu", "--free"], lambda rows: [row["uuid"] for row in rows], ["GPU-0001", "GPU-0005"]),
        (["list"], lambda rows: (rows[0]["hosts"], rows[0]["load"]), (["r730-1"], 5)),
        (["show", "train"], lambda about: about["gpus"][1]["memory_bytes"], 12 << 30),
        (["smi"], lambda rows: rows[1]["number"], 1),
        (["events"], lambda rows: rows[0]["kind"], "system"),
        (["create", "--gpus", "2"], lambda row: (row["name"], row["gpus"]), ("train", 2)),
        (["delete", "train"], lambda rows: rows, [{"name": "train", "state": "deleted"}]),
        (["drain", "c4130-1"], lambda rows: rows[0]["is"], "drained"),
    ]

    def test_unknown_load(self):
        """What no driver says is no number."""
        dumb = block(1, "c4130-1")
        dumb["Oem"]["Fabric"] |= {"Load": None, "UsedBytes": None}
        half = system("train", 2)
        half["Oem"]["Fabric"]["Hosts"][0]["Gpus"][0] |= {"Load": None, "UsedBytes": None}
        whole = system("dumb", 1)
        whole["Oem"]["Fabric"]["Hosts"][0]["Gpus"][0] |= {"Load": None, "UsedBytes": None}
        answers = self.ANSWERS | {
            ("GET", BLOCKS): members(dumb),
            ("GET", EXPAND): members(half, whole)}
        with Api(answers) as api:
            self.assertIn("12.0 GiB    -    - free", run("gpu", "list", api=api).stdout)
            lines = run("list", api=api).stdout.splitlines()
            self.assertRegex(lines[1], r"train .* 10 % 1.0 MiB root")
            self.assertRegex(lines[2], r"dumb .* 1 +- +- root")

    def test_json(self):
        for words, look, value in self.JSONS:
            with self.subTest(" ".join(words)), Api(self.ANSWERS) as api:
                done = run("--json", *words, api=api)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(look(json.loads(done.stdout)), value)

    def test_empty(self):
        with Api({("GET", EXPAND): members()}) as api:
            done = run("list", api=api)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
            self.assertEqual(json.loads(run("list", "--json", api=api).stdout), [])

    def test_progress_on_a_terminal(self):
        with Api(self.ANSWERS) as api:
            ours, terminal = pty.openpty()
            run("delete", "train", api=api, stderr=terminal)
            os.close(terminal)
            text = b""
            with contextlib.suppress(OSError):  # all is read, and nobody has it open
                while part := os.read(ours, 65536):  # a part of what was written may come first
                    text += part
            os.close(ours)
            self.assertRegex(text, rb"^(\r\x1b\[Kreleasing train( [(]\d+ s[)])?)+\r\x1b\[K$")

    def test_smi_table(self):
        with Api(self.ANSWERS) as api:
            done = run("smi", api=api)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("| train", done.stdout)
            self.assertIn("1MiB / 12288MiB |", done.stdout)
            self.assertIn("./train [2J\n", done.stdout)
            self.assertEqual(len({len(line) for line in done.stdout.splitlines()
                                  if line.startswith(("|", "+"))}), 1, done.stdout)

    # (words, method, path, body)
    SENT = [
        (["create", "--gpus", "16", "--host", "a,b", "--name", "t", "--rails", "2", "--pack",
          "--wait", "1m"], "POST", "/redfish/v1/Systems",
         {"Name": "t", "Oem": {"Fabric": {"Hosts": ["a", "b"], "Gpus": 16, "Strategy": "pack",
                                          "Rails": 2, "WaitMs": 60000}}}),
        (["create", "-n", "2"], "POST", "/redfish/v1/Systems",
         {"Oem": {"Fabric": {"Hosts": ["r730-1"], "Gpus": 2, "Strategy": "default"}}}),
        (["delete", "train"], "DELETE", "/redfish/v1/Systems/train", None),
        (["drain", "c4130-2:1", "--reason", "fan"], "PATCH",
         "/redfish/v1/CompositionService/ResourceBlocks/GPU-0005",
         {"Oem": {"Fabric": {"Drained": True, "Reason": "fan"}}}),
        (["undrain", "GPU-0005"], "PATCH",
         "/redfish/v1/CompositionService/ResourceBlocks/GPU-0005",
         {"Oem": {"Fabric": {"Drained": False}}}),
        (["drain", "c4130-1"], "PATCH", "/redfish/v1/Systems/c4130-1",
         {"Oem": {"Fabric": {"Drained": True, "Reason": "drained by hand"}}}),
        (["fence", "c4130-1", "--reason", "off"], "PATCH", "/redfish/v1/Systems/c4130-1",
         {"Oem": {"Fabric": {"Fenced": True, "Reason": "off"}}}),
        (["run", "--gpus", "2", "--wait", "5s", "--"], "POST", "/redfish/v1/Systems",
         {"Oem": {"Fabric": {"Hosts": ["r730-1"], "Gpus": 2, "Strategy": "default",
                             "WaitMs": 5000, "AdHoc": True}}}),
    ]

    def test_sent(self):
        for words, method, path, body in self.SENT:
            with self.subTest(" ".join(words)), Api(self.ANSWERS) as api:
                done = run(*words, *([PROGRAM] if words[0] == "run" else []), api=api)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(api.requests[-1], (method, path, body))

    def test_deletes_go_on(self):
        with Api(self.ANSWERS) as api:
            done = run("delete", "nothing", "train", api=api)
            self.assertEqual(done.returncode, 1)
            self.assertEqual([(method, path.rsplit("/", 1)[1]) for method, path, _ in api.requests],
                             [("GET", "nothing"), ("GET", "train"), ("DELETE", "train")])

    AWAY, THERE, GONE = (503, error("x", "the manager went away")), (200, system()), (404, error("x", "no such system"))
    LOST = [  # (label, answers to GET, to DELETE, exit status, requests, on stderr)
        ("it was done", [THERE, GONE], [AWAY], 0, "GDG", ""),
        ("it was not done", [THERE, THERE], [AWAY, (204, "")], 0, "GDGD", ""),
        ("it is away for a while", [THERE, AWAY, AWAY, THERE], [AWAY, (204, "")], 0, "GDGGGD", ""),
        ("it is gone between two questions", [THERE], [AWAY, GONE], 0, "GDGD", ""),
        ("the connection broke off", [THERE, GONE], [(None, b"")], 0, "GD+G", ""),  # libcurl itself asks once more
        ("another has the name now", [THERE, (200, system(created_ms=1764115199999))], [AWAY], 0, "GDG", ""),
        ("a refusal, later", [THERE], [AWAY, (403, error("x", "you may not"))], 1, "GDGD", "you may not"),
        ("away before it was asked", [AWAY], [(204, "")], 1, "G", "the manager went away"),
        ("away for good", [THERE, AWAY], [AWAY], 1, "GDG+", "it is not known whether train is deleted: the manager went "
         "away before it answered, and did not answer within 250 ms: look with 'compose list', or delete it again"),
    ]

    def test_lost_answers(self):
        path = "/redfish/v1/Systems/train"
        for label, gets, deletes, status, requests, says in self.LOST:
            with self.subTest(label), Api({("GET", path): list(gets), ("DELETE", path): list(deletes)}) as api:
                done = run("delete", "train", *(["--retry", "250ms"] if requests == "GDG+" else []), api=api)
                self.assertEqual((done.returncode, says in done.stderr), (status, True), done.stderr)
                self.assertRegex("".join(method[0] for method, _, _ in api.requests), f"^{requests}$")

    def test_help(self):
        done = run("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for word in ("create", "undrain", "fence"):
            self.assertIn(f"\n  {word}", done.stdout)
        self.assertNotIn("resize", done.stdout)
        self.assertIn("--spread", run("create", "--help").stdout)
        self.assertNotIn("--dmr", run("create", "--help").stdout)
        self.assertEqual(run("--version").stdout, "compose 0.1.0\n")


class Programs(unittest.TestCase):
    """`run` becomes the program: its arguments, exit status and environment."""

    @staticmethod
    def said(text):
        return dict(line.split("=", 1) for line in text.splitlines())

    def test_run(self):
        rows = [(["-s", "train"], {}), (["--system=train", "--host", "r730-1"], {}),
                ([], {"FABRIC_SYSTEM": "train"}), (["--gpus", "2"], {})]
        for words, environment in rows:
            with self.subTest(" ".join(words)), Api(Output.ANSWERS) as api:
                done = run("run", *words, "--", PROGRAM, "7", "--gpus", api=api, environment=environment)
                self.assertEqual(done.returncode, 7, done.stderr)
                said = self.said(done.stdout)
                self.assertEqual(said["FABRIC_SYSTEM"], "train")
                self.assertEqual(said["FABRIC_SOCKET"], f"{api.folder}/client.sock")
                self.assertEqual(said["arguments"], "7 --gpus ")
                self.assertIn("/lib/client:", said["LD_LIBRARY_PATH"])
                self.assertIn("/libcudart.so.13", said["LD_PRELOAD"])
                self.assertTrue(said["LD_AUDIT"].endswith("/libcudart-redirect.so"), said)

    def test_the_asker_becomes_the_program(self):
        with Api(Output.ANSWERS) as api:
            child = subprocess.Popen([COMPOSE, "run", "--socket", api.socket, "--gpus", "1", PROGRAM],
                                     stdout=subprocess.PIPE, text=True)
            said = self.said(child.communicate()[0])
            self.assertEqual(int(said["pid"]), child.pid)
            self.assertEqual(said["descriptors"], "0 1 2 ")  # none of the connection

    def test_signal(self):
        with Api(Output.ANSWERS) as api:
            self.assertEqual(run("run", "-s", "train", PROGRAM, "kill", api=api).returncode, -9)

    def test_local(self):
        done = run("run", "--local", "--gpus", "3", "--", PROGRAM)
        self.assertEqual(done.returncode, 0, done.stderr)
        said = self.said(done.stdout)
        self.assertEqual(said["SOFTCUDA_DEVICES"], "3")
        self.assertIn("/lib/softcuda:", said["LD_LIBRARY_PATH"])
        self.assertEqual(said["FABRIC_SYSTEM"], "")

    def test_env(self):
        with Api({**Output.ANSWERS, ("GET", "/redfish/v1/Systems/it%27s"):
                  (200, system("it's"))}) as api:
            done = run("env", "it's", api=api, environment={"LD_LIBRARY_PATH": "/a b"})
            self.assertEqual(done.returncode, 0, done.stderr)
            # The shell must not meet the libraries itself.
            lines = [line.replace("export LD_", "export OUR_") for line in done.stdout.splitlines()]
            shell = subprocess.run(["sh", "-c", "eval \"$0\"; echo \"$FABRIC_SYSTEM\"; "
                                    "echo \"$OUR_LIBRARY_PATH\"; echo \"$OUR_AUDIT\"",
                                    "\n".join(lines)], env={"PATH": os.environ["PATH"]},
                                   capture_output=True, text=True)
            name, path, audit = shell.stdout.splitlines()
            self.assertEqual(name, "it's")
            self.assertTrue(path.endswith(":/a b") and "/lib/client:" in path, path)
            self.assertTrue(audit.endswith("/libcudart-redirect.so"), audit)
            about = json.loads(run("env", "it's", "--json", api=api).stdout)
            self.assertEqual(about["FABRIC_SOCKET"], f"{api.folder}/client.sock")


class MpiEnv(unittest.TestCase):
    """The files of mpi-env, and a rank started by them."""

    HOST = os.uname().nodename.split(".")[0]

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="test-mpi'env-")
        self.addCleanup(folder.cleanup)
        self.folder = os.path.join(folder.name, "job")

    def answers(self, netdev="lo", cpus="0-11,24-35"):
        train = system("train", 4, host=self.HOST)
        hosts = train["Oem"]["Fabric"]["Hosts"]
        for gpu in hosts[0]["Gpus"]:
            gpu["Rails"] = [{"Local": f"{self.HOST}/mlx5_0:1"}, {"Local": f"{self.HOST}/mlx5_1:1"}]
        hosts.append(system(gpus=4, host="r730-2")["Oem"]["Fabric"]["Hosts"][0])
        things = [{"name": f"{self.HOST}/numa1", "kind": "numa", "parent": self.HOST, "cpus": cpus},
                  {"name": f"{self.HOST}/mlx5_0", "kind": "hca", "parent": f"{self.HOST}/numa1"},
                  *({"name": f"{self.HOST}/mlx5_{i}:1", "kind": "port",
                     "parent": f"{self.HOST}/mlx5_0", "netdev": netdev} for i in range(2))]
        return {("GET", "/redfish/v1"): (200, {"Oem": {"Fabric": {"Node": self.HOST}}}),
                ("GET", "/redfish/v1/Systems/train"): (200, train),
                ("GET", f"/redfish/v1/Systems/{self.HOST}"):
                    (200, {"Oem": {"Fabric": {"Address": "127.0.0.1:7472"}}}),
                ("GET", "/redfish/v1/Oem/Fabric/Topology?format=json"): (200, {"things": things})}

    def text(self, name):
        with open(os.path.join(self.folder, name), encoding="utf-8") as stream:
            return stream.read()

    def test_files(self):
        with Api(self.answers()) as api:
            done = run("mpi-env", "train", "--dir", self.folder, api=api)
        self.assertEqual((done.returncode, done.stdout), (0, self.folder + "\n"), done.stderr)
        self.assertEqual(self.text("hostfile"), f"{self.HOST} slots=4\nr730-2 slots=4\n")
        # Only this host's parts have a place in the model.
        self.assertIn("no rankfile", done.stderr)
        self.assertFalse(os.path.exists(os.path.join(self.folder, "rankfile")))
        shell = subprocess.run(["sh", "-c", '. "$0/env" && env', self.folder], check=True,
                               env={"PATH": os.environ["PATH"]}, capture_output=True, text=True)
        said = dict(line.split("=", 1) for line in shell.stdout.splitlines())
        self.assertEqual(said["OMPI_MCA_orte_default_hostfile"], self.folder + "/hostfile")
        self.assertEqual(said["OMPI_MCA_orte_fork_agent"], self.folder + "/rank")
        self.assertEqual(said["OMPI_MCA_btl_tcp_if_include"], "127.0.0.0/8")

    def test_rankfile(self):
        answers = self.answers()
        answers[("GET", "/redfish/v1/Systems/train")][1]["Oem"]["Fabric"]["Hosts"].pop()
        with Api(answers) as api:
            done = run("mpi-env", "train", "--dir", self.folder, api=api)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.text("rankfile"), "".join(
            f"rank {rank}={self.HOST} slot=0-11,24-35\n" for rank in range(4)))

    def test_json(self):
        # (answers, words, network, networks)
        rows = [(self.answers(), [], "tcp", ["127.0.0.0/8"]),
                (self.answers(netdev=None), [], "tcp", ["127.0.0.0/8"]),  # the daemon's
                (self.answers(), ["--network", "ucx"], "ucx", ["127.0.0.0/8"])]
        for answers, words, network, networks in rows:
            with self.subTest(words), Api(answers) as api:
                done = run("mpi-env", "train", "--json", "--dir", self.folder, *words, api=api)
                about = json.loads(done.stdout)
                self.assertEqual((about["network"], about["networks"]), (network, networks))
                self.assertEqual(about["hosts"], [{"name": self.HOST, "slots": 4},
                                                  {"name": "r730-2", "slots": 4}])
                self.assertEqual(about["environment"]["OMPI_MCA_pml"], "ucx" if network == "ucx" else "ob1")

    def test_rank(self):
        # (rank and number of ranks of this host, its GPUs of four)
        rows = [("0", "4", "0"), ("3", "4", "3"), ("1", "2", "2,3"), ("0", "1", "0,1,2,3"),
                ("1", "3", "1"), ("2", "3", "2,3"), ("5", "8", "2")]
        with Api(self.answers()) as api:
            run("mpi-env", "train", "--dir", self.folder, "--network", "ucx", api=api)
            for local, count, gpus in rows:
                with self.subTest(f"{local} of {count}"):
                    done = run(PROGRAM, "7", "a b", api=api, program=self.folder + "/rank",
                               environment={"OMPI_COMM_WORLD_LOCAL_RANK": local,
                                            "OMPI_COMM_WORLD_LOCAL_SIZE": count})
                    self.assertEqual(done.returncode, 7, done.stderr)
                    said = Programs.said(done.stdout)
                    self.assertEqual(said["FABRIC_GPUS"], gpus)
                    self.assertEqual(said["CUDA_VISIBLE_DEVICES"],
                                     ",".join(map(str, range(gpus.count(",") + 1))))
                    self.assertEqual(said["UCX_NET_DEVICES"], "mlx5_0:1,mlx5_1:1")
                    self.assertEqual(said["FABRIC_SYSTEM"], "train")
                    self.assertEqual(said["arguments"], "7 a b ")
            done = run(PROGRAM, api=api, program=self.folder + "/rank")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("started by mpirun", done.stderr)


class Follow(unittest.TestCase):
    SSE = "/redfish/v1/EventService/SSE?after="

    @staticmethod
    def event(number):
        body = {"number": number, "time": 1764115200000, "kind": "gpu", "subject": f"GPU-{number}",
                "reason": ""}
        return f": comment\nid: {number}\ndata: {json.dumps(body)}\n\n".encode()

    def test_goes_on_after_a_restart(self):
        answers = {("GET", self.SSE + "3"): (200, self.event(4) + self.event(5)),
                   ("GET", self.SSE + "5"): (200, self.event(6).replace(b"\n", b"\r\n")),
                   ("GET", self.SSE + "6"): (403, error("x", "enough"))}
        with Api(answers) as api:
            done = run("events", "--follow", "--after", "3", "--json", api=api)
            self.assertEqual(done.returncode, 1)
            self.assertEqual([json.loads(line)["number"] for line in done.stdout.splitlines()], [4, 5, 6])
            self.assertEqual(done.stderr.count("trying again"), 2, done.stderr)
            self.assertIn("enough", done.stderr)

    def test_lines(self):
        answers = {("GET", self.SSE[:-7]): (200, self.event(1)),
                   ("GET", self.SSE + "1"): (403, error("x", "enough"))}
        with Api(answers) as api:
            done = run("events", "-f", api=api)
            self.assertEqual(done.stdout.rstrip(), "     1  2025-11-26 00:00:00  gpu               GPU-1")

    def test_reader_goes(self):
        with Api({("GET", self.SSE[:-7]): (200, b"".join(map(self.event, range(1, 2000))))}) as api:
            child = subprocess.Popen([COMPOSE, "events", "-f", "--socket", api.socket],
                                     stdout=subprocess.PIPE, text=True)
            child.stdout.readline()
            child.stdout.close()
            self.assertEqual(child.wait(60), -13)  # SIGPIPE, as any filter


class Completion(unittest.TestCase):
    # (words, candidates)
    ROWS = [
        (["cr"], ["create"]),
        (["create", "--ga"], []),
        (["create", "--gp"], ["--gpus"]),
        (["create", "--d"], []),
        (["show", ""], ["train"]),
        (["run", "-s", ""], ["train"]),
        (["create", "--host", "r"], ["r730-1"]),
        (["create", "--gpus", ""], []),
        (["gpu", ""], ["list"]),
        (["drain", "c"], ["c4130-1"]),
        (["list_gpus", "--n"], ["--node"]),
        (["topo", "--m"], ["--matrix"]),
        (["mpi"], ["mpi-env"]),
        (["mpi-env", "t"], ["train"]),
        (["mpi-env", "train", "--n"], ["--network"]),
    ]

    def test_rows(self):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                              "../../../integrations/bash/compose")
        shell = ('source "$0"; COMP_WORDS=(compose "$@"); COMP_CWORD=$#; _compose compose; '
                 'printf "%s\\n" "${COMPREPLY[@]}"')
        for words, candidates in self.ROWS:
            with self.subTest(" ".join(words)), Api(Output.ANSWERS) as api:
                done = run("--norc", "-c", shell, script, *words, api=api, program="bash",
                           environment={"PATH": os.path.dirname(COMPOSE) + ":" + os.environ["PATH"]})
                self.assertEqual((done.stdout.split(), done.stderr), (candidates, ""))

    def test_nobody_listens(self):
        done = run("__complete", "show", "")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_every_command(self):
        words = run("__complete", "").stdout.split()
        self.assertIn("create", words)
        for word in words:
            with self.subTest(word):
                done = run(word, "--help")
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertIn("Usage: compose " + word, done.stdout)


class Certificates(unittest.TestCase):
    def test_a_site(self):
        with tempfile.TemporaryDirectory() as folder:
            rows = [
                (["ca", "--name", "site"], 0, f"{folder}/ca.pem\n{folder}/ca.key\n"),
                (["ca"], 1, "is there already"),
                (["node", "r730-1", "--address", "10.0.0.1", "--address", "r730-1.rack"], 0,
                 f"{folder}/r730-1.pem\n{folder}/r730-1.key\n"),
                (["node", "r730-1"], 1, "is there already"),
                (["user", "ann", "--days", "30", "--json"], 0,
                 json.dumps({"certificate": f"{folder}/ann.pem", "key": f"{folder}/ann.key"},
                            indent=2) + "\n"),
                (["node", "../x"], 1, "no certificate was made"),
                (["node", "ca"], 1, "no certificate was made"),
                (["node", "revoked"], 1, "no certificate was made"),
                (["revoke", "ann"], 0, f"{folder}/revoked.pem\n"),
                (["revoke", "ann"], 1, "nothing was revoked: it stands in"),
                (["revoke", "r730-1", "--json"], 0,
                 json.dumps({"revoked": f"{folder}/revoked.pem"}, indent=2) + "\n"),
                (["revoke", "bob"], 1, "bob.pem"),
            ]
            for words, status, text in rows:
                with self.subTest(" ".join(words)):
                    done = run("cert", *words, "--dir", folder)
                    self.assertEqual(done.returncode, status, done.stderr)
                    if status == 0:
                        self.assertEqual((done.stdout, done.stderr), (text, ""))
                    else:
                        self.assertEqual((done.stdout, done.stderr.count("\n")), ("", 1))
                        self.assertIn(text, done.stderr)
            self.assertEqual(sorted(os.listdir(folder)),
                             ["ann.key", "ann.pem", "ca.key", "ca.pem", "r730-1.key", "r730-1.pem",
                              "revoked.pem"])
            for name in ("ca.key", "ann.key", "r730-1.key"):
                self.assertEqual(os.stat(os.path.join(folder, name)).st_mode & 0o777, 0o600)


class ManPage(unittest.TestCase):
    """Every command and every option of the tables stands in compose(1)."""

    def test_all(self):
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                               "../../../man/compose.1"), encoding="utf-8") as file:
            page = file.read()
        for command in run("__complete", "").stdout.split():
            self.assertIn(f"\n.Ss {command}", page)
            for option in run("__complete", command, "--").stdout.split():
                with self.subTest(f"{command} {option}"):
                    self.assertRegex(page, rf"Fl {option[1:]}\b")


class Library(unittest.TestCase):
    """The example links the shared library and knows nothing but its header."""

    def test_example(self):
        with Api(Output.ANSWERS) as api:
            done = run("r730-1", "2", api=api, program=EXAMPLE)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("train: GPU 1 of r730-1 is Tesla K80, GPU 1 of c4130-1\n", done.stdout)
            self.assertEqual([request[0] for request in api.requests], ["POST", "DELETE"])

    def test_refusals(self):
        done = run("r730-1", "0", program=EXAMPLE)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("by number or by name", done.stderr)
        done = run("r730-1", "1", program=EXAMPLE)
        self.assertIn("no fabricd answers at /nonexistent/api.sock", done.stderr)


if __name__ == "__main__":
    COMPOSE, EXAMPLE, PROGRAM = (os.path.abspath(sys.argv.pop(1)) for _ in range(3))
    unittest.main()
