#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test_names.sh RACK [SIMULATOR SWEEP] - on host 1 of a rack made from RACK/hosts.list: hosts have their
# names, rails and addresses, and a fabric can be simulated beside them.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
failed=0

same() { # WHAT GOT WANTED
    if [ "$2" != "$3" ]; then
        echo "$1: got '$2', wanted '$3'"
        failed=1
    fi
}

addresses() {
    ip -o -4 addr show | awk '$2 ~ /^rail/ {print $2, $4}' | tr '\n' ' '
}

rows=0
while read -r number name rails rest; do
    [[ $number == [0-9]* ]] || continue
    rows=$((rows + 1)) wanted=
    for ((rail = 0; rail < rails; rail++)); do
        wanted+="rail$rail 10.77.$rail.$number/24 "
    done
    same "hostname of $name" "$("$here/rack.sh" on "$name" hostname)" "$name"
    same "addresses of $name" "$("$here/rack.sh" on "$name" bash -c "$(declare -f addresses); addresses")" "$wanted"
    same "/sys of $name" "$("$here/rack.sh" on "$name" ls /sys/class/net | grep -c rail)" "$rails"
    same "$name in /etc/hosts" "$(getent hosts "$name" | awk '{print $1}')" "10.77.0.$number"
done <"$1/hosts.list"
same "number of hosts" "$RACK_HOSTS" "$rows"
[ "$rows" -gt 0 ] || failed=1
# The command itself is on the first.
same "own name" "$(hostname)" "$(awk '$1 == 1 {print $2}' "$1/hosts.list")"
if [ $# -gt 1 ]; then
    status=0
    sweep=$(python3 -B "$2" "$1/fabric.net" "$3") || status=$?
    # 77: no simulator here, which tests/ibsim tells.
    if [ $status != 77 ]; then
        same "nodes of the fabric" "$(grep -o '"description"' <<<"$sweep" | wc -l)" \
            "$(grep -cE '^(Hca|Switch)' "$1/fabric.net")"
    fi
fi
exit $failed
