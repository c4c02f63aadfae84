"""
The pipeline of signals: those that are due are evaluated in batches, by the priority of their services.

The pipeline accepts deliveries. An alert that no rule matches has its verdict at once; the other new signals are evaluated from
memory, and all that is due besides is read from the inbox. `signal_evaluator` evaluates each of them, `run_requester` requests
runs.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog

from kintsugi.decisions.priorities import NOWHERE, HoldCause, admitted, rank
from kintsugi.errors import LedgerUnavailable
from kintsugi.ledger import Accepted, Ledger
from kintsugi.model.records import Reason, Signal, Verdict, VerdictKind
from kintsugi.model.rules import Rule, RuleSource
from kintsugi.model.services import Service
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.pipeline.new_signals import NewSignals
from kintsugi.pipeline.observed_state import ObservedState
from kintsugi.pipeline.page_runs import PageRuns
from kintsugi.pipeline.pages import RunbookPages
from kintsugi.pipeline.run_requester import Contention, RunRequester
from kintsugi.pipeline.run_supervisor import RunSupervisor
from kintsugi.pipeline.signal_evaluator import NO_RULE, Disposition, SignalEvaluator
from kintsugi.pipeline.targets import ExistenceQuery, Targets
from kintsugi.telemetry import FailureScope, Listeners

log = structlog.get_logger(__name__)

IDLE = timedelta(seconds=5)
"""The interval at which the inbox is read without a wake-up: for rows of another process, or after a change of the clock."""

BATCH = 500
"""Signals that are evaluated before their verdicts are stored."""

REST = timedelta(milliseconds=10)
"""The shortest rest after a batch: new signals need no read, so that each would be a batch, with a commit of its own."""

ABOUT_A_FAULT = (Reason.HUMAN, Reason.COOLDOWN, Reason.FAILURES, Reason.INEFFECTIVE)
"""Refusals because of runs about one fault of the service: another fault is not held back by them."""

SIGNALS_PER_TURN = 16
"""Signals between two turns of the event loop: each has up to 64 KiB of foreign text that rules search, together 1 MiB."""


class Pipeline:
    """Evaluates signals, one batch after another; `on_verdict` hears of every verdict."""

    def __init__(
        self,
        ledger: Ledger,
        active_catalog: ActiveCatalog,
        observed: ObservedState,
        targets: Targets,
        supervisor: RunSupervisor,
        *,
        approval_expiry: timedelta,
    ) -> None:
        self._ledger = ledger
        self._active_catalog = active_catalog
        self._observed = observed
        self._targets = targets
        self._supervisor = supervisor
        self._news = asyncio.Event()
        self._new = NewSignals()
        self._is_inbox_due = True
        self._unmatched = 0
        self._next_end: datetime | None = None
        self._containment = supervisor.containment
        self._contention = Contention(
            clock=observed.clock,
            grace=observed.limits.recheck_after,
            is_held=self._is_held,
            without_slot=self._without_slot,
        )
        on_waiting: Listeners[[str, Service]] = Listeners(supervisor.containment)
        self.requester = RunRequester(
            ledger, active_catalog, observed, self._contention, on_waiting, approval_expiry=approval_expiry
        )
        self.pages = RunbookPages()
        page_runs = PageRuns(ledger, active_catalog, observed, targets, supervisor, self.pages)
        self.evaluator = SignalEvaluator(active_catalog, observed, targets, supervisor, self.requester, page_runs)
        observed.waiting = self._contention.for_slots
        self._is_slot_free = False
        observed.slot_given = self._slot_freed
        supervisor.on_free(self._slot_freed)
        self.on_verdict: Listeners[[Signal, Verdict]] = Listeners(supervisor.containment)

    async def accept(self, delivered: Sequence[Signal], now: datetime) -> Accepted:
        """
        Make deliveries durable, and have them evaluated: see `Signals.accept`. Raises LedgerUnavailable.

        An alert that no rule matches, and no page is about, gets its verdict in the same transaction.
        """
        accepted = await self._ledger.signals.accept(delivered, now, self._verdict_on_new)
        matched = [signal for signal, verdict in accepted.opened if verdict is None]
        for signal, verdict in accepted.opened:
            if verdict is not None:
                self._notify(signal, verdict)
        self._unmatched += len(accepted.opened) - len(matched)
        if not self._new.add(matched) or accepted.new > len(accepted.opened) or accepted.resolved:
            self.wake()
        elif matched:
            self._news.set()
        return accepted

    def _verdict_on_new(self, signal: Signal) -> Verdict | None:
        """Return the verdict on an alert that no rule matches; the ledger calls it inside a transaction, in a thread."""
        if signal.kind is not RuleSource.ALERT or self._observed.services.clock_problem:
            return None
        return None if self._is_concerned(signal) else NO_RULE

    def _is_concerned(self, signal: Signal) -> bool:
        """Return whether a rule or a page may be about an alert."""
        return bool(self._active_catalog.matcher.rules_for_alert(signal.labels)) or self.pages.concerns(signal)

    def wake(self) -> None:
        """Read the inbox now."""
        self._is_inbox_due = True
        self._news.set()

    async def evaluate_refused(self, service: str) -> None:
        """Evaluate again what was refused for a service because of a problem before: it has another fault now."""
        rules = self._active_catalog.catalog.rules_of(service)
        now = self._observed.clock()
        for reason in ABOUT_A_FAULT:
            if await self._ledger.signals.make_due(rules, reason, now, until=datetime.max.replace(tzinfo=UTC)):
                self.wake()

    async def evaluate_observed(self) -> None:
        """Evaluate again what was only observed and is still broken: the mode may have changed. Raises LedgerUnavailable."""
        if await self._ledger.signals.evaluate_observed(self._observed.clock()):
            self.wake()

    async def recall(self) -> None:
        """Restore which services waited for a slot before a restart; call it before runs resume. Raises LedgerUnavailable."""
        catalog, now = self._active_catalog.catalog, self._observed.clock()
        for name, until in await self._ledger.signals.refusals(Reason.BUDGET):
            rule = catalog.rules.get(name)
            service = catalog.subject_of(rule) if rule is not None else None
            if service is not None:
                again = max(until, now)  # also where it was due while the daemon was dead
                verdict = Verdict(kind=VerdictKind.REFUSED, reason=Reason.BUDGET, text="", until=again, rule=name)
                self._contention.note(service, verdict)

    async def run(self, every: timedelta) -> None:
        """
        Evaluate due signals until cancelled: new ones at once, and those of the inbox when it is read.

        It is read at the start, when woken, when a provisional verdict ends, and every `IDLE`, in case a wake-up was missed. What
        fails is tried again after `every`, and no verdict is looked at sooner than that after its end.
        """
        clock = asyncio.get_running_loop()
        read_at = clock.time()
        while True:
            try:
                async with asyncio.timeout_at(read_at):
                    await self._news.wait()
            except TimeoutError:
                self._is_inbox_due = True
            self._news.clear()
            began = clock.time()
            try:
                if self._is_inbox_due or began >= read_at:
                    await self.step()
                    ends, read_at = await self._ledger.signals.due_at(), float("inf")
                else:
                    await self._step_from_memory()
                    ends = self._next_end
                read_at = min(read_at, clock.time() + self._until(ends, every).total_seconds())
            except LedgerUnavailable as error:
                log.warning("signals wait for the ledger", error=str(error))
                read_at = clock.time() + every.total_seconds()
            # a rest as long as the work: what comes meanwhile is judged together, and the intake has its turn to commit
            await asyncio.sleep(min(max(clock.time() - began, REST.total_seconds()), every.total_seconds()))

    def _until(self, due: datetime | None, least: timedelta) -> timedelta:
        return IDLE if due is None else min(max(due - self._observed.clock(), least), IDLE)

    async def step(self) -> None:
        """Evaluate one batch of the inbox; a full batch means that there are more. None is due while the clock is in doubt."""
        self._is_inbox_due = False
        if self._observed.services.clock_problem:
            return
        await self._hasten()
        due = await self._ledger.signals.due(self._observed.clock(), BATCH)
        self._new.note_read(due)
        await self._evaluate_batch(due)
        if len(due) >= BATCH:
            self.wake()

    async def _step_from_memory(self) -> None:
        """Evaluate one batch of new signals; while the clock is in doubt they are left to the inbox."""
        if self._observed.services.clock_problem:
            self._new.drop()
            return
        await self._evaluate_batch(self._new.take(BATCH))
        if self._new:
            self._news.set()

    async def _evaluate_batch(self, due: Sequence[Signal]) -> None:
        self._next_end = None
        wanted = {signal.id: asked for signal in due if (asked := self._unseen(signal)) is not None}
        lookup = asyncio.create_task(self._targets.lookups.query(wanted.values()), name="look up the objects of alerts")
        try:
            settled = await self._evaluate_all([signal for signal in due if signal.id not in wanted])
            if wanted:
                await self._ledger.signals.settle(settled, self._observed.clock())
                await lookup
                settled = await self._evaluate_all([signal for signal in due if signal.id in wanted])
        finally:
            lookup.cancel()
            self._targets.lookups.forget()
        await self._ledger.signals.settle(settled, self._observed.clock())

    def _slot_freed(self) -> None:
        if self._contention.for_slots():
            self._is_slot_free = True
            self.wake()

    async def _hasten(self) -> None:
        """Make signals due that were refused for want of a slot and can get one now, so that no slot stays free."""
        if not self._is_slot_free:
            return
        self._is_slot_free = False
        observed, now = self._observed, self._observed.clock()
        first = {
            each.name
            for each in admitted(self._contention.for_slots(), observed.limits.slots(observed.slot_namespaces()))
        }
        rules = [rule.name for rule in self._active_catalog.catalog.rules.values() if rule.service in first]
        if rules:
            await self._ledger.signals.make_due(rules, Reason.BUDGET, now, until=now + observed.limits.recheck_after)

    def _unseen(self, signal: Signal) -> ExistenceQuery | None:
        """Return the object to look up before an alert is evaluated, None for none: signals without one are evaluated first."""
        if signal.kind is not RuleSource.ALERT or (asked := self._targets.unseen(signal.labels)) is None:
            return None
        return asked if self._is_concerned(signal) else None

    async def _evaluate_all(self, signals: Sequence[Signal]) -> dict[str, Verdict]:
        """Evaluate signals by the priority of their services, and return the verdicts that are still to be stored."""
        settled: dict[str, Verdict] = {}
        for number, signal in enumerate(await self._in_order(signals)):
            if number % SIGNALS_PER_TURN == 0:
                await asyncio.sleep(0)
            disposition = await self._evaluate_apart(signal)
            if not disposition.kept:
                settled[signal.id] = disposition.verdict
            self._notify(signal, disposition.verdict)
        self._unmatched += sum(verdict.kind is VerdictKind.NO_RULE for verdict in settled.values())
        if self._unmatched:
            log.info("no rule matches", signals=self._unmatched)
            self._unmatched = 0
        return settled

    async def _in_order(self, signals: Sequence[Signal]) -> Sequence[Signal]:
        """Sort signals so that the outcome does not depend on the order of arrival."""
        places: dict[str, tuple[tuple[int, str], datetime, str]] = {}
        for number, signal in enumerate(signals):
            if number % SIGNALS_PER_TURN == 0:
                await asyncio.sleep(0)
            services = self._active_catalog.catalog.services
            place = min((rank(services.get(rule.service)) for rule in self._concerned(signal)), default=NOWHERE)
            places[signal.id] = (place, signal.began, signal.key)
        return sorted(signals, key=lambda signal: places[signal.id])

    def _concerned(self, signal: Signal) -> Sequence[Rule]:
        """Return the rules that may concern a signal, before their conditions are evaluated."""
        if signal.kind is RuleSource.ALERT:
            return tuple(self._active_catalog.matcher.rules_for_alert(signal.labels))
        rule = self._active_catalog.catalog.rules.get(signal.rule)
        return () if rule is None else (rule,)

    async def _evaluate_apart(self, signal: Signal) -> Disposition:
        """Evaluate one signal; a failure does not affect the others, and the signal is evaluated again later."""
        with self._containment.around(FailureScope.SIGNAL, signal.id) as call:
            return await self.evaluator.evaluate(signal)
        text = f"the signal could not be evaluated: {type(call.error).__name__}: {call.error}"
        return Disposition(verdict=self.evaluator.later(signal.rule, Reason.UNANSWERABLE, text))

    def _without_slot(self) -> list[Service]:
        services = self._active_catalog.catalog.services
        return [services[name] for name in self._supervisor.without_slot if name in services]

    def _is_held(self, service: Service) -> bool:
        found = self._observed.holds(service, self._active_catalog.catalog, self._observed.clock())
        return any(each.cause is not HoldCause.UNHEALTHY for each in found)

    def _notify(self, signal: Signal, verdict: Verdict) -> None:
        if verdict.until is not None:
            self._next_end = min(self._next_end or verdict.until, verdict.until)
        if verdict.kind is not VerdictKind.NO_RULE:  # a line each would be most of what a storm of foreign alerts costs
            fields = {"verdict": verdict.kind, "reason": verdict.reason, "rule": verdict.rule, "text": verdict.text}
            log.info("signal evaluated", signal=signal.id, **fields)
        rule = self._active_catalog.catalog.rules.get(verdict.rule)
        if verdict.reason is Reason.LOCKED and rule is not None:
            self._supervisor.end_rehearsals(rule.service)
        self.on_verdict.notify(signal.id, signal, verdict)
