"""
What one run has written down so far: the runner asks here before it does anything, and so never does it twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import count
from typing import Protocol

from kintsugi.model.bounds import Budget
from kintsugi.model.records import Phase, RunRecord, StepRecord, StepState, UndoRecord

ENDED = frozenset({StepState.DONE, StepState.FAILED, StepState.SKIPPED, StepState.NEEDS_OPERATOR})
NOT_MADE = frozenset({StepState.PLANNED, StepState.SKIPPED, StepState.FAILED})
"""States of a change that surely was not made: one whose outcome is not known never becomes failed."""


class StepStore(Protocol):
    """Where steps are kept: the ledger."""

    async def steps(self, run: str) -> tuple[StepRecord, ...]: ...

    async def save_step(
        self, step: StepRecord, *, expect: StepState | None, now: datetime, budget: Budget | None = None
    ) -> None: ...

    async def keep_evidence(self, run: str, path: str, kind: str, text: str, now: datetime) -> None: ...


class Journal:
    """The steps of one run by phase and path: a copy in memory of what the ledger has committed."""

    def __init__(self, run: RunRecord, store: StepStore, steps: Iterable[StepRecord]) -> None:
        self.run = run
        self._store = store
        self._steps = {(step.phase, step.path): step for step in steps}

    @classmethod
    async def read(cls, run: RunRecord, store: StepStore) -> "Journal":
        """Read what the ledger knows of a run."""
        return cls(run, store, await store.steps(run.id))

    def known(self, phase: Phase, path: str) -> StepRecord | None:
        """Give what was written of a step, or None."""
        return self._steps.get((phase, path))

    def ended(self, phase: Phase, path: str) -> StepRecord | None:
        """Give a step's record when it has ended."""
        step = self.known(phase, path)
        return step if step is not None and step.state in ENDED else None

    async def save_step(
        self, step: StepRecord, *, expect: StepState | None, now: datetime, budget: Budget | None = None
    ) -> None:
        """Commit a step's new state; `expect` is the one that it must be in. Raises BudgetSpent for an intent."""
        await self._store.save_step(step, expect=expect, now=now, budget=budget)
        self._steps[step.phase, step.path] = step

    async def keep_evidence(self, run: str, path: str, kind: str, text: str, now: datetime) -> None:
        """Keep what is about to be lost."""
        await self._store.keep_evidence(run, path, kind, text, now)

    def all(self) -> Sequence[StepRecord]:
        """List every record in the order of its beginning."""
        return sorted(self._steps.values(), key=lambda step: (step.started or self.run.started, step.path))

    def changes(self, phase: Phase) -> Sequence[StepRecord]:
        """List the changes of one phase that were made or may have been, in the order of their beginning."""
        made = [
            step for step in self._steps.values() if step.phase is phase and step.changes and step.state not in NOT_MADE
        ]
        return sorted(made, key=lambda step: step.started or self.run.started)

    def has_begun(self, phase: Phase, path: str) -> bool:
        """Tell whether a change at or below a path was begun, or anything else was written of it."""
        return any(
            step.phase is phase and (step.path == path or step.path.startswith((f"{path}/", f"{path}[", f"{path}#")))
            for step in self._steps.values()
        )

    def has_any(self, phase: Phase) -> bool:
        """Tell whether anything of a phase was begun."""
        return any(step.phase is phase for step in self._steps.values())

    @property
    def changed(self) -> bool:
        """Tell whether the run has changed anything, or may have."""
        return any(self.changes(phase) for phase in Phase)

    def fact(self, path: str, name: str) -> object:
        """Read one fact that the run noted about the world (`@found`, `@left`), or None."""
        step = self.known(Phase.FORWARD, path)
        return (step.result or {}).get(name) if step is not None else None

    async def note(self, path: str, name: str, facts: Mapping[str, object], *, now: datetime) -> None:
        """Write down once what the run found or left, so that a later start knows it too."""
        if self.known(Phase.FORWARD, path) is None:
            step = StepRecord(
                run=self.run.id,
                path=path,
                name=name,
                state=StepState.DONE,
                started=now,
                finished=now,
                result=facts,
                met=True,
            )
            await self.save_step(step, expect=None, now=now)


def left_to_undo(journal: Journal) -> Sequence[tuple[StepRecord, UndoRecord]]:
    """List the changes that have an inverse which has not been done to its end, the newest first."""
    return [
        (step, step.undo)
        for step in reversed(journal.changes(Phase.FORWARD))
        if step.undo is not None and not is_undone(journal, step, step.undo)
    ]


def is_undone(journal: Journal, step: StepRecord, undo: UndoRecord) -> bool:
    """
    Tell whether every command of a change's inverse has ended; one that needs none is undone.

    Of several commands each must be done: where one was refused, those after it were not tried.
    """
    if len(undo.commands) == 1:
        return journal.ended(Phase.UNDO, f"{step.path}~0") is not None
    paths = [undo_path(journal, step.path, index) for index in range(len(undo.commands))]
    ends = [journal.ended(Phase.UNDO, path) for path in paths]
    return all(end is not None and end.state is StepState.DONE for end in ends)


def undo_path(journal: Journal, path: str, index: int) -> str:
    """Give the path of one command of an inverse: of the try that is not over, or was done."""
    tried = f"{path}~{index}"
    for number in count(1):
        ended = journal.ended(Phase.UNDO, tried)
        if ended is None or ended.state is StepState.DONE:
            break
        tried = f"{path}~{index}r{number}"
    return tried
