"""
The PostgreSQL server that a drill restores into: part of the drill's own Job, empty at its start, and deleted with it.

A backup is untrusted code. Here it has neither the live server's disk nor its processor, and nothing to connect to: the
server listens on a socket of its pod only, and knows no password. It is started by its own two programs, not by the
entry point of its image, which may want to be root or run scripts of its own.
"""

from collections.abc import Sequence
from dataclasses import replace

from kintsugi.actions import api_objects
from kintsugi.actions.pods import default_container, pods_of
from kintsugi.errors import NotFound, Refused
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import ObjectName
from kintsugi_restore.worker_job_spec import ServerImage, WorkerJobSpec
from kintsugi_restore.worker_results import SERVER, SERVER_DATA, SERVER_SOCKET
from kubeobjects import predicates, unstructured
from kubeobjects.kept import Pod
from kubeobjects.unstructured import Unstructured

ACCOUNT = "kintsugi.dev/passwd"
"""The annotation of the pod that its server sees as /etc/passwd: initdb looks up its user there, in any image."""

SOCKET = "server-socket"
"""The volume with the server's socket."""

_DATA, _ACCOUNT = "server-data", "server-account"
_INITDB = "initdb"
_MOST_CPU = "1"
"""Processors that a drill's server may use at most: it is in no hurry, and the live one may be on the same node."""

_SHARED_MEMORY_IS_FILES = "--dynamic_shared_memory_type=mmap"
"""A container has 64 MiB of /dev/shm, less than parallel work on an index may take."""

_NO_FSYNC = "--fsync=off"


async def with_server(kube: KubeClient, job_spec: WorkerJobSpec) -> WorkerJobSpec:
    """
    Return the order with the image of its server: the one in the settings, else that of the service's own database.

    Raises Refused when the service has no pod that runs.
    """
    if job_spec.settings.drill_image is not None:
        return replace(job_spec, server=ServerImage(name=job_spec.settings.drill_image))
    around = job_spec.context
    remedy = "set restore.drillImage to the image of a PostgreSQL server"
    if around.workload is None:
        raise Refused(f"{around.service} has no workload whose image a drill's server could have: {remedy}")
    asked = ObjectName(resource=around.workload.resource, name=around.workload.name)
    try:
        pods = await pods_of(kube, asked, job_spec.namespace)
    except NotFound as error:
        raise Refused(f"{asked} does not exist, so its image is unknown: {remedy}") from error
    pod = next(
        (each for each in sorted(pods, key=unstructured.name) if predicates.ready(api_objects.convert(each, Pod))),
        None,
    )
    if pod is None:
        raise Refused(f"{asked} has no ready pod, so its image is unknown: {remedy}")
    return replace(job_spec, server=_image_of(pod))


def containers(job_spec: WorkerJobSpec) -> Sequence[Unstructured]:
    """Write what runs before the worker: the making of an empty server, then the server, as a sidecar of it."""
    server, restore = job_spec.server, job_spec.command
    assert server is not None, job_spec.name
    made = [f"--username={restore.user}", "--encoding=UTF8", "--locale=C", "--no-sync"]
    made += ["--auth-local=trust", "--auth-host=reject"]
    runs = ["--listen_addresses=", f"--unix_socket_directories={SERVER_SOCKET}"]
    runs += [_NO_FSYNC, _SHARED_MEMORY_IS_FILES]
    return (
        _container(job_spec, server, [_INITDB, *made], name=_INITDB),
        {**_container(job_spec, server, ["postgres", *runs], name=SERVER), "restartPolicy": "Always"},
    )


def volumes(job_spec: WorkerJobSpec) -> Sequence[Unstructured]:
    """Return the volumes of the server: its data, its socket, and the account that it runs as."""
    account = {"path": "passwd", "fieldRef": {"fieldPath": f"metadata.annotations['{ACCOUNT}']"}}
    return (
        {"name": _DATA, "emptyDir": {"sizeLimit": job_spec.settings.drill_ephemeral_storage}},
        {"name": SOCKET, "emptyDir": {"sizeLimit": "1Mi"}},
        {"name": _ACCOUNT, "downwardAPI": {"items": [account]}},
    )


def account_line(user: int) -> str:
    """Write the line of /etc/passwd for the user that the pod runs as."""
    return f"postgres:x:{user}:{user}::{SERVER_DATA}:/bin/false\n"


def _image_of(pod: Unstructured) -> ServerImage:
    """Read the image of the container that `kubectl exec` takes, as the service's checks do."""
    name = default_container(pod)
    container = next(
        each
        for each in unstructured.nested_maps(pod, "spec", "containers")
        if unstructured.nested_string(each, "name") == name
    )
    return ServerImage(
        name=unstructured.nested_string(container, "image"),
        pull_policy=unstructured.nested_string(container, "imagePullPolicy") or "IfNotPresent",
        pull_secrets=tuple(
            unstructured.nested_string(each, "name")
            for each in unstructured.nested_maps(pod, "spec", "imagePullSecrets")
        ),
    )


def _container(job_spec: WorkerJobSpec, server: ServerImage, words: Sequence[str], *, name: str) -> Unstructured:
    settings = job_spec.settings
    return {
        "name": name,
        "image": server.name,
        "imagePullPolicy": server.pull_policy,
        # The kubelet itself would put variables in for $(NAME).
        "command": [word.replace("$", "$$") for word in words],
        "env": [{"name": "PGDATA", "value": f"{SERVER_DATA}/pg"}, {"name": "PGHOST", "value": SERVER_SOCKET}],
        "resources": {
            "requests": {
                "cpu": settings.cpu,
                "memory": settings.drill_memory,
                "ephemeral-storage": settings.drill_ephemeral_storage,
            },
            "limits": {"cpu": _MOST_CPU, "memory": settings.drill_memory},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": _DATA, "mountPath": SERVER_DATA},
            {"name": SOCKET, "mountPath": SERVER_SOCKET},
            {"name": _ACCOUNT, "mountPath": "/etc/passwd", "subPath": "passwd", "readOnly": True},
        ],
    }
