"""
The journal of one run: the runner asks it before each step, and so executes none twice.

A result is kept as JSON from which times and durations can be restored. Values that were masked or too large are lost after a
restart: only the process that has seen them can use them. The mask in a text shows which ones; a foreign text that contains
the mask's words counts as lost, too, once it was read from the ledger.

What a run may do again after a restart need not be durable before it goes on: that a step begins, what a probe answered, how
the workload was found, evidence. Such writes are *deferred*: they are made in one transaction with the next write that is not,
in their order and before it, or by themselves after a moment, so that a person sees how far a run is. Before a change is made,
before a run is moved and before anybody else is asked for anything, all of them are durable.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from kintsugi.commands import decode
from kintsugi.errors import LedgerError
from kintsugi.expressions import from_json, to_json
from kintsugi.ledger import Ledger, LedgerWrite
from kintsugi.ledger.store.texts import dump
from kintsugi.mask import MASK
from kintsugi.model.change_limits import Budget
from kintsugi.model.command import Command
from kintsugi.model.records import (
    NO_UPDATE,
    NOT_MADE,
    IncidentState,
    Phase,
    RunRecord,
    RunUpdate,
    StepRecord,
    StepState,
    UndoRecord,
)
from kintsugi.model.step_path import StepPath

ENDED = frozenset({StepState.DONE, StepState.FAILED, StepState.SKIPPED, StepState.NEEDS_OPERATOR})

LARGEST = 512 * 1024
"""The largest result kept for later steps, in bytes of JSON; of a larger one only `ran` and `met` are known."""

WHY_LOST = "was masked or truncated when it was stored, and the original was lost with the restart"

CUT = frozenset({"answered"})
"""The lost paths of a step whose result was too large to be kept: the result itself; its names are absent."""


DEFERRED_FOR = timedelta(seconds=0.25)
"""The longest time for which a deferred write waits for another one: a person who looks does not notice it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _StepWrite:
    """A step as it is to be written, and the state that the ledger must have of it."""

    step: StepRecord
    expect: StepState | None
    now: datetime
    budget: Budget | None = None


_StepWrites = Mapping[tuple[Phase, str], _StepWrite]


def _followed(earlier: _StepWrites, later: _StepWrites) -> _StepWrites:
    """Return one write for each step: the later one of two, which expects what the earlier one did."""
    both = {key: replace(later[key], expect=earlier[key].expect) for key in earlier.keys() & later.keys()}
    return {**earlier, **later, **both}


