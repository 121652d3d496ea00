# SPDX-License-Identifier: Apache-2.0
"""<api>.md: what of the API works, per exported name. Kept in docs/coverage.d and compared by a
test, so that the document cannot say anything else than the rows."""
import collections

from . import ctext


def outputs(description):
    return [f"{description.api['name']}.md"]


def emit(description):
    tables = [_group(description, group) for group in description.groups]
    text = ctext.template("coverage.md.in", title=description.api["title"],
                          folder=description.folder.name,
                          version=_version(description.api["version"]),
                          summary=_summary(description), tables="\n\n".join(tables))
    return {f"{description.api['name']}.md": text}


def _summary(description):
    counts = collections.Counter(export.call.status for export in description.exports())
    later = collections.Counter(export.call.group for export in description.exports()
                                if export.call.status == "later")
    fixed = sum(bool(export.call.answers) for export in description.exports())
    lines = ["| exported names | |", "|---|---|",
             f"| implemented | {counts['foundation'] - fixed} |",
             f"| answered with one error always, with the reason beside each | {fixed} |"]
    for group, text in description.head["later"].items():
        if later[group]:
            lines.append(f"| later: {text} | {later[group]} |")
    lines.append(f"| never, with the reason beside each | {counts['never']} |")
    return "\n".join(lines + [f"| all | {counts.total()} |"])


def _group(description, group):
    lines = [f"## {group.title}", "", "| function | since CUDA | |", "|---|---|---|"]
    for call in group.calls:
        name = f"`{call.name}`"
        if call.per_thread:
            name += f", `{call.per_thread['suffix']}`"
        lines.append(f"| {name} | {_version(call.since)} | {_state(description, call)} |")
    return "\n".join(lines)


def _state(description, call):
    if call.answers:
        text = " and ".join(f"{consumer}: always `{answer}`"
                            for consumer, answer in call.answers.items())
    elif call.status == "later":
        text = "later: " + description.head["later"][call.group]
    elif call.status == "never":
        text = "never: " + call.reason
    else:
        text = "yes"
    return text + (f" ({call.note})" if call.note else "")


def _version(number):
    return f"{number // 1000}.{number % 1000 // 10}"
