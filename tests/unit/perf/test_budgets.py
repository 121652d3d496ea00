#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""perf/budgets.py: what is worse, the table, the files; and perf/bench_rows.py."""
import argparse
import json
import os
import pathlib
import stat
import subprocess
import sys
import tempfile
import unittest

PERF = pathlib.Path(__file__).resolve().parents[3] / "perf"
sys.path.insert(0, str(PERF))
import bench_rows  # noqa: E402
import budgets  # noqa: E402


def row(ratio, interval=None, unit="us", **more):
    return {"name": "a row", "ours": 3.0, "limit": 2.0, "unit": unit, "ratio": ratio, "interval": interval,
            "pairs": 31, "budget": 1.25, "met": True, **more}


class Rows(unittest.TestCase):
    def test_median_and_interval(self):
        values = [float(i) for i in range(31, 0, -1)]
        self.assertEqual(bench_rows.median(values), 16)
        self.assertEqual(bench_rows.median([4, 1, 3, 2]), 2)
        self.assertEqual(bench_rows.interval(values), [11, 21])
        self.assertEqual(bench_rows.interval([5.0]), [5, 5])

    def test_met(self):
        for label, pairs, at_least, met in (
                ("well below", [(1, 2)] * 9, False, True),
                ("above", [(3, 2)] * 9, False, False),
                ("the interval reaches it", [(3, 2)] * 6 + [(1, 2)] * 5, False, True),
                ("at least, and is not", [(1, 2)] * 9, True, False),
                ("at least, and is", [(2, 2)] * 9, True, True)):
            with self.subTest(label):
                self.assertIs(bench_rows.row("x", "us", pairs, budget=1, at_least=at_least)["met"], met)

    def test_options_that_count(self):
        self.assertEqual(bench_rows.positive("31"), 31)
        for text in ("0", "-1", "", "x", "1.5", " 1"):
            with self.subTest(text), self.assertRaises(argparse.ArgumentTypeError):
                bench_rows.positive(text)

    def test_reported(self):
        made = bench_rows.reported("x", "ms", [3.0, 1.0, 2.0], p99=3.0)
        self.assertEqual((made["ours"], made["pairs"], made["met"], made["p99"]), (2, 3, None, 3.0))
        self.assertEqual(made["reason"], "reported only")

    def test_not_measured_is_not_met(self):
        made = bench_rows.row("x", "us", [], budget=1)
        self.assertIsNone(made["met"])
        self.assertEqual(made["reason"], "it did not run")


class Compare(unittest.TestCase):
    def test_is_worse(self):
        for label, old, new, worse in (
                ("same", row(1.0), row(1.0), False),
                ("a little slower", row(1.0), row(1.05), False),
                ("slower", row(1.0), row(1.2), True),
                ("slower, but it may be noise", row(1.0, [0.8, 1.3]), row(1.2, [1.0, 1.4]), False),
                ("slower beyond noise", row(1.0, [0.9, 1.1]), row(1.5, [1.3, 1.6]), True),
                ("faster", row(1.0), row(0.5), False),
                ("a rate that fell", row(0.9, unit="MB/s"), row(0.7, unit="MB/s"), True),
                ("a rate that rose", row(0.7, unit="MB/s"), row(0.9, unit="MB/s"), False),
                ("what at least, in ms", row(1.9, unit="ms", at_least=True), row(1.2, unit="ms", at_least=True), True),
                ("no ratio: the figure itself", row(None, ours=10.0), row(None, ours=12.0), True),
                ("a ratio now, none before", row(None), row(9.0), False)):
            with self.subTest(label):
                self.assertIs(budgets.is_worse(old, new), worse)

    def test_names_what_is_worse_and_what_is_gone(self):
        old = {"a": {"rows": [row(1.0), {**row(1.0), "name": "gone"}]}, "not run": {"rows": [row(1.0)]}}
        new = {"a": {"rows": [row(2.0)]}}
        self.assertEqual(budgets.compare(old, new), ["a: a row: 1 before, 2 now",
                                                     "a: gone: is not measured any more"])

    def test_names_what_has_no_figure_any_more(self):
        failed = {**row(0, [0, 0]), "ours": 0, "limit": 0, "met": None, "reason": "ours did not run"}
        empty = bench_rows.row("a row", "us", [], budget=1)
        for now in (failed, empty):
            self.assertEqual(budgets.compare({"a": {"rows": [row(1.0)]}}, {"a": {"rows": [now]}}),
                             ["a: a row: is not measured any more"])
            self.assertEqual(budgets.compare({"a": {"rows": [now]}}, {"a": {"rows": [row(1.0)]}}), [])


