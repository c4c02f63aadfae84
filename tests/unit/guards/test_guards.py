"""Every guard by itself and in their order: its verdict, its reason, what it says to a person, and when it is asked again (P7, P8, E29, E30)."""

import re
from dataclasses import replace
from datetime import datetime

import pytest

from kintsugi.decisions.guards import GUARDS, GuardContext
from kintsugi.decisions.priorities import Hold, HoldCause
from kintsugi.model.history import History, Rejection
from kintsugi.model.records import IncidentState, Pause, PauseScope, Reason, VerdictKind
from kintsugi.model.rules import Mode
from kubeobjects.owners import Manager, ManagerKind
from tests.unit.factories import NOW, moment, past, pause, rejection, rule
from tests.unit.guards.cases import CASES, HOLDER, Answer, guard_context, judged


def test_a_run_with_nothing_in_the_way_starts() -> None:
    verdict = judged()
    assert (verdict.kind, verdict.reason, verdict.until) == (VerdictKind.STARTED, Reason.MATCHED, None)
    assert verdict.text == "rule web-pods starts mend"


def test_every_guard_has_a_case_here_in_the_order_in_which_they_are_asked() -> None:
    assert list(CASES) == [guard.__name__ for guard in GUARDS]


@pytest.mark.parametrize(("context", "history", "answer"), CASES.values(), ids=CASES)
def test_a_guard_says_why_and_until_when(context: GuardContext, history: History, answer: Answer) -> None:
    """E20, P9: a refusal that will end says when; that moment is never past, or it would be judged without end."""
    kind, reason, until, text = answer
    verdict = judged(context, history)
    assert (verdict.kind, verdict.reason, verdict.until) == (kind, reason, until)
    assert until is None or until > NOW
    assert re.search(text, verdict.text), verdict.text
    assert verdict.rule == "web-pods"


@pytest.mark.parametrize("name", ["failures", "cooldown", "budget", "ineffective"])
def test_a_refusal_is_over_at_the_moment_that_it_named(name: str) -> None:
    context, history, (_, _, until, _) = CASES[name]
    assert until is not None
    assert judged(context, history, now=until).kind is VerdictKind.STARTED


def test_a_rule_that_only_observes_would_have_started_nothing_in_any_mode() -> None:
    context = replace(guard_context(mode=Mode.OBSERVE), rule=rule(mode=Mode.OBSERVE))
    assert judged(context).text == "mode is observe: this rule starts nothing in any mode"


def test_a_hold_is_over_at_its_end() -> None:
    context = guard_context(holds=(Hold(upstream="database", why="it is not serving", cause=HoldCause.DOWN),))
    held = History(held_since=NOW)
    assert judged(context, held, now=moment(minutes=14, seconds=59)).until == moment(minutes=15)
    assert judged(context, held, now=moment(minutes=15)).kind is VerdictKind.STARTED


@pytest.mark.parametrize(
    "manager",
    [
        Manager(kind=ManagerKind.AUTOSCALER, name="web"),
        Manager(kind=ManagerKind.GITOPS, name="Argo CD shop"),
        Manager(kind=ManagerKind.GITOPS, name="Flux shop"),
    ],
    ids=str,
)
def test_a_manager_of_the_template_or_the_replicas_does_not_keep_a_run_from_starting(manager: Manager) -> None:
    """Their changes are refused one by one where they would fight; deleting a pod fights nobody (B21)."""
    assert judged(guard_context(managers=(manager,))).kind is VerdictKind.STARTED


def test_a_signal_that_a_run_causes_is_attached_to_it() -> None:
    """E22: the alerts that our own deletes raise join the run; they start no other, whatever else would be said."""
    history = History(active=(past(IncidentState.RUNNING, finished=None),), locks={"service web": HOLDER})
    assert judged(history=history).kind is VerdictKind.ATTACHED


AGAIN = moment(seconds=30)


@pytest.mark.parametrize(
    ("stop", "covers"),
    [
        (pause(PauseScope.GLOBAL), True),
        (pause(PauseScope.NAMESPACE, "production"), True),
        (pause(PauseScope.NAMESPACE, "staging"), False),
        (pause(PauseScope.NAMESPACE, "web-pods"), False),
        (pause(PauseScope.RULE, "web-pods"), True),
        (pause(PauseScope.RULE, "api-pods"), False),
        (pause(PauseScope.RULE, "production"), False),
        (pause(PauseScope.SERVICE, "web"), True),
        (pause(PauseScope.SERVICE, "api"), False),
        (pause(PauseScope.GLOBAL, freeze=True), True),
    ],
    ids=str,
)
def test_a_pause_covers_what_its_scope_names(stop: Pause, covers: bool) -> None:
    verdict = judged(history=History(pauses=(stop,)))
    assert verdict.kind is (VerdictKind.REFUSED if covers else VerdictKind.STARTED)


def test_a_pause_says_who_and_why_and_what() -> None:
    verdict = judged(history=History(pauses=(pause(PauseScope.NAMESPACE, "production"),)))
    assert verdict.text == "paused (namespace production) by ada: a release"


@pytest.mark.parametrize(
    ("until", "again"),
    [
        (None, AGAIN),
        (moment(seconds=10), moment(seconds=10)),
        (moment(hours=8), AGAIN),
    ],
    ids=["without an end", "that ends soon", "that may be lifted before its end"],
)
def test_a_paused_signal_is_judged_again_soon(until: datetime | None, again: datetime) -> None:
    """A person may lift a pause long before its end: what waited must not sleep until then (E29)."""
    verdict = judged(history=History(pauses=(pause(until=until),)))
    assert (verdict.reason, verdict.until) == (Reason.PAUSED, again)


def test_an_annotation_on_the_namespace_pauses_without_us() -> None:
    """S10: a person can reach it with kubectl while the daemon is down."""
    verdict = judged(guard_context(annotation="paused by annotation kintsugi.dev/paused"))
    assert (verdict.kind, verdict.reason, verdict.until) == (VerdictKind.REFUSED, Reason.PAUSED, AGAIN)
    assert verdict.text == "paused by annotation kintsugi.dev/paused"


ASKS = replace(guard_context(mode=Mode.APPROVE), plan="p-1")


@pytest.mark.parametrize(
    ("known", "kind"),
    [
        (rejection(), VerdictKind.REFUSED),
        (rejection(plan="p-2"), VerdictKind.AWAITING_APPROVAL),
        (rejection(rule="web-alerts"), VerdictKind.AWAITING_APPROVAL),
        (rejection(rule="", plan=""), VerdictKind.REFUSED),
    ],
    ids=["this plan", "another plan", "another rule", "an incident of the service"],
)
def test_a_no_is_about_one_plan_or_about_the_whole_service(known: Rejection, kind: VerdictKind) -> None:
    assert judged(ASKS, History(rejections=(known,))).kind is kind


def test_a_rejection_ends_with_the_cooldown_of_the_rule() -> None:
    rejected = History(rejections=(rejection(),))
    late = judged(ASKS, rejected, now=moment(minutes=9, seconds=50))
    assert (late.reason, late.until) == (Reason.REJECTED, moment(minutes=10))
    assert judged(ASKS, rejected, now=moment(minutes=10)).kind is VerdictKind.AWAITING_APPROVAL
