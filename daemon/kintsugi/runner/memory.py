"""
Where a walk stands, and what it remembers: the names that later expressions of the same runbook see.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from kintsugi.model.records import Phase
from kintsugi.scope.values import StepOutcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Restoring:
    """A runbook that restores a database: its path in the run ("" for the run's own), and what it may stop."""

    path: str
    may_stop: frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Bearings:
    """
    The place of a step in its run.

    `memory` is shared by all steps of one runbook (a child has its own): step id to what it came to.
    `prefix` is the path above, `service` the one that is worked on. `restoring` is None except in a runbook that restores.
    `child` is the path of the innermost step that runs another runbook, "" in the run's own. `completing`: what is done here
    completes a change that was made, and is needed as long as that one stands.
    """

    phase: Phase
    service: str
    runbook: str
    prefix: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)
    memory: dict[str, StepOutcome] = field(default_factory=dict)
    each: object = None
    restoring: Restoring | None = None
    child: str = ""
    completing: bool = False

    def path(self, step: str) -> str:
        """Give the path of a step here."""
        return f"{self.prefix}/{step}" if self.prefix else step

    def below(self, step: str) -> "Bearings":
        """Go down into a step's own steps."""
        return replace(self, prefix=self.path(step))

    def at(self, each: object) -> "Bearings":
        """Stand at one item of `for_each`."""
        return replace(self, each=each)

    def remember(self, step: str, *, ran: bool, met: bool, own: Mapping[str, object]) -> None:
        """Keep what a step came to, for the expressions of later steps."""
        self.memory[step] = StepOutcome(ran=ran, met=met, result=own)
