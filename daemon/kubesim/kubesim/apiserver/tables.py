"""
The other forms of an answer: the columns of `kubectl get`, for which the server makes the table, and metadata alone.

Kinds without columns of their own get NAME and AGE. The STATUS and RESTARTS columns of pods follow kubectl's server-side
printer (printPod in k8s.io/kubernetes, printers.go).
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final

from kubeobjects import resources
from kubeobjects.resources import Resource
from kubesim.manifest import Json, condition, deleting, dig, is_true, name_of

TABLE: Final = "as=Table"
METADATA: Final = "as=PartialObjectMetadata;"
UNITS: Final = ((2 * 86400, 86400, "d"), (3 * 3600, 3600, "h"), (120, 60, "m"), (0, 1, "s"))
"""The units of an age: the seconds from which a unit is used, its length, its letter."""

NONE: Final = "<none>"
Cells = Callable[[Json], list[object]]


def status_column(pod: Json) -> str:
    """Return "Running", "CrashLoopBackOff", "Init:0/1", "Completed", "Terminating", …"""
    phase, said = dig(pod, "status", "phase", default=""), dig(pod, "status", "reason", default="")
    reason = str(said or phase)
    if dig(condition(pod, "PodScheduled"), "reason") == "SchedulingGated":
        reason = "SchedulingGated"
    initializing = _initializing(pod)
    if initializing is not None:
        reason = initializing
    if initializing is None or is_true(pod, "Initialized"):
        reason = _reason_of_containers(pod, reason)
    if deleting(pod) and said == "NodeLost":
        return "Unknown"
    if deleting(pod) and phase not in ("Succeeded", "Failed"):
        return "Terminating"
    return reason


def restarts_column(pod: Json) -> int:
    """Return the restarts of the init containers while they run, then of containers and sidecars."""
    initial = _init_statuses(pod)
    if _initializing(pod) is not None and not is_true(pod, "Initialized"):
        return sum(_restarts(status) for status in initial)
    sidecars = _sidecars(pod)
    counted = [*(status for status in initial if status["name"] in sidecars), *_statuses(pod)]
    return sum(_restarts(status) for status in counted)


def _initializing(pod: Json) -> str | None:
    """Return the STATUS of a pod whose init containers have not all done their part, or None when they have."""
    sidecars = _sidecars(pod)
    for index, status in enumerate(_init_statuses(pod)):
        terminated, waiting = dig(status, "state", "terminated"), dig(status, "state", "waiting", "reason", default="")
        if terminated is not None and not terminated.get("exitCode"):
            continue
        if status["name"] in sidecars and status.get("started"):
            continue
        if terminated is not None:
            return f"Init:{_ending(terminated)}"
        if waiting not in ("", "PodInitializing"):
            return f"Init:{waiting}"
        return f"Init:{index}/{len(dig(pod, 'spec', 'initContainers', default=[]))}"
    return None


def _reason_of_containers(pod: Json, reason: str) -> str:
    runs = False
    for status in reversed(_statuses(pod)):
        state = status.get("state") or {}
        if waiting := dig(state, "waiting", "reason", default=""):
            reason = str(waiting)
        elif "terminated" in state:
            reason = _ending(state["terminated"])
        elif status.get("ready") and "running" in state:
            runs = True
    if reason == "Completed" and runs:
        return "Running" if is_true(pod, "Ready") else "NotReady"
    return reason


def _ending(terminated: Json) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _statuses(pod: Json) -> list[Json]:
    found: list[Json] = dig(pod, "status", "containerStatuses", default=[])
    return found


def _init_statuses(pod: Json) -> list[Json]:
    found: list[Json] = dig(pod, "status", "initContainerStatuses", default=[])
    return found


def _restarts(status: Json) -> int:
    return int(status.get("restartCount") or 0)


def _sidecars(pod: Json) -> frozenset[str]:
    specs = dig(pod, "spec", "initContainers", default=[])
    return frozenset(str(each["name"]) for each in specs if each.get("restartPolicy") == "Always")


def wants_table(accept: str) -> bool:
    """Return whether a client asks for tables."""
    return TABLE in accept


def wants_metadata(accept: str) -> bool:
    """Return whether a client asks for the metadata of objects alone."""
    return METADATA in accept


def metadata_of(item: Json) -> Json:
    """Write an object as `meta.k8s.io/v1` PartialObjectMetadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}


def table_of(resource: Resource, items: Iterable[Json], metadata: Json, now: datetime) -> Json:
    """Write objects as a `meta.k8s.io/v1` Table."""
    names, cells = _COLUMNS.get(resource, ((), lambda _: []))
    columns = [_column("Name", "name"), *(_column(name) for name in names), _column("Age")]
    rows = [
        {
            "cells": [name_of(item), *cells(item), age(item, now)],
            "object": metadata_of(item),
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
    statuses = dig(pod, "status", "containerStatuses", default=[])
    ready = len([status for status in statuses if status["ready"]])
    return [f"{ready}/{len(pod['spec']['containers'])}", status_column(pod), str(restarts_column(pod))]


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
    resources.NAMESPACES: (("Status",), lambda item: [item["status"]["phase"]]),
}
