"""
The clock of a run's deadline: it stands still while a person is waited for, by an approval or a pause.

How long it has stood is read from the ledger's own rows each time, so that no restart loses or doubles any of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from kintsugi.guards import covers
from kintsugi.model.records import Approval, IncidentState, Pause, RunRecord
from kintsugi.runner.journal import Journal
from kintsugi.runner.tools import Tools
from kintsugi.telemetry import get_logger

log = get_logger(__name__)

Span = tuple[datetime, datetime]

STEPS = 60
"""After how many looks the deadline of a run that is paused is moved in the ledger: about once a minute."""


class ClockLedger(Protocol):
    """What the clock asks of the ledger."""

    async def pauses_since(self, moment: datetime, now: datetime) -> tuple[Pause, ...]: ...

    async def approvals(self, incident: str) -> tuple[Approval, ...]: ...

    async def move_run(
        self, run: str, state: IncidentState, reason: str, now: datetime, *, deadline: datetime | None = None
    ) -> RunRecord: ...


@dataclass(kw_only=True)
class Standstill:
    """
    Moves one run's deadline by the time for which its clock has stood still.

    `after` is what the runbook gives a run. `marked` are the spans in which the namespace was marked as paused, as far as
    this process has seen them: an annotation does not say since when it is there.
    """

    tools: Tools
    ledger: ClockLedger
    journal: Journal
    after: timedelta
    marked: list[Span] = field(default_factory=list)
    _said: str = ""

    async def look(self) -> str:
        """
        Move the deadline once it has come, if the clock has stood still, and return why it does so now; "" while it runs.

        Nobody is asked before the deadline has come: until then nothing follows from it.
        """
        run, now = self.journal.run, self.tools.clock()
        mark = self._mark(now)
        if now < run.deadline or run.state is IncidentState.AWAITING_APPROVAL:
            return ""
        pauses = await self.pauses(now)
        stands = mark or next((f"paused by {each.who}: {each.why}" for each in pauses if is_in_force(each, now)), "")
        if stands and stands != self._said:
            log.info("a deadline waits", run=run.id, why=stands)
        self._said = stands
        spans = [*self.marked, *((each.since, each.until or now) for each in pauses)]
        if not spans:
            return ""
        deadline = run.started + self.after + covered([*spans, *await self._waits()], run.started, now)
        if deadline - run.deadline > (STEPS * self.tools.pace if stands else timedelta()):
            self.journal.run = await self.ledger.move_run(run.id, run.state, run.reason, now, deadline=deadline)
        return stands

    async def waited(self, since: datetime) -> timedelta:
        """Return for how long a person was waited for since a moment."""
        return covered(await self._waits(), since, self.tools.clock())

    async def pauses(self, now: datetime) -> list[Pause]:
        """List the pauses of this run that held at any time since it began; under a freeze it is handed over instead."""
        run = self.journal.run
        found = await self.ledger.pauses_since(run.started, now)
        return [
            each
            for each in found
            if not each.freeze and covers(each, namespace=run.namespace, rule=run.rule, service=run.service)
        ]

    def _mark(self, now: datetime) -> str:
        """Keep that the namespace is marked as paused now, and return by what; "" when it is not."""
        mark = self.tools.world.annotation_pause(self.journal.run.namespace)
        if mark:
            began, ended = self.marked.pop() if self.marked else (now, now)
            known = now - ended <= STEPS * self.tools.pace
            self.marked += [(began, now)] if known else [(began, ended), (now, now)]
        return mark

    async def _waits(self) -> list[Span]:
        """List when a person was waited for to answer a question of this run."""
        asked = await self.ledger.approvals(self.journal.run.incident)
        return [(each.asked, each.answered) for each in asked if each.answered is not None]


def is_in_force(pause: Pause, now: datetime) -> bool:
    """Return whether a pause holds now."""
    return pause.until is None or pause.until > now


def covered(spans: Iterable[Span], began: datetime, now: datetime) -> timedelta:
    """Add up how much of the time from `began` to `now` any of the spans covers."""
    total, reached = timedelta(), began
    for start, end in sorted(spans):
        first, last = max(start, reached), min(end, now)
        if last > first:
            total, reached = total + (last - first), last
    return total
