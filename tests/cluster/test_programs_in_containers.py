"""
Programs in containers, by a real kubelet: one that is not there, and containers that end meanwhile (B13, E1).
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Unpack

import pytest

from kintsugi.actions.pods import ContainerExec, ContainerRef, running
from kintsugi.errors import OutcomeUnknown, Refused
from kintsugi.kube.client import KubeClient
from kintsugi.kube.execution import ExecOptions, Executed
from kintsugi.settings import KubeSettings
from kubeobjects.resources import PODS
from tests.harness.cluster import RealCluster
from tests.harness.images import WEB_GOOD
from tests.harness.waiting import wait_for

SOON = timedelta(seconds=20)
POD = "asked"


@pytest.fixture
async def kube(cluster: RealCluster) -> AsyncIterator[KubeClient]:
    """A client of the cluster."""
    async with KubeClient.connect(KubeSettings(kubeconfig=cluster.kubeconfig)) as client:
        yield client


@pytest.fixture
async def container(cluster: RealCluster, namespace: str, kube: KubeClient) -> ContainerRef:
    """A container with a shell and no `timeout`."""
    spec = {
        "containers": [{"name": "web", "image": WEB_GOOD, "imagePullPolicy": "Never"}],
        "terminationGracePeriodSeconds": 1,
    }
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": POD, "namespace": namespace}, "spec": spec})
    wait_for(
        lambda: cluster.get("pod", POD, namespace)["status"]["phase"] == "Running",
        within=30,
        describe=lambda: cluster.get("pod", POD, namespace)["status"],
    )
    return running(await kube.get(PODS, POD, namespace))


async def test_a_program_that_is_not_there_is_told_and_the_container_is_not_asked_for_timeout_again(
    kube: KubeClient, container: ContainerRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    """E1: without `timeout` in the image the program is run plainly; that it is missing, too, is another thing."""
    programs: list[str] = []
    execute = kube.execute

    async def recorded(name: str, namespace: str, command: Sequence[str], **options: Unpack[ExecOptions]) -> Executed:
        programs.append(command[0])
        return await execute(name, namespace, command, **options)

    monkeypatch.setattr(kube, "execute", recorded)
    containers = ContainerExec(kube)
    assert (await containers.run(container, ["sh", "-c", "true"], within=SOON)).exit_code == 0
    assert programs == ["timeout", "sh"]
    assert (await containers.run(container, ["sh", "-c", "true"], within=SOON)).exit_code == 0
    assert programs == ["timeout", "sh", "sh"]
    with pytest.raises(Refused, match="there is no redis-cli in this container"):
        await containers.run(container, ["redis-cli", "PING"], within=SOON)


async def test_a_pod_that_is_deleted_meanwhile_has_not_answered(
    cluster: RealCluster, kube: KubeClient, container: ContainerRef
) -> None:
    """B13: whatever its last words were."""
    asking = asyncio.create_task(
        ContainerExec(kube).run(container, ["sh", "-c", "trap 'exit 0' TERM; sleep 60 & wait"], within=SOON)
    )
    await asyncio.to_thread(wait_for, lambda: "sleep 60" in ps(cluster, container), within=10)
    await asyncio.to_thread(cluster.kubectl, "delete", "pod", POD, "-n", container.namespace, "--grace-period=1")
    with pytest.raises(OutcomeUnknown):
        await asking


async def test_a_container_that_was_restarted_meanwhile_has_not_answered(
    cluster: RealCluster, kube: KubeClient, container: ContainerRef
) -> None:
    """B13: the pod is the same, the container is another one."""
    containers = ContainerExec(kube)
    before = container.id
    await containers.run(container, ["sh", "-c", "true"], within=SOON)
    cluster.kubectl("exec", POD, "-n", container.namespace, "--", "sh", "-c", "kill 1")
    wait_for(
        lambda: running_id(cluster, container.namespace) not in ("", before),
        within=30,
        describe=lambda: cluster.get("pod", POD, container.namespace)["status"],
    )
    with pytest.raises(OutcomeUnknown, match="was replaced while the program ran"):
        await containers.run(container, ["sh", "-c", "true"], within=SOON)


def ps(cluster: RealCluster, container: ContainerRef) -> str:
    """Return what runs in the container."""
    return cluster.kubectl("exec", POD, "-n", container.namespace, "--", "ps")


def running_id(cluster: RealCluster, namespace: str) -> str:
    """Return the id of the running container, "" while none runs."""
    (status,) = cluster.get("pod", POD, namespace)["status"]["containerStatuses"]
    return str(status["containerID"]) if "running" in status["state"] else ""
