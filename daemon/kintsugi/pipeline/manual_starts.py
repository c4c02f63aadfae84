"""
Starts runbooks by hand: a person is shown the plan and the guards' objections, and starts exactly that plan.

The request is bound to the runbook, the service and the values without I/O; each refusal is one sentence. A start is
requested like any other, in one transaction; it is the approval of the plan, and kept as one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from kintsugi.catalog.call_graph import reachable, unfit_for_all
from kintsugi.catalog.problems import did_you_mean
from kintsugi.decisions.guards import GuardContext, StartObjection, may_start, objections
from kintsugi.decisions.planner import Plan, digest_of, plan
from kintsugi.durations import format_duration
from kintsugi.errors import CatalogMismatch, NotRecorded, WrongState
from kintsugi.ledger import Ledger, RunRequest, RunRequestResult
from kintsugi.model.api_types import GuardResult, RecoverPreview
from kintsugi.model.catalog import Catalog
from kintsugi.model.history import History
from kintsugi.model.identity import new_id
from kintsugi.model.manual import MANUAL, ManualStart, RecoverRequest
from kintsugi.model.records import RunKind, Verdict, VerdictKind
from kintsugi.model.rules import Mode, Rule, RuleSource
from kintsugi.model.runbooks import Runbook, Value
from kintsugi.model.services import STACK, AllServices, Service
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.pipeline.observed_state import ObservedState
from kintsugi.pipeline.run_supervisor import RunSupervisor
from kintsugi.scope.parameters import read_text
from kubeobjects.lines import line, lines

COOLDOWN = timedelta(minutes=10)
"""The cooldown of a runbook that no rule of its service starts: a rule's default."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class BoundStart:
    """A plan with a rule that no document has; `digest` is that of the plan and its overrides."""

    rule: Rule
    plan: Plan
    digest: str


def bind(request: RecoverRequest, catalog: Catalog, *, durations: float, now: datetime) -> BoundStart:
    """Bind a request. Raises NotRecorded for an unknown name, UnfitRequest for values that do not fit."""
    runbook = _runbook(request.runbook, catalog)
    target = _target(request, runbook, catalog)
    rule = manual_rule(runbook, target, cooldown=_cooldown(runbook, target, catalog, durations))
    given = _given(request.parameters, runbook, durations)
    bound = plan(rule, target, catalog, now=now, given=given)
    if lacking := list(_lacking(rule, bound, catalog)):
        raise CatalogMismatch("; ".join(lacking))
    return BoundStart(rule=rule, plan=bound, digest=digest_of(bound.digest, *sorted(request.overrides)))


def _runbook(name: str, catalog: Catalog) -> Runbook:
    runbook = catalog.runbooks.get(name)
    if runbook is None:
        raise NotRecorded(_unknown("runbook", name, catalog.runbooks))
    drilled = [each.name for each in catalog.services.values() if each.drill is not None and each.drill.runbook == name]
    if drilled:
        raise CatalogMismatch(f"{name} is a drill: kintsugi restore drill {drilled[0]} starts it")
    return runbook


def _target(request: RecoverRequest, runbook: Runbook, catalog: Catalog) -> Service | AllServices:
    """Choose the run's service: the runbook's own, the requested one, or the only one that names the runbook."""
    if request.service and catalog.subject(request.service) is None:
        raise NotRecorded(_unknown("service", request.service, catalog.services))
    if runbook.service and request.service not in ("", runbook.service):
        raise CatalogMismatch(f"{runbook.name} is about {runbook.service}, not about {request.service}")
    name = runbook.service or request.service or _only_one(runbook, catalog)
    if runbook.rehearsal and name == STACK:
        raise CatalogMismatch(f"service: {runbook.name} is a rehearsal, which is about one service: name it")
    unfit = unfit_for_all(runbook, catalog.runbooks) if name == STACK else None
    if unfit is not None:
        raise CatalogMismatch(f"{runbook.name} cannot be about all services: step {unfit[0].id!r} {unfit[1]}")
    target = catalog.subject(name)
    assert target is not None, "it is there, or the documents would have been refused"
    return target


