"""What an expression saw can be written down as JSON and seen again."""

from datetime import timedelta

import orjson
import pytest

from kintsugi.expressions import from_json, plain, to_json
from kintsugi.objects.kept import Pod
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
    source = "now - vase.pieces[0].crackedAt == duration('0s') && phase_of(pod) == 'none'"
    assert SCOPE.expression(source).evaluate(returned) is True


def test_json_that_to_json_never_makes_is_refused() -> None:
    with pytest.raises(ValueError, match="@time does not hold"):
        from_json({"@time": 5})
