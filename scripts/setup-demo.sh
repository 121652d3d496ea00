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

Now the same programs on remote GPUs: the driver library in the program sends its calls to workers. First
one worker on this host; then 16 GPUs of four nodes, each a network namespace of its own, over two rails.
TEXT
    demo_run $remote --devices 2 $examples/peer_copy-static
    if tests/rack/rack.sh run 1 true >/dev/null 2>&1; then
        demo_run tests/rack/rack.sh run 5 $remote --workers 4 --devices 4 --rails 2 \
            $examples/jacobi-static
    else
        echo "(this machine forbids namespaces: the nodes are reached over the loopback device)"
        demo_run $remote --workers 4 --devices 4 --rails 1 $examples/jacobi-static
    fi
    cat <<TEXT

All of them compare their results with the CPU's. Next:

    nvcc yours.cu -o yours && $run --devices 2 ./yours
    $remote --workers 2 --devices 2 --rails 1 ./yours
    scripts/foreign DIR         build and run every CUDA program below a folder
    $run --help                 devices from a file, modelled clocks
TEXT
}
