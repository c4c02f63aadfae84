"""Node: one that does not report, that is under pressure, or whose pods alone fail."""

from collections.abc import Iterator, Sequence

from kubediagnosis import evidence_items, last_change, words
from kubediagnosis.causes import Cause, CauseKind, Confidence, EvidenceItem
from kubediagnosis.facts import NodeFacts, PodFacts, WorkloadFacts
from kubeobjects import predicates
from kubeobjects.metadata import Condition, Metadata

_SEVERAL = 2
"""So many pods of other workloads have to fail on a node before it counts as the node's fault."""


def unreported(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find nodes that are not ready by their own condition, under pods that are not ready or do not go away."""
    for node, pods in _on_nodes(facts):
        condition = predicates.condition_of(node.status.conditions, "Ready")
        affected = [pod for pod in pods if not predicates.ready(pod) or predicates.terminating(pod)]
        if condition is None or condition.status == "True" or not affected:
            continue
        does = "does not report" if condition.status == "Unknown" else "is not ready"
        said = f": {evidence_items.short(condition.message, 200)}" if condition.message else ""
        text = f"node {node.metadata.name} {does}{said}"
        proof = (_seen(node, condition), *map(_unready, affected[:1]))
        yield cause(node, "status.conditions[Ready]", Confidence.CERTAIN, text, proof)


def under_pressure(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find nodes that have evicted pods of the workload for want of something, while pods are lacking."""
    if sum(predicates.serves(pod) for pod in facts.pods) >= facts.desired:
        return
    known = {node.metadata.name: node for node in facts.nodes}
    for pod in facts.pods:
        if pod.status.reason != words.EVICTED or not (pressure := words.eviction_pressure(pod.status.message)):
            continue
        node = known.get(pod.spec.node_name)
        condition = predicates.condition_of(node.status.conditions, pressure) if node is not None else None
        holds = condition is not None and condition.status == "True"
        said = evidence_items.field(pod.reference, "status.message", pod.status.message)
        proof = [said, _seen(node, condition)] if node is not None and condition is not None else [said]
        yield cause(
            node or NodeFacts(metadata=Metadata(name=pod.spec.node_name)),
            f"status.conditions[{pressure}]",
            Confidence.CERTAIN if holds else Confidence.LIKELY,
            f"node {pod.spec.node_name} evicts pods: {evidence_items.short(pod.status.message, 200)}",
            proof,
        )


def failing_alone(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find a node that is ready, whose pods all are not, of whichever workload, while those elsewhere are."""
    for node, condition, running in _failing_alone(facts):
        text = f"no pod on node {node.metadata.name} is ready, but pods on other nodes are"
        proof = (_seen(node, condition), *map(_unready, running[:_SEVERAL]))
        yield cause(node, "", Confidence.LIKELY, text, proof)


def names_of_failing_alone(facts: WorkloadFacts) -> frozenset[str]:
    """Return the nodes whose pods all fail, of whichever workload: what a pod of theirs shows says nothing of itself."""
    return frozenset(node.metadata.name for node, _, _ in _failing_alone(facts))


def _failing_alone(facts: WorkloadFacts) -> Iterator[tuple[NodeFacts, Condition, Sequence[PodFacts]]]:
    for node, pods in _on_nodes(facts):
        condition = predicates.condition_of(node.status.conditions, "Ready")
        elsewhere = [pod for pod in last_change.living(facts) if pod.spec.node_name not in ("", node.metadata.name)]
        if condition is None or condition.status != "True" or node.others < _SEVERAL or node.others_ready:
            continue
        running = [pod for pod in pods if not predicates.terminating(pod)]
        if not running or not elsewhere or not all(predicates.ready(pod) for pod in elsewhere):
            continue
        if not any(predicates.ready(pod) for pod in running):
            yield node, condition, running


def _on_nodes(facts: WorkloadFacts) -> Iterator[tuple[NodeFacts, Sequence[PodFacts]]]:
    for node in facts.nodes:
        pods = [pod for pod in facts.pods if pod.spec.node_name == node.metadata.name and not predicates.finished(pod)]
        if pods:
            yield node, pods


def _seen(node: NodeFacts, condition: Condition) -> EvidenceItem:
    text = ": ".join(filter(None, (condition.status, condition.reason, condition.message)))
    return evidence_items.condition(node.reference, condition, text)


def _unready(pod: PodFacts) -> EvidenceItem:
    condition = predicates.condition_of(pod.status.conditions, "Ready")
    text = f"{condition.status} {condition.reason}".strip() if condition is not None else "not reported"
    at = condition.last_transition_time if condition is not None else None
    return evidence_items.field(pod.reference, "status.conditions[Ready]", text, at)


def cause(node: NodeFacts, field: str, confidence: Confidence, text: str, proof: Sequence[EvidenceItem]) -> Cause:
    """Return that a node is the cause, by one of its fields."""
    return Cause(
        kind=CauseKind.NODE,
        object=node.reference,
        field=field,
        confidence=confidence,
        text=text,
        evidence=tuple(proof),
    )
