"""What an expression saw can be written down as JSON and seen again."""

from datetime import timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.expressions import from_json, plain, to_json
from kubeobjects.kept import Pod
from tests.unit.expressions.examples import NOW, SCOPE, Piece, Vase


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        7,
        1.5,
        "text",
        "",
        [1, [2, {"a": None}]],
        {"@time": NOW, "now": NOW},
        NOW,
        timedelta(hours=-3, microseconds=5),
        {"when": [NOW, timedelta(days=2)]},
        {"@time": "not ours"},
        {"@map": {"@seconds": [{"@time": 5}]}},
    ],
)
def test_a_value_comes_back_as_it_was(value: object) -> None:
    assert from_json(orjson.loads(orjson.dumps(to_json(value)))) == value


def test_an_object_that_came_back_is_read_as_before() -> None:
    values = {"vase": Vase(name="ming", pieces=(Piece(cracked_at=NOW),)), "now": NOW, "pod": Pod()}
    returned = from_json(orjson.loads(orjson.dumps(to_json(values))))
    assert isinstance(returned, dict)
    assert plain(returned) == plain(values)
    source = "now - vase.pieces[0].crackedAt == duration('0s') && pod.displayStatus == ''"
    assert SCOPE.expression(source).evaluate(returned) is True


@pytest.mark.parametrize(
    "value",
    [
        {"@time": 5},
        {"@time": "soon"},
        {"@seconds": "1"},
        {"@seconds": True},
        {"@seconds": 1e300},
        {"@map": [{"@time": None}]},
        {"a": [{"@seconds": {"@time": "never"}}]},
    ],
)
def test_json_that_to_json_never_makes_stays_as_it_is(value: object) -> None:
    """C1: what an earlier version or a hand has written must not keep a run from being taken up again."""
    assert from_json(value) == value


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["@time", "@seconds", "@map"]) | st.text(), inner),
    max_leaves=20,
)


@given(anything)
def test_any_json_comes_back_as_it_was(value: object) -> None:
    """C1: a web service's answer is anybody's."""
    assert from_json(to_json(value)) == value
    from_json(value)
