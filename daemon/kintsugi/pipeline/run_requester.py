"""
Requests runs from the ledger, with the guards bound to the request, and asks a person for approval before.

Signals use it as they are evaluated, waiting incidents as they are reconciled.
"""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

from kintsugi.decisions.guards import check
from kintsugi.decisions.planner import Plan, plan
from kintsugi.decisions.priorities import Hold
from kintsugi.decisions.reconciliation import is_still_asked, repeated_question
from kintsugi.ledger import Decide, Ledger, RunRequest, RunRequestResult
from kintsugi.model.history import History
from kintsugi.model.records import Approval, Signal, Verdict, VerdictKind
from kintsugi.model.rules import Rule
from kintsugi.model.services import AllServices, Service
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.pipeline.contention import Contention
from kintsugi.pipeline.observed_state import ObservedState
from kintsugi.pipeline.waiting_incidents import WaitingIncidents


class RunRequester:
    """Requests runs; refusals for want of a slot are noted in `contention`, incidents without a run in `waiting`."""

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
            await self.ask(result.incident.id, bound)
        return result

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

    async def ask(self, incident: str, bound: Plan) -> None:
        """
        Ask a person about a plan, unless the last question, or its answer, is still valid.

        A person is notified of a question that is asked again. Raises LedgerUnavailable.
        """
        async with self._asking:  # the tick asks, too, where a question's commit was lost
            now = self._observed.clock()
            known = [each for each in await self._ledger.approvals.of_incident(incident) if each.path == ""]
            if is_still_asked(known, bound.digest, now=now):
                return
            question = "\n".join((f"Run {bound.runbook.title} on {bound.service.name}?", *bound.lines))
            expires = now + self._approval_expiry
            approval = Approval(
                incident=incident, path="", question=question, plan=bound.digest, asked=now, expires=expires
            )
            await self._ledger.approvals.ask(approval, notice=repeated_question(known, now=now))

    def _holds(self, signal: Signal, bound: Plan) -> tuple[Hold, ...]:
        if isinstance(bound.service, AllServices):
            return ()
        return self._observed.holds(bound.service, self._active_catalog.catalog, signal.began)
