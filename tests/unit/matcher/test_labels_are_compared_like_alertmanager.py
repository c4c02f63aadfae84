"""Alertmanager's matcher language: four operators, an absent label is the empty string, expressions are anchored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.decisions.matcher import Difference, difference, holds
from kintsugi.model.rules import LabelMatcher, MatchOperator

EQUAL, NOT_EQUAL, MATCH, NOT_MATCH = MatchOperator


@pytest.mark.parametrize(
    ("operator", "value", "label", "expected"),
    [
        (EQUAL, "critical", "critical", True),
        (EQUAL, "critical", "Critical", False),
        (EQUAL, "critical", "critical ", False),
        (EQUAL, "a.c", "abc", False),
        (NOT_EQUAL, "critical", "warning", True),
        (NOT_EQUAL, "critical", "critical", False),
        (MATCH, "warning|critical", "critical", True),
        (MATCH, "warning|critical", "warning", True),
        (MATCH, "warning|critical", "info", False),
        (MATCH, "crit", "critical", False),
        (MATCH, "ical", "critical", False),
        (MATCH, "crit.*", "critical", True),
        (MATCH, "a|ab", "ab", True),
        (MATCH, "a|b.*", "aa", False),
        (MATCH, "^critical$", "critical", True),
        (MATCH, "(?i)critical", "CRITICAL", True),
        (MATCH, "a.c", "a\nc", False),
        (MATCH, "critical", "critical\n", False),
        (MATCH, "критич.*", "критично", True),
        (NOT_MATCH, "warning|critical", "info", True),
        (NOT_MATCH, "warning|critical", "critical", False),
        (NOT_MATCH, "crit", "critical", True),
    ],
)
def test_an_operator_compares_whole_values(operator: MatchOperator, value: str, label: str, expected: bool) -> None:
    assert holds(LabelMatcher(label="severity", operator=operator, value=value), label) is expected


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        (EQUAL, "", True),
        (EQUAL, "web", False),
        (NOT_EQUAL, "web", True),
        (NOT_EQUAL, "", False),
        (MATCH, ".*", True),
        (MATCH, "", True),
        (MATCH, ".+", False),
        (MATCH, "web|", True),
        (NOT_MATCH, ".+", True),
        (NOT_MATCH, ".*", False),
        (NOT_MATCH, "", False),
    ],
)
@pytest.mark.parametrize("labels", [{}, {"other": "web"}, {"team": ""}])
def test_an_absent_label_is_the_empty_string(
    operator: MatchOperator, value: str, expected: bool, labels: dict[str, str]
) -> None:
    found = difference([LabelMatcher(label="team", operator=operator, value=value)], labels)
    assert (found is None) == expected


def test_all_matchers_must_hold_and_the_first_that_does_not_is_told() -> None:
    matchers = [
        LabelMatcher(label="alertname", operator=EQUAL, value="Down"),
        LabelMatcher(label="severity", operator=MATCH, value="warning|critical"),
        LabelMatcher(label="team", operator=NOT_EQUAL, value="shop"),
    ]
    assert difference(matchers, {"alertname": "Down", "severity": "critical"}) is None
    assert difference(matchers, {"alertname": "Down", "severity": "info", "team": "shop"}) == Difference(
        condition="label severity", wanted='=~"warning|critical"', had='"info"'
    )


def test_no_matchers_ask_for_nothing() -> None:
    assert difference([], {"alertname": "Down"}) is None


words = st.text(alphabet="ab-.|\n", max_size=6)


@given(words, words)
def test_unequal_is_the_opposite_of_equal(value: str, label: str) -> None:
    equal, unequal = (LabelMatcher(label="x", operator=each, value=value) for each in (EQUAL, NOT_EQUAL))
    assert holds(equal, label) is not holds(unequal, label)
    assert holds(equal, label) is (value == label)


@given(st.sampled_from(["a|b", "a.*", ".+", "", "a?b*", "(ab)+"]), words)
def test_not_matching_is_the_opposite_of_matching(pattern: str, label: str) -> None:
    matches, differs = (LabelMatcher(label="x", operator=each, value=pattern) for each in (MATCH, NOT_MATCH))
    assert holds(matches, label) is not holds(differs, label)
