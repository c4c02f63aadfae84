"""
The values of the names that an expression sees: from views, signals and step results to one prepared mapping.

Each function here fills the names that its namesake in `kintsugi.scope.types` lists. Nothing is converted before an
expression reads it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from kintsugi.expressions import Names
from kintsugi.model.documents import RuleSource
from kintsugi.model.records import Incident, Signal
from kintsugi.model.views import ServiceView
from kintsugi.objects.kept import Object
from kintsugi.scope.types import SERVICE, identifier, service_names

Views = Mapping[str, ServiceView]


def health_names(view: ServiceView) -> Names:
    """Give the values for a Service's `healthy`."""
    shown = shown_view(view)
    known = ((name, shown.get(name.removeprefix("service."))) for name in service_names())
    return Names({name: value for name, value in known if value is not None})


def rule_names(
    on: RuleSource,
    *,
    now: datetime,
    object: Object | None = None,  # noqa: A002 - the name that rules use
    alert: Signal | None = None,
    service: ServiceView | None = None,
    services: Views | None = None,
) -> Names:
    """Give the values for a Rule's `when`: `object` for pods, claims, nodes and events, `alert` or the views for others."""
    match on:
        case RuleSource.ALERT:
            return Names({"now": now, **({"alert": shown_alert(alert)} if alert else {})})
        case RuleSource.SERVICES:
            return Names({"now": now, **_views(service, services or {})})
        case RuleSource.CHECK:
            return Names({"now": now})
        case _:
            return Names(_known({"now": now, "object": object}))


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """
    What all steps of a run see at one moment.

    `service` is the one that the step works on, None if it has none; a check that is asked outside of a run has no incident.
    """

    now: datetime
    incident: Incident | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)
    service: ServiceView | None = None
    services: Views = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class StepOutcome:
    """
    What later expressions see of a step that is over: its result's names, whether it ran, whether `expect` held.

    It has `answered` when it has any result: also of a step for each item, of which some gave no answer.
    """

    ran: bool
    met: bool
    result: Mapping[str, object] = field(default_factory=dict)


def step_names(
    around: Surroundings,
    *,
    earlier: Mapping[str, StepOutcome] | None = None,
    own: Mapping[str, object] | None = None,
    each: object = None,
) -> Names:
    """
    Give the values for a step's expressions and templates.

    A step that did not run, or was given no answer, has only `ran`, `met` and `answered`: its results are absent, and to
    read them is an error.
    """
    values: dict[str, object] = {"now": around.now}
    if around.incident is not None:
        values["incident"] = shown_incident(around.incident)
    values |= _views(around.service, around.services)
    values |= {f"params.{name}": value for name, value in around.parameters.items()}
    for step, outcome in (earlier or {}).items():
        known = {"ran": outcome.ran, "met": outcome.met, "answered": bool(outcome.result)}
        seen = {**outcome.result, **known}
        values |= {f"steps.{step}.{name}": value for name, value in seen.items()}
    if each is not None:
        values["each"] = each
    return Names({**values, **(own or {})})


def shown_view(view: ServiceView) -> dict[str, object]:
    """Give a view as `service` shows it; what is not known is absent."""
    declared = view.service
    of_document = {
        "name": declared.name,
        "namespace": declared.namespace,
        "priority": declared.priority,
        "depends_on": declared.depends_on,
        "selector": declared.selector.text,
        "owns": [each.metadata.uid for each in objects_of(view)],
    }
    fields = {name: of_document[name] if name in of_document else getattr(view, name) for name in SERVICE.fields}
    return _known(fields)


def objects_of(view: ServiceView) -> tuple[Object, ...]:
    """List the objects of a service that its view knows."""
    workload = () if view.workload is None else (view.workload,)
    return (*workload, *view.pods, *view.claims, *view.endpoints)


def shown_alert(signal: Signal) -> dict[str, object]:
    """Give an alert's signal in Alertmanager's words."""
    return _known(
        {
            "labels": signal.labels,
            "annotations": signal.annotations,
            "status": signal.status,
            "startsAt": signal.began,
            "endsAt": signal.ended,
            "fingerprint": signal.key,
        }
    )


def shown_incident(incident: Incident) -> dict[str, object]:
    """Give an incident as `incident` shows it; it began when it was opened."""
    return {
        "id": incident.id,
        "service": incident.service,
        "rule": incident.rule,
        "runbook": incident.runbook,
        "began": incident.opened,
    }


def _known(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _views(service: ServiceView | None, services: Views) -> dict[str, object]:
    shown = {name: shown_view(view) for name, view in services.items()}
    values: dict[str, object] = {"services": list(shown.values())}
    values |= {f"services.{identifier(name)}": view for name, view in shown.items()}
    if service is not None:
        own = shown_view(service)
        values |= {"service": own, **{f"service.{name}": value for name, value in own.items()}}
    return values
