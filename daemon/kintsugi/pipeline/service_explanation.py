"""
The explanation of a service: its values and rules, each with the place where it was written, or marked as derived.

Pure: the answer of `kintsugi explain SERVICE`.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from kintsugi.commands import format_duration
from kintsugi.decisions.revision_checks import standing_text
from kintsugi.model.api_types import ServiceExplanation, ServiceValue
from kintsugi.model.known import RevisionStanding
from kintsugi.model.rules import Mode, Rule
from kintsugi.model.services import DERIVED, Service
from kintsugi.model.views import ServiceView

UNSEEN = "unknown, because the workload was not seen yet"


def service_explanation(
    view: ServiceView, rules: Iterable[Rule], standing: RevisionStanding | None, *, mode: Mode, now: datetime
) -> ServiceExplanation:
    """
    Explain a service as the views have it, with the selector of its workload; of `rules` those about it are taken.

    `standing` says whether its revision is good, None until it was first looked at. `mode` is the daemon's, which no rule exceeds.
    """
    service = view.service
    seen = standing_text(standing, now) if standing is not None else UNSEEN
    own = sorted((rule for rule in rules if rule.service == service.name), key=lambda rule: rule.name)
    return ServiceExplanation(
        service=service.name,
        values=tuple(
            ServiceValue(key=key, value=value, place=str(service.positions[key]) if key in service.positions else "")
            for key, value in (*_values(service), ("checks", _checks(view)), ("revision", seen), *_warnings(view))
        ),
        rules=tuple(ServiceValue(key=rule.name, value=_terms(rule, mode), place=str(rule.place)) for rule in own),
    )


def _values(service: Service) -> Iterator[tuple[str, str]]:
    yield "namespace", service.namespace
    yield "workload", str(service.workload)
    yield "selector", service.selector.text or UNSEEN
    yield "healthy", service.healthy.source
    yield "runbook", service.runbook
    yield "priority", str(service.priority)
    yield "dependsOn", ", ".join(service.depends_on) or "none"


def _checks(view: ServiceView) -> str:
    """Return the lists of checks, the derived one with what it asks and whether it counts."""
    derived = view.derived_check
    own = [*view.service.checks]
    if derived is not None:
        counts = "" if derived.url in view.counts else ", which counts once it has answered"
        own.append(f"{DERIVED}: {derived.url} through service/{derived.service}{counts}")
    return ", ".join(own) or "none"


def _warnings(view: ServiceView) -> Iterator[tuple[str, str]]:
    if view.warnings:
        yield "warnings", "; ".join(view.warnings)


def _terms(rule: Rule, mode: Mode) -> str:
    """Return when a rule starts what, in one line."""
    when = rule.when.source if rule.when is not None else ""
    asks = f"check {rule.check} not met" if rule.check else ", ".join(map(str, rule.matchers))
    lasting = f" for {format_duration(rule.for_duration)}" if rule.for_duration else ""
    condition = " and ".join(part for part in (asks, when) if part)
    limited = "" if mode in (rule.mode, Mode.AUTO) or rule.mode is Mode.OBSERVE else f" (the daemon's mode: {mode})"
    return f"{rule.mode}{limited}: {rule.runbook} on {rule.on}{lasting}: {' '.join(condition.split())}"
