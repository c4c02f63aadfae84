"""A rule's `when` is yes, no, or has no answer; the last is neither of the others (P6)."""

import pytest

from kintsugi.decisions.matcher import evaluate_condition
from kintsugi.model.rules import RuleSource
from kintsugi.scope.values import rule_names
from kubeobjects.kept import Pod
from tests.unit.factories import NOW, catalog, pod, rule_text, runbook_text, service_text, signal


def asked(when: str, seen: Pod) -> bool | None:
    """Ask a rule on pods with this condition."""
    text = rule_text().replace("when: object.unhealthy", f"when: {when}")
    rule = catalog(service_text(), text, runbook_text()).rules["web-pods"]
    return evaluate_condition(rule, rule_names(RuleSource.POD, object=seen, now=NOW)).holds


@pytest.mark.parametrize(
    ("when", "answer"),
    [
        ("object.unhealthy", True),
        ("object.ready", False),
        ('object.metadata.labels["app"] == "web"', True),
        ('object.metadata.labels["absent"] == "web"', None),
        ("object.status.containerStatuses[7].ready", None),
    ],
)
def test_a_condition_is_yes_no_or_unanswered(when: str, answer: bool | None) -> None:
    assert asked(when, pod(ready=False)) is answer


def test_a_rule_without_a_condition_holds() -> None:
    text = rule_text(on="alert", more="matchers: [alertname=Down]")
    rule = catalog(service_text(), text, runbook_text()).rules["web-pods"]
    alert = signal(kind=RuleSource.ALERT, labels={"alertname": "Down"})
    assert evaluate_condition(rule, rule_names(RuleSource.ALERT, alert=alert, now=NOW)).holds is True
