"""
Child runs, which steps of a run about all services call for: requested, started and waited for.

Each is a run like any other, with its service's locks and its own incident, and is resumed by itself after a restart.
"""

import asyncio
from bisect import insort
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from datetime import timedelta
from itertools import count

import structlog

from kintsugi.decisions.guards import OVERRULED, Guard, check_child
from kintsugi.decisions.planner import plan
from kintsugi.decisions.priorities import Slots, rank
from kintsugi.ledger import Ledger, RunRequest, RunRequestResult
from kintsugi.model.catalog import Catalog
from kintsugi.model.history import History
from kintsugi.model.manual import MANUAL
from kintsugi.model.records import Reason, RunRecord, Verdict
from kintsugi.model.rules import Rule
from kintsugi.model.runbooks import Runbook
from kintsugi.model.services import Service
from kintsugi.model.step_path import StepPath
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.pipeline.manual_starts import manual_rule
from kintsugi.pipeline.observed_state import ObservedState
from kintsugi.pipeline.run_supervisor import RunSupervisor
from kintsugi.runner.context import ChildCall
from kintsugi.runner.ends import ExecutionStopped

log = structlog.get_logger(__name__)

WAITED_FOR = frozenset({Reason.STALE, Reason.LOCKED, Reason.BUDGET, Reason.BREAKER, Reason.PAUSED, Reason.ACTIVE_RUN})
"""Reasons that pass while a parent waits; its deadline ends the waiting. Others are a no to this run."""


class SlotQueue:
    """
    Lets one run after another ask, the lowest rank first. `has_free_slot` says whether a namespace seems to have a free slot.

    Those of a namespace without a free slot are passed over: they keep no slot from the others.
    """

    def __init__(self, has_free_slot: Callable[[str], bool]) -> None:
        self._has_free_slot = has_free_slot
        self._waiting: list[tuple[tuple[int, str], int, str, asyncio.Future[None]]] = []
        self._numbers = count()
        self._is_asking = False

    @asynccontextmanager
    async def slot(self, rank: tuple[int, str], namespace: str) -> AsyncIterator[None]:
        """Wait for the caller's turn, which lasts until the end of the block."""
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        insort(self._waiting, (rank, next(self._numbers), namespace, mine))
        self.move_on()
        try:
            await mine
            yield
        finally:
            # Cancelled between the turn's coming and its use it is given on as well.
            if mine.done() and not mine.cancelled():
                self._is_asking = False
            self.move_on()

    def move_on(self) -> None:
        """Let the first one ask, if a slot is free now and no other is asking."""
        self._waiting = [each for each in self._waiting if not each[-1].done()]
        if self._is_asking:
            return
        first = next((each for each in self._waiting if self._has_free_slot(each[2])), None)
        if first is not None:
            self._is_asking = True
            first[-1].set_result(None)


class ChildRuns:
    """Starts child runs, and waits for them; implements `runner.context.Children`."""

    def __init__(
        self, ledger: Ledger, active_catalog: ActiveCatalog, observed: ObservedState, supervisor: RunSupervisor
    ) -> None:
        self._ledger = ledger
        self._active_catalog = active_catalog
        self._observed = observed
        self._supervisor = supervisor
        self._queue = SlotQueue(self._has_free_slot)
        supervisor.on_free(self._queue.move_on)

    async def until_over(self, child: RunRecord) -> RunRecord:
        """Wait until a child run is over, and return it as it ended."""
        while child.finished is None:
            await self._supervisor.until_over(child.id)
            child = await self._ledger.incidents.run(child.id)
        return child

    async def start(self, call: ChildCall) -> RunRecord:
        """
        Start the child run of a step, or join the run that its service has under way.

        It is requested until there is one, in the order of the services' priorities. Raises ExecutionStopped.
        """
        catalog, logged = await self._active_catalog.by_digest(call.run.catalog), ""
        service = catalog.services.get(call.service)
        if service is None:
            raise ExecutionStopped(StepPath.parse(call.step), f"there is no service {call.service}")
        while True:
            joins = self._supervisor.run_of(service.name) is not None
            if not joins and not self._has_free_slot(service.namespace):
                why = self._slots().refusal(service.namespace)
                log.info("child run waiting", run=call.run.id, step=call.step, why=why)
            async with nullcontext() if joins else self._queue.slot(rank(service), service.namespace):
                result = await self._request_run(call, catalog, service)
                if result.run is not None:
                    if result.run.finished is None:
                        # once: also one whose request's answer was lost, or that is joined
                        self._supervisor.start(result.run)
                    return result.run
            verdict = result.verdict
            if verdict.reason not in WAITED_FOR:
                raise ExecutionStopped(
                    StepPath.parse(call.step), f"{call.runbook.name} on {call.service} may not start: {verdict.text}"
                )
            if verdict.reason is Reason.LOCKED:
                self._supervisor.end_rehearsals(service.name)
            if verdict.text != logged:
                log.info("child run waiting", run=call.run.id, step=call.step, why=verdict.text)
                logged = verdict.text
            await asyncio.sleep(self._rest(verdict).total_seconds())

    def _rest(self, verdict: Verdict) -> timedelta:
        """Return the time until the next request: a spent budget says when it is worthwhile, up to a limit."""
        if verdict.reason is not Reason.BUDGET or verdict.until is None:
            return self._supervisor.poll_interval
        left = min(verdict.until - self._observed.clock(), self._observed.limits.recheck_after)
        return max(left, self._supervisor.poll_interval)

    def _has_free_slot(self, namespace: str) -> bool:
        """Return whether a slot seems free for one more service of a namespace; the guard decides."""
        return self._slots().left_in(namespace) > 0

    def _slots(self) -> Slots:
        return self._observed.limits.slots(self._supervisor.slot_namespaces)

    async def _request_run(self, call: ChildCall, catalog: Catalog, service: Service) -> RunRequestResult:
        """Request a child run with the parent's documents, in the parent's name and within its deadline."""
        now, parent = self._observed.clock(), call.run
        rule, overruled = await self._in_the_name_of(parent, catalog, call.runbook, service)
        bound = plan(rule, service, catalog, now=now)
        context = self._observed.guard_context(rule, bound, (), approved=True)

        def decide(history: History) -> Verdict:
            return check_child(context, history, self._observed.limits, overruled, now=now)

        request = replace(
            RunRequest.of(bound, rule, context.mode, catalog=parent.catalog, starts=self._observed.starts(bound)),
            deadline=min(bound.deadline, parent.deadline),
            parent=parent.id,
            parent_step=call.step,
        )
        return await self._ledger.incidents.request_run(request, decide, now)

    async def _in_the_name_of(
        self, parent: RunRecord, catalog: Catalog, runbook: Runbook, service: Service
    ) -> tuple[Rule, frozenset[Guard]]:
        """Return the rule that starts a child, and the guards that a person has overruled for its parent."""
        if parent.rule != MANUAL:
            mode = self._observed.mode_of(parent.rule, runbook.name, {service.name})
            rule = catalog.rules[parent.rule]
            return replace(rule, service=service.name, runbook=runbook.name, mode=mode), frozenset()
        overrides = await self._ledger.incidents.overrides(parent.id)
        guards = frozenset(guard for guard, name in OVERRULED.items() if name in overrides)
        return manual_rule(runbook, service, cooldown=timedelta(0)), guards
