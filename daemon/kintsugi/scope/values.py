"""
The values of the names that an expression sees: from views, signals and step results to one prepared mapping.

Each function here fills the names that its namesake in `kintsugi.scope.types` lists. Nothing is converted before an
expression reads it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from pydantic.alias_generators import to_snake

from kintsugi.expressions import NOTHING_LOST, Bindings, Lost
from kintsugi.mask import MASK
from kintsugi.model.records import Incident, Signal
from kintsugi.model.rules import RuleSource
from kintsugi.model.runbooks import Step
from kintsugi.model.views import ServiceView
from kintsugi.scope.types import PROMETHEUS, SERVICE, identifier, service_names
from kubeobjects.kept import Object

OUTPUT = {"exit_code": "exitCode"}
BACKUP = {"server_major": "serverMajor", "age_seconds": "ageSeconds"}
USE = {
    "cpu_millicores": "cpuMillicores",
    "memory_bytes": "memoryBytes",
    "cpu_percent": "cpuPercent",
    "memory_percent": "memoryPercent",
}
"""The fields of a program's output, of a backup, and of what a pod or a node uses: as they are kept, and as they are read."""

NO_ALERT: Mapping[str, object] = {"labels": {}, "annotations": {}}
"""What a run sees that no alert began, so that `has(alert.labels.NAME)` is false there."""

Views = Mapping[str, ServiceView]

SERVICES = "services"

_ATTRIBUTES = {name: to_snake(name) for name in SERVICE.fields}
"""The attributes of a view, by the names that expressions read them under."""


def shown_result(result: Mapping[str, object]) -> Mapping[str, object]:
    """Return a result with the names of its fields as an expression reads them; what is named so already stays."""
    return {OUTPUT.get(name, name): _shown(name, value) for name, value in result.items()}


def _shown(name: str, value: object) -> object:
    match value:
        case dict() if name == "backup":
            return _renamed(value, BACKUP)
        case [dict() as first, *_] if first.keys() >= USE.keys():
            return [_renamed(each, USE) if isinstance(each, dict) else each for each in value]
        case _:
            return value


def _renamed(value: Mapping[str, object], names: Mapping[str, str]) -> dict[str, object]:
    return {names.get(name, name): inner for name, inner in value.items()}


class WithServices(Mapping[str, object]):
    """
    Plain values, and the services beside them, each shown when it is first read.

    Hundreds of runs look every second, each at its own service: to show them all each time costs more than all else.
    """

    def __init__(self, values: Mapping[str, object], services: Views) -> None:
        self._values = values
        self._views = dict(services)  # as they are at this moment: the live ones are replaced in place

    def __getitem__(self, name: str) -> object:
        if name in self._values:
            return self._values[name]
        if name == SERVICES:
            return [shown_view(view) for view in self._views.values()]
        return shown_view(self._named[name])

    def __contains__(self, name: object) -> bool:
        return name in self._values or name == SERVICES or name in self._named

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._values, SERVICES, *self._named]))

    def __len__(self) -> int:
        return len(dict.fromkeys(self))

    @cached_property
    def _named(self) -> Views:
        return {f"{SERVICES}.{identifier(name)}": view for name, view in self._views.items()}


def health_names(view: ServiceView) -> Bindings:
    """Return the values for a Service's `healthy`."""
    shown = shown_view(view)
    known = ((name, shown.get(name.removeprefix("service."))) for name in service_names())
    return Bindings({name: value for name, value in known if value is not None})


def rule_names(
    on: RuleSource,
    *,
    now: datetime,
    object: Object | None = None,  # noqa: A002 - the name that rules use
    alert: Signal | None = None,
    service: ServiceView | None = None,
    services: Views | None = None,
) -> Bindings:
    """
    Return the values for a Rule's `when`: `object` for pods, claims, nodes and events, `alert` or the views for others.

    A label or annotation of the alert that was masked is lost: who asks for it gets no answer.
    """
    match on:
        case RuleSource.ALERT if alert is not None:
            return Bindings({"now": now, "alert": shown_alert(alert)}, _masked(alert))
        case RuleSource.ALERT:
            return Bindings({"now": now})
        case RuleSource.SERVICES:
            return Bindings(WithServices({"now": now, **_own(service)}, services or {}))
        case RuleSource.CHECK:
            return Bindings({"now": now, **_own(service)})
        case _:
            return Bindings(_known({"now": now, "object": object}))


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationContext:
    """
    The facts that all steps of a run see at one moment.

    `alert` is the one that began the run, None where none did. `service` is the one that the step works on, None if it has none; a check that is asked outside of a run has no incident.
    `prometheus` is where a Prometheus is, "" where the settings name none. `covered`: a run about all services is under way.
    """

    now: datetime
    incident: Incident | None = None
    alert: Signal | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)
    service: ServiceView | None = None
    services: Views = field(default_factory=dict)
    prometheus: str = ""
    covered: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class StepOutcome:
    """
    The outcome of a step for later expressions: its result's names, whether it ran, whether `expect` held.

    It has `answered` when it has any result: also of a step for each item, of which some gave no answer. `lost` are paths in
    the result that are not what was seen. `step` is the step, None where that does not matter.
    """

    ran: bool
    met: bool
    result: Mapping[str, object] = field(default_factory=dict)
    lost: frozenset[str] = frozenset()
    step: Step | None = None


