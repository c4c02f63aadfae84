"""How long a run waits for its diagnosis: seconds, never fewer of them, and more on a cluster that is said to be slow."""

from datetime import timedelta

import pytest

from kintsugi.app.figures import diagnosed_within
from kintsugi.settings import Settings


@pytest.mark.parametrize(("durations", "deadlines", "seconds"), [(1, 1, 10), (0.1, 1, 10), (0.1, 3, 30), (1, 0.1, 10)])
def test_a_run_waits_longer_for_its_diagnosis_where_the_cluster_is_slow(
    durations: float, deadlines: float, seconds: int
) -> None:
    settings = Settings(durations=durations, deadlines=deadlines)
    assert diagnosed_within(settings) == timedelta(seconds=seconds)
