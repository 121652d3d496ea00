# SPDX-License-Identifier: Apache-2.0
"""Tests scripts/check-layers and scripts/check-files on small trees made for each case.

A check that cannot fail checks nothing: each rule has a tree that breaks it.
Usage: test_checks.py SCRIPTS_FOLDER
"""
import importlib.machinery
import importlib.util
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPTS = pathlib.Path(sys.argv.pop(1))
sys.path.insert(0, str(SCRIPTS))
sys.dont_write_bytecode = True
SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"


def load(name):
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(SCRIPTS / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


layers = load("check-layers")


class Layers(unittest.TestCase):
    # (label, file, its text, a part of the problem or None)
    CASES = [
        ("down", "softcuda/warp/a.c", '#include "base/err.h"\n', None),
        ("own folder", "base/a.c", '#include "base/b.h"\n', None),
        ("system header", "base/a.c", "#include <stdio.h>\n", None),
        ("up", "base/a.c", '#include "softcuda/warp/b.h"\n', "is above base/"),
        ("up inside softcuda", "softcuda/ptx/a.c", '#include "softcuda/warp/b.h"\n', "is above"),
        ("down inside softcuda", "softcuda/driver/a.c", '#include "softcuda/ptx/b.h"\n', None),
        ("beside", "softcuda/nvml/a.c", '#include "softcuda/driver/b.h"\n', "is beside"),
        ("beside at layer 2", "topology/a.c", '#include "session/b.h"\n', "is beside"),
        ("the one exception", "unimem/a.c", '#include "ucx-transport/xp.h"\n', None),
        ("not the whole sibling", "unimem/a.c", '#include "ucx-transport/xp_int.h"\n', "beside"),
        ("a driver's inside", "cuda-runtime/a.c", '#include "softcuda/driver/b.h"\n',
         "cuda-runtime/ must not use softcuda/"),
        ("tests look everywhere", "tests/unit/base/a.c", '#include "softcuda/ptx/b.h"\n', None),
        ("nobody uses tests", "base/a.c", '#include "tests/support/check.h"\n', "not for base/"),
        ("unknown folder", "base/a.c", '#include "nowhere/b.h"\n', "not a folder"),
        ("blanks", "base/a.c", '  #  include   "softcuda/ptx/b.h"\n', "is above"),
        ("in angle brackets", "base/a.h", "#include <jansson.h>\n", "belongs in"),
        ("foreign at home", "base/settings_file.c", "#include <libconfig.h>\n", None),
        ("foreign abroad", "base/settings.c", "#include <libconfig.h>\n", "belongs in"),
        ("CUDA in base", "base/a.h", "#include <cuda.h>\n", "belongs in"),
        ("CUDA in a driver", "softcuda/driver/a.h", "#include <cuda.h>\n", None),
        ("in a comment", "base/a.h", '/*\n#include "softcuda/ptx/b.h"\n*/\n', None),
        ("from the folder above", "base/a.c", '#include "../softcuda/ptx/b.h"\n', "from the root"),
        ("generated", "softcuda/driver/a.c", '#include "generated/cuda-api/x.h"\n', None),
    ]

    def test_cases(self):
        for label, name, text, says in self.CASES:
            with self.subTest(label), tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder) / name
                path.parent.mkdir(parents=True)
                path.write_text("\n" + text)
                problems = [problem for _, problem in layers.check_file(pathlib.Path(folder), name)]
                self.assertEqual(len(problems), 0 if says is None else 1, problems)
                if says:
                    self.assertIn(says, problems[0])

    def test_line_number(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "base"
            path.mkdir()
            (path / "a.c").write_text('/* one\n two */\n#include "softcuda/ptx/b.h"\n')
            self.assertEqual([line for line, _ in layers.check_file(pathlib.Path(folder),
                                                                    "base/a.c")], [3])

    def test_no_files_is_no_success(self):
        with tempfile.TemporaryDirectory() as folder:
            run = subprocess.run([sys.executable, str(SCRIPTS / "check-layers"), folder],
                                 capture_output=True, text=True)
            self.assertEqual(run.returncode, 1)


class Files(unittest.TestCase):
    # (rule, file, text, exit status)
    CASES = [
        ("licence", "a.c", SPDX, 0),
        ("licence", "a.c", "int a;\n" + SPDX, 1),
        ("licence", "a.py", "# SPDX-License-Identifier: Apache-2.0\n", 0),
        ("licence", "tool", "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n", 0),
        ("licence", "tool", "#!/bin/sh\ntrue\n", 1),
        ("licence", "notes.md", "no code\n", 0),
        ("length", "a.c", SPDX + "\n" * 799, 0),
        ("length", "a.c", SPDX + "\n" * 800, 1),
        ("length", "a.toml", "# SPDX-License-Identifier: Apache-2.0\n" * 900, 0),
        ("length", "data.txt", "\n" * 900, 0),
        ("format", "a.c", SPDX + "int a;\n", 0),
        ("format", "a.c", SPDX + "int   a ;\n", 1),
    ]

    def test_cases(self):
        for rule, name, text, status in self.CASES:
            with self.subTest(f"{rule} {name}"), tempfile.TemporaryDirectory() as folder:
                (pathlib.Path(folder) / name).write_text(text)
                run = subprocess.run([sys.executable, str(SCRIPTS / "check-files"), rule, folder],
                                     capture_output=True, text=True)
                if rule == "format" and run.returncode == 77:
                    self.skipTest("clang-format is not installed")
                self.assertEqual(run.returncode, status, run.stdout + run.stderr)
                if status == 1:
                    self.assertIn(name, run.stdout)


if __name__ == "__main__":
    unittest.main()
