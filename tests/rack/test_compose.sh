#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test_compose.sh GPUS PROGRAM - on the first host of a rack (soft_rack.py): GPUS GPUs composed onto it, all of
# them computing, with the proofs that wires and nodes were used; and everything free afterwards.
set -euo pipefail
gpus=$1 program=$2
here=$(dirname "${BASH_SOURCE[0]}")
host=$(hostname)

fail() {
    echo "$*"
    exit 1
}

bytes_of_rail() { # RAIL: sent and received by this host
    echo $(($(cat "/sys/class/net/rail$1/statistics/tx_bytes") + $(cat "/sys/class/net/rail$1/statistics/rx_bytes")))
}

count_state() { # STATE
    compose gpu list --json | grep -c "\"state\": \"$1\"" || true
}

[ "$(count_state free)" = "$gpus" ] || fail "not all are free at first"
[ "$(compose create --gpus "$gpus" --host "$host" --name all 2>/dev/null)" = all ] || fail "create"
[ "$(count_state composed)" = "$gpus" ] || fail "not all are composed"

# Nothing is left for others, and the answer says why.
! compose create --gpus 1 --host "$host" --name more 2>/run/said || fail "a GPU was given twice"
grep -q "0 are free" /run/said || fail "no reason: $(cat /run/said)"

# All compute; bytes went over both rails, at least 0.4 of those copied on each (to it and back). A rail takes the
# next chunk of a copy when it has room, so that holds where the rails are what is slow (RACK_RATE), for copies that
# are much longer than what a rail takes at once (the burst in rack.sh).
kib=2048 rounds=1
before0=$(bytes_of_rail 0) before1=$(bytes_of_rail 1)
said=$(compose run -s all -- "$program" $kib $rounds) || fail "the program: $said"
[ "$said" = "$gpus GPUs computed right" ] || fail "the program said: $said"
copied=$((2 * gpus * kib * 1024 * rounds))
for rail in 0 1; do
    before=before$rail
    carried=$(($(bytes_of_rail $rail) - ${!before}))
    [ $((carried * 10)) -ge $((copied * 4)) ] || fail "rail $rail carried $carried of $copied bytes"
done

# With one rail only that one carries, but for what agents and the fabric's manager say to each other.
compose delete all
! compose create --gpus 1 --host "$host" --rails 3 2>/run/said || fail "three rails, where there are two"
grep -q "asked for 1 GPUs with 3 rails, 0 are free" /run/said || fail "no reason: $(cat /run/said)"
compose create --gpus "$gpus" --host "$host" --name all --rails 1 >/dev/null 2>/run/said || fail "one rail: $(cat /run/said)"
pairs=$(compose show all --json | grep -o "\"$host/mlx4_0:[12]-[^\"]*" | sort -u)
used=$(cut -d: -f2 <<<"$pairs" | cut -c1 | sort -u)
[ "$(wc -l <<<"$used")" = 1 ] || fail "more than one rail of the host: $pairs"
used=$((used - 1))
before0=$(bytes_of_rail 0) before1=$(bytes_of_rail 1)
said=$(compose run -s all -- "$program" $kib $rounds) || fail "the program, on one rail: $said"
[ "$said" = "$gpus GPUs computed right" ] || fail "the program said: $said"
for rail in 0 1; do
    before=before$rail
    carried=$(($(bytes_of_rail $rail) - ${!before}))
    if [ $rail = $used ]; then
        [ $carried -ge $copied ] || fail "rail $rail carried $carried of $copied bytes"
    else
        [ $((carried * 20)) -le $copied ] || fail "rail $rail carried $carried bytes, and is not of the system"
    fi
done
compose delete all
[ "$(compose create --gpus "$gpus" --host "$host" --name all 2>/dev/null)" = all ] || fail "create, again"

# A rail that has IPv6 alone is none, and the program hears its name.
address=$(ip -4 -o addr show dev rail1 | awk '{print $4}')
ip addr del "$address" dev rail1
ip addr add fd00:77::1/64 dev rail1
! compose run -s all -- "$program" >/run/said 2>&1 || fail "a program on a rail with IPv6 alone"
grep -q "rail1 has no IPv4 address, and IPv6 alone makes no rail" /run/said || fail "no reason: $(cat /run/said)"
ip addr del fd00:77::1/64 dev rail1
ip addr add "$address" dev rail1

# The program maps the client library and no softcuda; workers run on their nodes, as another user if any can.
compose run -s all -- sh -c 'exec "$0" 1024 100000' "$program" >/run/said 2>&1 &
pid=$!
for ((i = 0; i < 600; i++)); do
    [ "$(pgrep -c gpu-worker || true)" -lt $((gpus / 4)) ] || break
    sleep 0.1
done
[ "$(pgrep -c gpu-worker || true)" -ge $((gpus / 4)) ] || fail "not every node has a worker: $(cat /run/said)"
running=$(pgrep -f "^$program 1024 100000" | head -n 1) || fail "the program does not run: $(cat /run/said)"
maps=$(cat "/proc/$running/maps")
grep -q '/client/libcuda.so' <<<"$maps" || fail "the program does not map the client library"
! grep -q softcuda <<<"$maps" || fail "the program maps softcuda"
for worker in $(pgrep gpu-worker); do
    [ "$(stat -Lc %i "/proc/$worker/ns/net")" != "$(stat -Lc %i /proc/self/ns/net)" ] ||
        fail "a worker runs on the host"
    if [ "$(awk '{sum += $3} END {printf "%d", sum}' /proc/self/uid_map)" -ge 65536 ]; then
        [ "$(stat -c %u "/proc/$worker")" != 0 ] || grep -q '^Uid:.*60' "/proc/$worker/status" ||
            fail "a worker runs as root"
    fi
done
compose show all --json | grep -q every_gpu || fail "the program is not shown"

# Deleting ends it, and all comes back.
compose delete all
wait $pid && fail "the program outlived its system"
[ "$(count_state free)" = "$gpus" ] || fail "not all are free afterwards: $(compose gpu list)"
[ -z "$(pgrep gpu-worker)" ] || fail "workers are left"

# Ad hoc: the system lives as long as the program, however it ends.
compose run --gpus 2 -- "$program" >/run/said || fail "ad hoc: $(cat /run/said)"
compose run --gpus 2 -- sh -c 'kill -9 $$' && fail "a killed program's status is lost"
status=0
compose run --gpus 2 -- sh -c 'exit 7' || status=$?
[ $status = 7 ] || fail "exit status $status, not 7"
for ((i = 0; i < 600; i++)); do
    [ "$(count_state free)" != "$gpus" ] || break
    sleep 0.1
done
[ "$(count_state free)" = "$gpus" ] || fail "ad hoc systems are left: $(compose list)"
