"""
The embedded cluster in a process of its own: many services, each with a pod that crashes for ever.

`python -m tests.bench.cluster_process SERVICES FILE` prints its port once every service is broken. Each pod that is
deleted from then on is a line of FILE: the moment at which the request arrived, and the pod's path.
"""

import asyncio
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import yaml

from kintsugi_demo.shop import deployment
from kubeobjects import resources
from kubesim.apiserver.rights import ALL
from kubesim.cluster import EmbeddedCluster
from kubesim.manifest import Json, name_of, uid_of
from tests.bench.catalogs import Written, services
from tests.bench.process import ListeningProcess, started

_ACCOUNT = "bench"
_SPEED = 20.0
_LOOK_EVERY = 0.005


def cluster_process(count: int, deletions: Path) -> AbstractContextManager[ListeningProcess]:
    """Start one with so many broken services; it is killed at the end."""
    return started("tests.bench.cluster_process", str(count), str(deletions))


def address(deletions: Path) -> str:
    """Return where the cluster that writes this file is reached, with the rights of an account of its own."""
    found = yaml.safe_load(_kubeconfig(deletions).read_text())
    return str(found["clusters"][0]["cluster"]["server"])


def _kubeconfig(deletions: Path) -> Path:
    return deletions.with_name("kubeconfig-of-the-cluster")


def _manifest(service: Written) -> Json:
    made = deployment(service.name, {"app": service.name}, image="shop/web:good", replicas=2)
    return {**made, "metadata": {**made["metadata"], "namespace": service.namespace}}


async def _serve(count: int, deletions: Path) -> None:
    async with EmbeddedCluster.start(speed=_SPEED) as cluster:
        cluster.kubeconfig(_kubeconfig(deletions), _ACCOUNT, (ALL,))
        for service in services(count):
            cluster.apply(_manifest(service))
        for service in services(count):
            await _break(cluster, service)
        print(cluster.url.rpartition(":")[2], flush=True)
        await _write_down(cluster, deletions)


async def _break(cluster: EmbeddedCluster, service: Written) -> None:
    """Let one pod crash once it is there, and wait until the kubelet holds it back."""
    while not (pods := cluster.find(resources.PODS, service.namespace, {"app": service.name})):
        await asyncio.sleep(_LOOK_EVERY)
    cluster.faults.crash_loop(uid_of(pods[0]))
    while not _held_back(cluster.get(resources.PODS, name_of(pods[0]), service.namespace)):
        await asyncio.sleep(_LOOK_EVERY)


def _held_back(pod: Json | None) -> bool:
    statuses = (pod or {}).get("status", {}).get("containerStatuses") or []
    return any(each["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff" for each in statuses)


async def _write_down(cluster: EmbeddedCluster, deletions: Path) -> None:
    """Write the deletions of pods down as they come; the moment is that of the request's arrival."""
    seen = len(cluster.requests)
    with deletions.open("a", encoding="utf-8") as lines:
        while True:
            for request in cluster.requests[seen:]:
                seen += 1
                if request.method == "DELETE" and request.mutating:
                    lines.write(f"{request.time.timestamp()} {request.path}\n")
                    lines.flush()
            await asyncio.sleep(_LOOK_EVERY)


if __name__ == "__main__":
    Path(sys.argv[2]).touch()
    asyncio.run(_serve(int(sys.argv[1]), Path(sys.argv[2])))
