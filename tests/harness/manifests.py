"""The demo stack as Kubernetes objects: small, real, and breakable through the folder of faults on its node."""

from collections.abc import Mapping, Sequence
from secrets import token_hex
from typing import Any

from tests.harness.images import POSTGRES, WEB_GOOD
from tests.harness.network import NODE_FOLDER

Object = dict[str, Any]
# On the node, so that a test can mark one pod's uid there and the mark outlives the pod.
FAULTS = f"{NODE_FOLDER}/faults"
VOLUMES = f"{NODE_FOLDER}/volumes"
WEB = "web-app"


def web_deployment(
    namespace: str, *, app: str = WEB, replicas: int = 3, image: str = WEB_GOOD, claim: str | None = None
) -> Object:
    """Return `APP-deployment`: pods that serve /health on 8080, asked for it every second, and die at once when told."""
    labels = {"app": app}
    volumes: list[Object] = [{"name": "faults", "hostPath": {"path": FAULTS, "type": "DirectoryOrCreate"}}]
    if claim:
        volumes.append({"name": "data", "persistentVolumeClaim": {"claimName": claim}})
    containers = [_web_container(image, data=claim is not None)]
    pod = {"containers": containers, "volumes": volumes, "terminationGracePeriodSeconds": 1}
    return workload("Deployment", namespace, f"{app}-deployment", labels, pod, replicas=replicas)


def workload(
    kind: str, namespace: str, name: str, labels: Mapping[str, str], pod: Mapping[str, object], /, **spec: object
) -> Object:
    """Return a workload of pods with some labels."""
    template = {"metadata": {"labels": dict(labels)}, "spec": pod}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "spec": {"selector": {"matchLabels": dict(labels)}, "template": template, **spec},
    }


def evenly(app: str) -> Object:
    """Return a spread constraint: each node that takes pods has as many of an app's as any other."""
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule",
        "nodeTaintsPolicy": "Honor",
        "labelSelector": {"matchLabels": {"app": app}},
    }


