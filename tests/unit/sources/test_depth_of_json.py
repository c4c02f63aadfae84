"""The depth of JSON is told exactly, without recursion, and in time that grows with the length (A13)."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.json_limits import DEEPEST, is_too_deep


def nested(depth: int, leaf: Any = 1) -> Any:
    """Wrap a leaf in so many lists and objects, in turns."""
    for level in range(depth):
        leaf = [leaf] if level % 2 else {"a": leaf}
    return leaf


def depth_of(value: Any) -> int:
    """Return the depth the slow way."""
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


@pytest.mark.parametrize("filler", [[], [{}] * 200, ["]"] * 200, ['"]\\'] * 200, ["[[[{"] * 200])
@pytest.mark.parametrize("depth", [1, DEEPEST - 1, DEEPEST, DEEPEST + 1, 60])
def test_the_limit_is_exact_whatever_stands_beside(depth: int, filler: list[object]) -> None:
    text = json.dumps(nested(depth - 1, [filler, filler] if depth > 2 else 1)).encode()

    assert is_too_deep(text) == (depth_of(json.loads(text)) > DEEPEST)


_TEXT = st.text(alphabet='[]{}"\\n,: u0', max_size=12)
_JSON = st.recursive(
    _TEXT | st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=40,
)


@given(st.integers(0, 45), _JSON, st.lists(_JSON, max_size=30))
def test_the_depth_agrees_with_a_parser_on_all_json(depth: int, leaf: Any, siblings: list[Any]) -> None:
    value = [*siblings, nested(depth, leaf), *siblings]
    text = json.dumps(value).encode()

    assert is_too_deep(text) == (depth_of(value) > DEEPEST)


def test_closers_inside_of_strings_hide_nothing() -> None:
    text = b'["]",' * 5000 + b"1" + b"]" * 5000

    assert is_too_deep(text)


@pytest.mark.parametrize("unit", [b"[", b"{", b'"', b"\\", b'\\"', b'{"a":', b"[[]", b'""[', b"]"])
@pytest.mark.long
def test_a_large_hostile_body_is_judged_in_time_that_grows_with_its_length(unit: bytes) -> None:
    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        began = time.thread_time()
        is_too_deep(text)
        return time.thread_time() - began

    small, large = min(seconds(2**18) for _ in range(5)), min(seconds(2**21) for _ in range(3))
    assert large < 40 * small + 0.01
