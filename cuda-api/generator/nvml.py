# SPDX-License-Identifier: Apache-2.0
"""The NVML functions of ../nvml/nvml.toml, checked."""
import dataclasses
import hashlib
import re
import tomllib

CLIENTS = ("forwarded", "manual", "local", "refused")
CLASSES = ("state", "measurement")
PROCESSES = ("", "running", "samples")
KEYS = {"number", "c", "client", "class", "inout", "array", "processes"}
PARAMS_MAX = 4
DEVICES_MAX = 2  # of one function
PROTOTYPE = re.compile(r"(\w[\w ]*?[ *]+)(\w+)\((.*)\)")
PARAMETER = re.compile(r"(.*?[ *]+)(\w+)")


class NvmlError(Exception):
    """The description breaks a rule."""


@dataclasses.dataclass
class Param:
    name: str
    type: str      # as C has it, without the space before the name
    kind: str      # "device", "value", "out", "inout"
    count_at: int  # index of the parameter that says how many elements; its own: one

    @property
    def element(self):
        return self.type[:-1].strip()


@dataclasses.dataclass
class Call:
    number: int
    name: str
    result: str
    params: list
    client: str
    is_measurement: bool
    processes: str

    @property
    def is_remote(self):
        """Whether a worker executes it."""
        return self.client in ("forwarded", "manual")


@dataclasses.dataclass
class Description:
    calls: list  # by number
    hash: int


def load(path):
    text = path.read_bytes()
    calls = [_call(row) for row in tomllib.loads(text.decode())["call"]]
    calls.sort(key=lambda call: call.number)
    for before, call in zip(calls, calls[1:]):
        if before.number == call.number:
            raise NvmlError(f"{call.name}: number {call.number} is {before.name}'s")
    names = [call.name for call in calls]
    if len(set(names)) != len(names):
        raise NvmlError("a function stands twice")
    return Description(calls, int.from_bytes(hashlib.sha256(text).digest()[:8], "little"))


def _call(row):
    match = PROTOTYPE.fullmatch(row.get("c", ""))
    if not match:
        raise NvmlError(f"not a prototype: {row.get('c')}")
    result, name, inner = match.groups()
    if unknown := set(row) - KEYS:
        raise NvmlError(f"{name}: unknown {', '.join(sorted(unknown))}")
    client, kind = row.get("client", "forwarded"), row.get("class", "state")
    processes = row.get("processes", "")
    if client not in CLIENTS or kind not in CLASSES or processes not in PROCESSES:
        raise NvmlError(f"{name}: a word that does not exist")
    params = _params(name, inner, row)
    call = Call(row["number"], name, result.strip(), params, client, kind == "measurement", processes)
    if call.is_remote:
        _check_remote(call)
    return call


def _params(name, inner, row):
    params = []
    for part in [] if inner == "void" else inner.split(", "):
        c_type, param = PARAMETER.fullmatch(part).groups()
        params.append(Param(param, c_type.strip(), _kind(c_type.strip(), param, row), len(params)))
    index = {param.name: i for i, param in enumerate(params)}
    counts = dict(row.get("array", {}))
    for i, param in enumerate(params[:-1]):
        if param.type == "char *":
            counts.setdefault(param.name, params[i + 1].name)
    for array, count in counts.items():
        if array not in index or count not in index:
            raise NvmlError(f"{name}: no parameter {array} or {count}")
        params[index[array]].count_at = index[count]
    if missing := set(row.get("inout", [])) - set(index):
        raise NvmlError(f"{name}: no parameter {', '.join(missing)}")
    return params


def _kind(c_type, name, row):
    if c_type == "nvmlDevice_t":
        return "device"
    if not c_type.endswith("*"):
        return "value"
    return "inout" if name in row.get("inout", []) else "out"


def _check_remote(call):
    arrays = [i for i, param in enumerate(call.params) if param.count_at != i]
    if call.result != "nvmlReturn_t" or not 1 <= len(call.params) <= PARAMS_MAX:
        raise NvmlError(f"{call.name}: not a function that a worker can execute")
    if sum(param.kind == "device" for param in call.params) > DEVICES_MAX or len(arrays) > 1:
        raise NvmlError(f"{call.name}: at most {DEVICES_MAX} devices and one array")
    for param in call.params:
        if param.type.startswith("const ") or param.element in ("void", "nvmlDevice_t"):
            raise NvmlError(f"{call.name}: {param.type} does not go over the wire")
    for i in arrays:
        count = call.params[call.params[i].count_at]
        if count.kind not in ("value", "inout"):
            raise NvmlError(f"{call.name}: {count.name} is no count")
    if call.processes and (not arrays or call.params[call.params[arrays[0]].count_at].kind != "inout"):
        raise NvmlError(f"{call.name}: processes are an array with a count that is told")
