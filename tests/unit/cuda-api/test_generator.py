#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The API generator: what it refuses, what it reads from the toolkit, and what it writes.

Run by CTest with the repository, the toolkit and a C compiler as arguments:
    test_generator.py ROOT CUDA_HOME CC
"""
import contextlib
import io
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT, CUDA_HOME, CC = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
sys.path.insert(0, str(ROOT / "cuda-api"))

from generator import check, emit_coverage, emit_exports, emit_names, header, model  # noqa: E402

SOFTCUDA = emit_exports.Face("softcuda", "soft", "soft_call", "softcuda/driver")

HEAD = """
[api]
name = "toy"
title = "Toy API"
prefix = "toy"
version = 1000
result = "toyResult"
calling = "TOYAPI"
headers = ["toy.h"]
files = ["all"]
[consumer.worker]
states = ["manual", "stub"]
[later]
rest = "the rest"
[limits]
name_bytes = 64
[fabric_errors]
peer_lost = "TOY_LOST"
"""
GROUP = '[group]\ntitle = "All"\n'
ROW = """[[call]]
name = "toyPut"
id = 1
since = 1000
source = "toy manual"
status = "foundation"
worker = "manual"
mode = "called"
blocks = false
route = "ctx"
order = "now"
retry = "never"
params = [
  { name = "ctx", type = "toyCtx", dir = "in", handle = "context" },
  { name = "n", type = "size_t", dir = "in" },
  { name = "data", type = "const void *", dir = "in", bytes = "n", max = "name_bytes" },
  { name = "done", type = "int *", dir = "out", class = "state" },
]
"""


TYPES = """
simple = [
  { name = "int", class = "integer", bytes = 4 },
  { name = "size_t", class = "integer", bytes = 8 },
  { name = "long", class = "integer", bytes = 8 },
  { name = "toyCtx", class = "handle", bytes = 8, handle = "context" },
  { name = "toyFn", class = "callback", bytes = 8 },
]
[[struct]]
name = "toyArgs"
bytes = 32
fields = [
  { name = "ctx", type = "toyCtx", handle = "context" },
  { name = "u.data", type = "void *", bytes = "n * 4", max = "name_bytes", when = "kind == 1" },
  { name = "next", type = "toyInner" },
]
[[struct]]
name = "toyInner"
bytes = 8
fields = [ { name = "fn", type = "toyFn" } ]
"""
TOY_H = """
typedef int toyResult; typedef struct toyCtx_st *toyCtx; typedef void (*toyFn)(void *p, int n);
typedef struct toyInner_st { toyFn fn; } toyInner_v1; typedef toyInner_v1 toyInner;
typedef struct { int flat[2]; } toyFlat;
typedef struct toyArgs_st { toyCtx ctx; int n; int kind; union { void *data; int word[2]; } u;
                            toyInner next; toyFlat flat; } toyArgs;
toyResult toyPut(toyCtx ctx, size_t n, const void *data, int *done);
"""


def load(row=ROW, head=HEAD, group=GROUP, types=TYPES):
    """A description of one row, by way of real files."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "api.toml").write_text(head, encoding="utf-8")
        (folder / "all.toml").write_text(group + row, encoding="utf-8")
        (folder / "types.toml").write_text(types, encoding="utf-8")
        return model.load(folder)


