# SPDX-License-Identifier: Apache-2.0
"""A driver library's face: prototypes of the hand-written implementations, every exported function,
the table behind cuGetProcAddress and the version script."""
import dataclasses

from . import ctext


@dataclasses.dataclass
class Face:
    """One driver library: a consumer of the description."""
    consumer: str   # key of the rows, and first word of the files
    prefix: str     # of its implementations: soft_cuInit
    call_word: str  # of what stands around each call: soft_call_begin(), SOFT_CALL_NEEDS_INIT
    folder: str     # where the implementations are
    also: tuple = ()  # exported beside the API

    def outputs(self, description):
        names = [f"{self.consumer}_{name}" for name in
                 ("impl.h", "procs.h", "procs.c", "procs.inc", "exports.map")]
        return names + [self._exports_file(group) for group in description.groups]

    def emit(self, description):
        words = {"source": f"cuda-api/{description.folder.name}/", "face": self.consumer,
                 "FACE": self.consumer.upper(), "folder": self.folder,
                 "call_header": f"{self.folder}/{self.call_word}.h",
                 "prefix": description.api["prefix"], "define": description.api["define"]}
        files = {"impl.h": self._implementations(description, words),
                 "procs.h": ctext.template("driver_procs.h.in", **words),
                 "procs.inc": self._proc_rows(description, words),
                 "procs.c": ctext.template("driver_procs.c.in", **words),
                 "exports.map": self._version_script(description, words)}
        files = {f"{self.consumer}_{name}": text for name, text in files.items()}
        for group in description.groups:
            files[self._exports_file(group)] = self._exports(description, group, words)
        return files

    def _exports_file(self, group):
        return f"{self.consumer}_exports_{group.stem}.c"

    def _is_manual(self, call):
        return call.consumers[self.consumer] == "manual"

    def _own_implementations(self, calls):
        return [call for call in calls if self._is_manual(call) and not call.same_as]


    def _implementations(self, description, words):
        result = description.api["result"]
        parts = []
        for group in description.groups:
            calls = self._own_implementations(group.calls)
            if calls:
                parts.append(f"/* {group.title} */")
                parts += [ctext.prototype(f"{result} ", f"{self.prefix}_{c.name}", c.params, ";")
                          for c in calls]
                parts.append("")
        return ctext.template("driver_impl.h.in", prototypes="\n".join(parts).rstrip(), **words)

    def _exports(self, description, group, words):
        parts = []
        for call in group.calls:
            parts.append(self._function(description, call, call.name, False))
            if call.per_thread:
                parts.append(self._function(description, call, call.per_thread_name, True))
        return ctext.template("driver_exports.c.in", stem=group.stem, title=group.title,
                              source_file=f"{group.stem}.toml",
                              api_folder=description.folder.name, functions="\n\n".join(parts), **words)

    def _function(self, description, call, name, is_per_thread):
        api, number = description.api, f"{description.api['prefix'].upper()}_{name}"
        before = f"FAB_EXPORT {api['result']} {api['calling']} "
        head = ctext.prototype(before, name, call.params, "")
        if not self._is_manual(call):
            unused = "".join(f"    (void){p.name};\n" for p in call.params)
            return f"{head}\n{{\n{unused}    return {self.call_word}_refused({number});\n}}"
        upper = self.call_word.upper()
        flags = [word for word, on in ((f"{upper}_NEEDS_INIT", call.needs_init),
                                       (f"{upper}_PER_THREAD", is_per_thread)) if on]
        impl = f"{self.prefix}_{call.implementation}"
        body = [f"    struct {self.call_word} call;", f"    {api['result']} result;", ""]
        body += [ctext.assignment(4, "result", f"{self.call_word}_begin",
                                  ["&call", number, " | ".join(flags) or "0"]),
                 "    if (result == CUDA_SUCCESS)",
                 ctext.assignment(8, "result", impl, [p.name for p in call.params]),
                 f"    return {self.call_word}_end(&call, result);"]
        return "\n".join([head, "{", *body, "}"])

    def _proc_rows(self, description, words):
        rows = sorted(description.exports(),
                      key=lambda export: (export.call.symbol, export.is_per_thread, export.since))
        text = []
        for export in rows:
            text.append(ctext.fill("PROC_ROW(", [
                f'"{export.call.symbol}"', str(export.since),
                "true" if export.is_per_thread else "false",
                "true" if self._is_manual(export.call) else "false", export.name], ")"))
        return ctext.template("driver_procs.inc.in", rows="\n".join(text), **words)

    def _version_script(self, description, words):
        names = sorted(export.name for export in description.exports()) + list(self.also)
        names = "\n".join(f"    {name};" for name in names)
        return ctext.template("driver_exports.map.in", names=names, **words)
