"""Host names of the cluster: the Service and namespace of a name, and the address of one pod behind a Service."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kubeobjects.metadata import LABEL

_ALONE = (2, 3)
"""Labels of SERVICE.NAMESPACE and POD.SERVICE.NAMESPACE."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceHost:
    """A Service of the cluster, or one pod behind it."""

    service: str
    namespace: str

    def __str__(self) -> str:
        return f"{self.service}.{self.namespace}"


def service_of(host: str) -> ServiceHost | None:
    """
    Read SERVICE.NAMESPACE[.svc[.DOMAIN]], with a pod's name before it or not; None for anything else.

    Addresses are not resolved: the target of a Service's name can be judged, that of an address cannot.
    """
    labels = host.lower().rstrip(".").split(".")
    own = labels[: labels.index("svc")] if "svc" in labels[2:] else labels
    if len(own) not in _ALONE or not all(map(LABEL.fullmatch, labels)) or own[-1].isdigit():
        return None
    return ServiceHost(service=own[-2], namespace=own[-1])


@dataclass(frozen=True, kw_only=True, slots=True)
class PodAddress:
    """
    A pod with its address, "" where it has none yet.

    `ports` are the ports of the pod that its Services lead to, by the Service's name or cluster IP, and its port.
    """

    name: str
    namespace: str
    ip: str
    ports: Mapping[tuple[str, int], int] = field(default_factory=dict)

    def port_behind(self, host: str, port: int) -> int | None:
        """Return the pod's port that a Service of its namespace leads to, None for any other host and for a port that it does not have."""
        found = service_of(host)
        name = found.service if found is not None and found.namespace == self.namespace else host
        return self.ports.get((name, port)) if self.ip else None
