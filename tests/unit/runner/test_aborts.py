"""A person aborts a run, freezes it or sets mode observe: no further step, nothing undone, and what is half done is handed over (P8)."""

from datetime import timedelta

import pytest

from kintsugi.model.records import IncidentState, Phase, RunRecord
from kintsugi.model.rules import Mode
from tests.unit.factories import moment, pause
from tests.unit.runner.bench import RunBench, clock, cut_everywhere
from tests.unit.runner.test_job_watch import RESTORE
from tests.unit.runner.test_job_watch import restoring as with_workers
from tests.unit.runner.test_restoring import STOP, restoring

pytestmark = pytest.mark.looptime

ONE, TWO, BACK = "kubectl cordon one", "kubectl cordon two", "kubectl uncordon one"
STEPS = f"""\
- {{id: one, run: {ONE}}}
- {{id: rest, for: 1m, expect: 1 == 1}}
- {{id: two, run: {TWO}}}
"""
REPORT = f"Done:\n  {ONE}\nUndo commands, newest first:\n  {BACK}"


async def test_a_run_that_is_aborted_while_it_waits_for_a_person_is_cancelled() -> None:
    bench = RunBench(f'- {{id: two, approve: "Two?", run: {TWO}}}')
    bench.at(30, bench.abort)
    await bench.drive()
    assert bench.ended == (IncidentState.CANCELLED, [])
    assert bench.reason == "aborted by ada: a deploy"


async def test_a_rollback_that_is_requested_after_an_abort_is_made() -> None:
    """The last word of a person counts."""
    bench = RunBench(STEPS, rollback="after: 10m", heals=BACK, heals_after=timedelta(0))

    def abort_and_roll_back() -> None:
        bench.abort()
        bench.request_rollback()

    bench.at(30, abort_and_roll_back)
    await bench.drive()
    assert bench.ended == (IncidentState.ROLLED_BACK, [ONE, BACK])


async def test_a_restore_that_is_aborted_is_left_as_it_is() -> None:
    story = restoring()
    story.actor.on_change = lambda text: story.abort() if text == STOP else None
    await story.drive()
    assert story.ended == (IncidentState.NEEDS_OPERATOR, [STOP])
    assert story.reason.startswith("Mend it is left as it is for a person: aborted by ada: a deploy\n")


def test_an_abort_holds_wherever_the_process_ends() -> None:
    """C1: nothing is changed after it, and nothing is undone."""

    def aborted() -> RunBench:
        bench = RunBench(STEPS, rollback="after: 10m")
        bench.actor.on_change = lambda _: bench.abort()
        return bench

    def check(where: str, bench: RunBench, ended: RunRecord) -> None:
        assert bench.ended == (IncidentState.NEEDS_OPERATOR, [ONE]), where
        assert "aborted by ada: a deploy" in ended.reason, where
        assert not bench.ledger.known("one#0~0", Phase.UNDO), where

    assert cut_everywhere(aborted, check) > 10


LOOK = "- {id: look, run: kubectl get pods, expect: service.ready > 5, within: 20m}"
CHANGE = f"- {{id: one, run: {ONE}}}"
WHY = {
    "abort": "aborted by ada: a deploy",
    "freeze": "frozen by ada: a release",
    "observe": "mode is observe: no further changes are made",
}
NOES = pytest.mark.parametrize("no", WHY)


def say(bench: RunBench, no: str) -> None:
    """Let a person say no."""
    match no:
        case "abort":
            bench.abort()
        case "freeze":
            bench.ledger.pauses.append(pause(since=moment(seconds=clock()), freeze=True))
        case _:
            bench.observed.mode = Mode.OBSERVE


@NOES
@pytest.mark.parametrize(
    ("steps", "states", "after"),
    [
        (STEPS, [IncidentState.NEEDS_OPERATOR], ""),
        (f"{CHANGE}\n{LOOK}", [IncidentState.NEEDS_OPERATOR], ""),
        (CHANGE, [IncidentState.VERIFYING, IncidentState.NEEDS_OPERATOR], "; all steps have ended"),
        (f"{LOOK}\n{CHANGE}", [IncidentState.CANCELLED], None),
    ],
    ids=["between its steps", "in a look", "while it verifies", "before any change"],
)
async def test_a_run_that_waits_for_a_service_that_is_not_well_ends_at_once(
    steps: str, states: list[IncidentState], after: str | None, no: str
) -> None:
    """It is handed over with its commands and nothing is undone, or it is cancelled where it has changed nothing."""
    bench = RunBench(steps, rollback="after: 10m\npolicy: always")
    bench.at(30, lambda: say(bench, no))
    await bench.drive()
    assert clock() == pytest.approx(30, abs=7)
    assert (bench.states, bench.effects) == (states, [ONE] if after is not None else [])
    assert bench.reason.startswith(WHY[no] if after is None else f"{WHY[no]}{after}\n{REPORT}")


@pytest.mark.parametrize("no", ["freeze", "observe"])
async def test_a_run_whose_service_is_well_is_verified_to_its_end(no: str) -> None:
    """Nothing has to be written for that."""
    bench = RunBench(CHANGE, heals=ONE)
    bench.at(20, lambda: say(bench, no))
    assert (await bench.drive()).state is IncidentState.RECOVERED, bench.reason


@NOES
async def test_a_person_is_told_of_a_worker_that_goes_on(no: str) -> None:
    bench = with_workers()
    bench.at(400, lambda: say(bench, no))
    await bench.drive()
    assert clock() == pytest.approx(400, abs=7)
    assert bench.state is IncidentState.NEEDS_OPERATOR
    assert f"Still running:\n  {RESTORE} (its Job)" in bench.reason, bench.reason


@NOES
async def test_an_effect_in_doubt_when_the_process_ended_is_settled_before_the_no_ends_the_run(no: str) -> None:
    """C1: whether a change was made is found out by looking, which nobody has forbidden."""
    for moments in range(1, 100):
        bench = RunBench(f"{CHANGE}\n{LOOK}")
        bench.ledger.commit_takes = timedelta(seconds=0.1)
        if not await bench.drive_until_cut(moments):
            break
        say(bench, no)
        ended = await bench.drive()
        assert ended.state is (IncidentState.NEEDS_OPERATOR if bench.effects else IncidentState.CANCELLED), ended.reason
        assert "Uncertain" not in ended.reason
    assert moments > 5