def step_names(
    context: EvaluationContext,
    *,
    earlier: Mapping[str, StepOutcome] | None = None,
    own: Mapping[str, object] | None = None,
    each: object = None,
    lost: Lost = NOTHING_LOST,
) -> Bindings:
    """
    Return the values for a step's expressions and templates.

    A step that did not run, or was given no answer, has only `ran`, `passed` and `answered`: its results are absent, and to
    read them is an error.
    """
    values: dict[str, object] = {"now": context.now, PROMETHEUS: context.prometheus}
    if context.incident is not None:
        values["incident"] = shown_incident(context.incident, covered=context.covered)
    values["alert"] = NO_ALERT if context.alert is None else shown_alert(context.alert)
    if context.alert is not None:
        masked = _masked(context.alert)
        lost = Lost(paths=lost.paths | masked.paths, mark=lost.mark or masked.mark, why=lost.why or masked.why)
    values |= _own(context.service)
    values |= {f"params.{name}": value for name, value in context.parameters.items()}
    for step, outcome in (earlier or {}).items():
        known = {"ran": outcome.ran, "passed": outcome.met, "answered": bool(outcome.result)}
        seen = {**shown_result(outcome.result), **known}
        values |= {f"steps.{step}.{name}": value for name, value in seen.items()}
    if each is not None:
        values["each"] = each
    return Bindings(WithServices({**values, **shown_result(own or {})}, context.services), lost)


def shown_view(view: ServiceView) -> dict[str, object]:
    """Return a view as `service` shows it; what is not known is absent."""
    declared = view.service
    of_document = {
        "name": declared.name,
        "namespace": declared.namespace,
        "priority": declared.priority,
        "dependsOn": declared.depends_on,
        "selector": declared.selector.text,
        "addresses": [{"host": each.host, "port": each.port} for each in view.addresses],
        "expendable": declared.expendable,
        "managers": [str(each) for each in view.managers],
        "owns": [each.metadata.uid for each in objects_of(view)],
        "claims": view.pvcs,
        "checksMet": not view.unmet,
    }
    named = _ATTRIBUTES.items()
    return _known({name: of_document[name] if name in of_document else getattr(view, own) for name, own in named})


def objects_of(view: ServiceView) -> tuple[Object, ...]:
    """List the objects of a service that its view knows."""
    workload = () if view.workload is None else (view.workload,)
    return (*workload, *view.pods, *view.all_pvcs, *view.endpoints)


def shown_alert(signal: Signal) -> dict[str, object]:
    """Return an alert's signal in Alertmanager's words."""
    return _known(
        {
            "name": signal.labels.get("alertname"),
            "labels": signal.labels,
            "annotations": signal.annotations,
            "status": signal.status,
            "startsAt": signal.began,
            "endsAt": signal.ended,
            "fingerprint": signal.key,
        }
    )


def _masked(alert: Signal) -> Lost:
    """Return the labels and annotations of an alert that are not what they were."""
    texts = {"labels": alert.labels, "annotations": alert.annotations}
    paths = {f"alert.{which}.{name}" for which, named in texts.items() for name, text in named.items() if MASK in text}
    return Lost(paths=frozenset(paths), mark=MASK, why="was masked, and is not known") if paths else NOTHING_LOST


def shown_incident(incident: Incident, *, covered: bool) -> dict[str, object]:
    """Return an incident as `incident` shows it; it began when it was opened."""
    return {
        "id": incident.id,
        "service": incident.service,
        "rule": incident.rule,
        "runbook": incident.runbook,
        "began": incident.opened,
        "covered": covered,
    }


def _known(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _own(service: ServiceView | None) -> dict[str, object]:
    if service is None:
        return {}
    own = shown_view(service)
    return {"service": own, **{f"service.{name}": value for name, value in own.items()}}
