"""
The `scale` subresource of workloads.
"""

from kubesim.manifest import Json, dig


def scale_of(workload: Json) -> Json:
    """Show a workload as an `autoscaling/v1` Scale."""
    keys = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status: Json = {"replicas": dig(workload, "status", "replicas", default=0)}
    selector = _selector_text(workload["spec"].get("selector") or {})
    if selector:
        status["selector"] = selector
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: workload["metadata"][key] for key in keys},
        "spec": {"replicas": workload["spec"]["replicas"]} if workload["spec"]["replicas"] else {},
        "status": status,
    }


def with_scale(workload: Json, scale: Json) -> Json:
    """Take a workload's replicas, and the version that was expected, from a Scale."""
    version = dig(scale, "metadata", "resourceVersion", default="")
    workload["metadata"]["resourceVersion"] = version
    workload["spec"]["replicas"] = dig(scale, "spec", "replicas", default=0)
    return workload


def _selector_text(selector: Json) -> str:
    labels = selector.get("matchLabels") or {}
    return ",".join(f"{key}={labels[key]}" for key in sorted(labels))
