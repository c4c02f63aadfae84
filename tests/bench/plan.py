"""What is measured how often, and on which cores: the daemon has one of its own, the load and the emulators another."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tests.bench.figures import Figure, Round
from tests.bench.revision import WORKING_TREE, Revision

_CORES = sorted(os.sched_getaffinity(0))
MEASURED = _CORES[0]
LOAD = _CORES[-1]

Measured = TypeVar("Measured")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The size of one run of the bench; the second of two `revisions` is the baseline."""

    quick: bool = False
    revisions: Sequence[Revision] = (WORKING_TREE,)

    @property
    def rounds(self) -> int:
        """Count the rounds."""
        return 1 if self.quick else 5

    def in_turn(self, measure: Callable[[Revision], Measured]) -> Sequence[Sequence[Measured]]:
        """Measure each revision once in each round; the results are those of each round, in the order of the revisions."""
        return [[measure(each) for each in self.revisions] for _ in range(self.rounds)]

    def compare(self, measure: Callable[[Revision], Mapping[str, float]]) -> Iterator[Figure]:
        """Measure values by their names, and yield a figure of each."""
        rounds = self.in_turn(measure)
        for name in rounds[0][0]:
            yield Figure(name=name, rounds=[Round(*(found[name] for found in each)) for each in rounds])

    def hold(self, measure: Callable[[Revision], Mapping[str, Round]]) -> Iterator[Figure]:
        """Measure values that have a floor in the same round, and yield a figure of each for each revision."""
        rounds = self.in_turn(measure)
        for place, revision in enumerate(self.revisions):
            for name in rounds[0][place]:
                yield Figure(name=f"{name} ({revision.name})", rounds=[each[place][name] for each in rounds])