def _web_container(image: str, *, data: bool) -> Object:
    mounts = [{"name": "faults", "mountPath": "/faults"}]
    if data:
        mounts.append({"name": "data", "mountPath": "/data"})
    return {
        "name": "web",
        "image": image,
        "imagePullPolicy": "Never",
        "env": [{"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {
            "httpGet": {"path": "/health", "port": 8080},
            "periodSeconds": 1,
            "failureThreshold": 2,
            "timeoutSeconds": 1,
        },
        "volumeMounts": mounts,
    }


def service(
    namespace: str, *, app: str = WEB, kind: str = "LoadBalancer", port: int = 80, target: int = 8080
) -> Object:
    """Return `APP-service` in front of the app's pods."""
    return front(namespace, f"{app}-service", {"app": app}, kind=kind, main=(port, target))


def front(
    namespace: str, name: str, labels: Mapping[str, str], *, kind: str = "ClusterIP", **ports: tuple[int, int]
) -> Object:
    """Return a Service in front of the pods with some labels; each port leads to one of theirs."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "spec": {
            "type": kind,
            "selector": dict(labels),
            "ports": [
                {"name": port, "port": number, "targetPort": target, "protocol": "TCP"}
                for port, (number, target) in ports.items()
            ],
        },
    }


def volume(namespace: str, *, claim: str = f"{WEB}-pvc", app: str = WEB, size: str = "1Gi") -> Sequence[Object]:
    """Return a claim and the volume on the node that it is bound to, empty: no other test has written to it."""
    name = f"{namespace}-{claim}"
    common = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    return (
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                **common,
                "capacity": {"storage": size},
                "hostPath": {"path": f"{VOLUMES}/{name}-{token_hex(4)}", "type": "DirectoryOrCreate"},
                "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": {"namespace": namespace, "name": claim},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": claim, "namespace": namespace, "labels": {"app": app}},
            "spec": {**common, "volumeName": name, "resources": {"requests": {"storage": size}}},
        },
    )


def web_stack(namespace: str, *, app: str = WEB, replicas: int = 3, image: str = WEB_GOOD) -> Sequence[Object]:
    """Return a web service whole: volume, claim, Deployment, and Service of type LoadBalancer."""
    claim = f"{app}-pvc"
    return (
        *volume(namespace, claim=claim, app=app),
        web_deployment(namespace, app=app, replicas=replicas, image=image, claim=claim),
        service(namespace, app=app),
    )


def tier(namespace: str, app: str, *, replicas: int = 1) -> Sequence[Object]:
    """Return a stand-in for another tier (api, cache, database): light web pods behind a ClusterIP Service."""
    return web_deployment(namespace, app=app, replicas=replicas), service(namespace, app=app, kind="ClusterIP")


def postgres(namespace: str, *, app: str = "database", password: str = "postgres") -> Sequence[Object]:
    """Return a real PostgreSQL 16 in the cluster: Secret, volume, claim, StatefulSet and ClusterIP Service.

    Its image is not loaded at the start: `cluster.load_images(POSTGRES)` first.
    """
    claim = f"{app}-pvc"
    pod = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]}
    return (
        _credentials(namespace, app, password),
        *volume(namespace, claim=claim, app=app),
        service(namespace, app=app, kind="ClusterIP", port=5432, target=5432),
        _stateful_set(namespace, app, pod, replicas=1),
    )


def postgres_pair(namespace: str, *, app: str = "database", password: str = "postgres") -> Sequence[Object]:
    """Return a primary and a standby that streams from it: the two pods of a StatefulSet, each on a claim of its own.

    A pod prepares its folder before its server starts: the first makes a database, the second copies the first.
    """
    primary = front(namespace, f"{app}-primary", {"app": app}, main=(5432, 5432))
    primary["spec"]["selector"] = {"statefulset.kubernetes.io/pod-name": f"{app}-0"}
    claim = {"accessModes": ["ReadWriteOnce"], "storageClassName": "", "resources": {"requests": {"storage": "1Gi"}}}
    claims = [{"metadata": {"name": "data"}, "spec": claim}]
    prepare = {**_postgres_container(app), "name": "prepare", "args": ["prepare"]}
    del prepare["readinessProbe"]
    prepare["env"].append({"name": "PRIMARY", "value": f"$({app.upper()}_PRIMARY_SERVICE_HOST)"})
    return (
        _credentials(namespace, app, password),
        primary,
        *(volume(namespace, claim=f"data-{app}-{number}", app=app)[0] for number in range(2)),
        service(namespace, app=app, kind="ClusterIP", port=5432, target=5432),
        _stateful_set(namespace, app, {"initContainers": [prepare]}, replicas=2, volumeClaimTemplates=claims),
    )


def secret(namespace: str, name: str, **content: str) -> Object:
    """Return a Secret."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": content}


def _credentials(namespace: str, app: str, password: str) -> Object:
    content = {"username": "postgres", "password": password, "app-password": password}
    return secret(namespace, f"{app}-credentials", **content)


def _stateful_set(namespace: str, app: str, pod: Mapping[str, object], **spec: object) -> Object:
    whole = {"terminationGracePeriodSeconds": 2, "containers": [_postgres_container(app)], **pod}
    return workload("StatefulSet", namespace, app, {"app": app}, whole, serviceName=f"{app}-service", **spec)


def _postgres_container(app: str) -> Object:
    password = {"secretKeyRef": {"name": f"{app}-credentials", "key": "password"}}
    return {
        "name": "postgres",
        "image": POSTGRES,
        "imagePullPolicy": "Never",
        "env": [
            {"name": "POSTGRES_PASSWORD", "valueFrom": password},
            {"name": "PGDATA", "value": "/data/pg"},
        ],
        "ports": [{"containerPort": 5432}],
        "readinessProbe": {
            "exec": {"command": ["pg_isready", "-h", "127.0.0.1", "-U", "postgres", "-t", "2"]},
            "periodSeconds": 1,
            "failureThreshold": 2,
            "timeoutSeconds": 5,
        },
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
