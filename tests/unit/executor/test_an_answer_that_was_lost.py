"""An unknown outcome is looked for, never repeated blindly; what no probe can tell goes to a person (P3, C2)."""

import pytest

from kintsugi.actions.effect_plan import EffectStatus
from kintsugi.errors import Forbidden, NotFound, Refused, ServerUnavailable, TooManyRequests
from kintsugi.model.records import StepState
from tests.unit.executor.effects import TEXT, ExecutorBench
from tests.unit.executor.scripted_actor import Lost
from tests.unit.factories import moment

pytestmark = pytest.mark.looptime

PLANNED, INTENT, UNKNOWN, DONE = StepState.PLANNED, StepState.INTENT, StepState.UNKNOWN, StepState.DONE


async def test_a_change_that_was_made_is_found_and_not_made_again() -> None:
    bench = ExecutorBench()
    bench.actor.will("perform", Lost(applied=True))
    record = await bench.execute()
    assert record.state is DONE
    assert bench.states == [INTENT, UNKNOWN, DONE]
    assert bench.actor.texts == [TEXT]
    assert bench.actor.calls == ["prepare", "perform", "probe", "look_again"]


async def test_a_change_that_was_not_made_is_judged_anew_and_made_once() -> None:
    bench = ExecutorBench()
    bench.actor.will("perform", Lost(applied=False))
    record = await bench.execute()
    assert (record.state, record.error) == (DONE, "")
    assert bench.states == [INTENT, UNKNOWN, PLANNED, INTENT, DONE]
    assert bench.actor.texts == [TEXT]
    assert bench.actor.calls == ["prepare", "perform", "probe", "prepare", "perform"]


async def test_a_change_that_is_not_wanted_any_more_when_judged_anew_is_skipped() -> None:
    bench = ExecutorBench()
    bench.actor.will("prepare", None, Refused("it is healthy by now"))
    bench.actor.will("perform", Lost(applied=False))
    record = await bench.execute()
    assert (record.state, record.error) == (StepState.SKIPPED, "it is healthy by now")
    assert bench.states == [INTENT, UNKNOWN, PLANNED, StepState.SKIPPED]


async def test_an_effect_whose_outcome_is_unknown_goes_to_a_person() -> None:
    bench = ExecutorBench()
    bench.actor.will("perform", Lost(applied=True))
    bench.actor.will("probe", EffectStatus.UNKNOWN)
    record = await bench.execute()
    assert (record.state, record.error) == (StepState.NEEDS_OPERATOR, "it is unknown whether the change was applied")
    assert bench.states == [INTENT, UNKNOWN, StepState.NEEDS_OPERATOR]
    assert bench.actor.texts == [TEXT]


async def test_a_probe_that_is_refused_goes_to_a_person() -> None:
    bench = ExecutorBench()
    bench.actor.will("perform", Lost(applied=True))
    bench.actor.will("probe", Forbidden("may not get deployments"))
    record = await bench.execute()
    assert record.state is StepState.NEEDS_OPERATOR
    assert record.error == "the outcome could not be determined: may not get deployments"


async def test_a_probe_waits_for_a_server_that_is_away() -> None:
    bench = ExecutorBench()
    bench.actor.will("perform", Lost(applied=True))
    bench.actor.will("probe", ServerUnavailable("no connection"), TooManyRequests("busy"))
    assert (await bench.execute()).state is DONE
    assert bench.actor.texts == [TEXT]


async def test_a_server_that_stays_away_until_time_is_over_leaves_it_to_a_person() -> None:
    bench = ExecutorBench()
    bench.actor.will("perform", Lost(applied=True))
    bench.actor.will("probe", *[ServerUnavailable("no connection")] * 1000)
    record = await bench.execute(retry_until=moment(minutes=1))
    assert record.state is StepState.NEEDS_OPERATOR
    assert bench.actor.texts == [TEXT]


async def test_an_effect_that_was_not_made_in_time_is_not_begun_again() -> None:
    bench = ExecutorBench()
    bench.actor.will("perform", Lost(applied=False))
    record = await bench.execute(retry_until=moment())
    assert (record.state, record.error) == (StepState.FAILED, "not applied, and the time for retries is over")
    assert not bench.actor.texts


@pytest.mark.parametrize("times", [2, 3, 4, 10])
async def test_an_answer_that_is_lost_again_and_again_still_ends(times: int) -> None:
    """An effect always ends: one that stays unknown would be taken for one that was refused (P3)."""
    bench = ExecutorBench()
    bench.actor.will("perform", *[Lost(applied=False)] * times)
    record = await bench.execute()
    assert record.state in {DONE, StepState.NEEDS_OPERATOR}
    assert bench.rows.known("scale#0") == record
    assert len(bench.actor.texts) == (1 if record.state is DONE else 0)


async def test_a_change_that_is_lost_at_last_but_was_made_is_found() -> None:
    bench = ExecutorBench()
    bench.actor.will("perform", Lost(applied=False), Lost(applied=False), Lost(applied=True))
    record = await bench.execute()
    assert record.state in {DONE, StepState.NEEDS_OPERATOR}
    assert bench.actor.texts == [TEXT]


@pytest.mark.parametrize("trouble", [Forbidden("may not get"), NotFound("it went on to be deleted")], ids=str)
async def test_a_change_that_was_found_made_is_done_even_when_its_object_cannot_be_read_again(
    trouble: Exception,
) -> None:
    bench = ExecutorBench()
    bench.actor.will("perform", Lost(applied=True))
    bench.actor.will("look_again", trouble)
    record = await bench.execute()
    assert record.state is DONE
    assert bench.states == [INTENT, UNKNOWN, DONE]