class Refusals(unittest.TestCase):
    """Each case changes one thing in a good row (or head) and names the words of the answer."""

    CASES = [
        ("no number", ("id = 1\n", ""), "`id` is missing"),
        ("no mode", ('mode = "called"\n', ""), "`mode` is missing"),
        ("no consumer state", ('worker = "manual"\n', ""), "`worker` is missing"),
        ("no source", ('source = "toy manual"\n', ""), "`source` is missing"),
        ("unknown key", ("id = 1\n", "id = 1\nspeed = 3\n"), "unknown key `speed`"),
        ("unknown status", ('"foundation"', '"soon"'), '`status` is "soon"'),
        ("foundation but a stub", ('"manual"', '"stub"'), "must be implemented"),
        ("later without a group", ('"foundation"', '"later"'), "`group` belongs to"),
        ("later with an unknown group", ('status = "foundation"', 'status = "later"\ngroup = "x"'),
         '`group` is "x"'),
        ("never without a reason", ('"foundation"', '"never"'), "`reason` belongs to"),
        ("a reason without never", ("id = 1\n", 'id = 1\nreason = "r"\n'), "`reason` belongs to"),
        ("unknown mode", ('"called"', '"thrown"'), '`mode` is "thrown"'),
        ("unknown order", ('order = "now"', 'order = "later"'), '`order` is "later"'),
        ("route to nowhere", ('route = "ctx"', 'route = "gpu"'), '`route` is "gpu"'),
        ("number 0", ("id = 1\n", "id = 0\n"), "outside 1..65535"),
        ("output without a class", (', class = "state"', ""), "parameter done: `class` belongs"),
        ("input with a class", ('type = "size_t", dir = "in"',
                                'type = "size_t", dir = "in", class = "state"'),
         "parameter n: `class` belongs"),
        ("unknown class", ('class = "state"', 'class = "fun"'), '`class` is "fun"'),
        ("output by value", ('type = "int *"', 'type = "int"'), "an output is a pointer"),
        ("void pointer of unknown length", (', bytes = "n", max = "name_bytes"', ""),
         "a void pointer needs"),
        ("length without a bound", (', max = "name_bytes"', ""), "needs `max`"),
        ("unknown bound", ('max = "name_bytes"', 'max = "sky"'), '"sky" is not in [limits]'),
        ("length names no parameter", ('bytes = "n"', 'bytes = "2 * m"'), "names `m`"),
        ("bytes and count", ('bytes = "n"', 'bytes = "n", count = "n"'), "not both"),
        ("value with a length", ('type = "size_t", dir = "in"',
                                 'type = "size_t", dir = "in", bytes = "n"'),
         "a value has no length"),
        ("pointer to pointer", ('type = "int *"', 'type = "int **"'), "pointer to a pointer"),
        ("string without a bound", ('bytes = "n", max = "name_bytes"', 'pointee = "string"'),
         "needs `max`"),
        ("unknown pointee", ('bytes = "n"', 'pointee = "cloud"'), '`pointee` is "cloud"'),
        ("unknown parameter key", ('type = "size_t", dir = "in"',
                                   'type = "size_t", dir = "in", colour = 1'),
         "unknown key `colour`"),
        ("handle without its kind", (', handle = "context"', ""), "`handle` is None, the type"),
        ("wrong kind of handle", ('"context" }', '"stream" }'), "`handle` is stream, the type"),
        ("kind on a plain value", ('type = "size_t", dir = "in"',
                                   'type = "size_t", dir = "in", handle = "context"'),
         "the type's is None"),
        ("type that is not described", ('type = "size_t"', 'type = "short"'),
         "type short is not in types.toml"),
        ("creates an unknown kind", ("id = 1\n", 'id = 1\ncreates = "cloud"\n'),
         '`creates` is "cloud"'),
        ("creates what does not come out", ("id = 1\n", 'id = 1\ncreates = "context"\n'),
         "no output is one"),
        ("cookie as an output",
         ('type = "int *", dir = "out", class = "state"',
          'type = "void *", dir = "out", class = "none", pointee = "cookie"'),
         "a cookie is an input"),
        ("fixed answer without a note", ("id = 1\n", 'id = 1\nworker_answer = "TOY_NO"\n'),
         "needs a `note`"),
        ("same_as nothing", ("id = 1\n", 'id = 1\nsame_as = "toyGet"\n'), "`same_as` must name"),
        ("per_thread half said", ("id = 1\n", 'id = 1\nper_thread = { suffix = "_x" }\n'),
         "`per_thread` lacks `id`"),
        ("twin with the same number",
         ("id = 1\n", 'id = 1\nper_thread = { suffix = "_x", id = 1, since = 1000 }\n'),
         "number 1 is toyPut's"),
        ("twin that exists",
         ("id = 1\n", 'id = 1\nper_thread = { suffix = "", id = 2, since = 1 }\n'),
         "described twice"),
        ("not TOML", ("id = 1\n", "id = \n"), "all.toml:5:"),
    ]

    def test_good_row(self):
        call = load().calls()[0]
        self.assertEqual((call.name, call.id, call.line), ("toyPut", 1, 3))
        self.assertEqual(call.on_fabric_error, {"peer_lost": "TOY_LOST"})

    def test_refusals(self):
        for label, (old, new), words in self.CASES:
            with self.subTest(label):
                self.assertIn(old, ROW)
                with self.assertRaises(model.DescriptionError) as caught:
                    load(ROW.replace(old, new, 1))
                self.assertIn(words, str(caught.exception))
                self.assertRegex(str(caught.exception), r"all\.toml:\d+: ")

    def test_line_is_the_rows(self):
        second = ROW.replace("toyPut", "toyGet").replace("id = 1", "id = 2")
        line = 3 + ROW.count("\n")
        with self.assertRaisesRegex(model.DescriptionError, rf"all\.toml:{line}: "):
            load(ROW + second.replace('"now"', '"never"'))

    def test_same_as_needs_the_same_signature(self):
        other = ROW.replace("toyPut", "toyGet").replace("id = 1\n", 'id = 2\nsame_as = "toyPut"\n')
        self.assertEqual(load(ROW + other).calls()[1].implementation, "toyPut")
        with self.assertRaisesRegex(model.DescriptionError, "another signature"):
            load(ROW + other.replace('"size_t"', '"long"'))

    def test_head(self):
        for label, old, new, words in [
                ("missing table", "[later]", "[sooner]", "`later` is missing"),
                ("missing key", 'title = "Toy API"\n', "", "`title` is missing"),
                ("file that is not there", '["all"]', '["all", "more"]', "no such file"),
                ("file that is not listed", '["all"]', "[]", "not listed in `files`: all")]:
            with self.subTest(label):
                with self.assertRaisesRegex(model.DescriptionError, words.replace("`", ".")):
                    load(head=HEAD.replace(old, new))


