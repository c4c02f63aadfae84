"""The time of one life goes by the steady clock, and is trusted while the wall clock, it and the API server's `Date` agree."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.kube.steady_clock import SteadyClock

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
A_MINUTE, A_WHILE, AT_ONCE, TOLERATED = 60, 600.0, 0.0, 30


@dataclass
class Clocks:
    """What the clocks of a machine and of its API server say: how far each is off the true time, in seconds."""

    passed: float = 0.0
    wall: float = 0.0
    server: float = 0.0
    set_by: list[timedelta] = field(default_factory=list)
    life: SteadyClock = field(init=False)

    def __post_init__(self) -> None:
        self.life = SteadyClock(lambda: self._shown(self.wall), lambda: self.passed)
        self.life.on_trusted(self.set_by.append)

    def true(self) -> datetime:
        """Return the true time."""
        return self._shown(0)

    def answer(self, *, after: float = 0.05, stale: float = 0.0) -> None:
        """Let the API server answer a request that takes so long; its `Date` may be a stale one."""
        sent = self.passed
        self.passed += after
        shown = self._shown(self.server - stale).replace(microsecond=0)
        self.life.observe(format_datetime(shown, usegmt=True), sent, self.passed)

    def wait(self, seconds: float, *, answers: bool = True) -> None:
        """Let time pass; the daemon looks each second, and the API server answers now and then."""
        for second in range(round(seconds)):
            self.passed += 1
            self.life.check()
            if answers and second % 10 == 0:
                self.answer()

    def _shown(self, off: float) -> datetime:
        return NOW + timedelta(seconds=self.passed + off)


def agreed() -> Clocks:
    """Return clocks that agree, and have been compared."""
    clocks = Clocks()
    clocks.answer()
    assert clocks.life.trusted
    return clocks


@pytest.mark.parametrize("off", [31.5, 360, 3600, -31.5, -360, -3600, 86400 * 3650])
def test_a_wall_clock_that_is_wrong_at_the_start_is_not_trusted(off: float) -> None:
    """C9: one answer of the API server is enough, and the reason says by how much and which way."""
    clocks = Clocks(wall=off)
    clocks.answer()
    assert ("ahead of" if off > 0 else "behind") in clocks.life.problem
    assert not clocks.life.trusted


@pytest.mark.parametrize("off", [0, 1, 29, -1, -29])
def test_a_wall_clock_within_the_tolerance_is_trusted(off: float) -> None:
    clocks = Clocks(wall=off)
    clocks.answer()
    clocks.wait(A_WHILE)
    assert clocks.life.trusted


def test_before_the_first_answer_nothing_is_known_against_the_clock_and_nothing_for_it() -> None:
    clocks = Clocks(wall=3600)
    clocks.wait(A_WHILE, answers=False)
    assert (clocks.life.problem, clocks.life.trusted) == ("", False)


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99 Nov 2026 03:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_an_answer_without_a_date_that_can_be_read_is_an_answer_all_the_same(date: str) -> None:
    clocks = Clocks()
    clocks.life.observe(date, clocks.passed, clocks.passed)
    assert clocks.life.trusted


@pytest.mark.parametrize("off", [360, 3600, -360, -3600])
def test_a_jump_of_the_wall_clock_is_noticed_and_moves_no_time_of_this_life(off: float) -> None:
    """C9: also while the API server does not answer."""
    clocks = agreed()
    clocks.wall = off
    clocks.wait(1, answers=False)
    assert ("forward" if off > 0 else "back") in clocks.life.problem
    assert clocks.life.now() == clocks.true()


@pytest.mark.parametrize("off", [360, 3600, -360, -3600])
def test_time_is_trusted_again_when_all_clocks_have_agreed_for_a_minute(off: float) -> None:
    """C9: a clock that came back moves nothing, so that waits of this life go on where they were."""
    clocks = agreed()
    clocks.wall = off
    clocks.wait(A_WHILE)
    clocks.wall = 0
    clocks.wait(A_MINUTE - 5)
    assert clocks.life.problem
    clocks.wait(10)
    assert clocks.life.trusted
    assert (clocks.set_by, clocks.life.now()) == ([timedelta(0)], clocks.true())


def test_a_clock_that_is_set_right_after_a_wrong_start_is_counted_from_anew() -> None:
    clocks = Clocks(wall=3600)
    clocks.wait(A_MINUTE)
    assert clocks.life.now() - clocks.true() == timedelta(hours=1)
    clocks.wall = 0
    clocks.wait(A_MINUTE + 5)
    assert clocks.life.trusted
    assert (clocks.set_by, clocks.life.now()) == ([timedelta(hours=-1)], clocks.true())


def test_a_clock_that_is_set_again_within_the_minute_is_waited_for_anew() -> None:
    clocks = Clocks(wall=3600)
    clocks.answer()
    clocks.wall = 0
    clocks.wait(A_MINUTE - 5)
    clocks.wall = 40
    clocks.wait(2, answers=False)
    clocks.wall = 0
    clocks.wait(A_MINUTE - 5)
    assert clocks.life.problem
    clocks.wait(10)
    assert clocks.life.trusted


def test_a_machine_that_slept_counts_on_from_when_it_woke() -> None:
    """The steady clock stands still while a machine is suspended: the wall clock and the API server's are an hour further."""
    clocks = agreed()
    clocks.wall = clocks.server = 3600
    clocks.wait(1)
    assert clocks.life.problem
    clocks.wait(2 * A_MINUTE)
    assert clocks.life.trusted
    assert clocks.set_by == [timedelta(hours=1)]


def test_a_date_out_of_a_cache_is_outweighed_by_the_others() -> None:
    """A proxy's stale answer is too old, never too new."""
    clocks = agreed()
    for _ in range(4):
        clocks.answer(stale=3600)
        clocks.wait(1, answers=False)
    assert clocks.life.trusted


def test_an_answer_that_took_long_says_nothing_against_a_clock_that_is_right() -> None:
    """The server's clock was read at some moment of those: the comparison allows for all of them."""
    clocks = Clocks()
    clocks.answer(after=55)
    assert clocks.life.trusted


def test_an_api_server_whose_clock_is_set_is_not_believed_for_longer_than_a_few_answers() -> None:
    """The pods' times are the cluster's: with its clock wrong a young pod is old as well."""
    clocks = agreed()
    clocks.server = -3600
    clocks.wait(A_MINUTE)
    assert "ahead of the API server's" in clocks.life.problem
    clocks.server = 0
    clocks.wait(2 * A_MINUTE)
    assert clocks.life.trusted


moves = st.tuples(st.floats(-7200, 7200), st.floats(-7200, 7200), st.integers(1, 30), st.booleans())


@given(st.floats(-7200, 7200), st.lists(moves, max_size=8))
def test_time_never_goes_back_in_one_life_but_when_it_is_set_and_is_right_when_it_is_trusted(
    start: float, moved: list[tuple[float, float, int, bool]]
) -> None:
    """C9: whatever is set by how much and when; trusted time is the wall clock's, but for the tolerance."""
    clocks = Clocks(wall=start)
    for wall, server, seconds, answers in moved:
        clocks.wall, clocks.server = wall, server
        before, sets = clocks.life.now(), len(clocks.set_by)
        clocks.wait(seconds, answers=answers)
        if len(clocks.set_by) == sets:
            assert clocks.life.now() - before >= timedelta(seconds=seconds)
        if clocks.life.trusted:
            wall_shows = clocks.true() + timedelta(seconds=clocks.wall)
            assert abs(clocks.life.now() - wall_shows) <= timedelta(seconds=TOLERATED + 1)
