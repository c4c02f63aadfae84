"""Deaths of the daemon, at points that a printed seed draws."""

import os
import random
import signal

from tests.cluster.story import Story

SEED = "KINTSUGI_TEST_SEED"
KILL_AT = "KINTSUGI_CHAOS__KILL_AT"
TRACE = "KINTSUGI_CHAOS__TRACE"


def lot() -> tuple[int, random.Random]:
    """Return what draws, and its seed: the one that the environment names, or a new one."""
    seed = int(os.environ.get(SEED) or random.SystemRandom().randrange(10**6))
    return seed, random.Random(seed)


def is_dead(story: Story) -> bool:
    """Tell whether the daemon has killed itself."""
    assert story.daemon.process is not None
    return story.daemon.process.poll() == -signal.SIGKILL
