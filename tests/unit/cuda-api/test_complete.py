#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each row that says softcuda = "manual" has one definition in softcuda/driver; none is left over.

Run by CTest: test_complete.py ROOT. Lists every gap, so that it also tells what is to be done.
"""
import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(ROOT / "cuda-api"))

from generator import model  # noqa: E402

DEFINITION = re.compile(r"^CUresult[ \n]soft_(cu\w+)\([^;{]*\)\n\{", re.MULTILINE)


def defined():
    """{name: [files]} of the soft_cu...() definitions; as formatted, they start a line, or stand
    alone below their result type."""
    found = collections.defaultdict(list)
    for path in sorted((ROOT / "softcuda" / "driver").rglob("*.c")):
        text = path.read_text(encoding="utf-8")
        for match in DEFINITION.finditer(text):
            found[match[1]].append(str(path.relative_to(ROOT)))
    return found


def main():
    rows = {call.name: call for call in model.load(ROOT / "cuda-api" / "driver").calls()
            if call.consumers["softcuda"] == "manual" and not call.same_as}
    found = defined()
    problems = [f"{rows[name].file}:{rows[name].line}: soft_{name}() is not defined"
                for name in sorted(set(rows) - set(found))]
    problems += [f"{found[name][0]}: soft_{name}() has no row of its own"
                 for name in sorted(set(found) - set(rows))]
    problems += [f"{files[1]}: soft_{name}() is defined twice"
                 for name, files in sorted(found.items()) if len(files) > 1]
    print(*problems, f"{len(rows)} rows, {len(set(found) & set(rows))} implemented", sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
