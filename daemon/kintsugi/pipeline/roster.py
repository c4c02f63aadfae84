"""
The runs under way: one task each, taken up again from the ledger on start.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import structlog

from kintsugi.errors import LedgerUnavailable, StaleEpoch
from kintsugi.guards import Limits
from kintsugi.model.records import Incident, IncidentState, RunKind, RunRecord, StepRecord
from kintsugi.pipeline.inforce import InForce
from kintsugi.runner import Carrier, Journal, Tools
from kintsugi.runner.carrier import RunLedger
from kintsugi.runner.drill import DrillCarrier
from kintsugi.runner.drill_gate import DrillGate, DrillLedger
from kintsugi.runner.gate import RunGate
from kintsugi.runner.handover import hand_over
from kintsugi.runner.journal import StepStore
from kintsugi.runner.judging import Judging
from kintsugi.runner.tools import Looker
from kintsugi.telemetry import log_context
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
    """

    def __init__(self, tools: Tools, ledger: RosterLedger, in_force: InForce, terms: Terms) -> None:
        self._tools = tools
        self._ledger = ledger
        self._in_force = in_force
        self._terms = terms
        self._runs: dict[str, RunRecord] = {}
        self._carriers: dict[str, Carrier | DrillCarrier] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._starts: list[Callable[[RunRecord], None]] = []
        self._ends: list[Callable[[RunRecord, Sequence[StepRecord]], None]] = []
        self.dethroned = asyncio.Event()

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

    async def resume(self) -> None:
        """Take up every run that the ledger has open."""
        for run in await self._ledger.open_runs():
            log.info("taking up a run", run=run.id, service=run.service, state=run.state)
            self.start(run)

    def start(self, run: RunRecord) -> None:
        """Begin a run's task, once."""
        if run.id not in self._tasks:
            self._runs[run.id] = run
            for listener in self._starts:
                listener(run)
            self._tasks[run.id] = asyncio.create_task(self._live(run), name=f"run {run.id}")

    def roll_back(self, incident: str, who: str) -> bool:
        """Ask an incident's run to go back now; False when none is under way."""
        for carrier in self._carriers.values():
            if carrier.incident.id == incident:
                carrier.ask_rollback(who)
                return True
        return False

    async def stop(self) -> None:
        """Cancel all tasks and wait until the effects that were begun have ended."""
        self._tools.stopping.set()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _live(self, run: RunRecord) -> None:
        with log_context(run=run.id, incident=run.incident):
            try:
                ended = await self._carry_on(run)
                steps = self._carriers[run.id].journal.all() if run.id in self._carriers else ()
                for listener in self._ends:
                    listener(ended, steps)
            except StaleEpoch:
                self.dethroned.set()
            finally:
                for registry in (self._runs, self._carriers, self._tasks):
                    registry.pop(run.id, None)

    async def _carry_on(self, run: RunRecord) -> RunRecord:
        """Carry a run to its end; while the ledger is away wait for it, and go on from what it says then."""
        while True:
            try:
                carrier = await self._carrier(await self._ledger.run(run.id))
                self._carriers[run.id] = carrier
                return await carrier.carry()
            except LedgerUnavailable as error:
                log.warning("a run waits for the ledger", error=str(error))
                await asyncio.sleep(self._terms.retry_after.total_seconds())
            except StaleEpoch:
                raise
            except Exception as error:
                # One run's mistake (a bug, a catalog that this version cannot read) must neither end the other runs nor
                # be acted through: the run stops where it is and a person is called.
                log.exception("a run cannot go on")
                reason = f"the run cannot go on: {type(error).__name__}: {error}"
                return await self._give_up(run, reason)

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

    async def _carrier(self, run: RunRecord) -> Carrier | DrillCarrier:
        catalog = await self._in_force.by_digest(run.catalog)
        incident = await self._ledger.incident(run.incident)
        journal = await Journal.read(run, self._ledger)
        runbook = catalog.runbooks[run.runbook]
        if run.kind is RunKind.DRILL:
            return DrillCarrier(
                tools=self._tools,
                ledger=self._ledger,
                catalog=catalog,
                runbook=runbook,
                incident=incident,
                journal=journal,
                gate=DrillGate(begun_in=incident.mode, tools=self._tools, ledger=self._ledger, journal=journal),
            )
        return Carrier(
            tools=self._tools,
            ledger=self._ledger,
            catalog=catalog,
            runbook=runbook,
            incident=incident,
            journal=journal,
            judging=Judging(
                tools=self._tools,
                journal=journal,
                runbook=runbook,
                services=catalog.services,
                patience=self._terms.patience,
            ),
            gate=RunGate(
                tools=self._tools,
                ledger=self._ledger,
                journal=journal,
                incident=incident,
                limits=self._terms.limits,
                plan=runbook.digest,
                expiry=self._terms.approval_expiry,
            ),
        )
