"""How much is measured, and on which cores: what is measured has one of its own, the load and the emulators another."""

import os
from dataclasses import dataclass

_CORES = sorted(os.sched_getaffinity(0))
MEASURED = _CORES[0]
LOAD = _CORES[-1]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The size of one run of the bench."""

    quick: bool = False

    @property
    def rounds(self) -> int:
        """Count the rounds of which medians are taken."""
        return 1 if self.quick else 3
