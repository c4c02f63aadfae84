"""
The runs under way: one task and one driver each, resumed from the ledger at the start and whenever one is found without a task.

Whether a run looks is measured by the event loop's steady clock: a wall clock that jumps makes no run silent.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypedDict, TypeVar

import structlog

from kintsugi.decisions.guards import Limits
from kintsugi.decisions.priorities import OpenRuns
from kintsugi.decisions.reconciliation import ReconcileAction, RunLiveness, reconcile_action
from kintsugi.decisions.watchdog import WatchdogTimings
from kintsugi.errors import LedgerUnavailable, StaleEpoch
from kintsugi.ledger import Ledger
from kintsugi.model.catalog import Catalog
from kintsugi.model.records import Incident, IncidentState, RunKind, RunRecord, SeenWorkload, Signal, StepRecord
from kintsugi.model.runbooks import Runbook
from kintsugi.model.services import STACK
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.retries import Waits, retry
from kintsugi.runner import Journal, RunnerDeps
from kintsugi.runner.context import Children, RunProber
from kintsugi.runner.driver import Driver, RunDriver
from kintsugi.runner.gate import RunGate
from kintsugi.runner.pages import PageDriver
from kintsugi.runner.rehearsal import DrillDriver, DrillGate, RehearsalDriver
from kintsugi.runner.report import hand_over
from kintsugi.runner.run_watchdog import RunWatchdog
from kintsugi.runner.stack import StackDriver
from kintsugi.telemetry import Containment, FailureScope, Listeners, log_context
from kubeobjects.lines import Lines, line, lines

log = structlog.get_logger(__name__)

T = TypeVar("T")

POLLS_BEFORE_ASKING = 60
"""The number of looks after which the ledger is asked about an awaited run, whatever its task does: about a minute."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPolicy:
    """The figures of every run."""

    timings: WatchdogTimings
    limits: Limits
    approval_expiry: timedelta
    retry_after: timedelta


class DriverParts(TypedDict):
    """What every driver is made of, besides its gate."""

    deps: RunnerDeps
    ledger: Ledger
    catalog: Catalog
    runbook: Runbook
    incident: Incident
    journal: Journal
    alert: Signal | None


class HeartbeatClock:
    """The clock that a run reads at every look, so that a run that no longer looks is noticed."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._asked = _steady()

    def __call__(self) -> datetime:
        """Return the time."""
        self._asked = _steady()
        return self._clock()

    @property
    def since_heartbeat(self) -> timedelta:
        """Return the time since the run's last look."""
        return timedelta(seconds=_steady() - self._asked)


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskFailure:
    """The deaths of a run's task: their number, the time of the last one on the steady clock, and its error."""

    times: int
    at: float
    of: str


def _steady() -> float:
    return asyncio.get_running_loop().time()


