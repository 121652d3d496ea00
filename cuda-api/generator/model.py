# SPDX-License-Identifier: Apache-2.0
"""The rows of one API description and the rules that each row must keep.

A row that breaks a rule is refused with file and line; nothing is filled in silently. Emitters see
only checked rows. What the keys mean is in ../README.md.
"""
import dataclasses
import re
import tomllib

STATUSES = ("foundation", "later", "never")
MODES = ("posted", "called", "local")
ORDERS = ("now", "stream", "context")
RETRIES = ("never", "same-answer")
DIRECTIONS = ("in", "out", "inout")
CLASSES = ("state", "text", "measurement", "place", "none")
NULLS = ("refused", "allowed", "default")
LIVES = ("static", "module", "stream", "link-state")
# What a pointer leads to when it is not simply elements of its type.
POINTEES = ("string", "path", "image", "kernel-parameters", "launch-extra", "jit-values",
            "attribute-value", "attribute-values", "address", "device-address", "array-address",
            "cookie", "code", "device-code", "os-handle", "unused", "opaque")
# Pointees whose own form says where they end, or that are never followed.
SELF_ENDING = ("string", "path", "image", "kernel-parameters", "launch-extra", "attribute-value",
               "address", "device-address", "cookie", "code", "device-code", "os-handle", "unused",
               "opaque")
TYPE_CLASSES = ("integer", "real", "enum", "handle", "callback", "struct")

CALL_KEYS = {"name", "id", "since", "per_thread", "source", "status", "group", "reason", "same_as",
             "needs_init", "mode", "blocks", "route", "order", "retry", "creates", "destroys",
             "params", "on_fabric_error", "note"}
PARAM_KEYS = {"name", "type", "dir", "handle", "null", "pointee", "bytes", "count", "max", "class",
              "filled_at", "read_until", "life"}
FIELD_KEYS = {"name", "type", "dir", "handle", "null", "pointee", "bytes", "count", "max", "when"}


class DescriptionError(Exception):
    """A description breaks a rule. The text starts with file:line."""


@dataclasses.dataclass
class Param:
    name: str
    type: str
    dir: str
    handle: str = None
    null: str = "refused"
    pointee: str = None
    bytes: str = None
    count: str = None
    max: str = None
    output_class: str = None
    filled_at: str = "return"
    read_until: str = "return"
    life: str = None

    @property
    def is_pointer(self):
        return self.type.endswith("*")

    @property
    def base_type(self):
        return re.sub(r"^const ", "", self.type).rstrip("* ")


@dataclasses.dataclass
class Type:
    """A C type that parameters use. A struct lists the fields that cannot be copied as they are:
    pointers, handles, callbacks, and structs that hold such."""
    name: str
    kind: str      # one of TYPE_CLASSES
    bytes: int     # in the 64-bit ABI
    handle: str    # the kind of object, for handles
    fields: list
    file: str
    line: int


@dataclasses.dataclass
class Field:
    name: str      # a path: "res.linear.devPtr"
    type: str
    dir: str
    handle: str
    null: str
    pointee: str
    bytes: str
    count: str
    max: str
    when: str      # a C condition on the struct's other fields; None: always

    is_pointer = Param.is_pointer
    base_type = Param.base_type


@dataclasses.dataclass
class Call:
    name: str            # as exported
    id: int
    since: int
    per_thread: dict     # {"suffix", "id", "since"} or None
    source: str
    status: str
    group: str
    reason: str
    same_as: str
    needs_init: bool
    mode: str
    blocks: bool
    route: str
    order: str
    retry: str
    creates: str
    destroys: str
    params: list
    consumers: dict      # consumer -> state
    answers: dict        # consumer -> the one result that it gives to every correct call
    on_fabric_error: dict
    note: str
    file: str
    line: int

    @property
    def symbol(self):
        """The name under which cuGetProcAddress knows it: without the ABI suffix."""
        return re.sub(r"_v[0-9]+$", "", self.name)

    @property
    def implementation(self):
        return self.same_as or self.name

    @property
    def per_thread_name(self):
        return self.name + self.per_thread["suffix"]


@dataclasses.dataclass
class Export:
    """One exported name: a call, or its per-thread-stream variant."""
    name: str
    id: int
    since: int
    call: Call
    is_per_thread: bool


@dataclasses.dataclass
class Group:
    stem: str
    title: str
    calls: list


