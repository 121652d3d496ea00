#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns the definition table of the runtime (api/*.toml) into everything that lists functions.

  gen.py --out DIR        exports_<group>.c, crt_impl.h, libcudart.map, redirect_names.h, names.txt
  gen.py --coverage FILE  the runtime's part of docs/coverage.md

One row is one public function; its per-thread default stream form comes from the same row
(README.md has the fields). A row that is incomplete or contradicts itself is refused with file
and line. Python standard library only.
"""

import argparse
import pathlib
import re
import sys
import tomllib

FIELDS = {"name", "params", "returns", "per_thread", "needs", "records", "status", "why"}
NEEDS = {"nothing": "CRT_NEEDS_NOTHING", "driver": "CRT_NEEDS_DRIVER",
         "context": "CRT_NEEDS_CONTEXT"}
STATUSES = ("done", "later", "never")
COLUMNS = 100
NODE = "libcudart.so.13"
HEAD = "/* SPDX-License-Identifier: Apache-2.0\n * {name} - {what}\n" \
       " * Made by cuda-runtime/gen.py from cuda-runtime/api/{source}; change it there. */\n"


class TableError(Exception):
    """A row that cannot be used; the text starts with file:line."""


class Function:
    """One row, checked and completed with the defaults of its file."""

    def __init__(self, row, group, defaults, where):
        self.where = where
        self.group = group
        self.name = row["name"]
        unknown = set(row) - FIELDS
        if unknown:
            raise TableError(f"{where}: {self.name}: unknown field {', '.join(sorted(unknown))}")
        self.params = row.get("params")
        self.returns = row.get("returns", "cudaError_t")
        self.per_thread = row.get("per_thread")
        self.status = row.get("status", defaults.get("status"))
        self.why = row.get("why", defaults.get("why"))
        self.needs = row.get("needs", "context")
        self.records = row.get("records", True)
        self.check()

    def check(self):
        if self.status not in STATUSES:
            self.refuse(f"status must be one of {', '.join(STATUSES)}")
        if self.per_thread not in (None, "ptsz", "ptds"):
            self.refuse("per_thread must be ptsz (takes a stream) or ptds (synchronous)")
        if self.needs not in NEEDS:
            self.refuse(f"needs must be one of {', '.join(NEEDS)}")
        if self.status == "done" and self.params is None:
            self.refuse("a function that is done needs its params")
        if self.status != "done" and not self.why:
            self.refuse("a function that is not done needs a why")
        if self.returns != "cudaError_t" and self.needs != "nothing":
            self.refuse("only a function that returns cudaError_t can report what it needs")

    def refuse(self, text):
        raise TableError(f"{self.where}: {self.name}: {text}")

    @property
    def names(self):
        """Every exported name of the row."""
        return [self.name] + ([f"{self.name}_{self.per_thread}"] if self.per_thread else [])

    def declared(self):
        """The parameters as (declaration, name) pairs; () for void or unknown."""
        if self.params is None or self.params == "void":
            return []
        pairs = []
        for text in self.params.split(","):
            match = re.search(r"(\w+)(\[\w*\])?\s*$", text)
            pairs.append((text.strip(), match[1]))
        return pairs

    def takes_stream(self):
        return any(text.startswith("cudaStream_t ") for text, _ in self.declared())

    def takes_flag(self):
        """The body gets `bool per_thread` in front where there is no stream to translate."""
        return self.per_thread is not None and not self.takes_stream()


def line_of(text, name):
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() == f'name = "{name}"':
            return number
    return 1


def load(folder):
    """All rows of all files, in file and row order."""
    functions = []
    seen = {}
    for path in sorted(folder.glob("*.toml")):
        text = path.read_text(encoding="utf-8")
        try:
            table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise TableError(f"{path}: {error}") from error
        if table.get("group") != path.stem:
            raise TableError(f"{path}:1: group must be the file's name, {path.stem}")
        for row in table.get("function", []):
            if "name" not in row:
                raise TableError(f"{path}:1: a function without a name: {row}")
            where = f"{path}:{line_of(text, row['name'])}"
            function = Function(row, table["group"], table, where)
            for name in function.names:
                if name in seen:
                    raise TableError(f"{where}: {name} is also in {seen[name]}")
                seen[name] = where
            functions.append(function)
    return functions


def signature(returns, name, params, before=""):
    """`before type name(params)` broken between parameters at 100 columns."""
    space = "" if returns.endswith("*") else " "
    line = f"{before}{returns}{space}{name}("
    indent = " " * len(line)
    lines = []
    params = params or ["void"]
    for position, param in enumerate(params):
        piece = param + (")" if position == len(params) - 1 else ",")
        if len(line) + len(piece) + 1 > COLUMNS and line.strip():
            lines.append(line.rstrip())
            line = indent
        line += piece + " "
    return "\n".join(lines + [line.rstrip()])


def impl_signature(function):
    params = [text for text, _ in function.declared()]
    if function.takes_flag():
        params.insert(0, "bool per_thread")
    return signature(function.returns, f"crt_{function.name}", params)


def call(function, per_thread):
    """The call of the body, from the plain or from the per-thread entry point."""
    args = []
    for text, name in function.declared():
        is_stream = text.startswith("cudaStream_t ")
        args.append(f"crt_per_thread_stream({name})" if per_thread and is_stream else name)
    if function.takes_flag():
        args.insert(0, "true" if per_thread else "false")
    return f"crt_{function.name}({', '.join(args)})"


def body(function, per_thread):
    """The statements of one exported function."""
    invocation = call(function, per_thread)
    if function.returns != "cudaError_t" or not function.records:
        keyword = "" if function.returns == "void" else "return "
        return f"    {keyword}{invocation};\n"
    if function.needs == "nothing":
        return f"    return crt_end({invocation});\n"
    return (f"    cudaError_t status = crt_begin({NEEDS[function.needs]});\n\n"
            f"    if (status == cudaSuccess)\n        status = {invocation};\n"
            f"    return crt_end(status);\n")


def refusal(function, name):
    unused = "".join(f"    (void){param};\n" for _, param in function.declared())
    return f"    static atomic_bool said;\n\n{unused}    return crt_refuse(&said, \"{name}\");\n"


def export(function):
    """Both exported forms of one row, each with a prototype where the header may have none."""
    params = [text for text, _ in function.declared()]
    text = ""
    for name in function.names:
        declaration = signature(function.returns, name, params, before="FAB_EXPORT ")
        head = signature(function.returns, name, params)
        per_thread = name != function.name
        code = body(function, per_thread) if function.status == "done" else refusal(function, name)
        text += f"\n{declaration};\n{head}\n{{\n{code}}}\n"
    return text


def exports_file(functions, group):
    name = f"exports_{group}.c"
    text = HEAD.format(name=name, what=f"the exported functions of group {group}.",
                       source=f"{group}.toml")
    text += '#include "generated/cuda-runtime/crt_impl.h"\n'
    return name, text + "".join(export(f) for f in functions if f.group == group)


def impl_header(functions):
    text = HEAD.format(name="crt_impl.h", what="the body of every function that is done.",
                       source="")
    text += '#ifndef CRT_IMPL_H\n#define CRT_IMPL_H\n\n#include "cuda-runtime/crt_int.h"\n'
    for function in functions:
        if function.status == "done":
            text += f"\n{impl_signature(function)};"
    return "crt_impl.h", text + "\n\n#endif /* CRT_IMPL_H */\n"


def version_script(names):
    listed = "".join(f"        {name};\n" for name in names)
    return "libcudart.map", f"{NODE} {{\n    global:\n{listed}    local:\n        *;\n}};\n"


def redirect_header(names):
    text = HEAD.format(name="redirect_names.h",
                       what="every name of the runtime, sorted, for the redirect.",
                       source="")
    text += "#ifndef CRT_REDIRECT_NAMES_H\n#define CRT_REDIRECT_NAMES_H\n\n"
    text += f"enum {{ CRT_REDIRECT_NAME_COUNT = {len(names)} }};\n\n"
    text += "static const char *const crt_redirect_names[CRT_REDIRECT_NAME_COUNT] = {\n"
    text += "".join(f'    "{name}",\n' for name in names)
    return "redirect_names.h", text + "};\n\n#endif /* CRT_REDIRECT_NAMES_H */\n"


def coverage(functions):
    counts = {status: sum(f.status == status for f in functions) for status in STATUSES}
    total = sum(len(f.names) for f in functions)
    out = ["<!-- SPDX-License-Identifier: Apache-2.0 -->",
           "<!-- Made by cuda-runtime/gen.py from cuda-runtime/api/*.toml; change it there. -->",
           "## CUDA runtime functions (libcudart.so.13)", "",
           f"{len(functions)} functions, {total} exported names with the per-thread default stream "
           f"forms: {counts['done']} done, {counts['later']} later, {counts['never']} never. Every "
           "other one can be linked and called: it names itself once on standard error and returns "
           "`cudaErrorNotSupported`.", "",
           "| function | group | per-thread form | status | why |", "| --- | --- | --- | --- | --- |"]
    for f in sorted(functions, key=lambda f: f.name.lower()):
        why = "" if f.status == "done" else f.why
        form = f"`_{f.per_thread}`" if f.per_thread else ""
        out.append(f"| `{f.name}` | {f.group} | {form} | {f.status} | {why} |")
    return "\n".join(out) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--api", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent / "api")
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--coverage", type=pathlib.Path)
    options = parser.parse_args()
    try:
        functions = load(options.api)
    except TableError as error:
        sys.exit(f"gen.py: {error}")
    names = sorted(name for function in functions for name in function.names)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        groups = sorted({function.group for function in functions})
        files = [exports_file(functions, group) for group in groups]
        files += [impl_header(functions), version_script(names), redirect_header(names),
                  ("names.txt", "".join(f"{name}\n" for name in names))]
        for name, text in files:
            (options.out / name).write_text(text, encoding="utf-8")
    if options.coverage:
        options.coverage.write_text(coverage(functions), encoding="utf-8")


if __name__ == "__main__":
    main()
