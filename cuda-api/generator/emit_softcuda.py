# SPDX-License-Identifier: Apache-2.0
"""softcuda's face: prototypes of the hand-written implementations, every exported function, the
table behind cuGetProcAddress and the version script."""
from . import ctext

CONSUMER = "softcuda"


def outputs(description):
    names = ["softcuda_impl.h", "softcuda_procs.h", "softcuda_procs.c", "softcuda_procs.inc",
             "softcuda_exports.map"]
    return names + [_exports_file(group) for group in description.groups]


def emit(description):
    words = {"source": f"cuda-api/{description.folder.name}/",
             "prefix": description.api["prefix"], "define": description.api["define"]}
    files = {"softcuda_impl.h": _implementations(description, words),
             "softcuda_procs.h": ctext.template("softcuda_procs.h.in", **words),
             "softcuda_procs.inc": _proc_rows(description, words),
             "softcuda_procs.c": ctext.template("softcuda_procs.c.in", **words),
             "softcuda_exports.map": _version_script(description, words)}
    for group in description.groups:
        files[_exports_file(group)] = _exports(description, group, words)
    return files


def _exports_file(group):
    return f"softcuda_exports_{group.stem}.c"


def _is_manual(call):
    return call.consumers[CONSUMER] == "manual"


def _own_implementations(calls):
    return [call for call in calls if _is_manual(call) and not call.same_as]


def _implementations(description, words):
    result = description.api["result"]
    parts = []
    for group in description.groups:
        calls = _own_implementations(group.calls)
        if calls:
            parts.append(f"/* {group.title} */")
            parts += [ctext.prototype(f"{result} ", f"soft_{c.name}", c.params, ";") for c in calls]
            parts.append("")
    return ctext.template("softcuda_impl.h.in", prototypes="\n".join(parts).rstrip(), **words)


def _exports(description, group, words):
    parts = []
    for call in group.calls:
        parts.append(_function(description, call, call.name, False))
        if call.per_thread:
            parts.append(_function(description, call, call.per_thread_name, True))
    return ctext.template("softcuda_exports.c.in", stem=group.stem, title=group.title,
                          source_file=f"{group.stem}.toml",
                          folder=description.folder.name, functions="\n\n".join(parts), **words)


def _function(description, call, name, is_per_thread):
    api, number = description.api, f"{description.api['prefix'].upper()}_{name}"
    head = ctext.prototype(f"FAB_EXPORT {api['result']} {api['calling']} ", name, call.params, "")
    if not _is_manual(call):
        unused = "".join(f"    (void){p.name};\n" for p in call.params)
        return f"{head}\n{{\n{unused}    return soft_call_refused({number});\n}}"
    flags = [word for word, on in (("SOFT_CALL_NEEDS_INIT", call.needs_init),
                                   ("SOFT_CALL_PER_THREAD", is_per_thread)) if on]
    impl = f"soft_{call.implementation}"
    body = ["    struct soft_call call;", f"    {api['result']} result;", ""]
    body += [ctext.assignment(4, "result", "soft_call_begin",
                              ["&call", number, " | ".join(flags) or "0"]),
             "    if (result == CUDA_SUCCESS)",
             ctext.assignment(8, "result", impl, [p.name for p in call.params]),
             "    return soft_call_end(&call, result);"]
    return "\n".join([head, "{", *body, "}"])


def _proc_rows(description, words):
    rows = sorted(description.exports(),
                  key=lambda export: (export.call.symbol, export.is_per_thread, export.since))
    text = []
    for export in rows:
        text.append(ctext.fill("PROC_ROW(", [
            f'"{export.call.symbol}"', str(export.since),
            "true" if export.is_per_thread else "false",
            "true" if _is_manual(export.call) else "false", export.name], ")"))
    return ctext.template("softcuda_procs.inc.in", rows="\n".join(text), **words)


def _version_script(description, words):
    names = "\n".join(f"    {name};" for name in sorted(e.name for e in description.exports()))
    return ctext.template("softcuda_exports.map.in", names=names, **words)