def _only_one(runbook: Runbook, catalog: Catalog) -> str:
    """Return the only service that has the runbook, STACK where only rules about all services have it. Raises UnfitRequest."""
    naming = {each.name for each in catalog.services.values() if each.runbook == runbook.name}
    naming |= {each.service or STACK for each in catalog.rules.values() if each.runbook == runbook.name}
    if len(naming) == 1:
        return naming.pop()
    why = "several services have this runbook" if naming else "no service has this runbook"
    fit = [STACK] if unfit_for_all(runbook, catalog.runbooks) is None else []
    candidates = ", ".join(sorted(naming) or [*sorted(catalog.services), *fit])
    raise CatalogMismatch(f"service: name the service for {runbook.name}, because {why}: {candidates}")


def manual_rule(runbook: Runbook, target: Service | AllServices, *, cooldown: timedelta) -> Rule:
    """Return the rule of a manual run: its mode is the daemon's."""
    return Rule(
        name=MANUAL,
        on=RuleSource.SERVICES,
        service="" if isinstance(target, AllServices) else target.name,
        runbook=runbook.name,
        mode=Mode.AUTO,
        cooldown=cooldown,
        digest="",
        place=runbook.place,
    )


def _cooldown(runbook: Runbook, target: Service | AllServices, catalog: Catalog, durations: float) -> timedelta:
    """Return the runbook's cooldown: the longest of its rules."""
    name = "" if isinstance(target, AllServices) else target.name
    rules = [each for each in catalog.rules.values() if (each.service, each.runbook) == (name, runbook.name)]
    return max((each.cooldown for each in rules), default=COOLDOWN * durations)


def _given(texts: Mapping[str, str], runbook: Runbook, durations: float) -> Mapping[str, Value]:
    """Parse the typed values by the types of the runbook's parameters."""
    takes = {each.name: each for each in runbook.parameters}
    values: dict[str, Value] = {}
    for name, text in texts.items():
        if name not in takes:
            what = f"its parameters are {', '.join(takes)}" if takes else "the runbook has no parameters"
            raise CatalogMismatch(f"parameters: {runbook.name} has no parameter {name!r}: {what}")
        try:
            values[name] = read_text(takes[name].type, text, durations)
        except ValueError as error:
            raise CatalogMismatch(f"parameters: {name}: {error} ({name} is of type {takes[name].type})") from error
    return values


def _lacking(rule: Rule, bound: Plan, catalog: Catalog) -> Iterator[str]:
    """Return the missing values of the runbook and of those that it runs, which get theirs from the services' documents."""
    if bound.unbound:
        yield f"parameters: {bound.unbound}"
    for service, name in sorted(reachable({}, [rule], catalog.runbooks)):
        child = catalog.runbooks[name]
        subject = catalog.subject(service)
        has = subject.parameters if subject is not None else {}
        names = [each.name for each in child.parameters if each.default is None and each.name not in has]
        if names and child is not bound.runbook:
            yield f"the child runbook {name} needs {', '.join(names)}: give {service} a value for it under `parameters`"


def _unknown(kind: str, name: str, known: Mapping[str, object]) -> str:
    near = did_you_mean(name, known)
    return f"there is no {kind} {name}{f': {near}' if near else ''}"


