"""
The addresses that the embedded cluster hands out: pods, Services, load balancers, node ports.

Addresses that accept connections are loopback addresses of this process's choice, so that several clusters on one
machine do not collide. Pods that are no processes have addresses without a listener.
"""

import itertools
import secrets
from collections.abc import Iterator
from typing import Final

from kubeobjects import resources
from kubeobjects.resources import Resource
from kubesim.manifest import Json

HOST: Final = "10.88.0.1"
"""Of every node, in name only."""

NODE_PORTS: Final = range(30000, 32768)


class Addresses:
    """Hand out addresses, each once."""

    def __init__(self) -> None:
        self._pods = (f"10.244.{a}.{b}" for a in range(256) for b in range(2, 255))
        self._node_ports = itertools.cycle(NODE_PORTS)
        self._loopback = _loopback()

    def pod(self) -> str:
        """Return an address to a pod."""
        return next(self._pods)

    def loopback(self) -> str:
        """Return an address that this machine can listen on: for a load balancer, a Service, a pod that is a process."""
        return next(self._loopback)

    def assign(self, resource: Resource, obj: Json) -> None:
        """Assign a new Service its cluster address and node ports, in place."""
        if resource != resources.SERVICES or obj["spec"]["type"] == "ExternalName":
            return
        spec = obj["spec"]
        if not spec.get("clusterIP"):
            spec["clusterIP"] = self.loopback()
        spec["clusterIPs"] = [spec["clusterIP"]]
        if spec["type"] in ("LoadBalancer", "NodePort"):
            for port in spec.get("ports") or ():
                port.setdefault("nodePort", next(self._node_ports))


def _loopback() -> Iterator[str]:
    """Yield addresses of 127.0.0.0/8, none of which is 127.0.x.y."""
    second, third = 1 + secrets.randbelow(250), secrets.randbelow(250)
    for step in itertools.count():
        yield f"127.{second}.{(third + step // 250) % 250}.{1 + step % 250}"