class Headers(unittest.TestCase):
    def test_types(self):
        for text, wanted in [("int", "int"), ("void*", "void *"),
                             ("const char  * *", "const char **"),
                             ("unsigned   int *", "unsigned int *"),
                             ("X**", "X **")]:
            self.assertEqual(header.normal_type(text), wanted)

    def test_prototypes(self):
        text = "R f(void); R g(int a, const void *b); typedef R (*h)(int); static R k(X **p);"
        self.assertEqual(header.prototypes(text, "R"), {
            "f": [], "g": [("int", "a"), ("const void *", "b")], "k": [("X **", "p")]})

    def test_versions(self):
        text = ("typedef R ( *PFN_cuA_v2000)(int a); typedef R ( *PFN_cuA_v3020)(int a);"
                "typedef R ( *PFN_cuA_v7000_ptds)(int a); typedef R (CUDAAPI *PFN_cuB_v8000)(void);"
                "typedef R ( *PFN_cuB_v8000_ptsz)(void); typedef R ( *PFN_cuB_v12020)(void);")
        self.assertEqual(header.abi_versions(text), {
            "cuA": 2000, "cuA_v2": 3020, "cuA_v2_ptds": 7000,
            "cuB": 8000, "cuB_ptsz": 8000, "cuB_v2": 12020})

    def test_bad_elf(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"not a library")
            file.flush()
            with self.assertRaises(header.HeaderError):
                header.elf_exports(pathlib.Path(file.name))


class Fields(unittest.TestCase):
    """Structs against a header, by way of a whole check of the toy API."""

    def compare(self, types=TYPES, text=TOY_H, head=HEAD):
        with tempfile.TemporaryDirectory() as home:
            include = pathlib.Path(home, "include")
            include.mkdir()
            (include / "toy.h").write_text("#include <stddef.h>\n" + text, encoding="utf-8")
            return check.compare(load(types=types, head=head), pathlib.Path(home), CC)

    def test_good(self):
        self.assertEqual(self.compare(), [])

    def test_differences(self):
        for label, old, new, words in [
                ("field not described",
                 '  { name = "ctx", type = "toyCtx", handle = "context" },\n', "",
                 "toyArgs: field ctx (toyCtx) is not described"),
                ("nested struct not described", '  { name = "next", type = "toyInner" },\n', "",
                 "field next (toyInner) is not described"),
                ("other type", '"u.data", type = "void *"', '"u.data", type = "char *"',
                 "the header has void *"),
                ("no such field", 'name = "next"', 'name = "last"', "field last is toyInner"),
                ("length of no field", '"n * 4"', '"m * 4"', "length names `m`"),
                ("no such struct", '"toyArgs"', '"toyArg"', "the header has no such struct")]:
            with self.subTest(label):
                self.assertIn(old, TYPES)
                types = TYPES.replace(old, new)
                if "char" in new:
                    types = types.replace('"long"', '"char"')
                self.assertIn(words, "\n".join(self.compare(types=types)))

    def test_versions(self):
        head = HEAD.replace('headers =', 'version_macro = "TOY_VERSION"\nheaders =')
        more = TOY_H + "toyResult toyMore(int n);\n"
        for label, version, text, words in [
                ("the described one", 1000, TOY_H, []),
                ("the same with a gap", 1000, more, ["toyMore is declared but has no row"]),
                ("newer may have more", 1010, more, []),
                ("newer with another signature", 1010, more.replace("int *done", "long *done"),
                 ["the header has"]),
                ("older", 990, TOY_H, ["at least 1000 is needed"])]:
            with self.subTest(label), contextlib.redirect_stderr(io.StringIO()):
                text = f"#define TOY_VERSION {version}\n{text}"
                problems = self.compare(text=text, head=head)
                self.assertEqual(len(problems), len(words), problems)
                for word in words:
                    self.assertIn(word, problems[0])

    def test_header_gained_a_pointer(self):
        text = TOY_H.replace("int flat[2];", "int flat[2]; char *name;")
        self.assertIn("field flat (toyFlat) is not described", "\n".join(self.compare(text=text)))


