"""A person's no to a plan rests for the rule's cooldown, and is about that plan alone."""

from dataclasses import replace

import pytest

from kintsugi.model.history import History, Rejection
from kintsugi.model.records import Reason, VerdictKind
from kintsugi.model.rules import Mode
from tests.unit.factories import moment, rejection
from tests.unit.guards.questions import guard_context, judged

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
