"""
`metrics.k8s.io`: the usage of running pods and their nodes, derived from their resource requests when it is asked for.
"""

from decimal import Decimal
from typing import Final

from kubeobjects import resources
from kubeobjects.quantities import quantity
from kubeobjects.resources import Resource
from kubesim.manifest import Json, dig, is_true, labels_of, name_of, namespace_of, timestamp
from kubesim.storage.registry import Registry

CPU: Final = Decimal("0.010")
MEMORY: Final = Decimal(20 * 2**20)
"""The use of a container that requests nothing."""

USED_SHARE: Final = Decimal("0.5")
"""The share of its requests that a container uses."""


class Metrics:
    """Measure pods and nodes."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def measure(self, resource: Resource, namespace: str | None) -> list[Json]:
        """List the metrics of one kind."""
        pods = [pod for pod in self._registry.store.list(resources.PODS, namespace) if is_true(pod, "Ready")]
        if resource == resources.POD_METRICS:
            return [self._of_pod(pod) for pod in pods]
        return [self._of_node(node, pods) for node in self._registry.store.list(resources.NODES)]

    def _of_pod(self, pod: Json) -> Json:
        containers = [{"name": each["name"], "usage": _usage(*_use(each))} for each in pod["spec"]["containers"]]
        metadata = {"name": name_of(pod), "namespace": namespace_of(pod), "labels": labels_of(pod)}
        return {**self._head(resources.POD_METRICS, metadata), "containers": containers}

    def _of_node(self, node: Json, pods: list[Json]) -> Json:
        here = [pod for pod in pods if dig(pod, "spec", "nodeName") == name_of(node)]
        uses = [_use(container) for pod in here for container in pod["spec"]["containers"]]
        cpu = sum((use[0] for use in uses), CPU)
        memory = sum((use[1] for use in uses), MEMORY)
        metadata = {"name": name_of(node), "labels": labels_of(node)}
        return {**self._head(resources.NODE_METRICS, metadata), "usage": _usage(cpu, memory)}

    def _head(self, resource: Resource, metadata: Json) -> Json:
        moment = timestamp(self._registry.now())
        head: Json = {"kind": resource.kind, "apiVersion": resource.api_version}
        return {**head, "metadata": {**metadata, "creationTimestamp": moment}, "timestamp": moment, "window": "15s"}


def _use(container: Json) -> tuple[Decimal, Decimal]:
    requests = dig(container, "resources", "requests", default={})
    cpu = quantity(requests["cpu"]) * USED_SHARE if "cpu" in requests else CPU
    memory = quantity(requests["memory"]) * USED_SHARE if "memory" in requests else MEMORY
    return cpu, memory


def _usage(cpu: Decimal, memory: Decimal) -> Json:
    return {"cpu": f"{int(cpu * 10**9)}n", "memory": f"{int(memory / 1024)}Ki"}