class Journal:
    """The steps of one run by phase and path: a copy in memory of what the ledger has, or has with the next commit."""

    def __init__(self, run: RunRecord, store: Ledger, steps: Iterable[StepRecord]) -> None:
        self.run = run
        self._store = store
        self._steps = {(step.phase, step.path): step for step in steps}
        self._from_ledger = set(self._steps)
        self._deferred_steps: _StepWrites = {}
        self._deferred: list[LedgerWrite[Any]] = []
        self._committing = asyncio.Lock()
        self._later: asyncio.Task[None] | None = None
        self._failure: LedgerError | None = None

    @classmethod
    async def read(cls, run: RunRecord, store: Ledger) -> "Journal":
        """Read what the ledger knows of a run."""
        return cls(run, store, await store.incidents.steps(run.id))

    def known(self, phase: Phase, path: StepPath) -> StepRecord | None:
        """Return the record of a step, or None."""
        return self._steps.get((phase, str(path)))

    def is_from_ledger(self, phase: Phase, path: StepPath) -> bool:
        """Return whether a step's record was read from the ledger (which keeps no secrets), not written by this process."""
        return (phase, str(path)) in self._from_ledger

    def lost_of(self, changes: Iterable[StepRecord]) -> frozenset[str]:
        """Return the lost paths in the results of changes that an earlier process has made."""
        kept = [each for each in changes if self.is_from_ledger(each.phase, each.step_path)]
        return frozenset[str]().union(*(lost_in(each.result or {}) for each in kept))

    def ended(self, phase: Phase, path: StepPath) -> StepRecord | None:
        """Return a step's record when it has ended."""
        step = self.known(phase, path)
        return step if step is not None and step.state in ENDED else None

    def blank(self, path: StepPath, *, name: str, phase: Phase) -> StepRecord:
        """Return a new record, in state PLANNED."""
        return StepRecord(run=self.run.id, phase=phase, path=str(path), name=name, state=StepState.PLANNED)

    async def save_step(
        self,
        step: StepRecord,
        *,
        expect: StepState | None,
        now: datetime,
        budget: Budget | None = None,
        deferred: bool = False,
    ) -> None:
        """Write a step's new state; `expect` is the one that it must be in. Raises BudgetSpent for an intent."""
        write = {(step.phase, step.path): _StepWrite(step=step, expect=expect, now=now, budget=budget)}
        if deferred:
            self._deferred_steps = _followed(self._deferred_steps, write)
            self._flush_soon()
        else:
            await self._commit(write)
        self._steps[step.phase, step.path] = step
        self._from_ledger.discard((step.phase, step.path))

    async def keep_evidence(self, run: str, path: str, kind: str, text: str, now: datetime) -> None:
        """Keep evidence of an object before it is changed: it is durable with the intent of the change."""
        self._deferred.append(await self._store.incidents.evidence_write(run, path, kind, text, now))
        self._flush_soon()

    async def move(
        self,
        state: IncidentState,
        reason: str,
        now: datetime,
        *,
        deadline: datetime | None = None,
        updates: RunUpdate = NO_UPDATE,
    ) -> None:
        """Move the run and its incident to a state: see `Incidents.move_write`."""
        write = self._store.incidents.move_write(self.run.id, state, reason, now, deadline=deadline, updates=updates)
        self.run = await self._commit({}, write)

    async def flush(self) -> None:
        """Make what was deferred durable, before another part of the daemon is asked for anything."""
        if self._deferred or self._deferred_steps or self._committing.locked():
            await self._commit({})

    def _flush_soon(self) -> None:
        if self._later is None or self._later.done():
            self._later = asyncio.create_task(self._flush_later(), name=f"journal of {self.run.id}")

    async def _flush_later(self) -> None:
        await asyncio.sleep(DEFERRED_FOR.total_seconds())
        try:
            await self.flush()
        except LedgerError as error:
            self._failure = error

    async def _commit(self, steps: _StepWrites, *writes: LedgerWrite[Any]) -> Any:
        """
        Commit what was deferred together with these, all or none, and return the last value.

        One commit at a time: who writes the same step afterwards finds it as it was. Raises what a flush has met meanwhile: it
        is not known then what the ledger has.
        """
        async with self._committing:
            if self._failure is not None:
                raise self._failure
            earlier, others = self._deferred_steps, self._deferred
            self._deferred_steps, self._deferred = {}, []
            try:
                saved = [await self._write_of(each) for each in _followed(earlier, steps).values()]
                together = [*others, *saved, *writes]
                values = await self._store.commit(*together) if together else [None]
            # Whatever has ended it, also a cancellation: what was deferred is still to be written. It is raised on.
            except BaseException:
                self._deferred_steps = _followed(earlier, self._deferred_steps)
                self._deferred = [*others, *self._deferred]
                raise
            return values[-1]

    async def _write_of(self, write: _StepWrite) -> LedgerWrite[None]:
        return await self._store.incidents.step_write(
            write.step, expect=write.expect, now=write.now, budget=write.budget
        )

    async def close(self) -> None:
        """Write no more, when the run is no longer driven; whoever goes on with it does again what was not written."""
        if self._later is not None:
            self._later.cancel()
            await asyncio.wait([self._later])

    def all(self) -> Sequence[StepRecord]:
        """Return every record, in the order of their starts."""
        return sorted(self._steps.values(), key=lambda step: (step.started or self.run.started, step.path))

    def changes(self, phase: Phase) -> Sequence[StepRecord]:
        """Return the changes of one phase that were made or may have been, in the order of their starts."""
        made = [
            step for step in self._steps.values() if step.phase is phase and step.changes and step.state not in NOT_MADE
        ]
        return sorted(made, key=lambda step: step.started or self.run.started)

    def made_in_rollback(self, since: datetime) -> list[StepRecord]:
        """Return the changes of rollback steps and undos that were begun since a moment and are done."""
        made = (*self.changes(Phase.ROLLBACK), *self.changes(Phase.UNDO))
        return [each for each in made if each.state is StepState.DONE and each.started and each.started >= since]

    def has_begun(self, phase: Phase, path: StepPath) -> bool:
        """Return whether anything was recorded at or below a path."""
        if self.known(phase, path) is not None:
            return True
        return any(step.phase is phase and step.step_path.is_below(path) for step in self._steps.values())

    def has_any(self, phase: Phase) -> bool:
        """Return whether a phase has any records."""
        return any(step.phase is phase for step in self._steps.values())

    @property
    def changed(self) -> bool:
        """Return whether the run has changed anything, or may have."""
        return any(self.changes(phase) for phase in Phase)

    async def update(self, updates: RunUpdate, *, deferred: bool = False) -> None:
        """Write what the run found or left, so that a restarted process knows it, too."""
        write = self._store.incidents.update_write(self.run.id, updates)
        if deferred:
            self._deferred.append(write)
            self._flush_soon()
            self.run = replace(self.run, **updates.given)
        else:
            self.run = await self._commit({}, write)

    def fact(self, path: StepPath, name: str) -> object:
        """Return one fact that the run noted, or None."""
        step = self.known(Phase.FORWARD, path)
        return (step.result or {}).get(name) if step is not None else None

    async def note(self, path: StepPath, name: str, facts: Mapping[str, object], *, now: datetime) -> None:
        """Write a note once, so that a restarted process knows it, too."""
        if self.known(Phase.FORWARD, path) is None:
            step = StepRecord(
                run=self.run.id,
                path=str(path),
                name=name,
                state=StepState.DONE,
                started=now,
                finished=now,
                result=facts,
                met=True,
            )
            await self.save_step(step, expect=None, now=now)


