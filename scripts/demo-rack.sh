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

# "foreign NODE SERVER... -- CLIENT...": what CLIENT prints, with SERVER, which serves one client, on the node.
foreign()
{
    local node=$1 server=() pid tries
    shift
    while [ "$1" != -- ]; do
        server+=("$1")
        shift
    done
    shift
    "$tests/rack.sh" on "$node" "${server[@]}" >/dev/null 2>&1 &
    pid=$!
    for tries in $(seq 50); do # until the server listens
        "$@" 2>/dev/null && break
        sleep 0.1
    done
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
}

copy_suite() # SYSTEM
{
    local report=/run/copy-suite.html node=c4130-1
    say "How fast are copies to these GPUs? The copy suite in short: each number is a median, each row's data were
compared, and what the machine did not let it measure cleanly is a '-' with the reason:"
    show compose perf "$1" --quick -s 8,64K,16M -t memcpy,h2d,d2h,p2p,launch-sync -m pinned -o "$report"
    if command -v iperf3 >/dev/null && command -v ucx_perftest >/dev/null; then
        say "Beside it, the limits that other programs reach on the same wire, one rail to $node:"
        foreign $node iperf3 -s -1 -- iperf3 -c $node -t 1 -f m |
            awk '/receiver/ {printf "iperf3                           %11.0f MB/s\n", $(NF - 2) / 8}'
        export UCX_TLS=tcp UCX_NET_DEVICES=rail0
        foreign $node ucx_perftest -t ucp_am_lat -- ucx_perftest $node -t ucp_am_lat -s 8 -n 1000 -f -v |
            awk -F, 'END {if ($2) printf "ucx_perftest, 8 B there and back %11.2f us\n", 2 * $2}'
        foreign $node ucx_perftest -t ucp_am_bw -E sleep -- ucx_perftest $node -t ucp_am_bw -s 4194304 -n 64 -f -v -E sleep |
            awk -F, 'END {if ($6) printf "ucx_perftest, 4 MiB              %11.0f MB/s\n", $6 * 1.048576}'
        unset UCX_TLS UCX_NET_DEVICES
    fi
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
copy_suite train

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
