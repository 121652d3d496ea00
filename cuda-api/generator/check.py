# SPDX-License-Identifier: Apache-2.0
"""Compares a description with the toolkit: every export has a row, every row is exported, each
signature and version is the header's."""
from . import header


def compare(description, cuda_home, cc):
    """Returns the list of differences, each as one line of text; empty when all agree."""
    api = description.api
    include = cuda_home / "include"
    found = header.prototypes(header.preprocess(cc, include, api["headers"], api.get("define")),
                              api["result"])
    problems = []
    exports = {export.name: export for export in description.exports()}
    if "stub" in api:
        problems += _names(exports, header.elf_exports(cuda_home / api["stub"]), api["stub"])
    for name, export in exports.items():
        problems += _signature(export, found.get(name))
    for name in sorted(set(found) - set(exports)):
        problems.append(f"{description.folder}: {name} is declared in {api['headers'][0]} but has no row")
    if "typedefs" in api:
        text = header.preprocess(cc, include, api["typedefs"], api.get("define"))
        problems += _versions(exports, header.abi_versions(text))
    return problems


def _place(export):
    return f"{export.call.file}:{export.call.line}: {export.name}"


def _names(exports, in_stub, stub):
    problems = [f"{stub}: {name} has no row" for name in sorted(in_stub - set(exports))]
    return problems + [f"{_place(exports[name])}: not exported by {stub}"
                       for name in sorted(set(exports) - in_stub)]


def _signature(export, declared):
    if declared is None:
        return [f"{_place(export)}: no such prototype in the header"]
    ours = [(param.type, param.name) for param in export.call.params]
    if [kind for kind, _ in ours] == [kind for kind, _ in declared]:
        return []
    return [f"{_place(export)}: the header has ({_text(declared)}), the row ({_text(ours)})"]


def _text(params):
    return ", ".join(f"{kind} {name}" for kind, name in params)


def _versions(exports, versions):
    problems = []
    for name, export in exports.items():
        if name not in versions:
            problems.append(f"{_place(export)}: no PFN typedef gives its version")
        elif versions[name] != export.since:
            problems.append(f"{_place(export)}: since {export.since}, the typedefs say {versions[name]}")
    return problems