@dataclasses.dataclass
class Description:
    folder: object
    head: dict
    types: dict          # name -> Type
    groups: list

    @property
    def api(self):
        return self.head["api"]

    def calls(self):
        return [call for group in self.groups for call in group.calls]

    def exports(self):
        """Every exported name, in the order of the rows."""
        out = []
        for call in self.calls():
            out.append(Export(call.name, call.id, call.since, call, False))
            if call.per_thread:
                out.append(Export(call.per_thread_name, call.per_thread["id"],
                                  call.per_thread["since"], call, True))
        return out


def load(folder):
    """Reads and checks the description in `folder`. Raises DescriptionError."""
    head_file = folder / "api.toml"
    head = _parse(head_file)
    _require_keys(str(head_file), 1, head, ("api", "consumer", "later", "limits", "fabric_errors"))
    _require_keys(str(head_file), 1, head["api"], ("name", "title", "prefix", "version", "result",
                                                   "calling", "headers", "files"))
    groups = []
    for stem in head["api"]["files"]:
        groups.append(_load_group(folder / f"{stem}.toml", stem, head))
    expected = {*head["api"]["files"], "api", "types"}
    extra = sorted({path.stem for path in folder.glob("*.toml")} - expected)
    if extra:
        raise DescriptionError(f"{head_file}:1: not listed in `files`: {', '.join(extra)}")
    description = Description(folder, head, _load_types(folder / "types.toml", head), groups)
    _check_whole(description)
    return description


def _parse(path):
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DescriptionError(f"{path}:1: no such file") from None
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        raise DescriptionError(f"{path}:{line.group(1) if line else 1}: {error}") from None


def _require_keys(path, line, table, keys):
    for key in keys:
        if key not in table:
            raise DescriptionError(f"{path}:{line}: `{key}` is missing")


def _load_types(path, head):
    data = _parse(path)
    _require_keys(str(path), 1, data, ("simple", "struct"))
    text = path.read_text(encoding="utf-8").splitlines()
    types = {}
    for raw in data["simple"] + [{"class": "struct"} | raw for raw in data["struct"]]:
        mark = f'name = "{raw.get("name")}"'
        line = next((n for n, content in enumerate(text, 1) if mark in content), 1)
        made = _make_type(raw, str(path), line, head)
        if made.name in types:
            raise DescriptionError(f"{path}:{line}: {made.name}: described twice")
        types[made.name] = made
    return types


def _make_type(raw, path, line, head):
    def bad(text):
        raise DescriptionError(f"{path}:{line}: {raw.get('name', '(no name)')}: {text}")

    for key in ("name", "class", "bytes"):
        if key not in raw:
            bad(f"`{key}` is missing")
    unknown = sorted(set(raw) - {"name", "class", "bytes", "handle", "fields"})
    if unknown:
        bad(f"unknown key `{unknown[0]}`")
    if raw["class"] not in TYPE_CLASSES:
        bad(f"`class` is \"{raw['class']}\", not one of {', '.join(TYPE_CLASSES)}")
    if (raw["class"] == "handle") != ("handle" in raw):
        bad("`handle` belongs to class \"handle\", and only to it")
    fields = [_make_field(field, head, bad) for field in raw.get("fields", [])]
    return Type(raw["name"], raw["class"], raw["bytes"], raw.get("handle"), fields, path, line)


def _make_field(raw, head, bad):
    name = raw.get("name", "(no name)")

    def bad_field(text):
        bad(f"field {name}: {text}")

    _check_words(raw, ("name", "type"), FIELD_KEYS, bad_field)
    field = Field(name=name, type=raw["type"], dir=raw.get("dir", "in"), handle=raw.get("handle"),
                  null=raw.get("null", "refused"), pointee=raw.get("pointee"),
                  bytes=raw.get("bytes"), count=raw.get("count"), max=raw.get("max"),
                  when=raw.get("when"))
    _check_length(field, head, bad_field)
    return field


def _load_group(path, stem, head):
    data = _parse(path)
    _require_keys(str(path), 1, data, ("group", "call"))
    _require_keys(str(path), 1, data["group"], ("title",))
    lines = _call_lines(path)
    calls = [_make_call(raw, str(path), line, head)
             for raw, line in zip(data["call"], lines, strict=True)]
    return Group(stem, data["group"]["title"], calls)


