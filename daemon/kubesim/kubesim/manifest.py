"""
Reads and writes Kubernetes objects as plain JSON, for the embedded cluster.

This is the border where objects are still JSON: the cluster stores received objects whole, as the real server does.
Stored objects are never changed in place; `copy` first.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import orjson

from kubeobjects.resources import Resource

Json = dict[str, Any]
T = TypeVar("T")


def copy(value: T) -> T:
    """Copy a JSON value deeply."""
    copied: T = orjson.loads(orjson.dumps(value))
    return copied


def dig(value: object, *path: str, default: Any = None) -> Any:
    """Read a nested field; `default` when any part of the path is absent or null."""
    for part in path:
        if not isinstance(value, dict):
            return default
        value = value.get(part)
    return default if value is None else value


def name_of(obj: Json) -> str:
    """Read `metadata.name`."""
    return str(obj["metadata"].get("name", ""))


def namespace_of(obj: Json) -> str | None:
    """Read `metadata.namespace`; None for what is cluster-wide."""
    namespace: str | None = obj["metadata"].get("namespace")
    return namespace


def uid_of(obj: Json) -> str:
    """Read `metadata.uid`."""
    return str(obj["metadata"].get("uid", ""))


def labels_of(obj: Json) -> dict[str, str]:
    """Read `metadata.labels`; empty when they are absent."""
    labels: dict[str, str] = obj["metadata"].get("labels") or {}
    return labels


def annotations_of(obj: Json) -> dict[str, str]:
    """Read `metadata.annotations`; empty when they are absent."""
    annotations: dict[str, str] = obj["metadata"].get("annotations") or {}
    return annotations


def deleting(obj: Json) -> bool:
    """Return whether the object is on its way out."""
    return bool(obj["metadata"].get("deletionTimestamp"))


def timestamp(moment: datetime) -> str:
    """Write a moment as `metav1.Time` does: UTC, whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_timestamp(moment: datetime) -> str:
    """Write a moment as `metav1.MicroTime` does."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def controller_uid(obj: Json) -> str:
    """Read the uid of the controlling owner; empty without one."""
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return str(owner["uid"])
    return ""


def controller_reference(owner: Json) -> Json:
    """Make the reference by which an object names its controller."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def object_reference(obj: Json, resource: Resource) -> Json:
    """Make the reference by which an Event or an endpoint names an object."""
    reference = {
        "kind": resource.kind,
        "namespace": namespace_of(obj),
        "name": name_of(obj),
        "uid": uid_of(obj),
        "apiVersion": resource.api_version,
        "resourceVersion": obj["metadata"].get("resourceVersion"),
    }
    return {key: value for key, value in reference.items() if value is not None}


def condition(obj: Json, kind: str) -> Json | None:
    """Find the status condition of one type."""
    for each in dig(obj, "status", "conditions", default=()):
        if each.get("type") == kind:
            found: Json = each
            return found
    return None


def is_true(obj: Json, kind: str) -> bool:
    """Return whether a status condition is known and True."""
    found = condition(obj, kind)
    return found is not None and found.get("status") == "True"


def condition_entry(pod: Json, kind: str, now: datetime, *, holds: bool) -> Json:
    """Write a pod condition without its reason."""
    return {
        "type": kind,
        "status": "True" if holds else "False",
        "observedGeneration": pod["metadata"].get("generation", 1),
        "lastProbeTime": None,
        "lastTransitionTime": timestamp(now),
    }


def with_condition(conditions: Iterable[Json], new: Json) -> list[Json]:
    """Put a condition among others; its transition time moves only when its status does."""
    kept: list[Json] = []
    placed = False
    for old in conditions:
        if old["type"] != new["type"]:
            kept.append(old)
            continue
        placed = True
        same = old.get("status") == new["status"]
        kept.append({**new, "lastTransitionTime": old["lastTransitionTime"]} if same else new)
    return kept if placed else [*kept, new]


def without(obj: Json, keys: Sequence[str]) -> Json:
    """Drop keys from the top level."""
    return {key: value for key, value in obj.items() if key not in keys}


def containers_of(pod: Json) -> list[Json]:
    """Return the specifications of a pod's containers in the order of their start: those that initialise it first."""
    return [*dig(pod, "spec", "initContainers", default=()), *pod["spec"]["containers"]]


def statuses_of(pod: Json) -> list[Json]:
    """Return the statuses of a pod's containers, as far as its kubelet has written them."""
    kinds = ("initContainerStatuses", "containerStatuses")
    return [each for kind in kinds for each in dig(pod, "status", kind, default=())]
