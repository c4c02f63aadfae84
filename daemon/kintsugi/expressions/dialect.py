"""Translates our types to CEL's and back. A struct is a protobuf message, whose fields are checked exactly."""

from collections.abc import Mapping

from cel_expr_python import cel

from kintsugi.expressions.descriptors import PACKAGE
from kintsugi.expressions.types import (
    ANY,
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    INT,
    NULL,
    STRING,
    TIMESTAMP,
    ListOf,
    MapOf,
    Scalar,
    Struct,
    Type,
)

_SCALARS = {
    BOOL: cel.Type.BOOL,
    INT: cel.Type.INT,
    DOUBLE: cel.Type.DOUBLE,
    STRING: cel.Type.STRING,
    BYTES: cel.Type.BYTES,
    TIMESTAMP: cel.Type.TIMESTAMP,
    DURATION: cel.Type.DURATION,
    NULL: cel.Type.NULL,
    ANY: cel.Type.DYN,
}
_NAMES = {str(named): kind for kind, named in _SCALARS.items()}


def exact(kind: Type) -> cel.Type:
    """Return the type that the check uses."""
    match kind:
        case ListOf():
            return cel.Type.List(exact(kind.item))
        case MapOf():
            return cel.Type.Map(cel.Type.STRING, exact(kind.value))
        case Struct():
            return cel.Type(f"{PACKAGE}.{kind.name}")
        case Scalar():
            return _SCALARS[kind]


def read_type(named: str, structs: Mapping[str, Struct]) -> Type | None:
    """Read CEL's name of a type (`LIST<kintsugi.Pod>`); None for a type that we do not have, as an optional."""
    if named.startswith("LIST<"):
        item = read_type(named[5:-1], structs)
        return ListOf(item) if item else None
    if named.startswith("MAP<"):
        _, _, inner = named[4:-1].partition(", ")
        value = read_type(inner, structs)
        return MapOf(value) if value else None
    return _NAMES.get(named) or structs.get(named.removeprefix(f"{PACKAGE}."))
