"""
The fields that the API server fills in when an object is created or changed.

The values are those of Kubernetes 1.34; the contract suite compares them with a real server.
"""

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from kubeobjects import resources
from kubeobjects.resources import Resource
from kubesim.manifest import Json, dig, name_of, uid_of
from kubesim.storage.pod_defaults import default_pod, default_template, qos_class

ROLLING: Final[Json] = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}


def set_defaults(resource: Resource, obj: Json) -> None:
    """Fill in what the caller left out of a new or changed object, in place."""
    defaulter = _DEFAULTERS.get(resource)
    if defaulter is not None:
        defaulter(obj)
    _prune(obj, ("data", "binaryData"))
    _prune(obj["metadata"], ("labels", "annotations", "finalizers", "ownerReferences"))


def set_initial_status(resource: Resource, obj: Json) -> None:
    """Set the status of a new object that its kind is born with, in place; what the caller sent is dropped."""
    obj.pop("status", None)
    status = _INITIAL_STATUS.get(resource)
    if status is not None:
        obj["status"] = status(obj)


def _prune(target: Json, keys: Sequence[str]) -> None:
    """Leave out what is empty, as the real server does."""
    for key in keys:
        if key in target and not target[key]:
            del target[key]


def fill(target: Json, values: Mapping[str, Any]) -> None:
    """Set each value that is absent."""
    for key, value in values.items():
        if target.get(key) is None:
            target[key] = value


def _deployment(obj: Json) -> None:
    spec = obj.setdefault("spec", {})
    fill(spec, {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600, "strategy": {}})
    strategy = spec["strategy"]
    fill(strategy, {"type": "RollingUpdate"})
    if strategy["type"] == "RollingUpdate":
        fill(strategy, {"rollingUpdate": {}})
        fill(strategy["rollingUpdate"], ROLLING["rollingUpdate"])
    default_template(spec)


def _replicaset(obj: Json) -> None:
    spec = obj.setdefault("spec", {})
    fill(spec, {"replicas": 1})
    default_template(spec)


def _statefulset(obj: Json) -> None:
    spec = obj.setdefault("spec", {})
    fill(spec, {"replicas": 1, "podManagementPolicy": "OrderedReady", "revisionHistoryLimit": 10, "serviceName": ""})
    fill(spec, {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"}})
    fill(spec, {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}})
    default_template(spec)
    for claim in spec.get("volumeClaimTemplates") or ():
        fill(claim, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "status": {"phase": "Pending"}})
        fill(claim["spec"], {"volumeMode": "Filesystem"})


def _daemonset(obj: Json) -> None:
    spec = obj.setdefault("spec", {})
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
    fill(spec, {"updateStrategy": rolling, "revisionHistoryLimit": 10})
    default_template(spec)


