"""
Requests runs from the ledger, with the guards bound to the request, and asks a person for approval before.

Signals use it as they are evaluated, waiting incidents as they are reconciled.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from kintsugi.decisions.guards import check
from kintsugi.decisions.planner import Plan, RunPreview, digest_with, plan, question_of
from kintsugi.decisions.priorities import Hold
from kintsugi.decisions.reconciliation import is_still_asked, repeated_question
from kintsugi.ledger import Decide, Ledger, RunRequest, RunRequestResult
from kintsugi.model.history import History
from kintsugi.model.records import Approval, Incident, Signal, Verdict, VerdictKind
from kintsugi.model.rules import Rule
from kintsugi.model.services import AllServices, Service
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.pipeline.contention import Contention
from kintsugi.pipeline.observed_state import ObservedState
from kintsugi.pipeline.run_preview import no_preview
from kintsugi.pipeline.waiting_incidents import WaitingIncidents
from kubeobjects.lines import lines

Preview = Callable[[Incident, Plan], Awaitable[RunPreview | None]]


class RunRequester:
    """
    Requests runs; refusals for want of a slot are noted in `contention`, incidents without a run in `waiting`.

    `preview` says what a run would do; it is set before any question is asked.
    """

    def __init__(
        self,
        ledger: Ledger,
        active_catalog: ActiveCatalog,
        observed: ObservedState,
        contention: Contention,
        waiting: WaitingIncidents,
        *,
        approval_expiry: timedelta,
    ) -> None:
        self._ledger = ledger
        self._active_catalog = active_catalog
        self._observed = observed
        self._contention = contention
        self._waiting = waiting
        self._approval_expiry = approval_expiry
        self._asking = asyncio.Lock()
        self.preview: Preview = no_preview

    async def request(self, signal: Signal, rule: Rule, service: Service | AllServices) -> RunRequestResult:
        """Plan the runbook of a rule for a service, and request it; ask for a missing approval."""
        now = self._observed.clock()
        bound = plan(rule, service, self._active_catalog.catalog, now=now)
        result = await self._ledger.run_requests.request_run(
            self.request_of(signal, rule, bound), self.decision(rule, bound, signal), now
        )
        self._contention.note(service, result.verdict)
        self._waiting.note(result.incident)
        if result.verdict.kind is VerdictKind.AWAITING_APPROVAL and result.incident is not None:
            await self.ask(result.incident, bound)
        return result

    async def verdict_now(self, signal: Signal, rule: Rule, service: Service | AllServices) -> Verdict:
        """Return the verdict that this request would get now, without making it. Raises LedgerUnavailable."""
        now = self._observed.clock()
        bound = plan(rule, service, self._active_catalog.catalog, now=now)
        request = self.request_of(signal, rule, bound)
        history = await self._ledger.run_requests.history(
            request.service, request.namespace, now, request.runbook, request.upstreams, request.starts
        )
        return replace(self.decision(rule, bound, signal)(history), rule=rule.name)

    def request_of(self, signal: Signal, rule: Rule, bound: Plan) -> RunRequest:
        """Return the request of a plan."""
        held_by = self._holds(signal, bound)
        return RunRequest(
            signal=signal,
            service=bound.service.name,
            namespace=bound.service.namespace,
            rule=rule.name,
            runbook=bound.runbook.name,
            mode=rule.mode.at_most(self._observed.mode),
            catalog=self._active_catalog.catalog.digest,
            parameters=bound.parameters,
            deadline=bound.deadline,
            locks=bound.locks,
            upstreams=tuple(each.upstream for each in held_by),
            hold_limit=self._observed.limits.holds.limit if held_by else None,
            starts=self._observed.starts(bound),
        )

    def decision(self, rule: Rule, bound: Plan, signal: Signal, *, approved_until: datetime | None = None) -> Decide:
        """
        Bind the guards to this request; the ledger asks them inside its transaction.

        A request may wait for its turn, so the approval counts only if it is still good when the guards are asked (E28).
        """
        context = self._observed.guard_context(rule, bound, self._holds(signal, bound), approved=False)
        context = replace(context, ahead=self._contention.ahead_of(bound.service))

        def decide(history: History) -> Verdict:
            now = self._observed.clock()
            approved = approved_until is not None and now < approved_until
            return check(replace(context, approved=approved), history, self._observed.limits, now=now)

        return decide

    async def ask(self, incident: Incident, bound: Plan) -> None:
        """
        Ask a person about a plan, unless the last question, or its answer, is still valid.

        A person is notified of a question that is asked again. Raises LedgerUnavailable.
        """
        async with self._asking:  # the tick asks, too, where a question's commit was lost
            known = await self._questions(incident)
            if not is_still_asked(known, bound.digest, now=self._observed.clock()):
                await self._ask(known, incident, bound, await self.preview(incident, bound))

    async def is_as_approved(self, incident: Incident, bound: Plan, approval: Approval) -> bool:
        """Return whether a run would still make the changes that were shown and approved; ask again where it would not."""
        if approval.plan == approval.bound:
            return True  # the question showed the plan alone
        async with self._asking:
            preview = await self.preview(incident, bound)
            if digest_with(bound, preview) == approval.plan:
                return True
            await self._ask(await self._questions(incident), incident, bound, preview)
            return False

    async def _questions(self, incident: Incident) -> Sequence[Approval]:
        """Return the questions about the whole run, oldest first."""
        return [each for each in await self._ledger.approvals.of_incident(incident.id) if each.path == ""]

    async def _ask(
        self, known: Sequence[Approval], incident: Incident, bound: Plan, preview: RunPreview | None
    ) -> None:
        now = self._observed.clock()
        approval = Approval(
            incident=incident.id,
            path="",
            question=question_of(bound, preview),
            plan=digest_with(bound, preview),
            preview=lines(preview.lines if preview is not None else ()),
            asked=now,
            expires=now + self._approval_expiry,
        )
        await self._ledger.approvals.ask(approval, notice=repeated_question(known, now=now))

    def _holds(self, signal: Signal, bound: Plan) -> tuple[Hold, ...]:
        if isinstance(bound.service, AllServices):
            return ()
        return self._observed.holds(bound.service, self._active_catalog.catalog, signal.began)
