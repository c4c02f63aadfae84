"""
The order of the business: what happens to one signal, from the inbox to its verdict or its run.

Nobody else knows this order. Each stage answers for itself; the first that ends a signal says why.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from kintsugi.errors import KubeError, LedgerUnavailable
from kintsugi.guards import check
from kintsugi.ledger import Claim, Claimed, Decide
from kintsugi.matcher import condition_holds
from kintsugi.model.documents import Rule, RuleSource, Service
from kintsugi.model.records import Approval, Reason, Signal, Verdict, VerdictKind
from kintsugi.pipeline.facts import World
from kintsugi.pipeline.inforce import InForce
from kintsugi.pipeline.lookups import Asked
from kintsugi.pipeline.roster import Roster
from kintsugi.pipeline.targets import Objection, Targets
from kintsugi.planner import Plan, plan
from kintsugi.priorities import Hold
from kintsugi.reconciliation import asked_anew, is_still_asked
from kintsugi.scope.values import rule_names
from kintsugi.telemetry import Border

log = structlog.get_logger(__name__)


IDLE = timedelta(seconds=5)
"""How often the inbox is looked into without news: rows that another process wrote, or a clock that was set."""


class Inbox(Protocol):
    """What the pipeline asks of the ledger."""

    async def due_signals(self, now: datetime, limit: int = 500) -> tuple[Signal, ...]: ...

    async def due_at(self) -> datetime | None: ...

    async def settle(self, verdicts: Mapping[str, Verdict], now: datetime) -> None: ...

    async def claim(self, claim: Claim, decide: Decide, now: datetime) -> Claimed: ...

    async def ask(self, approval: Approval, *, told: str = "") -> None: ...

    async def approvals(self, incident: str) -> tuple[Approval, ...]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Matched:
    """A rule that a signal satisfies, and the service that it concerns."""

    rule: Rule
    service: Service


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A signal's verdict; `kept` when the claim has committed it already."""

    verdict: Verdict
    kept: bool = False


