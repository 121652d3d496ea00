#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a program over the driver that takes notes and compares the notes with a file.

Usage: run_program.py EXPECTED PROGRAM [ARGUMENT...]
The environment names our libraries (LD_LIBRARY_PATH). PROGRAM_PRELOAD becomes the program's
LD_PRELOAD; PROGRAM_SKIP is a reason not to run it. UPDATE_EXPECTED=1 rewrites EXPECTED.
"""

import difflib
import os
import pathlib
import subprocess
import sys
import tempfile


def main():
    expected, command = pathlib.Path(sys.argv[1]), sys.argv[2:]
    environment = dict(os.environ)
    if "PROGRAM_SKIP" in environment:
        print(f"skipped: {environment['PROGRAM_SKIP']}")
        sys.exit(77)
    if "PROGRAM_PRELOAD" in environment:
        environment["LD_PRELOAD"] = environment["PROGRAM_PRELOAD"]
    with tempfile.TemporaryDirectory() as folder:
        log = pathlib.Path(folder) / "log"
        environment["FAKE_CUDA_LOG"] = str(log)
        run = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=50)
        notes = log.read_text(encoding="utf-8") if log.exists() else ""
    print(run.stdout + run.stderr, end="")
    if run.returncode != 0 or not run.stdout.startswith("done"):
        sys.exit(f"{command[0]}: exit status {run.returncode}")
    if os.environ.get("UPDATE_EXPECTED") == "1":
        expected.write_text(notes, encoding="utf-8")
    difference = list(difflib.unified_diff(
        expected.read_text(encoding="utf-8").splitlines(keepends=True),
        notes.splitlines(keepends=True), str(expected), "what the driver saw"))
    sys.stdout.writelines(difference)
    sys.exit(1 if difference else 0)


if __name__ == "__main__":
    main()
