#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# demo-rack.sh EXAMPLES - what ./setup demo does on the first host of its rack (tests/rack/soft_rack.py).
set -euo pipefail
examples=$1
host=$(hostname)

say() {
    printf '\n%s\n' "$*"
}

show() {
    printf '\n%s$ %s\n' "$host" "$*"
    "$@"
}

rail_bytes() { # sent and received on both rails of this host
    cat /sys/class/net/rail[01]/statistics/[rt]x_bytes | awk '{sum += $1} END {printf "%d", sum}'
}

gpus_that_are() { # STATE
    compose gpu list --json | grep -c "\"state\": \"$1\"" || true
}

say "The rack is up. Each node runs fabricd, found its own GPUs, PCIe tree and HCAs, and had every GPU
checked; the fabric was swept on a simulated switch that OpenSM manages."
show compose node list
show compose topo --matrix

say "An administrator gives this host a virtual machine of 16 GPUs:"
show compose create --gpus 16 --host "$host" --name train
show compose show train

say "Programs on it see 16 local GPUs. This one, built by plain nvcc, uses them all, with copies from GPU to
GPU, and compares its result with the CPU's:"
before=$(rail_bytes)
show compose run -s train -- "$examples/jacobi-static"
say "$(($(rail_bytes) - before)) bytes went over this host's two rails."
show compose smi train

say "And back:"
show compose delete train
free=$(gpus_that_are free)
say "$free of 16 GPUs are free again."
[ "$free" = 16 ]
if [ "$(awk '{sum += $3} END {printf "%d", sum}' /proc/self/uid_map)" -lt 65536 ]; then
    say "Not shown here, because only one user is mapped without root: a uid for each lease, and the access list."
fi
