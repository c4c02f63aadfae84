"""
The fields that the API server and its admission fill into pods and pod templates.
"""

from typing import Any, Final

from kubesim.manifest import Json, dig

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
    _fill(spec, ADMITTED)
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
    _fill(spec, SPEC)
    if spec.get("securityContext") is None:
        spec["securityContext"] = {}
    for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
        _default_container(container)
    for volume in spec.get("volumes") or ():
        _default_volume(volume)


def _default_container(container: Json) -> None:
    _fill(container, CONTAINER)
    _fill(container, {"imagePullPolicy": _pull_policy(container.get("image", ""))})
    resources = container.setdefault("resources", {})
    if resources.get("limits"):
        resources["requests"] = {**resources["limits"], **(resources.get("requests") or {})}
    for port in container.get("ports") or ():
        _fill(port, {"protocol": "TCP"})
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        if container.get(probe) is not None:
            _fill(container[probe], PROBE)
            if container[probe].get("httpGet") is not None:
                _fill(container[probe]["httpGet"], {"scheme": "HTTP", "path": "/"})


def _pull_policy(image: str) -> str:
    tag = image.rpartition("/")[2].partition(":")[2]
    return "Always" if tag in ("", "latest") and "@" not in image else "IfNotPresent"


def _default_volume(volume: Json) -> None:
    for kind in ("secret", "configMap", "projected"):
        if volume.get(kind) is not None:
            _fill(volume[kind], {"defaultMode": 420})
    if dig(volume, "hostPath") is not None:
        _fill(volume["hostPath"], {"type": ""})
    if set(volume) == {"name"}:
        volume["emptyDir"] = {}


def _fill(target: Json, values: dict[str, Any]) -> None:
    for key, value in values.items():
        if target.get(key) is None:
            target[key] = value