class Pipeline:
    """Judges signals, one batch after another, and starts runs."""

    def __init__(
        self,
        inbox: Inbox,
        in_force: InForce,
        world: World,
        targets: Targets,
        roster: Roster,
        *,
        approval_expiry: timedelta,
    ) -> None:
        self._inbox = inbox
        self._in_force = in_force
        self._world = world
        self._targets = targets
        self._roster = roster
        self._approval_expiry = approval_expiry
        self._news = asyncio.Event()
        self._asking = asyncio.Lock()
        self._containment = roster.containment
        self._listeners: list[Callable[[Signal, Verdict], None]] = []

    def on_verdict(self, listener: Callable[[Signal, Verdict], None]) -> None:
        """Tell `listener` of every verdict."""
        self._listeners.append(listener)

    def wake(self) -> None:
        """Look into the inbox now."""
        self._news.set()

    async def run(self, every: timedelta) -> None:
        """
        Judge what is due until cancelled: at once when there is news, and when a provisional verdict ends.

        The inbox is looked into every `IDLE` besides, for what nobody woke us for; what cannot be done now is tried
        `every` so often, and no verdict is looked at sooner than that after its end.
        """
        clock = asyncio.get_running_loop()
        wait = timedelta(0)
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), wait.total_seconds())
            self._news.clear()
            began = clock.time()
            try:
                await self.step()
                wait = self._until(await self._inbox.due_at(), every)
            except LedgerUnavailable as error:
                log.warning("signals wait for the ledger", error=str(error))
                wait = every
            # a rest as long as the work: what comes meanwhile is judged together, and the intake has its turn to commit
            await asyncio.sleep(min(clock.time() - began, every.total_seconds()))

    def _until(self, due: datetime | None, least: timedelta) -> timedelta:
        """Return how long nothing is due."""
        return IDLE if due is None else min(max(due - self._world.clock(), least), IDLE)

    async def step(self) -> None:
        """Judge one batch of what is due; a full batch means that there is more. Nothing is while the clock is in doubt."""
        if self._world.clock_problem:
            return
        due = await self._inbox.due_signals(self._world.clock())
        wanted = {signal.id: asked for signal in due if (asked := self._unseen(signal)) is not None}
        looking = asyncio.create_task(self._targets.look_ahead(wanted.values()), name="look up the objects of alerts")
        try:
            settled = await self._judge_all([signal for signal in due if signal.id not in wanted])
            if wanted:
                await self._inbox.settle(settled, self._world.clock())
                await looking
                settled = await self._judge_all([signal for signal in due if signal.id in wanted])
        finally:
            looking.cancel()
            self._targets.forget()
        await self._inbox.settle(settled, self._world.clock())
        if len(due) >= 500:
            self.wake()

    def _unseen(self, signal: Signal) -> Asked | None:
        """Return the object that must be asked for before an alert can be judged: what needs none is judged before."""
        if signal.kind is not RuleSource.ALERT or (asked := self._targets.unseen(signal.labels)) is None:
            return None
        return asked if self._in_force.matcher.rules_for_alert(signal.labels) else None

    async def _judge_all(self, signals: Sequence[Signal]) -> dict[str, Verdict]:
        """Judge signals in turn, and return the verdicts that are still to be kept."""
        settled: dict[str, Verdict] = {}
        for signal in signals:
            judged = await self._judge_apart(signal)
            if not judged.kept:
                settled[signal.id] = judged.verdict
            self._tell(signal, judged.verdict)
        unknown = sum(verdict.kind is VerdictKind.NO_RULE for verdict in settled.values())
        if unknown:
            log.info("no rule matches", signals=unknown)
        return settled

    async def _judge_apart(self, signal: Signal) -> Judged:
        """Judge a signal so that one that cannot be judged takes no other with it; it comes again."""
        with self._containment.around(Border.SIGNAL, signal.id) as turn:
            return await self.judge(signal)
        text = f"it could not be judged: {type(turn.error).__name__}: {turn.error}"
        return Judged(verdict=self._later(signal.rule, Reason.UNANSWERABLE, text))

    async def judge(self, signal: Signal) -> Judged:
        """Carry one signal from match to claim; every exit is a verdict with its reason."""
        matches = self._match(signal)
        if isinstance(matches, Verdict):
            return Judged(verdict=matches)
        matched = await self._resolve(signal, matches)
        if isinstance(matched, Verdict):
            return Judged(verdict=matched)
        joined = self._join(matched)
        if joined is not None:
            return Judged(verdict=joined)
        claimed = await self._claim(signal, matched)
        if claimed.run is not None and claimed.run.finished is None:
            self._roster.start(claimed.run)  # once: also one whose claim's answer was lost
        return Judged(verdict=claimed.verdict, kept=True)

    def _match(self, signal: Signal) -> Sequence[Matched] | Verdict:
        """Find the rules that a signal satisfies; none, or only ones that cannot be answered, is a verdict."""
        rules, unanswerable = self._rules(signal)
        services = self._in_force.catalog.services
        matched = [Matched(rule=rule, service=services[rule.service]) for rule in rules if rule.service]
        if matched:
            return matched
        if unanswerable:
            text = f"`when` of {unanswerable[0].name} has no answer for this alert"
            kind, reason = VerdictKind.REFUSED, Reason.UNANSWERABLE
            return Verdict(kind=kind, reason=reason, text=text, rule=unanswerable[0].name)
        return Verdict(kind=VerdictKind.NO_RULE, reason=Reason.NO_RULE, text="no rule matches")

    def _rules(self, signal: Signal) -> tuple[Sequence[Rule], Sequence[Rule]]:
        """Give the rules that match, and those of which it cannot be said."""
        catalog, matcher = self._in_force.catalog, self._in_force.matcher
        if signal.kind is not RuleSource.ALERT:
            return [catalog.rules[signal.rule]] if signal.rule in catalog.rules else [], []
        names = rule_names(RuleSource.ALERT, alert=signal, now=self._world.clock())
        answers = [(rule, condition_holds(rule, names)) for rule in matcher.rules_for_alert(signal.labels)]
        return [rule for rule, holds in answers if holds], [rule for rule, holds in answers if holds is None]

    async def _resolve(self, signal: Signal, matches: Sequence[Matched]) -> Matched | Verdict:
        """Find the match that the signal's object really belongs to. What cannot be asked now is asked again."""
        if signal.kind is not RuleSource.ALERT:
            return matches[0]
        objections: list[tuple[Rule, Objection]] = []
        for matched in matches:
            try:
                objection = await self._targets.objection(
                    signal.labels, matched.service, anywhere=matched.rule.any_namespace
                )
            except KubeError as error:
                return self._later(
                    matched.rule.name, Reason.STALE, f"the alert's object could not be looked up: {error}"
                )
            if objection is None:
                return matched
            objections.append((matched.rule, objection))
        rule, first = objections[0]
        return Verdict(kind=VerdictKind.REFUSED, reason=first.reason, text=first.text, rule=rule.name)

    def _join(self, matched: Matched) -> Verdict | None:
        """Join the run that is under way for the service, without a transaction of its own: storms are cheap."""
        run = self._roster.run_of(matched.service.name)
        if run is None:
            return None
        text = f"{matched.service.name} is being recovered already"
        kind, reason = VerdictKind.ATTACHED, Reason.ACTIVE_RUN
        return Verdict(kind=kind, reason=reason, text=text, rule=matched.rule.name, incident=run.incident)

    async def _claim(self, signal: Signal, matched: Matched) -> Claimed:
        now, rule = self._world.clock(), matched.rule
        bound = plan(rule, matched.service, self._in_force.catalog, now=now)
        claimed = await self._inbox.claim(self.claim_of(signal, rule, bound), self.decision(rule, bound, signal), now)
        if claimed.verdict.kind is VerdictKind.AWAITING_APPROVAL and claimed.incident is not None:
            await self.ask(claimed.incident.id, bound)
        return claimed

    def claim_of(self, signal: Signal, rule: Rule, bound: Plan) -> Claim:
        """Make the claim of a plan."""
        held = self._hold(signal, bound)
        return Claim(
            signal=signal,
            service=bound.service.name,
            namespace=bound.service.namespace,
            rule=rule.name,
            runbook=bound.runbook.name,
            mode=rule.mode.at_most(self._world.mode),
            catalog=self._in_force.catalog.digest,
            parameters=bound.parameters,
            deadline=bound.deadline,
            locks=bound.locks,
            hold_limit=self._world.hold_limit if held is not None and held.until <= self._world.clock() else None,
        )

    def decision(self, rule: Rule, bound: Plan, signal: Signal, *, approved: bool = False) -> Decide:
        """Bind the guards to this claim; the ledger asks them inside its transaction."""
        now = self._world.clock()
        facts = self._world.claim(rule, bound, self._hold(signal, bound), approved=approved)
        return lambda history: check(facts, history, self._world.limits, now=now)

    async def ask(self, incident: str, bound: Plan) -> None:
        """
        Ask a person about a plan, unless that was done and the question, or its answer, is still good.

        A person is told of a question that is asked anew. Raises LedgerUnavailable.
        """
        async with self._asking:  # the tick asks, too, where a question's commit was lost
            now = self._world.clock()
            known = [each for each in await self._inbox.approvals(incident) if each.path == ""]
            if is_still_asked(known, bound.digest, now=now):
                return
            question = "\n".join((f"Run {bound.runbook.title} on {bound.service.name}?", *bound.lines))
            expires = now + self._approval_expiry
            approval = Approval(
                incident=incident, path="", question=question, plan=bound.digest, asked=now, expires=expires
            )
            await self._inbox.ask(approval, told=asked_anew(known, now=now))

    def _hold(self, signal: Signal, bound: Plan) -> Hold | None:
        return self._world.hold(bound.service, self._in_force.catalog, self._roster.recovering, signal.received)

    def _later(self, rule: str, reason: Reason, text: str) -> Verdict:
        until = self._world.clock() + self._world.limits.look_again
        return Verdict(kind=VerdictKind.REFUSED, reason=reason, text=text, until=until, rule=rule)

    def _tell(self, signal: Signal, verdict: Verdict) -> None:
        if verdict.kind is not VerdictKind.NO_RULE:  # a line each would be most of what a storm of foreign alerts costs
            log.info(
                "signal judged",
                signal=signal.id,
                verdict=verdict.kind,
                reason=verdict.reason,
                rule=verdict.rule,
                text=verdict.text,
            )
        for listener in self._listeners:
            with self._containment.around(Border.LISTENER, signal.id):
                listener(signal, verdict)
