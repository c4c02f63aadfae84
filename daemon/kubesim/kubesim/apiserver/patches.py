"""
JSON Patch (RFC 6902), JSON Merge Patch (RFC 7386) and strategic merge patches as the API server applies them.

A strategic merge patch knows which lists are keyed, and by what. The keys are those of the Kubernetes API types
(`patchMergeKey` in their Go tags) for the lists that occur in the resources served here. A list that is not named here
is replaced, as in a merge patch.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import orjson

from kubesim.manifest import Json, copy
from kubesim.storage.status import bad_request, unprocessable

MERGE_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "conditions": ("type",),
    "containers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "hostAliases": ("ip",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "ownerReferences": ("uid",),
    "ports": ("containerPort", "port"),
    "topologySpreadConstraints": ("topologyKey",),
    "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
"""List field to the key of its items; of several, the first that the items have (container or Service ports)."""

SETS: Final = frozenset({"finalizers"})
"""Lists of scalars that merge as sets."""

DIRECTIVE: Final = "$patch"
DELETE_PREFIX: Final = "$deleteFromPrimitiveList/"
ORDER_PREFIX: Final = "$setElementOrder/"
RETAIN: Final = "$retainKeys"


def strategic_patch(target: Any, patch: Any) -> Any:
    """Apply a strategic merge patch to an object or a part of one."""
    if not isinstance(patch, dict):
        return patch
    merged: dict[str, Any] = dict(target) if isinstance(target, dict) else {}
    if patch.get(DIRECTIVE) == "replace":
        return {key: value for key, value in patch.items() if key != DIRECTIVE}
    if RETAIN in patch:
        merged = {key: value for key, value in merged.items() if key in patch[RETAIN]}
    for key, value in patch.items():
        _put(merged, key, value)
    return merged


def _put(merged: dict[str, Any], key: str, value: Any) -> None:
    if key.startswith(DELETE_PREFIX):
        field = key.removeprefix(DELETE_PREFIX)
        merged[field] = [item for item in merged.get(field, ()) if item not in value]
    elif key.startswith(ORDER_PREFIX) or key in (DIRECTIVE, RETAIN):
        return
    elif value is None or _is_deletion(value):
        merged.pop(key, None)
    elif isinstance(value, list):
        merged[key] = _merged_list(key, merged.get(key) or [], value)
    else:
        merged[key] = strategic_patch(merged.get(key), value)


def _is_deletion(value: Any) -> bool:
    return isinstance(value, dict) and value.get(DIRECTIVE) == "delete"


def _merged_list(field: str, current: Sequence[Any], patch: Sequence[Any]) -> list[Any]:
    if field in SETS:
        left = [item for item in current if item not in patch]
        return _ordered(left, list(patch), [*current], lambda item: item)
    key = _key_of(field, patch)
    if key is None or any(item.get(DIRECTIVE) == "replace" for item in patch if isinstance(item, dict)):
        return [item for item in patch if not (isinstance(item, dict) and set(item) == {DIRECTIVE})]
    before = {item.get(key): item for item in current}
    patched = [item[key] for item in patch]
    merged = [
        strategic_patch(before.get(item[key]), item) if item[key] in before else item
        for item in patch
        if item.get(DIRECTIVE) != "delete"
    ]
    left = [item for item in current if item.get(key) not in patched]
    return _ordered(left, merged, list(before), lambda item: item.get(key))


def _ordered(left: list[Any], patched: list[Any], before: list[Any], key: Callable[[Any], Any]) -> list[Any]:
    """Mix what was not patched with what was: in the old order, but new items come before what they are next to."""
    result = []
    while left and patched:
        one, other = key(left[0]), key(patched[0])
        first = one in before and other in before and before.index(one) < before.index(other)
        result.append((left if first else patched).pop(0))
    return [*result, *left, *patched]


def _key_of(field: str, items: Sequence[Any]) -> str | None:
    if not all(isinstance(item, dict) for item in items):
        return None
    named = [item for item in items if set(item) != {DIRECTIVE}]
    return next((key for key in MERGE_KEYS.get(field, ()) if all(key in item for item in named)), None)


def merge_patch(target: Any, patch: Any) -> Any:
    """Apply a merge patch: null removes, objects merge, all else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


_HTML: Final = re.compile("[&<>\u2028\u2029]")
"""The characters that Go's encoding/json escapes besides those of JSON itself."""