class Table(unittest.TestCase):
    BUDGET = [{"what": "calls", "limit": "fast", "rows": [{"run": "a", "name": "a row"}]}]

    def table(self, *rows):
        kept = {"rows": rows, "quick": False, "date": "2026-01-01", "commit": "1234", "machine": "one"}
        return budgets.render({"a": "a-bench"}, self.BUDGET, {"a": kept})

    def test_verdicts(self):
        for label, one, verdict in (
                ("met", row(1.0), "met"),
                ("met by the end of its interval only", row(1.3, [1.2, 1.4]), "met by the interval's end"),
                ("of a rate", row(1.2, [1.1, 1.3], unit="MB/s"), "met by the interval's end"),
                ("missed", row(2.0, met=False), "**missed**"),
                ("not judged", row(2.0, met=None, reason="why"), "why")):
            with self.subTest(label):
                self.assertIn(f" | {verdict} | 31 pairs |", self.table(one))

    def test_no_miss_is_hidden(self):
        """Of a run that a budget names, a row that it does not name."""
        other = {**row(2.0, met=False), "name": "another"}
        self.assertIn("| missed, and in no budget: the benchmark's own | another (`a`) |", self.table(row(1.0), other))
        self.assertNotIn("in no budget", self.table(row(1.0), {**other, "met": True}))


class Files(unittest.TestCase):
    def test_every_budget_is_in_the_table(self):
        runs, all_budgets, _ = budgets.load_budgets()
        table = budgets.render(runs, all_budgets, budgets.load_results(PERF / "results.json"))
        # The rows of the design, training, and softcuda's kernels.
        self.assertEqual(len(all_budgets), 18)
        for budget in all_budgets:
            self.assertEqual(table.count(f"| {budget['what']}: {budget['limit']} |"), 1)
            for one in budget["rows"]:
                self.assertIn(f"| {one['name']} (`{one['run']}`)", table)

    def test_kept_rows_are_those_of_the_budgets(self):
        runs, all_budgets, _ = budgets.load_budgets()
        for run, kept in budgets.load_results(PERF / "results.json").items():
            with self.subTest(run):
                self.assertEqual(kept["command"], runs[run])
                self.assertEqual(budgets.missing_rows(all_budgets, run, kept["rows"]), [])

    def test_the_way_from_a_benchmark_to_the_table(self):
        """With a benchmark that is a file: its rows are kept, shown and compared."""
        rows = [row(0.5) | {"name": "placement of 16 GPUs among 10000"}]
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            program, results, readme = folder / "placement-bench", folder / "results.json", folder / "README.md"
            program.write_text(f"#!/bin/sh\ncat <<'TEXT'\n{json.dumps(rows)}\nTEXT\n")
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
            readme.write_text(f"before\n{budgets.BEGIN}old\n{budgets.END}after\n")
            ask = [PERF / "budgets.py", "--bin", folder, "--results", results, "--readme", readme]
            self.assertEqual(subprocess.run([*ask, "--verify"], capture_output=True, check=False).returncode, 1)
            subprocess.run([*ask, "--part", "placement"], check=True, capture_output=True)
            self.assertIn("| 3 us | 2 | 0.5 [0.5, 0.5] | met | 31 pairs |", readme.read_text())
            self.assertTrue(readme.read_text().startswith("before\n") and readme.read_text().endswith("after\n"))
            self.assertEqual(subprocess.run([*ask, "--verify"], capture_output=True, check=False).returncode, 0)
            old = json.loads(results.read_text())
            self.assertFalse(old["placement"]["quick"])
            old["placement"]["rows"][0]["ratio"] = 0.2
            (folder / "old.json").write_text(json.dumps(old))
            done = subprocess.run([*ask, "--check", folder / "old.json"], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("0.2 before, 0.5 now", done.stdout)
            done = subprocess.run([*ask, "--check", folder / "typo.json"], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("there is no", done.stderr)
            program.write_text("#!/bin/sh\nexit 3\n")
            done = subprocess.run([*ask, "--part", "placement"], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertEqual(json.loads(results.read_text())["placement"]["rows"], rows)

    def test_merged_rows_are_of_when_they_were_measured(self):
        git = subprocess.run(["git", "-C", PERF, "rev-list", "--abbrev-commit", "-n", "2", "HEAD"], capture_output=True,
                             text=True, check=False)
        if git.returncode != 0 or len(git.stdout.split()) < 2:
            self.skipTest("no history here")
        before = git.stdout.split()[1]
        rows = [row(0.5) | {"name": "placement of 16 GPUs among 10000"}]
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            file, results, readme = folder / "rows.json", folder / "results.json", folder / "README.md"
            readme.write_text(f"{budgets.BEGIN}old\n{budgets.END}")
            file.write_text(json.dumps(rows))
            os.utime(file, (86400 * 365.5, 86400 * 365.5))
            ask = [PERF / "budgets.py", "--results", results, "--readme", readme, "--merge", "placement", file]
            for label, more in (("no commit", []), ("none that is there", ["--commit", "f" * 40])):
                with self.subTest(label):
                    done = subprocess.run([*ask, *more], capture_output=True, text=True, check=False)
                    self.assertEqual(done.returncode, 1)
                    self.assertIn("--merge needs --commit", done.stderr)
                    self.assertFalse(results.exists())
            subprocess.run([*ask, "--commit", before], check=True, capture_output=True)
            kept = json.loads(results.read_text())["placement"]
            self.assertEqual((kept["date"], kept["commit"]), ("1971-01-01", before))


if __name__ == "__main__":
    unittest.main()
