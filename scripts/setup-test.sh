# SPDX-License-Identifier: Apache-2.0
# scripts/setup-test.sh - the tiers of the test suite and how they are counted. Sourced by ./setup.
#
#   unit      dev: unit tests, structure checks, fuzz corpora, functional and rack tests
#   asan      the same but for the rack under address and undefined-behaviour sanitizers
#   tsan      what has threads, under the thread sanitizer
#   vm        the transport between two virtual machines over soft-RoCE
#   fuzz      each fuzz target for a while with a printed seed
#   examples  release: every example and CUDA test program, with both runtimes, on softcuda, and with
#             the same output on remote GPUs
#   gpu       release: the conformance table, examples and test programs on NVIDIA's driver, alone and
#             remotely; where there is a GPU

ALL_TIERS=(unit asan tsan vm fuzz examples gpu)
FUZZ_SECONDS=${FUZZ_SECONDS:-20} # each target
PASSED=0 FAILED=0 SKIPPED=0
FAILED_TIERS=()

# run_ctest TIER PRESET CTEST_ARGUMENT... - runs, counts, shows failures and skips with reasons.
run_ctest()
{
    local tier=$1 preset=$2 report counts passed failed skipped
    shift 2
    report=$PWD/build/$preset/report-$tier.xml
    rm -f "$report"
    step "$tier: run" ctest --test-dir "build/$preset" --output-on-failure --no-tests=error \
        --output-junit "$report" -j "$JOBS" "$@"
    counts=$(python3 scripts/junit-summary.py "$report") || counts="0 1 0"
    read -r passed failed skipped <<<"$(head -n 1 <<<"$counts")"
    tail -n +2 <<<"$counts"
    add_counts "$tier" "$passed" "$failed" "$skipped"
}

add_counts()
{
    printf '    %-10s %4d passed, %d failed, %d skipped\n' "$1" "$2" "$3" "$4"
    PASSED=$((PASSED + $2)) FAILED=$((FAILED + $3)) SKIPPED=$((SKIPPED + $4))
    [ "$3" -eq 0 ] || FAILED_TIERS+=("$1")
}

tier_unit()
{
    setup_build dev all
    run_ctest unit dev -LE 'examples|perf|vm|needs-gpu'
}

tier_asan()
{
    setup_build asan all
    run_ctest asan asan -LE 'examples|perf|rack|vm|defects|needs-gpu' -E '^structure_'
}

tier_tsan()
{
    setup_build tsan all
    # Its runtime takes a library's thread-local block at bytes 16.. of a page for one of glibc 2.19, and
    # clears memory by the header that is not there ("failed to allocate"); malloc has cleared it anyway.
    export TSAN_OPTIONS=intercept_tls_get_addr=0:suppressions=$PWD/tests/support/tsan.supp
    TSAN_OPTIONS+=:external_symbolizer_path=$PWD/build/tsan/tests/llvm-symbolizer
    # The handlers' oracles have one thread and would take minutes.
    run_ctest tsan tsan -LE 'examples|perf|rack|ibsim|vm|fuzz|defects|needs-gpu' -E '^test_ops_|^structure_'
}

tier_vm()
{
    setup_packages vm
    setup_guest_kernel
    setup_build dev test_vm_transport
    run_ctest vm dev -L vm
}

tier_fuzz()
{
    local target name passed=0 failed=0 seed
    setup_build fuzz fuzzers
    for target in build/fuzz/fuzz/*.args; do
        target=${target%.args}
        name=$(basename "$target")
        seed=$RANDOM
        if step "fuzz: $name for $FUZZ_SECONDS s, seed $seed" fuzz_one "$target" "$name" "$seed"; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
        fi
    done
    [ $((passed + failed)) -gt 0 ] || failed=1
    add_counts fuzz "$passed" "$failed" 0
}

# New inputs go to a scratch folder: the corpus in the tree is kept by hand.
fuzz_one()
{
    local scratch=build/fuzz/found/$2 arguments
    read -r -a arguments <"$1.args" # corpus, dictionary
    mkdir -p "$scratch"
    "$1" -max_total_time="$FUZZ_SECONDS" -seed="$3" -timeout=10 -rss_limit_mb=4096 \
        -print_final_stats=1 -artifact_prefix="build/fuzz/crash-$2-" "$scratch" "${arguments[@]}"
}

tier_examples()
{
    setup_build release all
    run_ctest examples release -L 'examples|perf|remote' -LE defects
}

tier_gpu()
{
    if ! compgen -G '/dev/nvidia[0-9]*' >/dev/null; then
        echo "      skipped: gpu: this machine has no GPU of NVIDIA"
        add_counts gpu 0 0 1
        return
    fi
    setup_build release all
    run_ctest gpu release -L needs-gpu
}

# test_tiers [TIER...] - all by default; the last line is what a CI reads.
test_tiers()
{
    local tier tiers=("$@")
    [ ${#tiers[@]} -gt 0 ] || tiers=("${ALL_TIERS[@]}")
    for tier in "${tiers[@]}"; do
        if ! declare -F "tier_$tier" >/dev/null; then
            echo "setup: no tier '$tier'; there are: ${ALL_TIERS[*]}" >&2
            exit 2
        fi
    done
    for tier in "${tiers[@]}"; do
        "tier_$tier"
    done
    if [ $FAILED -gt 0 ]; then
        echo "failed tiers: ${FAILED_TIERS[*]}; the failures above are in full in $LOG"
        grep -nE '^The following tests FAILED|\(Failed\)|\(Timeout\)|\(SEGFAULT\)' "$LOG" | tail -n 40
    fi
    echo "$PASSED passed, $FAILED failed, $SKIPPED skipped"
    [ $FAILED -eq 0 ]
}
