"""
Decides when a person must be notified that a service is down: no outage is silent (P11).

Pure: views, diagnoses, the facts of the ledger and `now` are arguments. `pipeline.outage_watch` asks every few seconds.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from kintsugi.decisions.watchdog import WatchdogTimings, progresses
from kintsugi.model.outages import Fault, KnownFaults, NoticeOfProblem, NoticeState, Outage, Superseded
from kintsugi.model.records import HoldingSignals, IncidentState, KeptDiagnosis, Reason, RunRecord, VerdictKind
from kintsugi.model.views import ServiceView
from kubediagnosis.causes import Diagnosis
from kubediagnosis.headline import diagnosis_at

SAME_TIME = timedelta(minutes=1)
"""An upstream that fails this much after its dependent may still be the dependent's cause: the two are noticed one by one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OutageTimings:
    """
    The durations of P11, scaled by `durations`.

    `notify_after`: a person is notified this long after a fault began, at the latest. P11 says seven minutes; the rest is for the
    last diagnosis and the delivery. The longest `for` of a shipped rule is five minutes. `repair`: a run counts as a repair this
    long after its last change. `diagnose_every`: the interval of diagnoses of a service that is down; the first comes after
    `diagnose_first`, when Kubernetes has reported the problem. A restart was needless if its fault stands `hindsight` after it.
    """

    notify_after: timedelta = timedelta(minutes=6)
    repair: timedelta = timedelta(minutes=10)
    diagnose_first: timedelta = timedelta(seconds=20)
    diagnose_every: timedelta = timedelta(minutes=1)
    hindsight: timedelta = timedelta(minutes=10)

    def scaled(self, durations: float) -> "OutageTimings":
        """Return them multiplied by a factor."""
        return OutageTimings(
            notify_after=self.notify_after * durations,
            repair=self.repair * durations,
            diagnose_first=self.diagnose_first * durations,
            diagnose_every=self.diagnose_every * durations,
            hindsight=self.hindsight * durations,
        )


def is_down(view: ServiceView, *, start_up: timedelta, now: datetime) -> bool:
    """
    Return whether a service is down: its current view says that it is not healthy, or its rollout is stuck.

    A rollout that progresses beside serving pods is Kubernetes' own work, and a service that an autoscaler lets rest at 0 rests.
    """
    if not view.is_current or not view.is_failing:
        return False
    return not (view.desired == 0 and view.rests) and not progresses(view, start_up=start_up, now=now)


def observed(known: Outage | None, view: ServiceView, well_since: datetime | None, *, now: datetime) -> Outage:
    """Return the outage of a service that is down, and was well since a moment before; another template is another fault."""
    since = min(view.failing_since or now, now)
    if known is None:
        fault = Fault(template=view.template)
        return Outage(service=view.name, since=since, fault=fault, fault_since=since, well_since=well_since)
    if view.template in ("", known.fault.template):
        return known
    if not known.fault.template:
        return replace(known, fault=replace(known.fault, template=view.template))
    return replace(known, fault=Fault(template=view.template), fault_since=now, diagnosed=None, notice="")


def fault_of(found: Diagnosis, template: str) -> Fault:
    """Return the fault that a diagnosis shows: its first cause."""
    if not found.causes:
        return Fault(template=template)
    return Fault.of(found.causes[0], template)


def diagnosed(outage: Outage, found: Diagnosis, *, now: datetime) -> Outage:
    """Return the outage after a diagnosis: the first cause that is found belongs to its begin, another one began later."""
    fault, before = fault_of(found, outage.fault.template), outage.fault
    if fault.kind is None or fault == before:
        return replace(outage, diagnosed=now)
    if before.kind is None:
        return replace(outage, fault=fault, diagnosed=now, notice="")
    return replace(outage, fault=fault, fault_since=outage.diagnosed or now, diagnosed=now, notice="")


def well_before(outage: Outage | None, view: ServiceView | None, *, now: datetime) -> tuple[datetime, datetime] | None:
    """Return from when to when a service was last well without interruption; None where that was not seen."""
    if outage is not None:
        return (outage.well_since, outage.since) if outage.well_since is not None else None
    return (view.healthy_since, now) if view is not None and view.healthy_since is not None else None


@dataclass(frozen=True, kw_only=True, slots=True)
class NextFault:
    """
    Another problem of a service whose run verifies: why that run ends, and whether its steps had made the service well.

    `text` does not say what another problem is: that one has an incident and a notice of its own.
    """

    superseded: Superseded
    was_well: bool
    text: str


