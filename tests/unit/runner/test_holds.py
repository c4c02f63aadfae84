"""`approve`: the run waits for a person; and a higher priority overtakes at a step boundary: the run gives its slot away there."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from kintsugi.errors import TooManyRequests
from kintsugi.model.manual import MANUAL
from kintsugi.model.questions import Answer, QuestionKind
from kintsugi.model.records import IncidentState, RunRecord, StepState
from tests.harness.answers import said
from tests.unit.factories import approval, moment, pause
from tests.unit.runner.bench import SCALE, RunBench, clock, cut_everywhere, driven

pytestmark = pytest.mark.looptime

ASKS = f"""\
- {{id: look, run: kubectl get pods}}
- {{id: scale, approve: "Scale ${{service.name}} to five?", run: {SCALE}}}
"""


def answered(seconds: float, *, rollback: str = "") -> RunBench:
    """Make a run that asks and is answered yes at a moment."""
    bench = RunBench(ASKS, heals="kubectl scale", rollback=rollback)
    bench.at(seconds, lambda: bench.ledger.approve("scale"))
    return bench


async def test_no_effect_is_made_before_the_yes_and_the_time_of_waiting_moves_the_deadline() -> None:
    bench = answered(600)
    times = bench.note_times()
    await bench.drive()
    assert times[SCALE] == pytest.approx(600, abs=2)
    assert bench.ended == (IncidentState.RECOVERED, [SCALE])
    (asked,) = bench.ledger.questions
    assert (asked.path, asked.text, asked.plan) == ("scale", "Scale web to five?", bench.runbook.digest)
    assert (asked.asked, asked.expires) == (moment(), moment(minutes=30))
    assert bench.ledger.moves[:2] == [
        (IncidentState.AWAITING_APPROVAL, "Scale web to five?"),
        (IncidentState.RUNNING, "approved by ada"),
    ]
    assert timedelta(minutes=40) <= bench.deadline - moment() <= timedelta(minutes=40, seconds=2)


async def test_a_question_may_outlast_the_deadline_and_what_is_tried_again_is_tried_until_the_moved_one() -> None:
    """Five minutes until the watchdog, seven until the answer: holds and questions do not count."""
    bench = answered(420, rollback="after: 5m")
    bench.actor.will("perform", *[TooManyRequests("busy")] * 5)
    await bench.drive()
    assert bench.ended == (IncidentState.RECOVERED, [SCALE])
    assert bench.deadline >= moment(minutes=12)


EXPIRED = "No answer by 12:30:00, so this is not done: Scale web to five?"


@pytest.mark.parametrize(
    ("rejected", "why", "told", "over"),
    [
        (False, "no answer within 30m", [(IncidentState.AWAITING_APPROVAL, EXPIRED)], 1800),
        (True, "rejected by ada: not tonight", [], 60),
    ],
)
async def test_a_question_that_nobody_answers_or_that_is_rejected_ends_the_execution_and_nothing_is_done(
    rejected: bool, why: str, told: list[tuple[IncidentState, str]], over: float
) -> None:
    """E28: expiry is no action. Whoever has answered is not told."""
    bench = RunBench(ASKS, rollback="after: 2h")
    if rejected:
        bench.at(60, lambda: bench.ledger.reject("scale"))
    ended = await bench.drive(healed_at=2000)
    assert bench.ended == (IncidentState.NO_ACTION, [])
    assert bench.ledger.moves[1] == (IncidentState.VERIFYING, f"stopped at scale: {why}: Scale web to five?")
    assert bench.ledger.told == told
    assert ended.steps_finished_at is not None
    assert (ended.steps_finished_at - moment()).total_seconds() == pytest.approx(over, abs=3)


async def test_a_run_that_asked_and_got_a_no_rolls_nothing_back_at_its_deadline() -> None:
    undo = "after: 10m\nsteps: [{id: back, run: kubectl rollout undo deployment/web}]"
    bench = RunBench(ASKS, rollback=undo)
    bench.at(60, lambda: bench.ledger.reject("scale"))
    await bench.drive()
    assert bench.ended == (IncidentState.NEEDS_OPERATOR, [])
    assert bench.reason.partition(";")[0] == "rejected by ada: not tonight"


async def test_a_no_that_was_given_before_a_restart_holds_after_it() -> None:
    """Also where its question has expired meanwhile: a forward step is asked about once."""
    bench = RunBench(ASKS, rollback="after: 2h")
    bench.ledger.questions = [approval("scale")]
    bench.ledger.reject("scale")
    await asyncio.sleep(timedelta(minutes=40).total_seconds())
    await bench.drive(healed_at=60)
    assert not bench.effects
    assert len(bench.ledger.questions) == 1


async def test_a_step_that_is_not_wanted_asks_nobody() -> None:
    bench = await driven(ASKS.replace("approve:", "when: service.ready > 5, approve:"), healed_at=60)
    assert not bench.ledger.questions
    assert bench.step("scale").state is StepState.SKIPPED


async def test_a_question_without_its_values_stops_the_run() -> None:
    bench = await driven(ASKS.replace("${service.name}", "${service.pods[9].metadata.name}"), healed_at=60)
    assert not bench.effects
    assert bench.stopped.startswith("stopped at scale: ")


GROUP = f"""\
- id: group
  approve: {{question: "Move ${{service.name}}?", onNo: skip}}
  steps:
    - {{id: cordon, run: kubectl cordon one}}
