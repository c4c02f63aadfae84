"""Alert rules are written in Alertmanager's matcher language; a regular expression must end in time (E27)."""

import pytest

from kintsugi.catalog.matchers import parse_matcher
from kintsugi.model.rules import LabelMatcher, MatchOperator
from tests.unit.catalog.documents import RUNBOOK, SERVICE, alert_rule, loaded, said


@pytest.mark.parametrize(
    ("text", "label", "operator", "value"),
    [
        ("alertname=KubePodNotReady", "alertname", "=", "KubePodNotReady"),
        ('alertname="Kube Pod"', "alertname", "=", "Kube Pod"),
        ('severity =~ "warning|critical"', "severity", "=~", "warning|critical"),
        ("team!=x", "team", "!=", "x"),
        ("team!~x.*", "team", "!~", "x.*"),
        ('{team="x"}', "team", "=", "x"),
        (r'a="say \"hi\"\n\\"', "a", "=", 'say "hi"\n\\'),
        ('"an odd label"=x', "an odd label", "=", "x"),
        ("a=", "a", "=", ""),
    ],
)
def test_a_matcher_is_read(text: str, label: str, operator: str, value: str) -> None:
    assert parse_matcher(text) == LabelMatcher(label=label, operator=MatchOperator(operator), value=value)


@pytest.mark.parametrize("text", ['severity=~"warning|critical"', 'team!="x"', r'a="say \"hi\"\n\\"'])
def test_a_matcher_is_written_as_it_is_read(text: str) -> None:
    assert str(parse_matcher(text)) == text


@pytest.mark.parametrize(
    "text", ["", "alertname", "=x", "a==x", 'a="x', "a=x,b=y", "1a=x", "a=~(", "a=~(?!x)y", "a=~" + "x" * 2000]
)
def test_a_text_that_is_not_a_matcher_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"matcher|regular expression"):
        parse_matcher(text)


OTHER_DIALECTS = [
    (r"(a)\1", "refers back to no group"),
    (r"(?P<x>a)(?P=x)", "refers back to no group"),
    ("a(?=b)", "does not look ahead"),
    ("a(?!b)", "does not look ahead"),
    ("(?<=a)b", "does not look behind"),
    ("(?<!a)b", "does not look behind"),
    (r"a\Z", r"the end of the text is \z"),
    ("(?>a+)b", "is not a regular expression (RE2)"),
    ("(a", "is not a regular expression (RE2): missing )"),
]
"""What other engines take, and what is said of it."""


@pytest.mark.parametrize(("pattern", "why"), OTHER_DIALECTS, ids=[pattern for pattern, _ in OTHER_DIALECTS])
def test_a_matcher_or_pattern_that_re2_does_not_take_is_one_mistake_at_its_place(pattern: str, why: str) -> None:
    """E27."""
    in_a_rule = alert_rule("alertname=A", f"'severity=~\"{pattern.replace(chr(92), chr(92) * 2)}\"'")
    (of_rule,), (of_patterns,) = said(SERVICE, RUNBOOK, in_a_rule), said(patterns(pattern))
    assert of_rule.startswith("c.yaml:7:27: spec.matchers[1]: ")
    assert of_patterns.startswith("a.yaml:5:12: spec[0].match: ")
    assert all(text in message for text in (repr(pattern), why) for message in (of_rule, of_patterns))


@pytest.mark.parametrize("pattern", ["(a{40}){40}{2}", r"\pL{300}", "(?:.{0,90}x){9}"])
def test_a_regular_expression_that_is_large_once_its_repetitions_are_written_out_is_refused(pattern: str) -> None:
    """E27: each character of a text may cost as many steps."""
    messages = said(patterns(pattern))
    assert ["repetition" in message for message in messages] == [True]


@pytest.mark.parametrize(
    "pattern", ["((a+))+", "(a|a)+", "(?:(?:a)+)+", "(a|aa)+", "(a*)*", r"(\w+\s?)*$", "(?i)x{2,}"]
)
def test_a_repetition_inside_a_repetition_is_taken(pattern: str) -> None:
    """It costs RE2 no more than another."""
    assert said(SERVICE, RUNBOOK, alert_rule(f"'severity=~\"b{pattern.replace(chr(92), chr(92) * 2)}\"'")) == []
    assert said(patterns(pattern)) == []


def patterns(match: str) -> str:
    return (
        "apiVersion: kintsugi.dev/v1alpha1\nkind: Patterns\nmetadata: {name: words}\nspec:\n"
        f"  - match: '{match}'\n    means: bad\n    severity: warning\n"
    )


def test_a_rule_has_its_matchers() -> None:
    catalog = loaded(SERVICE, RUNBOOK, alert_rule("alertname=A", "severity=~w.*"))
    assert [str(each.operator) for each in catalog.rules["told"].matchers] == ["=", "=~"]


@pytest.mark.parametrize("match", ["'team!=x'", "'a=~\".*\"'", "'a=\"\"', 'b!~x'"])
def test_a_rule_that_would_match_every_alert_is_refused(match: str) -> None:
    (message,) = said(SERVICE, RUNBOOK, alert_rule(match))
    assert "this matches every alert" in message


def test_a_wrong_matcher_is_pointed_at() -> None:
    (message,) = said(SERVICE, RUNBOOK, alert_rule("alertname=A", "severity"))
    assert message.startswith("c.yaml:7:27: spec.matchers[1]: 'severity' is not a matcher")
