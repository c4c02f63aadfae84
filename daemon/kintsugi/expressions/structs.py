"""
Struct types from Python classes: a msgspec struct by its JSON names, a dataclass by its field names.

A kept Kubernetes object has `apiVersion`, `kind` and its computed fields, too, though it has no such attributes: its class
determines them.
"""

from collections.abc import Mapping
from functools import cache

from msgspec import inspect

from kintsugi.expressions.computed_fields import types_of
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
from kubeobjects.kept import KEPT

_SCALARS: dict[type[inspect.Type], Scalar] = {
    inspect.BoolType: BOOL,
    inspect.IntType: INT,
    inspect.FloatType: DOUBLE,
    inspect.StrType: STRING,
    inspect.UUIDType: STRING,
    inspect.BytesType: BYTES,
    inspect.DateTimeType: TIMESTAMP,
    inspect.TimeDeltaType: DURATION,
    inspect.NoneType: NULL,
    inspect.DecimalType: ANY,
}
_IDENTITIES: Mapping[type, Mapping[str, str]] = {
    kept: {"apiVersion": resource.api_version, "kind": resource.kind} for resource, kept in KEPT.items()
}
_CLASSES: Mapping[tuple[object, object], type] = {
    (resource.api_version, resource.kind): kept for resource, kept in KEPT.items()
}


def identity(kind: type) -> Mapping[str, str]:
    """Return `apiVersion` and `kind` of a kept object's class, nothing for others."""
    return _IDENTITIES.get(kind, {})


def class_of(value: Mapping[object, object]) -> type | None:
    """Return the class of a kept object in the form of a dict, by its `apiVersion` and `kind`; None for all others."""
    return _CLASSES.get((value.get("apiVersion"), value.get("kind")))


@cache
def struct_type(kind: type) -> Struct:
    """
    Return the type of a msgspec struct or dataclass: what an expression may read of it.

    Raises TypeError for any other class.
    """
    described = inspect.type_info(kind)
    if not isinstance(described, inspect.StructType | inspect.DataclassType):
        raise TypeError(f"{kind.__name__} is neither a struct nor a dataclass")
    fields = {field.encode_name: type_of(field.type) for field in described.fields}
    return Struct(kind.__name__, {**dict.fromkeys(identity(kind), STRING), **fields, **types_of(kind)})


def type_of(described: inspect.Type) -> Type:
    """Return our type for msgspec's description of one; a choice of several is ANY, an absence counts for nothing."""
    match described:
        case inspect.StructType(cls=kind) | inspect.DataclassType(cls=kind):
            return struct_type(kind)
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item) | inspect.SetType(item_type=item):
            return ListOf(type_of(item))
        case inspect.FrozenSetType(item_type=item):
            return ListOf(type_of(item))
        case inspect.DictType(value_type=value):
            return MapOf(type_of(value))
        case inspect.EnumType(cls=kind):
            return STRING if issubclass(kind, str) else ANY
        case inspect.UnionType(types=types):
            choices = {type_of(choice) for choice in types if not isinstance(choice, inspect.NoneType)}
            return choices.pop() if len(choices) == 1 else ANY
        case _:
            return _SCALARS.get(type(described), ANY)
