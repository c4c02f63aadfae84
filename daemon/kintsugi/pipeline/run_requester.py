"""
Requests runs from the ledger, with the guards bound to the request, and asks a person for approval before.

Signals use it as they are evaluated, waiting incidents as they are reconciled. Services that want the same slot are ordered by
priority and name, not by the time of the request.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from kintsugi.decisions.guards import GuardContext, check
from kintsugi.decisions.planner import Plan, RunPreview, digest_with, plan, question_of
from kintsugi.decisions.priorities import Hold, rank
from kintsugi.decisions.reconciliation import is_still_asked, repeated_question
from kintsugi.ledger import Decide, Ledger, RunRequest, RunRequestResult
from kintsugi.model.history import History
from kintsugi.model.questions import Question
from kintsugi.model.records import Incident, IncidentState, Reason, Signal, Verdict, VerdictKind, alert_of
from kintsugi.model.rules import Rule
from kintsugi.model.services import AllServices, Service
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.pipeline.observed_state import ObservedState
from kintsugi.pipeline.previews import no_preview
from kintsugi.telemetry import Listeners
from kubeobjects.lines import lines

WAITING = frozenset({IncidentState.HELD, IncidentState.AWAITING_APPROVAL, IncidentState.INEFFECTIVE})
"""States in which an incident waits without a run: for an upstream, or for a person; one that returns too often is closed at once."""

Preview = Callable[[Incident, Plan], Awaitable[RunPreview | None]]


@dataclass(kw_only=True)
class Contention:
    """
    The services that were refused for want of a slot, or held, until they have been evaluated again.

    A service comes before no other while `is_held` says that it is held: services that are released together go by priority.
    `without_slot` are services under recovery that have given their slot away. One that is not evaluated again when it is due
    (its problem has ended) keeps its place for `grace`.
    """

    clock: Callable[[], datetime]
    grace: timedelta
    is_held: Callable[[Service], bool]
    without_slot: Callable[[], Iterable[Service]] = tuple
    _waiting: dict[str, tuple[Service, datetime]] = field(default_factory=dict)
    _soon: set[str] = field(default_factory=set)

    def note(self, service: Service | AllServices, verdict: Verdict) -> None:
        """Note the verdict on a service; a run about all services takes no slot of its own."""
        if isinstance(service, AllServices):
            return
        self._waiting.pop(service.name, None)
        self._soon.discard(service.name)
        if verdict.reason in (Reason.BUDGET, Reason.UPSTREAM) and verdict.until is not None:
            self._waiting[service.name] = (service, verdict.until + self.grace)
            # one that may change nothing more for now (a spent budget) is judged again much later
            if verdict.reason is Reason.BUDGET and verdict.until <= self.clock() + self.grace:
                self._soon.add(service.name)

    def ahead_of(self, service: Service | AllServices) -> tuple[Service, ...]:
        """Return the services that come before a service, in order."""
        if isinstance(service, AllServices):
            return ()
        before = {each.name: each for each in self._still() if not self.is_held(each)}
        before |= {each.name: each for each in self.without_slot()}
        return tuple(sorted((each for each in before.values() if rank(each) < rank(service)), key=rank))

    def for_slots(self) -> tuple[Service, ...]:
        """Return the services that wait only for a slot, and those that have given theirs away, in order."""
        waiting = {each.name: each for each in self._still() if each.name in self._soon}
        return tuple(sorted((waiting | {each.name: each for each in self.without_slot()}).values(), key=rank))

    def _still(self) -> list[Service]:
        now = self.clock()
        self._waiting = {name: each for name, each in self._waiting.items() if now < each[1]}
        return [each for each, _ in self._waiting.values()]


@dataclass(eq=False)
class RunRequester:
    """
    Requests runs; refusals for want of a slot are noted in `contention`. `on_waiting` hears of each incident that waits without a
    run, and of its service, as long as it waits again and again.

    `preview` says what a run would do; it is set before any question is asked.
    """

    ledger: Ledger
    active_catalog: ActiveCatalog
    observed: ObservedState
    contention: Contention
    on_waiting: Listeners[[str, Service]]
    approval_expiry: timedelta
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    preview: Preview = field(default_factory=lambda: no_preview)

    async def request(self, signal: Signal, rule: Rule, service: Service | AllServices) -> RunRequestResult:
        """Plan the runbook of a rule for a service, and request it; ask for a missing approval."""
        now = self.observed.clock()
        bound = plan(rule, service, self.active_catalog.catalog, now=now, alert=alert_of(signal))
        result = await self.ledger.incidents.request_run(
            self.request_of(signal, rule, bound), self.decision(rule, bound, signal), now
        )
        self.contention.note(service, result.verdict)
        self.note_waiting(result.incident)
        if result.verdict.kind is VerdictKind.AWAITING_APPROVAL and result.incident is not None:
            await self.ask(result.incident, bound)
        return result

    def note_waiting(self, incident: Incident | None) -> None:
        """Pass an incident on, if it waits for somebody and is about a service of the catalog."""
        if incident is None or incident.state not in WAITING:
            return
        service = self.active_catalog.catalog.services.get(incident.service)
        if service is not None:
            self.on_waiting.notify(incident.id, incident.id, service)

    async def verdict_at(self, signal: Signal, rule: Rule, service: Service | AllServices, now: datetime) -> Verdict:
        """Return the verdict that this request would get at a moment if nothing else happened, without making it. Raises LedgerUnavailable."""
        bound = plan(rule, service, self.active_catalog.catalog, now=now, alert=alert_of(signal))
        history = await self.ledger.incidents.history_for(self.request_of(signal, rule, bound), now)
        return check(self._context(rule, bound, signal), history, self.observed.limits, now=now)

    def request_of(self, signal: Signal, rule: Rule, bound: Plan) -> RunRequest:
        """Return the request of a plan."""
        held_by = self._holds(signal, bound)
        mode, digest = rule.mode.at_most(self.observed.mode), self.active_catalog.catalog.digest
        return replace(
            RunRequest.of(bound, rule, mode, catalog=digest, starts=self.observed.starts(bound)),
            signal=signal,
            fault=self.observed.fault(bound.service.name),
            upstreams=tuple(each.upstream for each in held_by),
            hold_limit=self.observed.limits.holds.limit if held_by else None,
        )

    def decision(self, rule: Rule, bound: Plan, signal: Signal, *, approved_until: datetime | None = None) -> Decide:
        """
        Bind the guards to this request; the ledger asks them inside its transaction.

        A request may wait for its turn, so the approval counts only if it is still good when the guards are asked (E28).
        """
        context = self._context(rule, bound, signal)

        def decide(history: History) -> Verdict:
            now = self.observed.clock()
            approved = approved_until is not None and now < approved_until
            return check(replace(context, approved=approved), history, self.observed.limits, now=now)

        return decide

    def _context(self, rule: Rule, bound: Plan, signal: Signal) -> GuardContext:
        context = self.observed.guard_context(rule, bound, self._holds(signal, bound), approved=False)
        return replace(context, ahead=self.contention.ahead_of(bound.service))

    async def ask(self, incident: Incident, bound: Plan) -> None:
        """
        Ask a person about a plan, unless the last question, or its answer, is still valid.

        A person is notified of a question that is asked again. Raises LedgerUnavailable.
        """
        async with self._asking:  # the tick asks, too, where a question's commit was lost
            known = await self._questions(incident)
            if not is_still_asked(known, bound.digest, now=self.observed.clock()):
                await self._ask(known, incident, bound, await self.preview(incident, bound))

    async def is_as_approved(self, incident: Incident, bound: Plan, approval: Question) -> bool:
        """Return whether a run would still make the changes that were shown and approved; ask again where it would not."""
        if approval.plan == approval.bound:
            return True  # the question showed the plan alone
        async with self._asking:
            preview = await self.preview(incident, bound)
            if digest_with(bound, preview) == approval.plan:
                return True
            await self._ask(await self._questions(incident), incident, bound, preview)
            return False

    async def _questions(self, incident: Incident) -> Sequence[Question]:
        """Return the questions about the whole run, oldest first."""
        return [each for each in await self.ledger.people.questions_of(incident.id) if each.path == ""]

    async def _ask(
        self, known: Sequence[Question], incident: Incident, bound: Plan, preview: RunPreview | None
    ) -> None:
        """Ask about a plan; of one that would change nothing, since a person has to repair the cause, hand the incident over instead."""
        now = self.observed.clock()
        if preview is not None and preview.needs_person and preview.is_empty:
            rule, catalog = self.active_catalog.catalog.rules[incident.rule], self.active_catalog.catalog.digest
            request = RunRequest.of(bound, rule, incident.mode, catalog=catalog, starts="")
            await self.ledger.incidents.hand_over(incident.id, request, f"no step here helps: {preview.reason}", now)
            return
        approval = Question(
            incident=incident.id,
            path="",
            text=question_of(bound, preview),
            plan=digest_with(bound, preview),
            preview=lines(preview.lines if preview is not None else ()),
            asked=now,
            expires=now + self.approval_expiry,
            approvers=bound.approvers,
        )
        await self.ledger.people.ask(approval, notice=repeated_question(known, now=now))

    def _holds(self, signal: Signal, bound: Plan) -> tuple[Hold, ...]:
        if isinstance(bound.service, AllServices):
            return ()
        return self.observed.holds(bound.service, self.active_catalog.catalog, signal.began)
