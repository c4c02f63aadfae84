"""
The evaluation of NetworkPolicies: whether they let one pod reach a port of another.

Pure, by the rules of networking.k8s.io/v1: a pod that no policy selects takes and sends everything; one that some
select, only what one of them lets through. The API does not say whether the cluster's network enforces policies.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from kubeobjects.network import EGRESS, INGRESS, AddressBlock, NetworkPolicy, PolicyPeer, PolicyPort
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
