"""A real metrics-server beside the cluster: what `kubectl top` reads. It measures from its start; the API comes when asked for."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from tests.harness import components
from tests.harness.api import ApiError
from tests.harness.cluster import RealCluster
from tests.harness.network import NODE_ADDRESS
from tests.harness.parts import parts
from tests.harness.processes import Program
from tests.harness.waiting import HopelessError, wait_for

Object = Mapping[str, Any]
API = "/apis/metrics.k8s.io/v1beta1"
_PORT = 4443
_NAME, _NAMESPACE = "metrics-server", "kube-system"
_APISERVICE = "v1beta1.metrics.k8s.io"
# The least that it takes, and the kubelet's own figures are as old as that.
_SECONDS = 10


class MetricsServer:
    """One metrics-server of a cluster of our own. Until `offer` and after `withdraw` the cluster has no metrics API."""

    def __init__(self, cluster: RealCluster) -> None:
        """Prepare its arguments; nothing runs yet. Raises NotOursError for a lent cluster, PartsError without its binary."""
        layout = cluster.machine.layout
        binary = parts("metrics-server").binary("metrics-server")
        arguments = components.metrics_server(layout, port=_PORT, seconds=_SECONDS)
        self._cluster = cluster
        self._program = Program(name=_NAME, arguments=[str(binary), *arguments], log=layout.folder / f"{_NAME}.log")
        self._authority = layout.authority.own.certificate.read_bytes()

    def start(self) -> None:
        """Start it and wait for nothing: it has figures of what has run for two rounds, half a minute from now."""
        self._program.start()

    def offer(self, *, namespace: str, pods: int) -> None:
        """Have the API server offer the metrics API, and wait until it knows the node and so many pods of a namespace."""
        self._cluster.apply(*_registration(self._authority))

        def knows() -> bool:
            if self._program.pid is None:
                raise HopelessError(f"metrics-server ended by itself:\n{self._program.tail()}")
            request = self._cluster.api.request
            measured = request("GET", f"{API}/namespaces/{namespace}/pods")["items"]
            return len(measured) == pods and bool(request("GET", f"{API}/nodes")["items"])

        wait_for(knows, within=120, describe=self._program.tail, every=0.5)

    def withdraw(self) -> None:
        """Take the metrics API away again."""
        self._cluster.api.delete("apiservice", _APISERVICE)
        self._cluster.api.delete("service", _NAME, _NAMESPACE)
        wait_for(self._is_gone, within=30, describe="the metrics API is gone")

    def stop(self) -> None:
        """Stop it."""
        self._program.stop()

    def _is_gone(self) -> bool:
        try:
            self._cluster.api.request("GET", API)
        except ApiError as error:
            return error.status == 404
        return False


def _registration(authority: bytes) -> Sequence[Object]:
    """Return a Service without pods, the address behind it, and the API that it serves."""
    metadata = {"name": _NAME, "namespace": _NAMESPACE}
    port = {"name": "https", "port": 443, "protocol": "TCP"}
    service = {"ports": [{**port, "targetPort": _PORT}]}
    api = {
        "group": "metrics.k8s.io",
        "version": "v1beta1",
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "service": {**metadata, "port": 443},
        "caBundle": base64.b64encode(authority).decode(),
    }
    return (
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": {"kubernetes.io/service-name": _NAME}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [NODE_ADDRESS], "conditions": {"ready": True}}],
            "ports": [{**port, "port": _PORT}],
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": _APISERVICE},
            "spec": api,
        },
    )
