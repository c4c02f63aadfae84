"""What a trace of calls says of a way through the code: which modules it enters, and how often it comes back to one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

LEFT_OUT = ("model/", "errors.py", "telemetry/")
"""Nouns, exceptions and logs stand everywhere: whoever follows the way does not open them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Visits:
    """A way through the code. `stays` are the modules in order, each once for as long as the way is in it."""

    stays: Sequence[str]

    @property
    def modules(self) -> int:
        """Return how many modules the way enters."""
        return len(set(self.stays))

    @property
    def returns(self) -> int:
        """Return how often the way enters a module that it has left before."""
        return len(self.stays) - self.modules


def visits(functions: Iterable[str], *, within: Sequence[str] = ("",)) -> Visits:
    """Return the way that leads through functions (`verbs/delete.py:DeleteVerb.plan_effect`), `within` some folders and modules."""
    modules = (each.partition(":")[0] for each in functions)
    wanted = [each for each in modules if each.startswith(tuple(within)) and not each.startswith(LEFT_OUT)]
    return Visits(stays=[module for module, _ in groupby(wanted)])
