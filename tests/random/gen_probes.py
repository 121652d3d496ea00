#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes what the random programs call without a hand-written step, from the API description.

    gen_probes.py ROOT OUT    OUT/random_functions.inc, OUT/random_probes.inc

A probe calls one function with arguments chosen by the types of its parameters: handles from the
world's pools (now and then a dead or foreign one), small numbers, outputs that are recorded when
two drivers must agree on them.
"""
import pathlib
import sys

# Steps of their own (steps_*.c) know what these need: order, live memory, a value to wait for.
BY_HAND = ("cuMemcpy", "cuMemset", "cuStreamWaitValue", "cuStreamWriteValue", "cuStreamQuery",
           "cuEventQuery", "cuEventElapsedTime", "cuMemAdvise", "cuMemPrefetch", "cuInit",
           "cuStreamAttachMemAsync", "cuMemGetInfo", "cuDevicePrimaryCtxSetFlags",
           "cuCtxPushCurrent", "cuCtxPopCurrent", "cuCtxSetCurrent", "cuMemGetAddressRange",
           "cuCtxEnablePeerAccess", "cuCtxDisablePeerAccess", "cuFuncLoad", "cuFuncIsLoaded",
           "cuLogsCurrent", "cuStreamGetId", "cuCtxGetId", "cuDeviceSetMemPool")
# Whose answers depend on where the devices are.
NOT_COMPARED = ("cuDeviceGetP2PAttribute",)
# Change what another thread of the program may ask for.
SHARED_WORDS = ("Set", "Reset", "Trim", "Enable", "Disable", "CopyAttributes")
POOLS = {"device": "DEVICE", "context": "CONTEXT", "stream": "STREAM", "event": "EVENT",
         "module": "MODULE", "library": "LIBRARY", "function": "FUNCTION", "kernel": "KERNEL",
         "memory-pool": "POOL", "device-memory": "MEMORY", "memory-allocation": "ALLOCATION"}


def is_probe(call, types):
    if call.creates or call.destroys or call.name.startswith(BY_HAND):
        return False
    for param in call.params:
        kind = types.get(param.base_type)
        if not kind or param.pointee not in (None, "unused") or kind.kind in ("struct", "callback"):
            return False
        if param.is_pointer and (param.dir != "out" or param.count or param.bytes):
            return False
        if kind.kind == "handle" and kind.handle not in POOLS:
            return False
    return True


def argument(param, kind):
    if kind.kind == "handle":
        return f"({param.type})world_pick(w, rng, POOL_{POOLS[kind.handle]})"
    if kind.kind == "enum":
        return f"({param.type})rng_below(rng, 20)"
    return f"({param.type})rng_small(rng)"


def probe(call, types):
    lines, names = [], []
    for number, param in enumerate(call.params):
        kind = types.get(param.base_type)
        name = f"a{number}"
        if param.is_pointer and param.pointee == "unused":
            names.append("NULL")
            continue
        names.append(f"&{name}" if param.is_pointer else name)
        if param.is_pointer:
            lines.append(f"    {param.base_type} {name} = {{0}};")
        else:
            lines.append(f"    {param.type} {name} = {argument(param, kind)};")
    lines += ["", f"    if (CU({', '.join(['w', call.name] + names)}) != CUDA_SUCCESS)", "        return;"]
    for number, param in enumerate(call.params):
        kind = types.get(param.base_type)
        if not param.is_pointer or param.pointee == "unused":
            continue
        if kind.kind == "handle":
            lines.append(f"    world_note_handle(w, POOL_{POOLS[kind.handle]}, (uint64_t)a{number});")
        elif param.output_class == "state" and call.name not in NOT_COMPARED:
            lines.append(f"    world_note(w, &a{number}, sizeof(a{number}));")
    return (f"static void probe_{call.name}(struct world *w, struct rng *rng)\n{{\n    (void)rng;\n"
            + "\n".join(lines) + "\n}")


def main():
    root, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    sys.path.insert(0, str(root / "cuda-api"))
    from generator import model  # noqa: E402
    description = model.load(root / "cuda-api" / "driver")
    calls = [call for call in description.calls() if call.status == "foundation"]
    probes = [call for call in calls if is_probe(call, description.types)]
    out.mkdir(parents=True, exist_ok=True)
    (out / "random_functions.inc").write_text(
        "".join(f"FUNCTION({export.name})\n" for export in description.exports()
                if export.call.status == "foundation"), encoding="utf-8")
    rows = "".join(
        f'    {{"{c.name}", probe_{c.name}, 1, '
        f'{"true" if any(w in c.name for w in SHARED_WORDS) else "false"}}},\n' for c in probes)
    (out / "random_probes.inc").write_text(
        "\n\n".join(probe(call, description.types) for call in probes)
        + f"\n\nstatic const struct step_kind probe_kinds[] = {{\n{rows}}};\n", encoding="utf-8")


if __name__ == "__main__":
    main()
