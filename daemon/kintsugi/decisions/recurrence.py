"""
Decides whether a problem returns after every recovery, or whether run after run does not help: then a person is needed.

Pure: moments and figures are arguments. The guards ask `recurring` and `unhelpful_streak`; the ledger writes
`recurrence_summary` into the notice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

from kintsugi.model.history import INCONCLUSIVE_OUTCOMES, UNHELPFUL_OUTCOMES, PastRun, RunRemedies
from kintsugi.model.outages import Fault
from kintsugi.model.records import IncidentState
from kintsugi.model.remedies import RemedyKind
from kubeobjects.lines import Lines, line, lines

TRIED_LATELY = timedelta(hours=24)
"""Remedies that were tried longer ago were tried for another problem."""

MOST_SHOWN = 5
"""Commands of one run that are shown in the account: a run over many pods makes as many changes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recurrence:
    """A problem that has returned: `times` recoveries since `since`. Its remedy is not tried again before `until`."""

    since: datetime
    times: int
    until: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class PastRecovery:
    """A finished run: its time, the commands of its changes, and its outcome."""

    run: str
    started: datetime
    finished: datetime
    state: IncidentState
    did: tuple[str, ...] = ()


def recurring(recoveries: Sequence[datetime], *, most: int, window: timedelta, longest: timedelta) -> Recurrence | None:
    """
    Return the recurrence that the recoveries of one service by one runbook amount to, None when they do not.

    `recoveries` are the moments at which the runs ended, the oldest first. `most` of them within `window` are a
    recurrence, which rests for `window` after the last one. A recovery that comes after the rest but within another
    `window` proves that the problem is still the same: the rest doubles, up to `longest`.
    """
    found: Recurrence | None = None
    rest = window
    for number, moment in enumerate(recoveries):
        if found is not None and moment <= found.until + window:
            rest = min(rest * 2, max(longest, window))
            found = Recurrence(since=found.since, times=found.times + 1, until=moment + rest)
            continue
        first = recoveries[number - most + 1] if number + 1 >= most else None
        rest = window
        found = (
            Recurrence(since=first, times=most, until=moment + rest)
            if first is not None and moment - first <= window
            else None
        )
    return found


def recurrence_summary(why: str, attempts: Iterable[PastRecovery]) -> Lines:
    """Return the text for a person: why nothing is started, and each run so far with its changes and outcome."""
    return lines(map(line, [why, "What was done so far:", *(f"  {_line(attempt)}" for attempt in attempts)]))


def _line(attempt: PastRecovery) -> str:
    shown = list(attempt.did[:MOST_SHOWN])
    if len(attempt.did) > MOST_SHOWN:
        shown.append(f"and {len(attempt.did) - MOST_SHOWN} more")
    did = "; ".join(shown) or "no change"
    began, ended = f"{attempt.started:%Y-%m-%d %H:%M:%S}", f"{attempt.finished:%H:%M:%S}"
    return f"{began} {attempt.run}: {did}: {attempt.state} at {ended}"


def unhelpful_streak(past: list[PastRun]) -> list[PastRun]:
    """Take the newest runs that did not help, up to the first that did."""
    return list(takewhile(lambda run: run.state in UNHELPFUL_OUTCOMES, conclusive_runs(past)))


def conclusive_runs(past: list[PastRun]) -> list[PastRun]:
    """Return the runs that say something of the remedy."""
    return [run for run in past if run.state not in INCONCLUSIVE_OUTCOMES]


def failed_remedies(runs: Iterable[RunRemedies], fault: Fault | None) -> frozenset[RemedyKind]:
    """Return the remedies of the newest runs about a fault (newest first) up to the first one that helped; an unknown fault is any."""
    about = (run for run in runs if fault is None or run.faults.has_cause(fault))
    conclusive = (run for run in about if run.state not in INCONCLUSIVE_OUTCOMES)
    streak = takewhile(lambda run: run.state in UNHELPFUL_OUTCOMES, conclusive)
    return frozenset().union(*(run.remedies for run in streak))


def tried_since(well: tuple[datetime, datetime] | None, *, good_after: timedelta, now: datetime) -> datetime:
    """
    Return since when a remedy that did not help was tried for the present problem.

    `well` is from when to when the service was last well: after so long that is another problem, and so it is after a day.
    """
    lately = now - TRIED_LATELY
    return max(lately, well[0]) if well is not None and well[1] - well[0] >= good_after else lately
