#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What libbase.a may not bring into other people's processes: constructors, writable global state
# beyond the armed fault plan, and foreign libraries. Usage: test_purity.sh LIBBASE
library=$1 failed=0

if nm "$library" 2>/dev/null | grep -qE '__(asan|tsan|ubsan|llvm|gcov)_'; then
    echo "skipped: built with a sanitizer, which adds state of its own"
    exit 77
fi
if ! nm "$library" 2>/dev/null | grep -q ' T fab_err_set'; then
    echo "$library: not the library"
    exit 1
fi
# Tables of pointers stand in .data.rel.ro: written by the loader only, then protected.
state=$(objdump -t "$library" 2>/dev/null | grep -E ' O (\.data|\.bss|\*COM\*|\.tdata|\.tbss)' |
        grep -vE ' O \.data\.rel\.ro| fab_fault_armed$')
[ -z "$state" ] || { echo "writable global state: $state"; failed=1; }
foreign=$(nm -u "$library" 2>/dev/null | grep -E ' (config_|json_|ZSTD_|LZ4_)')
[ -z "$foreign" ] || { echo "foreign libraries: $foreign"; failed=1; }
start=$(objdump -h "$library" 2>/dev/null | grep -E '\.(init_array|fini_array|ctors|dtors)')
[ -z "$start" ] || { echo "constructors: $start"; failed=1; }
exit $failed
