"""The hand-over: the reason, what was done, what is uncertain, what was not, and the exact way back, newest first."""

from dataclasses import replace

import pytest

from kintsugi.errors import Forbidden
from kintsugi.model.records import IncidentState, Phase, StepRecord, StepState, UndoRecord
from kintsugi.runner.report import hand_over
from tests.unit.executor.scripted_actor import Lost
from tests.unit.factories import step
from tests.unit.runner.bench import RunBench

pytestmark = pytest.mark.looptime


def record(
    path: str,
    state: StepState,
    *,
    text: str = "",
    error: str = "",
    undo: UndoRecord | None = None,
    changes: bool = True,
    phase: Phase = Phase.FORWARD,
) -> StepRecord:
    """Return the record of a change."""
    made = replace(step(path, state=state), text=text or f"do {path}", error=error, undo=undo, changes=changes)
    return replace(made, phase=phase)


def back(text: str) -> UndoRecord:
    """Return a way back."""
    return UndoRecord(commands=({"command": "x"},), texts=(text,))


def test_every_part_is_there_in_its_order() -> None:
    text = hand_over(
        "the deadline was reached",
        [
            record("one", StepState.DONE, undo=back("undo one")),
            record("two", StepState.DONE, undo=back("undo two")),
            record("three", StepState.UNKNOWN, error="its answer was lost", undo=back("undo three")),
            record("four", StepState.FAILED, error="forbidden", undo=back("undo four")),
            record("five", StepState.SKIPPED, error="an autoscaler owns it", changes=False),
        ],
    )
    assert text == "\n".join(
        [
            "the deadline was reached",
            "Done:",
            "  do one",
            "  do two",
            "Uncertain:",
            "  do three (its answer was lost)",
            "Not done:",
            "  do four (forbidden)",
            "  do five (an autoscaler owns it)",
            "Undo commands, newest first:",
            "  undo three",
            "  undo two",
            "  undo one",
        ]
    )


def test_an_empty_part_of_the_message_is_left_out() -> None:
    assert hand_over("nothing was done", []) == "nothing was done"


def test_a_step_that_was_not_wanted_is_nothing_to_tell_of() -> None:
    left_out = replace(record("one", StepState.SKIPPED, error="not needed", changes=False), facts={"left_out": True})
    assert hand_over("why", [left_out]) == "why"


@pytest.mark.parametrize("state", [StepState.INTENT, StepState.UNKNOWN, StepState.NEEDS_OPERATOR])
def test_a_change_that_may_have_happened_is_uncertain_and_has_its_way_back(state: StepState) -> None:
    text = hand_over("why", [record("one", state, error="e", undo=back("undo one"))])
    assert "Uncertain:\n  do one (e)" in text
    assert "undo one" in text
    assert "Done:" not in text.replace("Not done:", "")


def test_a_change_that_needs_no_way_back_says_why() -> None:
    text = hand_over("why", [record("one", StepState.DONE, undo=UndoRecord(note="its controller makes another"))])
    assert "  # do one: its controller makes another" in text


def test_looks_and_undone_parts_of_the_rollback_are_no_changes_to_take_back() -> None:
    looked = record("look", StepState.DONE, changes=False)
    undone = record("one~0", StepState.DONE, phase=Phase.UNDO, undo=back("undo the undo"))
    text = hand_over("why", [looked, undone])
    assert "look" not in text
    assert "undo the undo" not in text


async def test_a_run_that_failed_tells_all_of_it() -> None:
    bench = RunBench(
        """\
        - {id: one, run: kubectl cordon one}
        - {id: two, run: kubectl scale deployment/web --replicas=5}
        - {id: three, run: kubectl cordon three}
        """
    )
    bench.actor.will("perform kubectl scale deployment web --replicas=5 -n production", Forbidden("may not patch"))
    ended = await bench.drive()
    assert ended.state is IncidentState.FAILED
    assert ended.reason == "\n".join(
        [
            "two#0: may not patch",
            "Done:",
            "  kubectl cordon one",
            "Not done:",
            "  kubectl scale deployment web --replicas=5 -n production (may not patch)",
            "Undo commands, newest first:",
            "  kubectl uncordon one",
        ]
    )


async def test_a_run_of_which_nobody_can_tell_names_the_uncertain_change() -> None:
    bench = RunBench("- {id: one, run: kubectl cordon one}")
    bench.actor.will("perform", Lost(applied=True))
    bench.actor.will("probe", Forbidden("may not get nodes"))
    ended = await bench.drive()
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert "Uncertain:\n  kubectl cordon one (the outcome could not be determined: may not get nodes)" in ended.reason
    assert "Undo commands, newest first:\n  kubectl uncordon one" in ended.reason
