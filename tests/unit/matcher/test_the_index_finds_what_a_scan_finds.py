"""Rules are found by source, namespace and selector; the index leaves out nothing and adds nothing."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from kintsugi.decisions.matcher import Matcher, ServiceIndex, difference
from kintsugi.model.catalog import Catalog
from kintsugi.model.rules import LabelMatcher, MatchOperator, Rule, RuleSource
from kintsugi.model.services import Service
from kubeobjects.selectors import Selector
from tests.unit.factories import rule, shop, web

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
