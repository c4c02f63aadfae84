"""Intent committed, effect, result committed; and every other way for an effect to end (P3, P8)."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from kintsugi.actions.effect_plan import EffectStatus, Evidence
from kintsugi.commands import encode
from kintsugi.errors import (
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    KubeError,
    NotFound,
    Refused,
    ServerUnavailable,
    TooManyRequests,
    Unauthorized,
    WrongState,
)
from kintsugi.model.command import Delete, ObjectName
from kintsugi.model.records import Phase, StepRecord, StepState
from kubeobjects.resources import PVCS
from tests.unit.executor.effects import SCALE, TEXT, ExecutorBench
from tests.unit.factories import moment, step, virtual_clock

pytestmark = pytest.mark.looptime

DELETE = Delete(objects=(ObjectName(resource=PVCS, name="data-db-0"),), namespace="production")


async def test_an_effect_is_done_between_its_two_commits() -> None:
    """P8: no effect without a committed intent."""
    bench = ExecutorBench()
    record = await bench.execute()
    assert record.state is StepState.DONE
    assert bench.power.story == ["scale#0 intent", f"effect {TEXT}", "scale#0 done"]


async def test_the_intent_says_what_on_what_until_when_and_how_to_take_it_back() -> None:
    """P8: what is committed before the effect is enough to probe it and to undo it."""
    bench = ExecutorBench()
    seen: list[StepRecord | None] = []
    bench.actor.on_change = lambda _: seen.append(bench.rows.known("scale#0"))
    await bench.execute()
    intent = seen[0]
    assert intent is not None
    assert intent.undo is not None
    assert intent.state is StepState.INTENT
    assert intent.changes is True
    assert intent.command == encode(SCALE)
    assert intent.text == TEXT
    assert intent.facts["uid"] == "u-1"
    assert str(intent.facts["mark"]).startswith("run-1/forward/scale#0")
    assert intent.undo.texts == ("kubectl scale deployment web --replicas=3 -n production",)
    assert intent.deadline == moment(minutes=30)
    assert intent.finished is None


async def test_evidence_is_kept_before_the_intent() -> None:
    """What a delete destroys is committed before anything may be destroyed."""
    bench = ExecutorBench()
    bench.actor.evidence = (Evidence(kind="describe", text="d"), Evidence(kind="logs", text="l"))
    await bench.execute()
    assert bench.power.story[:3] == ["evidence scale#0", "evidence scale#0", "scale#0 intent"]
    assert bench.rows.evidence == [("scale#0", "describe", "d"), ("scale#0", "logs", "l")]


@pytest.mark.parametrize(
    ("stage", "refusal", "state"),
    [
        ("prepare", Refused("it is healthy by now"), StepState.SKIPPED),
        ("prepare", NotFound("no such deployment"), StepState.SKIPPED),
        ("prepare", Forbidden("may not get"), StepState.FAILED),
        ("prepare", Conflict("a test failed"), StepState.FAILED),
        ("prepare", Invalid("not a patch"), StepState.FAILED),
        ("prepare", Unauthorized("who are you"), StepState.FAILED),
        ("perform", NotFound("it is gone"), StepState.SKIPPED),
        ("perform", Forbidden("may not patch"), StepState.FAILED),
        ("perform", Invalid("replicas must not be negative"), StepState.FAILED),
        ("perform", Unauthorized("who are you"), StepState.FAILED),
        ("perform", Gone("too old"), StepState.FAILED),
        ("perform", Refused("nothing to write"), StepState.FAILED),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
async def test_a_change_that_is_refused_is_not_tried_again(stage: str, refusal: Exception, state: StepState) -> None:
    """The object was overtaken (skipped), or waiting will not cure it (failed). What was not prepared is no change."""
    bench = ExecutorBench()
    bench.actor.will(stage, refusal)
    record = await bench.execute()
    is_prepared = stage == "perform"
    assert (record.state, record.error, record.text) == (state, str(refusal), TEXT)
    assert (record.changes, record.finished) == (is_prepared, moment())
    assert bench.states == ([StepState.INTENT, state] if is_prepared else [state])
    assert bench.actor.calls == (["prepare", "perform"] if is_prepared else ["prepare"])
    assert not bench.actor.texts


@pytest.mark.parametrize(
    ("phase", "state"), [(Phase.FORWARD, StepState.SKIPPED), (Phase.UNDO, StepState.DONE)], ids=str
)
async def test_an_object_that_somebody_else_has_deleted_is_overtaken_but_in_an_undo_it_is_as_it_should_be(
    phase: Phase, state: StepState
) -> None:
    """P3: nothing is deleted twice, and a way back does not end where somebody went it, too."""
    bench = ExecutorBench(perform=[NotFound("it is gone")], probe=[EffectStatus.DONE])
    known = replace(step("claim#0~0"), phase=phase)
    record = await bench.execute(command=DELETE, known=known)
    assert record.state is state
    assert not bench.actor.texts


async def test_a_patch_whose_object_has_changed_meanwhile_is_judged_anew() -> None:
    """B12: what was judged is no longer so; it is looked at again, and changed once."""
    bench = ExecutorBench(perform=[Conflict("the replicas were changed")])
    record = await bench.execute()
    assert record.state is StepState.DONE
    assert bench.actor.calls == ["prepare", "perform", "probe", "prepare", "perform"]
    assert bench.states == [
        StepState.INTENT,
        StepState.UNKNOWN,
        StepState.PLANNED,
        StepState.INTENT,
        StepState.DONE,
    ]


async def test_a_patch_whose_object_changes_again_and_again_is_given_up() -> None:
    """B12: the tries are bounded; and each was refused for sure, so that nothing is in doubt."""
    bench = ExecutorBench(perform=[Conflict("the replicas were changed")] * 9)
    record = await bench.execute()
    assert (record.state, record.error) == (StepState.FAILED, "not made: the replicas were changed")
    assert bench.actor.calls.count("perform") == 3


@pytest.mark.parametrize("stage", ["prepare", "perform"])
@pytest.mark.parametrize(
    ("trouble", "waited"),
    [
        ([TooManyRequests("busy", retry_after=timedelta(seconds=7))], 7),
        ([TooManyRequests("busy")], 0.5),
        ([ServerUnavailable("connection refused")], 0.5),
        ([ServerUnavailable("connection refused")] * 4, 0.5 + 1 + 2 + 4),
        ([ServerUnavailable("connection refused")] * 7, 0.5 + 1 + 2 + 4 + 8 + 10 + 10),
    ],
    ids=["429 with a word", "429", "refused once", "refused four times", "the longest wait"],
)
async def test_an_effect_that_surely_changed_nothing_is_tried_again_later(
    stage: str, trouble: list[KubeError], waited: float
) -> None:
    bench = ExecutorBench()
    bench.actor.will(stage, *trouble)
    record = await bench.execute()
    assert record.state is StepState.DONE
    assert asyncio.get_running_loop().time() == pytest.approx(waited)
    not_made = [StepState.INTENT, StepState.PLANNED] * (len(trouble) if stage == "perform" else 0)
    assert bench.states == [*not_made, StepState.INTENT, StepState.DONE]
    assert bench.actor.calls.count("prepare") == len(trouble) + 1
    assert bench.actor.texts == [TEXT]


@pytest.mark.parametrize(("stage", "state"), [("prepare", StepState.SKIPPED), ("perform", StepState.FAILED)])
@pytest.mark.parametrize("trouble", [TooManyRequests("busy"), ServerUnavailable("connection refused")], ids=str)
async def test_when_its_time_is_over_nothing_more_is_tried(stage: str, state: StepState, trouble: KubeError) -> None:
    """What could not even be judged was not made: the run goes on to be watched and, if need be, taken back."""
    bench = ExecutorBench()
    bench.actor.will(stage, *[trouble] * 1000)
    record = await bench.execute(retry_until=moment(minutes=2))
    assert (record.state, record.error) == (state, str(trouble))
    assert record.finished is not None
    assert record.finished < moment(minutes=2)
    assert not bench.actor.texts


async def test_an_effect_that_has_ended_is_left_alone() -> None:
    bench = ExecutorBench()
    for state in (StepState.DONE, StepState.FAILED, StepState.SKIPPED, StepState.NEEDS_OPERATOR):
        known = step("scale#0", state=state)
        assert await bench.execute(known=known) == known
    assert not bench.actor.calls
    assert not bench.states


async def test_an_effect_that_another_daemon_has_begun_is_not_begun_again() -> None:
    """P4: the commit of the intent fails, so that there is no effect."""
    bench = ExecutorBench()
    await bench.journal.save_step(step("scale#0", state=StepState.INTENT), expect=None, now=virtual_clock())
    with pytest.raises(WrongState):
        await bench.execute(known=step("scale#0"))
    assert not bench.actor.texts
