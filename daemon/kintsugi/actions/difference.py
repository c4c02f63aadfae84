"""
The difference of two states of an object, as a JSON patch that tests what it replaces.

Every field is tested to be as it was judged, and only then written: a change that somebody else made in between fails
the whole patch (409), and changes of other fields do not matter. Swapping the two states gives the undo, which for the
same reason never takes back what a person changed since.
"""

from collections.abc import Iterator, Mapping

from kintsugi.actions.live import Live, without

Operation = Mapping[str, object]

# What the server writes about an object, not what anybody asks for.
_BOOK_KEEPING = (
    ("metadata", "managedFields"),
    ("metadata", "resourceVersion"),
    ("metadata", "generation"),
    ("metadata", "creationTimestamp"),
    ("status",),
)


def difference(before: Live, after: Live) -> tuple[Operation, ...]:
    """
    List the operations that lead from one state to the other: all tests first.

    Lists are replaced whole, but for those whose items have the same names as before: of these only what differs within an
    item, where its name is tested, too. So what stands beside it, secrets among it, is neither written nor kept.
    """
    changes = list(_changes(_wanted(before), _wanted(after), ""))
    tests: list[Operation] = [{"op": "test", "path": path, "value": old} for path, old, _ in changes]
    return (*tests, *(_write(path, old, new) for path, old, new in changes if old != new))


def test(path: str, value: object) -> Operation:
    """Make the operation that fails the patch unless a field has this value; None means that it is absent."""
    return {"op": "test", "path": path, "value": value}


def pointer(*keys: str) -> str:
    """Write a JSON pointer (RFC 6901)."""
    return "".join(f"/{key.replace('~', '~0').replace('/', '~1')}" for key in keys)


def _wanted(obj: Live) -> Live:
    for path in _BOOK_KEEPING:
        obj = without(obj, *path)
    return obj


def _changes(before: Live, after: Live, path: str) -> Iterator[tuple[str, object, object]]:
    """Yield path, old and new value of what differs; None stands for absence, as null does in a test."""
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


def _of_same_names(old: object, new: object) -> list[tuple[Live, Live]]:
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
