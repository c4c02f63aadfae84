"""A person aborts a run: no further step is taken, nothing is undone, and what was changed is reported."""

from datetime import timedelta

import pytest

from kintsugi.model.records import IncidentState, Phase, RunRecord, StepState
from tests.unit.executor.scripted_actor import Lost
from tests.unit.runner.bench import RunBench, cut_everywhere
from tests.unit.runner.test_a_restore_is_not_left_half_way import STOP
from tests.unit.runner.test_a_restore_is_not_left_half_way import bench as restoring

pytestmark = pytest.mark.looptime

ONE, TWO = "kubectl cordon one", "kubectl cordon two"
STEPS = f"""\
- {{id: one, run: {ONE}}}
- {{id: rest, for: 1m, expect: 1 == 1}}
- {{id: two, run: {TWO}}}
"""


async def test_a_run_that_is_aborted_takes_no_further_step_and_its_changes_stay() -> None:
    bench = RunBench(STEPS, rollback="after: 10m")
    bench.at(30, bench.abort)
    ended = await bench.drive()
    assert bench.effects == [ONE]
    assert bench.states == [IncidentState.NEEDS_OPERATOR]
    first, *report = ended.reason.splitlines()
    assert first == "aborted by ada: a deploy"
    assert report[:4] == ["Done:", f"  {ONE}", "Undo commands, newest first:", "  kubectl uncordon one"]


async def test_a_run_that_is_aborted_before_any_change_is_cancelled() -> None:
    bench = RunBench(STEPS.partition("\n")[2])
    bench.at(30, bench.abort)
    ended = await bench.drive()
    assert (ended.state, ended.reason) == (IncidentState.CANCELLED, "aborted by ada: a deploy")
    assert bench.effects == []


async def test_a_run_that_waits_for_a_person_is_aborted() -> None:
    bench = RunBench('- {id: two, approve: "Two?", run: kubectl cordon two}')
    bench.at(30, bench.abort)
    assert (await bench.drive()).state is IncidentState.CANCELLED


async def test_a_run_that_is_aborted_while_it_verifies_is_not_rolled_back_at_its_deadline() -> None:
    bench = RunBench(STEPS, rollback="after: 10m\npolicy: always")
    bench.at(300, bench.abort)
    ended = await bench.drive()
    assert bench.effects == [ONE, TWO]
    assert bench.states == [IncidentState.VERIFYING, IncidentState.NEEDS_OPERATOR]
    assert ended.reason.startswith("aborted by ada: a deploy; all steps have ended\nDone:\n")


async def test_a_rollback_that_is_requested_after_an_abort_is_made() -> None:
    """The last word of a person counts."""
    bench = RunBench(STEPS, rollback="after: 10m", heals="kubectl uncordon one", heals_after=timedelta(0))

    def abort_and_roll_back() -> None:
        assert bench.driver is not None
        bench.abort()
        bench.driver.request_rollback("ada")

    bench.at(30, abort_and_roll_back)
    assert (await bench.drive()).state is IncidentState.ROLLED_BACK
    assert bench.effects == [ONE, "kubectl uncordon one"]


async def test_a_restore_that_is_aborted_is_left_as_it_is() -> None:
    story = restoring()
    story.actor.on_change = lambda text: story.abort() if text == STOP else None
    ended = await story.drive()
    assert (story.effects, ended.state) == ([STOP], IncidentState.NEEDS_OPERATOR)
    assert ended.reason.startswith("Mend it is left as it is for a person: aborted by ada: a deploy\n")


async def test_a_change_that_was_in_the_air_at_a_restart_is_settled_before_the_run_ends() -> None:
    bench = RunBench(STEPS)
    bench.actor.takes = timedelta(seconds=20)
    bench.actor.will(f"perform {ONE}", Lost(applied=True))
    assert await bench.drive_until_killed(10)
    assert bench.step("one#0").state is StepState.INTENT
    bench.abort()
    ended = await bench.drive()
    assert (bench.step("one#0").state, ended.state) == (StepState.DONE, IncidentState.NEEDS_OPERATOR)
    assert "kubectl uncordon one" in ended.reason


def test_an_abort_holds_wherever_the_process_ends() -> None:
    """C1: nothing is changed after it, and nothing is undone."""

    def aborted() -> RunBench:
        bench = RunBench(STEPS, rollback="after: 10m")
        changed = bench.actor.on_change

        def abort(text: str) -> None:
            changed(text)
            bench.abort()

        bench.actor.on_change = abort
        return bench

    def check(where: str, bench: RunBench, ended: RunRecord) -> None:
        assert bench.effects == [ONE], where
        assert ended.state is IncidentState.NEEDS_OPERATOR, where
        assert "aborted by ada: a deploy" in ended.reason, where
        assert not bench.ledger.known("one#0~0", Phase.UNDO), where

    assert cut_everywhere(aborted, check) > 10
