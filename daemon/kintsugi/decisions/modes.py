"""
Decides how far a run may go: as far as its rule lets it, and in other services no further than their own rules do.

Pure. A run about all services changes services that have rules of their own; a mode `observe` or `approve` of these
limits a runbook there.
"""

from collections.abc import Collection
from functools import reduce

from kintsugi.model.catalog import Catalog
from kintsugi.model.rules import Mode, Rule


def mode_for(rule: Rule, runbook: str, services: Collection[str], catalog: Catalog) -> Mode:
    """Return how far a rule's run may go with a runbook that changes these services."""
    others = [_own(each, runbook, catalog) for each in services if each != catalog.service_of(rule)]
    return reduce(Mode.at_most, others, rule.mode)


def _own(service: str, runbook: str, catalog: Catalog) -> Mode:
    """Return the most that any of a service's own rules lets a runbook do; no limit where none of them starts it."""
    started = [each for each in catalog.rules.values() if each.runbook == runbook]
    modes = {each.mode for each in started if catalog.service_of(each) == service}
    return max(modes, key=list(Mode).index, default=Mode.AUTO)
