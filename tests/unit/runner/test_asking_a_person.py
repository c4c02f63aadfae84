"""`approve`: the run waits for a person, and the time of waiting does not count towards the deadline."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from kintsugi.errors import TooManyRequests
from kintsugi.model.records import IncidentState, RunRecord, StepState
from tests.unit.factories import approval, moment
from tests.unit.runner.bench import SCALE, RunBench, cut_everywhere

pytestmark = pytest.mark.looptime

ASKS = """\
- {id: look, run: kubectl get pods}
- {id: scale, approve: "Scale ${service.name} to five?", run: kubectl scale deployment/web --replicas=5}
"""


async def test_no_effect_is_made_before_the_yes() -> None:
    bench = RunBench(ASKS, heals="kubectl scale")
    done: list[list[str]] = []
    bench.at(600, lambda: done.append(list(bench.effects)))
    bench.at(600, lambda: bench.ledger.approve("scale"))
    ended = await bench.drive()
    assert done == [[]]
    assert bench.effects == [SCALE]
    assert ended.state is IncidentState.RECOVERED
    assert bench.states[:3] == [IncidentState.AWAITING_APPROVAL, IncidentState.RUNNING, IncidentState.VERIFYING]


async def test_the_question_is_kept_with_the_plan_and_its_end() -> None:
    bench = RunBench(ASKS)
    bench.at(10, lambda: bench.ledger.approve("scale"))
    bench.at(60, bench.heal)
    await bench.drive()
    (asked,) = bench.ledger.questions
    assert (asked.path, asked.question, asked.plan) == ("scale", "Scale web to five?", bench.runbook.digest)
    assert (asked.asked, asked.expires) == (moment(), moment(minutes=30))
    assert bench.ledger.moves[:2] == [
        (IncidentState.AWAITING_APPROVAL, "Scale web to five?"),
        (IncidentState.RUNNING, "approved by ada"),
    ]


async def test_the_time_of_waiting_moves_the_deadline() -> None:
    bench = RunBench(ASKS, heals="kubectl scale")
    bench.at(600, lambda: bench.ledger.approve("scale"))
    await bench.drive()
    assert timedelta(minutes=40) <= bench.deadline - moment() <= timedelta(minutes=40, seconds=2)


async def test_a_question_may_outlast_the_deadline() -> None:
    """Five minutes until the watchdog, seven until the answer: holds and approvals do not count."""
    bench = RunBench(ASKS, rollback="after: 5m", heals="kubectl scale")
    bench.at(420, lambda: bench.ledger.approve("scale"))
    ended = await bench.drive()
    assert bench.effects == [SCALE]
    assert ended.state is IncidentState.RECOVERED
    assert bench.deadline >= moment(minutes=12)


async def test_after_a_yes_what_is_tried_again_is_tried_until_the_moved_deadline() -> None:
    bench = RunBench(ASKS, rollback="after: 5m", heals="kubectl scale")
    bench.actor.will("perform", *[TooManyRequests("busy")] * 5)
    bench.at(420, lambda: bench.ledger.approve("scale"))
    assert (await bench.drive()).state is IncidentState.RECOVERED
    assert bench.effects == [SCALE]


async def test_a_question_that_nobody_answers_expires_and_nothing_is_done() -> None:
    """E28: expiry is no action."""
    bench = RunBench(ASKS, rollback="after: 2h")
    bench.at(2000, bench.heal)
    ended = await bench.drive()
    assert not bench.effects
    assert bench.ledger.moves[1] == (
        IncidentState.VERIFYING,
        "stopped at scale: no approval within 30m: Scale web to five?",
    )
    assert bench.ledger.told == [
        (IncidentState.AWAITING_APPROVAL, "No approval by 12:30:00, so this is not done: Scale web to five?")
    ]
    assert ended.steps_finished_at == moment(minutes=30)
    assert ended.state is IncidentState.NO_ACTION


async def test_a_question_that_is_rejected_ends_the_execution_at_once_and_nothing_is_done() -> None:
    bench = RunBench(ASKS, rollback="after: 2h")
    bench.at(60, lambda: bench.ledger.reject("scale"))
    bench.at(2000, bench.heal)
    ended = await bench.drive()
    assert not bench.effects
    assert bench.ledger.moves[1] == (
        IncidentState.VERIFYING,
        "stopped at scale: rejected by ada: not tonight: Scale web to five?",
    )
    assert bench.ledger.told == [], "whoever has answered knows"
    assert ended.steps_finished_at is not None
    assert timedelta(minutes=1) <= ended.steps_finished_at - moment() <= timedelta(seconds=63)
    assert ended.state is IncidentState.NO_ACTION


async def test_a_run_that_asked_and_got_a_no_rolls_nothing_back_at_its_deadline() -> None:
    undo = "after: 10m\nsteps: [{id: back, run: kubectl rollout undo deployment/web}]"
    bench = RunBench(ASKS, rollback=undo)
    bench.at(60, lambda: bench.ledger.reject("scale"))
    ended = await bench.drive()
    assert not bench.effects
    assert (ended.state, ended.reason.partition(";")[0]) == (
        IncidentState.NEEDS_OPERATOR,
        "rejected by ada: not tonight",
    )


async def test_a_no_that_was_given_before_a_restart_holds_after_it() -> None:
    """Also where its question has expired meanwhile: a forward step is asked about once."""
    bench = RunBench(ASKS, rollback="after: 2h")
    bench.ledger.questions = [approval("scale")]
    bench.ledger.reject("scale")
    await asyncio.sleep(timedelta(minutes=40).total_seconds())
    bench.at(60, bench.heal)
    await bench.drive()
    assert not bench.effects
    assert len(bench.ledger.questions) == 1


async def test_a_step_that_is_not_wanted_asks_nobody() -> None:
    bench = RunBench(ASKS.replace("approve:", "when: service.ready > 5, approve:"))
    bench.at(60, bench.heal)
    await bench.drive()
    assert not bench.ledger.questions
    assert bench.step("scale").state is StepState.SKIPPED


async def test_a_question_without_its_values_stops_the_run() -> None:
    bench = RunBench(ASKS.replace("${service.name}", "${service.pods[9].metadata.name}"))
    bench.at(60, bench.heal)
    await bench.drive()
    assert not bench.effects
    assert bench.ledger.moves[0][1].startswith("stopped at scale: ")


def approved_bench() -> RunBench:
    """Ask, and be answered after two minutes."""
    bench = RunBench(ASKS, heals="kubectl scale")
    bench.ledger.answers_after = timedelta(minutes=2)
    return bench


@pytest.mark.parametrize("down", [0, 30, 600])
def test_a_restart_asks_no_second_time_and_moves_the_deadline_once(down: float) -> None:
    """C1: wherever the process ends, before, during and after the waiting."""

    def check(where: str, bench: RunBench, ended: RunRecord) -> None:
        assert ended.state is IncidentState.RECOVERED, where
        assert bench.effects == [SCALE], where
        assert len(bench.ledger.questions) == 1, where
        moved = ended.deadline - moment(minutes=30)
        assert timedelta(minutes=2) <= moved <= timedelta(minutes=2, seconds=2), f"{where}: moved by {moved}"

    assert cut_everywhere(approved_bench, check, down=down) > 20


async def test_an_answer_of_an_earlier_life_is_good_until_its_question_expires() -> None:
    """E28: a yes that was given before an outage is not acted upon for ever after."""
    bench = RunBench(ASKS, heals="kubectl scale")
    bench.ledger.questions = [approval("scale", answered=moment(minutes=1))]
    bench.ledger.answers_after = timedelta(minutes=5)
    await asyncio.sleep(timedelta(minutes=40).total_seconds())
    bench.ledger.record = replace(bench.ledger.record, deadline=moment(hours=2))
    times = bench.note_times()
    await bench.drive()
    assert [each.path for each in bench.ledger.questions] == ["scale", "scale"]
    assert times[SCALE] == pytest.approx(timedelta(minutes=45).total_seconds(), abs=3)


async def test_an_answer_that_is_good_still_is_not_asked_for_again() -> None:
    bench = RunBench(ASKS, heals="kubectl scale")
    bench.ledger.questions = [approval("scale", answered=moment(minutes=1))]
    await asyncio.sleep(timedelta(minutes=20).total_seconds())
    await bench.drive()
    assert len(bench.ledger.questions) == 1
    assert bench.effects == [SCALE]


BACK = 'after: 10m\npolicy: always\nsteps:\n  - {id: back, approve: "Go back?", run: kubectl cordon three}'


@pytest.mark.parametrize("rejected", [False, True])
async def test_a_rollback_that_is_asked_for_again_asks_its_own_question(rejected: bool) -> None:
    """What was rejected or left unanswered the first time neither ends the second rollback at once nor answers for it."""
    bench = RunBench("- {id: one, run: kubectl cordon one}", rollback=BACK, heals="kubectl cordon three")
    if rejected:
        bench.at(900, lambda: bench.ledger.reject("rollback/back"))
    first = await bench.drive()
    assert first.state is IncidentState.NEEDS_OPERATOR
    assert "kubectl cordon three" not in bench.effects
    bench.ledger.record = replace(
        first,
        state=IncidentState.ROLLING_BACK,
        reason="rollback asked for by ada",
        rollback_requested_by="ada",
        finished=None,
    )
    bench.ledger.answers_after = timedelta(minutes=5)
    ended = await bench.drive()
    assert [each.path for each in bench.ledger.questions] == ["rollback/back", "rollback/back"]
    assert "kubectl cordon three" in bench.effects
    assert ended.state is IncidentState.ROLLED_BACK
