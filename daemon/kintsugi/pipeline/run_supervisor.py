"""
The runs under way: one task each, resumed from the ledger at the start and whenever one is found without a task.

Whether a run looks is measured by the event loop's steady clock: a wall clock that jumps makes no run silent.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from kintsugi.decisions.priorities import OpenRuns
from kintsugi.decisions.reconciliation import ReconcileAction, RunLiveness, reconcile_action
from kintsugi.decisions.watchdog import WatchdogTimings
from kintsugi.errors import LedgerUnavailable, StaleEpoch
from kintsugi.ledger import Ledger
from kintsugi.model.records import IncidentState, RunKind, RunRecord, SeenWorkload, StepRecord
from kintsugi.model.services import STACK
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.pipeline.drivers import DriverFactory, RunPolicy
from kintsugi.retries import Waits, retry
from kintsugi.runner import RunnerDeps
from kintsugi.runner.context import RunProber
from kintsugi.runner.driver import Driver
from kintsugi.runner.report import hand_over
from kintsugi.runner.stack import StackDriver
from kintsugi.telemetry import Containment, FailureScope, Listeners, log_context
from kubeobjects.lines import Lines, line, lines

log = structlog.get_logger(__name__)

POLLS_BEFORE_ASKING = 60
"""The number of looks after which the ledger is asked about an awaited run, whatever its task does: about a minute."""


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


class LivenessTracker:
    """Keeps the heartbeats of the runs that have a task, and the failures of those whose task has died."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._heartbeats: dict[str, HeartbeatClock] = {}
        self._failures: dict[str, TaskFailure] = {}

    def begins(self, run: str) -> None:
        """Note that a run has a task now."""
        self._heartbeats[run] = HeartbeatClock(self._clock)

    def heartbeat(self, run: str) -> HeartbeatClock:
        """Return the clock of a run that has a task."""
        return self._heartbeats[run]

    def record_failure(self, run: str, error: Exception) -> None:
        """Note that a run's task has died, with the error."""
        known = self._failures.get(run)
        of = f"{type(error).__name__}: {error}"
        self._failures[run] = TaskFailure(times=known.times + 1 if known is not None else 1, at=_steady(), of=of)

    def ends(self, run: str) -> None:
        """Note that a run's task has ended."""
        self._heartbeats.pop(run, None)

    def failure(self, run: str) -> TaskFailure:
        """Return the failure of a run whose task has died."""
        return self._failures[run]

    def forget_all_but(self, runs: Collection[str]) -> None:
        """Forget the failures of runs that are over."""
        self._failures = {run: failure for run, failure in self._failures.items() if run in runs}

    def of(self, run: str) -> RunLiveness:
        """Return the liveness of a run."""
        heartbeat, failure = self._heartbeats.get(run), self._failures.get(run)
        return RunLiveness(
            since_heartbeat=heartbeat.since_heartbeat if heartbeat is not None else None,
            failures=failure.times if failure is not None else 0,
            failed_for=timedelta(seconds=_steady() - failure.at) if failure is not None else timedelta(0),
        )


def _steady() -> float:
    return asyncio.get_running_loop().time()


