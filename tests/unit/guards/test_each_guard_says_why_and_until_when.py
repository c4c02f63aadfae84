"""Every guard by itself: its verdict, its reason, what it says to a person, and when it is asked again (P7, P9)."""

import re

import pytest

from kintsugi.guards import GUARDS, Circumstances
from kintsugi.model.documents import Mode
from kintsugi.model.history import History
from kintsugi.model.records import IncidentState, Reason, VerdictKind
from kintsugi.priorities import Hold
from tests.unit.factories import NOW, moment, past
from tests.unit.guards.cases import CASES, Answer
from tests.unit.guards.questions import circumstances, judged


def test_nothing_in_the_way_starts_the_run() -> None:
    verdict = judged()
    assert (verdict.kind, verdict.reason, verdict.until) == (VerdictKind.STARTED, Reason.MATCHED, None)
    assert verdict.text == "rule web-pods starts mend"


def test_every_guard_has_a_case_here() -> None:
    assert list(CASES) == [guard.__name__ for guard in GUARDS]


@pytest.mark.parametrize(("facts", "history", "answer"), CASES.values(), ids=CASES)
def test_a_guard_says_why_and_until_when(facts: Circumstances, history: History, answer: Answer) -> None:
    kind, reason, until, text = answer
    verdict = judged(facts, history)
    assert (verdict.kind, verdict.reason, verdict.until) == (kind, reason, until)
    assert re.search(text, verdict.text), verdict.text
    assert verdict.rule == "web-pods"


PROVISIONAL = [name for name, case in CASES.items() if case[2][2] is not None]


@pytest.mark.parametrize("name", PROVISIONAL)
def test_a_provisional_refusal_is_judged_again_in_the_future(name: str) -> None:
    """P9: a refusal that will end says when; that moment is never past, or it would be judged without end."""
    facts, history, _ = CASES[name]
    verdict = judged(facts, history)
    assert verdict.until is not None
    assert verdict.until > NOW


@pytest.mark.parametrize("name", ["failures", "cooldown", "budget"])
def test_a_refusal_is_over_at_the_moment_that_it_named(name: str) -> None:
    facts, history, (_, _, until, _) = CASES[name]
    assert until is not None
    assert judged(facts, history, now=until).kind is VerdictKind.STARTED


def test_a_hold_is_over_at_its_end() -> None:
    facts = circumstances(hold=Hold(upstream="database", why="it is not serving", until=moment(minutes=15)))
    assert judged(facts, now=moment(minutes=14, seconds=59)).until == moment(minutes=15)
    assert judged(facts, now=moment(minutes=15)).kind is VerdictKind.STARTED


def test_an_approved_run_starts() -> None:
    assert judged(circumstances(mode=Mode.APPROVE, approved=True)).kind is VerdictKind.STARTED


@pytest.mark.parametrize("manager", ["HPA web", "Argo CD shop", "Flux shop"])
def test_who_only_writes_the_template_or_the_replicas_does_not_keep_a_run_from_starting(manager: str) -> None:
    """Their changes are refused one by one where they would fight; deleting a pod fights nobody (B21)."""
    assert judged(circumstances(managers=(manager,))).kind is VerdictKind.STARTED


def test_a_run_of_another_service_is_not_this_ones() -> None:
    history = History(active=(past(IncidentState.RUNNING, finished=None, service="api"),))
    assert judged(history=history).kind is VerdictKind.STARTED


def test_a_lock_of_something_else_does_not_matter() -> None:
    assert judged(history=History(locks={"service api": "run-7"})).kind is VerdictKind.STARTED


def test_two_rules_that_want_one_workload_do_not_run_together() -> None:
    """E20: another service with the same workload holds its lock; the second is refused with the reason, not queued."""
    verdict = judged(history=History(locks={"production/deployment/web": "run-of-web-canary"}))
    assert (verdict.kind, verdict.reason) == (VerdictKind.REFUSED, Reason.LOCKED)


def test_what_a_run_causes_is_attached_to_it() -> None:
    """E22: the alerts that our own deletes raise join the run; they start no other, whatever else would be said."""
    history = History(active=(past(IncidentState.RUNNING, finished=None),), locks={"service web": "run-1"})
    assert judged(history=history).kind is VerdictKind.ATTACHED
