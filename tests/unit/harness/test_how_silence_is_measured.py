"""The longest silence about a service, from looks at it, changes of the daemon and notices; P11 is judged by it at the real clock."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from tests.cluster.sequences import Look, silence

START = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    """Return a moment so many minutes after the start."""
    return START + timedelta(minutes=minutes)


def looks(*down: tuple[float, float], until: float = 30) -> Sequence[Look]:
    """Return a look each six seconds; between these minutes the service is down."""
    moments = [n / 10 for n in range(int(until * 10))]
    return [
        Look(at=at(each), ready=0 if any(a <= each < b for a, b in down) else 2, wanted=2, paused=False)
        for each in moments
    ]


@pytest.mark.parametrize(
    ("down", "writes", "notices", "minutes", "broken"),
    [
        ([(1, 9)], [], [], 7.9, True),
        ([(1, 7)], [], [], 5.9, False),
        ([(1, 20)], [], [4], 2.9, False),
        ([(1, 20)], [2, 10], [], 9.9, False),
        ([(1, 20)], [2], [], 17.9, True),
        ([(1, 5), (6, 12)], [], [], 10.9, True),
        ([(1, 5), (15, 20)], [], [2, 16], 0.9, False),
        ([(10, 20)], [1], [2], 9.9, True),
    ],
    ids=[
        "nothing",
        "up in time",
        "told in time",
        "changes, one after the other",
        "a change that is too old",
        "up for a moment",
        "two faults",
        "what was before does not count",
    ],
)
def test_a_service_is_silent_while_it_is_down_and_nothing_is_done_and_nobody_told(
    down: list[tuple[float, float]], writes: list[float], notices: list[float], minutes: float, broken: bool
) -> None:
    found = silence("web", looks(*down), [at(each) for each in writes], [at(each) for each in notices])
    assert found.longest.total_seconds() / 60 == pytest.approx(minutes, abs=0.11)
    assert found.broken is broken