@dataclass(eq=False)
class ManualStarts:
    """Shows and starts runbooks for people; `durations` scales what they type."""

    ledger: Ledger
    active_catalog: ActiveCatalog
    observed: ObservedState
    supervisor: RunSupervisor
    approval_expiry: timedelta
    durations: float = 1.0

    async def recover(self, start_request: RecoverRequest, who: str) -> RecoverPreview:
        """
        Start a runbook; without the digest of what was shown only show it.

        Raises NotRecorded and UsageError for a request that makes no sense, WrongState when it may not start now.
        """
        bound = bind(start_request, self.active_catalog.catalog, durations=self.durations, now=self.observed.clock())
        if not start_request.digest:
            return await self._shown(bound, start_request)
        known = await self.ledger.incidents.manual_start(bound.plan.service.name, start_request.key)
        if known is None and start_request.digest != bound.digest:
            raise WrongState("nothing is started: the plan has changed since it was shown; review the plan again")
        result = known or await self._request_run(bound, start_request, who)
        verdict, run = result.verdict, result.run
        if verdict.kind is not VerdictKind.STARTED or run is None:
            raise WrongState(f"nothing is started: {verdict.text}")
        if run.finished is None:
            self.supervisor.start(run)  # once: also one whose request's answer was lost
        text = f"{run.runbook} on {run.service}"
        shown = preview_of(bound, (), start_request, allowed=True, text=text)
        return replace(shown, begun=True, deadline=run.deadline, incident=run.incident)

    async def _shown(self, bound: BoundStart, start_request: RecoverRequest) -> RecoverPreview:
        """Return the plan, and the objections of all guards."""
        now, service, runbook = self.observed.clock(), bound.plan.service, bound.plan.runbook
        context = self._context(bound)
        history = await self.ledger.incidents.history_for(self._request(bound, context), now)
        found = objections(context, history, self.observed.limits, now=now)
        verdict = may_start(context, history, self.observed.limits, start_request.overrides, now=now)
        allowed = verdict.kind is VerdictKind.STARTED
        would = "would be started" if allowed else f"may not be started now: {verdict.text}"
        return preview_of(
            bound, found, start_request, allowed=allowed, text=f"{runbook.name} on {service.name} {would}"
        )

    async def _request_run(self, bound: BoundStart, start_request: RecoverRequest, who: str) -> RunRequestResult:
        now, context = self.observed.clock(), self._context(bound)
        start = start_of(bound, start_request, who, expires=now + self.approval_expiry)

        def decide(history: History) -> Verdict:
            verdict = may_start(context, history, self.observed.limits, start_request.overrides, now=now)
            return replace(verdict, text=start.reason) if verdict.kind is VerdictKind.STARTED else verdict

        request = self._request(bound, context)
        result = await self.ledger.incidents.request_run(replace(request, manual=start), decide, now)
        log.info(
            "manual run requested", who=who, runbook=request.runbook, verdict=result.verdict.kind, why=start_request.why
        )
        return result

    def _request(self, bound: BoundStart, context: GuardContext) -> RunRequest:
        digest, starts = self.active_catalog.catalog.digest, self.observed.starts(bound.plan)
        request = RunRequest.of(bound.plan, bound.rule, self.observed.mode, catalog=digest, starts=starts)
        kind = RunKind.REHEARSAL if bound.plan.runbook.rehearsal else RunKind.RECOVERY
        return replace(request, kind=kind, upstreams=tuple(each.upstream for each in context.holds))

    def _context(self, bound: BoundStart) -> GuardContext:
        """Gather the facts for the guards; a person's start approves its plan."""
        target, now = bound.plan.service, self.observed.clock()
        held_by = self.observed.holds(target, self.active_catalog.catalog, now) if isinstance(target, Service) else ()
        return self.observed.guard_context(bound.rule, bound.plan, held_by, approved=True)


def start_of(bound: BoundStart, start_request: RecoverRequest, who: str, *, expires: datetime) -> ManualStart:
    """Return the record of a start, with the plan as it was shown."""
    planned, overrides = bound.plan, tuple(sorted(start_request.overrides))
    head = f"{planned.runbook.title} on {planned.service.name}, started by hand: {start_request.why}"
    overruled = [f"Overruled: {', '.join(overrides)}"] if overrides else []
    values = [f"{name} = {parameter_text(value)}" for name, value in planned.parameters.items()]
    return ManualStart(
        who=who,
        why=start_request.why,
        overrides=overrides,
        plan=bound.digest,
        question=lines(map(line, [head, *overruled, *values, *planned.lines])),
        expires=expires,
        key=start_request.key or new_id("wish", expires),  # so that a commit whose answer is lost is known again
    )


def preview_of(
    bound: BoundStart, found: Sequence[StartObjection], start_request: RecoverRequest, *, allowed: bool, text: str
) -> RecoverPreview:
    """Return the preview of a start: its plan, with the objections to it."""
    planned = bound.plan
    return RecoverPreview(
        begun=False,
        allowed=allowed,
        text=text,
        runbook=planned.runbook.name,
        service=planned.service.name,
        namespace=planned.service.namespace,
        parameters={name: parameter_text(value) for name, value in planned.parameters.items()},
        steps=planned.lines,
        answers=tuple(
            GuardResult(
                reason=each.verdict.reason,
                text=each.verdict.text,
                until=each.verdict.until,
                override=each.override or "",
                overruled=each.override in start_request.overrides,
            )
            for each in found
        ),
        deadline=planned.deadline,
        digest=bound.digest,
    )


def parameter_text(value: Value) -> str:
    """Write a value as a person would type it."""
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