- {{id: scale, run: {SCALE}}}
"""


@pytest.mark.parametrize(("answer", "effects"), [(Answer.NO, [SCALE]), (Answer.YES, ["kubectl cordon one", SCALE])])
async def test_a_no_to_a_group_of_steps_leaves_out_that_group_alone_and_a_yes_nothing(
    answer: Answer, effects: list[str]
) -> None:
    bench = RunBench(GROUP, heals="kubectl scale")
    bench.at(600, partial(bench.ledger.answer, "group", answer, "not tonight"))
    await bench.drive()
    assert bench.ended == (IncidentState.RECOVERED, effects)
    assert timedelta(minutes=40) <= bench.deadline - moment() <= timedelta(minutes=40, seconds=2)


async def test_a_group_that_nobody_answers_about_is_not_left_out_but_ends_the_execution() -> None:
    bench = RunBench(GROUP, rollback="after: 2h")
    await bench.drive(healed_at=2000)
    assert bench.effects == []
    assert bench.ledger.moves[1][1] == "stopped at group: no answer within 30m: Move web?"


MANUAL_STEP = f"""\
- id: traffic
  manual:
    text: Move the traffic of ${{service.name}} away.
    command: ./failover.sh ${{service.namespace}}
    expiry: 2h
- {{id: scale, run: {SCALE}, when: steps.traffic.ran}}
"""


@pytest.mark.parametrize(
    ("answer", "effects", "reason"),
    [
        (Answer.DONE, [SCALE], ""),
        (Answer.DOES_NOT_APPLY, [], ""),
        (Answer.FAILED, [], "stopped at traffic: declared failed by ada: no key"),
    ],
)
async def test_a_manual_step_waits_for_a_person_who_has_done_it_cannot_or_need_not(
    answer: Answer, effects: list[str], reason: str
) -> None:
    bench = RunBench(MANUAL_STEP, heals="kubectl scale", rollback="after: 3h")
    bench.at(6000, partial(bench.ledger.answer, "traffic", answer, "" if answer is Answer.DONE else "no key"))
    await bench.drive(healed_at=7000)
    assert bench.effects == effects
    (asked,) = bench.ledger.questions
    assert (asked.kind, asked.text) == (QuestionKind.MANUAL, "Move the traffic of web away.")
    assert (asked.command, asked.expires) == ("./failover.sh production", moment(hours=2))
    assert [text for _, text in bench.ledger.moves if text.startswith("stopped")] == [reason] * bool(reason)


async def test_a_manual_step_that_nobody_answers_ends_the_execution() -> None:
    bench = RunBench(MANUAL_STEP, rollback="after: 3h")
    await bench.drive(healed_at=8000)
    assert bench.effects == []
    assert bench.ledger.moves[1][1] == "stopped at traffic: no answer within 2h: Move the traffic of web away."


async def test_a_manual_step_that_was_answered_before_a_long_absence_is_not_asked_about_again() -> None:
    """A person does it once, also where the question has expired before the next process resumes the run."""
    bench = RunBench(MANUAL_STEP, heals="kubectl scale", rollback="after: 9h")
    asked = replace(approval("traffic"), kind=QuestionKind.MANUAL)
    bench.ledger.questions = [replace(asked, **said(Answer.DONE, "ada", moment(minutes=1)))]
    await asyncio.sleep(timedelta(hours=3).total_seconds())
    await bench.drive()
    assert bench.ended == (IncidentState.RECOVERED, [SCALE])
    assert len(bench.ledger.questions) == 1


@pytest.mark.parametrize("down", [0, 600])
def test_a_restart_asks_no_second_time_and_moves_the_deadline_once(down: float) -> None:
    """C1: wherever the process ends, before, during and after the waiting."""

    def approved() -> RunBench:
        bench = RunBench(ASKS, heals="kubectl scale")
        bench.ledger.answers_after = timedelta(minutes=2)
        return bench

    def check(where: str, bench: RunBench, ended: RunRecord) -> None:
        assert bench.ended == (IncidentState.RECOVERED, [SCALE]), where
        assert len(bench.ledger.questions) == 1, where
        moved = ended.deadline - moment(minutes=30)
        assert timedelta(minutes=2) <= moved <= timedelta(minutes=2, seconds=2), f"{where}: moved by {moved}"

    assert cut_everywhere(approved, check, down=down) > 20


@pytest.mark.parametrize(("away", "asked", "made"), [(40, 2, 45), (20, 1, 20)])
async def test_an_answer_of_an_earlier_life_is_good_until_its_question_expires(
    away: float, asked: int, made: float
) -> None:
    """E28: a yes that was given before an outage is not acted upon for ever after."""
    bench = RunBench(ASKS, heals="kubectl scale")
    bench.ledger.questions = [approval("scale", answered=moment(minutes=1))]
    bench.ledger.answers_after = timedelta(minutes=5)
    await asyncio.sleep(timedelta(minutes=away).total_seconds())
    bench.ledger.record = replace(bench.ledger.record, deadline=moment(hours=2))
    times = bench.note_times()
    await bench.drive()
    assert [each.path for each in bench.ledger.questions] == ["scale"] * asked
    assert times[SCALE] == pytest.approx(made * 60, abs=3)


BACK = 'after: 10m\npolicy: always\nsteps:\n  - {id: back, approve: "Go back?", run: kubectl cordon three}'


@pytest.mark.parametrize("rejected", [False, True])
async def test_a_rollback_that_is_asked_for_again_asks_its_own_question(rejected: bool) -> None:
    """What was rejected or left unanswered the first time neither ends the second rollback at once nor answers for it."""
    bench = RunBench("- {id: one, run: kubectl cordon one}", rollback=BACK, heals="kubectl cordon three")
    if rejected:
        bench.at(900, lambda: bench.ledger.reject("rollback/back"))
    assert (await bench.drive()).state is IncidentState.NEEDS_OPERATOR
    assert "kubectl cordon three" not in bench.effects
    bench.reopen()
    bench.ledger.answers_after = timedelta(minutes=5)
    await bench.drive()
    assert [each.path for each in bench.ledger.questions] == ["rollback/back", "rollback/back"]
    assert "kubectl cordon three" in bench.effects
    assert bench.state is IncidentState.ROLLED_BACK


STEPS = """\
- id: first
  steps:
    - {id: one, run: kubectl cordon one, expect: service.ready > 5, within: 1m, onFailure: continue}
    - {id: two, run: kubectl cordon two}
