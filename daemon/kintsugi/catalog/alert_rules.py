"""Finds rules that no alert could ever start."""

from kintsugi.model.label_matchers import MatchOperator
from kintsugi.model.rules import Rule
from kintsugi.model.services import Service


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
            f"it asks for alerts of the namespace {namespace}, and {service.name} is in {service.namespace}: "
            "alerts of another namespace start nothing"
        )
    if namespace == "" and not rule.any_namespace:
        return "it asks for alerts without a namespace, which start nothing: write `namespace: any`"
    return ""
