# SPDX-License-Identifier: Apache-2.0
"""Which files the scripts/check-* programs look at."""
import pathlib
import subprocess
import sys

DEFAULT_ROOT = pathlib.Path(__file__).resolve().parent.parent


def files(root):
    """Names from the root of tracked and new files (a check sees a file before it is committed);
    of all files where the root is no git tree of its own. None of build/, which git ignores."""
    names = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()] \
        if not (root / ".git").exists() else \
        subprocess.run(["git", "-C", str(root), "ls-files", "-co", "--exclude-standard"],
                       check=True, capture_output=True, text=True).stdout.splitlines()
    return [name for name in sorted(names) if (root / name).is_file()
            and not name.startswith("build/")]


def report(what, names, problems):
    """Prints the problems and returns the exit status. No file at all is no success."""
    for problem in problems:
        print(problem)
    print(f"{what}: {len(names)} files, {len(problems)} problems")
    if not names:
        print("no file found", file=sys.stderr)
    return 1 if problems or not names else 0
