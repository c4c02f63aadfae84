"""What comes first is what a person most needs to hear: never, already, a person's word, blindness, then the limits."""

from dataclasses import replace
from itertools import combinations

import pytest

from kintsugi.decisions.breaker import ObserverHealth
from kintsugi.decisions.guards import GUARDS, GuardContext, GuardInput
from kintsugi.model.history import History
from kintsugi.model.rules import Mode
from tests.unit.factories import NOW
from tests.unit.guards.cases import CASES
from tests.unit.guards.questions import LIMITS, judged

NAMES = [guard.__name__ for guard in GUARDS]


def test_the_order_is_this_one() -> None:
    assert NAMES == [
        "protected",
        "own_ledger",
        "essential",
        "active",
        "observing",
        "paused",
        "stale",
        "locked",
        "owned",
        "held_at_zero",
        "breaker",
        "handed_over",
        "failures",
        "rejected",
        "ineffective",
        "cooldown",
        "upstream",
        "budget",
        "approving",
    ]


def both(first: str, second: str) -> tuple[GuardContext, History]:
    """Put the trouble of two guards together."""
    (one, past_one, _), (other, past_other, _) = CASES[first], CASES[second]
    observer = ObserverHealth(
        stale_reason=one.observer.stale_reason or other.observer.stale_reason,
        nodes=max(one.observer.nodes, other.observer.nodes),
        nodes_stale=max(one.observer.nodes_stale, other.observer.nodes_stale),
    )
    context = replace(
        one,
        service=one.service if one.service.namespace == "kube-system" else other.service,
        mode=min(one.mode, other.mode, key=list(Mode).index),
        observer=observer,
        holds=one.holds or other.holds,
        managers=one.managers or other.managers,
        addresses=one.addresses | other.addresses,
        essential=one.essential or other.essential,
        starts=one.starts or other.starts,
        plan=one.plan or other.plan,
    )
    history = History(
        active=past_one.active or past_other.active,
        recent=past_one.recent + past_other.recent,
        disruptions=past_one.disruptions + past_other.disruptions,
        locks={**past_one.locks, **past_other.locks},
        pauses=past_one.pauses + past_other.pauses,
        recoveries=past_one.recoveries + past_other.recoveries,
        rejections=past_one.rejections + past_other.rejections,
    )
    return context, history


PAIRS = [pair for pair in combinations(NAMES, 2) if pair != ("observing", "approving")]
"""A mode is not both observe and approve."""


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_the_earlier_of_two_guards_answers(first: str, second: str) -> None:
    context, history = both(first, second)
    question = GuardInput(context=context, history=history, limits=LIMITS, now=NOW)
    guards = {guard.__name__: guard for guard in GUARDS}
    assert guards[second](question) is not None, "the later guard must have something to say, too"
    assert judged(context, history) == guards[first](question)
