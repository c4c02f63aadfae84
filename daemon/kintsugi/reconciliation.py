"""
What is owed to whatever the ledger has open: an incident that no run carries, and a run whose task has died or is silent.

Pure. The reconciling tick asks again and again, so that what a lost answer, a restart or a mistake has left behind is taken
up whatever it was: the decision hangs on what the ledger says now, not on what happened.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from kintsugi.model.records import Approval, Incident, IncidentState, RunRecord, Signal, SignalStatus, Verdict

MOST_DEATHS = 3
"""How often a run whose task has died is taken up again before it is handed over: a mistake in it stays one."""

MOST_SILENCE = timedelta(minutes=10)
"""How long a run past its deadline may look at nothing: far more than any single request of it takes."""

_WAITING = frozenset({IncidentState.HELD, IncidentState.AWAITING_APPROVAL})


class Deed(Enum):
    """What an open incident needs that no run carries."""

    WAIT = "wait"
    ASK = "ask"
    START = "start"
    JUDGE = "judge"
    END = "end"


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """
    A deed with its reason; `told` when a person must hear of it.

    `state` is where END leaves the incident, `approval` the answer that START relies on.
    """

    deed: Deed
    reason: str = ""
    state: IncidentState = IncidentState.NEEDS_OPERATOR
    approval: Approval | None = None
    told: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenIncident:
    """
    What the ledger says of an open incident that no run carries.

    `had_run` when it had one that is over. `clear` when what it was opened for has ended. `approvals` are the questions
    about the whole plan, oldest first.
    """

    incident: Incident
    had_run: bool
    clear: bool
    signals: Sequence[tuple[Signal, Verdict | None]]
    approvals: Sequence[Approval] = ()


def need_of(standing: OpenIncident, *, now: datetime) -> Need:
    """Decide what an open incident needs now that no run carries."""
    incident = standing.incident
    if incident.state not in _WAITING or standing.had_run:
        text = f"it was {incident.state} and no run carried it: look whether {incident.service} is well"
        return Need(deed=Deed.END, reason=text, told=True)
    if not standing.signals:
        text = f"it was {incident.state} without any signal that could be judged again: look whether {incident.service} is well"
        return Need(deed=Deed.END, reason=text, told=True)
    held = incident.state is IncidentState.HELD
    if standing.clear and held:
        text = f"upstream: it cleared while it was held ({incident.reason})"
        return Need(deed=Deed.END, state=IncidentState.RECOVERED, reason=text)
    if standing.clear:
        return Need(deed=Deed.END, state=IncidentState.NO_ACTION, reason="it cleared before anybody answered")
    if held:
        return Need(deed=Deed.WAIT if is_judged_again(standing.signals) else Deed.JUDGE)
    return _answered(standing.approvals, now)


def _answered(approvals: Sequence[Approval], now: datetime) -> Need:
    """Decide by the newest question: an answer, too, is good until the question expires (E28)."""
    if not approvals:
        return Need(deed=Deed.ASK)
    newest = approvals[-1]
    if now < newest.expires:
        return Need(deed=Deed.START, approval=newest) if newest.answered is not None else Need(deed=Deed.WAIT)
    if newest.answered is not None:
        return Need(deed=Deed.ASK)
    text = f"nobody approved by {newest.expires:%H:%M:%S}"
    return Need(deed=Deed.END, state=IncidentState.CANCELLED, reason=text, told=True)


def is_judged_again(signals: Sequence[tuple[Signal, Verdict | None]]) -> bool:
    """Return whether a signal that goes on has no verdict yet, or one that will end: the pipeline judges it again."""
    going_on = [verdict for signal, verdict in signals if signal.status is SignalStatus.FIRING]
    return any(verdict is None or verdict.until is not None for verdict in going_on)


def is_still_asked(approvals: Sequence[Approval], plan: str, *, now: datetime) -> bool:
    """Return whether the newest question is about this plan and still good, answered or not: it is not asked again."""
    return bool(approvals) and approvals[-1].plan == plan and now < approvals[-1].expires


def asked_anew(approvals: Sequence[Approval], *, now: datetime) -> str:
    """Write what a person is told of a question that comes after others; nothing of the first."""
    if not approvals:
        return ""
    newest = approvals[-1]
    until, answered = f"{newest.expires:%H:%M:%S}", newest.answered is not None
    if now < newest.expires:
        why = f"the plan has changed since {f'{newest.who} approved it' if answered else 'it was shown'}"
    elif answered:
        why = f"the yes of {newest.who} expired at {until} before anything could start"
    else:
        why = f"nobody approved by {until}"
    return f"{why}: it is asked anew"


def hold_over(incident: Incident, limit: timedelta, *, now: datetime) -> str:
    """Write what a person is told of a hold that has reached its limit; nothing before, or when it is not held."""
    over = incident.state is IncidentState.HELD and now >= incident.opened + limit
    return hold_notice(incident.opened, limit) if over else ""


def hold_notice(opened: datetime, limit: timedelta) -> str:
    """Write that a hold is over: always the same words for one incident, so that a person hears them once."""
    return f"It was held since {opened:%H:%M:%S} for what it depends on. After {limit} the hold is over: it is judged by itself."


class Care(Enum):
    """What an open run needs."""

    LEAVE = "leave"
    TAKE_UP = "taken-up"
    RESTART = "restarted"
    HAND_OVER = "handed-over"


@dataclass(frozen=True, kw_only=True, slots=True)
class Attendance:
    """
    How an open run is attended here.

    `silent_for` is since when its task has looked at nothing, None where it has no task. Its task has died `deaths` times,
    the last time `dead_for` ago.
    """

    silent_for: timedelta | None = None
    deaths: int = 0
    dead_for: timedelta = timedelta(0)


def care_of(run: RunRecord, attendance: Attendance, *, pause: timedelta, now: datetime) -> Care:
    """
    Decide what an open run needs: a task, another one, or a person.

    A run whose task died is taken up again after `pause`, doubled each time; after `MOST_DEATHS` it is handed over. One
    that is past its deadline and has looked at nothing for `MOST_SILENCE` gets a new task (P5).
    """
    if attendance.silent_for is not None:
        overdue = now > run.deadline and attendance.silent_for > MOST_SILENCE
        return Care.RESTART if overdue else Care.LEAVE
    if attendance.deaths and attendance.dead_for < pause * 2**attendance.deaths:
        return Care.LEAVE
    return Care.HAND_OVER if attendance.deaths > MOST_DEATHS else Care.TAKE_UP
