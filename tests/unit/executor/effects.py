"""One effect of one run, ready to be executed: scaling web to five."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from kintsugi.actions.change_context import ChangeContext
from kintsugi.executor import Effect, Executor
from kintsugi.model.change_limits import Budget
from kintsugi.model.command import Command, ObjectName
from kintsugi.model.records import StepRecord, StepState, UndoRecord
from kintsugi.runner import Journal
from kintsugi.verbs.scale import Scale
from kubeobjects import resources
from tests.harness import ledgers
from tests.unit.executor.power import Power
from tests.unit.executor.scripted_actor import ContainedCall, ScriptedActor
from tests.unit.factories import incident, moment, run, step, virtual_clock
from tests.unit.run_rows import RunRows

SCALE = Scale(objects=(ObjectName(resource=resources.DEPLOYMENTS, name="web"),), namespace="production", replicas=5)
DEADLINE = moment(minutes=30)
TEXT = "kubectl scale deployment web --replicas=5 -n production"


@dataclass(frozen=True, kw_only=True, slots=True)
class Boundary:
    """Passes the moments around each effect on."""

    power: Power

    def hit(self, kind: str, name: str, *, before: bool) -> None:
        """Pass one side of an effect."""
        self.power.hit(f"{'before' if before else 'after'} the {kind} {name}")


class OpenGate:
    """
    A gate that admits, unless the test says otherwise: `admits` and `objections` are returned or raised in their order.

    `waits` is how long it takes to be admitted, `thinks` how long it takes to object or not.
    """

    def __init__(self) -> None:
        self.admits: deque[str | Exception] = deque()
        self.objections: deque[str | Exception] = deque()
        self.asked: list[str] = []
        self.waits = timedelta(0)
        self.thinks: deque[timedelta] = deque()
        self.on_admit: Callable[[], None] = lambda: None
        self.limit: Budget | None = None

    async def admit(self) -> str:
        """Wait as long as the test says."""
        self.asked.append("admit")
        self.on_admit()
        await asyncio.sleep(self.waits.total_seconds())
        return _next(self.admits)

    async def objection(self) -> str:
        """Object, if the test says so."""
        self.asked.append("objection")
        await asyncio.sleep(self.thinks.popleft().total_seconds() if self.thinks else 0)
        return _next(self.objections)

    def budget(self, now: datetime) -> Budget | None:
        """Return the budget of the test."""
        return self.limit


def _next(answers: deque[str | Exception]) -> str:
    answer = answers.popleft() if answers else ""
    if isinstance(answer, Exception):
        raise answer
    return answer


class ExecutorBench:
    """
    An executor over a scripted actor and the in-memory ledger, which may be cut off together.

    `script` says by stage what happens at the first calls of the actor.
    """

    def __init__(self, **script: Sequence[ContainedCall]) -> None:
        self.actor = ScriptedActor()
        for stage, turns in script.items():
            self.actor.will(stage, *turns)
        self.rows = RunRows(run(), incident())
        self.journal = Journal(run(), self.rows.ledger, ())
        self.gate = OpenGate()
        self.connect(Power())

    def connect(self, power: Power) -> None:
        """Start the process (again): what is in the cluster and in the ledger stays."""
        self.power = self.actor.power = self.rows.commits.power = power
        self.executor = Executor(self.actor, Boundary(power=power), clock=virtual_clock)

    async def execute(
        self,
        *,
        command: Command = SCALE,
        retry_until: datetime = DEADLINE,
        undo: UndoRecord | None = None,
        known: StepRecord | None = None,
    ) -> StepRecord:
        """Bring the effect to its end, from what the ledger knows of it."""
        ledgers.work_at_once()
        record = known or self.rows.known("scale#0") or step("scale#0", state=StepState.PLANNED)
        effect = Effect(
            record=record,
            journal=self.journal,
            command=command,
            admission=self.gate,
            change_context=lambda: ChangeContext(
                incident="inc-1", run=record.run, path=record.path, now=virtual_clock()
            ),
            retry_until=retry_until,
            namespace="production",
            stopping=asyncio.Event(),
            undo=undo,
        )
        return await self.executor.execute(effect)

    @property
    def states(self) -> list[StepState]:
        """List the states that were committed, in their order."""
        return self.rows.commits.states
