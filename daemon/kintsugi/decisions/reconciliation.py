"""
Decides what is due for open incidents without a run, and for open runs whose task has died or is silent.

Pure. The reconciling tick asks every few seconds, so that incidents and runs that a lost answer, a restart or a defect has
left over are resumed: the decision depends on the ledger's current state, not on the events that led to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from kintsugi.decisions.answers import outcome
from kintsugi.durations import format_duration
from kintsugi.model.history import Abort
from kintsugi.model.questions import Question
from kintsugi.model.records import Incident, IncidentState, RunRecord, Signal, SignalStatus, Verdict

MOST_TASK_FAILURES = 3
"""The number of times a run whose task has died is resumed before it is handed over: a defect would only repeat."""

HEARTBEAT_TIMEOUT = timedelta(minutes=10)
"""The time that a run past its deadline may be silent: far longer than any single request takes."""

_WAITING = frozenset({IncidentState.HELD, IncidentState.AWAITING_APPROVAL})


class IncidentAction(Enum):
    """The action that an open incident without a run needs."""

    WAIT = "wait"
    ASK = "ask"
    START = "start"
    EVALUATE = "evaluate"
    END = "end"


@dataclass(frozen=True, kw_only=True, slots=True)
class IncidentNeed:
    """
    An action with its reason; `notify` when a person must be notified.

    `state` is where END leaves the incident, `approval` the answer that START relies on.
    """

    action: IncidentAction
    reason: str = ""
    state: IncidentState = IncidentState.NEEDS_OPERATOR
    approval: Question | None = None
    notify: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenIncident:
    """
    An open incident without a run, as the ledger has it.

    `had_run` when it had one that is over. `clear` when what it was opened for has ended. `questions` are the questions
    about the whole plan, oldest first. `abort` is a person's request to end it.
    """

    incident: Incident
    had_run: bool
    clear: bool
    signals: Sequence[tuple[Signal, Verdict | None]]
    questions: Sequence[Question] = ()
    abort: Abort | None = None


def need_of(open_incident: OpenIncident, *, now: datetime) -> IncidentNeed:
    """Decide which action an open incident without a run needs."""
    incident = open_incident.incident
    if incident.state not in _WAITING or open_incident.had_run:
        text = f"the incident was {incident.state} without a run; check whether {incident.service} is healthy"
        return IncidentNeed(action=IncidentAction.END, reason=text, notify=True)
    if not open_incident.signals:
        text = f"the incident was {incident.state} without a signal to re-evaluate; check whether {incident.service} is healthy"
        return IncidentNeed(action=IncidentAction.END, reason=text, notify=True)
    if no := _no(open_incident):
        return IncidentNeed(action=IncidentAction.END, state=IncidentState.CANCELLED, reason=no)
    held = incident.state is IncidentState.HELD
    if open_incident.clear and held:
        text = f"upstream: the service recovered while it was held ({incident.reason})"
        return IncidentNeed(action=IncidentAction.END, state=IncidentState.RECOVERED, reason=text)
    if open_incident.clear:
        return IncidentNeed(
            action=IncidentAction.END, state=IncidentState.NO_ACTION, reason="the trigger cleared before an approval"
        )
    if held:
        return IncidentNeed(
            action=IncidentAction.WAIT if is_reevaluated(open_incident.signals) else IncidentAction.EVALUATE
        )
    return _answered(open_incident.questions, now)


def _no(open_incident: OpenIncident) -> str:
    """Return who has aborted the incident or rejected its plan, and why; "" for no one."""
    if open_incident.abort is not None:
        return open_incident.abort.reason
    newest = open_incident.questions[-1] if open_incident.questions else None
    return outcome(newest) if newest is not None and newest.rejected else ""


def _answered(questions: Sequence[Question], now: datetime) -> IncidentNeed:
    """Decide by the newest question: an answer is valid until the question expires, too (E28)."""
    if not questions:
        return IncidentNeed(action=IncidentAction.ASK)
    newest = questions[-1]
    if now < newest.expires:
        return (
            IncidentNeed(action=IncidentAction.START, approval=newest)
            if newest.approved
            else IncidentNeed(action=IncidentAction.WAIT)
        )
    if newest.approved:
        return IncidentNeed(action=IncidentAction.ASK)
    text = f"no approval by {newest.expires:%H:%M:%S}"
    return IncidentNeed(action=IncidentAction.END, state=IncidentState.CANCELLED, reason=text, notify=True)


def is_reevaluated(signals: Sequence[tuple[Signal, Verdict | None]]) -> bool:
    """Return whether a firing signal has no verdict yet, or a provisional one: the pipeline evaluates it again."""
    going_on = [verdict for signal, verdict in signals if signal.status is SignalStatus.FIRING]
    return any(verdict is None or verdict.until is not None for verdict in going_on)


def open_questions(questions: Sequence[Question]) -> tuple[Question, ...]:
    """Return of each step of an incident its newest question, if nobody has answered it; both are oldest first."""
    newest = {each.path: each for each in questions}
    return tuple(each for each in questions if newest[each.path] is each and each.answer is None)


def is_still_asked(questions: Sequence[Question], plan: str, *, now: datetime) -> bool:
    """Return whether the newest question is about this plan and still valid, answered or not: it is not asked again."""
    return bool(questions) and questions[-1].bound == plan and now < questions[-1].expires


def repeated_question(questions: Sequence[Question], *, now: datetime) -> str:
    """Return the notice of a question that follows others, "" for the first."""
    if not questions:
        return ""
    newest = questions[-1]
    until, answered = f"{newest.expires:%H:%M:%S}", newest.approved
    if now < newest.expires:
        why = f"the plan has changed since {f'{newest.who} approved it' if answered else 'it was shown'}"
    elif answered:
        why = f"the approval of {newest.who} expired at {until} before the run could start"
    else:
        why = f"no approval by {until}"
    return f"{why}; approval is requested again"


def overdue_hold_notice(incident: Incident, limit: timedelta, *, now: datetime) -> str:
    """
    Return the notice of a hold that has reached its limit, "" before that, or when there is no hold.

    It is always the same text for one incident, so that it is sent once.
    """
    if incident.state is not IncidentState.HELD or now < incident.opened + limit:
        return ""
    return (
        f"The service is held since {incident.opened:%H:%M:%S} because of an upstream. After {format_duration(limit)}, Kintsugi evaluates the service on its own. The hold lasts"
        " longer if the upstream explains the problem and is still being recovered, or if its recovery failed and onUpstreamFailure is wait."
    )


class ReconcileAction(Enum):
    """The action that an open run needs."""

    LEAVE = "leave"
    TAKE_UP = "taken-up"
    RESTART = "restarted"
    HAND_OVER = "handed-over"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunLiveness:
    """
    The liveness of an open run in this process.

    `since_heartbeat` is since when its task has looked at nothing, None where it has no task. Its task has died `failures` times,
    the last time `failed_for` ago.
    """

    since_heartbeat: timedelta | None = None
    failures: int = 0
    failed_for: timedelta = timedelta(0)


def reconcile_action(run: RunRecord, liveness: RunLiveness, *, pause: timedelta, now: datetime) -> ReconcileAction:
    """
    Decide what an open run needs: a task, a new task, or a person.

    A run whose task died is taken up again after `pause`, doubled each time; after `MOST_TASK_FAILURES` it is handed over. One
    that is past its deadline and has looked at nothing for `HEARTBEAT_TIMEOUT` gets a new task (P5).
    """
    if liveness.since_heartbeat is not None:
        overdue = now > run.deadline and liveness.since_heartbeat > HEARTBEAT_TIMEOUT
        return ReconcileAction.RESTART if overdue else ReconcileAction.LEAVE
    if liveness.failures and liveness.failed_for < pause * 2**liveness.failures:
        return ReconcileAction.LEAVE
    return ReconcileAction.HAND_OVER if liveness.failures > MOST_TASK_FAILURES else ReconcileAction.TAKE_UP
