"""
The term of one rollback: why and when it began, and that it does not last for ever.

A run that was taken back in vain may be taken back again by a person: each rollback has notes of its own in the journal.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any, TypeVar

from kintsugi.model.documents import InOrder, Rollback, Step, Together
from kintsugi.model.records import IncidentState, Phase
from kintsugi.runner.ends import Stopped
from kintsugi.runner.journal import Journal
from kintsugi.runner.standstill import Standstill
from kintsugi.runner.tools import Tools
from kintsugi.watchdog import ROLLOUT

T = TypeVar("T")

BEGAN = "@rollback"
"""How the path begins under which it is kept why and when a rollback began."""

FIRST = f"{BEGAN}0"
"""Path under which it is kept when the first rollback began."""

OVER = "/over"
"""How the path ends under which it is kept that a rollback is over."""

LATE = "/late"
"""How the path ends under which it is kept when a process first went on with a rollback whose time was over."""

LIMIT = 30
"""How many times the verification time a rollback may take, besides what its steps may by their own word: an hour."""


@dataclass(kw_only=True)
class RollbackTerm:
    """
    The term of one rollback of a run; taken up again after a restart it goes on, with the time that is left.

    Where none was left because no process was there, it has the time of a rollout to look again (`grace`), once.
    """

    tools: Tools
    journal: Journal
    clock: Standstill
    path: str
    why: str
    began: datetime
    limit: timedelta
    grace: timedelta

    @classmethod
    async def begin(
        cls, tools: Tools, journal: Journal, clock: Standstill, rollback: Rollback, verify: timedelta
    ) -> "RollbackTerm":
        """Begin, or go on with the one that is not over. The run's reason is why."""
        number = next(each for each in count() if journal.known(Phase.FORWARD, f"{BEGAN}{each}{OVER}") is None)
        path, now = f"{BEGAN}{number}", tools.clock()
        await journal.note(path, "Why it was taken back", {"why": journal.run.reason, "when": now}, now=now)
        began = journal.fact(path, "when")
        assert isinstance(began, datetime), began
        limit, grace = max(rollback.after, LIMIT * verify) + longest(rollback.steps), timedelta()
        if now >= began + limit:
            await journal.note(f"{path}{LATE}", "Gone on with after its time", {"when": now}, now=now)
            late = journal.fact(f"{path}{LATE}", "when")
            assert isinstance(late, datetime), late
            grace = late - began - limit + ROLLOUT * verify
        return cls(
            tools=tools,
            journal=journal,
            clock=clock,
            path=path,
            why=str(journal.fact(path, "why")),
            began=began,
            limit=limit,
            grace=grace,
        )

    async def end(self) -> None:
        """Note that it is over, before the run is moved on."""
        await self.journal.note(f"{self.path}{OVER}", "The rollback is over", {}, now=self.tools.clock())

    async def in_time(self, rollback: Coroutine[Any, Any, T]) -> T:
        """Let it come to its end, but not for ever; time in which a person is waited for does not count. Raises WalkEnded."""
        going = asyncio.create_task(rollback, name=f"rollback {self.journal.run.id}")
        try:
            while not going.done():
                await asyncio.wait([going], timeout=self.tools.pace.total_seconds())
                if not going.done() and await self._is_late():
                    raise Stopped("", f"it was not over after {self.limit}")
            return going.result()
        finally:
            going.cancel()
            await asyncio.gather(going, return_exceptions=True)

    async def _is_late(self) -> bool:
        now = self.tools.clock()
        end = self.began + self.limit + self.grace
        if now < end or self.journal.run.state is IncidentState.AWAITING_APPROVAL:
            return False
        return now >= end + await self.clock.waited(self.began)


def longest(steps: Sequence[Step]) -> timedelta:
    """Add up what steps may take by their own word, one after another."""
    own = [step.within + step.hold + (step.timeout or timedelta()) for step in steps]
    inner = [longest(step.do.steps) for step in steps if isinstance(step.do, InOrder | Together)]
    return sum([*own, *inner], timedelta())