def read_operations(body: bytes) -> Any:
    """Decode a JSON patch; the value of a test stays as it was sent, because the real server compares its bytes."""
    operations: Any = orjson.loads(body)
    try:
        sent = msgspec.json.decode(body, type=list[dict[str, msgspec.Raw]])
    except msgspec.ValidationError:
        return operations  # no patch at all: applying it says so
    return [
        {**operation, "value": raw["value"]} if operation.get("op") == "test" and "value" in raw else operation
        for operation, raw in zip(operations, sent, strict=True)
    ]


def json_patch(target: Json, operations: Sequence[Json]) -> Json:
    """Apply the operations in order; raise ApiRefusal 422 when one cannot be, and then change nothing."""
    document: Any = copy(target)
    for operation in operations:
        document = _apply(document, operation)
    result: Json = document
    return result


def _apply(document: Any, operation: Json) -> Any:
    try:
        kind, path = operation["op"], _tokens(operation["path"])
        apply = _OPERATIONS[kind]
    except (KeyError, TypeError, ValueError) as problem:
        raise bad_request(f"error decoding patch: {problem}") from problem
    try:
        return apply(document, path, operation)
    except (KeyError, IndexError, TypeError, ValueError) as problem:
        raise unprocessable() from problem


def _tokens(pointer: str) -> tuple[str, ...]:
    if pointer == "":
        return ()
    if not pointer.startswith("/"):
        raise ValueError(pointer)
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/"))


def _resolve(document: Any, path: Sequence[str]) -> Any:
    for token in path:
        document = document[_at(document, token)]
    return document


def _at(holder: Any, token: str) -> int | str:
    return int(token) if isinstance(holder, list) else token


def _add_value(document: Any, path: Sequence[str], value: Any) -> Any:
    if not path:
        return value
    parent, last = _resolve(document, path[:-1]), path[-1]
    if isinstance(parent, list):
        index = len(parent) if last == "-" else int(last)
        if not 0 <= index <= len(parent):
            raise IndexError(index)
        parent.insert(index, value)
    else:
        parent[last] = value
    return document


def _remove(document: Any, path: Sequence[str], _: Json) -> Any:
    parent = _resolve(document, path[:-1])
    del parent[_at(parent, path[-1])]
    return document


def _add(document: Any, path: Sequence[str], operation: Json) -> Any:
    return _add_value(document, path, copy(operation["value"]))


def _replace(document: Any, path: Sequence[str], operation: Json) -> Any:
    if not path:
        return copy(operation["value"])
    parent = _resolve(document, path[:-1])
    # A field that is absent is added, as the real server's library does.
    parent[_at(parent, path[-1])] = copy(operation["value"])
    return document


def _move(document: Any, path: Sequence[str], operation: Json) -> Any:
    source = _tokens(operation["from"])
    value = _resolve(document, source)
    return _add_value(_remove(document, source, operation), path, value)


def _copy(document: Any, path: Sequence[str], operation: Json) -> Any:
    return _add_value(document, path, copy(_resolve(document, _tokens(operation["from"]))))


def _test(document: Any, path: Sequence[str], operation: Json) -> Any:
    found, wanted = _found(document, path), operation.get("value")
    equal = _spelled_alike(found, wanted) if isinstance(wanted, msgspec.Raw) else found == wanted
    if not equal:
        raise unprocessable()
    return document


def _spelled_alike(found: Any, sent: msgspec.Raw) -> bool:
    """Compare as the real server's library does: objects and lists by their parts, all else by its text in JSON."""
    text = bytes(sent).strip()
    if isinstance(found, dict):
        if not text.startswith(b"{"):
            return False
        fields = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        return fields.keys() == found.keys() and all(_spelled_alike(found[key], fields[key]) for key in found)
    if isinstance(found, list):
        if not text.startswith(b"["):
            return False
        items = msgspec.json.decode(text, type=list[msgspec.Raw])
        return len(items) == len(found) and all(map(_spelled_alike, found, items))
    return text == _as_go_writes(found)


def _as_go_writes(scalar: Any) -> bytes:
    written = json.dumps(scalar, ensure_ascii=False)
    return _HTML.sub(lambda special: f"\\u{ord(special[0]):04x}", written).encode()


def _found(document: Any, path: Sequence[str]) -> Any:
    try:
        return _resolve(document, path)
    except (KeyError, IndexError, TypeError):
        return None


_OPERATIONS: dict[str, Callable[[Any, Sequence[str], Json], Any]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}
