"""The life of one container, and the arithmetic of a rollout."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubesim.cluster_time import ClusterTime
from kubesim.controllers.deployments import Bounds, Size, bounds_of, grown, shrunk
from kubesim.images import Image
from kubesim.kubelet.containers import Container, ContainerContext

READY_AFTER = timedelta(seconds=2)
LIVES = timedelta(seconds=50)


class SteppingClock:
    """A clock that goes on by a step with each reading, as on a machine that does something else in between."""

    def __init__(self, step: float) -> None:
        self._readings = (step * reading for reading in count())

    def __call__(self) -> float:
        """Read it."""
        return next(self._readings)


def lives(image: Image, step: float) -> Iterator[Container]:
    """Advance a container, again and again, for as long as it says that there is more to do."""
    context = ContainerContext(
        image=image, restart_policy="Never", crashing=False, unready=False, time=ClusterTime(clock=SteppingClock(step))
    )
    container = Container(name="main", since=0.0)
    while container.advance(context) is not None:
        yield container
    yield container


@pytest.mark.parametrize("step", [0.01, 0.03, 0.1, 0.3, 0.7, 1.0])
def test_a_container_is_ready_once_nothing_is_left_to_wait_for(step: float) -> None:
    """It may become ready between two readings of the clock."""
    *_, last = lives(Image(ready_after=READY_AFTER), step)
    assert last.ready


def test_the_readiness_of_a_container_is_waited_for_first_and_then_its_end() -> None:
    """Its kubelet sleeps until then, and no longer."""
    now = 1.0
    time = ClusterTime(clock=lambda: now)
    image = Image(ready_after=READY_AFTER, exits_after=LIVES)
    context = ContainerContext(image=image, restart_policy="Never", crashing=False, unready=False, time=time)
    container = Container(name="main", since=0.0)

    started = container.advance(context)
    now = 3.0
    assert (started, container.advance(context), container.ready) == (3.0, 51.0, True)


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
