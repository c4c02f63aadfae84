"""
The watchdog of a run: decides by the service's current state whether the run has helped.

Pure: the driver asks once a second and acts on the answer. Every answer but WAIT ends the waiting, and there is no WAIT after
`end_of`: a run ends even if its service flaps or cannot be observed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from kintsugi.durations import format_duration, format_seconds
from kintsugi.model.records import SeenWorkload
from kintsugi.model.runbooks import Rollback, RollbackPolicy, RollbackThen
from kintsugi.model.services import Service
from kintsugi.model.views import ServiceView
from kubeobjects import predicates
from kubeobjects.kept import Pod
from kubeobjects.owners import Manager
from kubeobjects.rollouts import unsettled
from kubeobjects.workloads import Deployment

FLAPPING = 5
"""The time, in failing times, to look for a clear failure after the deadline before a person is called."""

ROLLOUT = 5
"""The limit of a rollout after a rollback, in verification times: 10 minutes by default, as in Kubernetes."""

SKEW = timedelta(seconds=30)
"""
The allowed difference between the API server's clock and ours: a pod made this shortly before the run counts as made
since.
"""

MOST_PODS = 3
"""The most pods that are named in a reason; of the others only the number is given."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RollbackEvidence:
    """
    The evidence for and against rolling the workload back.

    `known_good`: the failing template was once seen good, so that the fault is elsewhere. `last_written_by_us`: the template is as
    our run left it, which is only known where that was `noted`. `upstream`: the name of an unhealthy upstream. `managers`: GitOps
    or operators that own the workload; `release`: its Helm release. `progresses`: its rollout gets on.
    """

    known_good: bool
    last_written_by_us: bool
    noted: bool = True
    upstream: str = ""
    managers: tuple[Manager, ...] = ()
    release: str = ""
    progresses: bool = False


def rollback_command(
    view: ServiceView, evidence: RollbackEvidence, *, last_good: int, adopted: bool = False, none_good: str = ""
) -> str:
    """
    Return the command with which a person rolls the workload back, "" for none; a shell takes it as it is.

    `last_good` is the number of the last revision that was seen good, 0 where none is known, `adopted` whether it was
    adopted; `none_good` is why there is none, "" where that is not known. There is no command where the failing template
    was seen good, or where GitOps or an operator would revert it. What Helm owns goes back by Helm alone. A paused rollout
    is resumed first: kubectl refuses to undo it.
    """
    if evidence.known_good or evidence.managers:
        return ""
    namespace = view.service.namespace
    if evidence.release:
        return f"helm rollback {evidence.release} -n {namespace}  # to the previous release"
    if not last_good:
        return f"# {none_good}" if none_good else ""
    undo = f"kubectl rollout undo {view.service.workload} --to-revision={last_good} -n {namespace}"
    if isinstance(view.workload, Deployment) and view.workload.spec.paused:
        undo = f"kubectl rollout resume {view.service.workload} -n {namespace} && {undo}"
    seen = "an adopted revision: its pods were ready already when Kintsugi started"
    return f"{undo}  # {seen if adopted else 'a revision that was seen healthy'}"


def superseded(decided: SeenWorkload | None, found: SeenWorkload, service: Service) -> str:
    """
    Return why a rollback that was decided may not begin any more: its workload is another one, or has another template (E17).

    Where a template is unknown, the generation counts: a DaemonSet names its template only once all of its pods are of it.
    """
    workload = service.workload
    if decided is None or (found.uid == "" and decided.uid != ""):
        return f"the state of {workload} when the rollback was decided cannot be compared with its state now"
    if found.uid != decided.uid:
        return f"{workload} was created anew since the rollback was decided"
    known = found.template != "" and decided.template != ""
    if (found.template != decided.template) if known else (found.generation != decided.generation):
        then, now = (f" (revision {each.revision})" if each.revision else "" for each in (decided, found))
        return f"{workload} was changed{now} since the rollback was decided{then}"
    return ""


