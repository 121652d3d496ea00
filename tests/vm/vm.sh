#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# vm.sh - two hosts joined by two soft-RoCE rails, as two qemu guests; for tests.
#
#   vm.sh run PROGRAM [ARG...]   PROGRAM ARG... in guest 1, `PROGRAM peer` in guest 2, then all is gone
#   vm.sh need                   says what is missing; exit status 0 if nothing is
#
# No root, no network of the machine's: the guests' two links are unix sockets. A guest is a kernel
# of the distribution, the modules for rxe, busybox, and PROGRAM with the libraries it has here. It
# finds rdma devices rxe0 and rxe1 on eth0 and eth1 with 10.77.RAIL.GUEST/24, MTU 4200, and
# /dev/ttyS1, on which guest 1 asks for what only the machine can do, a line each, answered by "done":
#
#   link GUEST RAIL on|off       the cable at that guest's end
#
# Exit status: PROGRAM's; 77 with a reason where something is missing; 1 if the guests do not come up
# or do not end in time.
# VM_KERNEL_ROOT: a folder with boot/vmlinuz-VERSION and lib/modules/VERSION (./setup test unpacks
# one into build/guest-kernel). VM_LIMIT_S: for all of it, default 300. VM_ACCEL: kvm or tcg.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PATH=$PATH:/usr/sbin:/sbin
LIMIT_S=${VM_LIMIT_S:-300}
# crc32_generic is asked for by name inside rxe, and a guest has no modprobe.
MODULES=(virtio_pci virtio_net crc32_generic rdma_rxe ib_uverbs)
# Before 9.1 qemu may stop for good to receive packets that fill several buffers; so one holds all.
NIC=host_mtu=4200,mrg_rxbuf=off

skip() {
    echo "skipped: $1"
    exit 77
}

# --- what a guest is made of

# Sets KERNEL, VERSION and MODULE_ROOT, or fails.
find_kernel() {
    local root found roots=("$here/../../build/guest-kernel" "")
    [ -z "${VM_KERNEL_ROOT:-}" ] || roots=("$VM_KERNEL_ROOT")
    for root in "${roots[@]}"; do
        for found in "$root"/boot/vmlinuz-*; do
            VERSION=${found##*/vmlinuz-}
            KERNEL=$found MODULE_ROOT=${root:-/}
            if [ -r "$found" ] && modprobe -d "$MODULE_ROOT" -S "$VERSION" \
                --show-depends rdma_rxe >/dev/null 2>&1; then
                return 0
            fi
        done
    done
    return 1
}

# The file by which a shared library is loaded, as the linker's cache has it.
library() {
    ldconfig -p | awk -v name="$1" '$1 == name && !found {print $NF; found = 1}'
}

need() {
    local tool
    for tool in qemu-system-x86_64 busybox cpio modprobe ip rdma setpriv; do
        command -v "$tool" >/dev/null ||
            skip "$tool is missing (packages qemu-system-x86 busybox-static cpio kmod iproute2)"
    done
    UCX=$(library libucp.so.0) VERBS=$(library libibverbs.so.1)
    [ -n "$UCX" ] || skip "UCX is missing (package libucx0)"
    RXE=$(ls "$(dirname "$(readlink -f "${VERBS:-/}")")"/libibverbs/librxe-*.so 2>/dev/null) ||
        skip "the user-space half of rxe is missing (package ibverbs-providers)"
    find_kernel ||
        skip "no kernel with rdma_rxe below ${VM_KERNEL_ROOT:-build/guest-kernel (./setup test vm) or /}"
}

# Copies files, and the libraries they want, to the same places below $root; links are followed.
put() {
    local file
    for file in "$@"; do
        echo "$file"
        ldd "$file" 2>/dev/null | grep -oE '/[^ ]+' || true
    done | sort -u | while read -r file; do
        mkdir -p "$root$(dirname "$file")"
        cp -L "$file" "$root$file"
    done
}

make_initramfs() { # PROGRAM
    local root=$run/root module name
    mkdir -p "$root"/{bin,dev,proc,sys,tmp,modules,etc/libibverbs.d}
    cp "$(command -v busybox)" "$root/bin/busybox"
    for module in "${MODULES[@]}"; do
        modprobe -d "$MODULE_ROOT" -S "$VERSION" --show-depends "$module"
    done | awk '$1 == "insmod" && !seen[$2]++ {print $2}' >"$run/modules"
    while read -r module; do
        name=$(basename "$module" | sed 's/\.ko\..*/.ko/')
        case $module in
        *.xz) xz -dc "$module" ;;
        *.zst) zstd -qdc "$module" ;;
        *) cat "$module" ;;
        esac >"$root/modules/$name"
        echo "$name"
    done <"$run/modules" >"$root/modules/order"
    put "$(command -v ip)" "$(command -v rdma)" "$UCX" "$RXE" \
        "$(dirname "$(readlink -f "$UCX")")"/ucx/libuct_ib*.so*
    cp /etc/libibverbs.d/rxe.driver "$root/etc/libibverbs.d/"
    put "$1"
    cp "$1" "$root/bin/program"
    cp "$here/init" "$root/init"
    (cd "$root" && find . | cpio -o -H newc 2>/dev/null) >"$run/initramfs"
}

# --- the guests; QMP and guest 1's requests go through pipes

