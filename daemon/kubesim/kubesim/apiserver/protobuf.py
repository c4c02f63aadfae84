"""
The access reviews of kubectl, which it sends as protobuf: just those, read field by field.

Field numbers are those of `k8s.io/api/authorization/v1/generated.proto`.
"""

from typing import Final

from kubesim.manifest import Json
from kubesim.storage.status import bad_request

MAGIC: Final = b"k8s\x00"
ATTRIBUTES: Final = {1: "namespace", 2: "verb", 3: "group", 4: "version", 5: "resource", 6: "subresource", 7: "name"}
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def decode_review(body: bytes) -> Json:
    """Read a review into the JSON that it could have been; raise ApiRefusal 400 when it cannot be read."""
    try:
        envelope = _fields(body.removeprefix(MAGIC))
        kind = _fields(envelope[1])[2].decode()
        spec = _fields(_fields(envelope[2]).get(2, b""))
        decoded: Json = {"kind": kind, "spec": _spec(kind, spec)}
    except (KeyError, IndexError, ValueError) as problem:
        raise bad_request(f"the object provided is unrecognized: {problem!r}") from problem
    return decoded


def _spec(kind: str, spec: dict[int, bytes]) -> Json:
    if kind == "SelfSubjectRulesReview":
        return {"namespace": spec.get(1, b"").decode()}
    attributes = _fields(spec.get(1, b""))
    named = {ATTRIBUTES[number]: value.decode() for number, value in attributes.items() if number in ATTRIBUTES}
    read: Json = {"resourceAttributes": {name: value for name, value in named.items() if value}}
    return {**read, "user": spec[3].decode()} if kind == "SubjectAccessReview" and 3 in spec else read


def _fields(data: bytes) -> dict[int, bytes]:
    """Read the length-delimited fields of a message; of a repeated one, the last."""
    fields: dict[int, bytes] = {}
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        wire = tag & 7
        if wire == BYTES:
            size, place = _varint(data, place)
            fields[tag >> 3] = data[place : place + size]
            place += size
        elif wire == VARINT:
            _, place = _varint(data, place)
        elif wire in (FIXED64, FIXED32):
            place += 8 if wire == FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire}")
    return fields


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if not byte & 0x80:
            return value, place
