"""What people are told of a run: the hand-over, the account of a restore, what its own steps have taken back or left changed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from kintsugi.errors import Forbidden
from kintsugi.model.records import IncidentState, Phase, StepRecord, StepState, UndoRecord
from kintsugi.runner.journal import storable
from kintsugi.runner.report import hand_over, left_changed, memory_raise_summary, restore_summary, rollback_summary
from tests.unit.factories import NOW, step
from tests.unit.runner.bench import driven


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


EVERY_PART = """\
the deadline was reached
Done:
  do one
  do two
Uncertain:
  do three (its answer was lost)
Not done:
  do four (forbidden)
  do five (an autoscaler owns it)
Undo commands, newest first:
  undo three
  undo two
  undo one"""


def test_every_part_is_there_in_its_order() -> None:
    steps = [
        record("one", StepState.DONE, undo=back("undo one")),
        record("two", StepState.DONE, undo=back("undo two")),
        record("three", StepState.UNKNOWN, error="its answer was lost", undo=back("undo three")),
        record("four", StepState.FAILED, error="forbidden", undo=back("undo four")),
        record("five", StepState.SKIPPED, error="an autoscaler owns it", changes=False),
    ]
    assert hand_over("the deadline was reached", steps) == EVERY_PART


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [replace(record("one", StepState.SKIPPED, error="not needed", changes=False), facts={"left_out": True})],
        [record("look", StepState.DONE, changes=False)],
    ],
    ids=["nothing", "a step that was not wanted", "a look"],
)
def test_an_empty_part_of_the_message_is_left_out(steps: list[StepRecord]) -> None:
    assert hand_over("why", steps) == "why"


@pytest.mark.parametrize("state", [StepState.INTENT, StepState.UNKNOWN, StepState.NEEDS_OPERATOR])
def test_a_change_that_may_have_happened_is_uncertain_and_has_its_way_back(state: StepState) -> None:
    text = hand_over("why", [record("one", state, error="e", undo=back("undo one"))])
    assert text == "why\nUncertain:\n  do one (e)\nUndo commands, newest first:\n  undo one"


def test_a_change_that_needs_no_way_back_says_why_and_an_undo_has_none() -> None:
    text = hand_over("why", [record("one", StepState.DONE, undo=UndoRecord(note="its controller makes another"))])
    assert "  # do one: its controller makes another" in text
    undone = record("one~0", StepState.DONE, phase=Phase.UNDO, undo=back("undo the undo"))
    assert "undo the undo" not in hand_over("why", [undone])


FAILED = """\
two#0: may not patch
Done:
  kubectl cordon one
Not done:
  kubectl scale deployment web --replicas=5 -n production (may not patch)
