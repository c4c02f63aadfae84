"""
The difference of two states of an object, as a JSON patch that tests what it replaces.

Each field is tested to be as it was judged before it is written: a change that was made in between fails the whole
patch (409), and changes of other fields do not matter. Swapping the two states gives the undo, which for the same
reason never reverts a later change of a person.
"""

from collections.abc import Iterator, Mapping, Sequence

import orjson

from kintsugi.model.command import ObjectName, Patch
from kubeobjects import unstructured
from kubeobjects.unstructured import Unstructured

Operation = Mapping[str, object]

# Fields that the server writes, not its clients.
_BOOK_KEEPING = (
    ("metadata", "managedFields"),
    ("metadata", "resourceVersion"),
    ("metadata", "generation"),
    ("metadata", "creationTimestamp"),
    ("status",),
)


def difference(before: Unstructured, after: Unstructured) -> tuple[Operation, ...]:
    """
    Return the operations that turn one state into the other: all tests first.

    Lists are replaced whole, except those whose items have the same names as before: of these only the differing fields of an
    item are replaced, and its name is tested, too. So the other fields, secrets among them, are neither written nor kept.
    """
    changes = list(_changes(_wanted(before), _wanted(after), ""))
    tests: list[Operation] = [{"op": "test", "path": path, "value": old} for path, old, _ in changes]
    return (*tests, *(_write(path, old, new) for path, old, new in changes if old != new))


def test(path: str, value: object) -> Operation:
    """Return the operation that fails the patch unless a field has this value; None means that it is absent."""
    return {"op": "test", "path": path, "value": value}


def pointer(*keys: str) -> str:
    """Return a JSON pointer (RFC 6901)."""
    return "".join(f"/{key.replace('~', '~0').replace('/', '~1')}" for key in keys)


def restoring_patch(asked: ObjectName, namespace: str, before: Unstructured, after: Unstructured) -> Patch:
    """
    Return the patch that restores former values; it tests that ours are still in place (E17).

    Annotations are compared one by one, because our own mark is among them, too; so are labels, as long as there are any: the API
    keeps no empty map.
    """
    kinds = ["annotations", *(["labels"] if unstructured.labels(after) else [])]
    operations = difference(_apart(after, kinds), _apart(before, kinds))
    return Patch(object=asked, namespace=namespace, patch=orjson.dumps(operations).decode(), kind="json")


def _wanted(obj: Unstructured) -> Unstructured:
    for path in _BOOK_KEEPING:
        obj = unstructured.without_field(obj, *path)
    return obj


def _changes(before: Unstructured, after: Unstructured, path: str) -> Iterator[tuple[str, object, object]]:
    """Yield path, old and new value of each differing field; None means that it is absent, like null in a test."""
    for key in [*before, *(key for key in after if key not in before)]:
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        here = path + pointer(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _changes(old, new, here)
        elif pairs := _of_same_names(old, new):
            for index, (one, other) in enumerate(pairs):
                if one != other:
                    yield f"{here}/{index}/name", one["name"], one["name"]
                    yield from _changes(one, other, f"{here}/{index}")
        else:
            yield here, old, new


def _of_same_names(old: object, new: object) -> list[tuple[Unstructured, Unstructured]]:
    """Pair the items of two lists of the same names in the same order (containers, variables); nothing for other lists."""
    if not isinstance(old, list) or not isinstance(new, list) or len(old) != len(new):
        return []
    pairs = list(zip(old, new, strict=True))
    return pairs if all(_has_same_name(one, other) for one, other in pairs) else []


def _has_same_name(one: object, other: object) -> bool:
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return False
    return isinstance(one.get("name"), str) and one["name"] == other.get("name")


def _write(path: str, old: object, new: object) -> Operation:
    if new is None:
        return {"op": "remove", "path": path}
    return {"op": "add" if old is None else "replace", "path": path, "value": new}


def _apart(obj: Unstructured, kinds: Sequence[str]) -> Unstructured:
    """Add the maps that are compared key by key where they are absent, and remove an empty map of labels."""
    if not unstructured.labels(obj):
        obj = unstructured.without_field(obj, "metadata", "labels")
    for kind in kinds:
        obj = unstructured.with_field(obj, "metadata", kind, value=unstructured.nested_map(obj, "metadata", kind))
    return obj
