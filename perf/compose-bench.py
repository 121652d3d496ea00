#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast a rack composes and programs attach, on racks in software (tests/rack/soft_rack.py).

    compose-bench [--quick] [--json] [--pairs N] [--clients N] [--warm N] [--part NAME]... [--rack demo|pod]...

Parts: create: to composed and checked, 16 GPUs on 4 nodes (rack demo) and 64 on 16 (pod): the API's time, with
the CPU time of daemons and checks beside it; the last check of each GPU is fresh. recheck: the same when every
check is too old (worker.check_age is 0), so that each GPU is checked anew. attach: of a program, which is its
whole life on a system less that on softcuda in the process, in turn. warm: the same where N workers (1) of
each node wait for it (worker.warm), with their rails open. clients: many that create and delete at
once, on the rack of 16, where "full" is the only error that may be. Medians, beside the time that is allowed.
Daemons of 24 nodes share this machine's cores, so what is parallel on a real rack is one after the other here.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import random
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path[:0] = ["@PROJECT_SOURCE_DIR@/perf", "@PROJECT_SOURCE_DIR@/tests/rack"]
import bench_rows  # noqa: E402
import soft_rack  # noqa: E402
import test_warm  # noqa: E402

BIN = pathlib.Path(__file__).resolve().parent
FULL = 503
FEW_GPUS = 16  # a rack of so many is allowed the shorter times


def cpu_seconds(rack):
    """Of all daemons, until now."""
    ticks = 0
    for daemon in rack.daemons.values():
        fields = pathlib.Path(f"/proc/{daemon.pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += sum(map(int, fields[11:15]))  # its own, and of children that ended
    return ticks / os.sysconf("SC_CLK_TCK")


def must(answer, *statuses):
    if answer[0] not in statuses:
        sys.exit(f"compose-bench: HTTP status {answer[0]}: {answer[2].decode()}")
    return answer[1]


def bench_create(rack, api, arguments):
    host, gpus = rack.hosts[0]["name"], sum(host["gpus"] for host in rack.hosts)
    nodes = sum(host["gpus"] > 0 for host in rack.hosts)
    times, cpu = [], []
    for _ in range(arguments.pairs):
        before = cpu_seconds(rack)
        times.append(must(api.create("bench", host, gpus), 201) * 1e3)
        cpu.append((cpu_seconds(rack) - before) * 1e3)
        must(api.delete("bench"), 204)
    checks = ", checked anew" if arguments.part == ["recheck"] else ""
    allowed = 100 if gpus <= FEW_GPUS else 200
    return bench_rows.row(f"create, {gpus} GPUs on {nodes} nodes{checks}", "ms", [(ms, allowed) for ms in times], budget=1,
                          spread=[round(min(times), 1), round(max(times), 1)], cpu_ms=round(bench_rows.median(cpu), 1))


def life_of(command, environment):
    start = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        sys.exit(f"compose-bench: {command}: {done.stdout}{done.stderr}")
    return (time.perf_counter() - start) * 1e3


def bench_attach(rack, api, arguments):
    host, gpus = rack.hosts[0]["name"], sum(host["gpus"] for host in rack.hosts)
    guest = [str(BIN / "cuda-guest"), "libcuda.so.1", "attach"]
    environment = {**rack.environment(), "SOFTCUDA_STATE": "/run/native"}
    remote = rack.on(host, BIN / "compose", "run", "-s", "bench", "--", *guest)
    native = [str(BIN / "softcuda-run"), "--devices", str(gpus), *guest]
    differences, what = [], "attach"
    warm = test_warm.Warm(rack, count=arguments.warm) if arguments.part == ["warm"] else None
    must(api.create("bench", host, gpus), 201)
    # Entering the host's namespaces is the harness's own: taken on both sides.
    native = rack.on(host, *native)
    for _ in range(arguments.pairs):
        if warm:
            warm.wait("workers that wait", warm.ready)
            what = "attach to workers that wait"
        differences.append(life_of(remote, environment) - life_of(native, environment))
    must(api.delete("bench"), 204)
    allowed = 150 if gpus <= FEW_GPUS else 300
    return bench_rows.row(f"{what}, {gpus} GPUs, over native", "ms", [(ms, allowed) for ms in differences], budget=1)


def bench_clients(rack, _, arguments):
    """Clients that create and delete at once; the answers they may hear are done and full."""
    host, clients, rounds = rack.hosts[0]["name"], arguments.clients, 2 if arguments.quick else 5

    def client(number):
        api, pick, times, full = rack.api(rack.hosts[0]), random.Random(number), [], 0
        for i in range(rounds):
            name = f"client-{number}-{i}"
            answer = api.create(name, host, pick.choice([1, 2, 4]))
            must(answer, 201, FULL)
            times.append(answer[1] * 1e3)
            if answer[0] == 201:
                must(api.delete(name), 204)
            full += answer[0] == FULL
        return times, full

    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        done = list(pool.map(client, range(clients)))
    times = sorted(sum((times for times, _ in done), []))
    return bench_rows.reported(f"create, {clients} clients at once, median", "ms", times,
                               p99=round(times[int(len(times) * 0.99)], 1), full=sum(full for _, full in done))


SHOWN = ("ratio", "interval", "pairs", "spread", "cpu_ms", "p99", "full")
PARTS = {"create": bench_create, "recheck": bench_create, "attach": bench_attach, "warm": bench_attach,
         "clients": bench_clients}
RACKS = {"demo": PARTS.keys(), "pod": ["create", "recheck", "attach", "warm"]}


def inside(arguments):
    """One part on a rack of its own."""
    part = arguments.part[0]
    with soft_rack.SoftRack(pathlib.Path(arguments.folder), BIN,
                            {"check_age": "0s"} if part == "recheck" else
                            {"warm": arguments.warm} if part == "warm" else {}) as rack:
        json.dump(PARTS[part](rack, rack.api(rack.hosts[0]), arguments), sys.stdout)
    return 0


def measure(rack, part, arguments):
    """The row, or None: it said why."""
    folder = soft_rack.folder_of(rack, BIN)
    done = subprocess.run(
        [soft_rack.RACK_SH, "run", folder / "hosts.list", sys.executable, __file__, "--folder", folder,
         "--part", part, "--pairs", str(arguments.pairs), "--clients", str(arguments.clients), "--warm", str(arguments.warm),
         *(["--quick"] if arguments.quick else [])], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        print(done.stdout, end="")
        return None
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--pairs", type=bench_rows.positive)
    parser.add_argument("--clients", type=bench_rows.positive, default=100)
    parser.add_argument("--warm", type=bench_rows.positive, default=1)
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--rack", action="append", choices=RACKS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.pairs = arguments.pairs or (3 if arguments.quick else 31)
    if arguments.folder:
        return inside(arguments)
    rows = []
    for rack in arguments.rack or (["demo"] if arguments.quick else RACKS):
        for part in RACKS[rack]:
            if part in (arguments.part or PARTS):
                rows.append(measure(rack, part, arguments))
                if rows[-1] is None:
                    return 1
    if arguments.json:
        bench_rows.write_json(rows)
        return 0
    for entry in rows:
        more = ", ".join(f"{name} {entry[name]}" for name in SHOWN if entry.get(name) is not None)
        print(f"{entry['name']:44} {entry['ours']:9.1f} {entry['unit']}  "
              f"{'allowed ' + str(entry['limit']) if entry['limit'] else '':12} {bench_rows.verdict(entry):9} {more}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
