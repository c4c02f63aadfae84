"""
Did it help? What a run's watchdog concludes from how the service is now.

Pure: the runner asks once a second and carries out the answer. Every answer but WAIT ends the waiting.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from kintsugi.model.documents import RollbackThen, RollbackWhen
from kintsugi.model.views import ServiceView

FLAPPING = 5
"""How many times the failing time one looks for a clear failure after the deadline before a person is called."""


class Call(StrEnum):
    """What is to be done now."""

    WAIT = "wait"
    RECOVERED = "recovered"
    NO_ACTION = "no-action"
    INEFFECTIVE = "ineffective"
    ROLL_BACK = "roll-back"
    HAND_OVER = "hand-over"


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """A call with its reason, a sentence for a person."""

    call: Call
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """The figures of DESIGN 6, scaled by `durations`."""

    verify: timedelta = timedelta(minutes=2)
    alert_lag: timedelta = timedelta(minutes=15)
    failing_for: timedelta = timedelta(minutes=3)


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """
    What the run has come to.

    `walked` is when its last step ended, `changed` whether it changed anything, `clear_since` when the trigger ended
    (None: it still holds). `stuck`: its steps were not all done, and at its deadline it would only call a person.
    """

    deadline: datetime
    walked: datetime | None = None
    changed: bool = False
    clear_since: datetime | None = None
    stuck: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Suspicion:
    """
    What speaks for or against taking the workload back.

    `known_good`: the failing template was once seen good, so that the fault is elsewhere. `ours`: the template is as our
    run left it. `upstream`: the name of an upstream that is not well. `managers`: GitOps or operators that own it.
    """

    known_good: bool
    ours: bool
    upstream: str = ""
    managers: tuple[str, ...] = ()


def settle_time(view: ServiceView, patience: Patience) -> timedelta:
    """Say how long health must last to count: the verification time or twice the observed crash interval."""
    return max(patience.verify, 2 * view.crash_interval)


def watch(view: ServiceView, progress: Progress, patience: Patience, *, now: datetime) -> Judgement:
    """
    Judge a run whose steps have ended, before its deadline.

    Recovered takes both: health that lasted without a restart, *and* a trigger that is clear; an alert may lag.
    """
    if not view.fresh or view.healthy is None:
        return Judgement(call=Call.WAIT, reason=f"{view.name} cannot be seen well enough to judge")
    if progress.stuck and (trouble := trouble_since_the_walk(view, progress, patience, now=now)):
        return Judgement(call=Call.HAND_OVER, reason=f"{trouble}, and nothing is left to try")
    since = steady_since(view, progress)
    if since is None:
        return Judgement(call=Call.WAIT, reason=f"{view.name} is not healthy: {view.ready} of {view.desired} ready")
    settle = settle_time(view, patience)
    if now - since < settle:
        return Judgement(
            call=Call.WAIT, reason=f"{view.name} has been well since {since:%H:%M:%S}; {settle} are asked for"
        )
    if progress.clear_since is not None:
        return well(view, progress)
    if now - since < settle + patience.alert_lag:
        return Judgement(call=Call.WAIT, reason="all looks well; the trigger has not cleared yet")
    return Judgement(
        call=Call.INEFFECTIVE, reason=f"{view.name} looks well, but what started the run goes on: a person is needed"
    )


def trouble_since_the_walk(view: ServiceView, progress: Progress, patience: Patience, *, now: datetime) -> str:
    """Say what has gone on for long enough since the last step ended: the service's failure, or what started the run."""
    if progress.walked is None or now - progress.walked < patience.failing_for:
        return ""
    if view.failing_since is not None and now - view.failing_since >= patience.failing_for:
        return f"{view.name} is not healthy"
    return f"what started the run on {view.name} goes on" if progress.clear_since is None else ""


def well(view: ServiceView, progress: Progress) -> Judgement:
    """Close a run on a healthy service: recovered when something was done for it, else no action."""
    if progress.changed:
        return Judgement(call=Call.RECOVERED, reason=f"{view.name} is healthy and what started the run is clear")
    return Judgement(call=Call.NO_ACTION, reason=f"{view.name} is healthy; nothing had to be changed")


def steady_since(view: ServiceView, progress: Progress) -> datetime | None:
    """Give the moment since when the service has been healthy with no restart, never earlier than the last step."""
    moments = [moment for moment in (view.healthy_since, view.last_restart, progress.walked) if moment is not None]
    return max(moments) if view.healthy and view.healthy_since is not None else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Deadline:
    """
    How the runbook wants its deadline treated: with care or always, and what comes after the rollback's steps.

    `looked_since` is when the service was first judged after the deadline with open eyes, by this process.
    """

    when: RollbackWhen
    then: RollbackThen
    looked_since: datetime


def at_deadline(
    view: ServiceView, suspicion: Suspicion, terms: Deadline, patience: Patience, *, now: datetime
) -> Judgement:
    """
    Judge at the deadline, on what is seen now (P5: an overdue watchdog looks again first).

    A rollback happens by itself only when the failing template was never seen good, is as our run left it, upstreams are
    well, nobody else manages the workload, and the failure has lasted (DESIGN 6); `always` is the author's choice.
    """
    if not view.fresh or view.healthy is None:
        return Judgement(
            call=Call.WAIT, reason=f"the deadline has come, but {view.name} cannot be seen well enough to judge"
        )
    if view.healthy:
        return Judgement(call=Call.WAIT, reason=f"the deadline has come, but {view.name} is healthy: it is verified")
    if terms.then is RollbackThen.PARK:
        return Judgement(call=Call.HAND_OVER, reason="the deadline has come: everything is left as it is for a person")
    if terms.when is RollbackWhen.ALWAYS:
        return Judgement(call=Call.ROLL_BACK, reason="the deadline has come and the runbook always rolls back")
    objection = objection_to_rollback(view, suspicion)
    if objection:
        return Judgement(call=Call.HAND_OVER, reason=f"not rolled back: {objection}")
    if view.failing_since is not None and now - view.failing_since >= patience.failing_for:
        return Judgement(call=Call.ROLL_BACK, reason=f"{view.name} is still failing at the deadline")
    if now - terms.looked_since > FLAPPING * patience.failing_for:
        return Judgement(call=Call.HAND_OVER, reason=f"{view.name} neither stays well nor fails for long: it flaps")
    return Judgement(
        call=Call.WAIT, reason=f"the deadline has come; {view.name} has not failed for {patience.failing_for} on end"
    )


def objection_to_rollback(view: ServiceView, suspicion: Suspicion) -> str:
    """Name the first thing that speaks against a rollback by ourselves, or nothing."""
    if suspicion.upstream:
        return f"its upstream {suspicion.upstream} is not well, so the revision may be innocent"
    if suspicion.managers:
        return f"{view.service.workload} is managed by {', '.join(suspicion.managers)}"
    if not suspicion.ours:
        return f"someone has changed {view.service.workload} since the run began"
    if suspicion.known_good:
        return "the revision that fails now was seen good before, so going back would not help"
    return ""
