#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# run-mpi.sh PROGRAM [ARG...] - two ranks of an MPI program on this host, their messages over UCX.
#
# Exit status: the program's; 77 with a reason where there is no Open MPI with a UCX component.
set -euo pipefail

if [ -z "${1:-}" ]; then
    echo "Open MPI's headers were missing when this was built (package libopenmpi-dev)"
    exit 77
fi
command -v mpirun >/dev/null || {
    echo "mpirun is missing (package openmpi-bin)"
    exit 77
}
ompi_info --param pml ucx 2>/dev/null | grep -q 'MCA pml: ucx' || {
    echo "this MPI is not an Open MPI with UCX"
    exit 77
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export UCX_TLS=tcp,self UCX_NET_DEVICES=lo
# UCX's component is taken without InfiniBand only if told so; no other may take its place.
status=0
mpirun -np 2 --oversubscribe --bind-to none --mca orte_tmpdir_base "$scratch" \
    --mca pml ucx --mca btl '^openib' \
    --mca opal_common_ucx_tls any --mca opal_common_ucx_devices any "$@" 2>&1 |
    tee "$scratch/output" || status=$?
if grep -q 'UCX  *[A-Z]' "$scratch/output"; then
    echo "UCX has something to say about our rails, in the output of somebody's program"
    exit 1
fi
exit $status
