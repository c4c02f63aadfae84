"""`approve`: the run waits for a person, and the time of waiting does not count towards the deadline (DESIGN 6)."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from kintsugi.errors import TooManyRequests
from kintsugi.model.records import IncidentState, RunRecord, StepState
from tests.unit.factories import approval, moment
from tests.unit.runner.bench import SCALE, Bench, cut_everywhere

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(600)]

ASKS = """\
- {id: look, run: kubectl get pods}
- {id: scale, approve: "Scale ${service.name} to five?", run: kubectl scale deployment/web --replicas=5}
"""


async def test_nothing_is_done_before_the_yes() -> None:
    bench = Bench(ASKS, heals="kubectl scale")
    done: list[list[str]] = []
    bench.at(600, lambda: done.append(list(bench.effects)))
    bench.at(600, lambda: bench.ledger.approve("scale"))
    ended = await bench.carry()
    assert done == [[]]
    assert bench.effects == [SCALE]
    assert ended.state is IncidentState.RECOVERED
    assert bench.states[:3] == [IncidentState.AWAITING_APPROVAL, IncidentState.RUNNING, IncidentState.VERIFYING]


async def test_the_question_is_kept_with_the_plan_and_its_end() -> None:
    bench = Bench(ASKS)
    bench.at(10, lambda: bench.ledger.approve("scale"))
    bench.at(60, bench.heal)
    await bench.carry()
    (asked,) = bench.ledger.questions
    assert (asked.path, asked.question, asked.plan) == ("scale", "Scale web to five?", bench.runbook.digest)
    assert (asked.asked, asked.expires) == (moment(), moment(minutes=30))
    assert bench.ledger.moves[:2] == [
        (IncidentState.AWAITING_APPROVAL, "Scale web to five?"),
        (IncidentState.RUNNING, "approved by ada"),
    ]


async def test_the_time_of_waiting_moves_the_deadline() -> None:
    bench = Bench(ASKS, heals="kubectl scale")
    bench.at(600, lambda: bench.ledger.approve("scale"))
    await bench.carry()
    assert timedelta(minutes=40) <= bench.deadline - moment() <= timedelta(minutes=40, seconds=2)


async def test_a_question_may_outlast_the_deadline() -> None:
    """Five minutes until the watchdog, seven until the answer: holds and approvals do not count."""
    bench = Bench(ASKS, rollback="after: 5m", heals="kubectl scale")
    bench.at(420, lambda: bench.ledger.approve("scale"))
    ended = await bench.carry()
    assert bench.effects == [SCALE]
    assert ended.state is IncidentState.RECOVERED
    assert bench.deadline >= moment(minutes=12)


async def test_after_a_yes_what_is_tried_again_is_tried_until_the_moved_deadline() -> None:
    bench = Bench(ASKS, rollback="after: 5m", heals="kubectl scale")
    bench.actor.will("perform", *[TooManyRequests("busy")] * 5)
    bench.at(420, lambda: bench.ledger.approve("scale"))
    assert (await bench.carry()).state is IncidentState.RECOVERED
    assert bench.effects == [SCALE]


async def test_a_question_that_nobody_answers_expires_and_nothing_is_done() -> None:
    """E28: expiry is no action."""
    bench = Bench(ASKS, rollback="after: 2h")
    bench.at(2000, bench.heal)
    ended = await bench.carry()
    assert not bench.effects
    assert bench.ledger.moves[1] == (
        IncidentState.VERIFYING,
        "stopped at scale: nobody approved within 0:30:00: Scale web to five?",
    )
    assert bench.ledger.told == [
        (IncidentState.AWAITING_APPROVAL, "Nobody approved by 12:30:00, so it is not done: Scale web to five?")
    ]
    assert ended.walked == moment(minutes=30)
    assert ended.state is IncidentState.NO_ACTION


async def test_a_step_that_is_not_wanted_asks_nobody() -> None:
    bench = Bench(ASKS.replace("approve:", "when: service.ready > 5, approve:"))
    bench.at(60, bench.heal)
    await bench.carry()
    assert not bench.ledger.questions
    assert bench.step("scale").state is StepState.SKIPPED


async def test_a_question_without_its_values_stops_the_run() -> None:
    bench = Bench(ASKS.replace("${service.name}", "${service.pods[9].metadata.name}"))
    bench.at(60, bench.heal)
    await bench.carry()
    assert not bench.effects
    assert bench.ledger.moves[0][1].startswith("stopped at scale: ")


def approved_bench() -> Bench:
    """Ask, and be answered after two minutes."""
    bench = Bench(ASKS, heals="kubectl scale")
    bench.ledger.answers_after = timedelta(minutes=2)
    return bench


@pytest.mark.parametrize("down", [0, 30, 600])
def test_a_restart_asks_no_second_time_and_moves_the_deadline_once(down: float) -> None:
    """C1: wherever the process ends, before, during and after the waiting."""

    def check(where: str, bench: Bench, ended: RunRecord) -> None:
        assert ended.state is IncidentState.RECOVERED, where
        assert bench.effects == [SCALE], where
        assert len(bench.ledger.questions) == 1, where
        moved = ended.deadline - moment(minutes=30)
        assert timedelta(minutes=2) <= moved <= timedelta(minutes=2, seconds=2), f"{where}: moved by {moved}"

    assert cut_everywhere(approved_bench, check, down=down) > 20


async def test_an_answer_of_an_earlier_life_is_good_until_its_question_expires() -> None:
    """E28: a yes that was given before an outage is not acted upon for ever after."""
    bench = Bench(ASKS, heals="kubectl scale")
    bench.ledger.questions = [approval("scale", answered=moment(minutes=1))]
    bench.ledger.answers_after = timedelta(minutes=5)
    await asyncio.sleep(timedelta(minutes=40).total_seconds())
    bench.ledger.record = replace(bench.ledger.record, deadline=moment(hours=2))
    times = bench.note_times()
    await bench.carry()
    assert [each.path for each in bench.ledger.questions] == ["scale", "scale"]
    assert times[SCALE] == pytest.approx(timedelta(minutes=45).total_seconds(), abs=3)


async def test_an_answer_that_is_good_still_is_not_asked_for_again() -> None:
    bench = Bench(ASKS, heals="kubectl scale")
    bench.ledger.questions = [approval("scale", answered=moment(minutes=1))]
    await asyncio.sleep(timedelta(minutes=20).total_seconds())
    await bench.carry()
    assert len(bench.ledger.questions) == 1
    assert bench.effects == [SCALE]


BACK = 'after: 10m\nwhen: always\nsteps:\n  - {id: back, approve: "Go back?", run: kubectl cordon three}'


async def test_a_rollback_that_is_asked_for_again_asks_its_own_question() -> None:
    """What nobody answered the first time neither ends the second rollback at once nor answers for it."""
    bench = Bench("- {id: one, run: kubectl cordon one}", rollback=BACK, heals="kubectl cordon three")
    first = await bench.carry()
    assert first.state is IncidentState.NEEDS_OPERATOR
    assert "kubectl cordon three" not in bench.effects
    bench.ledger.record = replace(
        first, state=IncidentState.ROLLING_BACK, reason="rollback asked for by ada", finished=None
    )
    bench.ledger.answers_after = timedelta(minutes=5)
    ended = await bench.carry()
    assert [each.path for each in bench.ledger.questions] == ["rollback/back", "rollback/back"]
    assert "kubectl cordon three" in bench.effects
    assert ended.state is IncidentState.ROLLED_BACK
