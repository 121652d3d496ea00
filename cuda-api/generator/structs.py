# SPDX-License-Identifier: Apache-2.0
"""Finds the fields of C structs in a preprocessed header.

Just enough of C for an API header: typedefs of structs, unions and enums, nested ones with and
without names, arrays and function pointers.
"""
import re

from . import header


class Structs:
    """Looks types up in `text`, the one-line output of header.preprocess()."""

    def __init__(self, text):
        self.text = text
        self._plain = {m[2]: m[1] for m in re.finditer(r"\btypedef (\w+) (\w+) ?;", text)}
        self._tagged = {m[3]: f"{m[1]} {m[2]} {{"
                        for m in re.finditer(r"\btypedef (struct|union) (\w+) (\w+) ?;", text)}
        self._closes = {m[1]: m.start() for m in re.finditer(r"\} ?(\w+) ?;", text)}
        self._bodies = {}

    def aliases(self, name):
        """The name and what it is a plain typedef of: [CUDA_MEMCPY2D, CUDA_MEMCPY2D_v2]."""
        target = self._plain.get(name, name)
        return [name, *self.aliases(target)] if target != name else [name]

    def body(self, name):
        """The declarations between the braces of a struct or union; None for anything else."""
        name = self.aliases(name)[-1]
        if name not in self._bodies:
            self._bodies[name] = self._find_body(name)
        return self._bodies[name]

    def _find_body(self, name):
        if name in self._closes:
            start = _matching(self.text, self._closes[name], -1)
            before = self.text[max(0, start - 200):start]
            head = re.search(r"typedef (struct|union|enum)( \w+)? $", before)
            return self.text[start + 1:self._closes[name]] if head and head[1] != "enum" else None
        opening = self.text.find(self._tagged.get(name, "\0"))
        if opening < 0:
            return None
        opening += len(self._tagged[name]) - 1
        return self.text[opening + 1:_matching(self.text, opening, +1)]

    def fields(self, name):
        """[(type, path)] of a struct; nested structs with a type name stay one field."""
        return list(_leaves(self.body(name) or "", ""))


def _matching(text, at, step):
    """The position of the brace that belongs to the one at `at`."""
    depth = 0
    while True:
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return at
        at += step


def _declarations(body):
    depth, start = 0, 0
    for at, character in enumerate(body):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == ";" and depth == 0:
            yield body[start:at].strip()
            start = at + 1


def _leaves(body, prefix):
    for text in _declarations(body):
        nested = re.fullmatch(r"(?:struct|union)(?: \w+)? ?\{(.*)\} ?(\w*)(?: ?\[[^\]]*\])*", text)
        function = re.fullmatch(r".*\( ?\* ?(\w+) ?\) ?\(.*\)", text)
        plain = re.fullmatch(r"(.*?)(\w+)(?: ?\[[^\]]+\])*", text)
        if nested:
            yield from _leaves(nested[1], prefix + (nested[2] + "." if nested[2] else ""))
        elif function:
            yield "void *", prefix + function[1]
        elif plain:
            yield header.normal_type(re.sub(r"^(struct|union) ", "", plain[1])), prefix + plain[2]
        else:
            raise header.HeaderError(f"cannot read the declaration `{text}`")
