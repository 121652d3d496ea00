# SPDX-License-Identifier: Apache-2.0
"""The table of NVML functions that both ends know, and what the client exports."""
import pathlib

from . import ctext, nvml

SOURCE = "cuda-api/nvml/nvml.toml"
ROOT = pathlib.Path(__file__).parent.parent.parent


def outputs(_description):
    return ["nvml_rows.h", "nvml_rows.c", "nvml_exports.c"]


def emit(_description):
    described = nvml.load(ROOT / SOURCE)
    remote = [call for call in described.calls if call.is_remote]
    words = {"source": SOURCE}
    header = ctext.template(
        "nvml_rows.h.in", hash=f"UINT64_C({described.hash:#x})",
        numbers="\n".join(f"    CUC_NVML_{c.name} = {c.number}," for c in described.calls),
        count=described.calls[-1].number + 1, **words)
    code = ctext.template("nvml_rows.c.in", invokes="\n\n".join(_invoke(c) for c in remote),
                          asserts="\n".join(_assert(c) for c in described.calls),
                          rows="\n".join(_row(c) for c in remote), **words)
    exports = ctext.template(
        "nvml_exports.c.in",
        functions="\n\n".join(_export(c) for c in described.calls
                              if c.client in ("forwarded", "refused")), **words)
    return {"nvml_rows.h": header, "nvml_rows.c": code, "nvml_exports.c": exports}


def _invoke(call):
    """Calls the function behind `fn` with what a frame holds."""
    types = ", ".join(param.type for param in call.params)
    values = []
    for i, param in enumerate(call.params):
        if param.kind == "value":
            values.append(f"({param.type})args[{i}].value")
        else:
            values.append(f"args[{i}].pointer")
    items = ctext.fill(f"    return ((nvmlReturn_t(*)({types}))fn)(", values, ");")
    head = ctext.fill(f"static nvmlReturn_t invoke_{call.name}(",
                      ["void (*fn)(void)", "const union cuc_nvml_arg *args"], ")")
    return f"{head}\n{{\n{items}\n}}"


def _assert(call):
    types = ", ".join(param.type for param in call.params) or "void"
    kind = f"{call.result}({types})"
    line = f'_Static_assert(IS_TYPE({call.name}, {kind}), "{call.name}");'
    if len(line) <= ctext.WIDTH:
        return line
    head = f"_Static_assert(IS_TYPE({call.name}, {kind}),"
    if len(head) > ctext.WIDTH:
        head = f"_Static_assert(IS_TYPE({call.name},\n{' ' * 23}{kind}),"
    return f'{head}\n{" " * 15}"{call.name}");'


def _row(call):
    params = []
    for param in call.params:
        size = f"sizeof({param.element})" if param.kind in ("out", "inout") else "0"
        params.append(f"{{CUC_NVML_{param.kind.upper()}, {param.count_at}, {size}}}")
    lines = [f"    [{call.number}] = {{", f'        .name = "{call.name}",',
             f"        .invoke = invoke_{call.name},",
             f"        .param_count = {len(call.params)},",
             ctext.fill("        .params = {", params, "},")]
    if call.is_measurement:
        lines.append("        .is_measurement = true,")
    if call.processes:
        lines.append(f"        .processes = CUC_NVML_{call.processes.upper()},")
    return "\n".join([*lines, "    },"])


def _export(call):
    head = ctext.prototype("FAB_EXPORT nvmlReturn_t ", call.name,
                           [_Spaced(param) for param in call.params], "")
    if call.client == "refused":
        unused = "".join(f"    (void){param.name};\n" for param in call.params[1:])
        return f"{head}\n{{\n{unused}    return cudac_nvml_refused({call.params[0].name});\n}}"
    values = [f"{{.value = (uint64_t){p.name}}}" if p.kind == "value" else f"{{.pointer = {p.name}}}"
              for p in call.params]
    head_of_args = "    const union cuc_nvml_arg args[] = {"
    args = ctext.fill(head_of_args, values, "};")
    if "\n" in args:
        args = ctext.broken(head_of_args, values, "};")
    return f"{head}\n{{\n{args}\n\n    return cudac_nvml_forward(CUC_NVML_{call.name}, args);\n}}"


REMOTELY = {"forwarded": "the GPU's node answers", "manual": "client and node answer",
            "local": "the client answers", "refused": "not supported"}


class Coverage:
    """The table of docs/coverage.d."""
    def outputs(self, _description):
        return ["nvml.md"]

    def emit(self, _description):
        calls = sorted(nvml.load(ROOT / SOURCE).calls, key=lambda call: call.name)
        rows = "\n".join(f"| `{c.name}` | {REMOTELY[c.client]} |"
                         f" {'measurement' if c.is_measurement else 'state'} |" for c in calls)
        return {"nvml.md": ctext.template("nvml.md.in", source=SOURCE, count=len(calls), rows=rows)}


class _Spaced:
    """A parameter as ctext.prototype() wants it."""
    def __init__(self, param):
        self.name, self.type = param.name, param.type
