#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# rack.sh - hosts joined by two rails, as namespaces of this machine; for tests.
#
#   rack.sh run HOSTS COMMAND [ARG...]   a rack of its own, the command on host 1, then all is gone
#   rack.sh on HOST COMMAND [ARG...]     inside a rack: the command on another host
#
# HOSTS is a number, or a list that configs/rack-gen made: then hosts have its names (HOST.net too,
# the host's own name, /etc/hosts) and the rails it gives them.
#
# The whole rack lives in mount, network and process namespaces of one process, so whatever ends it
# (also SIGKILL) removes everything. Root needs nothing else; an ordinary user gets a user namespace.
# Exit status: the command's; 77 with a reason where the machine forbids it.
#
# The command finds: interfaces rail0 and rail1 with 10.77.RAIL.HOST/24, RACK_RUN with HOST.net (a
# network namespace) for each host and switch0.net, switch1.net, whose port pHOST is that host's
# link; RACK_HOSTS; and on each link RACK_RATE (as tc writes it, "1gbit") if that was set.
set -euo pipefail

need() {
    local tool
    for tool in ip tc unshare nsenter mount; do
        command -v "$tool" >/dev/null || {
            echo "rack: $tool is missing (packages iproute2, util-linux)"
            exit 77
        }
    done
}

# --- outside: make the namespaces and go on inside them
enter() {
    local spaces=(--mount --net --pid --fork --kill-child --mount-proc --propagation private)
    local why
    if [ "$(id -u)" != 0 ]; then
        spaces+=(--user --map-root-user)
    fi
    if ! why=$(unshare "${spaces[@]}" true 2>&1); then
        echo "rack: this machine forbids namespaces ($why)"
        exit 77
    fi
    exec unshare "${spaces[@]}" "$0" inside "$@"
}

# --- inside: private /run, one namespace a switch and a host
space() { # NAME: a network namespace, kept by a bind mount
    : >"$RACK_RUN/$1.net"
    unshare --net="$RACK_RUN/$1.net" ip link set lo up
}

in_space() { # NAME COMMAND...
    local name=$1
    shift
    nsenter --net="$RACK_RUN/$name.net" "$@"
}

link() { # HOST RAIL
    local host=$1 rail=$2
    # Made here, then its ends are handed over.
    ip link add "p$host" type veth peer name "rail$rail"
    ip link set "p$host" netns "$RACK_RUN/switch$rail.net"
    ip link set "rail$rail" netns "$RACK_RUN/$host.net"
    in_space "switch$rail" ip link set "p$host" master br0 mtu 9000 up
    in_space "$host" ip link set "rail$rail" mtu 9000 up
    in_space "$host" ip addr add "10.77.$rail.$host/24" dev "rail$rail"
    if [ -n "${RACK_RATE:-}" ]; then
        in_space "$host" tc qdisc add dev "rail$rail" root tbf rate "$RACK_RATE" \
            burst 256k latency 50ms
    fi
}

# Lines "number name rails ...", by number.
read_list() { # FILE
    local number name rails rest
    while read -r number name rails rest; do
        [[ $number == [0-9]* ]] || continue
        NAMES[number]=$name RAILS[number]=$rails
    done <"$1"
}

name_host() { # HOST: its name as a namespace and in /etc/hosts
    local host=$1 rail
    ln -s "$host.net" "$RACK_RUN/${NAMES[host]}.net"
    for ((rail = 0; rail < ${RAILS[host]}; rail++)); do
        echo "10.77.$rail.$host ${NAMES[host]}$([ "$rail" = 0 ] || echo "-rail$rail")"
    done >>"$RACK_RUN/hosts"
}

inside() {
    local hosts=$1 rail host NAMES=() RAILS=()
    shift
    export RACK_HOSTS=$hosts RACK_RUN=/run/rack
    if [ -f "$hosts" ]; then
        read_list "$hosts"
        RACK_HOSTS=${#NAMES[@]} hosts=${#NAMES[@]}
    fi
    if [ "$hosts" -lt 1 ] || [ "$hosts" -gt 254 ]; then
        echo "rack: $hosts hosts; there can be 1 to 254" >&2
        exit 2
    fi
    mount -t tmpfs rack /run
    mount -t tmpfs rack /dev/shm # what killed programs leave there goes with the rack
    mkdir "$RACK_RUN"
    echo "127.0.0.1 localhost" >"$RACK_RUN/hosts"
    for rail in 0 1; do
        space "switch$rail"
        in_space "switch$rail" ip link add br0 type bridge stp_state 0 forward_delay 0 \
            mcast_snooping 0
        in_space "switch$rail" ip link set br0 up
    done
    for ((host = 1; host <= hosts; host++)); do
        space "$host"
        for ((rail = 0; rail < ${RAILS[host]:-2}; rail++)); do
            link "$host" "$rail"
        done
        [ -z "${NAMES[host]:-}" ] || name_host "$host"
    done
    [ ${#NAMES[@]} = 0 ] || mount --bind "$RACK_RUN/hosts" /etc/hosts
    # This shell stays the first process of the namespace: it reaps what others leave behind.
    on "${NAMES[1]:-1}" "$@" <&0 &
    trap 'kill "$!" 2>/dev/null' TERM INT
    local status=0
    wait "$!" || status=$?
    while [ "$status" -gt 128 ] && kill -0 "$!" 2>/dev/null; do
        status=0
        wait "$!" || status=$?
    done
    exit "$status"
}

# UCX reads /sys/class/net, which shows the namespace of whoever mounted it. A folder host/HOST below
# RACK_RUN is that host's /run/fabricd, and only its.
on() { # HOST COMMAND...
    local host=$1 spaces=(--mount --propagation private) prepare="mount -t sysfs sysfs /sys"
    local private=$RACK_RUN/host/$1
    shift
    if [ "$(stat -Lc %i /proc/self/ns/net)" = "$(stat -Lc %i "$RACK_RUN/$host.net")" ]; then
        [ -d "$private" ] || exec "$@" # we are there
        prepare=true
    fi
    if [[ $host != [0-9]* ]]; then
        spaces+=(--uts)
        prepare+=" && hostname $host"
    fi
    if [ -d "$private" ]; then
        mkdir -p /run/fabricd
        prepare+=" && mount --bind $private /run/fabricd"
    fi
    exec nsenter --net="$RACK_RUN/$host.net" unshare "${spaces[@]}" \
        sh -c "$prepare && exec \"\$@\"" sh "$@"
}

case "${1:-}" in
run)
    shift
    need
    enter "$@"
    ;;
inside | on)
    "$@"
    ;;
*)
    sed -n '4,22s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
