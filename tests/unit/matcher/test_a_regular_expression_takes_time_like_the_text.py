"""However an expression is written and whatever a stranger's label holds: eight times the text is some eight times the work."""

import time

import pytest

from kintsugi.decisions.matcher import difference
from kintsugi.model.rules import LabelMatcher, MatchOperator

SHORT, LONG = 8 << 10, 64 << 10
FEW = 8
"""Characters to begin with: what doubles with each character takes a moment for them still."""
LEAST = 1e-3
"""Seconds that are too few to be compared."""

HOSTILE = [
    ("((a+))+", "a"),
    ("(a|a)+", "a"),
    ("(?:(?:a)+)+", "a"),
    ("(a|aa)+", "a"),
    ("(.*)*", "a"),
    (".*a.*b.*c.*d.*", "abc"),
    (r"(\w+\s?)*", "a "),
    ("(a?){20}a{20}b", "a"),
    ("[ab]*a[ab]{20}", "ab"),
]


@pytest.mark.parametrize(("pattern", "filler"), HOSTILE, ids=[pattern for pattern, _ in HOSTILE])
@pytest.mark.parametrize("operator", [MatchOperator.MATCH, MatchOperator.NOT_MATCH])
@pytest.mark.long
def test_a_label_cannot_make_a_rule_slow(operator: MatchOperator, pattern: str, filler: str) -> None:
    """E27: an engine that goes back takes longer for 64 KiB than the universe has."""
    matcher = LabelMatcher(label="summary", operator=operator, value=pattern)

    def seconds(length: int) -> float:
        labels = {"summary": filler * (length // len(filler)) + "!"}
        began = time.thread_time()
        difference([matcher], labels)
        return time.thread_time() - began

    length, before = FEW, 0.0
    while length < SHORT:  # by small steps, so that an engine that goes back is found out before it goes on for years
        now = min(seconds(length) for _ in range(3))
        assert now < 4 * max(before, LEAST), (length, before, now)
        length, before = length * 3 // 2, now
    short = min(seconds(SHORT) for _ in range(5))
    long = min(seconds(LONG) for _ in range(5))
    assert long < 4 * (LONG // SHORT) * max(short, 1e-4), (short, long)


def test_text_that_is_no_unicode_is_compared_too() -> None:
    """Half a surrogate pair is no character that an expression could name."""
    matcher = LabelMatcher(label="summary", operator=MatchOperator.MATCH, value="x.")
    assert difference([matcher], {"summary": "x\ud800"}) is None
    assert difference([matcher], {"summary": "\ud800x"}) is not None
