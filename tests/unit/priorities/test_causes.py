"""What is explained by an upstream, and in which order upstreams are listed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.decisions.priorities import causes, upstreams_of
from tests.bench.graphs import SHAPES, graph
from tests.unit.factories import services, web

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


CHAIN = (("web", ("api",)), ("api", ("database",)), ("database", ()))
DIAMOND = (("web", ("api", "cache")), ("api", ("database",)), ("cache", ("database",)), ("database", ()))


@pytest.mark.parametrize(
    ("edges", "name", "upstreams"),
    [
        (CHAIN, "web", ("database", "api")),
        (CHAIN, "api", ("database",)),
        (CHAIN, "database", ()),
        (DIAMOND, "api", ("database",)),
        (DIAMOND, "database", ()),
    ],
)
def test_a_chain_is_listed_from_its_end(
    edges: tuple[tuple[str, tuple[str, ...]], ...], name: str, upstreams: tuple[str, ...]
) -> None:
    assert upstreams_of(name, services(*edges)) == upstreams


def test_in_a_diamond_the_common_cause_comes_first_and_once() -> None:
    found = upstreams_of("web", services(*DIAMOND))
    assert found[0] == "database"
    assert sorted(found) == ["api", "cache", "database"]


graphs = st.integers(min_value=1, max_value=7).flatmap(
    lambda size: st.tuples(
        *(st.frozensets(st.integers(0, place - 1)) if place else st.just(frozenset()) for place in range(size))
    )
)


@given(graphs)
def test_every_upstream_stands_behind_its_own(graph: tuple[frozenset[int], ...]) -> None:
    known = {
        f"s{at}": replace(web(), name=f"s{at}", depends_on=tuple(f"s{other}" for other in sorted(needs)))
        for at, needs in enumerate(graph)
    }
    for name, service in known.items():
        found = upstreams_of(name, known)
        assert len(found) == len(set(found))
        assert set(service.depends_on) <= set(found)
        assert name not in found
        for place, each in enumerate(found):
            assert set(known[each].depends_on) <= set(found[:place])
