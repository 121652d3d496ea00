#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The definition table against the toolkit's library, our library and the documentation.

Usage: test_table.py LIBRARY TOOLKIT_LIBRARY COVERAGE_FILE
"""

import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
LIBRARY, TOOLKIT, COVERAGE = (pathlib.Path(argument) for argument in sys.argv[1:4])
NODE = "libcudart.so.13"

spec = importlib.util.spec_from_file_location("gen", ROOT / "cuda-runtime" / "gen.py")
gen = importlib.util.module_from_spec(spec)
spec.loader.exec_module(gen)


def exported(library):
    """Name -> version node of every defined dynamic symbol."""
    lines = subprocess.run(["nm", "-D", "--defined-only", library], check=True, text=True,
                           capture_output=True).stdout.splitlines()
    names = [line.split()[-1] for line in lines]
    return dict(name.split("@@") for name in names if "@" in name and name != f"{NODE}@@{NODE}")


class Exports(unittest.TestCase):
    def test_same_names_as_the_toolkit(self):
        if not TOOLKIT.exists():
            self.skipTest(f"{TOOLKIT} is not there")
        ours, theirs = exported(LIBRARY), exported(TOOLKIT)
        self.assertEqual(sorted(set(theirs) - set(ours)), [], "missing")
        self.assertEqual(sorted(set(ours) - set(theirs)), [], "invented")
        self.assertEqual(len(ours), 422)

    def test_one_version_node(self):
        self.assertEqual(set(exported(LIBRARY).values()), {NODE})

    def test_soname(self):
        text = subprocess.run(["readelf", "-d", LIBRARY], check=True, text=True,
                              capture_output=True).stdout
        self.assertIn(f"soname: [{NODE}]", text)
        self.assertNotIn("libcuda.so", text)

    def test_entries_can_be_jumped_to(self):
        """The redirect enters through an indirect jump: each entry starts with endbr64."""
        text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", LIBRARY], check=True,
                              text=True, capture_output=True).stdout
        lines = text.splitlines()
        first = {line.split("<")[1].rstrip(">:"): lines[i + 1] for i, line in enumerate(lines)
                 if line.endswith(">:")}
        bad = [name for name in exported(LIBRARY)
               if "endbr64" not in first[f"{name}@@{NODE}" if f"{name}@@{NODE}" in first else name]]
        self.assertEqual(bad, [])


class ErrorNames(unittest.TestCase):
    """cudaGetErrorName() of every number, asked from each library in a process of its own."""

    ASK = ("import ctypes, sys; ask = ctypes.CDLL(sys.argv[1]).cudaGetErrorName; "
           "ask.restype = ctypes.c_char_p; print([ask(i) for i in range(-1, 10002)])")

    def names(self, library):
        environment = dict(os.environ)
        if "PROGRAM_PRELOAD" in environment:
            environment.update(LD_PRELOAD=environment["PROGRAM_PRELOAD"],
                               ASAN_OPTIONS="detect_leaks=0")  # of the interpreter, not ours
        return subprocess.run([sys.executable, "-c", self.ASK, library], check=True, text=True,
                              capture_output=True, env=environment).stdout

    def test_same_as_the_toolkit(self):
        if "PROGRAM_SKIP" in os.environ:
            self.skipTest(os.environ["PROGRAM_SKIP"])
        if not TOOLKIT.exists():
            self.skipTest(f"{TOOLKIT} is not there")
        self.assertEqual(self.names(LIBRARY), self.names(TOOLKIT))


class Documentation(unittest.TestCase):
    def test_coverage_is_up_to_date(self):
        wanted = gen.coverage(gen.load(ROOT / "cuda-runtime" / "api"))
        self.assertEqual(COVERAGE.read_text(encoding="utf-8"), wanted,
                         f"run cuda-runtime/gen.py --coverage {COVERAGE}")


class Refusals(unittest.TestCase):
    """A row that is wrong is named with file and line."""

    CASES = [
        ("unknown field", 'name = "f"\nparams = "void"\nneed = "driver"', "unknown field need"),
        ("no params", 'name = "f"', "a function that is done needs its params"),
        ("no why", 'name = "f"\nstatus = "later"', "a function that is not done needs a why"),
        ("bad status", 'name = "f"\nstatus = "soon"', "status must be one of"),
        ("bad needs", 'name = "f"\nparams = "void"\nneeds = "luck"', "needs must be one of"),
        ("bad stream form", 'name = "f"\nparams = "void"\nper_thread = "yes"', "per_thread"),
        ("twice", 'name = "f"\nparams = "void"\n[[function]]\nname = "f"\nparams = "void"',
         "f is also in"),
        ("form twice", 'name = "f"\nparams = "void"\nper_thread = "ptds"\n[[function]]\n'
         'name = "f_ptds"\nparams = "void"', "f_ptds is also in"),
        ("no way to report", 'name = "f"\nparams = "void"\nreturns = "int"',
         "can report what it needs"),
    ]

    def load(self, group, text):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "copy.toml"
            path.write_text(f'group = "{group}"\nstatus = "done"\n[[function]]\n{text}\n',
                            encoding="utf-8")
            gen.load(pathlib.Path(folder))

    def test_rows(self):
        for label, text, message in self.CASES:
            with self.subTest(label):
                with self.assertRaisesRegex(gen.TableError, r"copy\.toml:\d+: .*" + message):
                    self.load("copy", text)

    def test_group_is_the_file(self):
        with self.assertRaisesRegex(gen.TableError, "group must be the file's name, copy"):
            self.load("other", 'name = "f"\nparams = "void"')

    def test_good_row(self):
        self.load("copy", 'name = "f"\nparams = "void"')


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
