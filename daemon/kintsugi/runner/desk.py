"""
One run's desk: its journal, the names that its expressions see, and the ways to write down and to look again.

`work`, `changes` and `rounds` share it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from kintsugi.expressions import Names
from kintsugi.model.documents import Step, Unmet
from kintsugi.model.records import Incident, Phase, StepRecord, StepState
from kintsugi.runner.ends import Unanswered
from kintsugi.runner.journal import Journal
from kintsugi.runner.looking import Expectation, Own, Seen, look_until
from kintsugi.runner.memory import Bearings
from kintsugi.runner.tools import Gate, Tools
from kintsugi.scope.values import Surroundings, step_names


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What every part of a run's work needs. `give_up` is the moment after which no change is tried again; a deadline that moved beyond it counts."""

    tools: Tools
    gate: Gate
    journal: Journal
    incident: Incident
    give_up: datetime

    def names(self, at: Bearings, own: Own | None = None) -> Names:
        """Give the values that an expression of a step here sees now."""
        views = self.tools.world.views
        around = Surroundings(
            now=self.tools.clock(),
            incident=self.incident,
            parameters=at.parameters,
            service=views.get(at.service),
            services=views,
        )
        return step_names(around, earlier=at.memory, own=own, each=at.each)

    async def sight(self, at: Bearings) -> None:
        """Wait until the service is seen as it is: what it was before a watch broke off is no reason to act (P6)."""
        while self.tools.world.blind or not self._is_fresh(at.service):
            await asyncio.sleep(self.tools.pace.total_seconds())

    def namespace(self, at: Bearings) -> str:
        """Give the namespace that a command without `-n` means."""
        view = self.tools.world.views.get(at.service)
        return view.service.namespace if view is not None else self.journal.run.namespace

    def _is_fresh(self, service: str) -> bool:
        view = self.tools.world.views.get(service)
        return view is None or view.fresh

    def blank(self, path: str, *, name: str, phase: Phase) -> StepRecord:
        """Make the record of something that has not been done yet."""
        return StepRecord(run=self.journal.run.id, phase=phase, path=path, name=name, state=StepState.PLANNED)

    async def save(self, record: StepRecord, *, expect: StepState | None) -> None:
        """Commit a record."""
        await self.journal.save_step(record, expect=expect, now=self.tools.clock())

    async def until(self, step: Step, at: Bearings, look: Callable[[], Awaitable[Own]]) -> Seen:
        """
        Look until a step's expectation holds, as long as the step says.

        Raises Unanswered where nobody could be asked to the end, unless the walk goes on in any case.
        """
        expectation = Expectation(
            expect=step.expect, within=step.within, hold=step.hold, progress=step.progress, every=self.tools.pace
        )
        tools = self.tools
        seen = await look_until(
            expectation, look, lambda own: self.names(at, own), tools.clock, lambda: tools.world.blind
        )
        if seen.unknown and step.unmet is not Unmet.CONTINUE:
            raise Unanswered(at.path(step.id), seen.error)
        return seen
