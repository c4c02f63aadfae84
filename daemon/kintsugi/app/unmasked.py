"""
The values that are never masked although a secret may equal them: names of the catalog, and labels that rules match.
"""

from kintsugi.model.catalog import Catalog
from kintsugi.model.rules import RuleSource
from kintsugi.pipeline.targets import TARGET_LABELS
from kintsugi.telemetry import SECRETS, get_logger

log = get_logger(__name__)


def spare_names(catalog: Catalog) -> None:
    """
    Mask no name of the catalog and no label that its rules judge by, and warn where a secret has such a name's value.

    The warning does not name it.
    """
    services = catalog.services.values()
    places = [
        name for each in services for name in (each.namespace, each.workload.name if each.workload else each.name)
    ]
    names = {*catalog.services, *catalog.rules, *catalog.runbooks, *places}
    if found := SECRETS.spare(names, matched_labels(catalog)):
        log.warning("secrets have the values of names in the catalog, and are not masked there", secrets=len(found))


def matched_labels(catalog: Catalog) -> frozenset[str]:
    """Name the labels and annotations of alerts that rules ask for, and those that name objects."""
    rules = catalog.rules.values()
    matched = {matcher.label for rule in rules for matcher in rule.matchers}
    conditions = [rule.when for rule in rules if rule.on is RuleSource.ALERT and rule.when is not None]
    read = {
        name.removeprefix(place)
        for condition in conditions
        for name in condition.reads
        for place in ("alert.labels.", "alert.annotations.")
        if name.startswith(place)
    }
    return frozenset({*TARGET_LABELS, *matched, *read})
