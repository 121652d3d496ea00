# SPDX-License-Identifier: Apache-2.0
"""<prefix>_names.h/.c: the call numbers and the names that traces print."""
from . import ctext


def outputs(description):
    prefix = description.api["prefix"]
    return [f"{prefix}_names.h", f"{prefix}_names.c"]


def emit(description):
    prefix = description.api["prefix"]
    upper = prefix.upper()
    exports = sorted(description.exports(), key=lambda export: export.id)
    numbers = "\n".join(f"    {upper}_{export.name} = {export.id}," for export in exports)
    names = "\n".join(ctext.initializer(f"[{upper}_{export.name}]", f'"{export.name}"')
                      for export in exports)
    words = {"prefix": prefix, "upper": upper, "title": description.api["title"],
             "source": f"cuda-api/{description.folder.name}/",
             "limit": exports[-1].id + 1}
    return {f"{prefix}_names.h": ctext.template("names.h.in", numbers=numbers, **words),
            f"{prefix}_names.c": ctext.template("names.c.in", names=names, **words)}
