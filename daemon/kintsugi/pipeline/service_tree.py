"""The state of each service by priority, with its hold and its run under way. No I/O."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from kintsugi.decisions.activity import ActivityInput, HandOver, activity
from kintsugi.decisions.priorities import OngoingHold
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
from kintsugi.model.records import Approval, Incident, IncidentState, Pause, RunKind, RunRecord
from kintsugi.model.services import STACK
from kintsugi.model.views import ServiceView


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenRecords:
    """
    The open rows of the ledger: incidents and runs, and by run its current step. `holds` are those that count now.

    `inaction` has, of services that are not well, the reason for which nothing is done for them. `handed_over` has by
    service the hand-over after which it rests; `questions` are those to people about open incidents.
    `standings` say whether the revisions of services are good.
    """

    incidents: Iterable[Incident] = ()
    runs: Iterable[RunRecord] = ()
    steps: Mapping[str, CurrentStep] = field(default_factory=dict)
    holds: Mapping[str, OngoingHold] = field(default_factory=dict)
    inaction: Mapping[str, str] = field(default_factory=dict)
    standings: Mapping[str, RevisionStanding] = field(default_factory=dict)
    handed_over: Mapping[str, HandOver] = field(default_factory=dict)
    questions: Iterable[Approval] = ()
    pauses: tuple[Pause, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """
    What the activity of services is judged by. `stale` is why the state of the cluster cannot be trusted.

    `annotations` are the pauses in annotations by namespace.
    """

    now: datetime
    stale: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    timings: WatchdogTimings = field(default_factory=WatchdogTimings)


def summaries(views: Iterable[ServiceView], opened: OpenRecords, terms: Terms) -> list[ServiceSummary]:
    """Summarise each service with its open incident and run; drills do not count."""
    incidents = {each.service: each for each in opened.incidents if each.kind is RunKind.RECOVERY}
    runs = {each.service: each for each in opened.runs if each.kind is RunKind.RECOVERY}
    ordered = sorted(views, key=lambda view: (view.service.priority, view.name))
    return [
        _summary(
            view, _facts(view.name, view, (incidents.get(view.name), runs.get(view.name)), opened, terms), terms, opened
        )
        for view in ordered
    ]


def tree(views: Iterable[ServiceView], opened: OpenRecords, terms: Terms, daemon: DaemonStatus) -> ServiceTree:
    """Summarise all services, and the open incident about all of them together."""
    incident = next((each for each in opened.incidents if each.service == STACK), None)
    run = next((each for each in opened.runs if each.service == STACK), None)
    stack = None
    if incident is not None:
        facts = _facts(STACK, None, (incident, run), opened, terms)
        stack = StackSummary(
            incident=incident.id,
            state=incident.state,
            run=run_summary(run, facts.step),
            activity=activity(facts, now=terms.now),
        )
    return ServiceTree(services=tuple(summaries(views, opened, terms)), daemon=daemon, stack=stack)


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


def _facts(
    name: str,
    view: ServiceView | None,
    found: tuple[Incident | None, RunRecord | None],
    opened: OpenRecords,
    terms: Terms,
) -> ActivityInput:
    """Return what is known of a service, or of all of them together, whose incident and run were `found`."""
    incident, run = found
    asked = [each for each in opened.questions if incident is not None and each.incident == incident.id]
    return ActivityInput(
        name=name,
        view=view,
        stale=terms.stale,
        pauses=opened.pauses,
        annotation=terms.annotations.get(view.service.namespace, "") if view is not None else "",
        handed_over=opened.handed_over.get(name),
        incident=incident,
        question=next(reversed(open_questions(asked)), None),
        hold=_hold(incident, opened.holds.get(name)),
        run=run,
        step=opened.steps.get(run.id) if run is not None else None,
        timings=terms.timings,
        inaction=opened.inaction.get(name, ""),
    )


def _summary(view: ServiceView, facts: ActivityInput, terms: Terms, opened: OpenRecords) -> ServiceSummary:
    current = activity(facts, now=terms.now)
    return ServiceSummary(
        name=view.name,
        namespace=view.service.namespace,
        priority=view.service.priority,
        serving=view.serving if view.is_current else None,
        healthy=view.healthy,
        ready=view.ready,
        desired=view.desired,
        since=view.healthy_since or view.failing_since,
        incident=facts.incident.id if facts.incident is not None else "",
        depends_on=view.service.depends_on,
        inaction=current.text if current.kind is ActivityKind.INACTION else "",
        hold=facts.hold,
        run=run_summary(facts.run, facts.step),
        activity=current,
        revision=opened.standings.get(view.name),
    )


def _hold(incident: Incident | None, hold: OngoingHold | None) -> HoldSummary | None:
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
