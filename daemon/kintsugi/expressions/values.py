"""
Converts the values of an expression: our objects become the builtins that CEL takes.

Kept Kubernetes structs show their JSON names, our own dataclasses their field names. A field that is None or "" is left
out, as in the API's JSON: to read it is an error, so that a missing value is never taken for an answer.
"""

import dataclasses
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache, partial
from operator import attrgetter
from typing import Any
from uuid import UUID

import msgspec
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from kintsugi.errors import EvaluationError
from kintsugi.expressions.structs import class_of, identity

Getter = Callable[[object], object]
GettersByType = Mapping[type, tuple[tuple[str, Getter], ...]]
"""The fields to add to objects, by class: each with its getter."""

Fields = Mapping[str, "Fields"]
"""The fields of a value that are read, each with those of its own value; where there are none, all of them are read."""

_NO_GETTERS: GettersByType = {}

_TIME, _SECONDS, _MAP = "@time", "@seconds", "@map"
_MARKERS = (_TIME, _SECONDS, _MAP)


def plain(value: object, getters: GettersByType = _NO_GETTERS) -> object:
    """
    Turn a value into the dicts, lists and scalars that an expression can read, with `getters` added to kept objects.

    Raises EvaluationError for a naive datetime, and for a type that no expression can read.
    """
    kind: type = type(value)
    return _converter(kind)(value, getters)


def part(value: object, fields: Fields, getters: GettersByType) -> object:
    """
    Turn what is read of a value into what `plain` makes of the whole: a pod has some hundred values, and a rule reads one.

    Of structs and dataclasses, and of each in a list, only `fields` are there; other values are there as a whole. Raises
    EvaluationError as `plain` does.
    """
    if not fields:
        return plain(value, getters)
    if isinstance(value, list | tuple):
        return [part(item, fields, getters) for item in value]
    kind: type = type(value)
    readable = _fields_by_name(kind)
    if not readable:
        return plain(value, getters)
    shown: dict[str, object] = {**identity(kind)}
    for name in fields.keys() & readable.keys():
        item = readable[name](value)
        if item is not None and item != "":
            shown[name] = part(item, fields[name], getters)
    for name, getter in getters.get(kind, ()):
        if name in fields:
            shown[name] = plain(getter(value))
    return shown


@lru_cache(maxsize=1024)
def _converter(kind: type) -> Callable[[Any, GettersByType], object]:
    """Choose how values of a type are made plain; once a type, since a pod is some hundred values."""
    fields = _fields(kind)
    if fields:
        return partial(_plain_fields, fields, identity(kind))
    for family, converter in _CONVERTERS:
        if issubclass(kind, family):
            return converter
    return _unreadable


def _fields(kind: type) -> tuple[tuple[str, Getter], ...]:
    if issubclass(kind, msgspec.Struct):
        names = zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True)
        return tuple((shown, attrgetter(name)) for shown, name in names)
    described = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
    return tuple((field.name, attrgetter(field.name)) for field in described)


@lru_cache(maxsize=1024)
def _fields_by_name(kind: type) -> Mapping[str, Getter]:
    return dict(_fields(kind))


def _plain_fields(
    fields: tuple[tuple[str, Getter], ...], also: Mapping[str, str], value: object, getters: GettersByType
) -> dict[str, object]:
    shown: dict[str, object] = {**also}
    for name, get in fields:
        item = get(value)
        if item is not None and item != "":
            shown[name] = plain(item, getters)
    for name, getter in getters.get(type(value), ()):
        shown[name] = plain(getter(value))
    return shown


def _plain_mapping(value: Mapping[object, object], getters: GettersByType) -> dict[str, object]:
    """An object that is a dict already, as an earlier answer is, gets its computed fields by its `kind`."""
    shown = {str(key): plain(item, getters) for key, item in value.items()}
    kind = class_of(value) if getters else None
    if kind is not None and kind in getters:
        read = _read(value, kind)
        shown |= {name: plain(getter(read)) for name, getter in getters[kind]}
    return shown


def _read(value: Mapping[object, object], kind: type) -> object:
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise EvaluationError(f"this is not a {kind.__name__}: {error}") from error


def _plain_time(value: datetime, _: GettersByType) -> Timestamp:
    if value.tzinfo is None:
        raise EvaluationError(f"the time {value} has no time zone: times are aware, in UTC")
    timestamp = Timestamp()
    timestamp.FromDatetime(value.astimezone(UTC))
    return timestamp


def _plain_duration(value: timedelta, _: GettersByType) -> Duration:
    duration = Duration()
    duration.FromTimedelta(value)
    return duration


def _unreadable(value: object, _: GettersByType) -> object:
    raise EvaluationError(f"a {type(value).__name__} cannot be read by an expression")


# The first family that a type is of: an enum of strings is an enum first. CEL takes exact builtins only.
_CONVERTERS: tuple[tuple[type | tuple[type, ...], Callable[[Any, GettersByType], object]], ...] = (
    (Enum, lambda value, _: plain(value.value)),
    ((bool, bytes, type(None), Timestamp, Duration), lambda value, _: value),
    (int, lambda value, _: int(value)),
    (float, lambda value, _: float(value)),
    ((str, UUID), lambda value, _: str(value)),
    (bytearray, lambda value, _: bytes(value)),
    (Mapping, _plain_mapping),
    ((list, tuple), lambda value, getters: [plain(item, getters) for item in value]),
    (AbstractSet, lambda value, getters: [plain(item, getters) for item in sorted(value, key=str)]),
    (datetime, _plain_time),
    (timedelta, _plain_duration),
    (Decimal, lambda value, _: int(value) if value == value.to_integral_value() else float(value)),
)


def to_json(value: object) -> object:
    """
    Return a value in JSON's own types; `from_json` gives it back as an expression would answer it.

    Raises EvaluationError for what no expression could read.
    """
    return _packed(plain(value))


def from_json(value: object) -> object:
    """
    Return the value that `to_json` has encoded: dicts, lists, scalars, datetimes and timedeltas.

    Other JSON (of another version, or what was never an expression's) is refused nowhere: a telling key over what
    `to_json` does not put there is a key like any other.
    """
    match value:
        case Mapping() if len(value) == 1 and next(iter(value)) in _MARKERS:
            ((tag, inner),) = value.items()
            try:
                return _unpacked(str(tag), inner)
            except (ValueError, OverflowError):
                return {str(tag): from_json(inner)}
        case Mapping():
            return {str(name): from_json(item) for name, item in value.items()}
        case list():
            return [from_json(item) for item in value]
        case _:
            return value


def _unpacked(tag: str, inner: object) -> object:
    match tag, inner:
        case "@time", str():
            return datetime.fromisoformat(inner)
        case "@seconds", float() | int() if not isinstance(inner, bool):
            return timedelta(seconds=inner)
        case "@map", Mapping():
            return {str(name): from_json(item) for name, item in inner.items()}
        case _:
            raise ValueError(f"{tag} does not hold what to_json puts there")


def _packed(value: object) -> object:
    match value:
        case Timestamp():
            return {_TIME: value.ToDatetime(UTC).isoformat()}
        case Duration():
            return {_SECONDS: value.ToTimedelta().total_seconds()}
        case dict():
            packed = {name: _packed(item) for name, item in value.items()}
            return {_MAP: packed} if len(packed) == 1 and next(iter(packed)) in _MARKERS else packed
        case list():
            return [_packed(item) for item in value]
        case bytes():
            return value.decode(errors="replace")
        case _:
            return value
