"""
Converts values to JSON and back, so that an expression's values can be restored after a restart.

JSON has neither times nor durations: each is kept as an object with one special key. A map that happens to look like
one (a web service may answer anything) is kept inside another such object.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from kintsugi.expressions.values import plain

_TIME, _SECONDS, _MAP = "@time", "@seconds", "@map"
_MARKERS = (_TIME, _SECONDS, _MAP)


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
