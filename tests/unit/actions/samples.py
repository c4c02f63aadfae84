"""Objects as an API server shows them, of the smallest size that the actions judge by."""

from datetime import timedelta
from typing import Any

from kintsugi.actions.change_context import ChangeContext
from kubeobjects.selectors import Selector
from tests.unit.actions.cluster_of_dicts import NOW

NAMESPACE = "production"


def ago(**parts: float) -> str:
    """Return the moment so long before NOW, in the API's notation."""
    return (NOW - timedelta(**parts)).isoformat().replace("+00:00", "Z")


def change_context(**changes: Any) -> ChangeContext:
    """Make the context of a forward step of the web service."""
    settings: dict[str, Any] = {
        "incident": "i-1",
        "run": "r-1",
        "path": "restart",
        "now": NOW,
        "service": "web-service",
        "selector": Selector.parse("app=web"),
        "protected": frozenset({"kube-system"}),
    }
    return ChangeContext(**{**settings, **changes})


def owner(kind: str, name: str, uid: str = "owner-uid") -> dict[str, Any]:
    """Make a controlling owner reference."""
    return {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": True}


def pod(name: str = "web-1", **status: object) -> dict[str, Any]:
    """Make a pod of the web service in a crash loop; keywords replace parts of its status."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": f"uid-{name}",
            "resourceVersion": "7",
            "creationTimestamp": ago(hours=1),
            "labels": {"app": "web"},
            "ownerReferences": [owner("ReplicaSet", "web-abc")],
        },
        "spec": {
            "nodeName": "node-1",
            "restartPolicy": "Always",
            "containers": [{"name": "web", "image": "web:1", "env": [{"name": "API_TOKEN", "value": "hunter2"}]}],
        },
        "status": {
            "phase": "Running",
            "startTime": ago(hours=1),
            "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": ago(minutes=30)}],
            "containerStatuses": [
                {
                    "name": "web",
                    "ready": False,
                    "restartCount": 7,
                    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                    "lastState": {"terminated": {"exitCode": 1, "finishedAt": ago(minutes=1)}},
                }
            ],
            **status,
        },
    }


def healthy_pod(name: str = "web-1") -> dict[str, Any]:
    """Make a pod that is ready."""
    return pod(
        name,
        conditions=[{"type": "Ready", "status": "True", "lastTransitionTime": ago(minutes=30)}],
        containerStatuses=[{"name": "web", "ready": True, "state": {"running": {"startedAt": ago(minutes=50)}}}],
    )


def unschedulable_pod(name: str = "web-1") -> dict[str, Any]:
    """Make a pod that waits for a node."""
    refused = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    return pod(name, phase="Pending", conditions=[refused], containerStatuses=[])


def node(name: str = "node-1", ready: str = "True", *, cordoned: bool = False) -> dict[str, Any]:
    """Make a node."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "uid": f"uid-{name}"},
        "spec": {"unschedulable": True} if cordoned else {},
        "status": {"conditions": [{"type": "Ready", "status": ready}], "allocatable": {"cpu": "4", "memory": "8Gi"}},
    }


def template(image: str, **annotations: str) -> dict[str, Any]:
    """Make a pod template."""
    metadata: dict[str, Any] = {"labels": {"app": "web"}}
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"metadata": metadata, "spec": {"containers": [{"name": "web", "image": image}]}}


