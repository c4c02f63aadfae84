"""Cut the power at every commit and every effect, twice; start again with the ledger as it was (P3, P8, C1, C2)."""

from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kintsugi.actions.effect_plan import EffectStatus, Evidence
from kintsugi.errors import Conflict, Forbidden, Refused, ServerUnavailable, TooManyRequests
from kintsugi.model.records import StepRecord, StepState
from tests.unit.executor.effects import TEXT, ExecutorBench
from tests.unit.executor.power import Power, PowerCutError
from tests.unit.executor.scripted_actor import ContainedCall, Lost
from tests.unit.virtual import play


def start(bench: ExecutorBench, cut: int | None) -> StepRecord | None:
    """Run one process until it ends by itself, or by the cut (None)."""
    bench.connect(Power(cut))
    try:
        return play(bench.execute())
    except PowerCutError:
        return None


SCENARIOS: dict[str, list[ContainedCall]] = {
    "all goes well": [],
    "the server is busy": [TooManyRequests("busy"), ServerUnavailable("no connection")],
    "the answer is lost, it was made": [Lost(applied=True)],
    "the answer is lost, it was not made": [Lost(applied=False)],
    "the answer is lost twice": [Lost(applied=False), Lost(applied=True)],
    "it is overtaken": [Conflict("another uid")],
    "it may not be done": [Forbidden("may not patch")],
}


def planned_bench(turns: list[ContainedCall]) -> ExecutorBench:
    bench = ExecutorBench()
    bench.actor.evidence = (Evidence(kind="describe", text="d"),)
    bench.actor.will("perform", *turns)
    return bench


@pytest.mark.parametrize("turns", SCENARIOS.values(), ids=SCENARIOS)
def test_the_effect_is_made_at_most_once_wherever_the_process_ends(turns: list[ContainedCall]) -> None:
    """It is made exactly once where nothing else goes wrong. What a dead process left as an intent is probed before anything is done."""
    lefts = 0
    for cut in count(1):
        bench = planned_bench(turns)
        if start(bench, cut) is not None:
            assert lefts >= 3, "an intent is left before, between and after the effect"
            return
        committed = list(bench.states)
        assert not bench.actor.texts or committed, f"cut {cut}: an effect without an intent"
        bench.actor.calls.clear()
        record = start(bench, None)
        assert record is not None
        if committed[-1:] == [StepState.INTENT]:
            lefts += 1
            assert bench.actor.calls[0] == "probe", f"cut {cut}"
            assert bench.states[len(committed)] is StepState.UNKNOWN, f"cut {cut}"
        assert record.state not in {StepState.PLANNED, StepState.INTENT, StepState.UNKNOWN}, f"cut {cut}"
        assert len(bench.actor.texts) <= 1, f"cut {cut}: made twice"
        if record.state is StepState.DONE:
            assert bench.actor.texts == [TEXT], f"cut {cut}: done, but not made"
        if not turns:
            assert record.state is StepState.DONE, f"cut {cut}"
            assert bench.rows.evidence, f"cut {cut}: no evidence"


turns = st.sampled_from(
    [
        None,
        Lost(applied=True),
        Lost(applied=False),
        TooManyRequests("busy"),
        ServerUnavailable("no connection"),
        Conflict("another uid"),
    ]
)
judgements = st.sampled_from([None, None, Refused("it is healthy"), ServerUnavailable("no connection")])
cuts = st.lists(st.integers(min_value=1, max_value=16), max_size=4)


@settings(deadline=None)
@given(cuts=cuts, performing=st.lists(turns, max_size=6), preparing=st.lists(judgements, max_size=3))
def test_no_sequence_of_faults_and_deaths_makes_two_effects(
    cuts: list[int], performing: list[ContainedCall], preparing: list[ContainedCall]
) -> None:
    bench = ExecutorBench(perform=performing, prepare=preparing)
    for cut in cuts:
        start(bench, cut)
        assert not bench.actor.texts or StepState.INTENT in bench.states
    record = start(bench, None)
    assert record is not None
    assert record.state not in {StepState.PLANNED, StepState.INTENT, StepState.UNKNOWN}
    assert len(bench.actor.texts) <= 1
    assert record.state is not StepState.DONE or bench.actor.texts == [TEXT]
    assert bench.rows.known("scale#0") == record


@settings(deadline=None)
@given(cuts=cuts, performing=st.lists(turns, max_size=4))
def test_a_probe_that_cannot_tell_never_leads_to_a_second_effect(
    cuts: list[int], performing: list[ContainedCall]
) -> None:
    """At most once for what cannot be probed (P3)."""
    bench = ExecutorBench(perform=performing, probe=[EffectStatus.UNKNOWN] * 50)
    for cut in [*cuts, None]:
        start(bench, cut)
    assert len(bench.actor.texts) <= 1
