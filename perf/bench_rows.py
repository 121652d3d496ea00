# SPDX-License-Identifier: Apache-2.0
"""The rows of benchmarks that are scripts: as bench-row.c makes them."""
import argparse
import json
import math
import sys


def positive(text):
    """The type of options that count."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no number from 1 on")
    return int(text)


def median(values):
    """Of an even count the lower one."""
    return sorted(values)[(len(values) - 1) // 2]


def interval(values):
    """The 90 % interval of the median, by order statistics: 0.82 standard deviations of the binomial."""
    ordered, half = sorted(values), 1.645 * math.sqrt(len(values)) / 2
    middle = (len(values) - 1) / 2
    return [ordered[max(0, math.floor(middle - half))],
            ordered[min(len(values) - 1, math.ceil(middle + half))]]


def row(name, unit, pairs, budget=None, at_least=False, reason=None, **more):
    """pairs: of ours and the limit. budget: of their ratio; None: reported only."""
    ratios = [ours / limit for ours, limit in pairs if limit]
    made = {"name": name, "ours": None, "limit": None, "unit": unit, "ratio": None, "interval": None,
            "pairs": len(ratios), "budget": budget, "met": None}
    if ratios:
        made |= {"ours": round(median([pair[0] for pair in pairs]), 4),
                 "limit": round(median([pair[1] for pair in pairs]), 4),
                 "ratio": round(median(ratios), 4), "interval": [round(end, 4) for end in interval(ratios)]}
    if not ratios:
        reason = reason or "it did not run"
    if budget is not None:
        made["at_least"] = at_least
    if budget is not None and not reason:
        low, high = made["interval"]
        made["met"] = high >= budget if at_least else low <= budget
    elif made["met"] is None:
        made["reason"] = reason or "reported only"
    return made | more


def reported(name, unit, values, **more):
    """What has no limit."""
    return row(name, unit, []) | {"ours": round(median(values), 4), "pairs": len(values),
                                  "reason": "reported only"} | more


def verdict(entry):
    return {None: "reported", True: "met", False: "MISSED"}[entry["met"]]


def write_json(rows):
    json.dump(rows, sys.stdout, indent=2)
    print()
