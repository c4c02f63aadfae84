"""
JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7386) as the API server applies them.

Strategic merge patches are in `strategic`.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import orjson

from kubesim.manifest import Json, copy
from kubesim.storage.status import bad_request, unprocessable


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
        document = document[int(token)] if isinstance(document, list) else document[token]
    return document


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
    parent, last = _resolve(document, path[:-1]), path[-1]
    if isinstance(parent, list):
        del parent[int(last)]
    else:
        del parent[last]
    return document


def _add(document: Any, path: Sequence[str], operation: Json) -> Any:
    return _add_value(document, path, copy(operation["value"]))


def _replace(document: Any, path: Sequence[str], operation: Json) -> Any:
    if not path:
        return copy(operation["value"])
    parent, last = _resolve(document, path[:-1]), path[-1]
    if isinstance(parent, list):
        parent[int(last)] = copy(operation["value"])
    else:  # a field that is absent is added, as the real server's library does
        parent[last] = copy(operation["value"])
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
