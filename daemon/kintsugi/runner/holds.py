"""
Holds of a run, during which the clock of its deadline is stopped: a question to a person, and a slot given away.

A run that asks is AWAITING_APPROVAL. One that has given its slot to a service of higher priority is HELD: it takes none
of the limits' slots and keeps its locks. It continues by itself once there is a slot for which no earlier service
waits, also after any kind of restart.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count

from kintsugi.decisions.answers import outcome
from kintsugi.durations import format_duration
from kintsugi.ledger import Ledger
from kintsugi.model.manual import MANUAL
from kintsugi.model.questions import ANYBODY, Approvers, Question, QuestionKind
from kintsugi.model.records import Incident, IncidentState, Phase
from kintsugi.model.step_path import RUN, StepPath
from kintsugi.runner.context import RunnerDeps, StepQuestion
from kintsugi.runner.ends import ApprovalExpired
from kintsugi.runner.journal import Journal
from kintsugi.telemetry import get_logger

log = get_logger(__name__)

CLOCK_STOPPED = frozenset({IncidentState.AWAITING_APPROVAL, IncidentState.HELD})
"""States during which the clock of a run's deadline is stopped."""

GAVE, TOOK = "slot-given", "slot-taken"
"""The notes of when a run gave its slot away and had one again, each with a number."""


@dataclass(frozen=True, kw_only=True)
class Questions:
    """
    The questions of one run to a person. `parent` is the incident of a child's parent; a question is good for `expiry`, and
    `approvers` answer it.
    """

    deps: RunnerDeps
    ledger: Ledger
    journal: Journal
    incident: Incident
    plan: str
    expiry: timedelta
    parent: str = ""
    approvers: Approvers = ANYBODY

    async def cover_run(self) -> bool:
        """
        Return whether a person has approved the whole run (or the step of its parent that starts it), or wants it taken back.

        What other people were asked covers no question to particular people.
        """
        if self.journal.run.rollback_requested_by:
            return True
        of_parent = await self.ledger.people.questions_of(self.parent) if self.parent else ()
        covering = (str(RUN), self.journal.run.parent_step)
        asked = [*await self._asked(RUN), *(each for each in of_parent if each.path in covering)]
        return any(each.approved and self.approvers in (ANYBODY, each.approvers) for each in asked)

    async def ask(
        self, wanted: StepQuestion, phase: Phase, raise_if_forbidden: Callable[[], Awaitable[None]]
    ) -> Question:
        """
        Ask, wait, and return the question with its answer. The time of waiting does not count towards the deadline.

        Raises ApprovalExpired on expiry, and at a no unless the run goes on after it, and what `raise_if_forbidden` raises as
        soon as a yes could not be acted on.
        """
        await raise_if_forbidden()
        path = wanted.path
        asked = await self._valid(path, phase) or await self._put(wanted)
        while asked.answered is None:
            if self.journal.run.state is not IncidentState.AWAITING_APPROVAL:
                await self._move(IncidentState.AWAITING_APPROVAL, wanted.text)
            if self.deps.clock() >= asked.expires:
                await self._notify_expired(asked)
                raise ApprovalExpired(path, f"no answer within {format_duration(self._lasts(wanted))}: {wanted.text}")
            await asyncio.sleep(self.deps.poll_interval.total_seconds())
            await raise_if_forbidden()
            asked = await self._newest(path) or asked
        if asked.rejected and not wanted.continues_at_no:
            raise ApprovalExpired(path, f"{outcome(asked)}: {wanted.text}")
        state = IncidentState.RUNNING if phase is Phase.FORWARD else IncidentState.ROLLING_BACK
        await self._go_on(asked, state, waited=asked.answered - asked.asked)
        return asked

    async def _go_on(self, asked: Question, state: IncidentState, *, waited: timedelta) -> None:
        """Move the deadline by the time of waiting, once: the new one is noted before the run is moved."""
        path = StepPath.parse(asked.path)
        earlier = [each for each in await self._asked(path) if each.asked < asked.asked]
        note, reason = path.asking(len(earlier)), outcome(asked)
        facts = {"deadline": self.journal.run.deadline + waited}
        await self.journal.note(note, reason, facts, now=self.deps.clock())
        moved = self.journal.fact(note, "deadline")
        assert isinstance(moved, datetime), moved
        await self._move(state, reason, deadline=max(moved, self.journal.run.deadline))

    def _lasts(self, wanted: StepQuestion) -> timedelta:
        return wanted.expiry or self.expiry

    async def _put(self, wanted: StepQuestion) -> Question:
        now = self.deps.clock()
        asked = Question(
            incident=self.incident.id,
            path=str(wanted.path),
            kind=wanted.kind,
            text=wanted.text,
            command=wanted.command,
            plan=self.plan,
            asked=now,
            expires=now + self._lasts(wanted),
            approvers=self.approvers,
        )
        await self.journal.flush()
        await self.ledger.people.ask(asked)
        return asked

    async def _notify_expired(self, asked: Question) -> None:
        """Notify a person that a question has expired: not every end of a run mentions it."""
        text = f"No answer by {asked.expires:%H:%M:%S}, so this is not done: {asked.text}"
        await self.ledger.outbox.put_notice_once(
            self.incident.id, IncidentState.AWAITING_APPROVAL, text, self.deps.clock()
        )

    async def _move(self, state: IncidentState, reason: str, *, deadline: datetime | None = None) -> None:
        await self.journal.move(state, reason, self.deps.clock(), deadline=deadline)

    async def _valid(self, path: StepPath, phase: Phase) -> Question | None:
        """
        Return the newest question of a path while it, or its answer, is good; one that was waited for may run out.

        A no is good for the whole execution. A rollback may be requested again, and then asks again. A manual step that was
        answered is not asked about again: nobody does it twice.
        """
        newest = await self._newest(path)
        if newest is not None and newest.kind is QuestionKind.MANUAL and newest.answer is not None:
            return newest
        waited_for = self.journal.run.state is IncidentState.AWAITING_APPROVAL
        if newest is not None and newest.rejected:
            return newest if waited_for or phase is Phase.FORWARD else None
        expired = newest is not None and newest.expires <= self.deps.clock()
        return None if expired and not (waited_for and newest is not None and newest.answered is None) else newest

    async def _newest(self, path: StepPath) -> Question | None:
        return next(reversed(await self._asked(path)), None)

    async def _asked(self, path: StepPath) -> Sequence[Question]:
        """Return the questions of a path, oldest first."""
        return [each for each in await self.ledger.people.questions_of(self.incident.id) if each.path == str(path)]