def deployment(name: str = "web", *, replicas: int = 3, image: str = "web:2", revision: int = 2) -> dict[str, Any]:
    """Make a Deployment that has been observed."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": f"uid-{name}",
            "generation": revision,
            "resourceVersion": "40",
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template(image),
        },
        "status": {"observedGeneration": revision},
    }


def replica_set(number: int, image: str, *, deployment: str = "web", cause: str = "") -> dict[str, Any]:
    """Make the ReplicaSet of a revision; its template hash is `hash-NUMBER`."""
    made = template(image)
    made["metadata"]["labels"]["pod-template-hash"] = f"hash-{number}"
    annotations = {"deployment.kubernetes.io/revision": str(number)}
    if cause:
        annotations["kubernetes.io/change-cause"] = cause
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{deployment}-{number}",
            "namespace": NAMESPACE,
            "uid": f"uid-{deployment}-{number}",
            "creationTimestamp": ago(hours=10 - number),
            "labels": {"app": "web", "pod-template-hash": f"hash-{number}"},
            "annotations": annotations,
            "ownerReferences": [owner("Deployment", deployment, f"uid-{deployment}")],
        },
        "spec": {"replicas": 0, "template": made},
    }


def stateful_set(*, replicas: int = 1, image: str = "db:2") -> dict[str, Any]:
    """Make a StatefulSet without annotations."""
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": NAMESPACE, "uid": "uid-db", "generation": 2},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "db"}},
            "template": template(image),
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        },
        "status": {"observedGeneration": 2},
    }


def member(name: str = "db-0", *, ready: bool = True, **container: object) -> dict[str, Any]:
    """Make a pod of the StatefulSet whose container `main` runs; keywords replace parts of the container's status."""
    status = {"name": "main", "containerID": "c-1", "imageID": "img", "state": {"running": {}}, "ready": ready}
    return {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": f"uid-{name}",
            "labels": {"app": "db"},
            "ownerReferences": [owner("StatefulSet", "db", "uid-db")],
        },
        "spec": {"containers": [{"name": "main"}]},
        "status": {
            "phase": "Running",
            "containerStatuses": [{**status, **container}],
            "conditions": [{"type": "Ready", "status": str(ready)}],
        },
    }


def with_metadata(obj: dict[str, Any], **metadata: object) -> dict[str, Any]:
    """Return an object with other metadata."""
    return {**obj, "metadata": {**obj["metadata"], **metadata}}


def controller_revision(number: int, image: str) -> dict[str, Any]:
    """Make a revision of the StatefulSet, with the nulls that the API leaves in it."""
    made = {"$patch": "replace", **template(image)}
    made["metadata"]["creationTimestamp"] = None
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"db-{number}",
            "namespace": NAMESPACE,
            "uid": f"uid-db-{number}",
            "labels": {"app": "db"},
            "ownerReferences": [owner("StatefulSet", "db", "uid-db")],
        },
        "revision": number,
        "data": {"spec": {"template": made}},
    }


def autoscaler(target: str = "web") -> dict[str, Any]:
    """Make an autoscaler of a Deployment."""
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web-hpa", "namespace": NAMESPACE, "uid": "uid-hpa"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": target}, "maxReplicas": 9},
    }


SECRET_REFERENCE = {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}


def shop(**metadata: object) -> dict[str, Any]:
    """Make a Deployment with an init container, the container `web`, and a sidecar."""
    made = deployment(image="nginx:1.26")
    made["metadata"] |= metadata
    pods = made["spec"]["template"]["spec"]
    pods["containers"][0]["resources"] = {"limits": {"memory": "256Mi"}}
    pods["containers"][0]["env"] = [{"name": "LOG_LEVEL", "value": "info"}, SECRET_REFERENCE]
    pods["containers"].append({"name": "proxy", "image": "envoy:1.30"})
    pods["initContainers"] = [{"name": "migrate", "image": "shop-migrate:7"}]
    return made


def revision_of(workload: dict[str, Any]) -> dict[str, Any]:
    """Make the ReplicaSet that holds a Deployment's second revision."""
    made = replica_set(2, "")
    made["spec"]["template"]["spec"] = workload["spec"]["template"]["spec"]
    return made


def claim(name: str = "data", volume: str = "", **spec: object) -> dict[str, Any]:
    """Make a claim of 1Gi."""
    wanted = {"resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "fast", **spec}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": NAMESPACE, "uid": "uid-claim", "resourceVersion": "9"},
        "spec": {**wanted, "volumeName": volume} if volume else wanted,
        "status": {"phase": "Bound"},
    }


def volume(policy: str = "Retain", name: str = "pv-1", uid: str = "uid-pv") -> dict[str, Any]:
    """Make a volume that the claim data-db-0 is bound to."""
    reference = {"name": "data-db-0", "namespace": NAMESPACE, "uid": "uid-claim", "resourceVersion": "3"}
    return {
        "kind": "PersistentVolume",
        "metadata": {"name": name, "uid": uid},
        "spec": {"persistentVolumeReclaimPolicy": policy, "claimRef": reference},
    }
