"""
Finds the meanings of log lines by a Patterns document: the first pattern that matches a line counts.

Pure. A line matches by its text, or by its SQLSTATE; a number of another kind is not taken for one.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from kintsugi.model.runbooks import Pattern
from kintsugi.regex import AnyOf, compiled, literally
from kintsugi.telemetry import SECRETS

MOST_FINDINGS = 1000
"""The most findings; the newest are kept, since they show the current problem."""

LONGEST_LINE = 4096

# As log_line_prefix (%e) writes it, as log_error_verbosity = verbose does, and in the JSON log. A process id in
# brackets, or a part of a time, is no code.
_SQLSTATE = re.compile(
    r'"state_code"\s*:\s*"([0-9A-Z]{5})"'
    r"|\b(?:WARNING|ERROR|FATAL|PANIC):\s+([0-9A-Z]{5}):"
    r"|(?<![\w\[.:+-])([0-9A-Z]{5})(?![\w\].:-])[^\n]{0,80}?\b(?:WARNING|ERROR|FATAL|PANIC):"
)


def find(
    lines: Sequence[str], pods: Sequence[str], patterns: Iterable[Pattern], starts: Sequence[str] = ()
) -> list[dict[str, object]]:
    """
    Return the findings in the lines, in their order; `pods` names the pod of each line.

    `starts` names the start of a container that each line is of, "" where that is not known.
    """
    known = [(compiled(pattern.match), pattern) for pattern in patterns]
    prefilter = _any_of(pattern for _, pattern in known)
    found: list[dict[str, object]] = []
    for whole, pod, start in zip(lines, pods, starts or [""] * len(lines), strict=True):
        line = whole[:LONGEST_LINE]
        if not prefilter.may_search(line):
            continue
        code = sqlstate_of(line)
        pattern = next((each for regex, each in known if code in each.sqlstate or regex.searches(line)), None)
        if pattern is not None:
            found.append(
                {
                    "severity": str(pattern.severity),
                    "means": pattern.means,
                    "line": line,
                    "pod": pod,
                    "sqlstate": code,
                    "start": start,
                }
            )
    return [{**each, "line": SECRETS.text(str(each["line"]))} for each in found[-MOST_FINDINGS:]]


def _any_of(patterns: Iterable[Pattern]) -> AnyOf:
    """Ask of a line at once what few lines have: what fits one of the patterns, or a code that one of them names."""
    return AnyOf(text for each in patterns for text in (each.match, *map(literally, each.sqlstate)))


def by_start(findings: Iterable[Mapping[str, object]]) -> list[dict[str, object]]:
    """Return what was found of each start of a container that is sure: `pod`, `start`, and the `means` of its lines."""
    means: dict[tuple[object, object], dict[object, None]] = {}
    for each in findings:
        if each["start"]:
            means.setdefault((each["pod"], each["start"]), {})[each["means"]] = None
    return [{"pod": pod, "start": start, "means": list(found)} for (pod, start), found in means.items()]


def sqlstate_of(line: str) -> str:
    """Return the SQLSTATE that a line of PostgreSQL's log carries, "" when it carries none."""
    found = _SQLSTATE.search(line)
    return next((code for code in found.groups() if code), "") if found else ""
