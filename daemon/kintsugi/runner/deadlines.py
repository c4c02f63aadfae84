"""
The deadlines of a run and of its rollback, and the times that do not count.

The clock of a run's deadline stops while the run waits for a person (an approval, a pause) or for a slot. The time for
which it was stopped is read from the ledger's rows each time, so that a restart neither loses nor doubles any of it. A
person may roll a run back again after a rollback that did not help: each rollback has its own notes in the journal.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any, TypeVar

from kintsugi.decisions.guards import covers_run
from kintsugi.decisions.watchdog import ROLLOUT
from kintsugi.durations import format_duration
from kintsugi.ledger import Ledger
from kintsugi.model.records import IncidentState, Pause, Phase, RunRecord
from kintsugi.model.runbooks import Rollback, Step
from kintsugi.model.step_path import RUN, StepPath
from kintsugi.runner.context import RunnerDeps
from kintsugi.runner.ends import ExecutionStopped
from kintsugi.runner.holds import CLOCK_STOPPED, slotless_spans
from kintsugi.runner.journal import Journal
from kintsugi.runner.report import asking
from kintsugi.telemetry import get_logger

log = get_logger(__name__)

T = TypeVar("T")
Span = tuple[datetime, datetime]

POLLS_PER_DEADLINE_MOVE = 60
"""The number of looks after which the deadline of a paused run is moved in the ledger: about a minute."""

OVER = "over"
"""Noted of a rollback that is over."""

LATE = "late"
"""Noted when a process first resumes a rollback whose time is over."""

ROLLBACK_VERIFY_FACTOR = 30
"""The limit of a rollback in verification times, besides the timeouts of its steps: an hour by default."""


async def no_runs() -> Sequence[RunRecord]:
    """Return no runs: the default of a run that waits for none."""
    return ()


@dataclass(kw_only=True)
class DeadlineClock:
    """
    Moves one run's deadline by the time for which its clock was stopped.

    `after` is the time that the runbook gives a run. `marked` are the spans in which the namespace was marked as
    paused, as far as this process has seen them: an annotation has no time of its own. `others` are the child runs that
    this one waits for: while one of them waits for a person, this run's clock is stopped, too.
    """

    deps: RunnerDeps
    ledger: Ledger
    journal: Journal
    after: timedelta
    marked: list[Span] = field(default_factory=list)
    others: Callable[[], Awaitable[Sequence[RunRecord]]] = no_runs
    _logged: str = ""

    async def check(self) -> str:
        """
        Move the deadline once it has come, if the clock was stopped, and return why it is stopped now; "" while it
        runs.

        Nothing is read before the deadline has come: until then no decision depends on it.
        """
        run, now = self.journal.run, self.deps.clock()
        mark = self._mark(now)
        if now < run.deadline or run.state in CLOCK_STOPPED:
            return ""
        others = await self.others()
        pauses = await self.pauses(now, others)
        paused = next((f"paused by {each.who}: {each.why}" for each in pauses if is_in_force(each, now)), "")
        reason = mark or paused or asking(others)
        if reason and reason != self._logged:
            log.info("deadline postponed", run=run.id, why=reason)
        self._logged = reason
        await self._move(
            now, pauses, others, least=POLLS_PER_DEADLINE_MOVE * self.deps.poll_interval if reason else timedelta()
        )
        return reason

    async def catch_up(self) -> None:
        """Move the deadline by the time for which the clock has stood still so far, though it has not come yet."""
        now, others = self.deps.clock(), await self.others()
        await self._move(now, await self.pauses(now, others), others, least=timedelta())

    async def _move(
        self, now: datetime, pauses: Iterable[Pause], others: Sequence[RunRecord], *, least: timedelta
    ) -> None:
        """Move the deadline to where it belongs, if that is later by more than `least`."""
        run = self.journal.run
        spans = [*self.marked, *((each.since, each.until or now) for each in pauses)]
        spans += await self._asked_by(others, now)
        if not spans:
            return
        deadline = run.started + self.after + covered([*spans, *await self._waits()], run.started, now)
        if deadline - run.deadline > least:
            await self.journal.move(run.state, run.reason, now, deadline=deadline)

    async def waited(self, since: datetime) -> timedelta:
        """Return for how long a person was waited for since a moment."""
        return covered(await self._waits(), since, self.deps.clock())

    async def pauses(self, now: datetime, others: Sequence[RunRecord] = ()) -> list[Pause]:
        """
        List the pauses of this run, and of others, that held at any time since it began.

        Under a freeze it is handed over instead.
        """
        run = self.journal.run
        found = await self.ledger.people.pauses_since(run.started, now)
        return [each for each in found if not each.freeze and any(covers_run(each, one) for one in (run, *others))]

    def _mark(self, now: datetime) -> str:
        """Keep that the namespace is marked as paused now, and return by what; "" when it is not."""
        mark = self.deps.observed.annotation_pause(self.journal.run.namespace)
        if mark:
            began, ended = self.marked.pop() if self.marked else (now, now)
            known = now - ended <= POLLS_PER_DEADLINE_MOVE * self.deps.poll_interval
            self.marked += [(began, now)] if known else [(began, ended), (now, now)]
        return mark

    async def _waits(self) -> list[Span]:
        """List when a person was waited for to answer a question of this run, and when it had no slot."""
        asked = await self.ledger.people.questions_of(self.journal.run.incident)
        answered = [(each.asked, each.answered) for each in asked if each.answered is not None]
        return [*answered, *((given, taken) for given, taken in slotless_spans(self.journal) if taken is not None)]

    async def _asked_by(self, others: Sequence[RunRecord], now: datetime) -> list[Span]:
        """List when a person was waited for to answer a question of other runs, or is now."""
        over: dict[str, datetime] = {}
        for each in others:
            over[each.incident] = max(each.finished or now, over.get(each.incident, each.started))
        asked = await self.ledger.people.questions_of(*over)
        return [(one.asked, one.answered or min(one.expires, over[one.incident])) for one in asked]


def is_in_force(pause: Pause, now: datetime) -> bool:
    """Return whether a pause is in force now."""
    return pause.until is None or pause.until > now


def covered(spans: Iterable[Span], began: datetime, now: datetime) -> timedelta:
    """Return how much of the time from `began` to `now` the spans cover together."""
    total, reached = timedelta(), began
    for start, end in sorted(spans):
        first, last = max(start, reached), min(end, now)
        if last > first:
            total, reached = total + (last - first), last
    return total


@dataclass(kw_only=True)
class RollbackTimeout:
    """
    The term of one rollback of a run; a restarted process resumes it with the time that is left.

    Where no time is left because no process ran, it gets the time of a rollout once, to look again (`grace`).
    """

    clock: DeadlineClock
    number: int
    why: str
    began: datetime
    limit: timedelta
    grace: timedelta

    @classmethod
    async def begin(cls, clock: DeadlineClock, rollback: Rollback, verify: timedelta) -> "RollbackTimeout":
        """Begin, or go on with the one that is not over. The run's reason is why."""
        journal = clock.journal
        number = next(each for each in count() if journal.known(Phase.FORWARD, noted_of(each, OVER)) is None)
        path, now = noted_of(number), clock.deps.clock()
        await journal.note(path, "Why it was rolled back", {"why": journal.run.reason, "when": now}, now=now)
        began = journal.fact(path, "when")
        assert isinstance(began, datetime), began
        limit, grace = max(rollback.after, ROLLBACK_VERIFY_FACTOR * verify) + total_timeout(rollback.steps), timedelta()
        if now >= began + limit:
            await journal.note(noted_of(number, LATE), "Continued after its time limit", {"when": now}, now=now)
            late = journal.fact(noted_of(number, LATE), "when")
            assert isinstance(late, datetime), late
            grace = late - began - limit + ROLLOUT * verify
        why = str(journal.fact(path, "why"))
        return cls(clock=clock, number=number, why=why, began=began, limit=limit, grace=grace)

    async def end(self) -> None:
        """Note that the rollback is over, before the run changes its state."""
        now = self.clock.deps.clock()
        await self.clock.journal.note(noted_of(self.number, OVER), "The rollback is over", {}, now=now)

    async def in_time(self, rollback: Coroutine[Any, Any, T]) -> T:
        """Await the rollback within its time; waiting for a person does not count. Raises ExecutionAborted."""
        going = asyncio.create_task(rollback, name=f"rollback {self.clock.journal.run.id}")
        try:
            while not going.done():
                await asyncio.wait([going], timeout=self.clock.deps.poll_interval.total_seconds())
                if not going.done() and await self._is_late():
                    raise ExecutionStopped(RUN, f"it did not finish within {format_duration(self.limit)}")
            return going.result()
        finally:
            going.cancel()
            await asyncio.gather(going, return_exceptions=True)

    async def _is_late(self) -> bool:
        now = self.clock.deps.clock()
        end = self.began + self.limit + self.grace
        if now < end or self.clock.journal.run.state is IncidentState.AWAITING_APPROVAL:
            return False
        return now >= end + await self.clock.waited(self.began)


def noted_of(number: int, about: str = "") -> StepPath:
    """Return the path of a note of a run's rollback (counted from 0): why and when it began, or that it is over or late."""
    return StepPath.noted(f"rollback{number}", about)


def total_timeout(steps: Sequence[Step]) -> timedelta:
    """Return the sum of the steps' own time limits."""
    every = (step for each in steps for step in each.flat())
    return sum((step.within + step.for_duration + (step.timeout or timedelta()) for step in every), timedelta())
