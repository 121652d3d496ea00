#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts a CTest JUnit report: prints "passed failed skipped", then a line per failure and skip."""
import sys
import xml.etree.ElementTree as ElementTree


def reason(case):
    """The line of a skipped test that says why."""
    text = (case.findtext("system-out") or "").strip().splitlines()
    for line in text:
        if "skip" in line.lower():
            return line.strip()
    return "no reason given"


def main():
    passed, failed, skipped = 0, [], []
    for case in ElementTree.parse(sys.argv[1]).getroot().iter("testcase"):
        status = case.get("status")
        if status == "run" and case.find("failure") is None:
            passed += 1
        elif case.find("skipped") is not None or status in ("notrun", "disabled"):
            skipped.append(case)
        else:
            failed.append(case)
    print(passed, len(failed), len(skipped))
    for case in failed:
        print(f"      failed: {case.get('name')}")
    for case in skipped:
        print(f"      skipped: {case.get('name')}: {reason(case)}")


if __name__ == "__main__":
    main()
