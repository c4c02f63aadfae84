"""What is sent to see that alerts are judged starts nothing, whatever the rules say and whoever sends it."""

import pytest

from kintsugi.decisions.matcher import Matcher
from kintsugi.model.rules import CANARY
from tests.unit.factories import catalog, rule_text, runbook_text, service_text


@pytest.mark.parametrize("match", ['alertname=~".+"', f"alertname={CANARY}", 'namespace!=""'])
def test_no_rule_is_asked_about_a_canary(match: str) -> None:
    more = f"matchers: ['{match}']"
    matcher = Matcher(catalog(service_text(), rule_text(on="alert", more=more), runbook_text()))
    labels = {"alertname": CANARY, "namespace": "production", "pod": "web-1"}
    assert matcher.rules_for_alert(labels) == ()
    if CANARY not in match:
        assert matcher.rules_for_alert({**labels, "alertname": "KubePodCrashLooping"})
