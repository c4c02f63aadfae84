"""A rule on a check names one of its service's lists of checks, and says how often it is asked."""

from datetime import timedelta

import pytest

from kintsugi.model.rules import RuleSource
from tests.unit.catalog.documents import RULE, RUNBOOK, SERVICE, loaded, said

CHECKED = SERVICE + "  checks:\n    smoke:\n      - {id: health, run: curl http://web/health, expect: status == 200}\n"
ON_CHECK = RULE.replace("on: pod", "on: check").replace("  when: object.unhealthy\n", "  check: smoke\n  every: 1m\n")


def test_a_check_is_asked_as_often_as_its_rule_says_and_every_half_minute_by_default() -> None:
    rule = loaded(CHECKED, ON_CHECK, RUNBOOK, durations=0.1).rules["pods"]
    assert (rule.on, rule.check, rule.every) == (RuleSource.CHECK, "smoke", timedelta(seconds=6))
    usual = loaded(CHECKED, ON_CHECK.replace("  every: 1m\n", ""), RUNBOOK).rules["pods"]
    assert usual.every == timedelta(seconds=30)


def test_when_narrows_a_rule_on_a_check_by_what_is_seen_of_its_service() -> None:
    rule = loaded(CHECKED, ON_CHECK.replace("  every: 1m\n", "  when: service.serving\n"), RUNBOOK).rules["pods"]
    assert rule.when is not None
    assert (rule.when.source, rule.check) == ("service.serving", "smoke")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("check: smoke", "check: smok", "there is no list of checks of web called 'smok'; did you mean 'smoke'?"),
        ("  check: smoke\n", "", "a rule on a check needs `check`"),
        ("every: 1m", "every: 1s", "`every` is between 5s and 1h"),
        ("every: 1m", "when: object.unhealthy", "object"),
        ("on: check", "on: services\n  when: 'true'", "`check` and `every` are for rules on a check"),
    ],
)
def test_a_mistake_in_a_rule_on_a_check_is_told(old: str, new: str, words: str) -> None:
    told = said(CHECKED, ON_CHECK.replace(old, new), RUNBOOK)
    assert any(words in line for line in told), told
