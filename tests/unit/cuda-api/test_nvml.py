#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The NVML description: what it refuses, that its numbers keep their meaning, that it is complete.

Usage: test_nvml.py ROOT
"""
import pathlib
import re
import sys
import tempfile
import unittest

ROOT = pathlib.Path(sys.argv.pop(1)).resolve()
sys.path.insert(0, str(ROOT / "cuda-api"))
from generator import emit_nvml, nvml  # noqa: E402

GOOD = """
[[call]]
number = 1
c = "nvmlReturn_t nvmlGet(nvmlDevice_t device, unsigned int *count, nvmlProcessInfo_t *infos)"
inout = ["count"]
array = { infos = "count" }
processes = "running"
"""


def load(text):
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(text)
        file.flush()
        return nvml.load(pathlib.Path(file.name))


class Rules(unittest.TestCase):
    def test_good_row(self):
        call = load(GOOD).calls[0]
        self.assertEqual([p.kind for p in call.params], ["device", "inout", "out"])
        self.assertEqual([p.count_at for p in call.params], [0, 1, 1])
        self.assertTrue(call.is_remote)

    def test_text_is_as_long_as_the_next_parameter_says(self):
        call = load('[[call]]\nnumber = 1\nc = "nvmlReturn_t f(char *text, unsigned int length)"').calls[0]
        self.assertEqual([p.count_at for p in call.params], [1, 1])

    def test_refusals(self):
        for change, words in [
                (("number = 1", "number = 1\nclient = \"magic\""), "a word that does not exist"),
                (("number = 1", "number = 1\ncolour = 3"), "unknown colour"),
                (('"count"]', '"number"]'), "no parameter number"),
                (('infos = "count"', 'infos = "many"'), "no parameter infos or many"),
                (("nvmlProcessInfo_t *infos", "void *infos"), "does not go over the wire"),
                (("unsigned int *count", "const unsigned int *count"), "does not go over the wire"),
                (('inout = ["count"]\n', ""), "count is no count"),
                (("infos)", "infos, int a, int b)"), "not a function that a worker can execute"),
                (("nvmlReturn_t nvmlGet(", "int nvmlGet("), "not a function that a worker"),
                (("nvmlGet(nvml", "nvmlGet nvml"), "not a prototype")]:
            with self.subTest(words):
                with self.assertRaisesRegex(nvml.NvmlError, re.escape(words)):
                    load(GOOD.replace(*change))
        with self.assertRaisesRegex(nvml.NvmlError, "number 1 is nvmlGet's"):
            load(GOOD + GOOD.replace("nvmlGet", "nvmlOther"))


class Rows(unittest.TestCase):
    def setUp(self):
        self.calls = nvml.load(ROOT / emit_nvml.SOURCE).calls

    def test_numbers_are_append_only(self):
        listed = dict(line.split() for line in
                      (pathlib.Path(__file__).parent / "nvml_numbers.txt").read_text().splitlines()
                      if not line.startswith("#"))
        self.assertEqual({str(call.number): call.name for call in self.calls}, listed,
                         "a number has another meaning, or is missing in nvml_numbers.txt")

    def test_every_function_of_the_header_has_a_row(self):
        header = (ROOT / "cuda-common" / "nvml.h").read_text(encoding="utf-8")
        declared = set(re.findall(r"FAB_EXPORT [\w ]+[ *](\w+)\(", header))
        self.assertEqual({call.name for call in self.calls}, declared)

    def test_files_are_the_listed_ones(self):
        self.assertEqual(sorted(emit_nvml.outputs(None)), sorted(emit_nvml.emit(None)))

    def test_coverage_is_up_to_date(self):
        for name, text in emit_nvml.Coverage().emit(None).items():
            path = ROOT / "docs" / "coverage.d" / name
            self.assertEqual(path.read_text(encoding="utf-8"), text,
                             f"{path}: write it anew with cuda-api/gen.py")


if __name__ == "__main__":
    unittest.main()