# Stock kernels do not run under every kind of /dev/kvm (kvm_pvm wants a guest of its own).
accelerator() {
    if [ -n "${VM_ACCEL:-}" ]; then
        echo "$VM_ACCEL"
    elif [ -w /dev/kvm ] && { [ -d /sys/module/kvm_intel ] || [ -d /sys/module/kvm_amd ]; }; then
        echo kvm
    else
        echo tcg
    fi
}

start() { # GUEST ARG...
    local guest=$1 server=off rail options=()
    shift
    [ "$guest" = 1 ] && server=on
    for rail in 0 1; do
        options+=(-netdev "stream,id=rail$rail,server=$server,addr.type=unix,addr.path=$run/rail$rail"
            -device "virtio-net-pci,netdev=rail$rail,mac=52:54:00:77:0$rail:0$guest,romfile=,$NIC")
    done
    mkfifo "$run"/{qmp,ask}"$guest".{in,out}
    eval "exec {qmp_in$guest}<>$run/qmp$guest.in {qmp_out$guest}<>$run/qmp$guest.out"
    # Dies with us, whatever ends us. Two CPUs are possible, so that qemu takes a barrier for one (and
    # not, as 7.2 does for a single CPU, the kernel's "lock addl" for a load and a store): without, a
    # guest's notice that there is room in a queue may be lost, and with it all packets behind it.
    setpriv --pdeathsig KILL qemu-system-x86_64 -accel "$accel" -cpu max -m 768 -smp 1,maxcpus=2 \
        -nodefaults -display none -no-reboot -kernel "$KERNEL" -initrd "$run/initramfs" \
        -append "console=ttyS0 panic=-1 quiet mitigations=off no_timer_check net.ifnames=0 guest=$guest -- $*" \
        -serial "file:$run/console$guest" \
        -chardev "pipe,id=ask,path=$run/ask$guest" -serial chardev:ask \
        -chardev "pipe,id=qmp,path=$run/qmp$guest" -mon chardev=qmp,mode=control \
        "${options[@]}" </dev/null >"$run/qemu$guest" 2>&1 &
    pids+=($!)
    qmp "$guest" '{"execute": "qmp_capabilities"}'
}

# False, with qemu's words, if qemu did not do it.
qmp() { # GUEST COMMAND
    local in=qmp_in$1 out=qmp_out$1 line
    echo "$2" >&"${!in}"
    while read -r -t 20 line <&"${!out}"; do
        case $line in
        *'"return"'*) return 0 ;;
        *'"error"'*) break ;;
        esac
    done
    echo "vm: guest $1: $2: ${line:-no answer}"
    cat "$run/qemu$1"
    return 1
}

link() { # GUEST RAIL on|off
    local up=false
    [ "$3" = on ] && up=true
    qmp "$1" "{\"execute\": \"set_link\", \"arguments\": {\"name\": \"rail$2\", \"up\": $up}}"
}

# Does what guest 1 asks until it ends; its program's exit status.
serve() {
    local words ask answer part line='' is_gone=
    exec {ask}<>"$run/ask1.out" {answer}<>"$run/ask1.in"
    while [ $SECONDS -lt "$LIMIT_S" ]; do
        # The time may be over in the middle of a line: what came of it is kept.
        if ! IFS='' read -r -t 1 part <&"$ask"; then
            line+=$part
            [ -z "$is_gone" ] || break # and has left no word behind
            kill -0 "${pids[0]}" 2>/dev/null || is_gone=yes
            continue
        fi
        read -ra words <<<"$line$part"
        line=''
        echo "vm: ${SECONDS} s: ${words[*]}"
        case ${words[0]} in
        link)
            link "${words[@]:1:3}" || return 1
            echo "done" >&"$answer"
            ;;
        end) return "${words[1]}" ;;
        *)
            echo "vm: what guest 1 asks is not understood"
            return 1
            ;;
        esac
    done
    echo "vm: $SECONDS s: guest 1 is gone, or late (the limit is $LIMIT_S s)"
    return 1
}

console() { # GUEST
    tr -d '\r' <"$run/console$1" 2>/dev/null || true # it may not have come to that
}

clean() {
    local pid
    for pid in "${pids[@]}"; do
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$run"
}

run() {
    local program status=0 guest
    need
    program=$(readlink -f "$1")
    shift
    run=$(mktemp -d "${TMPDIR:-/tmp}/fabric-vm.XXXXXX") pids=()
    trap clean EXIT
    trap 'exit 1' INT TERM HUP
    accel=$(accelerator)
    make_initramfs "$program"
    echo "vm: $SECONDS s: kernel $VERSION, $accel, initramfs $(stat -c %s "$run/initramfs") bytes"
    { start 1 "$@" && start 2 peer && serve; } || status=$? # 1 listens on the links' sockets
    cat "$run"/qemu? || true # nothing, unless it complained
    for guest in 1 2; do
        echo "--- guest $guest"
        console "$guest"
    done
    for guest in 1 2; do
        [ $status = 0 ] || console "$guest" | tail -n 6 | sed "s/^/vm: status $status: guest $guest: /"
    done
    return $status
}

case "${1:-}" in
run)
    shift
    run "$@"
    ;;
need) need ;;
*)
    sed -n '4,20s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
