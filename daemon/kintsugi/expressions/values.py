"""
Values on their way into an expression: our objects as the builtins that CEL takes, prepared once for many expressions.

Kept Kubernetes structs show their JSON names, our own dataclasses their field names. A field that is None or "" is
left out, as in the API's JSON: to read it is an error, so that what is missing is never taken for an answer.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache, partial
from operator import attrgetter
from typing import Any
from uuid import UUID

import msgspec
from cel_expr_python import cel
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from kintsugi.errors import EvaluationError
from kintsugi.expressions.dialect import loose, loose_forms
from kintsugi.expressions.function import Function
from kintsugi.expressions.structs import identity

_BARE = cel.NewEnv()


def plain(value: object) -> object:
    """
    Turn a value into the dicts, lists and scalars that an expression can read.

    Raises EvaluationError for a naive datetime, and for a type that no expression can read.
    """
    kind: type = type(value)
    return _way(kind)(value)


@lru_cache(maxsize=1024)
def _way(kind: type) -> Callable[[Any], object]:
    """Choose how values of a type are made plain; once a type, since a pod is some hundred values."""
    fields = _fields(kind)
    if fields:
        return partial(_plain_fields, fields, identity(kind))
    for family, way in _WAYS:
        if issubclass(kind, family):
            return way
    return _unreadable


def _fields(kind: type) -> tuple[tuple[str, Callable[[object], object]], ...]:
    if issubclass(kind, msgspec.Struct):
        names = zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True)
        return tuple((shown, attrgetter(name)) for shown, name in names)
    described = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
    return tuple((field.name, attrgetter(field.name)) for field in described)


def _plain_fields(
    fields: tuple[tuple[str, Callable[[object], object]], ...], also: Mapping[str, str], value: object
) -> dict[str, object]:
    shown: dict[str, object] = {**also}
    for name, get in fields:
        item = get(value)
        if item is not None and item != "":
            shown[name] = plain(item)
    return shown


def _as_it_is(value: object) -> object:
    return value


def _plain_mapping(value: Mapping[object, object]) -> dict[str, object]:
    return {str(key): plain(item) for key, item in value.items()}


def _plain_list(value: Iterable[object]) -> list[object]:
    return [plain(item) for item in value]


def _plain_set(value: Iterable[object]) -> list[object]:
    return [plain(item) for item in sorted(value, key=str)]


def _plain_enum(value: Enum) -> object:
    return plain(value.value)


def _plain_decimal(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def _plain_time(value: datetime) -> Timestamp:
    if value.tzinfo is None:
        raise EvaluationError(f"the time {value} has no time zone: times are aware, in UTC")
    timestamp = Timestamp()
    timestamp.FromDatetime(value.astimezone(UTC))
    return timestamp


def _plain_duration(value: timedelta) -> Duration:
    duration = Duration()
    duration.FromTimedelta(value)
    return duration


def _unreadable(value: object) -> object:
    raise EvaluationError(f"a {type(value).__name__} cannot be read by an expression")


# The first family that a type is of: an enum of strings is an enum first. CEL takes exact builtins only.
_WAYS: tuple[tuple[type | tuple[type, ...], Callable[[Any], object]], ...] = (
    (Enum, _plain_enum),
    ((bool, bytes, type(None), Timestamp, Duration), _as_it_is),
    (int, int),
    (float, float),
    ((str, UUID), str),
    (bytearray, bytes),
    (Mapping, _plain_mapping),
    ((list, tuple), _plain_list),
    (AbstractSet, _plain_set),
    (datetime, _plain_time),
    (timedelta, _plain_duration),
    (Decimal, _plain_decimal),
)


class Names(Mapping[str, object]):
    """
    The values of one moment, by name, prepared once and asked by many expressions.

    A value is converted when the first expression reads it; then an answer takes a few microseconds. The values must
    not change afterwards: a new moment takes new Names.
    """

    __slots__ = ("_activations", "_plain", "_values")

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values
        self._plain: dict[str, object] = {}
        self._activations: dict[tuple[frozenset[str], tuple[Function, ...]], cel.Activation] = {}

    def __getitem__(self, name: str) -> object:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def activation(self, variables: frozenset[str], functions: tuple[Function, ...]) -> cel.Activation:
        """Give the prepared values of `variables`, with the functions that use names bound to this moment."""
        key = (variables, functions)
        found = self._activations.get(key)
        if found is None:
            found = _BARE.Activation(
                {name: self._prepared(name) for name in variables},
                functions=[self._bound(function) for function in functions],
            )
            self._activations[key] = found
        return found

    def _prepared(self, name: str) -> object:
        if name not in self._plain:
            if name not in self._values:
                raise EvaluationError(f"{name} has no value here")
            self._plain[name] = plain(self._values[name])
        return self._plain[name]

    def _bound(self, function: Function) -> cel.Function:
        """Close over the values alone, never over self: the activation is not seen by the garbage collector."""
        used = tuple(self._values[name] for name in function.uses)
        (form,) = loose_forms(function)
        return cel.Function(
            function_name=function.name,
            parameters=list(form),
            is_member=False,
            impl=answering(function, used),
            return_type=loose(function.result),
        )


def answering(function: Function, used: tuple[object, ...] = ()) -> Callable[..., object]:
    """Give the function as CEL calls it: its result is made plain."""

    def answer(*arguments: object) -> object:
        return plain(function.implementation(*arguments, *used))

    return answer
