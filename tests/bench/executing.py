"""
A program run in a container through the daemon's client, beside `kubectl exec` of the same program, on a real cluster.

What is timed of the daemon is all that it does for one question: the program under its deadline in the container, and
the look that it was the same container throughout. `kubectl` is a process of its own for each.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta

from kintsugi.actions.container_exec import ContainerExec, ContainerRef, running
from kintsugi.kube.client import KubeClient
from kintsugi.settings import KubeSettings
from kubeobjects.resources import PODS
from tests.bench.figures import Figure, Round
from tests.bench.plan import Plan
from tests.harness import cluster as clusters
from tests.harness.cluster import RealCluster
from tests.harness.images import WEB_GOOD
from tests.harness.waiting import wait_for

_POD = "asked"
_NAMESPACE = "default"
_PROGRAM = ("sh", "-c", "exit 0")
_SOON = timedelta(seconds=30)
_SHARES = (("p50", 0.5), ("p90", 0.9))


def measure(plan: Plan) -> Iterator[Figure]:
    """Measure on a cluster of its own."""
    reason = clusters.obstacle()
    if reason is not None:
        print(f"exec: NOT RUN: {reason}", file=sys.stderr)
        return
    cluster = RealCluster.start()
    try:
        yield from measure_on(cluster, plan)
    finally:
        cluster.stop()


def measure_on(cluster: RealCluster, plan: Plan) -> Iterator[Figure]:
    """Run a shell that ends at once, again and again, in turn by both."""
    _deploy(cluster)
    rounds = asyncio.run(_measured(cluster, 5 if plan.quick else 30, plan.rounds))
    for name, share in _SHARES:
        yield Figure(
            name=f"exec in a container, {name}",
            unit="ms",
            rounds=[Round(value=_at(ours, share), baseline=_at(theirs, share)) for ours, theirs in rounds],
            falls=True,
        )


async def _measured(cluster: RealCluster, each: int, rounds: int) -> list[tuple[list[float], list[float]]]:
    async with KubeClient.connect(KubeSettings(kubeconfig=cluster.kubeconfig)) as kube:
        containers = ContainerExec(kube)
        container = running(await kube.get(PODS, _POD, _NAMESPACE))
        # The first one finds out that the image has no `timeout`, which the daemon remembers.
        await _ours(containers, container)
        found = []
        for _ in range(rounds):
            ours: list[float] = []
            theirs: list[float] = []
            for _ in range(each):
                ours.append(await _ours(containers, container))
                theirs.append(await asyncio.to_thread(_theirs, cluster))
            found.append((ours, theirs))
        return found


async def _ours(containers: ContainerExec, container: ContainerRef) -> float:
    began = time.perf_counter()
    done = await containers.run(container, _PROGRAM, within=_SOON)
    if done.exit_code != 0:
        raise ValueError(f"the program ended with {done.exit_code}")
    return (time.perf_counter() - began) * 1000


def _theirs(cluster: RealCluster) -> float:
    command = [
        str(cluster.kubectl_program),
        "--kubeconfig",
        str(cluster.kubeconfig),
        "exec",
        "-n",
        _NAMESPACE,
        _POD,
        "--",
        *_PROGRAM,
    ]
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return (time.perf_counter() - began) * 1000


def _deploy(cluster: RealCluster) -> None:
    spec = {
        "containers": [{"name": "web", "image": WEB_GOOD, "imagePullPolicy": "Never"}],
        "terminationGracePeriodSeconds": 1,
    }
    cluster.apply(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": _POD, "namespace": _NAMESPACE}, "spec": spec}
    )
    wait_for(
        lambda: cluster.get("pod", _POD, _NAMESPACE)["status"]["phase"] == "Running",
        within=60,
        describe=lambda: cluster.get("pod", _POD, _NAMESPACE)["status"],
    )


def _at(sample: Sequence[float], share: float) -> float:
    return sorted(sample)[min(len(sample) - 1, int(len(sample) * share))]
