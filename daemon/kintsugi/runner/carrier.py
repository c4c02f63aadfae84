"""
Carries one run from where the ledger says it stands to its end: walk, watch, and roll back if it must be.

Whatever ends the process, the ledger's state says how far the run was; the next start goes on from there.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog

from kintsugi.model.documents import Catalog, Runbook
from kintsugi.model.records import Incident, IncidentState, Phase, RunRecord
from kintsugi.runner.account import account
from kintsugi.runner.desk import Desk
from kintsugi.runner.ends import Broken, Cleared, Parked, Puzzled, RollbackWanted, Stopped, WalkEnded, raise_gravest
from kintsugi.runner.gate import ROLLBACK_ASKED, GateLedger, RunGate
from kintsugi.runner.handover import hand_over
from kintsugi.runner.journal import Journal
from kintsugi.runner.judging import STOPPED, Judging
from kintsugi.runner.memory import Bearings
from kintsugi.runner.restoring import restoring, unfinished
from kintsugi.runner.rollback import RollBack
from kintsugi.runner.rollback_term import RollbackTerm
from kintsugi.runner.standstill import ClockLedger, Standstill
from kintsugi.runner.tools import Tools
from kintsugi.runner.walk import Walk
from kintsugi.runner.work import Work
from kintsugi.watchdog import Call, Judgement

log = structlog.get_logger(__name__)

ENDS = {
    Call.RECOVERED: IncidentState.RECOVERED,
    Call.NO_ACTION: IncidentState.NO_ACTION,
    Call.INEFFECTIVE: IncidentState.INEFFECTIVE,
    Call.ROLL_BACK: IncidentState.ROLLING_BACK,
    Call.HAND_OVER: IncidentState.NEEDS_OPERATOR,
}
ASKED = "rollback asked for by"
"""How the reason of a run begins that a person wants taken back."""

FOR_A_PERSON = frozenset({IncidentState.NEEDS_OPERATOR, IncidentState.FAILED, IncidentState.INEFFECTIVE})
"""States whose reason carries the whole message: what was done, what is left, how to take it back."""


class RunLedger(GateLedger, ClockLedger, Protocol):
    """What a run asks of the ledger."""

    async def move_run(
        self,
        run: str,
        state: IncidentState,
        reason: str,
        now: datetime,
        *,
        deadline: datetime | None = None,
        walked: datetime | None = None,
    ) -> RunRecord: ...


@dataclass(kw_only=True)
class Carrier:
    """
    One run under way.

    `rollback_asked` is set by a person who wants it taken back now; it is heeded at the next step boundary.
    """

    tools: Tools
    ledger: RunLedger
    catalog: Catalog
    runbook: Runbook
    incident: Incident
    journal: Journal
    judging: Judging
    gate: RunGate
    rollback_asked: asyncio.Event = field(default_factory=asyncio.Event)
    rollback_by: str = ""
    clock: Standstill = field(init=False)

    def __post_init__(self) -> None:
        after = self.runbook.rollback.after
        self.clock = Standstill(tools=self.tools, ledger=self.ledger, journal=self.journal, after=after)

    @property
    def run(self) -> RunRecord:
        """Give the run as it was last committed."""
        return self.journal.run

    async def carry(self) -> RunRecord:
        """Go on from the run's state until it is final."""
        await self.judging.note_found()
        while not self.run.state.is_final:
            match self.run.state:
                case IncidentState.VERIFYING:
                    await self._watch()
                case IncidentState.ROLLING_BACK:
                    await self._roll_back()
                case _ if self.journal.has_any(Phase.ROLLBACK):
                    await self._roll_back()
                case _:
                    await self._walk()
        return self.run

    def ask_rollback(self, who: str) -> None:
        """Let a person's rollback begin."""
        self.rollback_by = who
        self.rollback_asked.set()

    async def _walk(self) -> None:
        work = Work(self._desk(self.run.deadline))
        service, parameters = self.catalog.services.get(self.run.service), self.run.parameters
        at = Bearings(
            phase=Phase.FORWARD,
            service=self.run.service,
            runbook=self.runbook.name,
            parameters=parameters,
            restoring=restoring(self.runbook, service, parameters, ""),
        )
        state, reason = IncidentState.VERIFYING, "every step was done"
        try:
            await self._until_stopped(Walk(work, self.catalog).steps(self.runbook.steps, at))
        except Stopped as stop:
            reason = f"{STOPPED} at {stop}" if stop.path else f"{STOPPED}: {stop}"
        except RollbackWanted as wish:
            state = IncidentState.ROLLING_BACK
            reason = f"the runbook asks for the rollback: {wish}" if wish.path else wish.why
        except Broken as failure:
            state, reason = IncidentState.FAILED, str(failure)
        except Puzzled as puzzle:
            state, reason = IncidentState.NEEDS_OPERATOR, str(puzzle)
        except Parked as stop:
            state, reason = self._end_without_writing(), stop.why
        except Cleared as cleared:
            state, reason = IncidentState.CANCELLED, cleared.why
        if not self.rollback_asked.is_set() and unfinished(self.runbook, self.catalog, self.journal):
            state, reason = self._parked(state), f"the restore is left as it is for a person: {reason}"
        await self.judging.note_left()
        await self._move(state, reason, walked=self.tools.clock())

    def _end_without_writing(self) -> IncidentState:
        """Return how a run ends for which nothing more may be written: to a person, if it has changed anything."""
        return IncidentState.NEEDS_OPERATOR if self.journal.changed else IncidentState.CANCELLED

    def _parked(self, state: IncidentState) -> IncidentState:
        """A restore that has begun is neither closed nor taken back by itself: what it stopped stays stopped."""
        ours = (IncidentState.VERIFYING, IncidentState.ROLLING_BACK, IncidentState.FAILED)
        return IncidentState.NEEDS_OPERATOR if state in ours else state

    async def _until_stopped(self, walk: Coroutine[Any, Any, None]) -> None:
        """Walk until the end, the deadline (approvals and pauses do not count) or a person's word. Raises WalkEnded."""
        walking = asyncio.create_task(walk, name=f"walk {self.run.id}")
        ends: list[BaseException | None] = []
        try:
            while not walking.done() and not ends:
                ends += await self._reasons_to_stop()
                await asyncio.wait([walking], timeout=0 if ends else self._next_look().total_seconds())
        finally:
            walking.cancel()
            ends += await asyncio.gather(walking, return_exceptions=True)
        raise_gravest([end for end in ends if not isinstance(end, asyncio.CancelledError)])

    async def _reasons_to_stop(self) -> list[BaseException | None]:
        """Say why the walk must end now: a person's word, or the deadline."""
        if self.rollback_asked.is_set():
            return [RollbackWanted("", f"{ASKED} {self.rollback_by}")]
        if not await self.clock.look() and self._left() <= timedelta(0):
            return [Stopped("", "the deadline came before the steps were done")]
        return []

    def _next_look(self) -> timedelta:
        """Say when the walk is looked at next: soon, and at the deadline at the latest."""
        left = self._left()
        return min(self.tools.pace, left) if left > timedelta(0) else self.tools.pace

    def _left(self) -> timedelta:
        """Return how long it is until the deadline: some time, while a person is asked."""
        if self.run.state is IncidentState.AWAITING_APPROVAL:
            return self.tools.pace
        return self.run.deadline - self.tools.clock()

    async def _watch(self) -> None:
        walked = self.run.reason
        judgement = await self._judgement()
        while judgement.call is Call.WAIT:
            await asyncio.sleep(self.tools.pace.total_seconds())
            if self.rollback_asked.is_set():
                judgement = Judgement(call=Call.ROLL_BACK, reason=f"{ASKED} {self.rollback_by}")
                break
            judgement = await self._judgement()
        state = ENDS[judgement.call]
        told = f"{judgement.reason}; {walked}" if state is IncidentState.NEEDS_OPERATOR else judgement.reason
        await self._move(state, told)

    async def _judgement(self) -> Judgement:
        """Judge now. While a person's pause holds, no rollback begins by itself: the deadline's clock stands still."""
        stands = await self.clock.look()
        judgement = self.judging.judge(self.incident, await self.ledger.trigger_of(self.incident.id))
        if stands and judgement.call is Call.ROLL_BACK:
            return Judgement(call=Call.WAIT, reason=f"{stands}: nothing is taken back meanwhile")
        return judgement

    async def _roll_back(self) -> None:
        rollback, verify = self.runbook.rollback, self.judging.patience.verify
        term = await RollbackTerm.begin(self.tools, self.journal, self.clock, rollback, verify)
        work = Work(self._desk(self.tools.clock() + rollback.after))
        going = RollBack(work, self.catalog, self.runbook, self.judging)
        try:
            done = await term.in_time(going.do(asked=await self._is_asked_for()))
            state = IncidentState.ROLLED_BACK if done.helped else IncidentState.NEEDS_OPERATOR
            standing = done.standing if done.helped else f"but {done.standing}"
            reason = f"rolled back ({term.why}): {done.what}; {standing}"
        except WalkEnded as trouble:
            state, reason = IncidentState.NEEDS_OPERATOR, f"the rollback did not succeed: {trouble}"
        await term.end()
        await self._move(state, reason)

    async def _is_asked_for(self) -> bool:
        """Tell whether a person wants the rollback, and keep it: a restore is taken back by nobody else."""
        if self.run.reason.startswith(ASKED):
            facts: dict[str, object] = {"why": self.run.reason}
            await self.journal.note(ROLLBACK_ASKED, "A person asked for the rollback", facts, now=self.tools.clock())
        return self.journal.known(Phase.FORWARD, ROLLBACK_ASKED) is not None

    async def _move(self, state: IncidentState, reason: str, *, walked: datetime | None = None) -> None:
        restored = account(self.journal.all(), self.incident.opened) if state.is_final else ""
        reason = f"{reason}; {restored}" if restored else reason
        text = hand_over(reason, self.journal.all(), self._way_back()) if state in FOR_A_PERSON else reason
        self.journal.run = await self.ledger.move_run(self.run.id, state, text, self.tools.clock(), walked=walked)
        log.info("run moved", run=self.run.id, incident=self.incident.id, state=state, reason=reason)

    def _way_back(self) -> str:
        """Return the exact command that goes back to the last good revision, while the service is not well."""
        view, number = self.judging.view, self.tools.world.last_good(self.run.service)
        if view is None or not number or self.judging.is_well:
            return ""
        return f"kubectl rollout undo {view.service.workload} --to-revision={number} -n {view.service.namespace}"

    def _desk(self, give_up: datetime) -> Desk:
        return Desk(tools=self.tools, gate=self.gate, journal=self.journal, incident=self.incident, give_up=give_up)
