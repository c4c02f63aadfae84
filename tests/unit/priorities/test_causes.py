"""Of services in trouble, the causes are those that depend on none of the others, directly or not."""

import pytest

from kintsugi.decisions.priorities import causes, upstreams_of
from tests.bench.graphs import SHAPES, graph
from tests.unit.factories import services

EDGES = (("db", ()), ("api", ("db",)), ("web", ("api",)), ("other", ()))


@pytest.mark.parametrize(
    ("ill", "expected"),
    [
        ({"db", "api", "web"}, {"db"}),
        ({"db", "web"}, {"db"}),
        ({"web", "other"}, {"web", "other"}),
        (set(), set()),
    ],
)
def test_the_causes_are_those_with_no_ill_upstream(ill: set[str], expected: set[str]) -> None:
    assert causes(ill, services(*EDGES)) == expected


@pytest.mark.parametrize("shape", SHAPES)
def test_causes_are_the_same_as_by_looking_at_all_upstreams_of_each(shape: str) -> None:
    needs = graph(shape, 30, seed=3).needs
    known = services(*((name, tuple(upstreams)) for name, upstreams in needs.items()))
    ill = {name for place, name in enumerate(needs) if place % 3}
    assert causes(ill, known) == {name for name in ill if not ill & set(upstreams_of(name, known))}