class Driver(unittest.TestCase):
    """The real description against the real toolkit."""

    @classmethod
    def setUpClass(cls):
        cls.description = model.load(ROOT / "cuda-api" / "driver")

    def compare_after(self, change):
        description = model.load(ROOT / "cuda-api" / "driver")
        change(description.groups[1].calls)
        return check.compare(description, CUDA_HOME, CC)

    def test_agrees_with_the_toolkit(self):
        self.assertEqual(check.compare(self.description, CUDA_HOME, CC), [])
        self.assertEqual(len(self.description.exports()), 637)

    def test_gaps_are_found(self):
        def remove(calls):
            del calls[0]

        def rename(calls):
            calls[0].name = "cuDeviceGetX"

        def retype(calls):
            calls[0].params[1].type = "long"

        def redate(calls):
            calls[0].since = 2010

        for change, words in [(remove, "cuDeviceGet has no row"), (rename, "not exported by"),
                              (retype, "the header has (CUdevice * device, int ordinal)"),
                              (redate, "since 2010, the typedefs say 2000")]:
            with self.subTest(change.__name__):
                self.assertIn(words, "\n".join(self.compare_after(change)))

    def test_numbers_are_append_only(self):
        listed = dict(line.split() for line in
                      (pathlib.Path(__file__).parent / "call_numbers.txt").read_text().splitlines()
                      if not line.startswith("#"))
        ours = {str(export.id): export.name for export in self.description.exports()}
        for number, name in listed.items():
            self.assertEqual(ours.get(number), name, f"number {number} has another meaning")
        self.assertEqual(sorted(set(ours) - set(listed)), [], "add new numbers to call_numbers.txt")

    def test_coverage_is_up_to_date(self):
        for name, text in emit_coverage.emit(self.description).items():
            path = ROOT / "docs" / "coverage.d" / name
            self.assertEqual(path.read_text(encoding="utf-8"), text,
                             f"{path}: write it anew with cuda-api/gen.py")


class Output(unittest.TestCase):
    def test_another_api(self):
        files = emit_names.emit(load())
        self.assertEqual(sorted(files), ["toy_names.c", "toy_names.h"])
        self.assertIn("    TOY_toyPut = 1,\n", files["toy_names.h"])
        self.assertIn("| `toyPut` | 1.0 | yes |", emit_coverage.emit(load())["toy.md"])

    def test_files_are_the_listed_ones(self):
        description = model.load(ROOT / "cuda-api" / "driver")
        for emitter in (emit_names, SOFTCUDA, emit_coverage):
            self.assertEqual(sorted(emitter.outputs(description)),
                             sorted(emitter.emit(description)))

    @unittest.skipUnless(shutil.which("clang-format"), "clang-format is not installed")
    def test_layout(self):
        """As clang-format would have it. Its cost model is not ours: 1 line in 500 may differ."""
        description = model.load(ROOT / "cuda-api" / "driver")
        lines = differing = 0
        for emitter in (emit_names, SOFTCUDA):
            for name, text in emitter.emit(description).items():
                if name.endswith((".c", ".h")):
                    tidy = subprocess.run(
                        ["clang-format", f"--style=file:{ROOT / '.clang-format'}"], text=True,
                        input=text, capture_output=True, check=True).stdout
                    lines += text.count("\n")
                    differing += len(set(text.splitlines()) - set(tidy.splitlines()))
        self.assertLess(differing * 500, lines)


class Command(unittest.TestCase):
    def run_gen(self, *words):
        return subprocess.run([sys.executable, "-B", str(ROOT / "cuda-api" / "gen.py"), *words],
                              text=True, capture_output=True, check=False)

    def test_exit_status(self):
        driver = str(ROOT / "cuda-api" / "driver")
        with tempfile.TemporaryDirectory() as folder:
            for words, status in [(("--api", driver, "--list", "names"), 0),
                                  (("--api", driver, "names"), 2),
                                  (("--api", driver, "--check"), 2),
                                  (("--api", driver, "--out", folder, "paint"), 2),
                                  (("--api", folder, "--list", "names"), 1),
                                  (("--api", driver, "--out", folder, "--compare", "names"), 1),
                                  (("--api", driver, "--out", folder, "names"), 0),
                                  (("--api", driver, "--out", folder, "--compare", "names"), 0)]:
                with self.subTest(words):
                    self.assertEqual(self.run_gen(*words).returncode, status)

    def test_unchanged_files_keep_their_time(self):
        driver = str(ROOT / "cuda-api" / "driver")
        with tempfile.TemporaryDirectory() as folder:
            self.run_gen("--api", driver, "--out", folder, "names")
            path = pathlib.Path(folder, "capi_names.h")
            before = path.stat().st_mtime_ns
            self.run_gen("--api", driver, "--out", folder, "names")
            self.assertEqual(path.stat().st_mtime_ns, before)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
