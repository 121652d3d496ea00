# SPDX-License-Identifier: Apache-2.0
"""Compares a description with the toolkit: every export has a row, every row is exported, each
signature, version and struct is the header's.

A newer toolkit than the described one may know more: then only what we describe is compared.
"""
import sys

from . import header, model, structs


def compare(description, cuda_home, cc):
    """Returns the list of differences, each as one line of text; empty when all agree."""
    api = description.api
    include = cuda_home / "include"
    is_newer = False
    if "version_macro" in api:
        version = header.number(cc, include, api["headers"], api["version_macro"])
        if version < api["version"]:
            return [f"{include}: {api['version_macro']} is {version}; at least {api['version']} "
                    "is needed"]
        is_newer = version > api["version"]
    text = header.preprocess(cc, include, api["headers"], api.get("define"))
    found = header.prototypes(text, api["result"])
    exports = {export.name: export for export in description.exports()}
    problems = []
    for name, export in exports.items():
        problems += _signature(export, found.get(name))
    if is_newer:
        print(f"{include}: {api['version_macro']} is {version}, described is {api['version']}: "
              "what came later is not compared", file=sys.stderr)
        return problems
    problems += _fields(description, structs.Structs(text))
    problems += [f"{api['headers'][0]}: {name} is declared but has no row"
                 for name in sorted(set(found) - set(exports))]
    if "stub" in api:
        problems += _names(exports, header.elf_exports(cuda_home / api["stub"]), api["stub"])
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
            problems.append(f"{_place(export)}: since {export.since}, the typedefs say "
                            f"{versions[name]}")
    return problems


def _fields(description, found):
    """Every struct row names exactly the fields that need care, with the header's types."""
    problems = []
    for kind in description.types.values():
        if kind.kind != "struct":
            continue
        place = f"{kind.file}:{kind.line}: {kind.name}"
        if found.body(kind.name) is None:
            problems.append(f"{place}: the header has no such struct")
            continue
        all_fields = found.fields(kind.name)
        special = {path: text for text, path in all_fields if _needs_care(description, found, text)}
        ours = {field.name: field.type for field in kind.fields}
        problems += [f"{place}: field {path} ({special[path]}) is not described"
                     for path in special if path not in ours]
        problems += [f"{place}: field {name} is {ours[name]}, the header has {special.get(name)}"
                     for name in ours if special.get(name, "") != ours[name]]
        known = {path for _, path in all_fields}
        problems += [f"{place}: field {field.name}: length names `{word}`, which is no field"
                     for field in kind.fields for word in model.length_words(field)
                     if word not in known]
    return problems


def _needs_care(description, found, text):
    """Pointers, handles, callbacks, and structs that hold such: bytes alone do not carry them."""
    if text.endswith("*"):
        return True
    known = [description.types.get(name) for name in found.aliases(text)]
    if any(kind and kind.kind in ("handle", "callback") for kind in known):
        return True
    return any(_needs_care(description, found, inner) for inner, _ in found.fields(text))
