# SPDX-License-Identifier: Apache-2.0
"""What starts a host's programs: the list of hosts that a soft rack is made from, and each host's
settings. The settings of fabricd will be written here, from the same values."""

NETWORK_HOSTS_MAX = 254


def hosts_list(rack):
    """A line a host: number, name, rails, GPUs, roles."""
    lines = ["# number name rails gpus roles"]
    lines += [f"{host.index} {host.name} {host.rails} {len(host.machine.gpus())} "
              f"{','.join(host.roles)}" for host in rack.hosts]
    return "\n".join(lines) + "\n"


def address(host, rail):
    """As tests/rack/rack.sh gives them; "" where a rack is too large for that network."""
    return f"10.77.{rail}.{host.index}" if host.index <= NETWORK_HOSTS_MAX else ""


def settings(rack, host, folder):
    """Shell variables, a line each; `folder` is the host's."""
    manager = next(other for other in rack.hosts if "manager" in other.roles)
    values = {"NODE_NAME": host.name, "NODE_ROLES": ",".join(host.roles),
              "NODE_MANAGER": address(manager, 0),
              "NODE_ADDRESSES": ",".join(address(host, rail) for rail in range(host.rails)),
              "NODE_NETDEVS": ",".join(f"rail{rail}" for rail in range(host.rails)),
              "NODE_HWLOC_XML": f"{folder}/hwloc.xml", "NODE_SYSROOT": f"{folder}/sysroot"}
    if host.machine.gpus():
        values["SOFTCUDA_CONFIG"] = f"{folder}/softcuda.cfg"
    return "".join(f"{name}='{value}'\n" for name, value in values.items())
