"""The values of one moment, by name, prepared once and asked by many expressions; and those of them that are lost."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial

from cel_expr_python import cel

from kintsugi.errors import EvaluationError
from kintsugi.expressions.computed_fields import ComputedField, types_of
from kintsugi.expressions.structs import class_of
from kintsugi.expressions.values import Fields, Getter, GettersByType, part

_BARE = cel.NewEnv()


@dataclass(frozen=True, kw_only=True, slots=True)
class Lost:
    """
    Values that are not what they were: `paths` as expressions read them, the path of a list for its items, too.

    `mark` replaces each lost value, `why` is the reason.
    """

    paths: frozenset[str] = frozenset()
    mark: str = ""
    why: str = ""


NOTHING_LOST = Lost()


def lost_read(reads: Iterable[str], compared: Iterable[str], lost: Lost) -> str:
    """
    Return a lost path that an expression reads, "" for none.

    A read at a lost path, or below it, is lost; above it, a read that is `compared` as a whole.
    """
    read, whole = frozenset(reads), frozenset(compared)
    for path in sorted(lost.paths):
        if any(each == path or each.startswith(f"{path}.") for each in read):
            return path
        if any(path.startswith(f"{each}.") for each in whole):
            return path
    return ""


def holds_lost(value: object, mark: str) -> bool:
    """
    Return whether an answer is a text, or a list of texts, that contains the mark; objects are read further by others.
    """
    if isinstance(value, list):
        return any(isinstance(each, str) and mark in each for each in value)
    return isinstance(value, str) and mark in value


class Bindings(Mapping[str, object]):
    """
    The values of one moment, by name.

    What is read of a value is converted when the first expression reads it; then an answer takes a few microseconds. The
    values must not change afterwards: a new moment takes new Names. `lost` says which of them are not what they were.
    """

    __slots__ = ("_activations", "_values", "lost")

    def __init__(self, values: Mapping[str, object], lost: Lost = NOTHING_LOST) -> None:
        self._values = values
        self.lost = lost
        self._activations: dict[tuple[object, ...], cel.Activation] = {}

    def __getitem__(self, name: str) -> object:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def activation(
        self,
        variables: frozenset[str],
        reads: frozenset[str],
        whole: frozenset[str],
        computed_fields: tuple[ComputedField, ...],
    ) -> cel.Activation:
        """
        Return the values of `variables`, prepared as far as the paths `reads` lead, with all below those that are `whole`.

        Objects have these computed fields. A name without a value is left out. Raises EvaluationError when a field needs a
        name that has none.
        """
        key = (variables, reads, whole, computed_fields)
        found = self._activations.get(key)
        if found is None:
            getters = self._getters(computed_fields)
            present = variables & self._values.keys()
            prepared = {name: part(self._values[name], read_fields(name, reads, whole), getters) for name in present}
            found = self._activations[key] = _BARE.Activation(prepared)
        return found

    def missing(self, variables: frozenset[str]) -> str:
        """Return which of these names have no value, "" when all have one."""
        absent = sorted(variables - self._values.keys())
        return f"{', '.join(absent)}: no value here" if absent else ""

    def _getters(self, computed_fields: tuple[ComputedField, ...]) -> GettersByType:
        getters: dict[type, tuple[tuple[str, Getter], ...]] = {}
        for computed_field in computed_fields:
            if missing := self.missing(frozenset(computed_field.uses)):
                raise EvaluationError(missing)
            used = [self._values[name] for name in computed_field.uses]
            getters[computed_field.of] = (
                *getters.get(computed_field.of, ()),
                (computed_field.name, partial(_compute, computed_field, used)),
            )
        return getters


@lru_cache(maxsize=1024)
def read_fields(name: str, reads: frozenset[str], whole: frozenset[str]) -> Fields:
    """Return which fields of the value `name` are on the paths `reads`; none where the value itself is one of `whole`."""
    if name in whole:
        return {}
    below = {path.removeprefix(f"{name}.").partition(".")[0] for path in reads if path.startswith(f"{name}.")}
    return {each: read_fields(f"{name}.{each}", reads, whole) for each in below}


def _compute(computed_field: ComputedField, used: list[object], value: object) -> object:
    return computed_field.compute(value, *used)


def without_computed_fields(value: object) -> object:
    """Take the computed fields out of an answer again."""
    if isinstance(value, dict):
        computed = types_of(class_of(value))
        return {name: without_computed_fields(item) for name, item in value.items() if name not in computed}
    if isinstance(value, list):
        return [without_computed_fields(item) for item in value]
    return value
