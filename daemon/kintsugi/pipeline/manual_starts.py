"""
Starts runbooks by hand: a person is shown the plan and the guards' objections, and starts exactly that plan.

A start is requested like any other, in one transaction; it is the approval of the plan, and kept as one.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from kintsugi.commands import format_duration
from kintsugi.decisions.guards import GuardContext
from kintsugi.decisions.manual import StartObjection, may_start, objections
from kintsugi.decisions.rehearsals import may_rehearse
from kintsugi.errors import WrongState
from kintsugi.ledger import Ledger, RunRequest, RunRequestResult
from kintsugi.model.api_types import GuardResult, RecoverPreview
from kintsugi.model.history import History
from kintsugi.model.identity import new_id
from kintsugi.model.manual import ManualStart, RecoverRequest
from kintsugi.model.records import RunKind, Verdict, VerdictKind
from kintsugi.model.runbooks import Value
from kintsugi.model.services import Service
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.pipeline.manual_binding import BoundStart, bind
from kintsugi.pipeline.observed_state import ObservedState
from kintsugi.pipeline.run_supervisor import RunSupervisor
from kubeobjects.lines import line, lines

log = structlog.get_logger(__name__)


class ManualStarts:
    """Shows and starts runbooks for people; `durations` scales what they type."""

    def __init__(
        self,
        ledger: Ledger,
        active_catalog: ActiveCatalog,
        observed: ObservedState,
        supervisor: RunSupervisor,
        *,
        approval_expiry: timedelta,
        durations: float = 1.0,
    ) -> None:
        self._ledger = ledger
        self._active_catalog = active_catalog
        self._observed = observed
        self._supervisor = supervisor
        self._approval_expiry = approval_expiry
        self._durations = durations

    async def recover(self, start_request: RecoverRequest, who: str) -> RecoverPreview:
        """
        Start a runbook; without the digest of what was shown only show it.

        Raises NotRecorded and UsageError for a request that makes no sense, WrongState when it may not start now.
        """
        bound = bind(start_request, self._active_catalog.catalog, durations=self._durations, now=self._observed.clock())
        if not start_request.digest:
            return await self._shown(bound, start_request)
        known = await self._ledger.run_requests.manual_start(bound.plan.service.name, start_request.key)
        if known is None and start_request.digest != bound.digest:
            raise WrongState("nothing is started: the plan has changed since it was shown; review the plan again")
        result = known or await self._request_run(bound, start_request, who)
        verdict, run = result.verdict, result.run
        if verdict.kind is not VerdictKind.STARTED or run is None:
            raise WrongState(f"nothing is started: {verdict.text}")
        if run.finished is None:
            self._supervisor.start(run)  # once: also one whose request's answer was lost
        text = f"{run.runbook} on {run.service}"
        shown = preview_of(bound, (), start_request, allowed=True, text=text)
        return replace(shown, begun=True, deadline=run.deadline, incident=run.incident)

    async def _shown(self, bound: BoundStart, start_request: RecoverRequest) -> RecoverPreview:
        """Return the plan, and the objections of all guards."""
        now, service, runbook = self._observed.clock(), bound.plan.service, bound.plan.runbook
        context = self._context(bound)
        upstreams = [each.upstream for each in context.holds]
        starts = self._observed.starts(bound.plan)
        history = await self._ledger.run_requests.history(
            service.name, service.namespace, now, runbook.name, upstreams, starts
        )
        found = objections(context, history, self._observed.limits, now=now)
        verdict = may_start(context, history, self._observed.limits, start_request.overrides, now=now)
        if refused := self._not_rehearsed(bound, history):
            found, verdict = (StartObjection(verdict=refused), *found), refused
        allowed = verdict.kind is VerdictKind.STARTED
        would = "would be started" if allowed else f"may not be started now: {verdict.text}"
        return preview_of(
            bound, found, start_request, allowed=allowed, text=f"{runbook.name} on {service.name} {would}"
        )

    async def _request_run(self, bound: BoundStart, start_request: RecoverRequest, who: str) -> RunRequestResult:
        now, planned, context = self._observed.clock(), bound.plan, self._context(bound)
        start = start_of(bound, start_request, who, expires=now + self._approval_expiry)

        def decide(history: History) -> Verdict:
            verdict = self._not_rehearsed(bound, history) or may_start(
                context, history, self._observed.limits, start_request.overrides, now=now
            )
            return replace(verdict, text=start.reason) if verdict.kind is VerdictKind.STARTED else verdict

        request = RunRequest(
            signal=None,
            service=planned.service.name,
            namespace=planned.service.namespace,
            rule=bound.rule.name,
            runbook=planned.runbook.name,
            mode=self._observed.mode,
            catalog=self._active_catalog.catalog.digest,
            parameters=planned.parameters,
            deadline=planned.deadline,
            locks=planned.locks,
            upstreams=tuple(each.upstream for each in context.holds),
            kind=RunKind.REHEARSAL if planned.runbook.rehearsal else RunKind.RECOVERY,
            manual=start,
            starts=self._observed.starts(planned),
        )
        result = await self._ledger.run_requests.request_run(request, decide, now)
        log.info(
            "manual run requested", who=who, runbook=request.runbook, verdict=result.verdict.kind, why=start_request.why
        )
        return result

    def _not_rehearsed(self, bound: BoundStart, history: History) -> Verdict | None:
        """Return why nothing may be rehearsed on the service now; None where it may, and for what is no rehearsal."""
        if not bound.plan.runbook.rehearsal:
            return None
        service, until = bound.plan.service.name, self._observed.clock() + self._observed.limits.recheck_after
        view = self._observed.views.get(service)
        return may_rehearse(bound.rule.name, service, view, history.incident, until=until)

    def _context(self, bound: BoundStart) -> GuardContext:
        """Gather the facts for the guards; a person's start approves its plan."""
        target, now = bound.plan.service, self._observed.clock()
        held_by = self._observed.holds(target, self._active_catalog.catalog, now) if isinstance(target, Service) else ()
        return self._observed.guard_context(bound.rule, bound.plan, held_by, approved=True)


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
