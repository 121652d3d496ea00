# SPDX-License-Identifier: Apache-2.0
"""<prefix>_types.c: the sizes that the description gives, held against the compiler's."""
from . import ctext


def outputs(description):
    return [f"{description.api['prefix']}_types.c"]


def emit(description):
    api = description.api
    sizes = "\n".join(f'_Static_assert(sizeof({kind.name}) == {kind.bytes}, "{kind.name}");'
                      for kind in description.types.values())
    includes = "\n".join(f"#include <{name}>" for name in api["headers"])
    return {f"{api['prefix']}_types.c": ctext.template(
        "types.c.in", prefix=api["prefix"], folder=description.folder.name, sizes=sizes,
        includes=includes, define=f"#define {api['define']}\n" if "define" in api else "")}