class RunSupervisor:
    """
    Starts, holds and ends the tasks of runs.

    `on_start` hears of each run that begins or is taken up again, `on_end` of each that has come to its end, with its steps,
    `on_free` whenever a run is no longer under way, and `on_reconciled` of each open run that had to be taken up, restarted or
    handed over.
    `leadership_lost` is set when the ledger says that another daemon leads: this one may do nothing more. `containment` keeps
    an error of one run or listener from the others. `children` starts the child runs of a run about all services; it is set before
    any run is started.
    """

    def __init__(
        self,
        deps: RunnerDeps,
        ledger: Ledger,
        active_catalog: ActiveCatalog,
        policy: RunPolicy,
        *,
        containment: Containment | None = None,
    ) -> None:
        self.containment = containment or Containment()
        self._deps = deps
        self._ledger = ledger
        self._active_catalog = active_catalog
        self.children: Children | None = None
        self._policy = policy
        self._runs: dict[str, RunRecord] = {}
        self._drivers: dict[str, Driver] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._rollback_requests: dict[str, tuple[str, SeenWorkload | None]] = {}
        self._heartbeats: dict[str, HeartbeatClock] = {}
        self._failures: dict[str, TaskFailure] = {}
        self._has_resumed = False
        self.on_start: Listeners[[RunRecord]] = Listeners(self.containment)
        self.on_end: Listeners[[RunRecord, Sequence[StepRecord]]] = Listeners(self.containment)
        self.on_free: Listeners[[]] = Listeners(self.containment)
        self.on_reconciled: Listeners[[ReconcileAction]] = Listeners(self.containment)
        self.leadership_lost = asyncio.Event()

    @property
    def prober(self) -> RunProber:
        """Return the prober of runs."""
        return self._deps.prober

    @property
    def timings(self) -> WatchdogTimings:
        """Return the durations of the watchdogs."""
        return self._policy.timings

    @property
    def poll_interval(self) -> timedelta:
        """Return the pause between two looks."""
        return self._deps.poll_interval

    @property
    def slot_namespaces(self) -> tuple[str, ...]:
        """Return the namespaces of the services that have a slot, one for each; a run about all services takes none."""
        runs = self.under_way.runs
        return tuple(
            run.namespace for name, run in runs.items() if name != STACK and run.state is not IncidentState.HELD
        )

    @property
    def without_slot(self) -> frozenset[str]:
        """Return the services whose run has given its slot away."""
        return frozenset(name for name, run in self.under_way.runs.items() if run.state is IncidentState.HELD)

    @property
    def under_way(self) -> OpenRuns:
        """Return the recoveries under way, by service."""
        going = (run for run in self._runs.values() if run.kind is RunKind.RECOVERY)
        runs = {run.service: self._drivers[run.id].run if run.id in self._drivers else run for run in going}
        stack = runs.get(STACK)
        if stack is None:
            return OpenRuns(runs=runs)
        driver = self._drivers.get(stack.id)
        ended = driver.waits.ended if isinstance(driver, StackDriver) else {}
        return OpenRuns(runs=runs, covered_by=stack.id, covered_until=ended)

    def run_of(self, service: str) -> RunRecord | None:
        """Return the run that is under way for a service."""
        recoveries = (run for run in self._runs.values() if run.kind is RunKind.RECOVERY)
        return next((run for run in recoveries if run.service == service), None)

    def number_of(self, kind: RunKind) -> int:
        """Count the runs of a kind that are under way."""
        return sum(run.kind is kind for run in self._runs.values())

    async def resume(self) -> None:
        """Resume every open run of the ledger; changes may be made from now on."""
        self._deps.stopping.clear()
        for run in await self._ledger.incidents.open_runs():
            log.info("run taken up", run=run.id, service=run.service, state=run.state)
            self.start(run)
        self._has_resumed = True

    async def reconcile(self) -> None:
        """
        Start a task for each open run of the ledger without one, or hand the run to a person.

        A run has no task when its request's answer was lost, its task has died, or it hangs. Nothing is done before
        `resume`. Raises LedgerUnavailable, StaleEpoch.
        """
        if not self._has_resumed or self.leadership_lost.is_set():
            return
        runs = await self._ledger.incidents.open_runs()
        self._failures = {run.id: self._failures[run.id] for run in runs if run.id in self._failures}
        for run in runs:
            now = self._deps.clock()
            action = reconcile_action(run, self._liveness(run.id), pause=self._policy.retry_after, now=now)
            if action is not ReconcileAction.LEAVE:
                with self.containment.around(FailureScope.RUN, run.id), log_context(run=run.id, incident=run.incident):
                    await self._reconcile_run(run, action, overdue=run.deadline < now)

    def start(self, run: RunRecord) -> None:
        """Start a run's task, once."""
        if run.id not in self._tasks:
            self._runs[run.id] = run
            self._heartbeats[run.id] = HeartbeatClock(self._deps.clock)
            self._tasks[run.id] = asyncio.create_task(self._run_task(run), name=f"run {run.id}")

    async def until_over(self, run: str) -> None:
        """Wait until a run's task has ended, up to a limit; for a run without a task wait a moment."""
        task = self._tasks.get(run)
        if task is None:
            await asyncio.sleep(self.poll_interval.total_seconds())
        else:
            await asyncio.wait([task], timeout=(POLLS_BEFORE_ASKING * self.poll_interval).total_seconds())

    def roll_back(self, incident: str, who: str, shown: SeenWorkload | None = None) -> bool:
        """Ask an incident's run to roll back now, as `who` was shown the workload; False when none is under way."""
        found = next((run.id for run in self._runs.values() if run.incident == incident), None)
        if found is None:
            return False
        self._rollback_requests[found] = (who, shown)
        if found in self._drivers:
            self._drivers[found].request_rollback(who, shown)
        return True

    def abort(self, incident: str, reason: str) -> None:
        """End an incident's run for a person; one whose driver is not made yet reads the abort from the ledger."""
        for driver in self._drivers.values():
            if driver.run.incident == incident:
                driver.request_abort(reason)

    def end_rehearsals(self, service: str) -> None:
        """End the rehearsal of a service that is to be recovered: it undoes its changes, and frees the lock."""
        for driver in self._drivers.values():
            if driver.run.kind is RunKind.REHEARSAL and driver.run.service == service:
                driver.request_abort(f"a recovery of {service} is needed")

    async def stop(self) -> None:
        """Cancel all tasks and wait until the effects under way have ended; no run is resumed any more."""
        self._has_resumed = False
        self._deps.stopping.set()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _liveness(self, run: str) -> RunLiveness:
        heartbeat, failure = self._heartbeats.get(run), self._failures.get(run)
        return RunLiveness(
            since_heartbeat=heartbeat.since_heartbeat if heartbeat is not None else None,
            failures=failure.times if failure is not None else 0,
            failed_for=timedelta(seconds=_steady() - failure.at) if failure is not None else timedelta(0),
        )

    async def _reconcile_run(self, run: RunRecord, action: ReconcileAction, *, overdue: bool) -> None:
        """Resume a run or hand it over; one that hangs is resumed by the next tick, once its task has ended."""
        self.on_reconciled.notify(run.id, action)
        match action:
            case ReconcileAction.TAKE_UP:
                log.warning("orphaned run taken up", service=run.service, state=run.state, overdue=overdue)
                self.start(run)
            case ReconcileAction.RESTART:
                log.error("run past its deadline", service=run.service, state=run.state)
                self._tasks[run.id].cancel()
            case ReconcileAction.HAND_OVER:
                log.error("run handed over after repeated crashes", service=run.service, state=run.state)
                failure, now = self._failures[run.id], self._deps.clock()
                reason = f"the run cannot continue: its task crashed {failure.times} times, last with {failure.of}"
                ended = await self._ledger.incidents.move_run(run.id, IncidentState.NEEDS_OPERATOR, reason, now)
                self._notify_ended(ended, ())
            case ReconcileAction.LEAVE:
                pass

    async def _run_task(self, run: RunRecord) -> None:
        with log_context(run=run.id, incident=run.incident):
            try:
                with self.containment.around(FailureScope.RUN, run.id) as call:
                    ended = await self._drive(run)
                    if ended is not None:
                        driver = self._drivers.get(run.id)
                        self._notify_ended(ended, driver.journal.all() if driver is not None else ())
                if (
                    call.error is not None
                ):  # nothing of a run may die unheard: `reconcile` takes it up, or hands it over
                    times = self._liveness(run.id).failures + 1
                    of = f"{type(call.error).__name__}: {call.error}"
                    self._failures[run.id] = TaskFailure(times=times, at=_steady(), of=of)
            except StaleEpoch:
                self.leadership_lost.set()
            finally:
                for registry in (self._runs, self._drivers, self._tasks, self._heartbeats):
                    registry.pop(run.id, None)
                self.on_free.notify(run.id)

    async def _drive(self, run: RunRecord) -> RunRecord | None:
        """
        Drive a run to its end; while the ledger is unavailable wait for it, and continue from its state then.

        Returns None for a run that was over before it was begun.
        """
        is_known = False

        async def attempt() -> RunRecord | None:
            nonlocal is_known
            found = await self._ledger.incidents.run(run.id)
            if found.finished is not None and not is_known:
                return None
            if not is_known:
                self.on_start.notify(run.id, found)
            is_known = True
            self._drivers[run.id] = driver = await self._driver_of(found)
            if run.id in self._rollback_requests:  # said before it was driven, or before the ledger was away
                driver.request_rollback(*self._rollback_requests[run.id])
            elif (abort := await self._ledger.people.abort_of(run.incident)) and not found.rollback_requested_by:
                driver.request_abort(abort.reason)
            try:
                return await driver.drive()
            finally:
                await driver.journal.close()

        try:
            return await self._with_ledger(run, attempt)
        except StaleEpoch:
            raise
        except Exception as error:
            # An error of one run (a bug, a catalog that this version cannot read) must not end the other runs, and must not be
            # ignored: the run stops where it is and a person is called.
            log.exception("run failed")
            reason = f"the run cannot continue: {type(error).__name__}: {error}"
            return await self._give_up(run, reason)

    async def _driver_of(self, run: RunRecord) -> Driver:
        """Make the driver of a run with the run's own documents. Raises LedgerUnavailable; KeyError when its runbook is missing."""
        deps = replace(self._deps, clock=self._heartbeats[run.id])
        catalog = await self._active_catalog.by_digest(run.catalog)
        runbook, incident = catalog.runbooks[run.runbook], await self._ledger.incidents.get(run.incident)
        journal = await Journal.read(run, self._ledger)
        parts = DriverParts(
            deps=deps,
            ledger=self._ledger,
            catalog=catalog,
            runbook=runbook,
            incident=incident,
            journal=journal,
            alert=None if run.parent else await self._ledger.signals.alert_that_began(run.incident),
        )
        if run.kind is RunKind.DRILL:
            drill_gate = DrillGate(begun_in=incident.mode, deps=deps, ledger=self._ledger, journal=journal)
            return DrillDriver(**parts, gate=drill_gate)
        gate = RunGate(
            deps=deps,
            ledger=self._ledger,
            journal=journal,
            incident=incident,
            limits=self._policy.limits,
            plan=runbook.digest,
            expiry=self._policy.approval_expiry,
            approvers=runbook.approvers,
            parent=(await self._ledger.incidents.run(run.parent)).incident if run.parent else "",
        )
        if run.kind is RunKind.PAGE:
            return PageDriver(**parts, gate=gate)
        if run.kind is RunKind.REHEARSAL:
            return RehearsalDriver(**parts, gate=gate)
        if run.service == STACK:
            assert self.children is not None, "it is set before any run is started"
            return StackDriver(**parts, gate=gate, children=self.children)
        watchdog = RunWatchdog(deps=deps, journal=journal, runbook=runbook, timings=self._policy.timings)
        return RunDriver(**parts, gate=gate, watchdog=watchdog)

    def _notify_ended(self, run: RunRecord, steps: Sequence[StepRecord]) -> None:
        self._rollback_requests.pop(run.id, None)
        self.on_end.notify(run.id, run, steps)

    async def _give_up(self, run: RunRecord, reason: str) -> RunRecord:
        """Hand a run to a person with a report of its steps; while the ledger is unavailable wait for it."""

        async def attempt() -> RunRecord:
            text = await self._report(run, reason)
            return await self._ledger.incidents.move_run(run.id, IncidentState.NEEDS_OPERATOR, text, self._deps.clock())

        return await self._with_ledger(run, attempt)

    async def _with_ledger(self, run: RunRecord, attempt: Callable[[], Awaitable[T]]) -> T:
        """Return what an attempt returns; while the ledger is unavailable wait for it, with a heartbeat for each look."""

        def again(error: Exception) -> bool:
            if isinstance(error, LedgerUnavailable):
                log.warning("run waits for the ledger", error=str(error), since=str(self._heartbeats[run.id]()))
            return isinstance(error, LedgerUnavailable)

        return await retry(attempt, again, Waits.of(self._policy.retry_after))

    async def _report(self, run: RunRecord, reason: str) -> Lines:
        """Return the report of a run that cannot go on, as far as its steps can be read."""
        try:
            return hand_over(reason, await self._ledger.incidents.steps(run.id, strict=False))
        except LedgerUnavailable:
            raise
        except Exception as error:
            # The run's own steps may be what cannot be read: it is closed without them, or its service would stay locked.
            log.exception("run report failed")
            unknown = f"The changes of the run are unknown ({type(error).__name__}: {error}). Check its objects."
            return lines((line(reason), line(unknown)))
