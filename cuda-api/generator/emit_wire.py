# SPDX-License-Identifier: Apache-2.0
"""Structs, encoders and decoders of a set of messages, such as ../wire/wire.toml."""
import dataclasses
import pathlib
import re

from . import ctext, wire

ROOT = pathlib.Path(__file__).parent.parent.parent


@dataclasses.dataclass
class Messages:
    prefix: str  # of all names, and the name of the files
    source: str  # the description, from the root of the tree
    title: str   # "the messages between ..."

    def outputs(self, _description):
        return [f"{self.prefix}.h", f"{self.prefix}.c"]

    def emit(self, _description):
        described = wire.load(ROOT / self.source)
        records = []
        for message in described.messages:
            records.append(message.request)
            if message.reply:
                records.append(message.reply)
        ops = "\n".join(f"    WIRE_{m.name.upper()} = {m.op}," for m in described.messages)
        values = {"protocol": described.protocol, "hash": f"UINT64_C({described.hash:#x})",
                  "source": self.source, "title": self.title,
                  "words": _words(described.words), "ops": ops,
                  "structs": "\n\n".join(_struct(s) for s in described.structs),
                  "bodies": "\n\n".join(_struct(r) for r in records),
                  "prototypes": "\n".join(_prototypes(r) for r in records),
                  "fixed_max": max(r.bytes for r in records), "tails_max": wire.TAILS_MAX}
        header = ctext.template("wire.h.in", **values)
        code = ctext.template(
            "wire.c.in", asserts="\n".join(_assert(s) for s in described.structs),
            codecs="\n\n".join(_fixed(r) + _put(r) + "\n\n" + _get(r) for r in records),
            checks="\n\n".join(_check(r) for r in records),
            rows="\n".join(_row(m) for m in described.messages))
        return {f"{self.prefix}.h": self._renamed(header), f"{self.prefix}.c": self._renamed(code)}

    def _renamed(self, text):
        text = re.sub(r"\bwire_", f"{self.prefix}_", text)
        text = re.sub(r"WIRE_", f"{self.prefix.upper()}_", text)
        return re.sub(r"\bwire\.(h|c)\b", rf"{self.prefix}.\1", text)


def _words(words):
    out = []
    for prefix, values in words.items():
        bits = isinstance(values, dict)
        names = values["bits"] if bits else values
        rows = "\n".join(f"    {prefix}_{n} = {f'1u << {i}' if bits else i},"
                         for i, n in enumerate(names))
        out.append(f"enum {prefix.lower()}_word {{\n{rows}\n}};")
    return "\n\n".join(out)


def _struct(record):
    lines = [f"    {f.c_type} {f.name}{f'[{f.count}]' if f.count else ''};" for f in record.fields]
    for tail in record.tails:
        kind = "void" if tail.type == "bytes" else tail.c_type
        lines += [f"    const {kind} *{tail.name}; /* at most {tail.max} */",
                  f"    uint32_t {tail.name}_count;"]
    if not lines:
        lines = ["    uint8_t nothing;"]
    return f"struct wire_{record.name} {{\n" + "\n".join(lines) + "\n};"


def _prototypes(record):
    return (f"void wire_put_{record.name}(const struct wire_{record.name} *m, "
            f"struct wire_parts *parts);\n"
            f"FAB_NODISCARD bool wire_get_{record.name}(const void *bytes, size_t size_bytes, "
            f"struct wire_{record.name} *m);")


def _assert(record):
    return f'_Static_assert(sizeof(struct wire_{record.name}) == {record.bytes}, "padding");'


def _fixed(record):
    if not record.bytes:
        return ""
    lines = [f"    {f.c_type} {f.name}{f'[{f.count}]' if f.count else ''};" for f in record.fields]
    lines += [f"    uint32_t {t.name}_count;" for t in record.tails]
    if record.is_padded:
        lines.append("    uint32_t zero;")
    return (f"struct fixed_{record.name} {{\n" + "\n".join(lines) + "\n};\n"
            f'_Static_assert(sizeof(struct fixed_{record.name}) == {record.bytes}, "padding");\n\n')


def _copy(target, source, field):
    if field.count:
        return f"    memcpy({target}{field.name}, {source}{field.name}, sizeof({target}{field.name}));"
    return f"    {target}{field.name} = {source}{field.name};"


def _element(tail):
    return "1" if tail.type == "bytes" else f"sizeof({tail.c_type})"


def _put(record):
    head = f"void wire_put_{record.name}(const struct wire_{record.name} *m, struct wire_parts *parts)\n{{\n"
    if not record.bytes:
        return head + "    (void)m;\n    wire_begin(parts, 0);\n}"
    lines = [f"    struct fixed_{record.name} *fixed = wire_begin(parts, sizeof(*fixed));", ""]
    lines += [_copy("fixed->", "m->", f) for f in record.fields]
    lines += [f"    fixed->{t.name}_count = m->{t.name}_count;" for t in record.tails]
    if record.is_padded:
        lines.append("    fixed->zero = 0;")
    lines += [f"    wire_tail(parts, m->{t.name}, (size_t)m->{t.name}_count * {_element(t)});"
              for t in record.tails]
    return head + "\n".join(lines) + "\n}"


def _get(record):
    head = (f"bool wire_get_{record.name}(const void *bytes, size_t size_bytes, "
            f"struct wire_{record.name} *m)\n{{\n")
    if not record.bytes:
        return head + "    (void)bytes;\n    m->nothing = 0;\n    return size_bytes == 0;\n}"
    lines = [f"    struct fixed_{record.name} fixed;",
             "    struct wire_cursor cursor = {bytes, size_bytes};", "",
             "    if (!wire_take_fixed(&cursor, &fixed, sizeof(fixed)))", "        return false;"]
    lines += [_copy("m->", "fixed.", f) for f in record.fields]
    for t in record.tails:
        lines += [f"    m->{t.name}_count = fixed.{t.name}_count;",
                  f"    if (!wire_take_tail(&cursor, m->{t.name}_count, {t.max}, {_element(t)},",
                  f"                        (const void **)&m->{t.name}))", "        return false;"]
    return head + "\n".join(lines) + "\n    return cursor.left_bytes == 0;\n}"


def _check(record):
    return (f"static bool check_{record.name}(const void *bytes, size_t size_bytes)\n{{\n"
            f"    struct wire_{record.name} m;\n\n"
            f"    return wire_get_{record.name}(bytes, size_bytes, &m);\n}}")


def _row(message):
    reply = f"check_{message.reply.name}" if message.reply else "NULL"
    reply_bytes = message.reply.bytes if message.reply else 0
    return (f'    {{"{message.name}", {message.op}, WIRE_WAY_{message.way.upper()}, '
            f"{message.request.bytes}, {reply_bytes}, check_{message.name}, {reply}}},")
