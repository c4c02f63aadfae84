"""NetworkPolicy: the policies, evaluated, deny what an upstream or a check needs."""

from collections.abc import Iterator, Sequence

from kubediagnosis import answering, evidence_items, service_ports
from kubediagnosis.causes import Cause, CauseKind, Confidence
from kubediagnosis.facts import WorkloadFacts
from kubediagnosis.network_policies import Peer, denying
from kubeobjects.network import EGRESS, INGRESS, KubeService, NetworkPolicy, ServicePort
from kubeobjects.selectors import selects


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
    shut = [
        each
        for each in facts.policies
        if each.metadata.namespace == facts.namespace
        and INGRESS in each.directions
        and selects(each.spec.pod_selector, facts.labels)
    ]
    if shut and answering.unmet(facts) and not any(each.spec.ingress for each in shut):
        yield _cause(facts, _newest(shut), INGRESS, f"denies every connection to {facts.reference}")


def peer(facts: WorkloadFacts) -> Peer:
    """Return a workload's pods as one end of a connection."""
    return Peer(
        namespace=facts.namespace,
        labels=facts.labels,
        namespace_labels=facts.namespace_labels,
        ports=service_ports.named_ports(facts.template),
        addresses=tuple(pod.status.pod_ip for pod in facts.pods if pod.status.pod_ip),
    )


def _denied(facts: WorkloadFacts, source: Peer, upstream: WorkloadFacts) -> tuple[str, Sequence[NetworkPolicy]] | None:
    """Return what denies each port of the upstream that is needed: those that a variable names, else all that its Services have."""
    every = [
        (service, port, service_ports.number_of(port, upstream.template))
        for service in service_ports.leading(upstream)
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
            *(answering.seen(each, facts) for each in answering.unmet(facts)),
        ),
    )
