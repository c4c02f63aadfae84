"""The state of each service by priority, with its hold and its run under way. No I/O."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kintsugi.decisions.priorities import OngoingHold
from kintsugi.model.api_types import (
    ChildSummary,
    CoveredService,
    CurrentStep,
    HoldSummary,
    RunSummary,
    ServiceSummary,
    ServiceTree,
    StackSummary,
)
from kintsugi.model.known import RevisionStanding
from kintsugi.model.records import Incident, IncidentState, RunKind, RunRecord
from kintsugi.model.services import STACK
from kintsugi.model.views import ServiceView


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenRecords:
    """
    The open rows of the ledger: incidents and runs, and by run its current step. `holds` are those that count now.

    `inaction` has, of services that are not well, the reason for which nothing is done for them. `standings` say whether
    the revisions of services are good.
    """

    incidents: Iterable[Incident] = ()
    runs: Iterable[RunRecord] = ()
    steps: Mapping[str, CurrentStep] = field(default_factory=dict)
    holds: Mapping[str, OngoingHold] = field(default_factory=dict)
    inaction: Mapping[str, str] = field(default_factory=dict)
    standings: Mapping[str, RevisionStanding] = field(default_factory=dict)


def summaries(views: Iterable[ServiceView], opened: OpenRecords) -> list[ServiceSummary]:
    """Summarise each service with its open incident and run; drills do not count."""
    incidents = {each.service: each for each in opened.incidents if each.kind is RunKind.RECOVERY}
    runs = {each.service: each for each in opened.runs if each.kind is not RunKind.DRILL}
    ordered = sorted(views, key=lambda view: (view.service.priority, view.name))
    return [
        _summary(view, incidents.get(view.name), run_summary(runs.get(view.name), opened.steps), opened)
        for view in ordered
    ]


def tree(views: Iterable[ServiceView], opened: OpenRecords) -> ServiceTree:
    """Summarise all services, and the open incident about all of them together."""
    incident = next((each for each in opened.incidents if each.service == STACK), None)
    run = next((each for each in opened.runs if each.service == STACK), None)
    stack = None
    if incident is not None:
        stack = StackSummary(incident=incident.id, state=incident.state, run=run_summary(run, opened.steps))
    return ServiceTree(services=tuple(summaries(views, opened)), stack=stack)


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


def _summary(
    view: ServiceView, incident: Incident | None, run: RunSummary | None, opened: OpenRecords
) -> ServiceSummary:
    is_idle = incident is None and run is None and view.healthy is False
    return ServiceSummary(
        name=view.name,
        namespace=view.service.namespace,
        priority=view.service.priority,
        serving=view.serving if view.is_current else None,
        healthy=view.healthy,
        ready=view.ready,
        desired=view.desired,
        since=view.healthy_since or view.failing_since,
        incident=incident.id if incident is not None else "",
        depends_on=view.service.depends_on,
        inaction=opened.inaction.get(view.name, "") if is_idle else "",
        hold=_hold(incident, opened.holds.get(view.name)),
        run=run,
        revision=opened.standings.get(view.name),
    )


def _hold(incident: Incident | None, hold: OngoingHold | None) -> HoldSummary | None:
    """Return the upstream that holds an incident; one whose reason has just gone is evaluated again within moments."""
    if incident is None or incident.state is not IncidentState.HELD:
        return None
    if hold is None:
        return HoldSummary(upstream="", why=incident.reason, since=incident.opened)
    return HoldSummary(upstream=hold.upstream, why=hold.why, since=incident.opened, until=hold.until)


def run_summary(run: RunRecord | None, steps: Mapping[str, CurrentStep]) -> RunSummary | None:
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
        step=steps.get(run.id),
    )
