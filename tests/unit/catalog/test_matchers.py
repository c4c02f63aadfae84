"""Alert rules are written in Alertmanager's matcher language; a regular expression must end in time (E27)."""

import pytest

from kintsugi.catalog.matchers import check_regex, parse_matcher
from kintsugi.model.documents import LabelMatcher, MatchOperator
from tests.unit.catalog.documents import RUNBOOK, SERVICE, loaded, said


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


@pytest.mark.parametrize(
    "text", ["", "alertname", "=x", "a==x", 'a="x', "a=x,b=y", "1a=x", "a=~(", "a=~(x+)+y", "a=~" + "x" * 2000]
)
def test_what_is_not_a_matcher_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"matcher|regular expression|repeats"):
        parse_matcher(text)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a*)*", "(a|b+)*c", "(?:x{2,})+", r"(\w+\s?)*$"])
def test_a_repetition_inside_a_repetition_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="may take forever"):
        check_regex(pattern)


@pytest.mark.parametrize("pattern", ["Kube.*|Target.*", "(a|b)+", r"(PANIC|FATAL): .*", r"\(a+\)+", "(abc)*"])
def test_an_ordinary_expression_is_taken(pattern: str) -> None:
    check_regex(pattern)


def rule(match: str) -> str:
    return (
        "apiVersion: kintsugi.dev/v1alpha1\nkind: Rule\nmetadata: {name: alerts}\nspec:\n"
        f"  on: alert\n  service: web\n  match: {match}\n"
    )


def test_a_rule_has_its_matchers() -> None:
    catalog = loaded(SERVICE, RUNBOOK, rule("[alertname=A, severity=~w.*]"))
    assert [str(each.operator) for each in catalog.rules["alerts"].match] == ["=", "=~"]


@pytest.mark.parametrize("match", ["['team!=x']", "['a=~\".*\"']", "['a=\"\"', 'b!~x']"])
def test_a_rule_that_would_match_every_alert_is_refused(match: str) -> None:
    (message,) = said(SERVICE, RUNBOOK, rule(match))
    assert "this matches every alert" in message


def test_a_wrong_matcher_is_pointed_at() -> None:
    (message,) = said(SERVICE, RUNBOOK, rule("[alertname=A, severity]"))
    assert message.startswith("c.yaml:7:24: spec.match[1]: 'severity' is not a matcher")
