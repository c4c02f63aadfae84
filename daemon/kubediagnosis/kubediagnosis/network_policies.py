"""
NetworkPolicy: the policies, evaluated, deny what an upstream or a check needs.

They are evaluated by the rules of networking.k8s.io/v1: a pod that no policy selects takes and sends everything; one that
some select takes and sends only what one of them allows.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from kubediagnosis import answering, evidence_items, services
from kubediagnosis.causes import Cause, CauseKind, Confidence
from kubediagnosis.facts import WorkloadFacts
from kubeobjects.network import (
    EGRESS,
    INGRESS,
    AddressBlock,
    KubeService,
    NetworkPolicy,
    PolicyPeer,
    PolicyPort,
    ServicePort,
)
from kubeobjects.selectors import selects


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """
    One end of a connection: a pod by its labels. `namespace_labels` is None where they could not be read.

    `ports` are the names of its containers' ports, `addresses` the pods' addresses, as far as there are any.
    """

    namespace: str
    labels: Mapping[str, str]
    namespace_labels: Mapping[str, str] | None = None
    ports: Mapping[str, int] = field(default_factory=dict)
    addresses: tuple[str, ...] = ()


def denying(
    policies: Iterable[NetworkPolicy], source: Peer, destination: Peer, port: int
) -> tuple[str, Sequence[NetworkPolicy]] | None:
    """
    Return which direction is denied, and the policies that deny it: those that select that end, of which none lets it through.

    None where it is let through, and where that depends on what could not be read.
    """
    every = tuple(policies)
    for direction, near, far in ((EGRESS, source, destination), (INGRESS, destination, source)):
        about = [each for each in every if _is_about(each, near, direction)]
        if about and not any(_lets(each, direction, far, (destination, port)) for each in about):
            return direction, about
    return None


def _is_about(policy: NetworkPolicy, peer: Peer, direction: str) -> bool:
    return (
        policy.metadata.namespace == peer.namespace
        and direction in policy.directions
        and selects(policy.spec.pod_selector, peer.labels)
    )


def _lets(policy: NetworkPolicy, direction: str, far: Peer, target: tuple[Peer, int]) -> bool:
    rules = policy.spec.egress if direction == EGRESS else policy.spec.ingress
    for rule in rules:
        peers = rule.destinations if direction == EGRESS else rule.sources
        if (not peers or any(_is_peer(policy, each, far) for each in peers)) and _has_port(rule.ports, *target):
            return True
    return False


def _is_peer(policy: NetworkPolicy, peer: PolicyPeer, far: Peer) -> bool:
    if peer.ip_block is not None:
        return _in_block(peer.ip_block, far.addresses)
    if peer.namespace_selector is None:
        place = policy.metadata.namespace == far.namespace
    else:
        # What is not known is not taken for a denial.
        place = far.namespace_labels is None or selects(peer.namespace_selector, far.namespace_labels)
    return place and (peer.pod_selector is None or selects(peer.pod_selector, far.labels))


def _in_block(block: AddressBlock, addresses: Sequence[str]) -> bool:
    """Return whether an address of the pods is let through; without one, and for a block that cannot be read, it is not known: yes."""
    try:
        network, others = ip_network(block.cidr, strict=False), [ip_network(each) for each in block.other_than]
        found = [ip_address(each) for each in addresses]
    except ValueError:
        return True
    return not found or any(each in network and not any(each in other for other in others) for each in found)


def _has_port(ports: Sequence[PolicyPort], destination: Peer, port: int) -> bool:
    if not ports:
        return True
    for each in ports:
        if each.protocol != "TCP":
            continue
        number = destination.ports.get(each.port) if isinstance(each.port, str) else each.port
        if (
            each.port is None
            or number == port
            or (number is not None and each.end_port and number <= port <= each.end_port)
        ):
            return True
    return False


def network_policy(facts: WorkloadFacts) -> Iterator[Cause]:
    """
    Find policies that keep this workload from an upstream, or all peers from this workload, while something is wrong.

    The cause is only likely: no field says whether the network enforces policies.
    """
    if not answering.has_problem(facts):
        return
    source = peer(facts)
    for upstream in facts.upstreams:
        denied = _denied(facts, source, upstream)
        if denied is not None:
            direction, policies = denied
            connections = f"connections from {facts.reference} to {upstream.reference}"
            yield _cause(facts, _newest(policies), direction, f"denies {connections}")
    shut = [each for each in facts.policies if _is_about(each, source, INGRESS)]
    if shut and answering.unmet(facts) and not any(each.spec.ingress for each in shut):
        yield _cause(facts, _newest(shut), INGRESS, f"denies every connection to {facts.reference}")


def peer(facts: WorkloadFacts) -> Peer:
    """Return a workload's pods as one end of a connection."""
    return Peer(
        namespace=facts.namespace,
        labels=facts.labels,
        namespace_labels=facts.namespace_labels,
        ports=facts.template.named_ports,
        addresses=tuple(pod.status.pod_ip for pod in facts.pods if pod.status.pod_ip),
    )


def _denied(facts: WorkloadFacts, source: Peer, upstream: WorkloadFacts) -> tuple[str, Sequence[NetworkPolicy]] | None:
    """Return what denies each port of the upstream that is needed: those that a variable names, else all that its Services have."""
    every = [
        (service, port, port.number_in(upstream.template))
        for service in services.leading(upstream)
        for port in service.spec.ports
        if port.protocol == "TCP"
    ]
    named = [number for service, port, number in every if number and _names(facts, upstream, service, port)]
    needed = named or [number for _, _, number in every if number]
    found = [denying(facts.policies, source, peer(upstream), number) for number in needed]
    return found[0] if found and all(each is not None for each in found) else None


def _names(facts: WorkloadFacts, upstream: WorkloadFacts, service: KubeService, port: ServicePort) -> bool:
    name = service.metadata.name
    own = (name,) if facts.namespace == upstream.namespace else ()
    hosts = (*own, f"{name}.{upstream.namespace}", f"{name}.{upstream.namespace}.svc")
    return any(
        each.port == port.port and (each.host in hosts or each.host.startswith(f"{name}.{upstream.namespace}.svc."))
        for each in facts.hosts
    )


def _newest(policies: Sequence[NetworkPolicy]) -> NetworkPolicy:
    """Return the policy that was made last: before it, they let it through."""
    return max(
        policies,
        key=lambda each: made.timestamp() if (made := each.metadata.creation_timestamp) is not None else 0.0,
    )


def _cause(facts: WorkloadFacts, policy: NetworkPolicy, direction: str, text: str) -> Cause:
    name, field = policy.metadata.name, "spec.egress" if direction == EGRESS else "spec.ingress"
    holder = f"networkpolicy/{name}"
    rules = policy.spec.egress if direction == EGRESS else policy.spec.ingress
    said = (
        f"{len(rules)} rules, and no rule allows the connection" if rules else "no rule, so every connection is denied"
    )
    return Cause(
        kind=CauseKind.NETWORK_POLICY,
        object=holder,
        field=field,
        confidence=Confidence.LIKELY,
        text=f"NetworkPolicy {name} {text}",
        evidence=(
            evidence_items.field(holder, field, said, policy.metadata.creation_timestamp),
            *answering.answers(facts),
        ),
    )
