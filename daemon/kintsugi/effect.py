"""
One effect: what it is, what it needs of others, and how it stands while it is being made.

The executor brings it to its end; from its intent in the ledger it is known again after any kind of end.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from kintsugi.actions.circumstances import Circumstances
from kintsugi.actions.prepared import Happened, Prepared
from kintsugi.actions.result import Result
from kintsugi.actions.touched import namespace_of
from kintsugi.commands import decode, encode, render
from kintsugi.errors import KubeError, NotYet, TooManyRequests
from kintsugi.model.bounds import Budget
from kintsugi.model.command import Command
from kintsugi.model.records import StepRecord, StepState, UndoRecord

FIRST_WAIT = timedelta(seconds=0.5)
LONGEST_WAIT = timedelta(seconds=10)
PATIENCE = timedelta(minutes=5)
"""How long a change waits for what is about to end by itself: a pod that is stopping, a claim that is going."""


class Actor(Protocol):
    """What performs commands: `actions.Actions`."""

    async def prepare(self, command: Command, circumstances: Circumstances) -> Prepared: ...

    async def perform(self, prepared: Prepared) -> Result: ...

    async def probe(self, prepared: Prepared) -> Happened: ...

    async def look_again(self, prepared: Prepared) -> Result: ...


class Journal(Protocol):
    """Where steps are written down before and after: the ledger."""

    async def save_step(
        self, step: StepRecord, *, expect: StepState | None, now: datetime, budget: Budget | None = None
    ) -> None: ...

    async def keep_evidence(self, run: str, path: str, kind: str, text: str, now: datetime) -> None: ...


class Admission(Protocol):
    """The gate, as it stands before the attempts of one effect."""

    @property
    def namespace(self) -> str:
        """Return the namespace whose budget an effect spends that is about an object that lives in none."""
        ...

    @property
    def stopping(self) -> bool:
        """Return whether the daemon is stopping."""
        ...

    async def admit(self) -> str:
        """
        Wait until an attempt may be made; then return why the change is not needed any more, or nothing.

        Raises NotAdmitted when it may not be made in this run.
        """
        ...

    async def objection(self) -> str:
        """Return what stands against the attempt at this very moment, or nothing. Raises StaleEpoch."""
        ...

    def budget(self, now: datetime) -> Budget | None:
        """Return the budget that the intent is counted against, None when nothing bounds it."""
        ...


class Boundary(Protocol):
    """Told before and after every effect; crash points are numbered here."""

    def passing(self, kind: str, name: str, *, before: bool) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """
    One change to be made. `record` is its place in the run (state PLANNED), or what the journal knows of it already.

    Of a planned one the gate has admitted the first attempt. `circumstances` returns them as they are now, for every
    attempt anew. `give_up` is the moment after which nothing new is tried; `undo` is the runbook's own word on how it is
    taken back.
    """

    record: StepRecord
    journal: Journal
    command: Command
    admission: Admission
    circumstances: Callable[[], Circumstances]
    give_up: datetime
    undo: UndoRecord | None = None


class Course:
    """
    One effect under way. `record` is what it has come to, `written` the state that the ledger has of it (None: none yet).

    `rest` is how long is waited before the next attempt, `probes` how often it was probed.
    """

    def __init__(self, effect: Effect, clock: Callable[[], datetime]) -> None:
        self.effect = effect
        self.record = effect.record
        # a planned effect is in the ledger only when an attempt of it was settled as not made
        known = effect.record.state is not StepState.PLANNED or effect.record.command is not None
        self.written = effect.record.state if known else None
        self.give_up = effect.give_up
        self.rest = timedelta(0)
        self.probes = 0
        self._clock = clock
        self._patient = clock() + PATIENCE
        self._pause = FIRST_WAIT
        self._next = FIRST_WAIT

    def pause_after(self, trouble: KubeError | NotYet) -> timedelta:
        """Return how long to wait after a trouble: as the server says, else longer each time."""
        asked = trouble.retry_after if isinstance(trouble, TooManyRequests) else None
        self._pause = asked or self._next
        self._next = min(self._next * 2, LONGEST_WAIT)
        return self._pause

    def has_time_for(self, trouble: KubeError | NotYet) -> bool:
        """Return whether the pause ends before the effect's time does."""
        latest = min(self.give_up, self._patient) if isinstance(trouble, NotYet) else self.give_up
        return self._clock() + self._pause < latest


def intent_of(record: StepRecord, prepared: Prepared, course: Course) -> StepRecord:
    """Write down what is about to be done: on what, why, and how it is undone; the runbook's word on undo comes first."""
    return replace(
        record,
        state=StepState.INTENT,
        changes=True,
        command=encode(prepared.command),
        text=render(prepared.command),
        namespace=namespace_of(prepared.command) or course.effect.admission.namespace,
        facts=prepared.facts,
        undo=course.effect.undo or prepared.undo,
        deadline=course.give_up,
        error="",
    )


def prepared_of(record: StepRecord) -> Prepared:
    """Read an effect back from its intent, as it was committed."""
    assert record.command is not None, f"{record.path} has an intent without a command"
    assert record.undo is not None, f"{record.path} has an intent without its undo"
    return Prepared(command=decode(record.command), facts=record.facts, undo=record.undo, evidence=())
