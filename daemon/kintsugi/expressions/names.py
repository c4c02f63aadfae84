"""The values of one moment, by name, prepared once and asked by many expressions."""

from collections.abc import Iterator, Mapping
from functools import partial

from cel_expr_python import cel

from kintsugi.errors import EvaluationError
from kintsugi.expressions.function import FACT, Fact
from kintsugi.expressions.values import Facts, Getter, plain

_BARE = cel.NewEnv()


class Names(Mapping[str, object]):
    """
    The values of one moment, by name.

    A value is converted when the first expression reads it; then an answer takes a few microseconds. The values must
    not change afterwards: a new moment takes new Names.
    """

    __slots__ = ("_activations", "_values")

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values
        self._activations: dict[tuple[frozenset[str], tuple[Fact, ...]], cel.Activation] = {}

    def __getitem__(self, name: str) -> object:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def activation(self, variables: frozenset[str], facts: tuple[Fact, ...]) -> cel.Activation:
        """
        Give the prepared values of `variables`, their objects with these facts; a name without a value is left out.

        Raises EvaluationError when a fact needs a name that has none.
        """
        key = (variables, facts)
        found = self._activations.get(key)
        if found is None:
            told = self._told(facts)
            present = variables & self._values.keys()
            found = _BARE.Activation({name: plain(self._values[name], told) for name in present})
            self._activations[key] = found
        return found

    def missing(self, variables: frozenset[str]) -> str:
        """Say which of these names have no value, "" when all have one."""
        absent = sorted(variables - self._values.keys())
        return f"{', '.join(absent)}: no value here" if absent else ""

    def _told(self, facts: tuple[Fact, ...]) -> Facts:
        told: dict[type, tuple[tuple[str, Getter], ...]] = {}
        for fact in facts:
            if missing := self.missing(frozenset(fact.uses)):
                raise EvaluationError(missing)
            used = [self._values[name] for name in fact.uses]
            told[fact.of] = (*told.get(fact.of, ()), (fact.field, partial(_tell, fact, used)))
        return told


def _tell(fact: Fact, used: list[object], value: object) -> object:
    return fact.tell(value, *used)


def without_facts(value: object) -> object:
    """Take the facts out of an answer again."""
    if isinstance(value, dict):
        return {name: without_facts(item) for name, item in value.items() if not str(name).startswith(FACT)}
    if isinstance(value, list):
        return [without_facts(item) for item in value]
    return value