class RunSupervisor:
    """
    Starts, holds and ends the tasks of runs.

    `on_start` hears of each run that begins or is taken up again, `on_end` of each that has come to its end, with its steps,
    and `on_free` whenever a run is no longer under way.
    `leadership_lost` is set when the ledger says that another daemon leads: this one may do nothing more. `containment` keeps
    an error of one run or listener from the others.
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
        self.driver_factory = DriverFactory(deps, ledger, active_catalog, policy)
        self._policy = policy
        self._runs: dict[str, RunRecord] = {}
        self._drivers: dict[str, Driver] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._rollback_requests: dict[str, tuple[str, SeenWorkload | None]] = {}
        self._liveness = LivenessTracker(deps.clock)
        self._has_resumed = False
        self.on_start: Listeners[[RunRecord]] = Listeners(self.containment)
        self.on_end: Listeners[[RunRecord, Sequence[StepRecord]]] = Listeners(self.containment)
        self.on_free: Listeners[[]] = Listeners(self.containment)
        self.leadership_lost = asyncio.Event()
        self._reconciled: list[Callable[[ReconcileAction], None]] = []

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
    def recovering(self) -> frozenset[str]:
        """Return the services that have a run under way; drills do not count."""
        return frozenset(run.service for run in self._runs.values() if run.kind is RunKind.RECOVERY)

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
        going = (self._current(run) for run in self._runs.values() if run.kind is RunKind.RECOVERY)
        runs = {run.service: run for run in going}
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

    def on_reconciled(self, listener: Callable[[ReconcileAction], None]) -> None:
        """Call `listener` with each open run that had to be taken up, restarted or handed over."""
        self._reconciled.append(listener)

    async def resume(self) -> None:
        """Resume every open run of the ledger; changes may be made from now on."""
        self._deps.stopping.clear()
        for run in await self._ledger.runs.open_runs():
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
        runs = await self._ledger.runs.open_runs()
        self._liveness.forget_all_but({run.id for run in runs})
        for run in runs:
            now = self._deps.clock()
            action = reconcile_action(run, self._liveness.of(run.id), pause=self._policy.retry_after, now=now)
            if action is not ReconcileAction.LEAVE:
                with self.containment.around(FailureScope.RUN, run.id), log_context(run=run.id, incident=run.incident):
                    await self._reconcile_run(run, action, overdue=run.deadline < now)

    def start(self, run: RunRecord) -> None:
        """Start a run's task, once."""
        if run.id not in self._tasks:
            self._runs[run.id] = run
            self._liveness.begins(run.id)
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

    def _current(self, run: RunRecord) -> RunRecord:
        driver = self._drivers.get(run.id)
        return driver.journal.run if driver is not None else run

    async def _reconcile_run(self, run: RunRecord, action: ReconcileAction, *, overdue: bool) -> None:
        """Resume a run or hand it over; one that hangs is resumed by the next tick, once its task has ended."""
        for listener in self._reconciled:
            listener(action)
        match action:
            case ReconcileAction.TAKE_UP:
                log.warning("orphaned run taken up", service=run.service, state=run.state, overdue=overdue)
                self.start(run)
            case ReconcileAction.RESTART:
                log.error("run past its deadline", service=run.service, state=run.state)
                self._tasks[run.id].cancel()
            case ReconcileAction.HAND_OVER:
                log.error("run handed over after repeated crashes", service=run.service, state=run.state)
                failure, now = self._liveness.failure(run.id), self._deps.clock()
                reason = f"the run cannot continue: its task crashed {failure.times} times, last with {failure.of}"
                ended = await self._ledger.runs.move_run(run.id, IncidentState.NEEDS_OPERATOR, reason, now)
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
                    self._liveness.record_failure(run.id, call.error)
            except StaleEpoch:
                self.leadership_lost.set()
            finally:
                self._liveness.ends(run.id)
                for registry in (self._runs, self._drivers, self._tasks):
                    registry.pop(run.id, None)
                self.on_free.notify(run.id)

    async def _drive(self, run: RunRecord) -> RunRecord | None:
        """
        Drive a run to its end; while the ledger is unavailable wait for it, and continue from its state then.

        Returns None for a run that was over before it was begun.
        """
        heartbeat, is_known = self._liveness.heartbeat(run.id), False

        async def attempt() -> RunRecord | None:
            nonlocal is_known
            found = await self._ledger.runs.get(run.id)
            if found.finished is not None and not is_known:
                return None
            if not is_known:
                self.on_start.notify(run.id, found)
            is_known = True
            self._drivers[run.id] = driver = await self.driver_factory.of(found, heartbeat)
            if run.id in self._rollback_requests:  # said before it was driven, or before the ledger was away
                driver.request_rollback(*self._rollback_requests[run.id])
            elif (abort := await self._ledger.incidents.abort_of(run.incident)) and not found.rollback_requested_by:
                driver.request_abort(abort.reason)
            return await driver.drive()

        def again(error: Exception) -> bool:
            if isinstance(error, LedgerUnavailable):
                log.warning("run waits for the ledger", error=str(error), since=str(heartbeat()))
            return isinstance(error, LedgerUnavailable)

        try:
            return await retry(attempt, again, Waits.of(self._policy.retry_after))
        except StaleEpoch:
            raise
        except Exception as error:
            # An error of one run (a bug, a catalog that this version cannot read) must not end the other runs, and must not be
            # ignored: the run stops where it is and a person is called.
            log.exception("run failed")
            reason = f"the run cannot continue: {type(error).__name__}: {error}"
            return await self._give_up(run, reason)

    def _notify_ended(self, run: RunRecord, steps: Sequence[StepRecord]) -> None:
        self._rollback_requests.pop(run.id, None)
        self.on_end.notify(run.id, run, steps)

    async def _give_up(self, run: RunRecord, reason: str) -> RunRecord:
        """Hand a run to a person with a report of its steps; while the ledger is unavailable wait for it."""

        async def attempt() -> RunRecord:
            text = await self._report(run, reason)
            return await self._ledger.runs.move_run(run.id, IncidentState.NEEDS_OPERATOR, text, self._deps.clock())

        def again(error: Exception) -> bool:
            if isinstance(error, LedgerUnavailable):
                log.warning("failed run waits for the ledger", error=str(error))
            return isinstance(error, LedgerUnavailable)

        return await retry(attempt, again, Waits.of(self._policy.retry_after))

    async def _report(self, run: RunRecord, reason: str) -> Lines:
        """Return the report of a run that cannot go on, as far as its steps can be read."""
        try:
            return hand_over(reason, await self._ledger.runs.steps(run.id, strict=False))
        except LedgerUnavailable:
            raise
        except Exception as error:
            # The run's own steps may be what cannot be read: it is closed without them, or its service would stay locked.
            log.exception("run report failed")
            unknown = f"The changes of the run are unknown ({type(error).__name__}: {error}). Check its objects."
            return lines((line(reason), line(unknown)))
