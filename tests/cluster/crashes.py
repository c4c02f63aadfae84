"""Deaths of the daemon, at points that a printed seed draws."""

import os
import random
import signal
from collections.abc import Mapping

from tests.cluster.story import ClusterStory

SEED = "KINTSUGI_TEST_SEED"


def lot() -> tuple[int, random.Random]:
    """Return what draws, and its seed: the one that the environment names (`make chaos` draws one a round), or always the same."""
    seed = int(os.environ.get(SEED) or 1)
    return seed, random.Random(seed)


def is_dead(story: ClusterStory) -> bool:
    """Return whether the daemon has killed itself."""
    assert story.daemon.process is not None
    return story.daemon.process.poll() == -signal.SIGKILL


def alert_the_doomed(story: ClusterStory, status: str, labels: Mapping[str, str], *, within: float = 10) -> None:
    """Send an alert to a daemon that may be dead, or die of it: as Alertmanager would, the story sends it again later."""
    try:
        story.alert(status, labels)
    except AssertionError:
        # The kernel closes the connections of a dying process before it tells anybody of the end.
        story.within(within).sees("it was dead, or died of this", lambda: is_dead(story))
