"""A backup worker's commands, its Job and its pod, as the cluster shows them at every stage of its work."""

from datetime import timedelta
from typing import Any

import orjson

from kintsugi.model.services import SecretRef, WorkloadRef
from kintsugi.settings import RestoreSettings, S3Settings
from kintsugi_restore.commands import BackupFetch, PgRestore
from kubeobjects.resources import STATEFULSETS
from kubeobjects.selectors import Selector
from tests.unit.actions.samples import NAMESPACE, ago

IMAGE = "registry.example.com/kintsugi:1.0"
RUN = "run-1hkq3v9s2tk7xq0m4gz"
FETCH_JOB, RESTORE_JOB = "kintsugi-tk7xq0m4gz-newest", "kintsugi-tk7xq0m4gz-restore"
ROOM = "kintsugi-tk7xq0m4gz-backups"
SETTINGS = RestoreSettings(image=IMAGE, s3=S3Settings(credentials="s3-reader", region="eu-1"))
ENV = {
    "PGPASSWORD": SecretRef(secret="database-credentials", key="password"),
    "PGPASSWORD_APP_RW": SecretRef(secret="app-credentials", key="password"),
    "REDIS_TOKEN": SecretRef(secret="redis", key="token"),
}
FETCH = BackupFetch(
    url="s3://backup-bucket/database/", database="app", namespace=NAMESPACE, max_age=timedelta(hours=26)
)
RESTORE = PgRestore(file="/backups/app.dump", host="database.production", user="postgres", database="app")
DRILL = PgRestore(file="/backups/app.dump", host="localhost.production", user="postgres", database="kintsugi_drill_x")
BACKUP = {
    "url": "s3://backup-bucket/database/app.dump",
    "file": "/backups/app.dump",
    "key": "database/app.dump",
    "size": 456,
    "taken": "2026-05-04T02:14:07Z",
    "sha256": "ab" * 32,
    "proven": True,
    "database": "app",
    "server_major": 16,
    "skipped": [{"url": "s3://backup-bucket/database/newer.dump", "reason": "it is cut off"}],
}
RESTORED = {"database": "app", "bytes": 456, "seconds": 1.5, "tables": [{"name": "public.orders", "rows": 1000}]}


def around(step: str = "newest", **changes: object) -> dict[str, Any]:
    """Return what the context of a step of the database's restore has."""
    settings: dict[str, Any] = {
        "incident": "inc-1hkq3v9s2tk7xq0m4gy",
        "run": RUN,
        "path": f"{step}#0",
        "service": "database",
        "namespace": NAMESPACE,
        "selector": Selector.parse("app=database"),
        "workload": WorkloadRef(resource=STATEFULSETS, name="database"),
        "env": ENV,
    }
    return {**settings, **changes}


def secret(name: str, *keys: str) -> dict[str, Any]:
    """Make a Secret."""
    metadata = {"name": name, "namespace": NAMESPACE, "uid": name}
    return {"kind": "Secret", "metadata": metadata, "data": dict.fromkeys(keys, "eA==")}


def service(name: str = "database", **selector: str) -> dict[str, Any]:
    """Make a Service."""
    spec = {"clusterIP": "10.0.0.7", "selector": selector or {"app": "database"}}
    return {"kind": "Service", "metadata": {"name": name, "namespace": NAMESPACE, "uid": f"uid-{name}"}, "spec": spec}


_READY = [{"type": "Ready", "status": "True"}]


def database_pods(*, ready: str = "True") -> tuple[dict[str, Any], ...]:
    """Make the service's own database, its one pod with two containers, and a stranger's pod with its labels."""
    labels = {"app": "database"}
    metadata = {"namespace": NAMESPACE, "labels": labels}
    spec = {
        "containers": [
            {"name": "postgres", "image": "registry.example.com/postgres:16", "imagePullPolicy": "IfNotPresent"},
            {"name": "exporter", "image": "registry.example.com/exporter:1"},
        ],
        "imagePullSecrets": [{"name": "registry"}],
    }
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}
    owner = {
        "kind": "StatefulSet",
        "metadata": {**metadata, "name": "database", "uid": "uid-set"},
        "spec": {"selector": {"matchLabels": labels}},
    }
    made = {"ownerReferences": [{"kind": "StatefulSet", "name": "database", "uid": "uid-set", "controller": True}]}
    own = {**metadata, **made, "name": "database-0", "uid": "uid-0"}
    foreign = {**spec, "containers": [{"name": "postgres", "image": "registry.example.com/not-postgres:1"}]}
    stranger = {**metadata, "name": "a-stranger", "uid": "uid-stranger"}
    return (
        owner,
        {"kind": "Pod", "metadata": own, "spec": spec, "status": status},
        {"kind": "Pod", "metadata": stranger, "spec": foreign, "status": {**status, "conditions": _READY}},
    )


def conditions(kind: str, reason: str, message: str = "") -> dict[str, Any]:
    """Make the status of a Job that has ended."""
    return {"conditions": [{"type": kind, "status": "True", "reason": reason, "message": message}]}


def pod(job: dict[str, Any], **status: object) -> dict[str, Any]:
    """Make the pod of a Job."""
    name, uid = job["metadata"]["name"], job["metadata"]["uid"]
    return {
        "kind": "Pod",
        "metadata": {
            "name": f"{name}-x7k2p",
            "namespace": NAMESPACE,
            "uid": f"uid-{name}-x7k2p",
            "labels": {"batch.kubernetes.io/job-name": name},
            "creationTimestamp": ago(minutes=1),
            "ownerReferences": [{"kind": "Job", "name": name, "uid": uid, "controller": True}],
        },
        "spec": {"containers": [{"name": "worker", "image": IMAGE}]},
        "status": status,
    }


def worker(**state: object) -> dict[str, Any]:
    """Make the status of a worker's container that has started."""
    return {"containerStatuses": [{"name": "worker", "containerID": "containerd://1", "state": state}]}


def line(**said: object) -> str:
    """Make one line of a worker."""
    return orjson.dumps(said).decode()
