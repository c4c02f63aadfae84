"""A rolling update never has too many pods and never too few, whatever becomes of them on the way."""

from hypothesis import given
from hypothesis import strategies as st

from kubesim.controllers.deployments import Bounds, Size, bounds_of, grown, shrunk


def test_the_defaults_round_surge_up_and_unavailable_down() -> None:
    rolling = {"maxSurge": "25%", "maxUnavailable": "25%"}
    spec = {"replicas": 3, "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling}}
    assert bounds_of(spec) == Bounds(replicas=3, surge=1, unavailable=0)


def test_a_rollout_that_may_neither_surge_nor_lack_may_lack_one() -> None:
    rolling = {"maxSurge": 0, "maxUnavailable": 0}
    spec = {"replicas": 2, "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling}}
    assert bounds_of(spec).least_available == 1


def test_unavailable_old_pods_go_first() -> None:
    bounds = Bounds(replicas=3, surge=1, unavailable=1)
    old = [Size(name="bad", wanted=2, available=0), Size(name="good", wanted=2, available=2)]
    new = Size(name="new", wanted=0, available=0)
    assert shrunk(new, old, bounds) == {"bad": 0, "good": 2}


@st.composite
def situations(draw: st.DrawFn) -> tuple[Size, list[Size], Bounds]:
    """Draw a moment of a rollout that is within its bounds."""
    replicas = draw(st.integers(1, 8))
    surge, lacking = draw(st.integers(0, 4)), draw(st.integers(0, replicas))
    bounds = Bounds(replicas=replicas, surge=surge, unavailable=lacking if surge or lacking else 1)
    sizes = []
    left = bounds.most
    for name in ("new", "old", "older"):
        wanted = draw(st.integers(0, min(left, replicas)))
        left -= wanted
        sizes.append(Size(name=name, wanted=wanted, available=draw(st.integers(0, wanted))))
    return sizes[0], sizes[1:], bounds


@given(situations())
def test_a_step_stays_within_the_bounds(situation: tuple[Size, list[Size], Bounds]) -> None:
    new, old, bounds = situation
    size, sizes = grown(new, old, bounds), shrunk(new, old, bounds)
    assert new.wanted <= size <= max(bounds.replicas, new.wanted)
    assert size + sum(each.wanted for each in old) <= max(bounds.most, new.wanted + sum(each.wanted for each in old))
    for each in old:
        assert 0 <= sizes[each.name] <= each.wanted
    available = new.available + sum(each.available for each in old)
    lost = sum(max(0, each.available - sizes[each.name]) for each in old)
    assert lost <= max(0, available - bounds.least_available)


@given(situations())
def test_when_everything_gets_available_the_rollout_ends(situation: tuple[Size, list[Size], Bounds]) -> None:
    new, old, bounds = situation
    for _ in range(40):
        new = Size(name=new.name, wanted=new.wanted, available=new.wanted)
        old = [Size(name=each.name, wanted=each.wanted, available=each.wanted) for each in old]
        size, sizes = grown(new, old, bounds), shrunk(new, old, bounds)
        new = Size(name=new.name, wanted=size, available=new.available)
        old = [Size(name=each.name, wanted=sizes[each.name], available=sizes[each.name]) for each in old]
    assert new.wanted == bounds.replicas
    assert all(each.wanted == 0 for each in old)
