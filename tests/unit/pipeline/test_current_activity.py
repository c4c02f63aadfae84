"""What happens with a service now: one sentence, and the first that is true counts."""

from dataclasses import replace
from datetime import timedelta

import pytest

from kintsugi.decisions.activity import ActivityInput, HandOver, activity
from kintsugi.model.api_types import ActivityKind, CurrentStep, HoldSummary, ServiceActivity
from kintsugi.model.records import IncidentState, PauseScope, RunRecord, StepState
from tests.unit.factories import NOW, approval, incident, moment, pause, run, view

FAILING = view(ready=0, healthy=False)
ACTS = "rule few acts at 12:05:00 if the condition lasts until then"
HELD = HoldSummary(upstream="api", why="api is being recovered", since=NOW, until=moment(minutes=15))
STEP = CurrentStep(path="restart", name="Restart it", state=StepState.PLANNED)
EVERYTHING = ActivityInput(
    name="web",
    view=replace(FAILING, warnings=("a port is wrong",)),
    stale="the watch of pods is interrupted",
    pauses=(pause(freeze=True, until=moment(hours=20)), pause()),
    handed_over=HandOver(incident="inc-0", until=moment(hours=1)),
    incident=incident(state=IncidentState.AWAITING_APPROVAL),
    question=approval(),
    hold=HELD,
    run=run(),
    step=STEP,
    inaction=ACTS,
)


def judged(**facts: object) -> ServiceActivity:
    """Return the activity of a failing service with these facts."""
    return activity(replace(ActivityInput(name="web", view=FAILING), **facts), now=NOW)  # type: ignore[arg-type]


def test_the_first_answer_that_is_true_counts() -> None:
    inputs, kinds = EVERYTHING, []
    for gone in (
        {"stale": ""},
        {"pauses": (pause(),)},
        {"pauses": (), "incident": None},
        {"handed_over": None, "incident": EVERYTHING.incident},
        {"incident": incident()},
        {"hold": None},
        {"run": None, "incident": None},
        {"inaction": ""},
        {"view": FAILING},
    ):
        kinds.append(activity(inputs, now=NOW).kind)
        inputs = replace(inputs, **gone)
    assert kinds == [each for each in ActivityKind if each is not ActivityKind.NONE]
    assert activity(inputs, now=NOW).text == ""


def test_a_service_that_is_not_observed_says_why() -> None:
    """P6."""
    assert judged(stale="the watch of pods is interrupted").text == "not observed: the watch of pods is interrupted"
    unread = judged(view=view(healthy=None, is_current=False))
    assert (unread.kind, unread.text) == (ActivityKind.STALE, "not observed: objects of the service cannot be read")


def test_a_pause_names_its_author_and_its_end_and_no_time_at_which_a_rule_acts() -> None:
    found = judged(pauses=(pause(until=moment(minutes=30)),), inaction=ACTS)
    assert (found.text, found.until) == ("paused by ada until 12:30:00: a release", moment(minutes=30))
    assert judged(pauses=(pause(freeze=True, until=moment(hours=20)),)).text == (
        "frozen by ada until 2026-05-05 08:00:00: a release"
    )
    assert judged(pauses=(pause(),), run=run()).text == ("paused by ada until resumed: a release; run of mend: running")
    assert judged(annotation="paused by annotation").kind is ActivityKind.PAUSED


@pytest.mark.parametrize(
    ("scope", "name", "covers"),
    [
        (PauseScope.SERVICE, "web", True),
        (PauseScope.SERVICE, "api", False),
        (PauseScope.NAMESPACE, "production", True),
        (PauseScope.RULE, "web-pods", False),
    ],
)
def test_a_pause_of_something_else_leaves_a_service_as_it_is(scope: PauseScope, name: str, covers: bool) -> None:
    found = judged(pauses=(pause(scope, name),), inaction=ACTS)
    assert found.kind is (ActivityKind.PAUSED if covers else ActivityKind.INACTION)


def test_a_hand_over_names_its_incident_until_it_has_ended() -> None:
    found = judged(handed_over=HandOver(incident="inc-0", until=moment(hours=1)), inaction=ACTS)
    assert found.text == (
        "handed over to a person until 13:00:00: kintsugi incident inc-0 "
        "(to end this rest: kintsugi resume inc-0 --why TEXT)"
    )
    assert judged(handed_over=HandOver(incident="inc-0", until=NOW), inaction=ACTS).text == ACTS


def test_a_question_says_how_it_is_answered() -> None:
    found = judged(incident=incident(state=IncidentState.AWAITING_APPROVAL), question=approval())
    assert found.text == "waits for a person's answer until 12:30:00: kintsugi approve inc-1"


def test_a_hold_names_the_upstream_and_its_end() -> None:
    assert judged(hold=HELD).text == "held by api until 12:15:00: api is being recovered"
    assert judged(hold=replace(HELD, upstream="", until=None)).text == "held: api is being recovered"


def test_a_run_names_its_step_and_its_deadline() -> None:
    found = judged(run=run(), step=STEP)
    assert found.text == "running mend: Restart it (planned); deadline 12:30:00"
    assert judged(view=None, run=run(state=IncidentState.VERIFYING)).text == "verifying mend; deadline 12:30:00"


def verifying(**fields: object) -> RunRecord:
    """Return a run whose last step was done 40 s ago."""
    done = replace(run(state=IncidentState.VERIFYING), steps_finished_at=NOW - timedelta(seconds=40))
    return replace(done, **fields)  # type: ignore[arg-type]


def test_a_verification_says_what_ends_it_and_not_at_which_step_it_was() -> None:
    done = replace(STEP, state=StepState.DONE)
    healthy = view(since=moment(minutes=-10))
    assert judged(view=healthy, run=verifying(), step=done).text == (
        "verifying: 2m of health are required, 40s so far; deadline 12:30:00"
    )
    assert judged(run=verifying(), step=done).text == "verifying: not healthy, 0 of 3 ready; deadline 12:30:00"
    lasted = verifying(steps_finished_at=moment(minutes=-5))
    assert judged(view=healthy, run=lasted).text == "verifying: healthy, the trigger must clear; deadline 12:30:00"


def test_a_healthy_service_without_a_run_has_no_activity() -> None:
    assert judged(view=view(), inaction=ACTS).kind is ActivityKind.NONE