def _job(obj: Json) -> None:
    spec = obj.setdefault("spec", {})
    fill(spec, {"parallelism": 1, "completions": 1, "backoffLimit": 6, "completionMode": "NonIndexed"})
    fill(spec, {"suspend": False, "manualSelector": False, "podReplacementPolicy": "TerminatingOrFailed"})
    uid = uid_of(obj)
    fill(spec, {"selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}})
    template = spec.setdefault("template", {}).setdefault("metadata", {}).setdefault("labels", {})
    for prefix in ("", "batch.kubernetes.io/"):
        fill(template, {f"{prefix}controller-uid": uid, f"{prefix}job-name": name_of(obj)})
    if obj["metadata"].get("labels") is None:
        obj["metadata"]["labels"] = dict(template)
    default_template(spec)


def _cronjob(obj: Json) -> None:
    spec = obj.setdefault("spec", {})
    fill(spec, {"concurrencyPolicy": "Allow", "suspend": False})
    fill(spec, {"successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1})
    default_template(dig(spec, "jobTemplate", "spec", default={}))


def _service(obj: Json) -> None:
    spec = obj.setdefault("spec", {})
    fill(spec, {"type": "ClusterIP", "sessionAffinity": "None"})
    if spec["type"] == "ExternalName":
        return
    fill(spec, {"internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"})
    if spec["type"] == "LoadBalancer":
        fill(spec, {"allocateLoadBalancerNodePorts": True})
    if spec["type"] in ("LoadBalancer", "NodePort"):
        fill(spec, {"externalTrafficPolicy": "Cluster"})
    for port in spec.get("ports") or ():
        fill(port, {"protocol": "TCP", "targetPort": port.get("port")})


def _claim(obj: Json) -> None:
    fill(obj.setdefault("spec", {}), {"volumeMode": "Filesystem"})
    _protect(obj, "kubernetes.io/pvc-protection")


def _volume(obj: Json) -> None:
    spec = obj.setdefault("spec", {})
    fill(spec, {"persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem"})
    if spec.get("hostPath") is not None:
        fill(spec["hostPath"], {"type": ""})
    _protect(obj, "kubernetes.io/pv-protection")


def _protect(obj: Json, finalizer: str) -> None:
    """Add a protection finalizer to an object that is not stored yet."""
    if obj["metadata"].get("resourceVersion") is None:
        finalizers = obj["metadata"].setdefault("finalizers", [])
        if finalizer not in finalizers:
            finalizers.append(finalizer)


def _namespace(obj: Json) -> None:
    fill(obj.setdefault("spec", {}), {"finalizers": ["kubernetes"]})
    obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = name_of(obj)


def _secret(obj: Json) -> None:
    fill(obj, {"type": "Opaque"})
    plain = obj.pop("stringData", None) or {}
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
    if encoded:
        obj["data"] = {**(obj.get("data") or {}), **encoded}


def _autoscaler(obj: Json) -> None:
    spec = obj.setdefault("spec", {})
    fill(spec, {"minReplicas": 1})
    utilisation = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
    fill(spec, {"metrics": [{"type": "Resource", "resource": utilisation}]})


def _storage_class(obj: Json) -> None:
    fill(obj, {"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"})


def _event(obj: Json) -> None:
    fill(obj, {"type": "Normal", "reportingComponent": "", "reportingInstance": ""})
    obj.setdefault("source", {})
    obj.setdefault("firstTimestamp", None)
    obj.setdefault("lastTimestamp", None)
    obj.setdefault("eventTime", None)


def percentage(value: int | str, total: int, *, up: bool) -> int:
    """Resolve an IntOrString of a rollout or a disruption budget against a total."""
    if isinstance(value, int):
        return value
    share = int(value.rstrip("%")) * total / 100
    return math.ceil(share) if up else math.floor(share)


_DEFAULTERS: Final[Mapping[Resource, Callable[[Json], None]]] = {
    resources.PODS: default_pod,
    resources.DEPLOYMENTS: _deployment,
    resources.REPLICASETS: _replicaset,
    resources.STATEFULSETS: _statefulset,
    resources.DAEMONSETS: _daemonset,
    resources.JOBS: _job,
    resources.CRONJOBS: _cronjob,
    resources.SERVICES: _service,
    resources.PVCS: _claim,
    resources.PVS: _volume,
    resources.NAMESPACES: _namespace,
    resources.SECRETS: _secret,
    resources.HPAS: _autoscaler,
    resources.STORAGECLASSES: _storage_class,
    resources.EVENTS: _event,
}

_INITIAL_STATUS: Final[Mapping[Resource, Callable[[Json], Json]]] = {
    resources.PODS: lambda pod: {"phase": "Pending", "qosClass": qos_class(pod["spec"])},
    resources.DEPLOYMENTS: lambda _: {},
    resources.REPLICASETS: lambda _: {"replicas": 0},
    resources.STATEFULSETS: lambda _: {"replicas": 0, "availableReplicas": 0},
    resources.DAEMONSETS: lambda _: {
        "currentNumberScheduled": 0,
        "numberMisscheduled": 0,
        "desiredNumberScheduled": 0,
        "numberReady": 0,
    },
    resources.JOBS: lambda _: {},
    resources.CRONJOBS: lambda _: {},
    resources.SERVICES: lambda _: {"loadBalancer": {}},
    resources.PVCS: lambda _: {"phase": "Pending"},
    resources.PVS: lambda _: {"phase": "Pending"},
    resources.NAMESPACES: lambda _: {"phase": "Active"},
    resources.HPAS: lambda _: {"desiredReplicas": 0, "currentMetrics": None},
    resources.PDBS: lambda _: {
        "disruptionsAllowed": 0,
        "currentHealthy": 0,
        "desiredHealthy": 0,
        "expectedPods": 0,
    },
    resources.INGRESSES: lambda _: {"loadBalancer": {}},
    resources.NODES: lambda _: {"daemonEndpoints": {"kubeletEndpoint": {"Port": 0}}, "nodeInfo": {}},
}
