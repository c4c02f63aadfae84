"""
The Job of a worker and the claim of its room, as manifests: what the cluster is asked to make, and nothing else.

The worker gets no right in the cluster and no more than it needs: passwords only by the names of Secrets, a root file
system that it cannot write, no capability.
"""

from collections.abc import Iterator
from hashlib import sha256

import orjson

from kintsugi.actions import live
from kintsugi.actions.job_order import KEYS, Order
from kintsugi.actions.live import Live
from kintsugi.actions.prepared import MARK
from kintsugi.model.command import BackupFetch
from kintsugi.model.documents import SecretRef
from kintsugi.model.restore import BACKUPS

CONTAINER = "worker"
DIGEST = "kintsugi.dev/spec"
"""The annotation with the digest of a Job's specification as we wrote it."""

USER = 65532
"""The user and the group of the image."""

_TMP = "/tmp"  # noqa: S108  the container's own, empty, and all that it can write to besides the room
_SESSION = "AWS_SESSION_TOKEN"
_GRACE = 60
"""Seconds that a worker has to clean up when it is asked to stop."""


def job(order: Order) -> Live:
    """Write the Job: one pod, once; Kubernetes ends it when it is over its time, and takes it away some time later."""
    spec = {
        "backoffLimit": 0,
        "completions": 1,
        "parallelism": 1,
        "activeDeadlineSeconds": int(order.settings.longest.total_seconds()),
        "ttlSecondsAfterFinished": int(order.settings.keep.total_seconds()),
        "template": {"metadata": {"labels": order.labels}, "spec": _pod(order)},
    }
    metadata = {
        "name": order.name,
        "namespace": order.namespace,
        "labels": order.labels,
        "annotations": {MARK: order.circumstances.mark, DIGEST: digest_of(spec)},
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def room(order: Order) -> Live:
    """Write the claim; `owned` makes it go with its Job."""
    storage = order.settings.storage_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": order.claim,
            "namespace": order.namespace,
            "labels": order.labels,
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": order.settings.room}},
            **({} if storage is None else {"storageClassName": storage}),
        },
    }


def owned(made: Live, job: Live) -> Live:
    """Let the cluster take something away together with the Job that it was made for."""
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": live.name(job), "uid": live.uid(job)}
    return live.put(made, "metadata", "ownerReferences", value=[owner])


def digest_of(spec: Live) -> str:
    """Name a specification by its content."""
    return sha256(orjson.dumps(spec, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def _pod(order: Order) -> Live:
    account = order.settings.service_account
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _GRACE,
        **({} if account is None else {"serviceAccountName": account}),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(order)],
        "volumes": [
            {"name": "backups", "persistentVolumeClaim": {"claimName": order.claim}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }


def _container(order: Order) -> Live:
    settings = order.settings
    only_reads = {} if isinstance(order.command, BackupFetch) else {"readOnly": True}
    return {
        "name": CONTAINER,
        "image": settings.image,
        "imagePullPolicy": settings.pull_policy,
        "command": ["python", "-m", "kintsugi.worker"],
        # The kubelet itself would put variables in for $(NAME), passwords among them.
        "args": [word.replace("$", "$$") for word in order.arguments],
        "env": list(_environment(order)),
        "resources": {
            "requests": {"cpu": settings.cpu, "memory": settings.memory},
            "limits": {"memory": settings.memory},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        # Where the log is lost, its end stands in the pod's status.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "backups", "mountPath": BACKUPS, **only_reads},
            {"name": "tmp", "mountPath": _TMP},
        ],
    }


def _environment(order: Order) -> Iterator[Live]:
    s3, secrets = order.settings.s3, order.secrets
    plain = {"HOME": _TMP, "PYTHONUNBUFFERED": "1"}
    if isinstance(order.command, BackupFetch):
        plain |= {"KINTSUGI_S3_ENDPOINT": s3.endpoint} if s3.endpoint else {}
        plain |= {"AWS_REGION": s3.region} if s3.region else {}
        given = secrets.get(KEYS[0])
        if given is not None and given.secret == s3.credentials and _SESSION not in secrets:
            yield _from_secret(_SESSION, SecretRef(secret=given.secret, key=_SESSION), optional=True)
    yield from ({"name": name, "value": value} for name, value in plain.items() if name not in secrets)
    yield from (_from_secret(name, reference) for name, reference in secrets.items())


def _from_secret(name: str, reference: SecretRef, *, optional: bool = False) -> Live:
    chosen = {"name": reference.secret, "key": reference.key, **({"optional": True} if optional else {})}
    return {"name": name, "valueFrom": {"secretKeyRef": chosen}}
