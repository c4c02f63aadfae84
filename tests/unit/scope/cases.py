"""The expressions of tests/data/expressions.yaml, each in the scope of the place that it stands in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from kintsugi.commands.results import CONNECTION, FINDING, LINES, LOOKUP, RESPONSE, REVISIONS, USAGE
from kintsugi.expressions import (
    ANY,
    BOOL,
    DOUBLE,
    INT,
    STRING,
    TIMESTAMP,
    ListOf,
    MapOf,
    Scope,
    Struct,
    Type,
    struct_type,
)
from kintsugi.model.rules import RuleSource
from kintsugi.scope.types import SERVICE, WORKLOAD, StepPlace, parameter_type, rule_names, service_names, step_names
from kubeobjects import kept

DATA = Path(__file__).parents[2] / "data" / "expressions.yaml"
SERVICES = ("database", "cache-service", "api-service", "web-service", "ingress-controller")

POD, CLAIM, NODE = struct_type(kept.Pod), struct_type(kept.PersistentVolumeClaim), struct_type(kept.Node)
VOLUME, KUBE_SERVICE = struct_type(kept.PersistentVolume), struct_type(kept.KubeService)
BACKUP = Struct("Backup", {"url": STRING, "file": STRING, "proven": BOOL, "taken": TIMESTAMP, "bytes": INT})
PROGRESS = Struct("Progress", {"bytes": INT})

RESULTS: Mapping[str, Mapping[str, Type]] = {
    "pods": {"items": ListOf(POD)},
    "nodes": {"items": ListOf(NODE)},
    "events": {"items": ListOf(struct_type(kept.Event))},
    "slices": {"items": ListOf(struct_type(kept.EndpointSlice))},
    "volumes": {"items": ListOf(VOLUME), "item": VOLUME},
    "workloads": {"items": ListOf(WORKLOAD), "item": WORKLOAD},
    "one_service": {"items": ListOf(KUBE_SERVICE), "item": KUBE_SERVICE},
    "pv_pvc": {"pv": ListOf(VOLUME), "pvc": ListOf(CLAIM)},
    "pvc_sc": {"pvc": ListOf(CLAIM), "sc": ListOf(struct_type(kept.StorageClass))},
    "use": USAGE,
    "lines": LINES,
    "findings": {"findings": ListOf(FINDING)},
    "rows": {"rows": ListOf(MapOf(ANY)), "value": ANY},
    "response": RESPONSE,
    "lookup": LOOKUP,
    "connection": CONNECTION,
    "sample": {"value": DOUBLE},
    "revisions": REVISIONS,
    "backup": {"backup": BACKUP},
    "restore": {},
    "done": {"done": PROGRESS},
}
GIVES: Mapping[str, Type] = {"bool": BOOL, "list": ListOf(ANY), "any": ANY}
EACH: Mapping[str, Type] = {"Pod": POD, "PersistentVolumeClaim": CLAIM, "ServiceView": SERVICE, "string": STRING}


@dataclass(frozen=True, kw_only=True)
class ExpressionCase:
    """One expression where it stands."""

    name: str
    source: str
    gives: Type
    scope: Scope


def cases() -> tuple[ExpressionCase, ...]:
    """Read every case."""
    entries = yaml.safe_load(DATA.read_text(encoding="utf-8"))
    return tuple(
        ExpressionCase(
            name=f"{entry['file']}: {entry['path']}",
            source=entry["source"],
            gives=GIVES[entry["gives"]],
            scope=Scope(names=_names(entry)),
        )
        for entry in entries
    )


def merged(results: Iterable[str]) -> Mapping[str, Type]:
    """Return the names of several kinds of results together."""
    return {name: kind for result in results for name, kind in RESULTS[result].items()}


def _names(entry: Mapping[str, object]) -> Mapping[str, Type]:
    place = entry.get("place")
    if place == "healthy":
        return service_names()
    if place is not None:
        return rule_names(RuleSource(str(place)), services=SERVICES, service=bool(entry.get("service")))
    parameters, earlier, own = entry.get("parameters", {}), entry.get("earlier", {}), entry.get("own", [])
    assert isinstance(parameters, Mapping)
    assert isinstance(earlier, Mapping)
    assert isinstance(own, list)
    return step_names(
        StepPlace(
            parameters={name: parameter_type(word) for name, word in parameters.items()},
            own=merged(own),
            each=EACH[str(entry["each"])] if "each" in entry else None,
            services=SERVICES,
        ).after({step: merged(results) for step, results in earlier.items()})
    )
