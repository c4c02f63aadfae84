"""The objects that the cases of the contract suite are made of."""

from typing import Any

Json = dict[str, Any]
WEB = "web:good"
BETTER = "web:better"


def of_kind(api_version: str, kind: str, name: str, labels: dict[str, str] | None = None, **more: Any) -> Json:
    """Describe an object."""
    metadata = {"name": name, "labels": labels} if labels else {"name": name}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **more}


def config(name: str, *, labels: dict[str, str] | None = None, **data: str) -> Json:
    """Describe a ConfigMap."""
    return of_kind("v1", "ConfigMap", name, labels, data=data)


def pod_spec(image: str = WEB, **more: Any) -> Json:
    """Describe a pod's content: one container, no token, stopped quickly."""
    container: Json = {"name": "web", "image": image, "ports": [{"containerPort": 8080}]}
    return {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
        **more,
    }


def unscheduled(name: str, *, labels: dict[str, str] | None = None) -> Json:
    """Describe a pod that no scheduler takes: it stays as it was written."""
    return of_kind("v1", "Pod", name, labels or {"app": name}, spec=pod_spec(schedulerName="nobody"))


def pod(name: str, image: str = WEB, **more: Any) -> Json:
    """Describe a pod that runs."""
    return of_kind("v1", "Pod", name, {"app": name}, spec=pod_spec(image, **more))


def deployment(name: str = "web", *, replicas: int = 2, image: str = WEB, **more: Any) -> Json:
    """Describe a Deployment."""
    template = {"metadata": {"labels": {"app": name}}, "spec": pod_spec(image)}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template, **more}
    return of_kind("apps/v1", "Deployment", name, spec=spec)


def idle(name: str = "web", *, replicas: int = 2) -> Json:
    """Describe a paused Deployment: no controller makes anything of it."""
    return deployment(name, replicas=replicas, paused=True)


def stateful(name: str = "db", *, replicas: int = 2) -> Json:
    """Describe a StatefulSet."""
    template = {"metadata": {"labels": {"app": name}}, "spec": pod_spec()}
    spec = {"replicas": replicas, "serviceName": name, "selector": {"matchLabels": {"app": name}}, "template": template}
    return of_kind("apps/v1", "StatefulSet", name, spec=spec)


def claim(name: str, storage_class: str = "") -> Json:
    """Describe a claim that only a volume of just this class can meet."""
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": storage_class,
        "resources": {"requests": {"storage": "1Mi"}},
    }
    return of_kind("v1", "PersistentVolumeClaim", name, spec=spec)


def volume(name: str, storage_class: str) -> Json:
    """Describe a volume."""
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": storage_class,
        "capacity": {"storage": "2Mi"},
        "persistentVolumeReclaimPolicy": "Retain",
        "hostPath": {"path": "/tmp/contract"},
    }
    return of_kind("v1", "PersistentVolume", name, spec=spec)


def budget(name: str, app: str, min_available: int) -> Json:
    """Describe a disruption budget."""
    spec = {"minAvailable": min_available, "selector": {"matchLabels": {"app": app}}}
    return of_kind("policy/v1", "PodDisruptionBudget", name, spec=spec)
