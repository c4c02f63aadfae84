"""
What stands before every change of a run: a person's pause, our own sight, and whether the change is still needed.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from kintsugi.guards import Limits, covers
from kintsugi.model.documents import RuleSource
from kintsugi.model.records import (
    Approval,
    History,
    Incident,
    IncidentState,
    Pause,
    Phase,
    RunRecord,
    Signal,
    SignalStatus,
    Verdict,
)
from kintsugi.runner.ends import Cleared, Stopped
from kintsugi.runner.journal import Journal
from kintsugi.runner.memory import Restoring
from kintsugi.runner.restoring import is_under_way
from kintsugi.runner.tools import Tools
from kintsugi.runner.trigger import clear_since
from kintsugi.telemetry import get_logger

log = get_logger(__name__)


class GateLedger(Protocol):
    """What the gate asks of the ledger."""

    async def pauses(self, now: datetime) -> tuple[Pause, ...]: ...

    async def signals_of(self, incident: str) -> tuple[tuple[Signal, Verdict | None], ...]: ...

    async def history(self, service: str, namespace: str, now: datetime) -> History: ...

    async def ask(self, approval: Approval) -> object: ...

    async def approvals(self, incident: str) -> tuple[Approval, ...]: ...

    async def tell_once(self, incident: str, kind: IncidentState, text: str, now: datetime) -> None: ...

    async def move_run(
        self, run: str, state: IncidentState, reason: str, now: datetime, *, deadline: datetime | None = None
    ) -> RunRecord: ...


@dataclass(kw_only=True)
class RunGate:
    """The gate of one run. `run` moves on when an approval has moved the deadline."""

    tools: Tools
    ledger: GateLedger
    journal: Journal
    incident: Incident
    limits: Limits
    plan: str
    expiry: timedelta

    async def before_change(self, phase: Phase, restoring: Restoring | None = None) -> str:
        """
        Wait until nothing stands in the way; then say why the change is not needed any more, or nothing.

        Raises Cleared when what started the run ended before anything was changed (DESIGN 6). A rollback goes on
        through pauses, unless one freezes. So does a restore that has touched anything go on when the trigger has ended, when
        alerts are silenced or the budget is spent: half of it would be worse than none. A person's pause holds it.
        """
        begun = restoring is not None and is_under_way(self.journal, restoring.path)
        while hindrance := await self._hindrance(phase, begun=begun):
            log.info("a change waits", run=self.journal.run.id, why=hindrance)
            await asyncio.sleep(self.tools.pace.total_seconds())
        if phase is not Phase.FORWARD or begun:
            return ""
        signals = [signal for signal, _ in await self.ledger.signals_of(self.incident.id)]
        lasting = [signal for signal in signals if signal.kind is not RuleSource.EVENT]
        if not lasting or clear_since(self.incident, lasting) is None:
            return ""
        if not self.journal.changed:
            raise Cleared("", "what started the run has ended before anything was changed")
        view = self.tools.world.views.get(self.journal.run.service)
        return "what started the run has ended and the service is healthy" if view is not None and view.healthy else ""

    async def ask(self, phase: Phase, path: str, question: str) -> None:
        """
        Ask a person, and wait. The time of waiting does not count towards the deadline. Raises Stopped on expiry.

        A step of the way back has a question of its own, whatever a forward step of the same name was answered.
        """
        path = path if phase is Phase.FORWARD else f"{phase}/{path}"
        approval = await self._open(path) or await self._ask(path, question)
        while approval.answered is None:
            if self.journal.run.state is not IncidentState.AWAITING_APPROVAL:
                await self._move(IncidentState.AWAITING_APPROVAL, question)
            if self.tools.clock() >= approval.expires:
                await self._tell_expired(approval)
                raise Stopped(path, f"nobody approved within {self.expiry}: {question}")
            await asyncio.sleep(self.tools.pace.total_seconds())
            approval = await self._open(path) or approval
        state = IncidentState.RUNNING if phase is Phase.FORWARD else IncidentState.ROLLING_BACK
        await self._go_on(approval, state, waited=approval.answered - approval.asked)

    async def _go_on(self, approval: Approval, state: IncidentState, *, waited: timedelta) -> None:
        """Move the deadline by the time of waiting, once: the new one is noted before the run is moved."""
        note, reason = f"{approval.path}?", f"approved by {approval.who}"
        facts = {"deadline": self.journal.run.deadline + waited}
        await self.journal.note(note, reason, facts, now=self.tools.clock())
        moved = self.journal.fact(note, "deadline")
        assert isinstance(moved, datetime), moved
        await self._move(state, reason, deadline=max(moved, self.journal.run.deadline))

    async def _ask(self, path: str, question: str) -> Approval:
        now = self.tools.clock()
        approval = Approval(
            incident=self.incident.id,
            path=path,
            question=question,
            plan=self.plan,
            asked=now,
            expires=now + self.expiry,
        )
        await self.ledger.ask(approval)
        return approval

    async def _tell_expired(self, approval: Approval) -> None:
        """Tell a person that a question has expired: not every end of a run tells of it."""
        text = f"Nobody approved by {approval.expires:%H:%M:%S}, so it is not done: {approval.question}"
        await self.ledger.tell_once(self.incident.id, IncidentState.AWAITING_APPROVAL, text, self.tools.clock())

    async def _move(self, state: IncidentState, reason: str, *, deadline: datetime | None = None) -> None:
        now, run = self.tools.clock(), self.journal.run.id
        self.journal.run = await self.ledger.move_run(run, state, reason, now, deadline=deadline)

    async def _open(self, path: str) -> Approval | None:
        return next((each for each in await self.ledger.approvals(self.incident.id) if each.path == path), None)

    async def _hindrance(self, phase: Phase, *, begun: bool) -> str:
        run = self.journal.run
        if phase is Phase.FORWARD:
            stop = self.tools.world.annotation_pause(run.namespace) or ("" if begun else await self._silence())
            if stop:
                return stop
        for pause in await self.ledger.pauses(self.tools.clock()):
            if covers(pause, run.namespace, run.rule) and (pause.freeze or phase is Phase.FORWARD):
                return f"paused by {pause.who}: {pause.why}"
        return self.tools.world.blind or ("" if begun else await self._spent(phase))

    async def _spent(self, phase: Phase) -> str:
        """Say that the namespace's disruption budget is spent; the way back is not held up by it (P7)."""
        run, now = self.journal.run, self.tools.clock()
        if phase is not Phase.FORWARD:
            return ""
        history = await self.ledger.history(run.service, run.namespace, now)
        spent = sum(moment > now - self.limits.budget_window for moment in history.disruptions)
        budget = self.limits.budget
        return f"{spent} changes in {run.namespace} of late, the budget is {budget}" if spent >= budget else ""

    async def _silence(self) -> str:
        """Say that people have silenced everything that the run goes on for (reliability A19)."""
        signals = [signal for signal, _ in await self.ledger.signals_of(self.incident.id)]
        firing = [signal for signal in signals if signal.status is SignalStatus.FIRING]
        if not firing or any(signal.kind is not RuleSource.ALERT for signal in firing):
            return ""
        return await self.tools.world.silence([signal.key for signal in firing])
