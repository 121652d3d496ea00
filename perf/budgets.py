#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every budget of the project: measure, keep, show, compare.

    perf/budgets.py [--quick] [--part ID]... [--under COMMAND]    run the benchmarks of budgets.toml, one after
                                     the other, keep their rows in results.json and write the table of README.md
    perf/budgets.py --merge ID FILE --commit COMMIT [--machine TEXT]    keep the rows that a benchmark, built at that
                                     commit, wrote to FILE with --json, here or on that machine; the day is FILE's
    perf/budgets.py --render         write the table anew; --verify: exit 1 if it is not what results.json says
    perf/budgets.py --check OLD.json what is worse now than there, by ratio; exit 1 if anything is

COMMAND stands before each benchmark, for example a lock that keeps the machine quiet. A row is worse if its
ratio is so by more than a tenth and the two intervals do not overlap, or if it has no figure any more.
Runs of a driver's GPUs are left out where there is none.
--bin DIR: the built programs (build/release/bin); --results FILE: another results.json.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import shlex
import subprocess
import sys
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
BEGIN, END = "<!-- budgets.py: begin -->\n", "<!-- budgets.py: end -->\n"
WORSE = 1.1
HIGHER_UNITS = ("MB/s", "GB/s", "M/s")  # more is better; of all others less


# ---- what there is to measure -------------------------------------------------------------------

def load_budgets():
    text = tomllib.loads((HERE / "budgets.toml").read_text())
    runs = {run["id"]: run["command"] for run in text["run"]}
    of_gpus = {run["id"] for run in text["run"] if run.get("gpu")}
    if len(runs) != len(text["run"]):
        sys.exit("budgets: an id stands twice")
    for budget in text["budget"]:
        for row in budget["rows"]:
            if row["run"] not in runs:
                sys.exit(f"budgets: '{budget['what']}' names the run '{row['run']}', which is none")
    return runs, text["budget"], of_gpus


def load_results(path):
    return json.loads(path.read_text()) if path.is_file() else {}


# ---- measuring ----------------------------------------------------------------------------------

def version(pattern, *command):
    try:
        text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except OSError:
        return "none"
    found = re.search(pattern, text)
    return found.group(1) if found else "?"


