# SPDX-License-Identifier: Apache-2.0
# scripts/setup-demo.sh - what ./setup demo shows after the build. Sourced by ./setup.

demo_run()
{
    printf '\n$ %s\n' "$*"
    "$@" || die "a demo program failed" "Try it by itself: $*"
}

demo()
{
    local run=build/release/bin/softcuda-run remote=build/release/bin/remote-run
    local examples=build/release/bin/examples
    cat <<'TEXT'

These are ordinary CUDA programs, built by plain nvcc. This machine needs no GPU to run them: the
CUDA driver below them is softcuda, which executes their PTX on the CPU.
TEXT
    demo_run $run $examples/vector_add-static
    demo_run $run $examples/matmul_tiled-shared
    demo_run $run $examples/printf_assert-static
    demo_run $run $examples/driver_nvrtc
    demo_run $run --devices 4 $examples/peer_copy-static
    demo_run $run --devices 16 $examples/jacobi-static
    cat <<'TEXT'

Now a rack: 4 GPU nodes with 4 GPUs each and 2 hosts without, as network namespaces joined by two rails.
TEXT
    if tests/rack/rack.sh run 1 true >/dev/null 2>&1; then
        demo_run tests/rack/soft_rack.py run demo scripts/demo-rack.sh "$PWD/$examples"
    else
        cat <<'TEXT'
(This machine forbids namespaces, so there is no rack to compose; the nodes of the following run are processes
with ids of their own, reached over the loopback device.)
TEXT
        demo_run $remote --workers 4 --devices 4 --rails 1 $examples/jacobi-static
    fi
    cat <<TEXT

All of them compare their results with the CPU's. Next:

    nvcc yours.cu -o yours && $run --devices 2 ./yours
    ./setup rack up             the same rack, to play with: ./setup rack shell r730-1
    scripts/foreign DIR         build and run every CUDA program below a folder
    $run --help                 devices from a file, modelled clocks
TEXT
}
