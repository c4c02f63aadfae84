"""
The CEL environment of a scope, and our types as CEL's.

CEL checks the fields of a protobuf message exactly and those of a map not at all, so each struct becomes a message of a
descriptor pool, for the check alone. A checked expression runs on plain dicts, in one environment for all: its tree says
what each name means. An environment takes 200 KiB and a millisecond.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from cel_expr_python import cel
from cel_expr_python.ext import ext_bindings, ext_math, ext_optional, ext_strings
from google.protobuf import duration_pb2, struct_pb2, timestamp_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from kintsugi.expressions.computed_fields import ComputedField
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
    structs_in,
)

PACKAGE = "kintsugi"

_WELL_KNOWN = (timestamp_pb2.DESCRIPTOR, duration_pb2.DESCRIPTOR, struct_pb2.DESCRIPTOR)
_PRIMITIVES = {
    BOOL: FieldDescriptorProto.TYPE_BOOL,
    INT: FieldDescriptorProto.TYPE_INT64,
    DOUBLE: FieldDescriptorProto.TYPE_DOUBLE,
    STRING: FieldDescriptorProto.TYPE_STRING,
    BYTES: FieldDescriptorProto.TYPE_BYTES,
}
_MESSAGES = {
    TIMESTAMP: ".google.protobuf.Timestamp",
    DURATION: ".google.protobuf.Duration",
    NULL: ".google.protobuf.Value",
    ANY: ".google.protobuf.Value",
}

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

_EXTENSIONS = (ext_optional.ExtOptional(), ext_bindings.ExtBindings(), ext_strings.ExtStrings(), ext_math.ExtMath())
_WORD = re.compile(r"[A-Za-z_]\w*")
_SHARED = cel.NewEnv(extensions=_EXTENSIONS)


@lru_cache(maxsize=64)
def message_pool(structs: frozenset[Struct]) -> DescriptorPool:
    """
    Return a pool with a message for each struct, named `kintsugi.NAME`.

    Raises ValueError when two different structs have one name.
    """
    named: dict[str, Struct] = {}
    for struct in sorted(structs, key=str):
        if named.setdefault(struct.name, struct) != struct:
            raise ValueError(f"two different struct types are named {struct.name}")
    file = FileDescriptorProto(name="kintsugi.proto", package=PACKAGE, syntax="proto3")
    file.dependency.extend(known.name for known in _WELL_KNOWN)
    for struct in named.values():
        _describe(struct, file.message_type.add(name=struct.name))
    pool = DescriptorPool()
    for known in _WELL_KNOWN:
        pool.AddSerializedFile(known.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return pool


def _describe(struct: Struct, message: DescriptorProto) -> None:
    for number, (name, kind) in enumerate(struct.fields.items(), start=1):
        field = message.field.add(name=name, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
        match kind:
            case ListOf():
                field.label = FieldDescriptorProto.LABEL_REPEATED
                _set_type(field, kind.item)
            case MapOf():
                entry = message.nested_type.add(name=f"{name[0].upper()}{name[1:]}Entry")
                _describe(Struct("", {"key": STRING, "value": kind.value}), entry)
                entry.options.map_entry = True
                field.label = FieldDescriptorProto.LABEL_REPEATED
                field.type = FieldDescriptorProto.TYPE_MESSAGE
                field.type_name = f".{PACKAGE}.{struct.name}.{entry.name}"
            case _:
                _set_type(field, kind)


def _set_type(field: FieldDescriptorProto, kind: Type) -> None:
    """Set the type of one value; a list or map inside a list or map is checked no further."""
    match kind:
        case Scalar() if kind in _PRIMITIVES:
            field.type = _PRIMITIVES[kind]
            return
        case Scalar():
            field.type_name = _MESSAGES[kind]
        case ListOf():
            field.type_name = ".google.protobuf.ListValue"
        case MapOf():
            field.type_name = ".google.protobuf.Struct"
        case Struct():
            field.type_name = f".{PACKAGE}.{kind.name}"
    field.type = FieldDescriptorProto.TYPE_MESSAGE


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


@dataclass(frozen=True, slots=True, eq=False)
class Environment:
    """
    The environment in which expressions with the same names are compiled. `container` is a prefix that names may leave
    out.
    """

    names: dict[str, Type]
    structs: dict[str, Struct]
    container: str
    check: cel.Env


@lru_cache(maxsize=16)
def environment(names: frozenset[tuple[str, Type]], container: str = "") -> Environment:
    """Build the environment of these names, once for expressions that follow each other."""
    declared = dict(names)
    structs = frozenset[Struct]().union(*map(structs_in, declared.values()))
    return Environment(
        names=declared,
        structs={struct.name: struct for struct in structs},
        container=container,
        check=cel.NewEnv(
            message_pool(structs),
            variables={name: exact(kind) for name, kind in declared.items()},
            extensions=_EXTENSIONS,
            container=container,
        ),
    )


def meant_by(
    source: str, names: Mapping[str, Type], fields: Iterable[ComputedField], container: str = ""
) -> Mapping[str, Type]:
    """
    Return the names that an expression may mean: each word of them is in it, or one of its computed fields needs them.

    CEL pays for each name that is declared: a runbook that recovers hundreds of services has hundreds of places, and each
    place sees the names of all services, and of all steps before it.
    """
    words = {*container.split("."), *_WORD.findall(source)}
    needed = {name for each in fields if each.name in words for name in each.uses}
    return {name: kind for name, kind in names.items() if name in needed or words.issuperset(name.split("."))}


def stems_in(source: str, names: Iterable[str]) -> frozenset[str]:
    """Return the words of an expression with which a name begins."""
    words = set(_WORD.findall(source))
    return frozenset(stem for name in names if (stem := name.partition(".")[0]) in words)


def parse(source: str) -> bytes:
    """Return the serialised tree of an expression as written, with nothing resolved. Raises RuntimeError, as CEL does."""
    return bytes(_SHARED.compile(source, disable_check=True).serialize())


def runnable(checked: bytes) -> cel.Expression:
    """Return the program of a serialised expression that was checked in an environment of its own."""
    return _SHARED.deserialize(checked)