def command_of(step: StepRecord) -> Command | None:
    """Return the command of a step, None when it has none."""
    return decode(step.command) if step.command is not None else None


def left_to_undo(journal: Journal) -> Sequence[tuple[StepRecord, UndoRecord]]:
    """Return the changes whose undo is not finished, newest first."""
    return [
        (step, step.undo)
        for step in reversed(journal.changes(Phase.FORWARD))
        if step.undo is not None and not is_reverted(journal, step, step.undo)
    ]


def is_reverted(journal: Journal, step: StepRecord, undo: UndoRecord) -> bool:
    """
    Return whether every command of a change's undo has ended; a change that needs no undo counts as undone.

    Of several commands each must be done: after one that was refused the others were not tried.
    """
    if len(undo.commands) == 1:
        return journal.ended(Phase.UNDO, step.step_path.undone_by(0)) is not None
    paths = [last_try(journal, step.step_path.undone_by(index)) for index in range(len(undo.commands))]
    ends = [journal.ended(Phase.UNDO, path) for path in paths]
    return all(end is not None and end.state is StepState.DONE for end in ends)


def last_try(journal: Journal, undo: StepPath) -> StepPath:
    """Return the path of the last try of an undo's command: the one that is not over, or that succeeded."""
    tried = undo
    for number in count(1):
        ended = journal.ended(Phase.UNDO, tried)
        if ended is None or ended.state is StepState.DONE:
            break
        tried = undo.retried(number)
    return tried


def storable(result: Mapping[str, object]) -> Mapping[str, object] | None:
    """
    Return a result as JSON values from which times and durations can be read back.

    None when it is too large, or nested deeper than the ledger keeps.
    """
    try:
        kept = to_json(result)
        size = len(dump(kept).encode())
    except (TypeError, RecursionError):
        return None
    return kept if isinstance(kept, dict) and size <= LARGEST else None


def recalled(kept: Mapping[str, object] | None) -> Mapping[str, object]:
    """Return the result that `storable` has encoded."""
    result = from_json(kept) if kept is not None else {}
    return result if isinstance(result, dict) else {}


def lost_in(result: Mapping[str, object] | None) -> frozenset[str]:
    """Return the masked paths of a result from the ledger; CUT where there is no result."""
    return CUT if result is None else frozenset(masked_paths(result))


def masked_paths(value: object, path: str = "") -> Iterator[str]:
    """Yield the paths in a value at which something was masked, each after the value's own `path`."""
    match value:
        case str():
            if MASK in value:
                yield path
        case Mapping():
            for name, inner in value.items():
                yield from masked_paths(inner, f"{path}.{name}" if path else str(name))
        case list() | tuple():
            for inner in value:
                yield from masked_paths(inner, path)
