"""
What the fuzzers share: how many examples they try, and how real answers are made wrong.

`FUZZ_EXAMPLES` says how many each of them tries, the same in every run: `make test` tries fifty, `make test-all` 200. `make chaos`
tries ten thousand others, with a seed that it prints.
"""

import json
import os
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "200"))
FUZZ = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    # An example that fails is shown as it is: those over sockets would take minutes to be made smaller.
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)

# Written out after the rest: no library writes them.
_DEEP, _DEEPEST, _INFINITE, _HUGE = "@deep@", "@deepest@", "@infinite@", "@huge@"
_WRITTEN = {
    f'"{_DEEP}"': "[" * 300 + "]" * 300,
    f'"{_DEEPEST}"': '{"a":' * 20_000 + "1" + "}" * 20_000,
    f'"{_INFINITE}"': "1e999",
    f'"{_HUGE}"': "9" * 5000,
}
HOSTILE: Sequence[object] = (
    *(None, True, 0, -1, 1.5, 2**31 - 1, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**400, _HUGE, 2_000_000),
    *("", "v7", "9" * 5000, "\ud800", "\0", "x" * 70_000, "²", "-1", "--5", "1e9", "../..", "None", "1E+999Ki"),
    *("2026-01-01T00:00:00", "2026-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
    *([], {}, [None], [[]], [{}], {"": None}, _DEEP, _DEEPEST, _INFINITE),
)
"""Values that stand where others are expected: of wrong types, out of every range, deep, and written by no sane server."""


_MANY = 4_000_000
"""So many bytes a list is repeated to: a list of lists that were both repeated 500 times would fill any machine."""
_WAYS = ("value", "value", "value", "value", "gone", "many", "twin", "renamed")
_NAMES = ("", "x", "\0", "metadata", "name", "ready")
# Plain numbers, so that a draw costs little and shrinks well: where, how, and by what.
_SPOILS = st.lists(
    st.tuples(st.integers(0, 9999), st.integers(0, len(_WAYS) - 1), st.integers(0, len(HOSTILE) - 1)),
    min_size=1,
    max_size=3,
)
_BYTE_WAYS = ("flip", "cut", "double", "many", "put", "end", "number")
_NUMBERS = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1", b"\0\0\0\4", b"9999")
_BYTE_SPOILS = st.lists(
    st.tuples(st.integers(0, 99_999), st.integers(0, len(_BYTE_WAYS) - 1), st.binary(min_size=1, max_size=16)),
    min_size=1,
    max_size=4,
)


def places(document: object) -> Iterator[tuple[Any, str | int]]:
    """Yield each place in a document where a value stands: what holds it, and its key."""
    items: Iterator[tuple[str | int, object]] = iter(())
    if isinstance(document, dict):
        items = iter(document.items())
    elif isinstance(document, list):
        items = iter(enumerate(document))
    for key, item in items:
        yield document, key
        yield from places(item)


def wrong(document: object) -> st.SearchStrategy[object]:
    """Return documents in which one to three things are not as they were."""
    text = json.dumps(document)

    def spoilt(spoils: Sequence[tuple[int, int, int]]) -> object:
        changed = json.loads(text)
        for place, way, by in spoils:
            found = list(places(changed))
            if found:
                holder, key = found[place % len(found)]
                _spoil(holder, key, _WAYS[way], by)
        return changed

    return _SPOILS.map(spoilt)


def _spoil(holder: Any, key: str | int, way: str, by: int) -> None:
    item = holder[key]
    if way == "gone":
        del holder[key]
    elif way == "many" and isinstance(item, list):
        holder[key] = item * min(500, max(2, _MANY // len(written(item))))
    elif way == "twin" and isinstance(item, list):
        holder[key] = item * 2
    elif way == "renamed" and isinstance(holder, dict):
        holder[_NAMES[by % len(_NAMES)]] = holder.pop(key)
    else:
        holder[key] = deepcopy(HOSTILE[by])


def written(document: object) -> bytes:
    """Write a document as JSON, with what no library would write."""
    text = json.dumps(document, separators=(",", ":"))
    for mark, value in _WRITTEN.items():
        text = text.replace(mark, value)
    return text.encode("utf-8", "surrogatepass")


def wrong_json(document: object) -> st.SearchStrategy[bytes]:
    """Return what a broken or hostile server might send in place of a document: mostly JSON, sometimes torn."""
    return st.one_of(wrong(document).map(written), wrong_bytes(written(document)))


def wrong_bytes(given: bytes) -> st.SearchStrategy[bytes]:
    """Return bytes in which some were changed, cut out, doubled or put in, or whose end is missing."""

    def spoilt(spoils: Sequence[tuple[int, int, bytes]]) -> bytes:
        data = bytearray(given)
        for place, way, some in spoils:
            _spoil_bytes(data, place % (len(data) + 1), _BYTE_WAYS[way], some)
        return bytes(data)

    return _BYTE_SPOILS.map(spoilt)


def _spoil_bytes(data: bytearray, at: int, way: str, some: bytes) -> None:
    match way:
        case "flip":
            data[at : at + 1] = some[:1]
        case "cut":
            del data[at : at + len(some)]
        case "double":
            data[at:at] = data[at : at + len(some)]
        case "many":
            data[at:at] = data[at : at + len(some)] * 1000
        case "put":
            data[at:at] = some
        case "end":
            del data[at:]
        case _:
            data[at : at + 4] = _NUMBERS[some[0] % len(_NUMBERS)]
