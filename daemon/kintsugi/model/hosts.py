"""Host names of the cluster: the Service and namespace of a name."""

from dataclasses import dataclass

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
