#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How a training program scales with the number of GPUs, native beside remote.

    scaling [--quick] [--json] [--mode modelled|computed] [--shape weak|strong] [--gpus 1,2,4,8,16]
            [--width W] [--pairs N] [--program FILE]

Weak: each GPU has the same batch. Strong: all GPUs share one. Efficiency is the time of a step on one native
GPU beside that on n, which for strong scaling is n times shorter at best; what is lost to remoting is the
difference of the native and the remote efficiency, in points.

modelled: kernels compute nothing, and last as long as the model of a GPU says (softcuda.conf(5), time =
    "only"), which is set so that a step of the weak batch has 50 ms of kernels. Gradients are really copied,
    summed and copied back. Results of these runs mean nothing.
computed: the same program computes. All GPUs share this machine's cores, so n GPUs take n times as long
    with any driver: only the difference between native and remote tells something.

Native is softcuda in the program's process; remote are up to four nodes with n GPUs together, over two
rails of a rack of namespaces, by remote-run. (Daemons offer such devices, too, where their file has computes = "gpu_worker_check".)
Gradients have 0.3 MB a GPU and step; --width 4: 1.3 MB, 1: 0.08 MB.
The program takes --gpus N --steps S --batch B --width W --json and prints step_ms, kernels_ms and a hash of its weights,
which in computed runs must be the same natively and remotely.

