#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# demo-rack.sh EXAMPLES - what ./setup demo does on the first host of its rack (tests/rack/soft_rack.py).
set -euo pipefail
examples=$1
tests=$(cd "$(dirname "${BASH_SOURCE[0]}")/../tests/rack" && pwd)
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

# Plain mpirun over both hosts; it starts its daemons by namespaces where a real rack has ssh.
mpi_job()
{
    local folder=/run/mpi-job
    export OMPI_MCA_plm_rsh_agent=$tests/rsh OMPI_MCA_orte_tmpdir_base=/run OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    say "A system may have several hosts. An MPI job over two, 8 ranks with a GPU each, trains a network to read
digits, data parallel:"
    show compose create --gpus 16 --host r730-1,r730-2 --name job
    show compose mpi-env job --dir "$folder"
    # shellcheck source=/dev/null
    show . "$folder/env"
    show mpirun "$examples/train-mpi-static" | tee /run/mpi-said
    say "One process with 16 GPUs of its own comes to the same weights, to the last bit:"
    mkdir /run/native # in a user namespace the usual place is another root's
    SOFTCUDA_STATE=/run/native show softcuda-run --devices 16 "$examples/train-mpi-static" 2>/dev/null | tee /run/native-said | grep -v step
    cmp <(grep weights /run/mpi-said) <(grep weights /run/native-said)
    show compose delete job
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
if [ -x "$examples/train-mpi-static" ] && command -v mpirun >/dev/null; then
    mpi_job
else
    say "Not shown here: an MPI job over both hosts (packages openmpi-bin, libopenmpi-dev)."
fi
free=$(gpus_that_are free)
say "$free of 16 GPUs are free again."
[ "$free" = 16 ]
if [ "$(awk '{sum += $3} END {printf "%d", sum}' /proc/self/uid_map)" -lt 65536 ]; then
    say "Not shown here, because only one user is mapped without root: a uid for each lease, and the access list."
fi
