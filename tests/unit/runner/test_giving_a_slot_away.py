"""A higher priority overtakes at a step boundary: the run under way gives its slot away there, and goes on by itself."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from kintsugi.model.manual import MANUAL
from kintsugi.model.records import IncidentState, RunRecord
from tests.unit.factories import moment, pause
from tests.unit.runner.bench import RunBench, clock
from tests.unit.virtual import play

pytestmark = pytest.mark.looptime

STEPS = """\
- id: first
  steps:
    - {id: one, run: kubectl cordon one, expect: service.ready > 5, within: 1m, onFailure: continue}
    - {id: two, run: kubectl cordon two}
- {id: last, run: kubectl cordon three}
"""


def overtaken(*, since: float, until: float, steps: str = STEPS) -> RunBench:
    """Return a run of which somebody wants the slot from one moment on, and which has one again at another."""
    bench = RunBench(steps, heals="kubectl cordon three")
    bench.actor.takes = timedelta(seconds=10)

    def wanted() -> None:
        bench.observed.higher, bench.observed.full = "database", "3 services at once is the limit"

    def free() -> None:
        bench.observed.higher = bench.observed.full = ""

    bench.at(since, wanted)
    bench.at(until, free)
    return bench


async def test_the_step_under_way_is_ended_whole_and_the_next_waits_until_there_is_a_slot_again() -> None:
    bench = overtaken(since=5, until=300)
    times = bench.note_times()
    ended = await bench.drive()
    assert times["kubectl cordon one"] == 10
    assert times["kubectl cordon two"] == pytest.approx(80, abs=2)
    assert times["kubectl cordon three"] == pytest.approx(310, abs=2)
    assert bench.states[:2] == [IncidentState.HELD, IncidentState.RUNNING]
    why = "the run yielded its slot to database, which has a higher priority, and continues when a slot is free"
    assert bench.ledger.moves[0][1] == why
    assert ended.state is IncidentState.RECOVERED


async def test_before_its_first_step_it_gives_it_away_as_well() -> None:
    bench = overtaken(since=0, until=100)
    bench.observed.higher, bench.observed.full = "database", "full"
    times = bench.note_times()
    assert (await bench.drive()).state is IncidentState.RECOVERED
    assert min(times.values()) == pytest.approx(110, abs=2)


async def test_the_time_without_a_slot_does_not_count_towards_the_deadline() -> None:
    bench = overtaken(since=5, until=3000)
    ended = await bench.drive()
    assert ended.state is IncidentState.RECOVERED, "its deadline was at 1800 s"
    assert bench.deadline >= moment(seconds=1800 + 2900)


async def test_a_pause_after_it_is_added_to_the_time_without_a_slot() -> None:
    bench = overtaken(since=5, until=1000)
    bench.at(1001, lambda: bench.ledger.pauses.append(pause(until=moment(seconds=5000), since=moment(seconds=1001))))
    ended = await bench.drive()
    assert ended.state is IncidentState.RECOVERED
    assert bench.deadline >= moment(seconds=1800 + 900)


async def test_a_run_without_a_slot_in_the_ledger_waits_on() -> None:
    """What is known in memory may be behind: the ledger decides."""
    bench = overtaken(since=5, until=100)
    times = bench.note_times()
    bench.ledger.taken = True
    bench.at(200, lambda: setattr(bench.ledger, "taken", False))
    await bench.drive()
    assert times["kubectl cordon three"] == pytest.approx(210, abs=2)


async def test_a_person_is_told_once_of_a_run_that_waits_for_long() -> None:
    bench = overtaken(since=5, until=2000)
    await bench.drive()
    (told,) = bench.ledger.told
    assert told[0] is IncidentState.HELD
    assert "The run has waited for a slot since 12:01:" in told[1]


async def test_a_rollback_that_a_person_wants_does_not_wait_for_a_slot() -> None:
    bench = overtaken(since=5, until=10_000)

    def ask() -> None:
        assert bench.driver is not None
        bench.driver.request_rollback("ada")

    bench.at(200, ask)
    bench.heals = "kubectl uncordon one"
    ended = await bench.drive()
    assert bench.effects == [
        f"kubectl {verb} {name}"
        for verb, name in zip(("cordon", "cordon", "uncordon", "uncordon"), ("one", "two", "two", "one"), strict=True)
    ]
    assert ended.state is IncidentState.ROLLED_BACK


KEEPS: dict[str, Callable[[RunRecord], RunRecord]] = {
    "one that a person started": lambda run: replace(run, rule=MANUAL),
    "a child, whose time is its parent's": lambda run: replace(run, parent="run-stack"),
}


@pytest.mark.parametrize("change", KEEPS.values(), ids=KEEPS)
async def test_some_runs_keep_their_slot(change: Callable[[RunRecord], RunRecord]) -> None:
    bench = overtaken(since=5, until=10_000)
    bench.ledger.record = change(bench.ledger.record)
    await bench.drive()
    assert IncidentState.HELD not in bench.states
    assert clock() < 1000


def test_every_change_is_made_once_and_the_run_goes_on_by_itself_wherever_the_process_ends() -> None:
    async def story(cut: int) -> tuple[bool, RunBench, RunRecord]:
        bench = overtaken(since=5, until=300)
        was_cut = await bench.drive_until_cut(cut)
        return was_cut, bench, await bench.drive() if was_cut else bench.ledger.record

    cut, held = 0, 0
    while True:
        cut += 1
        was_cut, bench, ended = play(story(cut))
        assert ended.state is IncidentState.RECOVERED, (cut, bench.power.story)
        assert sorted(bench.effects) == ["kubectl cordon one", "kubectl cordon three", "kubectl cordon two"], cut
        held += IncidentState.HELD in bench.states
        if not was_cut:
            break
    assert held == cut, "it has waited in each of its lives' stories"
