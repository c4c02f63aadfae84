"""
One effect: its definition, the ports that it needs, and its state while it is executed.

The executor brings it to a final state. After a restart it is restored from its intent in the ledger.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.change_verb import namespace_of, read_intent
from kintsugi.actions.effect_plan import EffectPlan, EffectStatus, Evidence
from kintsugi.actions.result import Result
from kintsugi.commands import decode, encode, render
from kintsugi.errors import KubeError, NotYet, TooManyRequests
from kintsugi.model.change_limits import Budget
from kintsugi.model.command import Command
from kintsugi.model.records import StepRecord, StepState, UndoRecord
from kintsugi.retries import Waits

FIRST_WAIT = timedelta(seconds=0.5)
LONGEST_WAIT = timedelta(seconds=10)
LONGEST_WAIT_REFUSED = timedelta(minutes=1)
"""The longest pause after the gate has refused an attempt at its intent: each such attempt reads the object and commits."""

WAITS = Waits(first=FIRST_WAIT, longest=LONGEST_WAIT)
NOT_YET_LIMIT = timedelta(minutes=5)
"""The time that a change waits for a condition that ends by itself: a pod or a claim that is terminating."""


class Actor(Protocol):
    """The port to what performs commands; `actions.Actions` implements it."""

    async def plan_effect(self, command: Command, context: ChangeContext) -> EffectPlan: ...

    async def apply(self, plan: EffectPlan) -> Result: ...

    async def probe(self, plan: EffectPlan) -> EffectStatus: ...

    async def reread(self, plan: EffectPlan) -> Result: ...


class EffectJournal(Protocol):
    """The port to the records of steps, written before and after each effect; the ledger implements it."""

    async def save_step(
        self, step: StepRecord, *, expect: StepState | None, now: datetime, budget: Budget | None = None
    ) -> None: ...

    async def keep_evidence(self, run: str, path: str, kind: str, text: str, now: datetime) -> None: ...


class Admission(Protocol):
    """The gate before the attempts of one effect."""

    async def admit(self) -> str:
        """
        Wait until an attempt may be made; then return why the change is no longer needed, "" when it is.

        Raises NotAdmitted when it may not be made in this run.
        """
        ...

    async def objection(self) -> str:
        """Return the current objection to an attempt whose intent is committed, "" for none. Raises StaleEpoch."""
        ...

    def budget(self, now: datetime) -> Budget | None:
        """Return the budget that the intent is counted against, None for none."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """
    One change to be made. `record` is its planned record (state PLANNED), or the one that the journal has already.

    The gate has admitted the first attempt of a planned effect. `change_context` returns the current context for each
    attempt. After `retry_until` no new attempt is made; `undo` is the runbook's own word on the undo. `namespace` is the run's:
    a change of a cluster-scoped object is counted against its budget. `stopping` is set when the daemon stops.
    """

    record: StepRecord
    journal: EffectJournal
    command: Command
    admission: Admission
    change_context: Callable[[], ChangeContext]
    retry_until: datetime
    namespace: str
    stopping: asyncio.Event
    undo: UndoRecord | None = None


class EffectExecution:
    """
    One effect under way. `record` is its current record, `committed_state` the state in the ledger (None: none yet).

    `retry_delay` is the pause before the next attempt, `probes` the number of probes so far.
    """

    def __init__(self, effect: Effect, clock: Callable[[], datetime]) -> None:
        self.effect = effect
        self.record = effect.record
        # a planned effect is in the ledger only when an attempt of it was settled as not made
        known = effect.record.state is not StepState.PLANNED or effect.record.command is not None
        self.committed_state = effect.record.state if known else None
        self.retry_until = effect.retry_until
        self.retry_delay = timedelta(0)
        self.probes = 0
        self._clock = clock
        self._patient = clock() + NOT_YET_LIMIT
        self._pause = FIRST_WAIT
        self._next = FIRST_WAIT
        self._refused = FIRST_WAIT
        self.kept: set[Evidence] = set()

    def pause_after(self, problem: KubeError | NotYet) -> timedelta:
        """Return the pause after a failed attempt: the server's Retry-After, else longer each time."""
        asked = problem.retry_after if isinstance(problem, TooManyRequests) else None
        self._pause = asked or self._next
        self._next = min(self._next * 2, LONGEST_WAIT)
        return self._pause

    def pause_refused(self) -> timedelta:
        """Return the pause after an attempt that the gate refused once it was planned: longer each time."""
        pause, self._refused = self._refused, min(self._refused * 2, LONGEST_WAIT_REFUSED)
        return pause

    def has_time_for(self, problem: KubeError | NotYet) -> bool:
        """Return whether the pause ends before the effect's time is over."""
        latest = min(self.retry_until, self._patient) if isinstance(problem, NotYet) else self.retry_until
        return self._clock() + self._pause < latest


def intent_of(record: StepRecord, plan: EffectPlan, execution: EffectExecution) -> StepRecord:
    """Return the record of an intent: object, reason and undo; the runbook's own undo takes precedence."""
    return replace(
        record,
        state=StepState.INTENT,
        changes=True,
        command=encode(plan.command),
        text=render(plan.command),
        namespace=namespace_of(plan.command) or execution.effect.namespace,
        facts=plan.facts,
        undo=execution.effect.undo or plan.undo,
        deadline=execution.retry_until,
        error="",
    )


def effect_plan_of(record: StepRecord) -> EffectPlan:
    """Return the effect plan that an intent in the ledger records."""
    assert record.command is not None, f"{record.path} has an intent without a command"
    assert record.undo is not None, f"{record.path} has an intent without its undo"
    command = decode(record.command)
    return EffectPlan(command=command, intent=read_intent(command, record.facts), undo=record.undo)
