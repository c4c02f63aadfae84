"""An embedded cluster whose containers are real processes, seen by a client of its API, and waited for."""

import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kintsugi.kube.client import KubeClient
from kintsugi.settings import KubeSettings
from kubeobjects import resources
from kubeobjects.resources import PODS, Resource
from kubesim import EmbeddedCluster, Image
from kubesim.apiserver.rights import Rule
from kubesim.images import Program
from tests.harness.daemon import rights
from tests.harness.waiting import eventually, in_loop

NAMESPACE = "production"
TIMEOUT = 60.0
"""Seconds that a real program may take on a busy machine."""

PYTHON = Image(program=Program(entrypoint=("python",), programs={"python": (sys.executable, "-I", "-S", "-u")}))
"""A container that runs what its command or arguments say, as long as that is Python."""

CLAIM_SPEC: Mapping[str, Any] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
CLAIM_TEMPLATES = [{"metadata": {"name": "data"}, "spec": CLAIM_SPEC}]
"""What the claims of a StatefulSet's pods are made from."""

Json = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ProcessStage:
    """The cluster and a client of it, as production has one."""

    cluster: EmbeddedCluster
    kube: KubeClient

    @classmethod
    @asynccontextmanager
    async def set(cls, folder: Path, images: Mapping[str, Image]) -> AsyncIterator["ProcessStage"]:
        """Start a cluster that knows these images, ten times as fast as Kubernetes."""
        async with EmbeddedCluster.start(speed=10, images=images) as cluster:
            cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
            settings = KubeSettings(kubeconfig=cluster.kubeconfig(folder / "kubeconfig"))
            async with KubeClient.connect(settings) as kube:
                yield cls(cluster=cluster, kube=kube)

    def get(self, resource: Resource, name: str) -> Json:
        """Find an object; it must be there."""
        found: Json | None = self.cluster.get(resource, name, NAMESPACE)
        assert found is not None, f"{resource.plural}/{name} is not there"
        return found

    def container(self, pod: str) -> Json:
        """Return the state of a pod's one container."""
        states: Sequence[Json] = self.get(PODS, pod)["status"].get("containerStatuses", [])
        return states[0] if states else {"ready": False, "restartCount": 0, "state": {}}

    def waiting(self, pod: str) -> str:
        """Return why a pod's container waits; "" when it does not."""
        return str(self.container(pod)["state"].get("waiting", {}).get("reason", ""))

    def events(self, reason: str) -> list[str]:
        """Return the messages of the events of one reason."""
        return [each["message"] for each in self.cluster.find(resources.EVENTS, NAMESPACE) if each["reason"] == reason]

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for something, and show the pods' states when it does not come."""
        await eventually(in_loop(condition), within=TIMEOUT, describe=self._state, every=0.05)

    async def until_ready(self, pod: str) -> None:
        """Wait until a pod is ready."""
        await self.until(lambda: self.container(pod)["ready"])

    async def until_ended(self, pod: str) -> Json:
        """Wait until a pod has ended, and give how its container did."""
        await self.until(lambda: self.get(PODS, pod)["status"]["phase"] in ("Succeeded", "Failed"))
        ended: Json = self.container(pod)["state"]["terminated"]
        return ended

    async def log(self, pod: str, *, previous: bool = False) -> str:
        """Read a pod's log."""
        return b"".join([chunk async for chunk in self.kube.logs(pod, NAMESPACE, previous=previous)]).decode()

    def _state(self) -> str:
        found = self.cluster.find(PODS, NAMESPACE)
        return "\n".join(f"{each['metadata']['name']}: {each['status']}" for each in found)


def config_map(name: str, **data: str | None) -> dict[str, Any]:
    """Describe a ConfigMap; a key whose value is None goes."""
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def documented() -> Sequence[Rule]:
    """Return the rights to objects that the documentation lists."""
    return [
        Rule(verbs=tuple(each["verbs"]), resources=tuple(each["resources"]), groups=tuple(each["apiGroups"]))
        for each in rights()
        if "resources" in each
    ]


def pod(
    name: str, script: str, *, image: str = "python:3", policy: str = "Never", **container: object
) -> dict[str, Any]:
    """Describe a pod that runs a script; what else is said about its one container or, under `volumes`, its volumes."""
    spec: dict[str, Any] = {"restartPolicy": policy, "volumes": container.pop("volumes", [])}
    spec["containers"] = [{"name": "main", "image": image, "args": ["-c", script], **container}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}


def alive(pid: int) -> bool:
    """Return whether a process runs; one that has ended and was not taken leave of does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
