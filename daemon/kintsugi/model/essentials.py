"""
The essentials, which are never changed wherever they run: the cluster's DNS, and the database of our own ledger.

Both are identified by their Services: a pod that a Service's selector chooses, the workload that makes such pods, and the
claims that they use.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from kintsugi.model.hosts import service_of
from kintsugi.objects.kept import KubeService, Pod

DNS, LEDGER = "the cluster's DNS", "the database of our own ledger"

_APP, _NAME, _OPERATED = "k8s-app", "app.kubernetes.io/name", "dns.operator.openshift.io/daemonset-dns"
_DNS_NAMES = frozenset({"kube-dns", "coredns"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Essential:
    """The pods that `labels` choose in a namespace, and the claims that they use; `what` names it for people."""

    namespace: str
    labels: frozenset[tuple[str, str]]
    what: str
    claims: frozenset[str] = frozenset()


def essentials(
    services: Iterable[KubeService], *, ledger_hosts: frozenset[str], nameservers: frozenset[str]
) -> tuple[Essential, ...]:
    """
    Return the essentials behind some Services of the cluster.

    `ledger_hosts` are names as SERVICE.NAMESPACE, or addresses; `nameservers` the addresses that this machine asks for names.
    """
    return tuple(
        Essential(namespace=service.metadata.namespace, labels=frozenset(service.spec.selector.items()), what=what)
        for service in services
        if service.spec.selector and (what := _what(service, ledger_hosts, nameservers))
    )


def with_claims(known: tuple[Essential, ...], pods: Iterable[Pod]) -> tuple[Essential, ...]:
    """Add the claims that the ledger's database uses, by its pods; the DNS has none."""
    if not any(each.what == LEDGER for each in known):
        return known
    used: dict[Essential, set[str]] = {each: set() for each in known if each.what == LEDGER}
    for pod in pods:
        for each, claims in used.items():
            if pod.metadata.namespace == each.namespace and each.labels <= pod.metadata.labels.items():
                claims |= {
                    volume.persistent_volume_claim.claim_name
                    for volume in pod.spec.volumes
                    if volume.persistent_volume_claim
                }
    return tuple(replace(each, claims=frozenset(used.get(each, ()))) for each in known)


def ledger_hosts(host: str, find: Callable[[str, str], KubeService | None]) -> frozenset[str]:
    """
    Return the names and addresses of the Service of the ledger's database, from the host in the ledger's URL.

    `find` returns a Service by namespace and name: an ExternalName leads on to another one.
    """
    if not host:
        return frozenset()
    place = service_of(host)
    front = find(place.namespace, place.service) if place is not None else None
    alias = front.spec.external_name if front is not None else ""
    return frozenset(_plain(each) for each in (host, alias) if each)


def essential(namespace: str, labels: Mapping[str, str], known: Iterable[Essential]) -> str:
    """Return the essential that a pod with these labels (or a workload that makes such pods) belongs to, "" for none."""
    if labels.get(_APP) in _DNS_NAMES or labels.get(_NAME) in _DNS_NAMES or _OPERATED in labels:
        return DNS
    return next((each.what for each in known if each.namespace == namespace and each.labels <= labels.items()), "")


def essential_claim(namespace: str, claim: str, known: Iterable[Essential]) -> str:
    """Return the essential that a claim belongs to, "" for none."""
    return next((each.what for each in known if each.namespace == namespace and claim in each.claims), "")


def _what(service: KubeService, hosts: frozenset[str], nameservers: frozenset[str]) -> str:
    """Return the essential behind a Service, if any."""
    metadata = service.metadata
    named = metadata.name in _DNS_NAMES or metadata.labels.get(_APP) in _DNS_NAMES
    if named or service.spec.cluster_ip in nameservers:
        return DNS
    if hosts and not hosts.isdisjoint({f"{metadata.name}.{metadata.namespace}", *_addresses(service)}):
        return LEDGER
    return ""


def _plain(host: str) -> str:
    place = service_of(host)
    return str(place) if place is not None else host.lower().rstrip(".")


def _addresses(service: KubeService) -> set[str]:
    points = service.status.load_balancer.ingress
    return {service.spec.cluster_ip, *service.spec.external_ips, *(point.ip or point.hostname for point in points)}
