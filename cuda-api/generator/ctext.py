# SPDX-License-Identifier: Apache-2.0
"""C text laid out as clang-format lays out our own code (.clang-format: 100 columns)."""
import pathlib
import string

WIDTH = 100
TEMPLATES = pathlib.Path(__file__).parent / "templates"


def template(name, **values):
    """Fills templates/<name>; every $placeholder must be given."""
    return string.Template((TEMPLATES / name).read_text(encoding="utf-8")).substitute(values)


def parameter(kind, name):
    return kind + name if kind.endswith("*") else f"{kind} {name}"


def fill(head, items, tail):
    """`head` + comma-separated `items` + `tail`, broken at WIDTH and aligned behind `head`."""
    lines, line = [], head
    for number, item in enumerate(items):
        piece = item + ("," if number + 1 < len(items) else tail)
        if number and len(line) + 1 + len(piece) > WIDTH:
            lines.append(line)
            line = " " * len(head) + piece
        else:
            line += (" " if number else "") + piece
    if not items:
        line += tail
    return "\n".join(lines + [line])


def prototype(before, name, params, tail):
    """A function's head: `before` is what stands in front of the name, with its space."""
    items = [parameter(p.type, p.name) for p in params] or ["void"]
    text = fill(f"{before}{name}(", items, ")" + tail)
    if max(len(line) for line in text.splitlines()) <= WIDTH:
        return text
    return before.rstrip() + "\n" + fill(f"{name}(", items, ")" + tail)


def statement(indent, head, items, tail):
    """A call as a statement: `head` ends in the opening parenthesis."""
    return fill(" " * indent + head, items, tail)
