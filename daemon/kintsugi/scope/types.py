"""
The names that an expression sees in each place of a document, and their types.

`kintsugi.scope.values` gives the values of exactly these names. Other names cannot be read there: a misspelt name, a
later step or a sibling is refused when the document is loaded.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from kintsugi.expressions import (
    ANY,
    BOOL,
    DOUBLE,
    DURATION,
    INT,
    STRING,
    TIMESTAMP,
    ListOf,
    MapOf,
    Struct,
    Type,
    struct_type,
)
from kintsugi.model.rules import RuleSource
from kubeobjects.kept import (
    DaemonSet,
    Deployment,
    EndpointSlice,
    Event,
    Node,
    PersistentVolumeClaim,
    Pod,
    StatefulSet,
)

Names = Mapping[str, Type]


def common(name: str, structs: Iterable[Struct]) -> Struct:
    """Return one struct with the fields of all; a field that differs between them is checked no further."""
    fields: dict[str, Type] = {}
    for struct in structs:
        for field_name, kind in struct.fields.items():
            fields[field_name] = _either(f"{name}{field_name.capitalize()}", fields.get(field_name, kind), kind)
    return Struct(name, fields)


def _either(name: str, one: Type, other: Type) -> Type:
    if one == other:
        return one
    if isinstance(one, Struct) and isinstance(other, Struct):
        return common(name, (one, other))
    return ANY


WORKLOAD = common("Workload", map(struct_type, (Deployment, StatefulSet, DaemonSet)))
"""The owner of a service's pods; a field that its kind lacks is absent."""

SOCKET_ADDRESS = Struct("SocketAddress", {"host": STRING, "port": INT})
"""An address that accepts TCP connections."""

SERVICE = Struct(
    "ServiceView",
    {
        "name": STRING,
        "namespace": STRING,
        "priority": INT,
        "dependsOn": ListOf(STRING),
        "selector": STRING,
        "expendable": BOOL,
        "pods": ListOf(struct_type(Pod)),
        "claims": ListOf(struct_type(PersistentVolumeClaim)),
        "endpoints": ListOf(struct_type(EndpointSlice)),
        "workload": WORKLOAD,
        "workloadMissing": BOOL,
        "owns": ListOf(STRING),
        "replicas": INT,
        "desired": INT,
        "ready": INT,
        "restarts": INT,
        "counts": MapOf(INT),
        "serving": BOOL,
        "healthy": BOOL,
        "rolloutComplete": BOOL,
        "rolloutStuck": BOOL,
        "checksMet": BOOL,
        "warnings": ListOf(STRING),
        "healthySince": TIMESTAMP,
        "failingSince": TIMESTAMP,
        "lastRestart": TIMESTAMP,
        "managers": ListOf(STRING),
        "clusterIP": STRING,
        "port": INT,
        "host": STRING,
        "addresses": ListOf(SOCKET_ADDRESS),
    },
)
"""One service as the caches show it (`model.views.ServiceView`). `owns` are the uids of its objects."""

ALERT = Struct(
    "Alert",
    {
        "name": STRING,
        "labels": MapOf(STRING),
        "annotations": MapOf(STRING),
        "status": STRING,
        "startsAt": TIMESTAMP,
        "endsAt": TIMESTAMP,
        "fingerprint": STRING,
    },
)
"""An alert in Alertmanager's words, and its `alertname`; `endsAt` is absent while it fires."""

INCIDENT = Struct(
    "Incident",
    {"id": STRING, "service": STRING, "rule": STRING, "runbook": STRING, "began": TIMESTAMP, "covered": BOOL},
)
"""`covered`: a run about all services is under way, which recovers next what is left."""

PROMETHEUS = "prometheus.url"
"""The setting of that name, under that name: "" where no Prometheus is known."""

PARAMETERS: Mapping[str, Type] = {
    "integer": INT,
    "number": DOUBLE,
    "boolean": BOOL,
    "duration": DURATION,
    "string": STRING,
    "name": STRING,
    "url": STRING,
    "s3": STRING,
    "workload": STRING,
}
"""The types of an expression by the word for a parameter's type; `[WORD]` is a list of them."""

