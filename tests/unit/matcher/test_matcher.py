"""Alertmanager's matcher language, a rule's condition, and the index of rules, which finds what a scan finds."""

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.decisions.matcher import Difference, Matcher, ServiceIndex, difference, evaluate_condition, holds
from kintsugi.model.catalog import Catalog
from kintsugi.model.rules import CANARY, LabelMatcher, MatchOperator, Rule, RuleSource
from kintsugi.model.services import Service
from kintsugi.scope.values import rule_names
from kubeobjects.kept import Pod
from kubeobjects.selectors import Selector
from tests.unit.factories import NOW, catalog, pod, rule, rule_text, runbook_text, service_text, shop, signal, web

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


words = st.text(alphabet="ab-.|\n", max_size=6)


@given(st.sampled_from(["a|b", "a.*", ".+", "", "a?b*", "(ab)+"]), words)
def test_not_matching_is_the_opposite_of_matching(pattern: str, label: str) -> None:
    matches, differs = (LabelMatcher(label="x", operator=each, value=pattern) for each in (MATCH, NOT_MATCH))
    assert holds(matches, label) is not holds(differs, label)


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


@pytest.mark.parametrize("match", ['alertname=~".+"', f"alertname={CANARY}", 'namespace!=""'])
def test_no_rule_is_asked_about_a_canary(match: str) -> None:
    more = f"matchers: ['{match}']"
    matcher = Matcher(catalog(service_text(), rule_text(on="alert", more=more), runbook_text()))
    labels = {"alertname": CANARY, "namespace": "production", "pod": "web-1"}
    assert matcher.rules_for_alert(labels) == ()
    if CANARY not in match:
        assert matcher.rules_for_alert({**labels, "alertname": "KubePodCrashLooping"})


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


NAMESPACES = ("production", "staging", "tools")
SELECTORS = ("app=web", "app=api", "app in (web,api)", "app!=web", "tier", "app=web,tier=front", "!tier")


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    """Make a catalog of services in several namespaces, and rules of every source about them (or about all)."""
    services = {
        f"s{n}": replace(
            web(),
            name=f"s{n}",
            priority=draw(st.integers(1, 5)),
            namespace=draw(st.sampled_from(NAMESPACES)),
            selector=Selector.parse(draw(st.sampled_from(SELECTORS))),
        )
        for n in range(draw(st.integers(1, 5)))
    }
    rules = {}
    for n in range(draw(st.integers(0, 12))):
        on = draw(st.sampled_from(RuleSource))
        about = draw(st.sampled_from([*services, *([""] if on is RuleSource.SERVICES else [])]))
        match = draw(st.lists(matchers, min_size=1, max_size=2)) if on is RuleSource.ALERT else []
        rules[f"r{n}"] = replace(rule(name=f"r{n}"), on=on, service=about, matchers=tuple(match))
    return replace(shop(), services=services, rules=rules)


matchers = st.builds(
    LabelMatcher,
    label=st.sampled_from(["alertname", "severity", "team"]),
    operator=st.sampled_from(MatchOperator),
    value=st.sampled_from(["", "Down", "critical", "Down|Slow", ".*"]),
)
pod_labels = st.dictionaries(st.sampled_from(["app", "tier"]), st.sampled_from(["web", "api", "front"]), max_size=2)
alert_labels = st.dictionaries(
    st.sampled_from(["alertname", "severity", "team"]), st.sampled_from(["", "Down", "Slow", "critical"]), max_size=3
)


def service_of(rule_: Rule, catalog: Catalog) -> Service | None:
    """Return the service that a rule is about."""
    return catalog.services.get(rule_.service)


@given(catalogs(), st.sampled_from(NAMESPACES), pod_labels)
def test_rules_for_a_pod(catalog: Catalog, namespace: str, labels: dict[str, str]) -> None:
    scanned = [
        each
        for each in catalog.rules.values()
        if each.on is RuleSource.POD
        and (service := service_of(each, catalog)) is not None
        and service.namespace == namespace
        and service.selector.matches(labels)
    ]
    selecting = ServiceIndex(catalog.services.values()).selecting(namespace, labels)
    assert list(Matcher(catalog).rules_on_pods(selecting)) == scanned


@given(catalogs(), st.sampled_from(RuleSource))
def test_rules_of_a_source(catalog: Catalog, source: RuleSource) -> None:
    assert list(Matcher(catalog).rules(source)) == [each for each in catalog.rules.values() if each.on is source]


@given(catalogs(), alert_labels)
def test_rules_for_an_alert_come_by_the_priority_of_their_services(catalog: Catalog, labels: dict[str, str]) -> None:
    found = Matcher(catalog).rules_for_alert(labels)
    scanned = {
        each.name
        for each in catalog.rules.values()
        if each.on is RuleSource.ALERT and difference(each.matchers, labels) is None
    }
    assert {each.name for each in found} == scanned
    priorities = [catalog.services[each.service].priority for each in found]
    assert priorities == sorted(priorities)
