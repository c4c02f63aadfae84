"""
The essentials, which are never changed wherever they run: the cluster's DNS, and the database of our own ledger.

Both are identified by their Services: the pods that a Service's selector chooses, or that its endpoints name where it has none (Patroni
writes them itself), the workload that makes such pods, and the claims that they use.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from kintsugi.model.hosts import service_of
from kubeobjects.kept import EndpointSlice, KubeService, Pod
from kubeobjects.network import SERVICE_NAME

DNS, LEDGER = "the cluster's DNS", "the database of our own ledger"

_APP, _NAME, _OPERATED = "k8s-app", "app.kubernetes.io/name", "dns.operator.openshift.io/daemonset-dns"
_DNS_NAMES = frozenset({"kube-dns", "coredns"})


@dataclass(frozen=True, kw_only=True, slots=True)
class EssentialService:
    """
    The objects behind a Service of a namespace; `what` names them for people.

    `labels` is the Service's selector, empty where it has none. `pods`, `workloads` (kind and name) and `claims` are those that are
    there: a pod may have a label of its role, which its workload's template has not.
    """

    namespace: str
    service: str
    labels: frozenset[tuple[str, str]]
    what: str
    pods: frozenset[str] = frozenset()
    workloads: frozenset[tuple[str, str]] = frozenset()
    claims: frozenset[str] = frozenset()

    def chooses(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Return whether the selector takes in a pod with these labels."""
        return namespace == self.namespace and bool(self.labels) and self.labels <= labels.items()


def essentials(
    services: Iterable[KubeService], *, ledger_hosts: frozenset[str], nameservers: frozenset[str]
) -> tuple[EssentialService, ...]:
    """
    Return the essentials behind some Services of the cluster.

    `ledger_hosts` are names as SERVICE.NAMESPACE, or addresses; `nameservers` the addresses that this machine asks for names.
    """
    return tuple(
        EssentialService(
            namespace=service.metadata.namespace,
            service=service.metadata.name,
            labels=frozenset(service.spec.selector.items()),
            what=what,
        )
        for service in services
        if (what := _what(service, ledger_hosts, nameservers))
    )


def with_objects(
    known: tuple[EssentialService, ...], pods: Iterable[Pod], slices: Iterable[EndpointSlice]
) -> tuple[EssentialService, ...]:
    """Add the pods of the ledger's database, their workloads and their claims; the DNS is known by its labels."""
    if not any(each.what == LEDGER for each in known):
        return known
    pods, slices = tuple(pods), tuple(slices)
    return tuple(_with_objects(each, pods, slices) if each.what == LEDGER else each for each in known)


def _with_objects(known: EssentialService, pods: Iterable[Pod], slices: Iterable[EndpointSlice]) -> EssentialService:
    place = known.namespace, known.service
    addresses = {
        address
        for each in slices
        if (each.metadata.namespace, each.metadata.labels.get(SERVICE_NAME)) == place
        for endpoint in each.endpoints or ()
        for address in endpoint.addresses
    }
    found = [
        pod
        for pod in pods
        if known.chooses(pod.metadata.namespace, pod.metadata.labels)
        or (pod.metadata.namespace == known.namespace and pod.status.pod_ip in addresses)
    ]
    return replace(
        known,
        pods=frozenset(pod.metadata.name for pod in found),
        workloads=frozenset(made_by for pod in found if (made_by := _maker(pod)) is not None),
        claims=frozenset(
            volume.persistent_volume_claim.claim_name
            for pod in found
            for volume in pod.spec.volumes
            if volume.persistent_volume_claim
        ),
    )


