"""
The only place where effects start: intent committed, effect, result committed (P8).

One effect is one change of one object. What becomes of it is a value: a `StepRecord` in a final state. An answer that was
lost is looked for by probing and never by doing the thing again (P3); what no probe can tell goes to a person.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import structlog

from kintsugi.actions.circumstances import Circumstances
from kintsugi.actions.prepared import Evidence, Happened, Prepared
from kintsugi.actions.result import Result
from kintsugi.commands import decode, encode, render
from kintsugi.errors import (
    Conflict,
    KubeError,
    NotFound,
    NotYet,
    OutcomeUnknown,
    Refused,
    ServerUnavailable,
    TooManyRequests,
)
from kintsugi.model.command import Command, Delete
from kintsugi.model.records import Phase, StepRecord, StepState, UndoRecord

Answer = TypeVar("Answer")

log = structlog.get_logger(__name__)

FIRST_WAIT = timedelta(seconds=0.5)
LONGEST_WAIT = timedelta(seconds=10)
PATIENCE = timedelta(minutes=5)
"""How long a change waits for what is about to end by itself: a pod that is stopping, a claim that is going."""

ATTEMPTS = 2
"""How often one effect is tried anew when a probe says that it has not happened: preconditions make that harmless."""


class Actor(Protocol):
    """What performs commands: `actions.Actions`."""

    async def prepare(self, command: Command, circumstances: Circumstances) -> Prepared: ...

    async def perform(self, prepared: Prepared) -> Result: ...

    async def probe(self, prepared: Prepared) -> Happened: ...

    async def look_again(self, prepared: Prepared) -> Result: ...


class Journal(Protocol):
    """Where steps are written down before and after: the ledger."""

    async def save_step(self, step: StepRecord, *, expect: StepState | None, now: datetime) -> None: ...

    async def keep_evidence(self, run: str, path: str, kind: str, text: str, now: datetime) -> None: ...


class Boundary(Protocol):
    """Told before and after every effect; crash points are numbered here."""

    def passing(self, kind: str, name: str, *, before: bool) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """
    One change to be made. `record` is its place in the run (state PLANNED), or what the journal knows of it already.

    `give_up` is the moment after which nothing new is tried; `undo` is the runbook's own word on how it is taken back.
    """

    record: StepRecord
    journal: Journal
    command: Command
    circumstances: Circumstances
    give_up: datetime
    undo: UndoRecord | None = None


class Executor:
    """Brings effects to their ends, one transaction before and one after each."""

    def __init__(self, actor: Actor, boundary: Boundary, *, clock: Callable[[], datetime]) -> None:
        self._actor = actor
        self._boundary = boundary
        self._clock = clock

    async def execute(self, effect: Effect) -> StepRecord:
        """
        Bring one effect to a final state: done, failed, skipped (refused or overtaken), or needs-operator.

        Taken up again after a restart, an effect with an intent is probed first.
        """
        record = effect.record
        if record.state is StepState.PLANNED:
            record = await self._try(effect, record, expect=None)
        elif record.state is StepState.INTENT:
            record = await self._save(effect, replace(record, state=StepState.UNKNOWN), expect=StepState.INTENT)
        for _ in range(ATTEMPTS):
            if record.state is StepState.UNKNOWN:
                record = await self._find_out(effect, record)
        if record.state is StepState.UNKNOWN:
            record = await self._ask(effect, record, f"it could not be settled: {record.error}")
        return record

    async def look_again(self, record: StepRecord) -> Mapping[str, object]:
        """Read afresh what a change touched, as the names of its result. Raises KubeError when it cannot be read."""
        return (await self._actor.look_again(prepared_of(record))).names

    async def _try(self, effect: Effect, record: StepRecord, *, expect: StepState | None) -> StepRecord:
        """Judge on the live object, commit the intent, make the change, commit what came of it."""
        started = replace(record, started=record.started or self._clock(), text=render(effect.command))
        try:
            prepared = await self._patiently(lambda: self._actor.prepare(effect.command, effect.circumstances), effect)
        except (Refused, NotFound, TooManyRequests, ServerUnavailable) as refusal:
            return await self._save(
                effect, replace(started, state=StepState.SKIPPED, error=str(refusal)), expect=expect
            )
        except KubeError as error:
            return await self._save(effect, replace(started, state=StepState.FAILED, error=str(error)), expect=expect)
        await self._keep(effect, started, prepared.evidence)
        intent = await self._save(effect, intent_of(started, prepared, effect), expect=expect)
        return await self._perform(effect, intent, prepared)

    async def _perform(self, effect: Effect, record: StepRecord, prepared: Prepared) -> StepRecord:
        self._boundary.passing("effect", record.path, before=True)
        try:
            result = await self._patiently(lambda: self._actor.perform(prepared), effect)
        except OutcomeUnknown as error:
            return await self._save(
                effect, replace(record, state=StepState.UNKNOWN, error=str(error)), expect=record.state
            )
        except (Conflict, NotFound) as overtaken:
            state = StepState.SKIPPED if is_over(record, prepared, overtaken) else StepState.UNKNOWN
            return await self._save(effect, replace(record, state=state, error=str(overtaken)), expect=record.state)
        except (KubeError, Refused) as error:
            return await self._save(
                effect, replace(record, state=StepState.FAILED, error=str(error)), expect=record.state
            )
        self._boundary.passing("effect", record.path, before=False)
        return await self._done(effect, record, result)

    async def _find_out(self, effect: Effect, record: StepRecord) -> StepRecord:
        """Probe an unknown outcome: done, or not done and judged and tried anew, or a person is asked."""
        prepared = prepared_of(record)
        try:
            happened = await self._patiently(lambda: self._actor.probe(prepared), effect)
        except KubeError as error:
            return await self._ask(effect, record, f"the outcome could not be looked up: {error}")
        log.info("probed an unknown outcome", step=record.path, happened=happened)
        match happened:
            case Happened.DONE:
                return await self._done(effect, record, await self._afresh(effect, prepared))
            case Happened.NOT_DONE if self._clock() < effect.give_up:
                return await self._try(replace(effect, command=prepared.command), record, expect=StepState.UNKNOWN)
            case Happened.NOT_DONE:
                late = replace(record, state=StepState.FAILED, error="it has not happened, and its time is over")
                return await self._save(effect, late, expect=record.state)
            case Happened.UNKNOWN:
                return await self._ask(effect, record, "nobody can tell whether it has happened")

    async def _afresh(self, effect: Effect, prepared: Prepared) -> Result:
        try:
            return await self._patiently(lambda: self._actor.look_again(prepared), effect)
        except KubeError as error:
            # The change is known to be made; that its object cannot be read again does not undo that.
            return Result(names={}, summary=str(error))

    async def _ask(self, effect: Effect, record: StepRecord, why: str) -> StepRecord:
        return await self._save(effect, replace(record, state=StepState.NEEDS_OPERATOR, error=why), expect=record.state)

    async def _done(self, effect: Effect, record: StepRecord, result: Result) -> StepRecord:
        return await self._save(
            effect, replace(record, state=StepState.DONE, result=result.names, error=""), expect=record.state
        )

    async def _save(self, effect: Effect, record: StepRecord, *, expect: StepState | None) -> StepRecord:
        now = self._clock()
        if record.state not in (StepState.INTENT, StepState.UNKNOWN):
            record = replace(record, finished=now)
        await effect.journal.save_step(record, expect=expect, now=now)
        return record

    async def _keep(self, effect: Effect, record: StepRecord, evidence: Sequence[Evidence]) -> None:
        for each in evidence:
            await effect.journal.keep_evidence(record.run, record.path, each.kind, each.text, self._clock())

    async def _patiently(self, attempt: Callable[[], Awaitable[Answer]], effect: Effect) -> Answer:
        """Try until the server answers or time is up. Only what surely changed nothing is tried again."""
        wait, patient = FIRST_WAIT, min(effect.give_up, self._clock() + PATIENCE)
        while True:
            try:
                return await attempt()
            except NotYet:
                pause = wait
                if self._clock() + pause >= patient:
                    raise
            except TooManyRequests as busy:
                pause = busy.retry_after or wait
                if self._clock() + pause >= effect.give_up:
                    raise
            except ServerUnavailable:
                pause = wait
                if self._clock() + pause >= effect.give_up:
                    raise
            await asyncio.sleep(pause.total_seconds())
            wait = min(wait * 2, LONGEST_WAIT)


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


def intent_of(record: StepRecord, prepared: Prepared, effect: Effect) -> StepRecord:
    """Write down what is about to be done: on what, why, and how it is undone; the runbook's word on undo comes first."""
    return replace(
        record,
        state=StepState.INTENT,
        changes=True,
        command=encode(prepared.command),
        text=render(prepared.command),
        facts=prepared.facts,
        undo=effect.undo or prepared.undo,
        deadline=effect.give_up,
        error="",
    )


def prepared_of(record: StepRecord) -> Prepared:
    """Read an effect back from its intent, as it was committed."""
    assert record.command is not None, f"{record.path} has an intent without a command"
    assert record.undo is not None, f"{record.path} has an intent without its undo"
    return Prepared(command=decode(record.command), facts=record.facts, undo=record.undo, evidence=())
