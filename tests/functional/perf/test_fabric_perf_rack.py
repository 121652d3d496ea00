#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bin/fabric-perf-rack from outside: all ways and the foreign limits, in one report.

    test_fabric_perf_rack.py FABRIC_PERF_RACK

Times are not looked at. Exit status: 0, 1 with what was wrong, 77 where the machine forbids namespaces.
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

LIMIT_S = 150
ROWS = {"h2d": [65536, 1048576], "launch": [0]}
ARGUMENTS = ["-t", ",".join(ROWS), "-m", "pinned", "-c", "sync", "-s", "64K,1M",
             "--max-spread", "1000", "-D", "0.01", "-r", "5"]
WAYS = {"native": "native", "same-host": "same host", "one-rail": "one rail", "two-rails": "two rails"}
LIMITS = {"ucp_am_lat, both ways": 2, "ucp_am_bw, one rail": 3, "iperf3, one rail": 1}


def call(program, *arguments):
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=LIMIT_S,
                          stdin=subprocess.DEVNULL, check=False)


def check_way(folder, file, label):
    result = json.loads((folder / f"{file}.json").read_text())
    assert result["label"] == label, f"{file}: its label is {result['label']}"
    found = [(row["key"]["test"], row["key"]["size"]) for row in result["rows"]]
    assert found == [(test, size) for test, sizes in ROWS.items() for size in sizes], f"{file}: {found}"
    for row in result["rows"]:
        assert row["is_verified"] == (row["key"]["size"] > 0), f"{file}: not compared: {row}"
        assert row["us"] or row["reason"], f"{file}: neither a number nor a reason: {row}"


def check_limits(folder):
    result = json.loads((folder / "limits.json").read_text())
    found = {}
    for row in result["rows"]:
        found[row["name"]] = found.get(row["name"], 0) + 1
        assert row["us"] or row["mb_s"] or row["reason"], f"neither a number nor a reason: {row}"
    assert found == LIMITS, f"limits: {found}"


def check_report(folder):
    text = "".join(ElementTree.parse(folder / "report.html").getroot().itertext())
    for part in (*WAYS.values(), *LIMITS):
        assert part in text, f"the report says nothing of {part}"
    drawn = ElementTree.parse(folder / "copy-suite.svg").getroot()
    assert drawn.tag == "{http://www.w3.org/2000/svg}svg", drawn.tag


def main(program):
    with tempfile.TemporaryDirectory(prefix="test-fabric-perf-rack-") as name:
        folder = pathlib.Path(name)
        done = call(program, folder / "all", *ARGUMENTS)
        if done.returncode == 77:
            print(done.stdout + done.stderr)
            return 77
        assert done.returncode == 0, f"status {done.returncode}: {done.stdout}{done.stderr}"
        for file, label in WAYS.items():
            check_way(folder / "all", file, label)
        check_limits(folder / "all")
        check_report(folder / "all")
    done = call(program, "/nowhere/all")
    assert done.returncode == 1 and "/nowhere/all" in done.stderr, f"{done.returncode}: {done.stderr}"
    for arguments in ([], ["--quick"]):
        done = call(program, *arguments)
        assert done.returncode == 2 and done.stderr.startswith("usage:"), f"{arguments}: {done.stderr}"
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except AssertionError as error:
        print(error)
        sys.exit(1)
