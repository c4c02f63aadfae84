"""
Struct types as protobuf messages.

CEL checks the fields of a protobuf message exactly and those of a map not at all. So each struct becomes a message of
a descriptor pool, for the check alone: no message of these types is ever made.
"""

from functools import lru_cache

from google.protobuf import duration_pb2, struct_pb2, timestamp_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

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
