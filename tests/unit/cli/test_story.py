"""Which of a run's records people are told, under which step, and what is left to take back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kintsugi.cli.story import parents_of, step_lines, story, summary, undo_commands
from kintsugi.decisions.incident_summary import visible_steps
from kintsugi.decisions.next_command import next_command
from kintsugi.model.api_types import IncidentDetail, RunDetail
from kintsugi.model.questions import Answer
from kintsugi.model.records import (
    IncidentState,
    KeptDiagnosis,
    Occasion,
    Phase,
    RunKind,
    StepRecord,
    StepState,
    UndoRecord,
)
from kintsugi.model.services import STACK
from kubediagnosis.causes import ObjectChange
from tests.harness.answers import said
from tests.integration.operations_double import DETAIL, QUESTION, RUN, STEPS, at
from tests.integration.told_diagnosis import DIAGNOSIS


def step(path: str, state: StepState = StepState.DONE, **fields: Any) -> StepRecord:
    """Make a record of the run."""
    record = StepRecord(run=RUN.id, path=path, state=state)
    return replace(record, **fields)


def changed(path: str, *undo: str, seconds: float = 0, phase: Phase = Phase.FORWARD) -> StepRecord:
    """Make the record of a change that was made and can be undone."""
    return step(path, changes=True, text=path, started=at(seconds), undo=UndoRecord(texts=undo), phase=phase)


def of(*steps: StepRecord, state: IncidentState = IncidentState.RECOVERED) -> IncidentDetail:
    """Return an incident with one run of these steps."""
    return IncidentDetail(incident=DETAIL.incident, runs=(RunDetail(run=replace(RUN, state=state), steps=steps),))


def test_bookkeeping_is_not_told_and_steps_come_in_the_order_of_their_beginning() -> None:
    mixed = [step("late", started=at(99)), *STEPS, step("drain#"), step("never")]
    assert [each.path for each in visible_steps(mixed, Phase.FORWARD)] == [
        *("check", "restart", "restart[0]#0", "scale#0", "cleanup", "late", "never"),
    ]


def test_an_effect_belongs_to_its_step_wherever_that_is() -> None:
    effects = [step(path) for path in ("restart[0]#0", "scale#1", "a/b#0", "each[2]/c[1]#0", "each[2]/look", "plain")]
    assert set(map(str, parents_of(effects))) == {"restart", "scale", "a/b", "each[2]/c"}


def test_a_step_inside_a_round_is_told_by_its_name() -> None:
    told = [line.plain for line in step_lines(step("each[2]/look", name="Look at it"), frozenset())]
    assert told == ["            done  Look at it"]


def offered(*steps: StepRecord, state: IncidentState = IncidentState.RECOVERED) -> list[str]:
    """Return the lines that offer to take the changes of such a run back."""
    return [line.plain for line in undo_commands(of(*steps, state=state))]


def test_changes_are_taken_back_newest_first() -> None:
    told = offered(changed("a#0", "undo a", seconds=1), changed("b#0", "undo b", seconds=2))
    assert told[:2] == ["$ undo b", "$ undo a"]
    assert "kintsugi rollback inc-1" in told[2]


def test_a_change_that_was_taken_back_is_not_offered_again() -> None:
    assert offered(changed("a#0", "undo a"), changed("a#0~0", phase=Phase.UNDO)) == []


def test_an_undo_that_failed_leaves_its_change_to_be_taken_back() -> None:
    failed = replace(changed("a#0~0", phase=Phase.UNDO), state=StepState.FAILED)
    assert offered(changed("a#0", "undo a"), failed)[0] == "$ undo a"


def test_a_run_that_was_rolled_back_leaves_nothing() -> None:
    assert offered(changed("a#0", "undo a"), state=IncidentState.ROLLED_BACK) == []


def test_a_refused_or_failed_change_has_nothing_to_take_back_but_an_uncertain_one_has() -> None:
    """Nobody knows whether an unknown change was made: its way back must be at hand (P3)."""
    states = (StepState.SKIPPED, StepState.FAILED, StepState.UNKNOWN, StepState.NEEDS_OPERATOR, StepState.INTENT)
    told = offered(*(replace(changed(f"{state}#0", f"undo {state}"), state=state) for state in states))
    commands = {line for line in told if line.startswith("$")}
    assert commands == {"$ undo unknown", "$ undo needs-operator", "$ undo intent"}


def test_an_open_run_says_when_the_watchdog_looks() -> None:
    open_run = replace(DETAIL.runs[0], run=replace(RUN, finished=None, state=IncidentState.RUNNING))
    detail = replace(DETAIL, runs=(open_run,))
    early = "\n".join(line.plain for line in story(detail, now=RUN.deadline - timedelta(minutes=1)))
    late = "\n".join(line.plain for line in story(detail, now=datetime.max.replace(tzinfo=UTC)))
    assert "The watchdog checks at 03:28:00: if web-service is not healthy then, the change is rolled back" in early
    assert "The watchdog is due" in late


def test_a_summary_of_a_handed_over_incident_ends_with_the_next_commands_and_the_stop() -> None:
    """The cause comes once; of the changes before and of those that were made, the newest and the first are shown."""
    changes = [
        ObjectChange(object="deployment/web", field=field, before="1", after="2", shown=True)
        for field in ("replicas", "env[A]", "env[B]")
    ]
    kept = KeptDiagnosis(
        incident="inc-1", occasion=Occasion.HAND_OVER, diagnosis=replace(DIAGNOSIS, changes=tuple(changes))
    )
    steps = [changed(f"kubectl change {number}", f"undo {number}", seconds=number) for number in range(6)]
    skipped = replace(step("look"), state=StepState.SKIPPED, error="not needed")
    handed_over = replace(DETAIL.incident, state=IncidentState.NEEDS_OPERATOR, reason="it is not healthy\nDone:\n  x")
    found = replace(
        of(*steps, skipped, state=IncidentState.NEEDS_OPERATOR), incident=handed_over, diagnoses=(kept, kept)
    )
    lines = [line.plain for line in summary(found, now=at(60))]
    assert lines[1].startswith("Cause: ImagePull (certain): ")
    assert lines[2:] == [
        "Changed before: deployment/web env[B] 1 -> 2; deployment/web env[A] 1 -> 2",
        "Changes:",
        *(f"  $ kubectl change {number}" for number in range(4)),
        "  … and 2 more",
        "Outcome: needs-operator: it is not healthy",
        "Next: Undo the changes of Kintsugi, unless they help. Push the image again, or name one that the registry has.",
        "  $ kintsugi rollback inc-1",
        "  $ kubectl edit deployment/web -n production",
        "Where to look: kubectl describe deployment/web -n production; kintsugi incident inc-1 --all",
        "Stop: kintsugi pause --freeze --service web-service --why TEXT",
    ]


def test_a_summary_shows_apart_what_was_changed_and_what_undid_it() -> None:
    change, back = changed("kubectl change", "kubectl undo"), changed("kubectl undo", phase=Phase.UNDO)
    lines = [line.plain for line in summary(of(change, back), now=at(60))]
    assert lines[lines.index("Changes:") + 1 :][:2] == ["  $ kubectl change", "Undone: $ kubectl undo"]


def test_a_summary_shows_the_question_that_waits_and_none_that_was_asked_again_or_rejected() -> None:
    waits = replace(QUESTION, path="drain", text="Drain it?", asked=at(303))
    again = replace(QUESTION, path="drain", text="Drain it at once?", asked=at(302))
    rejected = replace(QUESTION, path="restart", text="Restart it?", asked=at(304), **said(Answer.NO, "ana", at(305)))
    awaiting = replace(DETAIL.incident, state=IncidentState.AWAITING_APPROVAL)
    for questions, shown_question in (((again, waits, rejected), ["Drain it?"]), ((rejected,), [])):
        lines = [line.plain for line in summary(replace(DETAIL, incident=awaiting, questions=questions), now=at(310))]
        assert [
            line.split(": ")[1].partition(" (")[0] for line in lines if line.startswith("Question")
        ] == shown_question


@pytest.mark.parametrize(
    ("state", "changed_it", "command"),
    [
        (IncidentState.AWAITING_APPROVAL, False, "kintsugi approve inc-1 (or: kintsugi reject inc-1 --why TEXT)"),
        (IncidentState.RUNNING, True, "kintsugi abort inc-1 --why TEXT (ends the run)"),
        (IncidentState.VERIFYING, True, "kintsugi incident inc-1 --follow"),
        (IncidentState.NEEDS_OPERATOR, False, "kintsugi incident inc-1 --all"),
        (IncidentState.RECOVERED, True, "kintsugi incident inc-1 --all"),
    ],
)
def test_the_next_command_follows_from_the_state(state: IncidentState, changed_it: bool, command: str) -> None:
    assert next_command(state, "inc-1", "web", changed=changed_it) == command


def test_a_run_about_all_services_is_stopped_by_a_freeze_of_everything() -> None:
    assert next_command(IncidentState.RUNNING, "inc-1", STACK, changed=False).startswith(
        "kintsugi pause --freeze --why"
    )


def test_an_incident_about_the_observer_names_no_rule() -> None:
    about = replace(
        DETAIL.incident, service="observer", rule="", runbook="", kind=RunKind.OBSERVER, state=IncidentState.OPEN
    )
    lines = [line.plain for line in story(IncidentDetail(incident=about), now=at(60))]
    assert "mode auto" in lines
    assert not any("rule" in line for line in lines)


def test_the_story_begins_with_what_is_wrong_and_what_changed_before_and_has_each_diagnosis_with_its_evidence() -> None:
    change = ObjectChange(
        object="deployment/web", field="containers[web].image", before="shop:2.0", after="shop:2.1", shown=True
    )
    found = replace(DIAGNOSIS, changes=(change,))
    kept = [
        KeptDiagnosis(incident="inc-1", occasion=each, diagnosis=found)
        for each in (Occasion.OPENED, Occasion.HAND_OVER)
    ]
    handed_over = replace(DETAIL.incident, state=IncidentState.NEEDS_OPERATOR)
    lines = [line.plain for line in story(IncidentDetail(incident=handed_over, diagnoses=tuple(kept)), now=at(0))]
    assert lines[1].startswith("Problem: ImagePull (certain): deployment/web containers[web].image: deployment/web: ")
    assert lines[2] == "Earlier change: deployment/web containers[web].image shop:2.0 -> shop:2.1"
    told = lines[lines.index("Diagnosis") :]
    assert [line.strip() for line in told if line.startswith("  03:02:00")] == [
        "03:02:00  before any change",
        "03:02:00  at the hand-over",
    ]
    assert sum("event pod/web-1 Failed" in line for line in told) == 2


def test_the_story_names_the_services_that_suffer_too() -> None:
    about = IncidentDetail(incident=DETAIL.incident, affected=("frontend", "web"))
    assert "Also affected: frontend, web" in [line.plain for line in story(about, now=at(0))]
    assert not any("affected" in line.plain for line in story(DETAIL, now=at(0)))


def test_a_cause_is_told_as_past_once_the_trouble_is_over() -> None:
    kept = KeptDiagnosis(incident="inc-1", occasion=Occasion.OPENED, diagnosis=DIAGNOSIS)
    recovered = replace(DETAIL.incident, state=IncidentState.RECOVERED)
    lines = [line.plain for line in story(IncidentDetail(incident=recovered, diagnoses=(kept,)), now=at(0))]
    assert lines[1].startswith("Past problem: ImagePull (certain)")