@dataclass(frozen=True, kw_only=True)
class SlotYielder:
    """
    Yields a run's slot before a step. `notify_after` is the time that a run may be without a slot before a person is
    notified.
    """

    deps: RunnerDeps
    ledger: Ledger
    journal: Journal
    notify_after: timedelta

    async def before_step(self, *, must_complete: bool) -> None:
        """
        Yield the slot if somebody of higher priority waits for it; return once the run has one.

        What a person started keeps its slot, and so does a child, whose time is its parent's, and a section that has begun:
        half of it would be worse than none.
        """
        run = self.journal.run
        keeps = run.rule == MANUAL or bool(run.parent) or must_complete
        if run.state is IncidentState.HELD or (not keeps and await self._given()):
            await self._taken_back()

    async def _given(self) -> bool:
        """
        Yield the slot to a waiting service of higher priority, unless another run has just made room for it; return
        whether it was yielded.
        """
        async with self.deps.yielding:
            run, now = self.journal.run, self.deps.clock()
            other = self.deps.observed.overtaker(run.service)
            if not other:
                return False
            why = f"the run yielded its slot to {other}, which has a higher priority, and continues when a slot is free"
            number = len(slotless_spans(self.journal)) + 1
            await self.journal.note(StepPath.noted(GAVE, str(number)), why, {"at": now}, now=now)
            await self.journal.move(IncidentState.HELD, why, now)
            self.deps.observed.slot_given()
            log.info("slot yielded", run=run.id, to=other)
            return True

    async def _taken_back(self) -> None:
        spans = slotless_spans(self.journal)
        since = spans[-1][0]
        while True:
            await asyncio.sleep(self.deps.poll_interval.total_seconds())
            run, observed, now = self.journal.run, self.deps.observed, self.deps.clock()
            if now - since >= self.notify_after:
                text = f"The run has waited for a slot since {since:%H:%M:%S}: {run.reason}."
                await self.ledger.outbox.put_notice_once(run.incident, IncidentState.HELD, text, now)
            refusal = observed.slot_refusal(run.service)
            if refusal(observed.slot_namespaces()):
                continue
            deadline, reason = run.deadline + (now - since), "the run has a slot again and continues"
            await self.journal.flush()
            moved = await self.ledger.incidents.take_slot(run.id, refusal, reason, now, deadline=deadline)
            if moved is not None:
                self.journal.run = moved
                await self.journal.note(StepPath.noted(TOOK, str(len(spans))), reason, {"at": now}, now=now)
                log.info("slot regained", run=run.id)
                return


def slotless_spans(journal: Journal) -> list[tuple[datetime, datetime | None]]:
    """List the spans in which a run had no slot; one without an end goes on, or its end was not kept."""
    spans: list[tuple[datetime, datetime | None]] = []
    for number in count(1):
        given, taken = (journal.fact(StepPath.noted(note, str(number)), "at") for note in (GAVE, TOOK))
        if not isinstance(given, datetime):
            break
        spans.append((given, taken if isinstance(taken, datetime) else None))
    return spans
