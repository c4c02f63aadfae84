"""
The gate of one run: it gathers how things stand, asks `admission`, and waits, asks a person or parks the run accordingly.

It also is where a step's question to a person is put and waited for.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from kintsugi.admission import AdmissionFacts, Attempt, Decision, Ruling, admit, goes_forward
from kintsugi.guards import Limits
from kintsugi.ledger.admissions import Stops
from kintsugi.model.bounds import Budget, Lock
from kintsugi.model.command import Command
from kintsugi.model.documents import Mode
from kintsugi.model.records import Approval, Incident, IncidentState, Phase, RunRecord
from kintsugi.model.trigger import Trigger
from kintsugi.runner.affected import Affected, affected_by
from kintsugi.runner.ends import Cleared, Parked, Stopped, Unapproved
from kintsugi.runner.journal import Journal
from kintsugi.runner.memory import Bearings
from kintsugi.runner.restoring import is_under_way
from kintsugi.runner.tools import Tools
from kintsugi.runner.trigger import clear_since
from kintsugi.telemetry import get_logger

log = get_logger(__name__)

PLAN = ""
"""The path of the question about a whole run."""

ROLLBACK_ASKED = "@asked"
"""Path under which it is kept that a person asked for the rollback."""


class GateLedger(Protocol):
    """What the gate asks of the ledger."""

    async def stops(self, namespace: str, since: datetime, now: datetime) -> Stops: ...

    async def locks_of(self, run: str) -> tuple[Lock, ...]: ...

    async def take_locks(self, run: str, path: str, names: Sequence[str], now: datetime) -> Lock | None: ...

    async def release_locks(self, run: str, path: str) -> None: ...

    async def trigger_of(self, incident: str) -> Trigger: ...

    def firing_keys(self, incident: str) -> AsyncIterator[str]: ...

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

    def admission(self, at: Bearings, command: Command | None = None, *, phase: Phase | None = None) -> "RunAdmission":
        """Return the gate as it stands before a change here, of the command's object where that is known already."""
        run, views = self.journal.run, self.tools.world.views
        affected = affected_by(run, at.service, command, {name: view.service for name, view in views.items()})
        return RunAdmission(gate=self, at=at, phase=phase or at.phase, affected=affected)

    async def release(self, child: str) -> None:
        """Give back the locks that a child of the run has taken, once it is over."""
        if any(lock.path == child for lock in await self.ledger.locks_of(self.journal.run.id)):
            await self.ledger.release_locks(self.journal.run.id, child)

    async def ask(self, phase: Phase, path: str, question: str) -> None:
        """
        Ask a person, and wait. The time of waiting does not count towards the deadline. Raises Unapproved on expiry.

        A step of the way back has a question of its own, whatever a forward step of the same name was answered.
        """
        await self._ask(phase, path if phase is Phase.FORWARD else f"{phase}/{path}", question)

    async def ask_about_run(self, phase: Phase, why: str) -> None:
        """Ask whether a run that nobody has approved may go on. Raises Unapproved on expiry."""
        run = self.journal.run
        await self._ask(phase, PLAN, f"{why}: may {run.runbook} on {run.service} go on?")

    async def is_approved(self) -> bool:
        """Return whether a person has approved the whole run, or wants it taken back."""
        if self.journal.known(Phase.FORWARD, ROLLBACK_ASKED) is not None:
            return True
        return any(each.answered is not None for each in await self._asked(PLAN))

    async def needless(self, attempt: Attempt) -> str:
        """
        Return why a change forward is not needed any more, or nothing.

        Raises Cleared when what started the run ended before anything was changed (DESIGN 6). A restore that has touched
        anything goes on when the trigger has ended: half of it would be worse than none.
        """
        if not goes_forward(attempt):
            return ""
        trigger = await self.ledger.trigger_of(self.incident.id)
        if not trigger.lasting or clear_since(self.incident, trigger) is None:
            return ""
        if not self.journal.changed:
            raise Cleared("", "what started the run has ended before anything was changed")
        view = self.tools.world.views.get(self.journal.run.service)
        return "what started the run has ended and the service is healthy" if view is not None and view.healthy else ""

    async def silence(self) -> str:
        """Say that people have silenced everything that the run goes on for (reliability A19)."""
        if not (await self.ledger.trigger_of(self.incident.id)).alerts_only:
            return ""
        return await self.tools.world.silence(self.ledger.firing_keys(self.incident.id))

    async def _ask(self, phase: Phase, path: str, question: str) -> None:
        approval = await self._valid(path) or await self._put(path, question)
        while approval.answered is None:
            if self.journal.run.state is not IncidentState.AWAITING_APPROVAL:
                await self._move(IncidentState.AWAITING_APPROVAL, question)
            if self.tools.clock() >= approval.expires:
                await self._tell_expired(approval)
                raise Unapproved(path, f"nobody approved within {self.expiry}: {question}")
            await asyncio.sleep(self.tools.pace.total_seconds())
            approval = await self._newest(path) or approval
        state = IncidentState.RUNNING if phase is Phase.FORWARD else IncidentState.ROLLING_BACK
        await self._go_on(approval, state, waited=approval.answered - approval.asked)

    async def _go_on(self, approval: Approval, state: IncidentState, *, waited: timedelta) -> None:
        """Move the deadline by the time of waiting, once: the new one is noted before the run is moved."""
        earlier = [each for each in await self._asked(approval.path) if each.asked < approval.asked]
        note, reason = f"{approval.path}?{len(earlier) or ''}", f"approved by {approval.who}"
        facts = {"deadline": self.journal.run.deadline + waited}
        await self.journal.note(note, reason, facts, now=self.tools.clock())
        moved = self.journal.fact(note, "deadline")
        assert isinstance(moved, datetime), moved
        await self._move(state, reason, deadline=max(moved, self.journal.run.deadline))

    async def _put(self, path: str, question: str) -> Approval:
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

    async def _valid(self, path: str) -> Approval | None:
        """Return the newest question of a path while it, or its answer, is good; one that was waited for may run out."""
        newest = await self._newest(path)
        waited_for = self.journal.run.state is IncidentState.AWAITING_APPROVAL
        expired = newest is not None and newest.expires <= self.tools.clock()
        return None if expired and not (waited_for and newest is not None and newest.answered is None) else newest

    async def _newest(self, path: str) -> Approval | None:
        return next(reversed(await self._asked(path)), None)

    async def _asked(self, path: str) -> Sequence[Approval]:
        """Return the questions of a path, oldest first."""
        return [each for each in await self.ledger.approvals(self.incident.id) if each.path == path]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunAdmission:
    """The gate of a run as it stands before the attempts of one effect; implements `executor.Admission`."""

    gate: RunGate
    at: Bearings
    phase: Phase
    affected: Affected

    @property
    def namespace(self) -> str:
        """Return the run's namespace: what is changed outside of any is changed on its behalf."""
        return self.gate.journal.run.namespace

    @property
    def stopping(self) -> bool:
        """Return whether the daemon is stopping."""
        return self.gate.tools.stopping.is_set()

    async def admit(self) -> str:
        """
        Wait until an attempt may be made, and hold the locks of what it changes.

        Return why the change is not needed any more, or nothing. Raises Cleared, Parked, Unapproved, Stopped.
        """
        while hindrance := await self._hindrance():
            log.info("a change waits", run=self.gate.journal.run.id, why=hindrance)
            await asyncio.sleep(self.gate.tools.pace.total_seconds())
        return "" if self.at.completing else await self.gate.needless(self._attempt())

    async def objection(self) -> str:
        """Return what stands against the attempt at this very moment, or nothing. Raises StaleEpoch."""
        return (await self._decide()).reason

    def budget(self, now: datetime) -> Budget | None:
        """Return the budget that the intent is counted against; a way back and a restore under way have none."""
        limits = self.gate.limits
        return Budget(most=limits.budget, since=now - limits.budget_window) if goes_forward(self._attempt()) else None

    async def _hindrance(self) -> str:
        decision = await self._decide(silence=goes_forward(self._attempt()))
        match decision.ruling:
            case Ruling.PARK:
                raise Parked("", decision.reason)
            case Ruling.ASK:
                await self.gate.ask_about_run(self.phase, decision.reason)
                return decision.reason
            case Ruling.WAIT:
                return decision.reason
            case Ruling.ADMIT:
                return await self._locked()

    async def _decide(self, *, silence: bool = False) -> Decision:
        gate, world, attempt = self.gate, self.gate.tools.world, self._attempt()
        now, mode = gate.tools.clock(), world.mode_of(gate.journal.run.rule)
        stops = await gate.ledger.stops(self.affected.namespace, now - gate.limits.budget_window, now)
        standing = AdmissionFacts(
            mode=mode,
            observer=world.observer(),
            approved=mode is not Mode.APPROVE or await gate.is_approved(),
            stopping=self.stopping,
            pauses=stops.pauses,
            annotations=[world.annotation_pause(each) for each in sorted(attempt.namespaces)],
            silence=await gate.silence() if silence else "",
            disruptions=stops.disruptions,
        )
        return admit(attempt, standing, gate.limits)

    async def _locked(self) -> str:
        """
        Take the locks of the services that are changed; say who holds one of them.

        Raises Stopped where waiting could never end: two runs would wait for each other.
        """
        gate, run = self.gate, self.gate.journal.run
        held = {lock.name for lock in await gate.ledger.locks_of(run.id)}
        if held.issuperset(self.affected.locks):
            return ""
        foreign = await gate.ledger.take_locks(run.id, self.at.child, self.affected.locks, gate.tools.clock())
        if foreign is None:
            return ""
        why = f"{foreign.name} is held by run {foreign.run}"
        if not self.affected.may_wait_for(foreign.name, held):
            raise Stopped("", f"{why}, which may wait for this one")
        return why

    def _attempt(self) -> Attempt:
        restoring = self.at.restoring
        return Attempt(
            phase=self.phase,
            rule=self.gate.journal.run.rule,
            namespaces=self.affected.namespaces,
            services=self.affected.services,
            restoring=restoring is not None and is_under_way(self.gate.journal, restoring.path),
        )
