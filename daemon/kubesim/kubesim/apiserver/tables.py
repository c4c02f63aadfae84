"""
The other forms of an answer: the columns of `kubectl get`, for which the server makes the table, and metadata alone.

Kinds without columns of their own get NAME and AGE.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final

from kubeobjects import resources, unstructured
from kubeobjects.pods import Pod
from kubeobjects.predicates import restarts, status_of
from kubeobjects.resources import Resource
from kubesim.manifest import Json, dig, is_true, name_of

TABLE: Final = "as=Table"
METADATA: Final = "as=PartialObjectMetadata;"
UNITS: Final = ((2 * 86400, 86400, "d"), (3 * 3600, 3600, "h"), (120, 60, "m"), (0, 1, "s"))
"""The units of an age: the seconds from which a unit is used, its length, its letter."""

NONE: Final = "<none>"
Cells = Callable[[Json], list[object]]


def wants_table(accept: str) -> bool:
    """Return whether a client asks for tables."""
    return TABLE in accept


def wants_metadata(accept: str) -> bool:
    """Return whether a client asks for the metadata of objects alone."""
    return METADATA in accept


def metadata_of(item: Json) -> Json:
    """Write an object as `meta.k8s.io/v1` PartialObjectMetadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}


def table_of(
    resource: Resource, items: Iterable[Json], metadata: Json, now: datetime, *, include_object: str = "Metadata"
) -> Json:
    """Write objects as a `meta.k8s.io/v1` Table; `include_object` says how much of them stands beside the cells."""
    names, cells = _COLUMNS.get(resource, ((), lambda _: []))
    columns = [_column("Name", "name"), *(_column(name) for name in names), _column("Age")]
    beside: Mapping[str, Callable[[Json], object]] = {"None": lambda _: None, "Object": lambda item: item}
    seen = beside.get(include_object, metadata_of)
    rows = [
        {
            "cells": [name_of(item), *cells(item), age(item, now)],
            "object": seen(item),
        }
        for item in items
    ]
    head = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
    return {**head, "columnDefinitions": columns, "rows": rows}


def age(item: Json, now: datetime) -> str:
    """Return how old an object is, in one unit."""
    created = item["metadata"].get("creationTimestamp")
    if not created:
        return "<unknown>"
    seconds = int((now - datetime.fromisoformat(created)).total_seconds())
    return next((f"{seconds // size}{unit}" for least, size, unit in UNITS if seconds >= least), "0s")


def _column(name: str, form: str = "") -> Json:
    return {"name": name, "type": "string", "format": form, "description": "", "priority": 0}


def _pod(pod: Json) -> list[object]:
    kept = unstructured.convert(pod, Pod)
    ready = len([status for status in kept.status.container_statuses if status.ready])
    return [f"{ready}/{len(kept.spec.containers)}", status_of(kept), str(restarts(kept))]


def _deployment(item: Json) -> list[object]:
    status = item["status"]
    ready = f"{status.get('readyReplicas', 0)}/{item['spec']['replicas']}"
    return [ready, status.get("updatedReplicas", 0), status.get("availableReplicas", 0)]


def _replicaset(item: Json) -> list[object]:
    status = item["status"]
    return [item["spec"]["replicas"], status.get("replicas", 0), status.get("readyReplicas", 0)]


def _statefulset(item: Json) -> list[object]:
    return [f"{item['status'].get('readyReplicas', 0)}/{item['spec']['replicas']}"]


def _claim(item: Json) -> list[object]:
    status = item["status"]
    capacity = dig(status, "capacity", "storage", default="")
    return [status["phase"], dig(item, "spec", "volumeName", default=""), capacity, _modes(status), _class(item)]


def _volume(item: Json) -> list[object]:
    reference = dig(item, "spec", "claimRef")
    claim = f"{reference['namespace']}/{reference['name']}" if reference else ""
    spec = item["spec"]
    return [spec["capacity"]["storage"], _modes(spec), item["status"]["phase"], claim, _class(item)]


def _modes(holder: Json) -> str:
    return ",".join("".join(filter(str.isupper, mode)) for mode in holder.get("accessModes") or ())


def _class(item: Json) -> str:
    return str(dig(item, "spec", "storageClassName", default=""))


def _service(item: Json) -> list[object]:
    spec = item["spec"]
    ingress = dig(item, "status", "loadBalancer", "ingress", default=[])
    waiting = "<pending>" if spec["type"] == "LoadBalancer" else NONE
    ports = ",".join(f"{port['port']}/{port['protocol']}" for port in spec.get("ports") or ())
    return [spec["type"], spec.get("clusterIP", NONE), ingress[0]["ip"] if ingress else waiting, ports or NONE]


def _node(item: Json) -> list[object]:
    ready = "Ready" if is_true(item, "Ready") else "NotReady"
    cordoned = ",SchedulingDisabled" if dig(item, "spec", "unschedulable") else ""
    return [f"{ready}{cordoned}", NONE, dig(item, "status", "nodeInfo", "kubeletVersion", default="")]


def _event(item: Json) -> list[object]:
    involved = item["involvedObject"]
    return [item["type"], item["reason"], f"{involved['kind'].lower()}/{involved['name']}", item["message"]]


_COLUMNS: Final[Mapping[Resource, tuple[tuple[str, ...], Cells]]] = {
    resources.PODS: (("Ready", "Status", "Restarts"), _pod),
    resources.DEPLOYMENTS: (("Ready", "Up-to-date", "Available"), _deployment),
    resources.REPLICASETS: (("Desired", "Current", "Ready"), _replicaset),
    resources.STATEFULSETS: (("Ready",), _statefulset),
    resources.PVCS: (("Status", "Volume", "Capacity", "Access Modes", "StorageClass"), _claim),
    resources.PVS: (("Capacity", "Access Modes", "Status", "Claim", "StorageClass"), _volume),
    resources.SERVICES: (("Type", "Cluster-IP", "External-IP", "Port(s)"), _service),
    resources.NODES: (("Status", "Roles", "Version"), _node),
    resources.EVENTS: (("Type", "Reason", "Object", "Message"), _event),
    resources.SECRETS: (("Type", "Data"), lambda item: [item["type"], len(item.get("data") or {})]),
    resources.NAMESPACES: (("Status",), lambda item: [item["status"]["phase"]]),
}