def _objection_to_rollback(view: ServiceView, evidence: RollbackEvidence) -> str:
    """Return the first objection to an automatic rollback, "" for none."""
    if evidence.upstream:
        return f"its upstream {evidence.upstream} is unhealthy, so the revision may not be the cause"
    if evidence.managers:
        return f"{view.service.workload} is managed by {', '.join(map(str, evidence.managers))}"
    if evidence.release:
        return f"{view.service.workload} belongs to the Helm release {evidence.release}, whose owner rolls the release back"
    if not evidence.noted:
        return f"the template of {view.service.workload} at the start of the run is unknown"
    if not evidence.last_written_by_us:
        return f"someone has changed {view.service.workload} since the run began"
    if evidence.known_good:
        return "the failing revision was seen good before, so a rollback would not help"
    return ""


class WatchdogDecision(StrEnum):
    """The decision of the watchdog."""

    WAIT = "wait"
    RECOVERED = "recovered"
    NO_ACTION = "no-action"
    INEFFECTIVE = "ineffective"
    ROLL_BACK = "roll-back"
    HAND_OVER = "hand-over"
    CANCEL = "cancel"

    def because(self, reason: str) -> "WatchdogResult":
        """Return this decision with its reason."""
        return WatchdogResult(decision=self, reason=reason)


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchdogResult:
    """A decision with its reason, a sentence for a person."""

    decision: WatchdogDecision
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchdogTimings:
    """The watchdog's durations, scaled by `durations`. `relapse` is how long another problem must last to end a verification."""

    verify: timedelta = timedelta(minutes=2)
    alert_lag: timedelta = timedelta(minutes=15)
    failing_for: timedelta = timedelta(minutes=3)
    relapse: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """
    The progress of a run.

    `began` is when it started, `steps_finished_at` when its last step ended, `changed` whether it changed anything, `clear_since`
    when the trigger ended (None: it still holds). `stuck`: its steps were not all done, and at its deadline it would only
    call a person, or it has left all to others. `untried` is why it has changed nothing, by its own diagnosis, "" where it has, or
    made none. `taken_up` is when a process first took it up after its deadline; None when one was there in time.
    """

    began: datetime
    deadline: datetime
    steps_finished_at: datetime | None = None
    taken_up: datetime | None = None
    changed: bool = False
    clear_since: datetime | None = None
    stuck: bool = False
    untried: str = ""


def progresses(view: ServiceView, *, start_up: timedelta, now: datetime) -> bool:
    """
    Return whether a rollout progresses beside serving pods: no pod is unhealthy by what its probes allow, and none has failed to start.

    Kubernetes says of a Deployment when it does not any more (`progressDeadlineSeconds`). `start_up` is what a pod may take at least.
    """
    if view.workload is None or view.rollout_complete or view.rollout_stuck or not view.serving:
        return False
    return not any(predicates.unhealthy(pod, now, start_up) for pod in view.pods)


def end_of(progress: Progress, timings: WatchdogTimings) -> datetime:
    """
    Return when a run is over at the latest: its deadline, and what an alert may lag and a verification takes.

    A watchdog that is overdue because no process was there has the time to look again before it acts (P5), once.
    """
    latest = progress.deadline + timings.alert_lag + timings.verify
    if progress.taken_up is None:
        return latest
    return max(latest, progress.taken_up + timings.verify + timings.failing_for)


def settle_time(view: ServiceView, timings: WatchdogTimings) -> timedelta:
    """Return how long health must last to count: the verification time or twice the observed crash interval."""
    return max(timings.verify, 2 * view.crash_interval)


def watch(view: ServiceView, progress: Progress, timings: WatchdogTimings, *, now: datetime) -> WatchdogResult:
    """
    Judge a run whose steps have ended, before its deadline.

    Recovered takes all of these: health that lasted without a restart, a trigger that is clear (an alert may lag), a
    rollout that is complete, and readiness of every pod made since the run began.
    """
    if (
        progress.stuck
        and not has_unknown_state(view)
        and (problem := persisting_problem(view, progress, timings, now=now))
    ):
        why = f": {progress.untried}" if progress.untried else ", and no further action is available"
        return WatchdogDecision.HAND_OVER.because(f"{problem}{why}")
    if waits := settling(view, progress, timings, now=now):
        return WatchdogDecision.WAIT.because(waits)
    lasting = now - (steady_since(view, progress) or now)
    doubt = unfinished(view, progress.began)
    if progress.clear_since is not None:
        return (
            WatchdogDecision.WAIT.because(f"{view.name} is healthy, but {doubt}") if doubt else success(view, progress)
        )
    if lasting < settle_time(view, timings) + timings.alert_lag:
        return WatchdogDecision.WAIT.because("everything is healthy; the trigger has not cleared yet")
    goes_on = "; ".join(["the trigger persists", *([doubt] if doubt else [])])
    return without_success(f"{view.name} is healthy, but {goes_on}", progress)


