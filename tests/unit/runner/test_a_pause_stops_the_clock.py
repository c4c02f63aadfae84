"""While a person's pause holds, the deadline's clock stands still, as it does while a question waits (E29)."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from kintsugi.drivers.deadlines import covered
from kintsugi.model.records import IncidentState, PauseScope
from tests.unit.factories import moment, pause
from tests.unit.runner.bench import RunBench, clock

pytestmark = pytest.mark.looptime

ONE = "- {id: one, run: kubectl cordon one}"
TWO = (
    ONE
    + "\n- {id: wait, expect: service.ready > 5, within: 3m, onFailure: continue}\n- {id: two, run: kubectl cordon two}"
)


def failing(steps: str = ONE) -> RunBench:
    """Make a run with a deadline of ten minutes that does not help."""
    return RunBench(steps, rollback="after: 10m", heals="kubectl uncordon one", heals_after=timedelta(0))


def paused(bench: RunBench, seconds: float) -> None:
    """Let Ada pause everything at a moment."""
    bench.at(seconds, lambda: bench.ledger.pauses.append(pause(since=moment(seconds=seconds))))


async def test_a_change_that_was_held_up_has_the_time_that_was_left() -> None:
    bench = failing(TWO)
    paused(bench, 60)
    bench.at(3660, bench.ledger.lift)
    times = bench.note_times()
    ended = await bench.drive()
    assert times["kubectl cordon two"] == pytest.approx(3660, abs=2)
    assert times["kubectl uncordon one"] == pytest.approx(600 + 3600, abs=3)
    assert ended.state is IncidentState.ROLLED_BACK
    assert bench.deadline == pytest.approx(moment(seconds=4200), abs=timedelta(seconds=1))


@pytest.mark.parametrize("began", [0, 300, 590])
async def test_no_rollback_begins_by_itself_while_a_pause_holds(began: float) -> None:
    """The steps are done, and a person has stopped everything: nothing is taken back meanwhile."""
    bench = failing()
    bench.at(began + 1, lambda: paused(bench, began + 2))
    bench.at(9000, bench.ledger.lift)
    times = bench.note_times()
    ended = await bench.drive()
    left = 600 - (began + 2)
    assert times["kubectl uncordon one"] == pytest.approx(9000 + left, abs=3)
    assert ended.state is IncidentState.ROLLED_BACK


async def test_the_reason_of_a_postponed_deadline_is_logged_once() -> None:
    bench = failing()
    paused(bench, 60)
    bench.at(3660, bench.ledger.lift)
    with capture_logs() as said:
        await bench.drive()
    assert [each["why"] for each in said if each["event"] == "deadline postponed"] == ["paused by ada: a release"]


async def test_a_pause_after_the_deadline_has_come_keeps_a_rollback_from_beginning() -> None:
    """The service fails since a moment only, so that the watchdog still looks."""
    bench = failing()
    bench.at(550, lambda: bench.observed.show(ready=3))
    bench.at(590, lambda: bench.observed.show(ready=1))
    paused(bench, 700)
    bench.at(5000, bench.ledger.lift)
    times = bench.note_times()
    await bench.drive()
    assert times["kubectl uncordon one"] == pytest.approx(5000, abs=3)


async def test_a_service_that_has_become_well_meanwhile_is_recovered_in_spite_of_the_pause() -> None:
    bench = failing()
    paused(bench, 60)
    bench.at(2000, bench.heal)
    ended = await bench.drive()
    assert ended.state is IncidentState.RECOVERED
    assert clock() == pytest.approx(2120, abs=3)


async def test_a_namespace_that_is_marked_as_paused_stops_the_clock_too() -> None:
    """S10."""
    bench = failing()
    bench.at(60, lambda: bench.observed.annotated.update(production="a release"))
    bench.at(3660, bench.observed.annotated.clear)
    times = bench.note_times()
    await bench.drive()
    assert times["kubectl uncordon one"] == pytest.approx(4200, abs=3)


@pytest.mark.parametrize(
    "other",
    [
        lambda bench: bench.ledger.pauses.append(pause(PauseScope.NAMESPACE, "staging")),
        lambda bench: bench.ledger.pauses.append(pause(PauseScope.RULE, "api-pods")),
        lambda bench: bench.observed.annotated.update(staging="a release"),
    ],
)
async def test_a_pause_of_something_else_stops_no_clock(other: Callable[[RunBench], None]) -> None:
    bench = failing()
    other(bench)
    times = bench.note_times()
    await bench.drive()
    assert times["kubectl uncordon one"] == pytest.approx(600, abs=2)


async def test_a_person_may_ask_for_the_rollback_during_a_pause() -> None:
    bench = failing()
    paused(bench, 60)
    bench.at(100, lambda: bench.driver.request_rollback("bob") if bench.driver else None)
    times = bench.note_times()
    await bench.drive()
    assert times["kubectl uncordon one"] == pytest.approx(100, abs=3)


@pytest.mark.parametrize(("died", "back"), [(200, 3000), (200, 8000), (2000, 3000), (30, 8000)])
async def test_no_restart_loses_or_doubles_the_time(died: float, back: float) -> None:
    """The pause holds from 60 to 5060 s, whether the process sees its beginning, its end, or neither."""
    bench = failing()
    bench.ledger.pauses = [pause(since=moment(seconds=60), until=moment(seconds=5060))]
    times = bench.note_times()
    await bench.drive_until_killed(died)
    await bench.sleep_until(back)
    await bench.drive()
    due = 600 + 5000
    assert times["kubectl uncordon one"] == pytest.approx(max(due, back), abs=3)


async def test_time_in_which_a_question_waited_during_a_pause_counts_once() -> None:
    steps = "- {id: one, run: kubectl cordon one, approve: May I?}"
    bench = failing(steps)
    bench.ledger.answers_after = timedelta(seconds=900)
    bench.ledger.pauses = [replace(pause(), until=moment(seconds=1200))]
    times = bench.note_times()
    await bench.drive()
    assert times["kubectl cordon one"] == pytest.approx(1200, abs=2)
    assert times["kubectl uncordon one"] == pytest.approx(600 + 1200, abs=3)


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([], 0),
        ([(10, 20)], 10),
        ([(-50, 20)], 20),
        ([(90, 500)], 10),
        ([(-50, -10), (200, 300)], 0),
        ([(10, 30), (20, 40)], 30),
        ([(10, 60), (20, 30), (50, 70)], 60),
        ([(50, 60), (10, 20)], 20),
    ],
)
def test_overlapping_times_count_once(spans: list[tuple[float, float]], seconds: float) -> None:
    stood = [(moment(seconds=first), moment(seconds=last)) for first, last in spans]
    assert covered(stood, moment(), moment(seconds=100)) == timedelta(seconds=seconds)
