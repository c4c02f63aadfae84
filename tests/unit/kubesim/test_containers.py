"""The life of one container: what is due is looked at, whenever the clock is read."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import count

import pytest

from kubesim.cluster_time import ClusterTime
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