Exit status: 0 measured, 1 failed, 2 misused, 77 where the machine forbids namespaces.
"""
import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
TOP = pathlib.Path("@PROJECT_SOURCE_DIR@")
sys.path[:0] = [str(TOP / "perf"), str(TOP / "tests" / "rack")]
import bench_rows  # noqa: E402
import soft_rack  # noqa: E402

BIN = pathlib.Path(__file__).resolve().parent
NODES, RAILS, WIDTH = 4, 2, 2
STEP_MS, LOST_POINTS = 50, 5
BATCH = {"modelled": 2048, "computed": 16}  # of one GPU, weak
STRONG_GPUS = 4  # a strong batch is that of so many weak GPUs
STEPS = {"modelled": 10, "computed": 2}
GIGAFLOPS, GIGABYTES = 15000, 300  # of the modelled GPU, before it is scaled to STEP_MS
LIMIT_S = 120
FOREIGN_MOST = 0.1  # of the machine; other programs' share, above which nothing is judged


class Failed(Exception):
    pass


def used_s():
    """Seconds of CPU that programs have used on this machine, and those of our children that ended."""
    user, nice, system = map(int, open("/proc/stat", encoding="ascii").readline().split()[1:4])
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (user + nice + system) / os.sysconf("SC_CLK_TCK"), ended.ru_utime + ended.ru_stime


class Sides:
    """The program on native and on remote GPUs."""

    def __init__(self, arguments, folder):
        self.program, self.width, self.folder = arguments.program, arguments.width, folder
        self.slowness = 1.0  # of the modelled GPU
        self.foreign = []  # shares of the machine that others took, a run each
        (folder / "state").mkdir()

    def devices(self, mode, count):
        """A device file of so many GPUs."""
        model = ""
        if mode == "modelled":
            model = (f'time = "only"; peak_gflops = {max(1, round(GIGAFLOPS / self.slowness))}; '
                     f"peak_bandwidth = {max(1, round(GIGABYTES / self.slowness))};")
        path = self.folder / f"{mode}-{count}.cfg"
        path.write_text(f"devices = ( {{ count = {count}; {model} }} );\n")
        return path

    def run(self, command, mode, devices, gpus, batch):
        environment = {**os.environ, "SOFTCUDA_CONFIG": str(self.devices(mode, devices)),
                       "SOFTCUDA_STATE": str(self.folder / "state")}
        command = [*map(str, command), self.program, "--gpus", str(gpus), "--steps", str(STEPS[mode]), "--batch",
                   str(batch), "--width", str(self.width), "--json"]
        start, (all_s, ours_s) = time.monotonic(), used_s()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False,
                              timeout=LIMIT_S, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise Failed(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}")
        now_all_s, now_ours_s = used_s()
        self.foreign.append((now_all_s - all_s - (now_ours_s - ours_s)) / (time.monotonic() - start) / os.cpu_count())
        return json.loads(done.stdout)

    def native(self, mode, gpus, batch):
        return self.run([BIN / "softcuda-run"], mode, gpus, gpus, batch)

    def remote(self, mode, gpus, batch):
        nodes = min(NODES, gpus)
        return self.run([BIN / "remote-run", "--workers", nodes, "--devices", gpus // nodes, "--rails", RAILS],
                        mode, gpus // nodes, gpus, batch)

    def calibrate(self):
        """Makes the modelled GPU so fast that a step of the weak batch has STEP_MS of kernels."""
        for _ in range(2):  # the model rounds
            kernels_ms = self.native("modelled", 1, BATCH["modelled"])["kernels_ms"]
            self.slowness *= STEP_MS / kernels_ms
        return self.native("modelled", 1, BATCH["modelled"])

    def disturbed(self):
        """Why nothing is judged; None: the machine was ours."""
        share = bench_rows.median(self.foreign)
        return None if share <= FOREIGN_MOST else f"others used {share:.0%} of the machine"


def batch_of(mode, shape, gpus):
    return BATCH[mode] if shape == "weak" else BATCH[mode] * STRONG_GPUS // gpus


def efficiency(shape, gpus, alone_ms, step_ms):
    return alone_ms / step_ms / (1 if shape == "weak" else gpus)


def measure_round(sides, mode, shape, gpus_list):
    """Of one GPU alone, and natively and remotely by the number of GPUs."""
    alone = sides.native(mode, 1, batch_of(mode, shape, 1))
    taken = {}
    for gpus in gpus_list:
        batch = batch_of(mode, shape, gpus)
        native = alone if gpus == 1 else sides.native(mode, gpus, batch)
        remote = sides.remote(mode, gpus, batch)
        if mode == "computed" and native["weights"] != remote["weights"]:
            raise Failed(f"{gpus} GPUs: the weights are {native['weights']} natively, {remote['weights']} remotely")
        taken[gpus] = (native["step_ms"], remote["step_ms"])
    return alone, taken


def rows_of(mode, shape, gpus_list, rounds, width, reason):
    rows, wide = [], "" if width == WIDTH else f", width {width}"
    for gpus in gpus_list:
        title = f"{shape} scaling, {mode}, {gpus} GPU{'s' if gpus > 1 else ''}{wide}"
        steps = [taken[gpus] for _, taken in rounds]
        shares = [[efficiency(shape, gpus, alone["step_ms"], ms) for ms in taken[gpus]] for alone, taken in rounds]
        budget = 1 if (mode, shape, gpus, width) == ("modelled", "weak", 16, WIDTH) else None
        rows.append(bench_rows.row(f"{title}: step, remote and native", "ms",
                                   [(remote, native) for native, remote in steps],
                                   budget=1.03 if (mode, gpus, width) == ("modelled", 1, WIDTH) else None, reason=reason))
        rows[-1] |= {"native_efficiency": round(bench_rows.median([share[0] for share in shares]), 4),
                     "remote_efficiency": round(bench_rows.median([share[1] for share in shares]), 4)}
        rows.append(bench_rows.row(f"{title}: lost to remoting, {LOST_POINTS} points", "points",
                                   [(100 * (native - remote), LOST_POINTS) for native, remote in shares],
                                   budget=budget, reason=reason))
    return rows


def show(mode, shape, gpus_list, rows, first):
    marks = {"modelled": "modelled, not computed", "computed": f"computed, on {os.cpu_count()} cores"}
    print(f"\n{shape} scaling, {marks[mode]}: {batch_of(mode, shape, 1)} samples "
          f"{'on each GPU' if shape == 'weak' else 'in all'}, {first['gradient_bytes'] / 1e6:.2f} MB of gradients a GPU "
          f"and step, {first['kernels_ms']:.1f} ms of kernels on one GPU")
    print(f"{'GPUs':>4} {'native ms':>10} {'efficiency':>10} {'remote ms':>10} {'efficiency':>10} {'remote/native':>13} "
          f"{'points lost':>12} {'90 %':>14}")
    for gpus, step, lost in zip(gpus_list, rows[::2], rows[1::2]):
        low, high = (LOST_POINTS * end for end in lost["interval"])
        print(f"{gpus:4} {step['limit']:10.2f} {step['native_efficiency']:10.1%} {step['ours']:10.2f} "
              f"{step['remote_efficiency']:10.1%} {step['ratio']:13.3f} {lost['ours']:12.2f} {f'[{low:.1f}, {high:.1f}]':>14} "
              f"{'' if lost['budget'] is None else f'budget {LOST_POINTS}: ' + lost.get('reason', bench_rows.verdict(lost))}")


def measure(arguments):
    rows = []
    with tempfile.TemporaryDirectory(prefix="scaling-") as folder:
        sides = Sides(arguments, pathlib.Path(folder))
        if "modelled" in arguments.modes:
            rows.append(step_row(sides.calibrate(), arguments, sides.disturbed()))
        for mode in arguments.modes:
            for shape in arguments.shapes:
                pairs = arguments.pairs if mode == "modelled" else max(1, arguments.pairs // 4)
                rounds = [measure_round(sides, mode, shape, arguments.gpus) for _ in range(pairs)]
                made = rows_of(mode, shape, arguments.gpus, rounds, arguments.width, sides.disturbed())
                if not arguments.json:
                    show(mode, shape, arguments.gpus, made, rounds[0][0])
                rows += made
    if arguments.json:
        bench_rows.write_json(rows)
    return 0


def step_row(alone, arguments, reason):
    """What the clock on the wall says of a modelled step, whose exchange is on top."""
    made = bench_rows.row("modelled step on one GPU, wall and the device's account", "ms",
                          [(alone["step_ms"], alone["kernels_ms"])], budget=1.05, reason=reason)
    if not arguments.json:
        print(f"{made['name']}: {made['ours']:.2f} and {made['limit']:.2f} ms, ratio {made['ratio']:.3f}, "
              f"budget {made['budget']}: {reason or bench_rows.verdict(made)}")
    return made


def parse():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--mode", dest="modes", action="append", choices=["modelled", "computed"])
    parser.add_argument("--shape", dest="shapes", action="append", choices=["weak", "strong"])
    parser.add_argument("--gpus", type=lambda text: [int(part) for part in text.split(",")])
    parser.add_argument("--pairs", type=bench_rows.positive)
    parser.add_argument("--width", type=bench_rows.positive, default=WIDTH)
    parser.add_argument("--program", default=str(BIN / "scaling-guest-static"))
    arguments = parser.parse_args()
    arguments.modes = arguments.modes or ["modelled", "computed"]
    arguments.shapes = arguments.shapes or ["weak", "strong"]
    arguments.gpus = arguments.gpus or ([1, 4, 16] if arguments.quick else [1, 2, 4, 8, 16])
    arguments.pairs = arguments.pairs or (5 if arguments.quick and arguments.modes == ["modelled"] else 2 if arguments.quick else 31)
    for gpus in arguments.gpus:
        if gpus < 1 or gpus > 64 or gpus % min(NODES, gpus):
            parser.error(f"{gpus} GPUs cannot be shared out over {NODES} nodes")
    return arguments


def main():
    arguments = parse()
    if "RACK_RUN" not in os.environ:
        os.execv(soft_rack.RACK_SH, [str(soft_rack.RACK_SH), "run", str(NODES + 1), sys.executable, __file__,
                                     *sys.argv[1:]])
    try:
        return measure(arguments)
    except (Failed, subprocess.TimeoutExpired) as error:
        print(f"scaling: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
