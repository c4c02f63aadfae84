"""
Which alerts a rule may start from: whose they are where they name no namespace, and rules that no alert could ever start.

An alert without a namespace may be another cluster's, or anybody's of that name: it is taken for a service only where its
rule says so, or asks for a label by which the catalog knows that service alone.
"""

from collections.abc import Mapping

from kintsugi.model.label_matchers import LabelMatcher, MatchOperator
from kintsugi.model.rules import Rule, RuleSource
from kintsugi.model.services import Service

EVERYBODY_S = frozenset({"alertname", "severity", "namespace", "cluster", "prometheus", "receiver"})
"""Labels that alerts of all services carry with the same values."""


def names_its_service(match: tuple[LabelMatcher, ...], service: str, others: Mapping[str, Rule]) -> bool:
    """Return whether a rule's matchers ask for a label with a value that no rule of another service asks for."""
    asked = {(each.label, each.value) for each in match if _is_given(each) and each.label not in EVERYBODY_S}
    elsewhere = {
        (each.label, each.value)
        for rule in others.values()
        if rule.on is RuleSource.ALERT and rule.service != service
        for each in rule.matchers
        if _is_given(each)
    }
    return bool(asked - elsewhere)


def never_starts(rule: Rule, service: Service) -> str:
    """Return why no alert could ever start a rule, "" when one could."""
    wanted: dict[str, str] = {}
    for each in rule.matchers:
        if each.operator is not MatchOperator.EQUAL:
            continue
        if wanted.setdefault(each.label, each.value) != each.value:
            return f"no alert has {each.label}={wanted[each.label]} and {each.label}={each.value}"
    namespace = wanted.get("namespace")
    if namespace and namespace != service.namespace:
        return (
            f"it asks for alerts of the namespace {namespace}, and {service.name} lives in {service.namespace}: "
            "alerts of another namespace start nothing"
        )
    if namespace == "" and not rule.any_namespace:
        return "it asks for alerts without a namespace, which start nothing: write `namespace: any`"
    return ""


def _is_given(matcher: LabelMatcher) -> bool:
    return matcher.operator is MatchOperator.EQUAL and matcher.value != ""
