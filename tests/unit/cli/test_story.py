"""Which of a run's records people are told, under which step, and what is left to take back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from kintsugi.cli.story import parents_of, shown, step_lines, story, way_back
from kintsugi.model.records import IncidentState, Phase, StepRecord, StepState, UndoRecord
from kintsugi.server.operations import IncidentDetail, RunDetail
from tests.integration.cli_daemon import DETAIL, RUN, STEPS, at


def step(path: str, state: StepState = StepState.DONE, **fields: object) -> StepRecord:
    """Make a record of the run."""
    record = StepRecord(run=RUN.id, path=path, state=state)
    return replace(record, **fields)  # type: ignore[arg-type]  # a test's own fields


def changed(path: str, *undo: str, seconds: float = 0, phase: Phase = Phase.FORWARD) -> StepRecord:
    """Make the record of a change that was made and can be undone."""
    return step(path, changes=True, text=path, started=at(seconds), undo=UndoRecord(texts=undo), phase=phase)


def of(*steps: StepRecord, state: IncidentState = IncidentState.RECOVERED) -> IncidentDetail:
    """Give an incident with one run of these steps."""
    return IncidentDetail(incident=DETAIL.incident, runs=(RunDetail(run=replace(RUN, state=state), steps=steps),))


def test_bookkeeping_is_not_told_and_steps_come_in_the_order_of_their_beginning() -> None:
    mixed = [step("late", started=at(99)), *STEPS, step("drain#"), step("never")]
    assert [each.path for each in shown(mixed, Phase.FORWARD)] == [
        *("check", "restart", "restart[0]#0", "scale#0", "cleanup", "late", "never"),
    ]


def test_an_effect_belongs_to_its_step_wherever_that_is() -> None:
    effects = [step(path) for path in ("restart[0]#0", "scale#1", "a/b#0", "each[2]/c[1]#0", "each[2]/look", "plain")]
    assert parents_of(effects) == {"restart", "scale", "a/b", "each[2]/c"}


def test_a_step_inside_a_round_is_told_by_its_name() -> None:
    told = [line.plain for line in step_lines(step("each[2]/look", name="Look at it"), frozenset())]
    assert told == ["            done  Look at it"]


def test_changes_are_taken_back_newest_first() -> None:
    told = [
        line.plain for line in way_back(of(changed("a#0", "undo a", seconds=1), changed("b#0", "undo b", seconds=2)))
    ]
    assert told[:2] == ["$ undo b", "$ undo a"]
    assert "kintsugi rollback inc-1" in told[2]


def test_what_was_taken_back_already_is_not_offered_again() -> None:
    undone = changed("a#0~0", phase=Phase.UNDO)
    assert way_back(of(changed("a#0", "undo a"), undone)) == []


def test_an_undo_that_failed_leaves_its_change_to_be_taken_back() -> None:
    failed = replace(changed("a#0~0", phase=Phase.UNDO), state=StepState.FAILED)
    assert next(line.plain for line in way_back(of(changed("a#0", "undo a"), failed))) == "$ undo a"


def test_a_run_that_was_rolled_back_leaves_nothing() -> None:
    assert way_back(of(changed("a#0", "undo a"), state=IncidentState.ROLLED_BACK)) == []


def test_what_was_refused_or_failed_has_nothing_to_take_back_but_the_uncertain_has() -> None:
    """Nobody knows whether an unknown change was made: its way back must be at hand (P3)."""
    states = (StepState.SKIPPED, StepState.FAILED, StepState.UNKNOWN, StepState.NEEDS_OPERATOR, StepState.INTENT)
    steps = [replace(changed(f"{state}#0", f"undo {state}"), state=state) for state in states]
    told = {line.plain for line in way_back(of(*steps))}
    assert {line for line in told if line.startswith("$")} == {
        "$ undo unknown",
        "$ undo needs-operator",
        "$ undo intent",
    }


def test_an_open_run_says_when_the_watchdog_looks() -> None:
    open_run = replace(DETAIL.runs[0], run=replace(RUN, finished=None, state=IncidentState.RUNNING))
    detail = replace(DETAIL, runs=(open_run,))
    early = "\n".join(line.plain for line in story(detail, now=RUN.deadline - timedelta(minutes=1)))
    late = "\n".join(line.plain for line in story(detail, now=datetime.max.replace(tzinfo=UTC)))
    assert "The watchdog looks at 03:28:00: if web-service is not healthy then, the change is rolled back" in early
    assert "The watchdog is due" in late