- {id: last, run: kubectl cordon three}
"""
ONE, TWO, THREE = "kubectl cordon one", "kubectl cordon two", "kubectl cordon three"


def overtaken(*, since: float = 5, until: float) -> RunBench:
    """Return a run of which somebody wants the slot from one moment on, and which has one again at another."""
    bench = RunBench(STEPS, heals=THREE, takes=10)

    def wanted() -> None:
        bench.observed.higher, bench.observed.full = "database", "3 services at once is the limit"

    def free() -> None:
        bench.observed.higher = bench.observed.full = ""

    bench.at(since, wanted) if since else wanted()
    bench.at(until, free)
    return bench


@pytest.mark.parametrize(("since", "until", "made"), [(5, 300, [10, 80, 310]), (0, 100, [110, 180, 190])])
async def test_the_step_under_way_is_ended_whole_and_the_next_waits_until_there_is_a_slot_again(
    since: float, until: float, made: list[float]
) -> None:
    """The first step waits, too."""
    bench = overtaken(since=since, until=until)
    times = bench.note_times()
    assert (await bench.drive()).state is IncidentState.RECOVERED
    assert list(times.values()) == [pytest.approx(each, abs=2) for each in made]
    assert bench.states[:2] == [IncidentState.HELD, IncidentState.RUNNING]
    why = "the run yielded its slot to database, which has a higher priority, and continues when a slot is free"
    assert bench.stopped == why


async def test_neither_the_time_without_a_slot_nor_a_pause_after_it_counts_towards_the_deadline() -> None:
    bench = overtaken(until=3000)
    bench.at(3001, lambda: bench.ledger.pauses.append(pause(until=moment(seconds=5000), since=moment(seconds=3001))))
    assert (await bench.drive()).state is IncidentState.RECOVERED, "its deadline was at 1800 s"
    assert bench.deadline >= moment(seconds=1800 + 2900)


async def test_a_run_without_a_slot_in_the_ledger_waits_on() -> None:
    """What is known in memory may be behind: the ledger decides."""
    bench = overtaken(until=100)
    times = bench.note_times()
    bench.ledger.taken = True
    bench.at(200, lambda: setattr(bench.ledger, "taken", False))
    await bench.drive()
    assert times[THREE] == pytest.approx(210, abs=2)


async def test_a_person_is_told_once_of_a_run_that_waits_for_long() -> None:
    bench = overtaken(until=2000)
    await bench.drive()
    (told,) = bench.ledger.told
    assert told[0] is IncidentState.HELD
    assert "The run has waited for a slot since 12:01:" in told[1]


async def test_a_rollback_that_a_person_wants_does_not_wait_for_a_slot() -> None:
    bench = overtaken(until=10_000)
    bench.at(200, bench.request_rollback)
    bench.heals = "kubectl uncordon one"
    await bench.drive()
    assert bench.ended == (IncidentState.ROLLED_BACK, [ONE, TWO, "kubectl uncordon two", "kubectl uncordon one"])


@pytest.mark.parametrize("keeps", [{"rule": MANUAL}, {"parent": "run-stack"}], ids=["a person's", "a child"])
async def test_some_runs_keep_their_slot(keeps: dict[str, str]) -> None:
    """One that a person started, and a child, whose time is its parent's."""
    bench = overtaken(until=10_000)
    bench.ledger.record = replace(bench.ledger.record, **keeps)  # type: ignore[arg-type]
    await bench.drive()
    assert IncidentState.HELD not in bench.states
    assert clock() < 1000


def test_every_change_is_made_once_and_the_run_goes_on_by_itself_wherever_the_process_ends() -> None:
    """It waits for its slot in each of its lives' stories."""

    def check(where: str, bench: RunBench, ended: RunRecord) -> None:
        assert ended.state is IncidentState.RECOVERED, where
        assert sorted(bench.effects) == [ONE, THREE, TWO], where
        assert IncidentState.HELD in bench.states, where

    cut_everywhere(lambda: overtaken(until=300), check)