def without_success(problem: str, progress: Progress) -> WatchdogResult:
    """Close a run whose trigger persists: ineffective, or handed over with its cause where nothing was tried against that."""
    if progress.untried:
        return WatchdogDecision.HAND_OVER.because(f"{problem}, and nothing was changed: {progress.untried}")
    return WatchdogDecision.INEFFECTIVE.because(f"{problem}; a person is needed")


def settling(view: ServiceView, progress: Progress, timings: WatchdogTimings, *, now: datetime) -> str:
    """Return why a run must wait even if its trigger has ended: its service is not healthy, or not for long enough."""
    if has_unknown_state(view):
        return f"{view.name} cannot be observed reliably"
    since = steady_since(view, progress)
    if since is None:
        return f"{view.name} is not healthy: {view.ready} of {view.desired} ready"
    settle = settle_time(view, timings)
    if now - since < settle:
        return f"{view.name} has been healthy since {since:%H:%M:%S}; {format_seconds(settle)} are required"
    return ""


def has_unknown_state(view: ServiceView) -> bool:
    """Return whether the service's current state is unknown (P6)."""
    return not view.is_current or view.healthy is None


def unfinished(view: ServiceView, began: datetime) -> str:
    """Return why a healthy service is not recovered yet (its rollout, or a new pod), "" when it is."""
    if view.workload is not None and (why := unsettled(view.workload)):
        return f"the rollout of {view.service.workload} is not complete: {why}"
    unready = [pod.metadata.name for pod in made_since(view, began) if not predicates.ready(pod)]
    if not unready:
        return ""
    named = ", ".join(unready[:MOST_PODS])
    more = f" and {len(unready) - MOST_PODS} more" if len(unready) > MOST_PODS else ""
    return f"pods created since the run began are not ready: {named}{more}"


def made_since(view: ServiceView, began: datetime) -> Iterator[Pod]:
    """Yield the service's pods that were made since a moment, but those that end or have ended."""
    for pod in view.pods:
        made = pod.metadata.creation_timestamp
        if (
            made is not None
            and made >= began - SKEW
            and not predicates.terminating(pod)
            and not predicates.finished(pod)
        ):
            yield pod


def persisting_problem(view: ServiceView, progress: Progress, timings: WatchdogTimings, *, now: datetime) -> str:
    """Return the problem that has lasted long enough since the last step: the service's failure, or the trigger; "" for none."""
    if progress.steps_finished_at is None or now - progress.steps_finished_at < timings.failing_for:
        return ""
    if view.failing_since is not None and now - view.failing_since >= timings.failing_for:
        return f"{view.name} is not healthy"
    return f"the trigger on {view.name} persists" if progress.clear_since is None else ""


def success(view: ServiceView, progress: Progress) -> WatchdogResult:
    """Close a run on a healthy service: recovered when the run changed something, else no action."""
    if progress.changed:
        return WatchdogDecision.RECOVERED.because(f"{view.name} is healthy and the trigger has cleared")
    return WatchdogDecision.NO_ACTION.because(f"{view.name} is healthy; no change was needed")


def steady_since(view: ServiceView, progress: Progress) -> datetime | None:
    """
    Return the moment since when the service has been healthy with no restart, never earlier than the last step.

    A pod that was made since the run began counts from when it became ready.
    """
    if not view.healthy or view.healthy_since is None:
        return None
    ready = [predicates.ready_since(pod) for pod in made_since(view, progress.began)]
    moments = [view.healthy_since, view.last_restart, progress.steps_finished_at, *ready]
    return max(moment for moment in moments if moment is not None)


