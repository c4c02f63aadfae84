"""What `kubectl top` is compared on: workloads that use something, and two tables of one and the same measurement."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.cluster.kubectl import Object
from tests.harness.cluster import RealCluster
from tests.harness.images import WEB_GOOD
from tests.harness.metrics_server import API, MetricsServer
from tests.harness.waiting import eventually


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredNamespace:
    """The namespace whose pods are measured, and by what."""

    namespace: str
    server: MetricsServer


Row = tuple[str, ...]
Use = Mapping[str, object]
# Applets of the image are too small to count in MiB: its shell holds the one program that it has, so many times.
HELD = {"small": 1, "large": 6}
PODS = len(HELD) + 1


def workloads(namespace: str) -> Sequence[Object]:
    """Return pods that use different amounts of memory, one of them in two containers."""
    alone = [pod(namespace, name, {name: times}) for name, times in HELD.items()]
    return [*alone, pod(namespace, "pair", {"one": 2, "two": 2})]


def pod(namespace: str, name: str, containers: Mapping[str, int]) -> Object:
    """Return a pod; each container's shell holds the image's program so many times."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {"name": each, "image": WEB_GOOD, "imagePullPolicy": "Never", "command": ["/bin/sh", "-c", hold(times)]}
                for each, times in containers.items()
            ],
        },
    }


def hold(times: int) -> str:
    """Return a shell's script that keeps something in memory and does a little, for ever."""
    return f"held=$(cat {'/bin/busybox ' * times}); while :; do sleep 0.5; done"


async def of_one_measurement(
    cluster: RealCluster, ours: Callable[[], Awaitable[Sequence[Row]]], theirs: Callable[[], str]
) -> tuple[Sequence[Row], Sequence[Row]]:
    """Read ours and kubectl's, again and again, until nothing was measured, started or removed in between."""

    async def read() -> tuple[Sequence[Row], Sequence[Row]] | None:
        before = await asyncio.to_thread(stamps, cluster)
        mine, printed = await ours(), await asyncio.to_thread(theirs)
        lines = [tuple(line.split()) for line in printed.splitlines()]
        same = before == await asyncio.to_thread(stamps, cluster)
        return (mine, lines) if same else None

    return await eventually(read, within=60, describe="both read the same measurement")


def stamps(cluster: RealCluster) -> Sequence[tuple[str, str, str]]:
    """Return what the metrics API knows at present: of what, and from when."""
    items = [item for kind in ("nodes", "pods") for item in cluster.api.request("GET", f"{API}/{kind}")["items"]]
    return sorted(
        (each["metadata"].get("namespace", ""), each["metadata"]["name"], each["timestamp"]) for each in items
    )


def row(use: Use, columns: Sequence[str]) -> Row:
    """Write one of our uses as kubectl prints it, in its units."""
    memory = use["memory_bytes"]
    assert isinstance(memory, int)
    shown = {
        "NAMESPACE": use["namespace"],
        "NAME": use["name"],
        "CPU(cores)": f"{use['cpu_millicores']}m",
        "CPU(%)": f"{use['cpu_percent']}%",
        "MEMORY(bytes)": f"{memory >> 20}Mi",
        "MEMORY(%)": f"{use['memory_percent']}%",
    }
    return tuple(str(shown[column]) for column in columns)