def next_fault(
    outage: Outage, known: KnownFaults, watched: datetime, timings: WatchdogTimings, *, changed: bool, now: datetime
) -> NextFault | None:
    """
    Return the problem that ends the verification of a run, None for none. `changed`: the run has changed anything.

    `watched` is since when its service has been watched after the run's steps: the time before, in which no process looked,
    says nothing about its health.

    Another template always does. The same template does once the service was well for long enough, or was well at all and the run
    has changed nothing. Otherwise the problem may be the run's own, and its deadline decides. It must have been diagnosed.
    """
    if outage.diagnosed is None or now - outage.fault_since < timings.relapse:
        return None
    well = outage.since - watched
    was_well = well > timedelta(0)
    rolled_out = not known.has_template(outage.fault)
    if not rolled_out and not (well >= timings.verify or (was_well and not changed)):
        return None
    until = f"was well until {outage.since:%H:%M:%S}" if was_well else "did not become well"
    if rolled_out or not known.has_cause(outage.fault):
        reason, then = Superseded.OTHER_FAULT, f"then another problem began, at {outage.fault_since:%H:%M:%S}"
    else:
        reason, then = Superseded.SAME_FAULT, f"then its problem returned: {outage.fault}"
    return NextFault(superseded=reason, was_well=was_well, text=f"{outage.service} {until}, {then}")


def is_diagnosis_due(outage: Outage, timings: OutageTimings, *, now: datetime) -> bool:
    """Return whether an outage is to be diagnosed again."""
    if outage.diagnosed is None:
        return now - outage.fault_since >= timings.diagnose_first
    return now - outage.diagnosed >= timings.diagnose_every


def repair_at(run: RunRecord | None, last_change: datetime | None, *, paused: bool, now: datetime) -> datetime | None:
    """
    Return when a run last made a change, or waited for one of its own; None for no such run.

    A run that carries out steps after its first change waits for it, unless a pause keeps it from the next one.
    """
    if run is None or last_change is None:
        return None
    if run.state in (IncidentState.RUNNING, IncidentState.ROLLING_BACK) and not paused:
        return now
    return max(last_change, run.steps_finished_at or last_change)


def is_explained(outage: Outage, upstream: Outage | None) -> bool:
    """Return whether the outage of an upstream explains this one, so that its notice is about both."""
    return upstream is not None and upstream.since <= outage.since + SAME_TIME


def notice_state(outage: Outage, notices: Iterable[NoticeOfProblem], diagnoses: Sequence[KeptDiagnosis]) -> NoticeState:
    """
    Return whether a person was notified of an outage's fault: the notice of an incident counts if it has this cause.

    `diagnoses` are those of the incidents, oldest first.
    """
    sent = [each.sent for each in notices if each.incident is None or _names(each, outage, diagnoses)]
    if not sent:
        return NoticeState.SENT if outage.fault in outage.notified else NoticeState.NONE
    return NoticeState.SENT if any(sent) else NoticeState.WAITING


def _names(notice: NoticeOfProblem, outage: Outage, diagnoses: Sequence[KeptDiagnosis]) -> bool:
    """Return whether an incident's notice, which has the last diagnosis before it, names the fault, as diagnosed since."""
    of_it = [each.diagnosis for each in diagnoses if each.incident == notice.incident]
    found = diagnosis_at(of_it, notice.created)
    if found is None or found.at < outage.fault_since:
        return False
    return outage.fault.kind is None or fault_of(found, outage.fault.template) == outage.fault


def unnotified_for(
    outage: Outage, notice: NoticeState, repair: datetime | None, timings: OutageTimings, *, now: datetime
) -> timedelta:
    """Return for how long nobody has repaired a fault or known of it; zero while a repair goes on or a person was notified."""
    if notice is NoticeState.SENT or (repair is not None and now - repair < timings.repair):
        return timedelta(0)
    return now - max(outage.fault_since, repair or outage.fault_since)


def is_held_back(signals: Collection[HoldingSignals], recheck_after: timedelta, *, now: datetime) -> bool:
    """
    Return whether nothing is done for a service for a while: each of its signals is refused, until a moment later than the next
    evaluation (`recheck_after`) or for good, or since longer than that because another run has a lock.
    """

    def lasts(each: HoldingSignals) -> bool:
        verdict = each.verdict
        if verdict is None or verdict.kind is not VerdictKind.REFUSED:
            return False
        if verdict.reason is Reason.LOCKED:
            return now - each.since > recheck_after
        return verdict.until is None or verdict.until > now + recheck_after

    return bool(signals) and all(map(lasts, signals))


def is_notice_due(
    outage: Outage,
    notice: NoticeState,
    repair: datetime | None,
    timings: OutageTimings,
    *,
    held_back: bool = False,
    now: datetime,
) -> bool:
    """
    Return whether a person must be notified now: the fault has lasted, nobody knows of it, and no repair goes on.

    It has lasted once it is diagnosed and nothing is done for it for a while (`held_back`). Where nobody was notified of any fault of
    the outage, its time counts from the outage's begin, so that causes that take turns do not put it off.
    """
    if notice is not NoticeState.NONE:
        return False
    if held_back and outage.diagnosed is not None:
        return True
    due = (outage.fault_since if outage.notified else outage.since) + timings.notify_after
    if repair is not None:
        due = max(due, repair + timings.repair)
    return now >= due
