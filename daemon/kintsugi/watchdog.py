"""
Did it help? What a run's watchdog concludes from how the service is now.

Pure: the runner asks once a second and carries out the answer. Every answer but WAIT ends the waiting, and there is no
WAIT after `end_of`: whatever flaps or cannot be seen, a run comes to its end.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from kintsugi.model.documents import RollbackThen, RollbackWhen
from kintsugi.model.views import ServiceView
from kintsugi.objects import facts
from kintsugi.objects.kept import Pod
from kintsugi.objects.rollouts import unsettled

FLAPPING = 5
"""How many times the failing time one looks for a clear failure after the deadline before a person is called."""

ROLLOUT = 5
"""How many times the verification time a rollout may take after a rollback: 10 minutes, as Kubernetes' own default."""

SKEW = timedelta(seconds=30)
"""How far the API server's clock may be from ours: a pod that was made so shortly before the run counts as made since."""

MOST_PODS = 3
"""How many pods are named in a reason; of more their number is said."""


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

    `began` is when it started, `walked` when its last step ended, `changed` whether it changed anything, `clear_since`
    when the trigger ended (None: it still holds). `stuck`: its steps were not all done, and at its deadline it would only
    call a person. `taken_up` is when a process first took it up after its deadline; None when one was there in time.
    """

    began: datetime
    deadline: datetime
    walked: datetime | None = None
    taken_up: datetime | None = None
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


def end_of(progress: Progress, patience: Patience) -> datetime:
    """
    Return when a run is over at the latest: its deadline, and what an alert may lag and a verification takes.

    A watchdog that is overdue because no process was there has the time to look again before it acts (P5), once.
    """
    latest = progress.deadline + patience.alert_lag + patience.verify
    if progress.taken_up is None:
        return latest
    return max(latest, progress.taken_up + patience.verify + patience.failing_for)


def settle_time(view: ServiceView, patience: Patience) -> timedelta:
    """Say how long health must last to count: the verification time or twice the observed crash interval."""
    return max(patience.verify, 2 * view.crash_interval)


def whole(span: timedelta) -> timedelta:
    """Round a span to seconds, as people read it."""
    return timedelta(seconds=round(span.total_seconds()))


def watch(view: ServiceView, progress: Progress, patience: Patience, *, now: datetime) -> Judgement:
    """
    Judge a run whose steps have ended, before its deadline.

    Recovered takes all of these: health that lasted without a restart, a trigger that is clear (an alert may lag), a
    rollout that is complete, and readiness of every pod made since the run began.
    """
    if is_unseen(view):
        return Judgement(call=Call.WAIT, reason=f"{view.name} cannot be seen well enough to judge")
    if progress.stuck and (trouble := trouble_since_the_walk(view, progress, patience, now=now)):
        return Judgement(call=Call.HAND_OVER, reason=f"{trouble}, and nothing is left to try")
    since = steady_since(view, progress)
    if since is None:
        return Judgement(call=Call.WAIT, reason=f"{view.name} is not healthy: {view.ready} of {view.desired} ready")
    settle = settle_time(view, patience)
    if now - since < settle:
        return Judgement(
            call=Call.WAIT, reason=f"{view.name} has been well since {since:%H:%M:%S}; {whole(settle)} are asked for"
        )
    doubt = unfinished(view, progress.began)
    if progress.clear_since is not None:
        return (
            Judgement(call=Call.WAIT, reason=f"{view.name} is healthy, but {doubt}") if doubt else well(view, progress)
        )
    if now - since < settle + patience.alert_lag:
        return Judgement(call=Call.WAIT, reason="all looks well; the trigger has not cleared yet")
    goes_on = "; ".join(["what started the run goes on", *([doubt] if doubt else [])])
    return Judgement(call=Call.INEFFECTIVE, reason=f"{view.name} looks well, but {goes_on}: a person is needed")


def is_unseen(view: ServiceView) -> bool:
    """Return whether nothing can be said of a service now (P6)."""
    return not view.fresh or view.healthy is None


def unfinished(view: ServiceView, began: datetime) -> str:
    """Return what forbids to call a healthy service recovered: its rollout, or a pod that was made since; "" for nothing."""
    if view.workload is not None and (why := unsettled(view.workload)):
        return f"the rollout of {view.service.workload} is not complete: {why}"
    unready = [pod.metadata.name for pod in made_since(view, began) if not facts.ready(pod)]
    if not unready:
        return ""
    named = ", ".join(unready[:MOST_PODS])
    more = f" and {len(unready) - MOST_PODS} more" if len(unready) > MOST_PODS else ""
    return f"made since the run began and not ready: {named}{more}"


def made_since(view: ServiceView, began: datetime) -> Iterator[Pod]:
    """Yield the service's pods that were made since a moment, but those that end or have ended."""
    for pod in view.pods:
        made = pod.metadata.creation_timestamp
        if made is not None and made >= began - SKEW and not facts.terminating(pod) and not facts.finished(pod):
            yield pod


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
    """
    Give the moment since when the service has been healthy with no restart, never earlier than the last step.

    A pod that was made since the run began counts from when it became ready.
    """
    if not view.healthy or view.healthy_since is None:
        return None
    turns = [facts.condition_of(pod.status.conditions, "Ready") for pod in made_since(view, progress.began)]
    ready = [turn.last_transition_time for turn in turns if turn is not None and turn.status == "True"]
    moments = [view.healthy_since, view.last_restart, progress.walked, *ready]
    return max(moment for moment in moments if moment is not None)