_OBJECTS: Mapping[RuleSource, Type] = {
    RuleSource.POD: struct_type(Pod),
    RuleSource.PVC: struct_type(PersistentVolumeClaim),
    RuleSource.NODE: struct_type(Node),
    RuleSource.EVENT: struct_type(Event),
}
_OWN_SERVICE: Names = {"service": SERVICE, **{f"service.{name}": kind for name, kind in SERVICE.fields.items()}}
_OUTCOME: Names = {"ran": BOOL, "passed": BOOL, "answered": BOOL}


def parameter_type(word: str) -> Type:
    """Return what a parameter holds, by its type's word in the file. Raises KeyError for an unknown word."""
    if word.startswith("[") and word.endswith("]"):
        return ListOf(PARAMETERS[word[1:-1].strip()])
    return PARAMETERS[word]


def service_names() -> Names:
    """
    Return the names of a Service's `healthy`: its view, bare or after `service.`.

    `healthy` itself is what is being asked, so it is not there; `namespace` is a reserved word of CEL, so only
    `service.namespace` is.
    """
    seen = {
        name: kind for name, kind in SERVICE.fields.items() if name not in {"healthy", "healthySince", "failingSince"}
    }
    bare = {name: kind for name, kind in seen.items() if name != "namespace"}
    return {**bare, **{f"service.{name}": kind for name, kind in seen.items()}}


def rule_names(on: RuleSource, *, services: Iterable[str] = (), service: bool = True) -> Names:
    """
    Return the names of a Rule's `when`, by the rule's source.

    `services` are the names of all services of the catalog; `service` is whether the rule names one.
    """
    match on:
        case RuleSource.ALERT:
            return {"alert": ALERT, "now": TIMESTAMP}
        case RuleSource.SERVICES:
            own = _OWN_SERVICE if service else {}
            return {**_all_services(services), **own, "now": TIMESTAMP}
        case RuleSource.CHECK:
            return {**_OWN_SERVICE, "now": TIMESTAMP}
        case _:
            return {"object": _OBJECTS[on], "now": TIMESTAMP}


@dataclass(frozen=True, kw_only=True, slots=True)
class StepPlace:
    """
    The place of an expression in a step.

    `earlier` holds the names of what the steps that are done by then left; `own` those of the step's own command, once
    it has run (`expect`, `progress`); `each` the type of an item of `forEach`. `services` are the names of all services
    of the catalog.
    """

    parameters: Names = field(default_factory=dict)
    earlier: Names = field(default_factory=dict)
    own: Names = field(default_factory=dict)
    each: Type | None = None
    services: tuple[str, ...] = ()

    def after(self, results: Mapping[str, Names]) -> "StepPlace":
        """Return the place after steps that left these results, by their ids."""
        left = {
            f"steps.{step}.{name}": kind
            for step, result in results.items()
            for name, kind in {**result, **_OUTCOME}.items()
        }
        return replace(self, earlier={**self.earlier, **left})


def step_names(place: StepPlace) -> Names:
    """Return the names of a step's expressions and templates. The innermost wins: the step's own result."""
    return {
        **_all_services(place.services),
        **_OWN_SERVICE,
        "alert": ALERT,
        "incident": INCIDENT,
        "now": TIMESTAMP,
        PROMETHEUS: STRING,
        **{f"params.{name}": kind for name, kind in place.parameters.items()},
        **place.earlier,
        **({} if place.each is None else {"each": place.each}),
        **place.own,
    }


def identifier(service: str) -> str:
    """Return the name of a service after `services.`: a dash would be a minus."""
    return service.replace("-", "_").replace(".", "_")


def _all_services(services: Iterable[str]) -> Names:
    named = {f"services.{identifier(name)}": SERVICE for name in services}
    return {"services": ListOf(SERVICE), **named}