def machine():
    cpu = pathlib.Path("/proc/cpuinfo").read_text()
    name = re.search(r"model name\s*:\s*(.*)", cpu)
    family = re.search(r"cpu family\s*:\s*(.*)", cpu)
    memory = int(re.search(r"MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text()).group(1))
    nvcc = os.environ.get("CUDA_HOME", "/usr/local/cuda") + "/bin/nvcc"
    versions = {"gcc": version(r"(\d+\.\d+)", "gcc", "--version"), "CUDA": version(r"release (\d+\.\d+)", nvcc, "--version"),
                "UCX": version(r"(\d+\.\d+\.\d+)", "ucx_info", "-v"), "iperf3": version(r"iperf (\S+)", "iperf3", "--version")}
    return (f"{name.group(1) if name else platform.machine()} (family {family.group(1) if family else '?'}), "
            f"{os.cpu_count()} cores, {round(memory / 2**20)} GiB, Linux {platform.release().split('-')[0]}, "
            + ", ".join(f"{tool} {text}" for tool, text in versions.items()))


def commit_of(name):
    """Its short form; "" if it is none."""
    done = subprocess.run(["git", "-C", str(HERE), "rev-parse", "--short", "--verify", "--quiet", f"{name}^{{commit}}"],
                          capture_output=True, text=True, check=False)
    return done.stdout.strip()


def keep(results, run, command, rows, quick, date, commit, where=None):
    results[run] = {"command": command, "quick": quick, "date": date.isoformat(), "commit": commit,
                    "machine": where or machine(), "rows": rows}


def missing_rows(budgets, run, rows):
    names = {row["name"] for row in rows}
    return [row["name"] for budget in budgets for row in budget["rows"]
            if row["run"] == run and row["name"] not in names]


def measure(run, command, arguments):
    """The rows of a benchmark; None if it failed."""
    program, *rest = shlex.split(command)
    full = [*shlex.split(arguments.under), str(arguments.bin / program), *rest, "--json",
            *(["--quick"] if arguments.quick else [])]
    print(f"budgets: {run}: {' '.join(full)}", file=sys.stderr, flush=True)
    done = subprocess.run(full, stdout=subprocess.PIPE, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        print(f"budgets: {run}: exit status {done.returncode}; its older rows stay", file=sys.stderr)
        return None
    return json.loads(done.stdout)


def run_all(runs, budgets, of_gpus, arguments):
    results, failed = load_results(arguments.results), False
    has_gpu = any(pathlib.Path("/dev").glob("nvidia[0-9]*"))
    for run in arguments.part or [one for one in runs if has_gpu or one not in of_gpus]:
        if run not in runs:
            sys.exit(f"budgets: there is no run '{run}'; there are {', '.join(runs)}")
        rows = measure(run, runs[run], arguments)
        if rows is None:
            failed = True
            continue
        for name in missing_rows(budgets, run, rows):
            failed = True
            print(f"budgets: {run} has no row '{name}'", file=sys.stderr)
        keep(results, run, runs[run], rows, arguments.quick, datetime.date.today(), commit_of("HEAD"))
        save(results, arguments.results)  # a later one may fail
    return failed


def save(results, path):
    path.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")


# ---- the table ----------------------------------------------------------------------------------

def number(value):
    return f"{value:.4g}" if isinstance(value, (int, float)) else "-"


def quotient(row):
    if row.get("ratio") is None:
        return f"[{', '.join(map(number, row['interval']))}]" if row.get("interval") else ""
    low, high = row.get("interval") or [row["ratio"]] * 2
    return f"{row['ratio']:.3g} [{low:.3g}, {high:.3g}]"


def verdict(row):
    if row.get("met") is None:
        return row.get("reason") or "reported"
    if not row["met"]:
        return "**missed**"
    ratio, budget = row.get("ratio"), row["budget"]
    if ratio is None or (ratio >= budget if is_higher_better(row) else ratio <= budget):
        return "met"
    return "met by the interval's end"


def line_of(row, kept, machines):
    if not row:
        return "| - | - | - | not measured | | | |"
    pairs = f"{row['pairs']} pair{'s' if row['pairs'] > 1 else ''}" if row.get("pairs") else ""
    how = ", ".join(part for part in (pairs, "quick" if kept["quick"] else "") if part)
    return (f"| {number(row['ours'])} {row['unit']} | {number(row.get('limit'))} | {quotient(row)} | {verdict(row)} "
            f"| {how} | {kept['date']}, {kept['commit']} | {machines.index(kept['machine']) + 1} |")


def unnamed_misses(budgets, results):
    """A benchmark's own budgets that are missed and stand in no budget here: nothing hides one."""
    named = {(row["run"], row["name"]) for budget in budgets for row in budget["rows"]}
    rows = [{"run": run, "name": row["name"]} for run, kept in results.items() for row in kept["rows"]
            if row.get("met") is False and (run, row["name"]) not in named]
    return [{"what": "missed, and in no budget", "limit": "the benchmark's own", "rows": rows}] if rows else []


def render(runs, budgets, results):
    machines = sorted({kept["machine"] for kept in results.values()})
    lines = ["| budget | row | ours | limit | ratio [90 %] | | measured | when, commit | on |",
             "|---|---|---|---|---|---|---|---|---|"]
    for budget in budgets + unnamed_misses(budgets, results):
        title = f"{budget['what']}: {budget['limit']}"
        for row in budget["rows"]:
            kept = results.get(row["run"])
            found = next((one for one in kept["rows"] if one["name"] == row["name"]), None) if kept else None
            lines.append(f"| {title} | {row['name']} (`{row['run']}`) {line_of(found, kept, machines)}")
            title = ""
    lines += ["", *(f"Machine {i}: {name}." for i, name in enumerate(machines, 1)), "",
              "| run | command |", "|---|---|", *(f"| `{run}` | `{command} --json` |" for run, command in runs.items())]
    return "\n".join(lines) + "\n"


def with_table(text, table):
    head, _, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not end:
        sys.exit(f"budgets: README.md lacks the lines {BEGIN.strip()} and {END.strip()}")
    return head + BEGIN + table + END + tail


# ---- comparing ----------------------------------------------------------------------------------

def is_higher_better(row):
    return row.get("at_least", row["unit"] in HIGHER_UNITS)


def figure(row):
    """What is compared, and its interval."""
    value = row["ratio"] if row.get("ratio") is not None else row.get("ours")
    return value, row.get("interval") or [value, value]


def is_measured(row):
    return bool(figure(row)[0])


def is_worse(old, new):
    (old_value, old_ends), (new_value, new_ends) = figure(old), figure(new)
    if not old_value or not new_value or (old.get("ratio") is None) != (new.get("ratio") is None):
        return False
    if is_higher_better(new):
        return new_value * WORSE < old_value and new_ends[1] < old_ends[0]
    return new_value > old_value * WORSE and new_ends[0] > old_ends[1]


def compare(old, new):
    """Lines of what is worse, and of what is not there any more."""
    lines = []
    for run, kept in old.items():
        if run not in new:
            continue  # not measured this time
        rows = {row["name"]: row for row in new[run]["rows"]}
        for row in kept["rows"]:
            now = rows.get(row["name"])
            if not now or (is_measured(row) and not is_measured(now)):
                lines.append(f"{run}: {row['name']}: is not measured any more")
            elif is_worse(row, now):
                lines.append(f"{run}: {row['name']}: {number(figure(row)[0])} before, {number(figure(now)[0])} now")
    return lines


# ---- main ---------------------------------------------------------------------------------------

def parse():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--part", action="append")
    parser.add_argument("--under", default="")
    parser.add_argument("--bin", type=pathlib.Path, default=HERE.parent / "build" / "release" / "bin")
    parser.add_argument("--results", type=pathlib.Path, default=HERE / "results.json")
    parser.add_argument("--readme", type=pathlib.Path, default=HERE / "README.md", help=argparse.SUPPRESS)
    parser.add_argument("--merge", nargs=2, metavar=("ID", "FILE"))
    parser.add_argument("--commit")
    parser.add_argument("--machine")
    parser.add_argument("--render", action="store_true")
    parser.add_argument("--verify", action="store_true")
    parser.add_argument("--check", type=pathlib.Path)
    return parser.parse_args()


def main():
    arguments = parse()
    runs, budgets, of_gpus = load_budgets()
    failed = False
    if arguments.check:
        if not arguments.check.is_file():
            sys.exit(f"budgets: there is no {arguments.check}")
        lines = compare(load_results(arguments.check), load_results(arguments.results))
        print("\n".join(lines) or "nothing is worse")
        return 1 if lines else 0
    if arguments.merge:
        run, file = arguments.merge
        rows, results = json.loads(pathlib.Path(file).read_text()), load_results(arguments.results)
        if run not in runs or missing_rows(budgets, run, rows):
            sys.exit(f"budgets: {file} is not what '{run}' writes: no {missing_rows(budgets, run, rows)}")
        commit = commit_of(arguments.commit or "")
        if not commit:
            sys.exit("budgets: --merge needs --commit: what the benchmark was built from")
        day = datetime.date.fromtimestamp(pathlib.Path(file).stat().st_mtime)
        keep(results, run, runs[run], rows, arguments.quick, day, commit, arguments.machine)
        save(results, arguments.results)
    elif not arguments.render and not arguments.verify:
        failed = run_all(runs, budgets, of_gpus, arguments)
    text = arguments.readme.read_text()
    wanted = with_table(text, render(runs, budgets, load_results(arguments.results)))
    if arguments.verify:
        if wanted != text:
            print("budgets: the table of README.md is not what results.json says: perf/budgets.py --render")
        return wanted != text
    arguments.readme.write_text(wanted)
    return failed


if __name__ == "__main__":
    sys.exit(main())
