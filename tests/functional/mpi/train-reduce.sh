#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# train-reduce.sh BIN TRAIN_MPI CUDA_MPI - how train-mpi adds gradients up over two ranks: by pinned
# host memory unless it is told otherwise, whatever MPI says of itself; device memory only to an MPI
# that takes it, and then with the same result, native and remote.
#
# Exit status: 0, 1 with what was wrong, 77 without mpirun.
set -uo pipefail
bin=$1 train=$2 cuda_mpi=$3
command -v mpirun >/dev/null || {
    echo "mpirun is missing (package openmpi-bin)"
    exit 77
}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_orte_tmpdir_base=$scratch
export OMPI_MCA_btl=self,vader,tcp OMPI_MCA_pml=ob1 OMPI_MCA_mpi_yield_when_idle=1

ranks() { # PRELOAD RUNNER... : two ranks, each with a GPU
    local preload=$1
    shift
    mpirun -np 2 --oversubscribe --bind-to none env LD_PRELOAD="$preload" "$@" >"$scratch/out" 2>"$scratch/err"
}

failed=0
# LABEL STATUS SAYS PRELOAD RUNNER...
row() {
    local label=$1 status=$2 says=$3 preload=$4 got
    shift 4
    ranks "$preload" "$@"
    got=$?
    if [ $got != "$status" ] || ! grep -q -- "$says" "$scratch/err" ||
        { [ "$status" = 0 ] && ! cmp -s "$scratch/out" "$scratch/wanted"; }; then
        echo "$label: status $got; '$says' and status $status were wanted:"
        cat "$scratch/out" "$scratch/err"
        failed=1
    fi
}

native=("$bin/softcuda-run" --devices 2 "$train" --steps 20)
remote=("$bin/remote-run" --devices 2 "$train" --steps 20)
pinned="between ranks through pinned host memory" device="between ranks as device memory, by MPI"
env SOFTCUDA_STATE="$scratch" "${native[@]}" --gpus 1 >"$scratch/wanted" 2>"$scratch/err" || {
    echo "one process fails:"
    cat "$scratch/err"
    exit 1
}
export SOFTCUDA_STATE=$scratch
row "no CUDA support" 0 "$pinned" "" "${native[@]}"
row "no CUDA support, asked for" 1 "this MPI does not take device memory" "" "${native[@]}" --reduce device
# What a rank finds that is not the first.
second_has_one='[ "$OMPI_COMM_WORLD_RANK" = 0 ] || export CUDA_VISIBLE_DEVICES=0; exec "$@"'
row "a rank with too few GPUs" 1 "there are fewer GPUs on this host" "" sh -c "$second_has_one" sh "${native[@]}" --gpus 2
row "CUDA support, not asked for" 0 "$pinned" "$cuda_mpi" "${native[@]}"
row "CUDA support, not asked for, remote" 0 "$pinned" "$cuda_mpi" "${remote[@]}"
row "device memory" 0 "$device" "$cuda_mpi" "${native[@]}" --reduce device
row "device memory, remote" 0 "$device" "$cuda_mpi" "${remote[@]}" --reduce device
exit $failed