def in_the_end(view: ServiceView, progress: Progress, timings: WatchdogTimings, *, now: datetime) -> WatchdogResult:
    """
    Judge a run whose time is over while it still waits: name the reason, and call a person.

    Nothing is rolled back: a failure that has lasted long enough was acted upon at the deadline.
    """
    if has_unknown_state(view):
        why = f"{view.name} could not be observed reliably before its time was over; its health is unknown"
        return WatchdogDecision.HAND_OVER.because(why)
    since = steady_since(view, progress)
    if since is None:
        rollout = unsettled(view.workload) if view.workload is not None else ""
        flapping = f"{view.name} is flapping: its health changes too often for a decision"
        slow = f"the rollout of {view.service.workload} did not complete in time: {rollout}"
        return WatchdogDecision.HAND_OVER.because(slow if rollout else flapping)
    doubts = ["the trigger persists"] if progress.clear_since is None else []
    settle = settle_time(view, timings)
    if now - since < settle:
        cause = (
            "the last container restart was at" if since == view.last_restart else "all conditions are met only since"
        )
        doubts.append(
            f"the service was not healthy for {format_seconds(settle)} without interruption: {cause} {since:%H:%M:%S}"
        )
    if doubt := unfinished(view, progress.began):
        doubts.append(doubt)
    problem = f"{view.name} is healthy, but {'; '.join(doubts)}"
    if progress.clear_since is None:
        return without_success(problem, progress)
    return WatchdogDecision.HAND_OVER.because(f"{problem}; a person is needed")


def after_rollback(view: ServiceView, progress: Progress, timings: WatchdogTimings, *, now: datetime) -> WatchdogResult:
    """
    Judge a rollback whose last change was made at `progress.steps_finished_at`: RECOVERED when the service is well by it.

    Well means what it means after a run, but for the trigger. A service that is not healthy is given the verification
    time, and while its pods are being replaced the time of a rollout.
    """
    since, doubt = steady_since(view, progress), unfinished(view, progress.began)
    if has_unknown_state(view):
        patient, why = ROLLOUT * timings.verify, f"{view.name} cannot be observed reliably"
    elif since is None:
        patient = (ROLLOUT if doubt else 1) * timings.verify
        why = f"{view.name} is not healthy: {view.ready} of {view.desired} ready"
    elif not doubt and now - since >= timings.verify:
        return WatchdogDecision.RECOVERED.because(f"{view.name} is healthy")
    else:
        patient = (ROLLOUT + 1) * timings.verify
        why = f"{doubt or f'{view.name} has been healthy only since {since:%H:%M:%S}'}"
    over = progress.steps_finished_at is not None and now - progress.steps_finished_at >= patient
    return (WatchdogDecision.HAND_OVER if over else WatchdogDecision.WAIT).because(why)


def at_deadline(
    view: ServiceView,
    evidence: RollbackEvidence,
    rollback: Rollback,
    timings: WatchdogTimings,
    *,
    observed_since: datetime,
    now: datetime,
) -> WatchdogResult:
    """
    Judge at the deadline, on what is seen now (P5: an overdue watchdog checks again first).

    `rollback` is the runbook's. This process first judged the service after the deadline with a current view at `observed_since`.

    A rollback happens by itself only when the failing template was never seen good, is as our run left it, upstreams
    are well, no other manager owns the workload, and the failure has lasted; `always` is the author's choice.
    """
    if not view.is_current or view.healthy is None:
        return WatchdogDecision.WAIT.because(f"the deadline was reached, but {view.name} cannot be observed reliably")
    if view.healthy:
        return WatchdogDecision.WAIT.because(
            f"the deadline was reached, but {view.name} is healthy and is being verified"
        )
    if rollback.then is RollbackThen.LEAVE:
        return WatchdogDecision.HAND_OVER.because(
            "the deadline was reached; all changes are left in place for a person"
        )
    if rollback.policy is RollbackPolicy.ALWAYS:
        return WatchdogDecision.ROLL_BACK.because("the deadline was reached and the runbook always rolls back")
    objection = _objection_to_rollback(view, evidence)
    if objection:
        return WatchdogDecision.HAND_OVER.because(f"not rolled back: {objection}")
    if evidence.progresses:
        return WatchdogDecision.WAIT.because(
            f"the deadline was reached, but the rollout of {view.service.workload} progresses beside serving pods"
        )
    if view.failing_since is not None and now - view.failing_since >= timings.failing_for:
        return WatchdogDecision.ROLL_BACK.because(f"{view.name} is still failing at the deadline")
    if now - observed_since > FLAPPING * timings.failing_for:
        return WatchdogDecision.HAND_OVER.because(
            f"{view.name} is flapping: its health changes too often for a decision"
        )
    return WatchdogDecision.WAIT.because(
        f"the deadline was reached; {view.name} has not failed for {format_duration(timings.failing_for)} without interruption"
    )
