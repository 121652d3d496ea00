#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test_packages.sh BUILD - the Debian packages of BUILD (a release build), installed into a copy of this
# machine's files that exists for this test only, and used as on a node of a rack: run by rack.sh.
set -euo pipefail
build=$1
root=/run/root
failed=0

check() { # WHAT COMMAND...
    local what=$1
    shift
    if ! "$@" >/run/said 2>&1; then
        echo "$what: '$*' failed:"
        cat /run/said
        failed=1
    fi
}

clean=(/usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8)
in_root() {
    chroot "$root" "${clean[@]}" "$@"
}

skip() {
    echo "skipped: $*"
    exit 77
}

# ---- packages, in a place of their own
packages=$(mktemp -d)
trap 'rm -rf "$packages"; [ -z "${daemon:-}" ] || kill "$daemon" 2>/dev/null || true' EXIT
command -v dpkg >/dev/null || skip "this is no Debian (dpkg is missing)"
(cd "$build" && cpack -G DEB -B "$packages" -D CPACK_OUTPUT_FILE_PREFIX="$packages" >"$packages/log" 2>&1) || {
    cat "$packages/log"
    exit 1
}

# ---- a root of our own: what is written to it goes when the namespace does
mkdir -p $root /run/upper /run/work
why=$(mount -t overlay overlay -o "lowerdir=/,upperdir=/run/upper,workdir=/run/work" $root 2>&1) ||
    skip "no file system can be laid over this machine's ($why)"
for place in /proc /sys /dev; do
    mount --rbind $place $root$place
done
mount -t tmpfs run $root/run
mkdir -p "$root/run/packages" "$root/run/examples"
mount --bind "$packages" $root/run/packages
mount --bind "$build/bin/examples" $root/run/examples

check "installing" in_root sh -c 'dpkg -i /run/packages/*.deb'
check "every library of a program is there" in_root sh -c \
    'for f in /usr/sbin/fabricd /usr/sbin/gpu-worker /usr/sbin/fabric-sweep /usr/bin/compose \
             /usr/bin/fabric-perf; do
         ! ldd $f | grep "not found" || exit 1; done'
check "the loader finds our driver library" in_root sh -c \
    'ldconfig -p | grep -q "libcuda.so.1 .*/usr/lib/fabricd/client/"'
check "man pages" in_root sh -c 'ls /usr/share/man/man1/compose.1* /usr/share/man/man8/fabricd.8* /usr/share/man/man5/fabricd.conf.5*'

# ---- a host: its own client library is no GPU of it
mkdir -p $root/etc/fabricd $root/run/fabricd
printf 'node = "box";\nrole = { manager = true; agent = true; };\n' >$root/etc/fabricd/fabricd.conf
check "a host discovers itself" in_root sh -c \
    'fabricd --config /etc/fabricd/fabricd.conf --discover >/run/found && ! grep -q GPU- /run/found'

# ---- a node that is manager and agent, with two GPUs in software
cat >$root/etc/fabricd/fabricd.conf <<'CONF'
node = "box";
role = { manager = true; agent = true; };
worker = { driver = "/usr/lib/fabricd/softcuda/libcuda.so.1"; };
discovery = { nvml = "/usr/lib/fabricd/softcuda/libnvidia-ml.so.1"; };
CONF
# Not in_root: its process would be a shell.
chroot "$root" "${clean[@]}" SOFTCUDA_DEVICES=2 fabricd --config /etc/fabricd/fabricd.conf >/run/log 2>&1 &
daemon=$!
for ((i = 0; i < 600; i++)); do
    in_root compose gpu list --json 2>/dev/null | grep -c '"free"' | grep -qx 2 && break
    kill -0 $daemon 2>/dev/null || break
    sleep 0.1
done
check "both GPUs are free" in_root sh -c 'compose gpu list --json | grep -c "\"free\"" | grep -qx 2'
program=/run/examples/vector_add
check "workers that remote-run starts" in_root remote-run --workers 2 $program-static
check "no system: no device" in_root bash -lc "$program-static 2>&1 | grep -i 'no .*device'"
check "create" in_root compose create --gpus 2 --host box --name two
for kind in static shared; do
    check "a $kind program that nobody started with compose" in_root bash -lc "$program-$kind"
done
check "a second system" in_root compose delete two
check "two systems of one GPU: first" in_root compose create --gpus 1 --host box --name one
check "two systems of one GPU: second" in_root compose create --gpus 1 --host box --name other
check "several systems: an error that names them" in_root bash -lc \
    "$program-static 2>&1 | grep one | grep other"
check "the one that FABRIC_SYSTEM names" in_root bash -lc "FABRIC_SYSTEM=other $program-static"
check "delete" in_root compose delete one
check "delete" in_root compose delete other
kill $daemon
wait $daemon || { echo "fabricd: exit status $?"; failed=1; }
daemon=
check "removing" in_root dpkg -r fabricd-softcuda fabricd-manager fabricd-client fabricd-node
check "nothing of ours is left for the loader" in_root sh -c '! ldconfig -p | grep fabricd'
[ $failed = 0 ] || cat /run/log
exit $failed
