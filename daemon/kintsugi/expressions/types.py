"""
The types of an expression's values: of names, of their fields, and of results.

They are compared when a document is loaded, so that a misspelt field or a wrong comparison never reaches a cluster.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Scalar:
    """A type without parts, and the classes of its values in Python."""

    name: str
    python: type | tuple[type, ...]

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list, each item of one type."""

    item: "Type"

    def __str__(self) -> str:
        return f"list of {self.item}"


@dataclass(frozen=True, slots=True)
class MapOf:
    """A map from strings to values of one type."""

    value: "Type"

    def __str__(self) -> str:
        return f"map of {self.value}"


@dataclass(frozen=True, slots=True)
class Struct:
    """An object with known fields. Two structs in one scope with one name must be the same."""

    name: str
    fields: Mapping[str, "Type"]

    def __hash__(self) -> int:
        return hash(self.name)

    def __str__(self) -> str:
        return self.name


Type = Scalar | ListOf | MapOf | Struct

BOOL = Scalar("bool", bool)
INT = Scalar("int", int)
DOUBLE = Scalar("double", (float, int))
STRING = Scalar("string", str)
BYTES = Scalar("bytes", (bytes, bytearray))
TIMESTAMP = Scalar("timestamp", datetime)
DURATION = Scalar("duration", timedelta)
NULL = Scalar("null", type(None))
ANY = Scalar("any", object)


@lru_cache(maxsize=1024)
def structs_in(kind: Type) -> frozenset[Struct]:
    """Return every struct that a type is made of, itself included."""
    match kind:
        case Struct():
            return frozenset({kind}).union(*map(structs_in, kind.fields.values()))
        case ListOf():
            return structs_in(kind.item)
        case MapOf():
            return structs_in(kind.value)
        case Scalar():
            return frozenset()


def fits(given: Type, wanted: Type) -> bool:
    """
    Return whether a value of type `given` is allowed where `wanted` is required; ANY is checked when it is evaluated.
    """
    if ANY in (given, wanted):
        return True
    match given, wanted:
        case ListOf(), ListOf():
            return fits(given.item, wanted.item)
        case MapOf(), MapOf():
            return fits(given.value, wanted.value)
        case _:
            return given == wanted
