"""An unknown outcome is looked for, never repeated blindly; what no probe can tell goes to a person (P3, C2)."""

from collections.abc import Mapping, Sequence

import pytest

from kintsugi.actions.effect_plan import EffectStatus
from kintsugi.errors import Forbidden, NotFound, Refused, ServerUnavailable, TooManyRequests
from kintsugi.model.records import StepState
from tests.unit.executor.effects import TEXT, ExecutorBench
from tests.unit.executor.scripted_actor import ContainedCall, Lost
from tests.unit.factories import moment

pytestmark = pytest.mark.looptime

PLANNED, INTENT, UNKNOWN, DONE = StepState.PLANNED, StepState.INTENT, StepState.UNKNOWN, StepState.DONE
SKIPPED, FAILED, PERSON = StepState.SKIPPED, StepState.FAILED, StepState.NEEDS_OPERATOR
MADE, NOT_MADE = Lost(applied=True), Lost(applied=False)
AWAY, BUSY = ServerUnavailable("no connection"), TooManyRequests("busy")
FOUND, ANEW = ["prepare", "perform", "probe"], ["prepare", "perform", "probe", "prepare"]


@pytest.mark.parametrize(
    ("script", "calls", "states"),
    [
        ({"perform": [MADE]}, [*FOUND, "look_again"], [DONE]),
        ({"perform": [MADE], "probe": [AWAY, BUSY]}, [*FOUND, "probe", "probe", "look_again"], [DONE]),
        ({"perform": [MADE], "look_again": [Forbidden("may not get")]}, [*FOUND, "look_again"], [DONE]),
        ({"perform": [MADE], "look_again": [NotFound("it is being deleted")]}, [*FOUND, "look_again"], [DONE]),
        ({"perform": [NOT_MADE]}, [*ANEW, "perform"], [PLANNED, INTENT, DONE]),
    ],
    ids=["made", "made, once the server answers", "made and not readable", "made and gone", "not made: judged anew"],
)
async def test_a_change_whose_answer_is_lost_is_made_once(
    script: Mapping[str, Sequence[ContainedCall]], calls: list[str], states: list[StepState]
) -> None:
    bench = ExecutorBench(**script)
    record = await bench.execute()
    assert (record.state, record.error, bench.actor.texts) == (DONE, "", [TEXT])
    assert (bench.actor.calls, bench.states) == (calls, [INTENT, UNKNOWN, *states])


@pytest.mark.parametrize(
    ("made", "stage", "turns", "minutes", "states", "error"),
    [
        (NOT_MADE, "prepare", [None, Refused("it is healthy by now")], 30, [PLANNED, SKIPPED], "it is healthy by now"),
        (NOT_MADE, "probe", [], 0, [FAILED], "not applied, and the time for retries is over"),
        (MADE, "probe", [EffectStatus.UNKNOWN], 30, [PERSON], "it is unknown whether the change was applied"),
        (MADE, "probe", [Forbidden("may not get")], 30, [PERSON], "the outcome could not be determined: may not get"),
        (MADE, "probe", [AWAY] * 1000, 1, [PERSON], "the outcome could not be determined: no connection"),
    ],
    ids=["not wanted any more", "not made in time", "unknown", "a probe that is refused", "a server that stays away"],
)
async def test_a_change_whose_answer_is_lost_and_that_is_not_found_ends_with_the_reason(
    made: Lost, stage: str, turns: list[ContainedCall], minutes: float, states: list[StepState], error: str
) -> None:
    """A person is asked where no probe can tell."""
    bench = ExecutorBench(perform=[made])
    bench.actor.will(stage, *turns)
    record = await bench.execute(retry_until=moment(minutes=minutes))
    assert (record.state, record.error, bench.states) == (states[-1], error, [INTENT, UNKNOWN, *states])
    assert bench.actor.texts == [TEXT] * made.applied


@pytest.mark.parametrize("lost", [*([NOT_MADE] * times for times in (2, 3, 4, 10)), [NOT_MADE, NOT_MADE, MADE]])
async def test_an_answer_that_is_lost_again_and_again_still_ends(lost: list[Lost]) -> None:
    """An effect always ends: one that stays unknown would be taken for one that was refused (P3)."""
    bench = ExecutorBench(perform=lost)
    record = await bench.execute()
    assert record.state in {DONE, StepState.NEEDS_OPERATOR}
    assert bench.rows.known("scale#0") == record
    assert len(bench.actor.texts) == (1 if record.state is DONE or MADE in lost else 0)
