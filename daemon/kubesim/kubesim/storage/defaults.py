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
from kubesim.manifest import Json, copy, dig, name_of, uid_of

TOLERATIONS: Final[list[Json]] = [
    {"key": f"node.kubernetes.io/{state}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    for state in ("not-ready", "unreachable")
]
SPEC: Final[Json] = {
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "schedulerName": "default-scheduler",
}
ADMITTED: Final[Json] = {
    "serviceAccountName": "default",
    "serviceAccount": "default",
    "enableServiceLinks": True,
    "preemptionPolicy": "PreemptLowerPriority",
    "priority": 0,
}
PROBE: Final[Json] = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
CONTAINER: Final[Json] = {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}


def default_pod(pod: Json) -> None:
    """Fill in a pod's specification, and what admission adds to it."""
    spec = pod.setdefault("spec", {})
    _default_spec(spec)
    fill(spec, ADMITTED)
    if spec.get("tolerations") is None:
        spec["tolerations"] = [dict(each) for each in TOLERATIONS]


def default_template(spec: Json) -> None:
    """Fill in the pod template of a workload's specification."""
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {})
    _default_spec(template.setdefault("spec", {}))


def qos_class(spec: Json) -> str:
    """Work out the quality of service class from requests and limits (cpu and memory)."""
    containers = spec.get("containers") or []
    resources = [container.get("resources") or {} for container in containers]
    if not any(each.get("requests") or each.get("limits") for each in resources):
        return "BestEffort"
    return "Guaranteed" if all(_guaranteed(each) for each in resources) else "Burstable"


def _guaranteed(resources: Json) -> bool:
    limits = resources.get("limits") or {}
    requests = {**limits, **(resources.get("requests") or {})}
    return {"cpu", "memory"} <= set(limits) and all(requests[key] == limits[key] for key in ("cpu", "memory"))


def _default_spec(spec: Json) -> None:
    fill(spec, SPEC)
    if spec.get("securityContext") is None:
        spec["securityContext"] = {}
    for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
        _default_container(container)
    for volume in spec.get("volumes") or ():
        _default_volume(volume)


def _default_container(container: Json) -> None:
    fill(container, CONTAINER)
    fill(container, {"imagePullPolicy": _pull_policy(container.get("image", ""))})
    resources = container.setdefault("resources", {})
    if resources.get("limits"):
        resources["requests"] = {**resources["limits"], **(resources.get("requests") or {})}
    for port in container.get("ports") or ():
        fill(port, {"protocol": "TCP"})
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        if container.get(probe) is not None:
            fill(container[probe], PROBE)
            if container[probe].get("httpGet") is not None:
                fill(container[probe]["httpGet"], {"scheme": "HTTP", "path": "/"})


def _pull_policy(image: str) -> str:
    tag = image.rpartition("/")[2].partition(":")[2]
    return "Always" if tag in ("", "latest") and "@" not in image else "IfNotPresent"


def _default_volume(volume: Json) -> None:
    for kind in ("secret", "configMap", "projected"):
        if volume.get(kind) is not None:
            fill(volume[kind], {"defaultMode": 420})
    if dig(volume, "hostPath") is not None:
        fill(volume["hostPath"], {"type": ""})
    if set(volume) == {"name"}:
        volume["emptyDir"] = {}


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
    if resource in _INITIAL_STATUS:
        obj["status"] = copy(_INITIAL_STATUS[resource])
    if resource == resources.PODS:
        obj["status"]["qosClass"] = qos_class(obj["spec"])


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
        fill(strategy["rollingUpdate"], {"maxUnavailable": "25%", "maxSurge": "25%"})
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
    resources.STORAGECLASSES: lambda obj: fill(obj, {"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"}),
    resources.EVENTS: _event,
}

_INITIAL_STATUS: Final[Mapping[Resource, Json]] = {
    resources.PODS: {"phase": "Pending"},
    resources.DEPLOYMENTS: {},
    resources.REPLICASETS: {"replicas": 0},
    resources.STATEFULSETS: {"replicas": 0, "availableReplicas": 0},
    resources.DAEMONSETS: dict.fromkeys(
        ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady"), 0
    ),
    resources.JOBS: {},
    resources.CRONJOBS: {},
    resources.SERVICES: {"loadBalancer": {}},
    resources.PVCS: {"phase": "Pending"},
    resources.PVS: {"phase": "Pending"},
    resources.NAMESPACES: {"phase": "Active"},
    resources.HPAS: {"desiredReplicas": 0, "currentMetrics": None},
    resources.PDBS: dict.fromkeys(("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"), 0),
    resources.INGRESSES: {"loadBalancer": {}},
    resources.NODES: {"daemonEndpoints": {"kubeletEndpoint": {"Port": 0}}, "nodeInfo": {}},
}
