# SPDX-License-Identifier: Apache-2.0
"""A host's GPUs as softcuda's device file (softcuda.conf(5))."""

PLACES = 64  # of the driver's own memory: softcuda.conf(5), first_place


def _value(value):
    return str(value).lower() if isinstance(value, bool) else \
        f"\"{value}\"" if isinstance(value, str) else str(value)


def _group(settings):
    return "{ " + " ".join(f"{name} = {_value(value)};" for name, value in settings.items()) + " }"


def emit(host, first_place):
    """Of a host that has GPUs. Devices as the PCIe tree has them; those of one socket reach each other directly, and those
    that NVLink joins."""
    machine, gpus = host.machine, host.machine.gpus()
    lines = ["# softcuda.conf(5): generated", f"node = \"{host.name}\";",
             f"first_place = {first_place % PLACES};", "peers = \"links\";"]
    devices = [{**machine.gpu["softcuda"], "pci_bus_id": gpu.bdf, "numa_node": gpu.socket}
               for gpu in gpus]
    links = [{"a": a.index, "b": b.index, "nvlinks": machine.gpu["nvlinks"]}
             for i, a in enumerate(gpus) for b in gpus[i + 1:]
             if a.socket == b.socket or machine.gpu["nvlinks"]]
    for name, groups in (("devices", devices), ("links", links)):
        if groups:
            lines.append(f"{name} = (\n    " + ",\n    ".join(map(_group, groups)) + "\n);")
    return "\n".join(lines) + "\n"
