"""The scope of a step by types: the results of earlier steps, the item of `forEach`, the parameters."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from kintsugi.expressions import ListOf, Scope, Type
from kintsugi.scope.types import Names, StepPlace, step_names
from kubeobjects.predicates import START_UP_ALLOWANCE

Results = Mapping[str, Names]
"""Step ids, each with the names that its result has for later steps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TypeScope:
    """A place in a list of steps. `start_up` is what a pod may take to become ready."""

    services: tuple[str, ...]
    start_up: timedelta = START_UP_ALLOWANCE
    parameters: Names = field(default_factory=dict)
    earlier: Results = field(default_factory=dict)
    each: Type | None = None

    def after(self, results: Results) -> "TypeScope":
        """Return the scope after steps with these results."""
        return replace(self, earlier={**self.earlier, **results})

    def at(self, each: Type | None) -> "TypeScope":
        """Return the scope of one item of `forEach`; without an item the scope is unchanged."""
        return self if each is None else replace(self, each=each)

    def scope(self, own: Names | None = None) -> Scope:
        """Return what is seen from here; `own` are the names of a step's own result."""
        place = StepPlace(
            parameters=self.parameters, earlier=self.earlier, own=own or {}, each=self.each, services=self.services
        )
        return Scope(names=step_names(place), start_up=self.start_up)


def left_behind(own: Names, *, repeated: bool) -> Names:
    """Return what later steps see of a result; of a step that was done for each item, its lists, put together."""
    return {name: kind for name, kind in own.items() if isinstance(kind, ListOf)} if repeated else own
