"""What is told of a workload that a run's own steps have taken back: by the verbs of its steps, and by none of their texts."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from kintsugi.model.records import Phase, StepRecord, StepState, UndoRecord
from kintsugi.runner.report import left_changed, memory_raise_summary, rollback_summary

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CAUSE = "container web cannot pull image web:2"


def step(path: str, verb: str, *, phase: Phase = Phase.FORWARD, **more: object) -> StepRecord:
    """Return a step that was done; it is a change where it has facts."""
    facts = {key: value for key, value in more.items() if key != "text"}
    return StepRecord(
        run="run-1",
        path=path,
        phase=phase,
        state=StepState.DONE,
        changes=bool(facts),
        verb=verb,
        text=f"{verb} deployment/web",
        facts=facts,
        result={"text": more["text"]} if "text" in more else None,
        started=NOW,
        finished=NOW,
    )


DIAGNOSED = step("why", "kintsugi diagnose", text=CAUSE)
WENT_BACK = step("back~0", "kubectl rollout undo", revision=2, to=1, had="image web:2", gets="image web:1")


def test_a_rollback_by_a_step_is_told_with_the_cause_found_before_it() -> None:
    told = "rolled back from revision 2 (image web:2) to 1 (image web:1): container web cannot pull image web:2"
    assert rollback_summary([DIAGNOSED, WENT_BACK]) == told


def test_the_undo_of_a_change_is_no_rollback_by_a_step() -> None:
    undo = step("restart~0", "kubectl rollout undo", phase=Phase.UNDO, revision=2, to=1)
    assert rollback_summary([DIAGNOSED, undo]) == ""


def test_the_verb_of_a_step_is_asked_and_not_its_text() -> None:
    other = step("back~0", "kubectl rollout pause", revision=2, to=1)
    assert rollback_summary([other]) == ""


CORDONED = replace(
    step("moved/cordon~0", "kubectl cordon", unschedulable=False),
    text="kubectl cordon node-2",
    undo=UndoRecord(texts=("kubectl uncordon node-2",)),
)
UNCORDONED = replace(step("free~0", "kubectl uncordon", unschedulable=True), text="kubectl uncordon node-2")
UNDONE = replace(CORDONED, path=str(CORDONED.step_path.undone_by(0)), phase=Phase.UNDO, text="kubectl uncordon node-2")
EVICTED = replace(step("moved/evict~0", "kubectl evict-pod", uid="u1"), undo=UndoRecord(note="it is made anew"))


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([CORDONED, EVICTED], "kubectl cordon node-2 stays in force until a person runs kubectl uncordon node-2"),
        ([replace(CORDONED, undo=UndoRecord(note="nothing was changed"))], ""),
        ([CORDONED, UNCORDONED], ""),
        ([CORDONED, UNDONE], ""),
        ([EVICTED], ""),
    ],
    ids=["cordoned", "cordoned before", "uncordoned by a later step", "undone", "evicted"],
)
def test_a_cordon_that_stays_after_its_run_is_told_with_the_command_that_ends_it(
    steps: list[StepRecord], told: str
) -> None:
    assert left_changed(steps) == told


RAISED = replace(DIAGNOSED, result={"remedy": "raise-memory", "reason": "its limit is raised"})
RESIZED = step("raised/resize[1]", "kubectl patch", written={"/spec/containers/0/resources/limits/memory": "164Mi"})


def test_a_limit_that_was_raised_in_place_is_told_to_be_temporary() -> None:
    assert memory_raise_summary([RAISED, RESIZED, RESIZED]) == "temporary, in 2 pods: its limit is raised"
    assert memory_raise_summary([RAISED, RESIZED]) == "temporary, in 1 pod: its limit is raised"


def test_a_limit_that_was_not_raised_for_the_cause_or_was_lowered_again_is_not_told() -> None:
    assert memory_raise_summary([RAISED]) == ""
    assert memory_raise_summary([DIAGNOSED, RESIZED]) == ""
    assert memory_raise_summary([RAISED, replace(RESIZED, phase=Phase.UNDO)]) == ""
    assert memory_raise_summary([RAISED, step("mark~0", "kubectl patch", fields=["/metadata/labels/a"])]) == ""
