"""
The manifests of a worker's Job and of the claim of its staging volume; nothing else is created for a worker.

The worker gets no right in the cluster and no more than it needs: passwords only by the names of Secrets, a root file
system that it cannot write, no capability.
"""

from collections.abc import Iterator
from hashlib import sha256

import orjson

from kintsugi.actions.effect_plan import RUN_ANNOTATION
from kintsugi.model.services import SecretRef
from kintsugi_restore import drill_postgres
from kintsugi_restore.commands import BackupFetch
from kintsugi_restore.worker_job_spec import KEYS, WorkerJobSpec
from kintsugi_restore.worker_results import BACKUPS, SERVER_SOCKET
from kubeobjects import unstructured
from kubeobjects.unstructured import Unstructured

CONTAINER = "worker"
DIGEST = "kintsugi.dev/spec"
"""The annotation with the digest of a Job's specification as we wrote it."""

USER = 65532
"""The user and the group of the image."""

_TMP = "/tmp"  # noqa: S108  the container's own, empty, and all that it can write to besides the staging volume
_LEAST_DISK, _MOST_DISK = "64Mi", "256Mi"
"""Of the node's disk, for /tmp and the log: a line a second for twelve hours is less than the 50 MiB that a kubelet keeps."""

_SESSION = "AWS_SESSION_TOKEN"
_GRACE = 60
"""Seconds that a worker has to clean up when it is asked to stop."""


def job(job_spec: WorkerJobSpec) -> Unstructured:
    """Write the Job: one pod, once; Kubernetes ends it when it is over its time, and takes it away some time later."""
    spec = {
        "backoffLimit": 0,
        "completions": 1,
        "parallelism": 1,
        "activeDeadlineSeconds": int(job_spec.settings.active_deadline.total_seconds()),
        "ttlSecondsAfterFinished": int(job_spec.settings.ttl_after_finished.total_seconds()),
        "template": {"metadata": {"labels": job_spec.labels, **_annotations(job_spec)}, "spec": _pod(job_spec)},
    }
    metadata = {
        "name": job_spec.name,
        "namespace": job_spec.namespace,
        "labels": job_spec.labels,
        "annotations": {RUN_ANNOTATION: job_spec.context.mark, DIGEST: digest_of(spec)},
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def staging_pvc(job_spec: WorkerJobSpec) -> Unstructured:
    """Write the claim; `owned` makes it go with its Job."""
    storage = job_spec.settings.storage_class_name
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": job_spec.pvc_name,
            "namespace": job_spec.namespace,
            "labels": job_spec.labels,
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": job_spec.settings.volume_size}},
            **({} if storage is None else {"storageClassName": storage}),
        },
    }


def owned(made: Unstructured, job: Unstructured) -> Unstructured:
    """Let the cluster take something away together with the Job that it was made for."""
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": unstructured.name(job), "uid": unstructured.uid(job)}
    return unstructured.with_field(made, "metadata", "ownerReferences", value=[owner])


def digest_of(spec: Unstructured) -> str:
    """Name a specification by its content."""
    return sha256(orjson.dumps(spec, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def _annotations(job_spec: WorkerJobSpec) -> Unstructured:
    return (
        {"annotations": {drill_postgres.ACCOUNT: drill_postgres.account_line(USER)}}
        if job_spec.server is not None
        else {}
    )


def _pod(job_spec: WorkerJobSpec) -> Unstructured:
    server = job_spec.server
    # A cloud may give the holder of the account a token of its own; the one beside a foreign program needs none.
    account = job_spec.settings.service_account_name if server is None else None
    pulled_with = [{"name": name} for name in server.pull_secrets] if server is not None else []
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
        **({"imagePullSecrets": pulled_with} if pulled_with else {}),
        **({"initContainers": list(drill_postgres.containers(job_spec))} if server is not None else {}),
        "containers": [_container(job_spec)],
        "volumes": [
            {"name": "backups", "persistentVolumeClaim": {"claimName": job_spec.pvc_name}},
            {"name": "tmp", "emptyDir": {"sizeLimit": _LEAST_DISK}},
            *(drill_postgres.volumes(job_spec) if server is not None else ()),
        ],
    }


def _container(job_spec: WorkerJobSpec) -> Unstructured:
    settings = job_spec.settings
    only_reads = {} if isinstance(job_spec.command, BackupFetch) else {"readOnly": True}
    return {
        "name": CONTAINER,
        "image": settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": ["python", "-m", "kintsugi_restore.worker"],
        # The kubelet itself would put variables in for $(NAME), passwords among them.
        "args": [word.replace("$", "$$") for word in job_spec.arguments],
        "env": list(_environment(job_spec)),
        "resources": {
            "requests": {"cpu": settings.cpu, "memory": settings.memory, "ephemeral-storage": _LEAST_DISK},
            "limits": {"memory": settings.memory, "ephemeral-storage": _MOST_DISK},
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
            *([{"name": drill_postgres.SOCKET, "mountPath": SERVER_SOCKET}] if job_spec.server is not None else []),
        ],
    }


def _environment(job_spec: WorkerJobSpec) -> Iterator[Unstructured]:
    s3, secrets = job_spec.settings.s3, job_spec.secrets
    plain = {"HOME": _TMP, "PYTHONUNBUFFERED": "1"}
    if isinstance(job_spec.command, BackupFetch):
        plain |= {"KINTSUGI_S3_ENDPOINT": s3.endpoint} if s3.endpoint else {}
        plain |= {"AWS_REGION": s3.region} if s3.region else {}
        given = secrets.get(KEYS[0])
        if given is not None and given.secret == s3.credentials and _SESSION not in secrets:
            yield _from_secret(_SESSION, SecretRef(secret=given.secret, key=_SESSION), optional=True)
    yield from ({"name": name, "value": value} for name, value in plain.items() if name not in secrets)
    yield from (_from_secret(name, reference) for name, reference in secrets.items())


def _from_secret(name: str, reference: SecretRef, *, optional: bool = False) -> Unstructured:
    chosen = {"name": reference.secret, "key": reference.key, **({"optional": True} if optional else {})}
    return {"name": name, "valueFrom": {"secretKeyRef": chosen}}
