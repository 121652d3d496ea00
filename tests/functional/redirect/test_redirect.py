#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Builds programs with an embedded runtime in every way and looks where their calls land.

usage: test_redirect.py path/to/libcudart-redirect.so
"""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
AUDIT = os.path.abspath(sys.argv.pop(1))
CC = os.environ.get("CC", "gcc")

REDIRECTED = ["ours:__cudaRegisterFatBinary", "ours:cudaMalloc", "ours:cudaFree",
              "embedded:__cudaUnregisterBinaryUtil"]
UNTOUCHED = ["embedded:__cudaRegisterFatBinary", "embedded:cudaMalloc", "embedded:cudaFree",
             "embedded:__cudaUnregisterBinaryUtil"]
LIBRARY = ["ours:__cudaRegisterFatBinary", "ours:cudaMalloc"]
LIBRARY_UNTOUCHED = ["embedded:__cudaRegisterFatBinary", "embedded:cudaMalloc"]

# label, compiler flags, command after linking (or None), extra environment, lines, text on stderr
PROGRAMS = [
    ("PIE", ["-pie", "-fPIE"], None, {}, REDIRECTED, ""),
    ("non-PIE", ["-no-pie", "-fno-pie"], None, {}, REDIRECTED, ""),
    ("CET", ["-fcf-protection=full"], None, {}, REDIRECTED, ""),
    ("hardened", ["-fstack-protector-all", "-D_FORTIFY_SOURCE=2", "-O2", "-Wl,-z,relro,-z,now",
                  "-Wl,-z,separate-code"], None, {}, REDIRECTED, ""),
    ("sections collected", ["-ffunction-sections", "-Wl,--gc-sections"], None, {}, REDIRECTED, ""),
    ("debug information stripped", ["-g"], ["strip", "--strip-debug"], {}, REDIRECTED, ""),
    ("stripped: told", [], ["strip"], {}, UNTOUCHED, "stripped"),
    ("stripped, no device code: told", ["-DNO_DEVICE_CODE"], ["strip"], {}, UNTOUCHED, "stripped"),
    ("switched off", [], None, {"FABRIC_REDIRECT": "off"}, UNTOUCHED, ""),
    ("CUDA 12: told", ["-DMAJOR_12"], None, {}, UNTOUCHED, "CUDA 12"),
]
# The two refusals need a runtime that exports cudaMemset.
REFUSED = [
    ("no room for a jump", ["-DTINY_NEIGHBOUR"], "no room"),
    ("folded functions", ["-DFOLDED"], "share one address"),
]


def compile_c(output, sources, *flags):
    # Sources before flags: libraries among the flags must follow what needs them.
    subprocess.run([CC, *[os.path.join(HERE, s) for s in sources], *flags, f"-I{HERE}",
                    "-o", output], check=True)


class Redirect(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="redirect-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.audit = shutil.copy(AUDIT, self.folder)
        self.runtime = self.path("libcudart.so.13")
        compile_c(self.runtime, ["runtime.c"], "-shared", "-fPIC", "-Wl,-soname,libcudart.so.13")

    def path(self, name):
        return os.path.join(self.folder, name)

    def run_program(self, command, **extra):
        environment = {**os.environ, "LD_AUDIT": self.audit, "LD_PRELOAD": self.runtime, **extra}
        # The variables are for the program alone, not for anything in between.
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        if done.returncode == 77:
            self.skipTest("the kernel has no memory-deny-write-execute")
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.split(), done.stderr

    def test_programs(self):
        for label, flags, after, extra, lines, said in PROGRAMS:
            with self.subTest(label):
                program = self.path("program")
                compile_c(program, ["program.c"], *flags)
                if after:
                    subprocess.run([*after, program], check=True)
                output, errors = self.run_program([program], **extra)
                self.assertEqual(output, lines)
                self.assertIn(said, errors)
                self.assertEqual(errors.count("\n"), 1 if said else 0, errors)
                self.assertIn(program if said else "", errors)

    def test_refused(self):
        compile_c(self.runtime, ["runtime.c"], "-shared", "-fPIC", "-Wl,-soname,libcudart.so.13",
                  "-Wl,--defsym,cudaMemset=cudaFree")
        for label, flags, said in REFUSED:
            with self.subTest(label):
                program = self.path("program")
                compile_c(program, ["program.c"], *flags)
                output, errors = self.run_program([program])
                self.assertEqual(output, UNTOUCHED)
                self.assertIn(said, errors)

    def test_linked_library(self):
        compile_c(self.path("libembedded.so"), ["library.c"], "-shared", "-fPIC")
        compile_c(self.path("host"), ["host.c"], "-DLINKED", f"-L{self.folder}", "-lembedded",
                  f"-Wl,-rpath,{self.folder}")
        self.assertEqual(self.run_program([self.path("host")]), (LIBRARY, ""))

    def test_opened_library(self):
        library = self.path("libembedded.so")
        compile_c(library, ["library.c"], "-shared", "-fPIC")
        for label, flags in (("plain", []), ("no writable code", ["-DMDWE"])):
            with self.subTest(label):
                compile_c(self.path("host"), ["host.c"], *flags, "-ldl")
                self.assertEqual(self.run_program([self.path("host"), library]),
                                 (LIBRARY + LIBRARY, ""))

    def test_other_runtime(self):
        """A libcudart.so.13 that is not the one beside the audit library is not ours."""
        elsewhere = self.path("elsewhere")
        os.mkdir(elsewhere)
        moved = shutil.move(self.runtime, elsewhere)
        program = self.path("program")
        compile_c(program, ["program.c"])
        output, errors = self.run_program([program], LD_PRELOAD=moved)
        self.assertEqual((output, errors), (UNTOUCHED, ""))


if __name__ == "__main__":
    unittest.main(verbosity=2)
