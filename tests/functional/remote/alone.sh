#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# alone.sh COMMAND [ARG...] - the command alone on its machine, and proof that it leaves nothing.
#
# It runs in a mount and a process namespace of its own, with empty /dev/shm and TMPDIR. When it has
# ended there must be no process, no name in /dev/shm and no file in TMPDIR.
# Exit status: the command's; 1 if it left something; 77 with a reason where the machine forbids it.
set -uo pipefail

if [ "${1:-}" != inside ]; then
    spaces=(--mount --pid --fork --kill-child --mount-proc --propagation private)
    if [ "$(id -u)" != 0 ]; then
        spaces+=(--user --map-root-user)
    fi
    if ! why=$(unshare "${spaces[@]}" true 2>&1); then
        echo "alone: this machine forbids namespaces ($why)"
        exit 77
    fi
    exec unshare "${spaces[@]}" "$0" inside "$@"
fi

shift
TMPDIR=$(mktemp -d) && export TMPDIR && mount -t tmpfs files "$TMPDIR" &&
    mount -t tmpfs names /dev/shm || exit 1
"$@"
status=$?
left=$(ls -A /dev/shm "$TMPDIR" | grep -v -e ':$' -e '^$')
for process in /proc/[0-9]*; do
    pid=${process#/proc/}
    if [ "$pid" != $$ ]; then
        left+=" process $pid ($(tr '\0' ' ' <"$process/cmdline"))"
    fi
done 2>/dev/null
umount /dev/shm
umount "$TMPDIR" && rmdir "$TMPDIR"
if [ -n "$left" ]; then
    echo "alone: left behind: $left"
    exit 1
fi
exit $status
