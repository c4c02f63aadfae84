"""
The runs under way: one task each, taken up again from the ledger on start and whenever one is found without its task.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

import structlog

from kintsugi.errors import LedgerUnavailable, StaleEpoch
from kintsugi.guards import Limits
from kintsugi.model.records import Incident, IncidentState, RunKind, RunRecord, StepRecord
from kintsugi.pipeline.attending import Attending, Pulse
from kintsugi.pipeline.inforce import InForce
from kintsugi.reconciliation import Care, care_of
from kintsugi.runner import Carrier, Journal, Tools
from kintsugi.runner.carrier import RunLedger
from kintsugi.runner.drill import DrillCarrier
from kintsugi.runner.drill_gate import DrillGate, DrillLedger
from kintsugi.runner.gate import RunGate
from kintsugi.runner.handover import hand_over
from kintsugi.runner.journal import StepStore
from kintsugi.runner.judging import Judging
from kintsugi.runner.tools import Looker
from kintsugi.telemetry import Border, Containment, log_context
from kintsugi.watchdog import Patience

log = structlog.get_logger(__name__)


class RosterLedger(RunLedger, DrillLedger, StepStore, Protocol):
    """What the roster asks of the ledger."""

    async def open_runs(self) -> tuple[RunRecord, ...]: ...

    async def run(self, run: str) -> RunRecord: ...

    async def incident(self, incident: str) -> Incident: ...

    async def steps(self, run: str, *, strict: bool = True) -> tuple[StepRecord, ...]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """Figures that every run keeps to."""

    patience: Patience
    limits: Limits
    approval_expiry: timedelta
    retry_after: timedelta


class Roster:
    """
    Starts, holds and ends the tasks of runs.

    `dethroned` is set when the ledger says that another daemon leads: nothing more may be done by this one.
    `containment` keeps what one run or listener raises from the others.
    """

    def __init__(
        self,
        tools: Tools,
        ledger: RosterLedger,
        in_force: InForce,
        terms: Terms,
        *,
        containment: Containment | None = None,
    ) -> None:
        self.containment = containment or Containment()
        self._tools = tools
        self._ledger = ledger
        self._in_force = in_force
        self._terms = terms
        self._runs: dict[str, RunRecord] = {}
        self._carriers: dict[str, Carrier | DrillCarrier] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._wishes: dict[str, str] = {}
        self._attending = Attending(tools.clock)
        self._has_resumed = False
        self._starts: list[Callable[[RunRecord], None]] = []
        self._ends: list[Callable[[RunRecord, Sequence[StepRecord]], None]] = []
        self.dethroned = asyncio.Event()
        self._cares: list[Callable[[Care], None]] = []

    @property
    def looker(self) -> Looker:
        """Give what does the looks of runs."""
        return self._tools.looker

    @property
    def recovering(self) -> frozenset[str]:
        """Name the services that have a run under way; a drill is none of these."""
        return frozenset(run.service for run in self._runs.values() if run.kind is RunKind.RECOVERY)

    def run_of(self, service: str) -> RunRecord | None:
        """Give the run that is under way for a service."""
        recoveries = (run for run in self._runs.values() if run.kind is RunKind.RECOVERY)
        return next((run for run in recoveries if run.service == service), None)

    def on_start(self, listener: Callable[[RunRecord], None]) -> None:
        """Tell `listener` of each run that begins or is taken up again."""
        self._starts.append(listener)

    def on_end(self, listener: Callable[[RunRecord, Sequence[StepRecord]], None]) -> None:
        """Tell `listener` of each run that has come to its end, with its steps."""
        self._ends.append(listener)

    def on_care(self, listener: Callable[[Care], None]) -> None:
        """Tell `listener` of each open run that had to be taken up, restarted or handed over."""
        self._cares.append(listener)

    async def resume(self) -> None:
        """Take up every run that the ledger has open; changes may be made from now on."""
        self._tools.stopping.clear()
        for run in await self._ledger.open_runs():
            log.info("taking up a run", run=run.id, service=run.service, state=run.state)
            self.start(run)
        self._has_resumed = True

    async def reconcile(self) -> None:
        """
        See to it that each open run of the ledger has a task that looks at it, or is handed to a person.

        What is found without one: a run whose claim's answer was lost, one whose task has died, one that hangs. Nothing
        is done before `resume`. Raises LedgerUnavailable, StaleEpoch.
        """
        if not self._has_resumed or self.dethroned.is_set():
            return
        runs = await self._ledger.open_runs()
        self._attending.forget_all_but({run.id for run in runs})
        for run in runs:
            now = self._tools.clock()
            care = care_of(run, self._attending.of(run.id), pause=self._terms.retry_after, now=now)
            if care is not Care.LEAVE:
                with self.containment.around(Border.RUN, run.id), log_context(run=run.id, incident=run.incident):
                    await self._care_for(run, care, overdue=run.deadline < now)

    def start(self, run: RunRecord) -> None:
        """Begin a run's task, once."""
        if run.id not in self._tasks:
            self._runs[run.id] = run
            self._attending.begins(run.id)
            self._tasks[run.id] = asyncio.create_task(self._live(run), name=f"run {run.id}")

    def roll_back(self, incident: str, who: str) -> bool:
        """Ask an incident's run to go back now; False when none is under way."""
        found = next((run.id for run in self._runs.values() if run.incident == incident), None)
        if found is None:
            return False
        self._wishes[found] = who
        if found in self._carriers:
            self._carriers[found].ask_rollback(who)
        return True

    async def stop(self) -> None:
        """Cancel all tasks and wait until the effects that were begun have ended; nothing is taken up any more."""
        self._has_resumed = False
        self._tools.stopping.set()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _care_for(self, run: RunRecord, care: Care, *, overdue: bool) -> None:
        """Take a run up, or hand it over; one that hangs is taken up by the next look, once its task has ended."""
        for listener in self._cares:
            listener(care)
        match care:
            case Care.TAKE_UP:
                log.warning(
                    "taking up a run that nobody carried", service=run.service, state=run.state, overdue=overdue
                )
                self.start(run)
            case Care.RESTART:
                log.error("a run is past its deadline and looks at nothing", service=run.service, state=run.state)
                self._tasks[run.id].cancel()
            case Care.HAND_OVER:
                log.error("a run that has died again and again is handed over", service=run.service, state=run.state)
                death, now = self._attending.death(run.id), self._tools.clock()
                reason = f"the run cannot go on: its task has died {death.times} times, the last time of {death.of}"
                ended = await self._ledger.move_run(run.id, IncidentState.NEEDS_OPERATOR, reason, now)
                self._tell_end(ended, ())
            case Care.LEAVE:
                pass

    async def _live(self, run: RunRecord) -> None:
        with log_context(run=run.id, incident=run.incident):
            try:
                with self.containment.around(Border.RUN, run.id) as turn:
                    ended = await self._carry_on(run)
                    if ended is not None:
                        carrier = self._carriers.get(run.id)
                        self._tell_end(ended, carrier.journal.all() if carrier is not None else ())
                if (
                    turn.error is not None
                ):  # nothing of a run may die unheard: `reconcile` takes it up, or hands it over
                    self._attending.has_died(run.id, turn.error)
            except StaleEpoch:
                self.dethroned.set()
            finally:
                self._attending.ends(run.id)
                for registry in (self._runs, self._carriers, self._tasks):
                    registry.pop(run.id, None)

    async def _carry_on(self, run: RunRecord) -> RunRecord | None:
        """
        Carry a run to its end; while the ledger is away wait for it, and go on from what it says then.

        Returns None for one that was over before it was begun: its answer came late.
        """
        pulse, is_known = self._attending.pulse(run.id), False
        while True:
            try:
                found = await self._ledger.run(run.id)
                if found.finished is not None and not is_known:
                    return None
                if not is_known:
                    self._tell_start(found)
                is_known = True
                self._carriers[run.id] = carrier = await self._carrier(found, pulse)
                if run.id in self._wishes:  # said before it was carried, or before the ledger was away
                    carrier.ask_rollback(self._wishes[run.id])
                return await carrier.carry()
            except LedgerUnavailable as error:
                log.warning("a run waits for the ledger", error=str(error), since=str(pulse()))
                await asyncio.sleep(self._terms.retry_after.total_seconds())
            except StaleEpoch:
                raise
            except Exception as error:
                # One run's mistake (a bug, a catalog that this version cannot read) must neither end the other runs nor
                # be acted through: the run stops where it is and a person is called.
                log.exception("a run cannot go on")
                reason = f"the run cannot go on: {type(error).__name__}: {error}"
                return await self._give_up(run, reason)

    def _tell_start(self, run: RunRecord) -> None:
        for listener in self._starts:
            with self.containment.around(Border.LISTENER, run.id):
                listener(run)

    def _tell_end(self, run: RunRecord, steps: Sequence[StepRecord]) -> None:
        self._wishes.pop(run.id, None)
        for listener in self._ends:
            with self.containment.around(Border.LISTENER, run.id):
                listener(run, steps)

    async def _give_up(self, run: RunRecord, reason: str) -> RunRecord:
        """Hand a run to a person with what is known of what it did; while the ledger is away wait for it."""
        while True:
            try:
                text = await self._told(run, reason)
                return await self._ledger.move_run(run.id, IncidentState.NEEDS_OPERATOR, text, self._tools.clock())
            except LedgerUnavailable as error:
                log.warning("a run that cannot go on waits for the ledger", error=str(error))
                await asyncio.sleep(self._terms.retry_after.total_seconds())

    async def _told(self, run: RunRecord, reason: str) -> str:
        """Write what a person is told of a run that cannot go on, whatever of its story cannot be read."""
        try:
            return hand_over(reason, await self._ledger.steps(run.id, strict=False))
        except LedgerUnavailable:
            raise
        except Exception as error:
            # What made the run be given up may be its own story: it is closed without it, or its service stays locked.
            log.exception("what a run did cannot be told")
            return f"{reason}\nWhat it did cannot be told ({type(error).__name__}: {error}): look at its objects."

    async def _carrier(self, run: RunRecord, pulse: Pulse) -> Carrier | DrillCarrier:
        tools = replace(self._tools, clock=pulse)
        catalog = await self._in_force.by_digest(run.catalog)
        incident = await self._ledger.incident(run.incident)
        journal = await Journal.read(run, self._ledger)
        runbook = catalog.runbooks[run.runbook]
        if run.kind is RunKind.DRILL:
            return DrillCarrier(
                tools=tools,
                ledger=self._ledger,
                catalog=catalog,
                runbook=runbook,
                incident=incident,
                journal=journal,
                gate=DrillGate(begun_in=incident.mode, tools=tools, ledger=self._ledger, journal=journal),
            )
        return Carrier(
            tools=tools,
            ledger=self._ledger,
            catalog=catalog,
            runbook=runbook,
            incident=incident,
            journal=journal,
            judging=Judging(
                tools=tools,
                journal=journal,
                runbook=runbook,
                services=catalog.services,
                patience=self._terms.patience,
            ),
            gate=RunGate(
                tools=tools,
                ledger=self._ledger,
                journal=journal,
                incident=incident,
                limits=self._terms.limits,
                plan=runbook.digest,
                expiry=self._terms.approval_expiry,
            ),
        )