Undo commands, newest first:
  kubectl uncordon one"""


@pytest.mark.looptime
async def test_a_run_that_failed_tells_all_of_it() -> None:
    steps = """\
    - {id: one, run: kubectl cordon one}
    - {id: two, run: kubectl scale deployment/web --replicas=5}
    - {id: three, run: kubectl cordon three}
    """
    script = {"perform kubectl scale deployment web --replicas=5 -n production": Forbidden("may not patch")}
    bench = await driven(steps, script=script)
    assert (bench.state, bench.reason) == (IncidentState.FAILED, FAILED)


def left(path: str, **own: object) -> StepRecord:
    """Make a step that came to something, as the ledger keeps it."""
    return StepRecord(run="run-1", path=path, state=StepState.DONE, met=True, result=storable(own))


def backup(taken: datetime = NOW - timedelta(minutes=47), *skipped: Mapping[str, str]) -> StepRecord:
    """Make the step that fetched the backup."""
    return left("restore/newest", backup={"url": "s3://b/app.dump", "taken": taken, "skipped": list(skipped)})


def restored(*tables: tuple[str, int]) -> StepRecord:
    """Make the step that restored it."""
    found = [{"name": name, "rows": rows} for name, rows in tables]
    return left("restore/restore", restored={"database": "app", "tables": found})


def test_the_account_says_the_moment_the_loss_the_rows_and_the_skipped_backups() -> None:
    bad = {"url": "s3://b/later.dump", "reason": "it is truncated"}
    steps = [backup(NOW - timedelta(minutes=47), bad), restored(("public.orders", 1000), ("public.items", 20))]
    assert restore_summary(steps, NOW) == (
        "restored to 2026-05-04 11:13:00 UTC, 47m before the failure; public.orders 1000 rows, public.items 20 rows; "
        "skipped s3://b/later.dump (it is truncated)"
    )


def test_a_newer_backup_is_told_as_such_many_tables_up_to_a_number_and_none_where_nothing_was_restored() -> None:
    """An alert may have come before the data were lost."""
    assert "2m after the failure" in restore_summary([backup(NOW + timedelta(minutes=2)), restored(("t", 1))], NOW)
    said = restore_summary([backup(), restored(*((f"t{number}", 1) for number in range(25)))], NOW)
    assert "t19 1 rows, and 5 more tables" in said
    assert "t20" not in said
    assert restore_summary([backup()], NOW) == ""


CAUSE = "container web cannot pull image web:2"


def done(path: str, verb: str, *, phase: Phase = Phase.FORWARD, **more: object) -> StepRecord:
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


DIAGNOSED = done("why", "kintsugi diagnose", text=CAUSE)
WENT_BACK = done("back~0", "kubectl rollout undo", revision=2, to=1, had="image web:2", gets="image web:1")


CORDONED = replace(
    done("moved/cordon~0", "kubectl cordon", unschedulable=False),
    text="kubectl cordon node-2",
    undo=UndoRecord(texts=("kubectl uncordon node-2",)),
)
UNCORDONED = replace(done("free~0", "kubectl uncordon", unschedulable=True), text="kubectl uncordon node-2")
UNDONE = replace(CORDONED, path=str(CORDONED.step_path.undone_by(0)), phase=Phase.UNDO, text="kubectl uncordon node-2")
EVICTED = replace(done("moved/evict~0", "kubectl evict-pod", uid="u1"), undo=UndoRecord(note="it is made anew"))


RAISED = replace(DIAGNOSED, result={"remedy": "raise-memory", "reason": "its limit is raised"})
RESIZED = done("raised/resize[1]", "kubectl patch", written={"/spec/containers/0/resources/limits/memory": "164Mi"})


ROLLED_BACK = f"rolled back from revision 2 (image web:2) to 1 (image web:1): {CAUSE}"
STAYS = "kubectl cordon node-2 stays in force until a person runs kubectl uncordon node-2"
UNDID = done("restart~0", "kubectl rollout undo", phase=Phase.UNDO, revision=2, to=1)
CASES: Mapping[str, tuple[Callable[[Sequence[StepRecord]], str], list[StepRecord], str]] = {
    "rolled back by a step": (rollback_summary, [DIAGNOSED, WENT_BACK], ROLLED_BACK),
    "by the undo of a change": (rollback_summary, [DIAGNOSED, UNDID], ""),
    "by its text and not its verb": (rollback_summary, [done("a~0", "kubectl rollout pause", revision=2, to=1)], ""),
    "cordoned": (left_changed, [CORDONED, EVICTED], STAYS),
    "cordoned before": (left_changed, [replace(CORDONED, undo=UndoRecord(note="nothing was changed"))], ""),
    "uncordoned by a later step": (left_changed, [CORDONED, UNCORDONED], ""),
    "undone": (left_changed, [CORDONED, UNDONE], ""),
    "evicted": (left_changed, [EVICTED], ""),
    "two pods": (memory_raise_summary, [RAISED, RESIZED, RESIZED], "temporary, in 2 pods: its limit is raised"),
    "one pod": (memory_raise_summary, [RAISED, RESIZED], "temporary, in 1 pod: its limit is raised"),
    "not raised": (memory_raise_summary, [RAISED], ""),
    "not for the cause": (memory_raise_summary, [DIAGNOSED, RESIZED], ""),
    "lowered again": (memory_raise_summary, [RAISED, replace(RESIZED, phase=Phase.UNDO)], ""),
    "another patch": (memory_raise_summary, [RAISED, done("a~0", "kubectl patch", fields=["/metadata/a"])], ""),
}


@pytest.mark.parametrize("case", CASES)
def test_a_rollback_a_cordon_that_stays_and_a_limit_raised_in_place_are_told_of_the_steps_that_did_them(
    case: str,
) -> None:
    """With the cause found before it, the command that ends it, and that it is temporary."""
    summary, steps, told = CASES[case]
    assert summary(steps) == told
