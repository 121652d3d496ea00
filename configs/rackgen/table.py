# SPDX-License-Identifier: Apache-2.0
"""Reading a TOML table with every key accounted for: wrong types and unknown keys are errors."""
import re
import tomllib

UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


class DescriptionError(Exception):
    """What is wrong, and in which file and table."""


class Table:
    """take() each key, then finish(): what is left over is an error."""

    def __init__(self, values, where):
        if not isinstance(values, dict):
            raise DescriptionError(f"{where}: expected a table")
        self._left = dict(values)
        self.where = where

    @classmethod
    def load(cls, path):
        try:
            with open(path, "rb") as file:
                return cls(tomllib.load(file), str(path))
        except OSError as error:
            raise DescriptionError(f"{path}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise DescriptionError(f"{path}: {error}") from error

    def fail(self, text):
        raise DescriptionError(f"{self.where}: {text}")

    def take(self, key, kind, default=None):
        """The value of a key; without a default it must be there."""
        value = self._left.pop(key, default)
        if value is None:
            self.fail(f"{key} is missing")
        if not isinstance(value, kind) or isinstance(value, bool) and kind is int:
            self.fail(f"{key}: expected {kind.__name__}, got {value!r}")
        return value

    def number(self, key, low, high, default=None):
        value = self.take(key, int, default)
        if not low <= value <= high:
            self.fail(f"{key}: {value} is not in {low} .. {high}")
        return value

    def choice(self, key, choices, default=None):
        value = self.take(key, str, default)
        if value not in choices:
            self.fail(f"{key}: {value!r} is none of {', '.join(choices)}")
        return value

    def name(self, key):
        value = self.take(key, str)
        if not NAME.fullmatch(value):
            self.fail(f"{key}: {value!r} is no name (small letters, digits, -)")
        return value

    def size(self, key):
        value = self.take(key, str)
        match = re.fullmatch(r"([0-9]+)([KMGT]iB)", value)
        if not match:
            self.fail(f"{key}: {value!r} is no size such as \"16GiB\"")
        return int(match[1]) * UNITS[match[2]]

    def pci_id(self, key):
        """vendor, device"""
        value = self.take(key, str)
        match = re.fullmatch(r"([0-9a-f]{4}):([0-9a-f]{4})", value)
        if not match:
            self.fail(f"{key}: {value!r} is no PCI vendor:device")
        return int(match[1], 16), int(match[2], 16)

    def tables(self, key):
        """A list of tables, each with the place it stands at."""
        values = self.take(key, list, [])
        return [Table(value, f"{self.where}: {key}[{i}]") for i, value in enumerate(values)]

    def table(self, key):
        return Table(self.take(key, dict), f"{self.where}: {key}")

    def rest(self):
        """All that is left, unchecked."""
        left, self._left = self._left, {}
        return left

    def finish(self):
        if self._left:
            self.fail(f"unknown: {', '.join(sorted(self._left))}")
