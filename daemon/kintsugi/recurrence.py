"""
Does a trouble return after every recovery? Then the remedy only puts it off, and a person is needed.

Pure: moments and figures are arguments. The guards ask `recurring`; the ledger writes `account` into the notice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from kintsugi.model.records import IncidentState

MOST_SHOWN = 5
"""Commands of one run that are shown in the account: a run over many pods makes as many changes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recurrence:
    """A trouble that has returned: `times` recoveries since `since`. Its remedy is not tried again before `until`."""

    since: datetime
    times: int
    until: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class PastRecovery:
    """A finished run: when it was, what it did (the commands of its changes), and how it ended."""

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
    `window` proves that the trouble is still the same: the rest doubles, up to `longest`.
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


def account(why: str, attempts: Iterable[PastRecovery]) -> str:
    """Write what a person is told: why nothing is started, and each run so far with what it did and how it ended."""
    return "\n".join([why, "What was done so far:", *(f"  {_line(attempt)}" for attempt in attempts)])


def _line(attempt: PastRecovery) -> str:
    shown = list(attempt.did[:MOST_SHOWN])
    if len(attempt.did) > MOST_SHOWN:
        shown.append(f"and {len(attempt.did) - MOST_SHOWN} more")
    did = "; ".join(shown) or "no change"
    began, ended = f"{attempt.started:%Y-%m-%d %H:%M:%S}", f"{attempt.finished:%H:%M:%S}"
    return f"{began} {attempt.run}: {did}: {attempt.state} at {ended}"
