#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bin/fabric-perf from outside: rows, exit status, files, and that the data arrived.

    test_fabric_perf.py BUILD native|memory|rails

Times are not looked at, so it may be told to print any spread: what counts is that each row was
copied and compared.
"""
import csv
import io
import json
import os
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

BUILD, WAY = sys.argv[1], sys.argv[2]
BIN = os.path.join(BUILD, "bin")
PROGRAM = os.path.join(BIN, "fabric-perf")
LIMIT_S = 150
ANY_SPREAD = ["--max-spread", "1000", "-D", "0.01", "-r", "5"]
GPUS = 4  # in two nodes, where there are nodes
RUNNERS = {
    "native": [f"{BIN}/softcuda-run", "--devices", str(GPUS)],
    "memory": [f"{BIN}/remote-run", "--workers", "2", "--devices", "2"],
    "rails": [f"{BIN}/remote-run", "--workers", "2", "--devices", "2", "--rails", "2"],
}


def environment():
    values = {**os.environ, "SOFTCUDA_STATE": FOLDER}
    if WAY == "rails":  # the leak checker of a sanitized build dies of libucs's thread-local memory
        values["ASAN_OPTIONS"] = values.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    return values


def call(*arguments, runner=True):
    command = (RUNNERS[WAY] if runner else []) + [PROGRAM, *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=LIMIT_S, env=environment(), check=False)


def measure(*arguments):
    done = call("--json", "-", *ANY_SPREAD, *arguments)
    if done.returncode != 0:
        raise AssertionError(f"{arguments}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout)


class Rows(unittest.TestCase):
    def check(self, rows, count):
        self.assertEqual(len(rows), count)
        for row in rows:
            with self.subTest(row=row["key"]):
                if row["us"] is None:  # a stall of the machine, or a sample that fell short of the clock
                    self.assertRegex(row["reason"], "^(spread|timer|slow)")
                else:
                    self.assertEqual(row["reason"], "")
                    self.assertLessEqual(row["us_low"], row["us"])
                    self.assertLessEqual(row["us"], row["us_high"])
                if row["reason"].startswith("slow"):  # its first copy was stalled: it has no others
                    self.assertEqual((row["repeats"], row["is_verified"]), (0, False))
                else:
                    self.assertGreaterEqual(row["repeats"], 5)
                    self.assertEqual(row["is_verified"], row["key"]["size"] > 0)

    def test_every_kind(self):
        """Sizes that no unit divides; two streams; both ways; GPUs of one node and of two."""
        result = measure("-s", "1,4097,300000", "-b", "--streams", "1,2", "-l", WAY)
        self.assertEqual(result["format"], "fabric-perf 1")
        self.assertEqual(result["label"], WAY)
        self.assertEqual(len(result["devices"]), GPUS)
        # A list of 3 sizes: memcpy on each number of streams does not count; h2d and d2h of two memories
        # by 1 + 2 calls and of two by kernels; both; d2d; pairs; pairs both ways; and three without sizes.
        kinds = 1 + 2 * (2 * 3 + 2) + 2 + 3
        pairs = 1 if WAY == "native" else 2
        self.check(result["rows"], 3 * (kinds + pairs * (3 + 2)) + 3)
        links = {row["key"]["link"] for row in result["rows"]}
        self.assertEqual(links, {"none", "direct"} if WAY == "native" else {"none", "direct", "staged"})

    def test_all_at_once(self):
        result = measure("-t", "h2d,d2d,p2p", "-m", "pinned", "-c", "async", "-s", "65537", "--together",
                         "--matrix")
        pairs = GPUS * (GPUS - 1)
        self.check(result["rows"], (3 if WAY == "native" else 4) + 3 + pairs)
        together = [row for row in result["rows"] if row["key"]["gpus"] == GPUS]
        self.assertEqual([row["key"]["test"] for row in together], ["h2d", "d2d", "p2p"])

    def test_table(self):
        done = call("-t", "h2d,launch", "-m", "pinned", "-c", "sync", "-s", "8,1K", *ANY_SPREAD)
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.splitlines()
        self.assertIn("# Host to device, cudaMemcpy, pinned, GPU 0", lines)
        self.assertIn("# Kernel launch, posted, GPU 0", lines)
        self.assertEqual([line.split()[0] for line in lines if line[:1] == " "], ["8", "1024", "0"])

    def test_not_clean(self):
        """A spread that nothing reaches, and repeats that are too short: no number, but a reason."""
        result = json.loads(call("-t", "h2d", "-m", "pageable", "-c", "sync", "-s", "8", "--json", "-",
                                 "--max-spread", "0.1", "-D", "0.01", "-r", "5").stdout)
        row = result["rows"][0]
        if row["us"] is None:  # what must be said, where it cannot be made certain
            self.assertIsNone(row["mb_s"])
            self.assertIn("spread", row["reason"])
        result = json.loads(call("-t", "memcpy", "-s", "1", "-n", "1", "--json", "-",
                                 *ANY_SPREAD).stdout)
        row = result["rows"][0]
        self.assertIsNone(row["us"])
        self.assertIn("timer", row["reason"])

    def test_refused(self):
        for arguments, status, message in ((["-g", "9"], 2, "there is no GPU 9"),
                                           (["-s", "1KB"], 2, "size '1KB'"),
                                           (["--json", "/nowhere/x.json", "-t", "sync"], 1, "/nowhere/x.json")):
            with self.subTest(arguments=arguments):
                done = call(*ANY_SPREAD, *arguments)
                self.assertEqual(done.returncode, status, done.stderr)
                self.assertIn(message, done.stderr)


class Files(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.names = []
        for label in ("first", "second & last"):
            name = os.path.join(FOLDER, f"{len(cls.names)}.json")
            done = call("-t", "h2d,p2p,memcpy,sync", "-m", "pinned", "-s", "8,4K,64K,256K", "-l", label,
                        "--json", name, "--matrix", *ANY_SPREAD)
            assert done.returncode == 0, done.stderr
            cls.names.append(name)

    def test_report(self):
        html, svg, table = (os.path.join(FOLDER, name) for name in ("r.html", "r.svg", "r.csv"))
        done = call("report", *self.names, "-o", html, "--svg", svg, "--csv", table, runner=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("# Host to device, cudaMemcpy, pinned, GPU 0: us", done.stdout)
        root = ElementTree.parse(html).getroot()  # well-formed
        text = "".join(root.itertext())
        for part in ("second & last", "At a glance", "How it was measured"):
            self.assertIn(part, text)
        names = {element.tag.rpartition("}")[2] for element in root.iter()}
        self.assertFalse(names & {"script", "link", "img", "iframe", "object"})
        for element in root.iter():
            for name in element.attrib:
                self.assertNotIn(name, ("href", "src", "onload"))
        self.assertEqual(ElementTree.parse(svg).getroot().tag, "{http://www.w3.org/2000/svg}svg")
        with open(table, encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual({row["label"] for row in rows}, {"first", "second & last"})
        self.assertTrue(all(row["us"] or row["reason"] for row in rows))

    def test_one_report(self):
        """A run writes its own report, and CSV to standard output instead of the table."""
        html = os.path.join(FOLDER, "one.html")
        done = call("-t", "sync", "-o", html, "--csv", "-", *ANY_SPREAD)
        self.assertEqual(done.returncode, 0, done.stderr)
        ElementTree.parse(html)
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        self.assertEqual([row["test"] for row in rows], ["sync"])

    def test_not_a_result(self):
        wrong = os.path.join(FOLDER, "wrong.json")
        with open(wrong, "w", encoding="utf-8") as file:
            file.write('{"format": "fabric-perf 1"}\n')
        done = call("report", self.names[0], wrong, runner=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(wrong, done.stderr)
        self.assertEqual(done.stdout, "")


def load_tests(loader, _tests, _pattern):
    suite = unittest.TestSuite()
    for case in (Rows, Files):
        suite.addTests(loader.loadTestsFromTestCase(case))
    return suite


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="test-fabric-perf-") as FOLDER:
        unittest.main(argv=sys.argv[:1], verbosity=2)
