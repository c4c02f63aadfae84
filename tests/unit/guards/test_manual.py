"""What a person who starts a run overrules by name and what protects; what is asked of a run that another run starts."""

from dataclasses import replace
from datetime import timedelta

import pytest

from kintsugi.decisions.guards import GuardContext, check_child, may_start, objections
from kintsugi.model.history import History
from kintsugi.model.manual import MANUAL, Override
from kintsugi.model.records import IncidentState, Reason, Verdict, VerdictKind
from kintsugi.model.rules import Mode
from kintsugi.model.services import STACK
from tests.unit.factories import NOW, moment, past, rule
from tests.unit.guards.cases import CASES, HOLDER, LIMITS, guard_context, judged

EVERYTHING = frozenset(Override)
OWN = {"cooldown": Override.COOLDOWN, "failures": Override.FAILURES, "handed_over": Override.HANDED_OVER}
"""The guards that may be overruled, by the name in the cases."""

GRANTED = {"approving", "ineffective", "rejected"}
"""What a person's yes to the plan grants by itself."""


def by_hand(context: GuardContext) -> GuardContext:
    """Let a person start it: the runbook counts, and the yes is given."""
    manual = replace(context.rule, name=MANUAL, runbook="mend")
    return replace(context, rule=manual, approved=True)


def started(context: GuardContext, history: History, *overrides: Override) -> Verdict:
    """Ask whether a person may start it."""
    return may_start(context, history, LIMITS, overrides, now=NOW)


def told(history: History) -> History:
    """Let every run of the past be one of the runbook."""
    return replace(history, recent=tuple(replace(run, rule=MANUAL, runbook="mend") for run in history.recent))


@pytest.mark.parametrize("guard", sorted(CASES))
def test_each_guard_holds_for_a_person_unless_it_judges_the_remedy(guard: str) -> None:
    """P6, P7: whatever is overruled."""
    context, history, (_, reason, *_) = CASES[guard]
    verdict = started(by_hand(context), told(history), *(EVERYTHING - {OWN[guard]} if guard in OWN else EVERYTHING))
    if guard in GRANTED:
        assert verdict.kind is VerdictKind.STARTED
    else:
        assert (verdict.kind is VerdictKind.STARTED, verdict.reason) == (False, reason)


@pytest.mark.parametrize("guard", sorted(OWN))
def test_a_guard_that_judges_the_remedy_is_overruled_by_its_own_name(guard: str) -> None:
    context, history, _ = CASES[guard]
    assert started(by_hand(context), told(history), *EVERYTHING).kind is VerdictKind.STARTED


def test_all_reasons_against_a_start_by_hand_are_told_at_once() -> None:
    """Whoever overrules one thing knows what is left."""
    history = History(
        recent=told(History(recent=(past(IncidentState.NEEDS_OPERATOR, finished=moment(minutes=-1)),))).recent,
        locks={"service web": HOLDER},
    )
    found = objections(by_hand(guard_context(mode=Mode.OBSERVE)), history, LIMITS, now=NOW)
    assert [(each.verdict.reason, each.override) for each in found] == [
        (Reason.MODE, None),
        (Reason.LOCKED, None),
        (Reason.HUMAN, Override.HANDED_OVER),
        (Reason.COOLDOWN, Override.COOLDOWN),
    ]


def test_an_open_incident_is_named_also_one_without_a_run() -> None:
    """P2: held, or waiting for a person."""
    verdict = started(by_hand(guard_context()), History(incident="inc-7"), *EVERYTHING)
    assert (verdict.kind, verdict.reason) == (VerdictKind.ATTACHED, Reason.ACTIVE_RUN)
    assert "web has the open incident inc-7" in verdict.text


@pytest.mark.parametrize(
    ("run_rule", "run_runbook", "asking", "rests"),
    [
        ("web-pods", "mend", MANUAL, True),
        (MANUAL, "mend", MANUAL, True),
        (MANUAL, "another", MANUAL, False),
        ("web-pods", "another", MANUAL, False),
        (MANUAL, "mend", "web-pods", True),
        (MANUAL, "another", "web-pods", False),
        ("web-alerts", "mend", "web-pods", False),
    ],
)
def test_a_run_by_hand_and_the_rules_of_its_runbook_rest_after_each_other(
    run_rule: str, run_runbook: str, asking: str, rests: bool
) -> None:
    """E19: neither does at once what the other has just done."""
    run = replace(past(finished=moment(minutes=-1)), rule=run_rule, runbook=run_runbook)
    context = guard_context(rule=replace(rule(), name=asking, runbook="mend", cooldown=timedelta(minutes=10)))
    assert (judged(context, History(recent=(run,))).reason is Reason.COOLDOWN) is rests


ANSWERED_BY_THE_PARENT = {"rejected", "cooldown", "ineffective", "upstream", "approving"}
"""The guards that are not asked about a child."""


def of_child(context: GuardContext, history: History) -> Verdict:
    """Ask the guards of a child."""
    return check_child(context, history, LIMITS, now=NOW)


@pytest.mark.parametrize("guard", sorted(CASES))
def test_a_child_is_held_to_what_keeps_others_safe_and_not_to_what_its_parent_has_answered(guard: str) -> None:
    """P2, P6, P7."""
    context, history, (kind, reason, *_) = CASES[guard]
    verdict = of_child(context, history)
    starts = (VerdictKind.STARTED, Reason.MATCHED)
    assert (verdict.kind, verdict.reason) == (starts if guard in ANSWERED_BY_THE_PARENT else (kind, reason))


@pytest.mark.parametrize(("going", "starts"), [(("a", "b", STACK), True), (("a", "b", "c"), False)])
def test_only_the_run_of_its_parent_takes_no_slot_from_a_child(going: tuple[str, ...], starts: bool) -> None:
    active = tuple(past(IncidentState.RUNNING, service=each, finished=None) for each in going)
    assert of_child(guard_context(), History(active=active)).reason is (Reason.MATCHED if starts else Reason.BUDGET)
