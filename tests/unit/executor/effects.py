"""One effect of one run, ready to be executed: scaling web to five."""

from dataclasses import dataclass
from datetime import datetime

from kintsugi.actions.circumstances import Circumstances
from kintsugi.executor import Effect, Executor
from kintsugi.model.command import Command, ObjectName, Scale
from kintsugi.model.records import StepRecord, StepState, UndoRecord
from kintsugi.objects import resources
from tests.unit.executor.cas_journal import CasJournal
from tests.unit.executor.power import Power
from tests.unit.executor.scripted_actor import ScriptedActor
from tests.unit.factories import moment, step, virtual_clock

SCALE = Scale(objects=(ObjectName(resource=resources.DEPLOYMENTS, name="web"),), namespace="production", replicas=5)
DEADLINE = moment(minutes=30)
TEXT = "kubectl scale deployment web --replicas=5 -n production"


@dataclass(frozen=True, kw_only=True, slots=True)
class Boundary:
    """Passes the moments around each effect on."""

    power: Power

    def passing(self, kind: str, name: str, *, before: bool) -> None:
        """Pass one side of an effect."""
        self.power.passing(f"{'before' if before else 'after'} the {kind} {name}")


class Bench:
    """An executor over a scripted actor and a journal that may be cut off together."""

    def __init__(self) -> None:
        self.actor = ScriptedActor()
        self.journal = CasJournal()
        self.connect(Power())

    def connect(self, power: Power) -> None:
        """Start the process (again): what is in the cluster and in the journal stays."""
        self.power = self.actor.power = self.journal.power = power
        self.executor = Executor(self.actor, Boundary(power=power), clock=virtual_clock)

    async def execute(
        self,
        *,
        command: Command = SCALE,
        give_up: datetime = DEADLINE,
        undo: UndoRecord | None = None,
        known: StepRecord | None = None,
    ) -> StepRecord:
        """Bring the effect to its end, from what the journal knows of it."""
        record = known or self.journal.known("scale#0") or step("scale#0", state=StepState.PLANNED)
        circumstances = Circumstances(incident="inc-1", run=record.run, path=record.path, now=virtual_clock())
        effect = Effect(
            record=record,
            journal=self.journal,
            command=command,
            circumstances=circumstances,
            give_up=give_up,
            undo=undo,
        )
        return await self.executor.execute(effect)

    @property
    def states(self) -> list[StepState]:
        """List the states that were committed, in their order."""
        return next(iter(self.journal.states.values()), [])
