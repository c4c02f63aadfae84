"""Host names of the cluster: the Service and namespace of a name, and the addresses of the pods behind a Service."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from kubeobjects.kept import KubeService, Pod
from kubeobjects.metadata import LABEL
from kubeobjects.predicates import controller_of, template_hash

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Backend:
    """A pod behind a Kubernetes Service: `workload` is TYPE/NAME of what makes it, "" where it has no controller, `template` names its template."""

    address: PodAddress
    workload: str
    template: str


def address_of(pod: Pod, services: Iterable[KubeService]) -> PodAddress:
    """Return the address of a pod, with the ports that these Services of its namespace lead to."""
    return PodAddress(
        name=pod.metadata.name,
        namespace=pod.metadata.namespace,
        ip=pod.status.pod_ip,
        ports={key: port for service in services for key, port in _ports(service, pod)},
    )


def backend_of(pod: Pod, services: Iterable[KubeService]) -> Backend:
    """Return a pod as a backend of Services. A ReplicaSet that has its Deployment's name and the template's stands for the Deployment."""
    template, owner = template_hash(pod), controller_of(pod)
    kind, name = (owner.kind.lower(), owner.name) if owner is not None else ("", "")
    if kind == "replicaset" and template and name.endswith(f"-{template}"):
        kind, name = "deployment", name.removesuffix(f"-{template}")
    return Backend(address=address_of(pod, services), workload=f"{kind}/{name}" if kind else "", template=template)


def _ports(service: KubeService, pod: Pod) -> Iterator[tuple[tuple[str, int], int]]:
    """Yield the ports of a pod that a Service leads to, by the Service's name and by its cluster IP."""
    selector = service.spec.selector
    if not selector or not selector.items() <= pod.metadata.labels.items():
        return
    names = [each for each in (service.metadata.name, service.spec.cluster_ip) if each not in ("", "None")]
    for port in service.spec.ports:
        if leads := port.number_in(pod.spec):
            yield from (((name, port.port), leads) for name in names)
