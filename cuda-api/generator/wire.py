# SPDX-License-Identifier: Apache-2.0
"""A set of messages, as ../wire/wire.toml describes those between client and worker, checked.

The C structs have no hidden padding: a field that is not naturally aligned is refused.
"""
import dataclasses
import hashlib
import tomllib

SCALARS = {"u8": ("uint8_t", 1), "u16": ("uint16_t", 2), "u32": ("uint32_t", 4),
           "u64": ("uint64_t", 8), "i32": ("int32_t", 4), "i64": ("int64_t", 8),
           "f32": ("float", 4)}
WAYS = ("post", "call", "up", "down")
MESSAGE_BYTES = 1 << 20  # XP_MESSAGE_MAX_BYTES
TAILS_MAX = 6


class WireError(Exception):
    """The description breaks a rule."""


@dataclasses.dataclass
class Field:
    name: str
    type: str
    count: int  # 0: not an array
    max: int    # of a tail, in elements; 0 for fields

    @property
    def c_type(self):
        return SCALARS[self.type][0] if self.type in SCALARS else f"struct wire_{self.type}"


@dataclasses.dataclass
class Record:
    """A struct, or one direction of a message: fixed fields, then tails."""
    name: str
    fields: list
    tails: list
    bytes: int      # of the fixed part, counts of the tails included
    is_padded: bool # by four bytes of zero


@dataclasses.dataclass
class Message:
    name: str
    op: int
    way: str
    request: Record
    reply: Record  # None unless way is "call"


@dataclasses.dataclass
class Wire:
    protocol: int
    hash: int
    structs: list
    messages: list
    words: dict


def load(path):
    text = path.read_bytes()
    data = tomllib.loads(text.decode("utf-8"))
    sizes = {name: (size, size) for name, (_, size) in SCALARS.items()}
    structs = []
    for raw in data.get("struct", []):
        fields, size, align = _layout(raw["name"], raw["fields"], sizes)
        if size % align:
            raise WireError(f"struct {raw['name']}: {size} bytes are no multiple of {align}")
        sizes[raw["name"]] = (size, align)
        structs.append(Record(raw["name"], fields, [], size, False))
    sizes["bytes"] = (1, 1)
    by_name, messages = {}, []
    for raw in data["message"]:
        raw = {**by_name.get(raw.get("like"), {}), **raw}
        by_name[raw["name"]] = raw
        messages.append(_message(raw, sizes))
    _check(messages)
    digest = int.from_bytes(hashlib.sha256(text).digest()[:8], "little")
    return Wire(data["protocol"], digest, structs, messages, data.get("words", {}))


def _layout(name, raw_fields, sizes):
    """Fields with the size and alignment of the struct that they make."""
    fields, at, widest = [], 0, 1
    for raw in raw_fields:
        field = Field(raw["name"], raw["type"], raw.get("count", 0), 0)
        if field.type not in sizes:
            raise WireError(f"{name}.{field.name}: unknown type {field.type}")
        size, align = sizes[field.type]
        if at % align:
            raise WireError(f"{name}.{field.name}: at {at}, not aligned to {align}")
        at += size * max(field.count, 1)
        widest = max(widest, align)
        fields.append(field)
    return fields, at, widest


def _record(name, raw_fields, raw_tails, sizes):
    fields, size, _ = _layout(name, raw_fields, sizes)
    tails = [Field(raw["name"], raw["type"], 0, raw["max"]) for raw in raw_tails]
    if size % 4 or len(tails) > TAILS_MAX:
        raise WireError(f"{name}: {size} bytes of fields (a multiple of 4), {len(tails)} tails")
    used = size + 4 * len(tails)
    return Record(name, fields, tails, used + 7 & ~7, used % 8 != 0)


def _message(raw, sizes):
    name, way = raw["name"], raw["way"]
    if way not in WAYS or (way != "call" and ("reply" in raw or "reply_tail" in raw)):
        raise WireError(f"{name}: way {way}")
    reply = None
    if way == "call":
        reply = _record(name + "_reply", raw.get("reply", []), raw.get("reply_tail", []), sizes)
    return Message(name, raw["op"], way,
                   _record(name, raw.get("fields", []), raw.get("tail", []), sizes), reply)


def _check(messages):
    ops = [message.op for message in messages]
    if len(set(ops)) != len(ops) or max(ops) > 0xffff:
        raise WireError("op numbers must differ and fit 16 bits")
