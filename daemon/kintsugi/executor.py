"""
The only place where effects start: intent committed, effect, result committed (P8).

One effect is one change of one object. What becomes of it is a value: a `StepRecord` in a final state. It may take several
attempts, and each goes the whole way: the gate is asked, the live object judged, the intent committed, the one write made.
An attempt that surely changed nothing is settled as not made (PLANNED again); one whose answer was lost is looked for by
probing and never by doing the thing again (P3). What no probe can tell goes to a person.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

import structlog

from kintsugi.actions.confidential import check_undo
from kintsugi.actions.prepared import Happened, Prepared
from kintsugi.actions.result import Result
from kintsugi.admission import INTENT_AGE
from kintsugi.cancellation import to_its_end
from kintsugi.commands import decode, render
from kintsugi.effect import FIRST_WAIT, Actor, Boundary, Course, Effect, intent_of, prepared_of
from kintsugi.errors import (
    BudgetSpent,
    Conflict,
    KubeError,
    NotAdmitted,
    NotFound,
    NotYet,
    OutcomeUnknown,
    Refused,
    ServerUnavailable,
    TooManyRequests,
)
from kintsugi.model.bounds import Budget
from kintsugi.model.command import Delete
from kintsugi.model.records import Phase, StepRecord, StepState

T = TypeVar("T")

log = structlog.get_logger(__name__)

PROBES = 2
"""How often one effect is tried anew when a probe says that it has not happened: preconditions make that harmless."""

LATER = (NotYet, TooManyRequests, ServerUnavailable)
"""Answers that surely changed nothing, and may be others in a moment."""


class Executor:
    """Brings effects to their ends, one transaction before and one after each attempt."""

    def __init__(self, actor: Actor, boundary: Boundary, *, clock: Callable[[], datetime]) -> None:
        self._actor = actor
        self._boundary = boundary
        self._clock = clock

    async def execute(self, effect: Effect) -> StepRecord:
        """
        Bring one effect to a final state: done, failed, skipped (refused or overtaken), or needs-operator.

        Taken up again after a restart, an effect with an intent is probed first. From the intent on an attempt comes to its
        end also when the caller is cancelled. Raises NotAdmitted when the gate refuses a further attempt; the effect is
        settled as skipped then.
        """
        course = Course(effect, self._clock)
        admitted = effect.record.state is StepState.PLANNED
        await self._settle(course)
        while course.record.state is StepState.PLANNED:
            needless = "" if admitted else await self._admitted(course)
            if needless:
                return await self._save(course, StepState.SKIPPED, error=needless)
            admitted, course.rest = False, timedelta(0)
            await self._attempt(course)
            if course.record.state is StepState.PLANNED:
                await asyncio.sleep(course.rest.total_seconds())
        return course.record

    async def settle(self, effect: Effect) -> StepRecord:
        """Find out what became of an effect that has an intent, and make no further attempt: its time is over."""
        course = Course(replace(effect, give_up=self._clock()), self._clock)
        await self._settle(course)
        return course.record

    async def look_again(self, record: StepRecord) -> Mapping[str, object]:
        """Read afresh what a change touched, as the names of its result. Raises KubeError when it cannot be read."""
        return (await self._actor.look_again(prepared_of(record))).names

    async def _settle(self, course: "Course") -> None:
        """Probe what an earlier life has left open."""
        if course.record.state is StepState.INTENT:
            await self._save(course, StepState.UNKNOWN)
        if course.record.state is StepState.UNKNOWN:
            await to_its_end(self._find_out(course))

    async def _admitted(self, course: "Course") -> str:
        """Ask the gate before a further attempt. What is waited there does not count against the effect's time."""
        began = self._clock()
        try:
            needless = await course.effect.admission.admit()
        except NotAdmitted as refusal:
            await self._save(course, StepState.SKIPPED, error=str(refusal))
            raise
        course.give_up += self._clock() - began
        return needless

    async def _attempt(self, course: "Course") -> None:
        """Judge the live object; then bring one write to its end, whatever comes."""
        effect, record = course.effect, course.record
        command = decode(record.command) if record.command is not None else effect.command
        course.record = replace(record, started=record.started or self._clock(), text=render(command))
        try:
            prepared = await self._actor.prepare(command, effect.circumstances())
            check_undo(prepared)
        except LATER as later:
            await self._put_off(course, later, over=StepState.SKIPPED)
        except (Refused, NotFound) as refusal:
            await self._save(course, StepState.SKIPPED, error=str(refusal))
        except KubeError as error:
            await self._save(course, StepState.FAILED, error=str(error))
        else:
            for each in prepared.evidence:
                await effect.journal.keep_evidence(record.run, record.path, each.kind, each.text, self._clock())
            await to_its_end(self._make(course, prepared))

    async def _make(self, course: "Course", prepared: Prepared) -> None:
        """Commit the intent, make the change unless the gate objects, and settle what came of it."""
        loop, planned = asyncio.get_running_loop(), course.record
        try:
            course.record = intent_of(planned, prepared, course)
            await self._save(course, StepState.INTENT, budget=course.effect.admission.budget(self._clock()))
        except BudgetSpent as spent:
            course.record = replace(planned, error=f"not made: {spent}")
            course.rest = FIRST_WAIT
            return
        committed = loop.time()
        objection = await course.effect.admission.objection()
        if not objection and loop.time() - committed > INTENT_AGE.total_seconds():
            objection = f"its intent is older than {INTENT_AGE.total_seconds():g}s"
        if objection:
            log.info("an effect is not made", step=planned.path, why=objection)
            await self._save(course, StepState.PLANNED, error=f"not made: {objection}")
            return
        await self._perform(course, prepared)
        if course.record.state is StepState.UNKNOWN:
            await self._find_out(course)

    async def _perform(self, course: "Course", prepared: Prepared) -> None:
        path = course.record.path
        self._boundary.passing("effect", path, before=True)
        try:
            result = await self._actor.perform(prepared)
        except LATER as later:
            await self._put_off(course, later, over=StepState.FAILED)
        except OutcomeUnknown as error:
            await self._save(course, StepState.UNKNOWN, error=str(error))
        except (Conflict, NotFound) as overtaken:
            over = is_over(course.record, prepared, overtaken)
            await self._save(course, StepState.SKIPPED if over else StepState.UNKNOWN, error=str(overtaken))
        except (KubeError, Refused) as error:
            await self._save(course, StepState.FAILED, error=str(error))
        else:
            self._boundary.passing("effect", path, before=False)
            await self._done(course, result)

    async def _put_off(self, course: "Course", trouble: KubeError | NotYet, *, over: StepState) -> None:
        """Settle an attempt that surely changed nothing: tried again after a rest, or `over` when its time is."""
        course.rest = course.pause_after(trouble)
        if not course.has_time_for(trouble):
            await self._save(course, over, error=str(trouble))
        elif course.written is StepState.INTENT:
            await self._save(course, StepState.PLANNED, error=f"not made: {trouble}")

    async def _find_out(self, course: "Course") -> None:
        """Probe an unknown outcome: done, or not made and to be judged anew, or a person is asked."""
        prepared = prepared_of(course.record)
        if course.probes == PROBES:
            await self._ask(course, f"it could not be settled: {course.record.error}")
            return
        course.probes += 1
        try:
            happened = await self._patiently(lambda: self._actor.probe(prepared), course)
        except KubeError as error:
            if not course.effect.admission.stopping:
                await self._ask(course, f"the outcome could not be looked up: {error}")
            return
        log.info("probed an unknown outcome", step=course.record.path, happened=happened)
        match happened:
            case Happened.DONE:
                await self._done(course, await self._afresh(course, prepared))
            case Happened.NOT_DONE if self._clock() < course.give_up:
                await self._save(course, StepState.PLANNED, error="not made: a probe has found nothing of it")
            case Happened.NOT_DONE:
                await self._save(course, StepState.FAILED, error="it has not happened, and its time is over")
            case Happened.UNKNOWN:
                await self._ask(course, "nobody can tell whether it has happened")

    async def _afresh(self, course: "Course", prepared: Prepared) -> Result:
        try:
            return await self._patiently(lambda: self._actor.look_again(prepared), course)
        except KubeError as error:
            # The change is known to be made; that its object cannot be read again does not undo that.
            return Result(names={}, summary=str(error))

    async def _ask(self, course: "Course", why: str) -> None:
        await self._save(course, StepState.NEEDS_OPERATOR, error=why)

    async def _done(self, course: "Course", result: Result) -> None:
        course.record = replace(course.record, result=result.names)
        await self._save(course, StepState.DONE)

    async def _save(
        self, course: "Course", state: StepState, *, error: str = "", budget: Budget | None = None
    ) -> StepRecord:
        """Commit a state that differs from the one that the ledger has."""
        now = self._clock()
        open_still = state in (StepState.PLANNED, StepState.INTENT, StepState.UNKNOWN)
        record = replace(course.record, state=state, error=error, finished=None if open_still else now)
        await course.effect.journal.save_step(record, expect=course.written, now=now, budget=budget)
        course.record, course.written = record, state
        return record

    async def _patiently(self, look: Callable[[], Awaitable[T]], course: "Course") -> T:
        """Look until the server answers, the effect's time is over, or the daemon stops."""
        while True:
            try:
                return await look()
            except LATER as trouble:
                pause = course.pause_after(trouble)
                if not course.has_time_for(trouble) or course.effect.admission.stopping:
                    raise
                await asyncio.sleep(pause.total_seconds())


def is_over(record: StepRecord, prepared: Prepared, overtaken: Conflict | NotFound) -> bool:
    """
    Tell whether a change is overtaken for good: its object is gone, or the name belongs to another object now.

    What is patched and has changed is judged anew. What an undo deletes and somebody else has deleted is as it should be,
    which its probe will tell.
    """
    deletes = isinstance(prepared.command, Delete)
    if isinstance(overtaken, Conflict):
        return deletes
    return not (deletes and record.phase is Phase.UNDO)