def _call_lines(path):
    """tomllib keeps no positions, so the n-th [[call]] is found in the text."""
    text = path.read_text(encoding="utf-8").splitlines()
    return [number for number, line in enumerate(text, 1) if line.strip() == "[[call]]"]


def _make_call(raw, path, line, head):
    consumers = head["consumer"]
    raw = {name: raw[rule["default"]] for name, rule in consumers.items()
           if rule.get("default") in raw} | raw

    def bad(text):
        raise DescriptionError(f"{path}:{line}: {raw.get('name', '(no name)')}: {text}")

    def one_of(key, words, table=None):
        value = (table or raw)[key]
        if value not in words:
            bad(f"`{key}` is \"{value}\", not one of {', '.join(words)}")
        return value

    for key in ("name", "id", "since", "source", "status", "mode", "blocks", "route", "order",
                "retry", "params", *consumers):
        if key not in raw:
            bad(f"`{key}` is missing")
    answer_keys = {f"{name}_answer" for name in consumers}
    unknown = sorted(set(raw) - CALL_KEYS - set(consumers) - answer_keys)
    if unknown:
        bad(f"unknown key `{unknown[0]}`")
    status = one_of("status", STATUSES)
    if (status == "later") != ("group" in raw):
        bad("`group` belongs to status \"later\", and only to it")
    if "group" in raw:
        one_of("group", tuple(head["later"]))
    if (status == "never") != ("reason" in raw):
        bad("`reason` belongs to status \"never\", and only to it")
    states = {name: one_of(name, tuple(rule["states"])) for name, rule in consumers.items()}
    if status == "foundation" and "stub" in states.values():
        bad("a foundation row must be implemented by every consumer")
    answers = {name: raw[f"{name}_answer"] for name in consumers if f"{name}_answer" in raw}
    if answers and ("note" not in raw or any(states[name] == "stub" for name in answers)):
        bad("a fixed answer belongs to an implemented row and needs a `note`")
    per_thread = raw.get("per_thread")
    if per_thread is not None:
        for key in ("suffix", "id", "since"):
            if key not in per_thread:
                bad(f"`per_thread` lacks `{key}`")
    params = [_make_param(p, raw["params"], head, bad) for p in raw["params"]]
    route_words = ("client", "context", "all") + tuple(p.name for p in params)
    if raw["route"].split(".")[0] not in route_words:
        bad(f"`route` is \"{raw['route']}\", neither a parameter nor client, context or all")
    return Call(name=raw["name"], id=raw["id"], since=raw["since"], per_thread=per_thread,
                source=raw["source"], status=status, group=raw.get("group"),
                reason=raw.get("reason"), same_as=raw.get("same_as"),
                needs_init=raw.get("needs_init", True), mode=one_of("mode", MODES),
                blocks=raw["blocks"], route=raw["route"], order=one_of("order", ORDERS),
                retry=one_of("retry", RETRIES), creates=raw.get("creates"),
                destroys=raw.get("destroys"), params=params, consumers=states, answers=answers,
                on_fabric_error=head["fabric_errors"] | raw.get("on_fabric_error", {}),
                note=raw.get("note"), file=path, line=line)


def _make_param(raw, siblings, head, bad):
    name = raw.get("name", "(no name)")

    def bad_param(text):
        bad(f"parameter {name}: {text}")

    _check_words(raw, ("name", "type", "dir"), PARAM_KEYS, bad_param)
    if (raw["dir"] != "in") != ("class" in raw):
        bad_param("`class` belongs to outputs, and every output has one")
    param = Param(name=name, type=raw["type"], dir=raw["dir"], handle=raw.get("handle"),
                  null=raw.get("null", "refused"), pointee=raw.get("pointee"),
                  bytes=raw.get("bytes"), count=raw.get("count"), max=raw.get("max"),
                  output_class=raw.get("class"), filled_at=raw.get("filled_at", "return"),
                  read_until=raw.get("read_until", "return"), life=raw.get("life"))
    if param.dir != "in" and not param.is_pointer:
        bad_param("an output is a pointer")
    if param.pointee in ("cookie", "device-address") and param.dir != "in":
        bad_param(f"a {param.pointee} is an input")
    _check_length(param, head, bad_param)
    for word in length_words(param):
        if word not in {p.get("name") for p in siblings}:
            bad_param(f"its length names `{word}`, which is no parameter")
    return param


