"""How long a notice waits between two attempts."""

from datetime import timedelta

import pytest

from kintsugi.notices.notifier import pause_before

LONGEST = timedelta(minutes=15)


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 5), (2, 10), (3, 20), (8, 640), (9, 900), (500, 900)])
def test_the_pause_doubles_up_to_a_limit(attempt: int, seconds: int) -> None:
    assert pause_before(attempt, LONGEST) == timedelta(seconds=seconds)