def denied_addresses(
    services: Iterable[KubeService],
    slices: Iterable[EndpointSlice],
    *,
    known: Iterable[EssentialService],
    protected: Collection[str],
) -> Mapping[str, str]:
    """
    Return the addresses of the Services of essentials and of protected namespaces, and of what is behind them, each with why.

    A port of every node stands as `:PORT`: a node has more addresses than it reports.
    """
    whats = {(each.namespace, each.service): f"{each.what}, where nothing is ever changed" for each in known}

    def why(namespace: str, service: str) -> str:
        in_protected = f"in the namespace {namespace}, which is protected" if namespace in protected else ""
        return whats.get((namespace, service), in_protected)

    found: dict[str, str] = {}
    for service in services:
        if reason := why(service.metadata.namespace, service.metadata.name):
            found |= dict.fromkeys(_addresses(service) - {"", "None"}, reason)
            ports = {service.spec.health_check_node_port, *(each.node_port for each in service.spec.ports)} - {0}
            found |= {f":{port}": f"at a node's port, {reason}" for port in ports}
    for each in slices:
        if reason := why(each.metadata.namespace, each.metadata.labels.get(SERVICE_NAME, "")):
            found |= {address: reason for endpoint in each.endpoints or () for address in endpoint.addresses}
    return found


def _maker(pod: Pod) -> tuple[str, str] | None:
    """Return kind and name of the workload that has made a pod; a ReplicaSet's is its Deployment."""
    owner = next((each for each in pod.metadata.owner_references if each.controller), None)
    if owner is None:
        return None
    template = pod.metadata.labels.get("pod-template-hash", "")
    if owner.kind == "ReplicaSet" and template and owner.name.endswith(f"-{template}"):
        return "Deployment", owner.name.removesuffix(f"-{template}")
    return owner.kind, owner.name


def ledger_hosts(host: str, find: Callable[[str, str], KubeService | None]) -> frozenset[str]:
    """
    Return the names and addresses of the Service of the ledger's database, from the host in the ledger's URL.

    `find` returns a Service by namespace and name: an ExternalName leads on to another one.
    """
    if not host:
        return frozenset()
    place = service_of(host)
    kube_service = find(place.namespace, place.service) if place is not None else None
    alias = kube_service.spec.external_name if kube_service is not None else ""
    return frozenset(_plain(each) for each in (host, alias) if each)


def essential(namespace: str, labels: Mapping[str, str], known: Iterable[EssentialService]) -> str:
    """Return the essential that a pod with these labels (or a workload that makes such pods) belongs to, "" for none."""
    if labels.get(_APP) in _DNS_NAMES or labels.get(_NAME) in _DNS_NAMES or _OPERATED in labels:
        return DNS
    return next((each.what for each in known if each.chooses(namespace, labels)), "")


def essential_object(kind: str, namespace: str, name: str, known: Iterable[EssentialService]) -> str:
    """Return the essential that a pod, a workload or a claim is known to belong to by its name, "" for none."""
    return next((each.what for each in known if each.namespace == namespace and _has(each, kind, name)), "")


def _has(known: EssentialService, kind: str, name: str) -> bool:
    match kind:
        case "Pod":
            return name in known.pods
        case "PersistentVolumeClaim":
            return name in known.claims
        case _:
            return (kind, name) in known.workloads


def _what(service: KubeService, hosts: frozenset[str], nameservers: frozenset[str]) -> str:
    """Return the essential behind a Service, if any."""
    metadata = service.metadata
    named = metadata.name in _DNS_NAMES or metadata.labels.get(_APP) in _DNS_NAMES
    if named or not nameservers.isdisjoint((service.spec.cluster_ip, *service.spec.cluster_ips)):
        return DNS
    if hosts and not hosts.isdisjoint({f"{metadata.name}.{metadata.namespace}", *_addresses(service)}):
        return LEDGER
    return ""


def _plain(host: str) -> str:
    place = service_of(host)
    return str(place) if place is not None else host.lower().rstrip(".")


def _addresses(service: KubeService) -> set[str]:
    spec, points = service.spec, service.status.load_balancer.ingress
    return {spec.cluster_ip, *spec.cluster_ips, *spec.external_ips, *(point.ip or point.hostname for point in points)}