def in_the_end(view: ServiceView, progress: Progress, patience: Patience, *, now: datetime) -> Judgement:
    """
    Judge a run whose time is over and that is still waiting for something: say for what, and call a person.

    Nothing is taken back: a failure that has lasted for long enough has been acted upon at the deadline.
    """
    if is_unseen(view):
        why = f"{view.name} could not be seen well enough to judge until its time was over: nobody knows whether it is well"
        return Judgement(call=Call.HAND_OVER, reason=why)
    since = steady_since(view, progress)
    if since is None:
        return Judgement(call=Call.HAND_OVER, reason=f"{view.name} neither stays well nor fails for long: it flaps")
    doubts = ["what started the run goes on"] if progress.clear_since is None else []
    settle = settle_time(view, patience)
    if now - since < settle:
        cause = "a container restarted last at" if since == view.last_restart else "all this has been so only since"
        doubts.append(f"it has not been well for {whole(settle)} on end: {cause} {since:%H:%M:%S}")
    if doubt := unfinished(view, progress.began):
        doubts.append(doubt)
    call = Call.INEFFECTIVE if progress.clear_since is None else Call.HAND_OVER
    return Judgement(call=call, reason=f"{view.name} is healthy, but {'; '.join(doubts)}: a person is needed")


def after_rollback(view: ServiceView, progress: Progress, patience: Patience, *, now: datetime) -> Judgement:
    """
    Judge a rollback whose last change was made at `progress.walked`: RECOVERED when the service is well by it.

    Well means what it means after a run, but for the trigger. A service that is not healthy is given the verification
    time, and while its pods are being replaced the time of a rollout.
    """
    since, doubt = steady_since(view, progress), unfinished(view, progress.began)
    if is_unseen(view):
        patient, why = ROLLOUT * patience.verify, f"{view.name} cannot be seen well enough to judge"
    elif since is None:
        patient = (ROLLOUT if doubt else 1) * patience.verify
        why = f"{view.name} is not healthy: {view.ready} of {view.desired} ready"
    elif not doubt and now - since >= patience.verify:
        return Judgement(call=Call.RECOVERED, reason=f"{view.name} is healthy")
    else:
        patient = (ROLLOUT + 1) * patience.verify
        why = f"{doubt or f'{view.name} has been healthy only since {since:%H:%M:%S}'}"
    over = progress.walked is not None and now - progress.walked >= patient
    return Judgement(call=Call.HAND_OVER if over else Call.WAIT, reason=why)


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
