"""The state of each service by priority, with its hold and its run under way. No I/O."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from kintsugi.decisions.activity import ActivityInput, activity
from kintsugi.decisions.guards import HandOver
from kintsugi.decisions.priorities import Hold
from kintsugi.decisions.reconciliation import open_questions
from kintsugi.decisions.watchdog import WatchdogTimings
from kintsugi.model.api_types import (
    ActivityKind,
    ChildSummary,
    CoveredService,
    CurrentStep,
    DaemonStatus,
    HoldSummary,
    RunSummary,
    ServiceSummary,
    ServiceTree,
    StackSummary,
)
from kintsugi.model.good_state import RevisionStanding
from kintsugi.model.questions import Question
from kintsugi.model.records import Incident, IncidentState, Pause, RunKind, RunRecord
from kintsugi.model.services import STACK
from kintsugi.model.views import ServiceView


@dataclass(frozen=True, kw_only=True)
class TreeInput:
    """
    The open rows of the ledger: incidents and runs, and by run its current step; and the terms by which activity is judged.

    `holds` are those that count now. `inaction` has, of services that are not well, the reason for which nothing is done for
    them. `handed_over` has by service the hand-over after which it rests; `questions` are those to people about open
    incidents. `standings` say whether the revisions of services are good. `stale` is why the state of the cluster cannot be
    trusted, `annotations` are the pauses in annotations by namespace.
    """

    now: datetime
    incidents: Iterable[Incident] = ()
    runs: Iterable[RunRecord] = ()
    steps: Mapping[str, CurrentStep] = field(default_factory=dict)
    holds: Mapping[str, Hold] = field(default_factory=dict)
    inaction: Mapping[str, str] = field(default_factory=dict)
    standings: Mapping[str, RevisionStanding] = field(default_factory=dict)
    handed_over: Mapping[str, HandOver] = field(default_factory=dict)
    questions: Iterable[Question] = ()
    pauses: tuple[Pause, ...] = ()
    stale: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    timings: WatchdogTimings = field(default_factory=WatchdogTimings)

    @cached_property
    def incident_of(self) -> Mapping[str, Incident]:
        """Return the open incident of each service, and of all of them together; drills do not count."""
        return {each.service: each for each in self.incidents if each.kind is RunKind.RECOVERY}

    @cached_property
    def run_of(self) -> Mapping[str, RunRecord]:
        """Return the run under way of each service, and of all of them together; drills do not count."""
        return {each.service: each for each in self.runs if each.kind is RunKind.RECOVERY}


def summaries(views: Iterable[ServiceView], inputs: TreeInput) -> list[ServiceSummary]:
    """Summarise each service with its open incident and run."""
    return [_summary(view, inputs) for view in sorted(views, key=lambda view: (view.service.priority, view.name))]


def tree(views: Iterable[ServiceView], inputs: TreeInput, daemon: DaemonStatus) -> ServiceTree:
    """Summarise all services, and the open incident about all of them together."""
    about_all, stack = _activity_input(STACK, None, inputs), None
    if about_all.incident is not None:
        stack = StackSummary(
            incident=about_all.incident.id,
            state=about_all.incident.state,
            run=run_summary(about_all.run, about_all.step),
            activity=activity(about_all, now=inputs.now),
        )
    return ServiceTree(services=tuple(summaries(views, inputs)), daemon=daemon, stack=stack)


def covered(views: Iterable[ServiceView], children: Iterable[RunRecord]) -> tuple[CoveredService, ...]:
    """Summarise the services that a run about all of them covers, with the runs that it has started."""
    started: dict[str, list[ChildSummary]] = defaultdict(list)
    for each in children:
        started[each.service].append(
            ChildSummary(
                incident=each.incident,
                runbook=each.runbook,
                step=each.parent_step,
                state=each.state,
                started=each.started,
                finished=each.finished,
            )
        )
    return tuple(
        CoveredService(
            name=view.name,
            serving=view.serving if view.is_current else None,
            healthy=view.healthy,
            children=tuple(started[view.name]),
        )
        for view in sorted(views, key=lambda view: (view.service.priority, view.name))
    )


def _activity_input(name: str, view: ServiceView | None, inputs: TreeInput) -> ActivityInput:
    """Return what is known of a service, or of all of them together (`view` None)."""
    incident, run = inputs.incident_of.get(name), inputs.run_of.get(name)
    asked = [each for each in inputs.questions if incident is not None and each.incident == incident.id]
    return ActivityInput(
        name=name,
        view=view,
        stale=inputs.stale,
        pauses=inputs.pauses,
        annotation=inputs.annotations.get(view.service.namespace, "") if view is not None else "",
        handed_over=inputs.handed_over.get(name),
        incident=incident,
        question=next(reversed(open_questions(asked)), None),
        hold=_hold(incident, inputs.holds.get(name)),
        run=run,
        step=inputs.steps.get(run.id) if run is not None else None,
        timings=inputs.timings,
        inaction=inputs.inaction.get(name, ""),
    )


def _summary(view: ServiceView, inputs: TreeInput) -> ServiceSummary:
    known = _activity_input(view.name, view, inputs)
    current = activity(known, now=inputs.now)
    return ServiceSummary(
        name=view.name,
        namespace=view.service.namespace,
        priority=view.service.priority,
        serving=view.serving if view.is_current else None,
        healthy=view.healthy,
        ready=view.ready,
        desired=view.desired,
        since=view.healthy_since or view.failing_since,
        incident=known.incident.id if known.incident is not None else "",
        depends_on=view.service.depends_on,
        inaction=current.text if current.kind is ActivityKind.INACTION else "",
        hold=known.hold,
        run=run_summary(known.run, known.step),
        activity=current,
        revision=inputs.standings.get(view.name),
    )


def _hold(incident: Incident | None, hold: Hold | None) -> HoldSummary | None:
    """Return the upstream that holds an incident; one whose reason has just gone is evaluated again within moments."""
    if incident is None or incident.state is not IncidentState.HELD:
        return None
    if hold is None:
        return HoldSummary(upstream="", why=incident.reason, since=incident.opened)
    return HoldSummary(upstream=hold.upstream, why=hold.why, since=incident.opened, until=hold.until)


def run_summary(run: RunRecord | None, step: CurrentStep | None) -> RunSummary | None:
    """Return a run with the step that it is at."""
    if run is None:
        return None
    return RunSummary(
        id=run.id,
        runbook=run.runbook,
        rule=run.rule,
        state=run.state,
        started=run.started,
        watchdog=run.deadline,
        step=step,
    )