def _check_words(raw, required, allowed, bad):
    for key in required:
        if key not in raw:
            bad(f"`{key}` is missing")
    unknown = sorted(set(raw) - allowed)
    if unknown:
        bad(f"unknown key `{unknown[0]}`")
    for key, words in (("dir", DIRECTIONS), ("class", CLASSES), ("null", NULLS),
                       ("pointee", POINTEES), ("life", LIVES)):
        if key in raw and raw[key] not in words:
            bad(f"`{key}` is \"{raw[key]}\", not one of {', '.join(words)}")


def length_words(item):
    """The parameters or fields that a length expression uses."""
    return re.findall(r"[A-Za-z_]\w*", item.bytes or item.count or "")


def _check_length(param, head, bad):
    """What holds for a parameter and a field of a struct alike."""
    if not param.is_pointer and (param.bytes or param.count or param.pointee):
        bad("a value has no length")
    if param.bytes and param.count:
        bad("`bytes` or `count`, not both")
    if param.base_type == "void" and not (param.bytes or param.pointee):
        bad("a void pointer needs `bytes` or `pointee`")
    if param.is_pointer and param.type.count("*") == 2 and not param.pointee:
        bad("a pointer to a pointer needs `pointee`")
    if param.pointee and param.pointee not in SELF_ENDING and not (param.bytes or param.count):
        bad(f"pointee \"{param.pointee}\" needs `bytes` or `count`")
    length = param.bytes or param.count
    if length and not re.fullmatch(r"\d+", length) and not param.max:
        bad(f"length \"{length}\" needs `max`")
    if param.pointee in ("string", "path", "image") and not param.max:
        bad(f"pointee \"{param.pointee}\" needs `max`")
    if param.max and param.max not in head["limits"]:
        bad(f"`max` \"{param.max}\" is not in [limits]")


def _check_whole(description):
    _check_names(description)
    for item in description.types.values():
        for field in item.fields:
            _check_type(description, field, f"{item.file}:{item.line}: {item.name}: {field.name}")
    for call in description.calls():
        place = f"{call.file}:{call.line}: {call.name}"
        for param in call.params:
            _check_type(description, param, f"{place}: {param.name}")
        _check_objects(description, call, place)


def _check_type(description, item, place):
    """A parameter's or field's type is described, and handles carry their kind."""
    if item.base_type == "void" or item.pointee == "unused":
        return
    kind = description.types.get(item.base_type)
    if kind is None:
        raise DescriptionError(f"{place}: type {item.base_type} is not in types.toml")
    if item.handle != kind.handle and item.pointee != "array-address":
        raise DescriptionError(f"{place}: `handle` is {item.handle}, the type's is {kind.handle}")


def _check_objects(description, call, place):
    """What a call creates comes out of it, and both ends of a life have a known kind."""
    kinds = {kind.handle for kind in description.types.values() if kind.handle}
    for key, kind in (("creates", call.creates), ("destroys", call.destroys)):
        if kind and kind not in kinds | set(description.api.get("objects", ())):
            raise DescriptionError(f"{place}: `{key}` is \"{kind}\", no handle kind and no object")
    if call.creates in kinds and call.creates not in {p.handle for p in call.params
                                                      if p.dir != "in"}:
        raise DescriptionError(f"{place}: creates \"{call.creates}\", but no output is one")


def _check_names(description):
    names, ids = {}, {}
    for export in description.exports():
        place = f"{export.call.file}:{export.call.line}: {export.name}"
        if export.name in names:
            raise DescriptionError(f"{place}: described twice")
        if export.id in ids:
            raise DescriptionError(f"{place}: number {export.id} is {ids[export.id]}'s")
        if not 0 < export.id < 65536:
            raise DescriptionError(f"{place}: number {export.id} is outside 1..65535")
        names[export.name], ids[export.id] = export.call, export.name
    for call in description.calls():
        if not call.same_as:
            continue
        place = f"{call.file}:{call.line}: {call.name}"
        other = names.get(call.same_as)
        if other is None or other.same_as:
            raise DescriptionError(f"{place}: `same_as` must name a row with its own "
                                   "implementation")
        if [p.type for p in other.params] != [p.type for p in call.params]:
            raise DescriptionError(f"{place}: `same_as` {other.name} has another signature")
