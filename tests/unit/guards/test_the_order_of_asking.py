"""What comes first is what a person most needs to hear: never, already, a person's word, blindness, then the limits."""

from dataclasses import replace
from itertools import combinations

import pytest

from kintsugi.guards import GUARDS, Circumstances, Observer, Question
from kintsugi.model.documents import Mode
from kintsugi.model.history import History
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
        "breaker",
        "handed_over",
        "failures",
        "ineffective",
        "cooldown",
        "budget",
        "upstream",
        "approving",
    ]


def both(first: str, second: str) -> tuple[Circumstances, History]:
    """Put the trouble of two guards together."""
    (one, past_one, _), (other, past_other, _) = CASES[first], CASES[second]
    observer = Observer(
        blind=one.observer.blind or other.observer.blind,
        sick=max(one.observer.sick, other.observer.sick),
        seen=max(one.observer.seen, other.observer.seen),
    )
    facts = replace(
        one,
        service=one.service if one.service.namespace == "kube-system" else other.service,
        mode=min(one.mode, other.mode, key=list(Mode).index),
        observer=observer,
        hold=one.hold or other.hold,
        managers=one.managers or other.managers,
        addresses=one.addresses | other.addresses,
        essential=one.essential or other.essential,
    )
    history = History(
        active=past_one.active or past_other.active,
        recent=past_one.recent + past_other.recent,
        disruptions=past_one.disruptions + past_other.disruptions,
        locks={**past_one.locks, **past_other.locks},
        pauses=past_one.pauses + past_other.pauses,
        recoveries=past_one.recoveries + past_other.recoveries,
    )
    return facts, history


PAIRS = [pair for pair in combinations(NAMES, 2) if pair != ("observing", "approving")]
"""A mode is not both observe and approve."""


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_of_two_guards_the_earlier_one_answers(first: str, second: str) -> None:
    facts, history = both(first, second)
    question = Question(facts=facts, history=history, limits=LIMITS, now=NOW)
    guards = {guard.__name__: guard for guard in GUARDS}
    assert guards[second](question) is not None, "the later guard must have something to say, too"
    assert judged(facts, history) == guards[first](question)
