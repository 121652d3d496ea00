# SPDX-License-Identifier: Apache-2.0
"""What the toolkit says about an API: prototypes, versions and exported names.

The description is compared with these; nothing is generated from them. The compiler's preprocessor
does the reading of headers, and the ELF symbol table is read here, so no binutils are needed.
"""
import collections
import re
import struct
import subprocess

PROTOTYPE = r"\b{result} (\w+)\s*\(([^;{{}}]*)\)\s*;"
TYPEDEF = re.compile(r"\(\s*(?:\w+\s+)?\*\s*PFN_(\w+?)_v(\d+)(_ptds|_ptsz)?\s*\)")


class HeaderError(Exception):
    """A header or library could not be read."""


def preprocess(cc, include, headers, define=None, last_line=""):
    lines = [f"#define {define}"] if define else []
    lines += [f"#include <{header}>" for header in headers] + [last_line]
    done = subprocess.run([cc, "-E", "-P", "-x", "c", "-I", str(include), "-"], text=True,
                          input="\n".join(lines) + "\n", capture_output=True, check=False)
    if done.returncode != 0:
        raise HeaderError(f"{cc} -E of {', '.join(headers)}: {done.stderr.strip()}")
    return re.sub(r"\s+", " ", re.sub(r"__attribute__\s*\(\(.*?\)\)", "", done.stdout))


def number(cc, include, headers, macro):
    """The value of a macro that is a plain number."""
    text = preprocess(cc, include, headers, last_line=f"value_of_macro = {macro};")
    match = re.search(r"value_of_macro = (\d+);", text)
    if not match:
        raise HeaderError(f"{', '.join(headers)}: {macro} is not a number")
    return int(match[1])


def normal_type(text):
    """One spelling for a C type: "const char **", "size_t *"."""
    text = re.sub(r"\s+", " ", text).strip()
    return re.sub(r"\s*(\*[\s*]*)$", lambda m: " " + m.group(1).replace(" ", ""), text)


def prototypes(text, result):
    """{name: [(type, name), ...]} of every function that returns `result`."""
    found = {}
    for match in re.finditer(PROTOTYPE.format(result=re.escape(result)), text):
        found[match.group(1)] = [_parameter(p) for p in match.group(2).split(",")
                                 if p.strip() not in ("", "void")]
    return found


def _parameter(text):
    match = re.fullmatch(r"(.*?)(\w+)", text.strip())
    if not match or not match.group(1).strip():
        raise HeaderError(f"a parameter without a name: {text.strip()}")
    return normal_type(match.group(1)), match.group(2)


def abi_versions(text):
    """{exported name: since} from PFN typedefs: the n-th plain version of a name is exported as
    name_vN, its per-thread variant with the suffix added. A per-thread variant that came with a
    later version than the plain one belongs to the last ABI before it."""
    plain, per_thread = collections.defaultdict(set), collections.defaultdict(dict)
    for name, version, suffix in TYPEDEF.findall(text):
        if suffix:
            per_thread[name][int(version)] = suffix
        else:
            plain[name].add(int(version))
    found = {}
    for name, versions in plain.items():
        ordered = sorted(versions)
        exported = [name if n == 1 else f"{name}_v{n}" for n in range(1, len(ordered) + 1)]
        found.update(zip(exported, ordered, strict=True))
        for version, suffix in per_thread[name].items():
            abi = max(n for n, since in enumerate(ordered) if since <= version)
            found[exported[abi] + suffix] = version
    return found


def elf_exports(path):
    """The set of functions that a 64-bit little-endian shared library exports."""
    data = path.read_bytes()
    if data[:6] != b"\x7fELF\x02\x01":
        raise HeaderError(f"{path}: not a 64-bit little-endian ELF file")
    table, = struct.unpack_from("<Q", data, 0x28)
    entry_bytes, count = struct.unpack_from("<HH", data, 0x3A)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, table + i * entry_bytes)
                for i in range(count)]
    for _, kind, _, _, offset, size, link, _, _, entry in sections:
        if kind == 11:  # SHT_DYNSYM
            return set(_symbols(data, offset, size, entry, sections[link][4]))
    raise HeaderError(f"{path}: no dynamic symbols")


def _symbols(data, offset, size, entry, strings):
    for at in range(offset, offset + size, entry):
        name, info, _, section = struct.unpack_from("<IBBH", data, at)
        if section != 0 and info & 0xF == 2:  # defined here, STT_FUNC
            start = strings + name
            yield data[start:data.index(b"\0", start)].decode("ascii")
