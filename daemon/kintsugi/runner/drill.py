"""
Carries one drill from where the ledger says it stands to its end: its steps, then everything that it made is taken back.

How the steps ended is kept before anything is taken back, so that a restart in between changes nothing of it. No watchdog
judges a drill: it changes nothing that lasts.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any

import structlog

from kintsugi.commands import decode
from kintsugi.drills import DATABASE, INTEGRITY, report_of, summary_of, turned
from kintsugi.drills.report import LEFT_OUT, OUTCOME
from kintsugi.durations import format_duration
from kintsugi.model.command import PgRestore
from kintsugi.model.documents import Catalog, Runbook
from kintsugi.model.records import Incident, IncidentState, Phase, RunRecord
from kintsugi.model.restore import scratch_of
from kintsugi.runner.carrier import RunLedger
from kintsugi.runner.desk import Desk
from kintsugi.runner.drill_gate import DrillGate
from kintsugi.runner.ends import Cleared, Stopped, WalkEnded, raise_gravest
from kintsugi.runner.journal import Journal, left_to_undo
from kintsugi.runner.memory import Bearings
from kintsugi.runner.tools import Tools
from kintsugi.runner.walk import Walk
from kintsugi.runner.work import Work

log = structlog.get_logger(__name__)

PATIENCE = timedelta(minutes=10)
"""How long one thing is tried to be taken back; what is left then, the next drill drops."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How the steps of a drill ended."""

    state: IncidentState
    reason: str


@dataclass(kw_only=True)
class DrillCarrier:
    """One drill under way. A person may end it: `ask_rollback`."""

    tools: Tools
    ledger: RunLedger
    catalog: Catalog
    runbook: Runbook
    incident: Incident
    journal: Journal
    gate: DrillGate
    _ended_by: str = field(default="", init=False)

    @property
    def run(self) -> RunRecord:
        """Give the run as it was last committed."""
        return self.journal.run

    def ask_rollback(self, who: str) -> None:
        """Let it end now: what it made is taken back."""
        self._ended_by = who

    async def carry(self) -> RunRecord:
        """Go on from where it stands until it is over and nothing of it is left."""
        while not self.run.state.is_final:
            outcome = self._noted() or await self._walked()
            left = await self._take_back()
            await self._move(outcome, left)
        return self.run

    def _noted(self) -> Outcome | None:
        state, reason = self.journal.fact(OUTCOME, "state"), self.journal.fact(OUTCOME, "reason")
        return Outcome(state=IncidentState(str(state)), reason=str(reason)) if state is not None else None

    async def _walked(self) -> Outcome:
        """Do the steps, and keep how they ended."""
        outcome = await self._walk()
        facts = {"state": outcome.state.value, "reason": outcome.reason}
        await self.journal.note(OUTCOME, "How the drill ended", facts, now=self.tools.clock())
        return self._noted() or outcome

    async def _walk(self) -> Outcome:
        catalog = await self._about_scratch()
        work = Work(self._desk(self.run.deadline - self.tools.clock()))
        try:
            await self._until_stopped(Walk(work, catalog).steps(self.runbook.steps, self._at(Phase.FORWARD)))
        except Cleared as cleared:
            return Outcome(state=IncidentState.CANCELLED, reason=cleared.why)
        except WalkEnded as failure:
            hindrance = await self.gate.hindrance()
            if hindrance:
                return Outcome(state=IncidentState.CANCELLED, reason=f"{hindrance}; {failure}")
            return Outcome(state=IncidentState.FAILED, reason=f"the drill did not pass: {failure}")
        report = report_of(self.run, self.journal.all(), now=self.tools.clock())
        return Outcome(state=IncidentState.PASSED, reason=summary_of(report))

    async def _about_scratch(self) -> Catalog:
        """Give the catalog in which the service's integrity checks ask the scratch database."""
        service = self.catalog.services[self.run.service]
        database, scratch = str(self.run.parameters[DATABASE]), scratch_of(self.incident.id)
        checks, left_out = turned(service.checks.get(INTEGRITY, ()), database, scratch)
        if left_out:
            facts = {"checks": list(left_out)}
            await self.journal.note(LEFT_OUT, "Checks that tell nothing of a backup", facts, now=self.tools.clock())
        about = replace(service, checks={**service.checks, INTEGRITY: checks})
        return replace(self.catalog, services={**self.catalog.services, service.name: about})

    async def _until_stopped(self, walk: Coroutine[Any, Any, None]) -> None:
        """Walk until the end, the deadline, a person's word, or until the service needs what the drill uses."""
        walking = asyncio.create_task(walk, name=f"drill {self.run.id}")
        ends: list[BaseException | None] = []
        try:
            while not walking.done() and not ends:
                ends += await self._reasons_to_stop()
                await asyncio.wait([walking], timeout=0 if ends else self.tools.pace.total_seconds())
        finally:
            walking.cancel()
            ends += await asyncio.gather(walking, return_exceptions=True)
        if any(isinstance(end, Cleared) for end in ends):
            ends = [end for end in ends if not isinstance(end, WalkEnded) or isinstance(end, Cleared)]
        raise_gravest([end for end in ends if not isinstance(end, asyncio.CancelledError)])

    async def _reasons_to_stop(self) -> list[BaseException | None]:
        if self._ended_by:
            return [Cleared("", f"ended by {self._ended_by}")]
        if self.tools.clock() >= self.run.deadline:
            longest = format_duration(self.run.deadline - self.run.started)
            return [Stopped("", f"it has not come to its end within {longest}")]
        hindrance = await self.gate.hindrance()
        return [Cleared("", hindrance)] if hindrance else []

    async def _take_back(self) -> str:
        """Take back all that was made, each as far as it goes; say what could not be."""
        work, at = Work(self._desk(PATIENCE)), self._at(Phase.ROLLBACK)
        changes = work.changes
        parts: list[Callable[[], Awaitable[object]]] = [lambda: changes.settle(at), lambda: changes.end_workers(at)]
        if self._restored_anything():
            parts.append(lambda: Walk(work, self.catalog).steps(self.runbook.rollback.steps, at))
        left = [what for part in parts if (what := await _tried(part))]
        for step, undo in left_to_undo(self.journal):
            left += [what for what in [await _tried(partial(changes.undo, step, undo, at))] if what]
        return "; ".join(left)

    def _restored_anything(self) -> bool:
        """Tell whether there may be a scratch database."""
        commands = [step.command for step in self.journal.changes(Phase.FORWARD) if step.command is not None]
        return any(isinstance(decode(command), PgRestore) for command in commands)

    async def _move(self, outcome: Outcome, left: str) -> None:
        state, reason = outcome.state, outcome.reason
        if left:
            state = IncidentState.FAILED if state is IncidentState.PASSED else state
            reason = f"{reason}; not everything could be taken back, the next drill tries again: {left}"
        self.journal.run = await self.ledger.move_run(self.run.id, state, reason, self.tools.clock())
        log.info("drill is over", run=self.run.id, incident=self.incident.id, state=state, reason=reason)

    def _at(self, phase: Phase) -> Bearings:
        parameters: Mapping[str, object] = self.run.parameters
        return Bearings(phase=phase, service=self.run.service, runbook=self.runbook.name, parameters=parameters)

    def _desk(self, within: timedelta) -> Desk:
        give_up = self.tools.clock() + within
        return Desk(tools=self.tools, gate=self.gate, journal=self.journal, incident=self.incident, give_up=give_up)


async def _tried(part: Callable[[], Awaitable[object]]) -> str:
    try:
        await part()
    except WalkEnded as trouble:
        return str(trouble)
    return ""
