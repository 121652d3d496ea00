# SPDX-License-Identifier: Apache-2.0
"""C text laid out as clang-format lays out our own code (.clang-format: 100 columns)."""
import pathlib
import string

WIDTH = 100
# What clang-format charges for a break beside the line itself, in lines (found by comparing).
BREAK_AFTER_EQUALS = -0.5  # and only when the rest is one line
BREAK_IN_STATEMENT = 0.5
BREAK_AFTER_PAREN = 2.5
BREAK_AFTER_RESULT = 2
TEMPLATES = pathlib.Path(__file__).parent / "templates"


def template(file_name, **values):
    """Fills templates/<file_name>; every $placeholder must be given."""
    return string.Template((TEMPLATES / file_name).read_text(encoding="utf-8")).substitute(values)


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


def broken(head, items, tail):
    """The same with a break after `head` and four more columns of indent than its own line."""
    indent = len(head) - len(head.lstrip()) + 4
    return head + "\n" + fill(" " * indent, items, tail)


def fits(text):
    return max(len(line) for line in text.splitlines()) <= WIDTH


def cheapest(*layouts):
    """The layout of least cost; each is (extra cost, text), a line costs 1."""
    possible = [(cost + text.count("\n"), text) for cost, text in layouts if fits(text)]
    return min(possible, key=lambda pair: pair[0])[1]


def prototype(before, name, params, tail):
    """A function's head: `before` is what stands in front of the name, with its space."""
    items = [parameter(p.type, p.name) for p in params] or ["void"]
    head = f"{before}{name}("
    below = fill(f"{name}(", items, ")" + tail)
    return cheapest((0, fill(head, items, ")" + tail)),
                    (BREAK_AFTER_PAREN, broken(head, items, ")" + tail)),
                    (BREAK_AFTER_RESULT, before.rstrip() + "\n" + below))


def assignment(indent, target, function, items):
    """target = function(items);"""
    start, head = " " * indent + f"{target} =", f"{function}("
    layouts = [(0, fill(f"{start} {head}", items, ");")),
               (BREAK_IN_STATEMENT, broken(f"{start} {head}", items, ");"))]
    rest = fill(" " * (indent + 4) + head, items, ");")
    if "\n" not in rest:
        layouts.append((BREAK_AFTER_EQUALS, start + "\n" + rest))
    return cheapest(*layouts)


def initializer(designator, value):
    """One row of a table: `    designator = value,`."""
    line = f"    {designator} = {value},"
    return line if len(line) <= WIDTH else f"    {designator} =\n        {value},"
