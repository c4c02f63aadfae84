"""What is asked of a run that another run starts: all that keeps others safe, and nothing that its parent has answered."""

from datetime import timedelta

import pytest

from kintsugi.decisions.breaker import ObserverHealth
from kintsugi.decisions.guards import CHILD_GUARDS, GUARDS, GuardContext, check_child
from kintsugi.model.history import History, PastRun
from kintsugi.model.records import IncidentState, Reason, Verdict, VerdictKind
from kintsugi.model.rules import Mode
from kintsugi.model.services import STACK
from kubeobjects.owners import Manager, ManagerKind
from tests.unit import factories
from tests.unit.guards.questions import LIMITS, guard_context, judged


def of_child(context: GuardContext | None = None, history: History | None = None) -> Verdict:
    """Ask the guards of a child."""
    return check_child(context or guard_context(), history or History(), LIMITS, now=factories.NOW)


def ended(state: IncidentState, *, service: str = "web") -> PastRun:
    """Return a run that has ended a moment ago."""
    before = factories.NOW - timedelta(minutes=1)
    return PastRun(
        service=service,
        namespace="production",
        rule="web-pods",
        state=state,
        started=before,
        finished=before,
        changes=1,
    )


def going(service: str) -> PastRun:
    """Return a run that is under way."""
    return PastRun(
        service=service,
        namespace="production",
        rule="web-pods",
        state=IncidentState.RUNNING,
        started=factories.NOW,
        finished=None,
        changes=0,
    )


def test_a_child_does_not_wait_for_its_rule_to_cool_down() -> None:
    history = History(recent=(ended(IncidentState.RECOVERED),))
    assert judged(history=history).reason is Reason.COOLDOWN
    assert of_child(history=history).kind is VerdictKind.STARTED


def test_a_child_needs_no_approval_of_its_own() -> None:
    context = guard_context(mode=Mode.APPROVE)
    assert judged(context).kind is VerdictKind.AWAITING_APPROVAL
    assert of_child(context).kind is VerdictKind.STARTED


@pytest.mark.parametrize(
    ("context", "history", "reason"),
    [
        (guard_context(namespace="kube-system"), History(), Reason.PROTECTED),
        (guard_context(mode=Mode.OBSERVE), History(), Reason.MODE),
        (guard_context(annotation="paused by ann"), History(), Reason.PAUSED),
        (guard_context(observer=ObserverHealth(stale_reason="the watch is stale", seen=10)), History(), Reason.STALE),
        (guard_context(), History(locks={"service web": "run-9"}), Reason.LOCKED),
        (guard_context(), History(active=(going("web"),)), Reason.ACTIVE_RUN),
        (guard_context(), History(active=tuple(going(name) for name in "abc")), Reason.BUDGET),
        (guard_context(), History(recent=(ended(IncidentState.NEEDS_OPERATOR),)), Reason.HUMAN),
        (guard_context(managers=(Manager(kind=ManagerKind.OPERATOR, name="postgres"),)), History(), Reason.OWNED),
    ],
)
def test_a_child_is_held_to_what_keeps_others_safe(context: GuardContext, history: History, reason: Reason) -> None:
    """P2, P6, P7."""
    assert of_child(context, history).reason is reason


def test_the_run_of_its_parent_takes_no_slot_from_a_child() -> None:
    two = (going("a"), going("b"))
    assert of_child(history=History(active=(*two, going(STACK)))).kind is VerdictKind.STARTED


def test_the_guards_of_a_child_are_asked_in_the_order_of_all() -> None:
    assert [each for each in GUARDS if each in CHILD_GUARDS] == list(CHILD_GUARDS)
