"""
Unschedulable, and the scheduler's messages about nodes and claims: the field of the object that keeps a pod from a
node.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta

from kubediagnosis import evidence_items, last_change, nodes, storage, words
from kubediagnosis.causes import Cause, CauseKind, Confidence, EvidenceItem
from kubediagnosis.facts import PodFacts, WorkloadFacts
from kubediagnosis.words import SchedulerReason
from kubeobjects import predicates

_CERTAIN = Confidence.CERTAIN
_RESOURCES = (SchedulerReason.CPU, SchedulerReason.MEMORY, SchedulerReason.STORAGE)
_NODES_OWN = {
    "node.kubernetes.io/not-ready": "Ready",
    "node.kubernetes.io/unreachable": "Ready",
    "node.kubernetes.io/memory-pressure": "MemoryPressure",
    "node.kubernetes.io/disk-pressure": "DiskPressure",
    "node.kubernetes.io/pid-pressure": "PIDPressure",
    "node.kubernetes.io/network-unavailable": "NetworkUnavailable",
}
"""Taints that the node's own conditions set (k8s.io/api/core/v1, well_known_taints.go)."""


NODE_UNDER_WAY = ("TriggeredScaleUp", "Nominated")
"""Reasons of Events that say of a pod that a node is being made for it: the cluster autoscaler's, and Karpenter's."""

NODE_WITHIN = timedelta(minutes=15)
"""The time that a new node may take: the cluster autoscaler's own `--max-node-provision-time`."""


def unschedulable(facts: WorkloadFacts) -> Iterator[Cause]:
    """
    Find pods that no node is found for, by the scheduler's reasons: what a new template asks for, else a node or a claim.

    A pod for which a node is being made is waited for.
    """
    for pod in last_change.living(facts):
        condition = predicates.condition_of(pod.status.conditions, "PodScheduled")
        if condition is None or not predicates.unschedulable(pod) or _gets_node(facts, pod):
            continue
        seen = evidence_items.condition(pod.reference, condition, condition.message)
        found = words.scheduler_reasons(condition.message)
        causes = [*_of_template(facts, pod, found, seen), *_of_claims(facts, pod, condition.message, found, seen)]
        if not causes:
            causes = [*_of_nodes(facts, (pod, condition.message), found, seen)]
        yield from causes or [_unexplained(facts, pod, found, seen)]


def _gets_node(facts: WorkloadFacts, pod: PodFacts) -> bool:
    """Return whether a node is being made for a pod."""
    return any(
        each.reason in NODE_UNDER_WAY and each.at is not None and facts.now - each.at <= NODE_WITHIN
        for each in evidence_items.events_of(facts, pod)
    )


def _of_template(
    facts: WorkloadFacts, pod: PodFacts, found: frozenset[SchedulerReason], seen: EvidenceItem
) -> Iterator[Cause]:
    """
    Yield the requirements that a suspected template has since its last change; certain where there is no other
    obstacle.
    """
    changed = last_change.suspected(facts, pod)
    for why in sorted(found):
        field = _asked(changed, why)
        rest = found - {why} - ({SchedulerReason.VOLUME_NODE} if why is SchedulerReason.SELECTOR else set())
        if field:
            cause = _cause(facts, field, "a pod of the new template", seen)
            kind = CauseKind.VOLUME if why is SchedulerReason.CLAIM_MISSING else cause.kind
            yield replace(cause, kind=kind, confidence=Confidence.LIKELY if rest else Confidence.CERTAIN)


def _asked(fields: Iterable[str], why: SchedulerReason) -> str:
    """Return the field that a reason is about, a request before the limit that implies it; "" for none."""
    found = [each for each in fields if _asks(each, why)]
    return min(found, key=lambda each: ".limits." in each, default="")


def _asks(field: str, why: SchedulerReason) -> bool:
    """Return whether a field of a template is what a reason is about."""
    match why:
        case SchedulerReason.CPU | SchedulerReason.MEMORY | SchedulerReason.STORAGE:
            return field.endswith((f".resources.requests.{why}", f".resources.limits.{why}"))
        case SchedulerReason.SELECTOR:
            return field.startswith(("nodeSelector", "affinity.nodeAffinity"))
        case SchedulerReason.POD_AFFINITY | SchedulerReason.POD_ANTI_AFFINITY:
            return field.startswith(f"affinity.{why}")
        case SchedulerReason.PORTS:
            return field.endswith(".hostPort")
        case SchedulerReason.TAINT:
            return field.startswith("tolerations")
        case SchedulerReason.CLAIM_MISSING:
            return field.startswith("volumes[")
        case _:
            return False


def _of_claims(
    facts: WorkloadFacts, pod: PodFacts, said: str, found: frozenset[SchedulerReason], seen: EvidenceItem
) -> Iterator[Cause]:
    """Yield claims that are not there or have no volume, where the template did not come to name them only now."""
    if SchedulerReason.CLAIM_MISSING in found:
        named = words.CLAIM_NOT_FOUND.search(said)
        name = named["name"] if named else ""
        claim = next(
            (each for each in last_change.suspected(facts, pod) if _asks(each, SchedulerReason.CLAIM_MISSING)), ""
        )
        if name and not claim:
            text = f"claim {name}, which the pod mounts, does not exist"
            yield storage.cause((f"persistentvolumeclaim/{name}", ""), Confidence.LIKELY, text, seen)
    elif SchedulerReason.CLAIM_UNBOUND in found:
        names = predicates.claim_names(pod)
        pending = [each for each in facts.claims if each.metadata.name in names and each.status.phase == "Pending"]
        for each in pending:
            if storage.lacks_class(each):
                yield storage.without_class(each)
                continue
            proof = (seen, evidence_items.field(each.reference, "status.phase", each.status.phase))
            text = f"claim {each.metadata.name} has no volume: {evidence_items.short(said, 200)}"
            yield replace(storage.cause((each.reference, "status.phase"), _CERTAIN, text, seen), evidence=proof)
        if not pending and len(names) == 1:
            text = f"claim {names[0]} has no volume: {evidence_items.short(said, 200)}"
            yield storage.cause((f"persistentvolumeclaim/{names[0]}", "status.phase"), Confidence.LIKELY, text, seen)


def _of_nodes(
    facts: WorkloadFacts, message: tuple[PodFacts, str], found: frozenset[SchedulerReason], seen: EvidenceItem
) -> Iterator[Cause]:
    """
    Yield nodes that are cordoned, tainted or full; certain where the node shows it and there is no other obstacle.
    """
    sure = Confidence.CERTAIN if len(found) == 1 else Confidence.LIKELY
    if SchedulerReason.CORDONED in found:
        for node in (each for each in facts.nodes if each.spec.unschedulable):
            proof = (seen, evidence_items.field(node.reference, "spec.unschedulable", "true"))
            confidence = Confidence.CERTAIN if found <= {SchedulerReason.CORDONED, SchedulerReason.TAINT} else sure
            yield nodes.cause(node, "spec.unschedulable", confidence, f"node {node.metadata.name} is cordoned", proof)
    elif SchedulerReason.TAINT in found:
        keys = _untolerated(facts, *message)
        sure = sure if len(keys) == 1 else Confidence.LIKELY  # of several, some are there on purpose
        for node, key in ((each, key) for each in facts.nodes for key in sorted(keys.intersection(each.repelling))):
            field = f"status.conditions[{_NODES_OWN[key]}]" if key in _NODES_OWN else f"spec.taints[{key}]"
            proof = (seen, evidence_items.field(node.reference, f"spec.taints[{key}]", key))
            text = f"node {node.metadata.name} has the taint {key}, which the pods do not tolerate"
            yield nodes.cause(node, field, sure, text, proof)
    full = next((each for each in (*_RESOURCES, SchedulerReason.PODS) if each in found), None)
    if full is not None and len(facts.nodes) == 1:
        node = facts.nodes[0]
        text = f"node {node.metadata.name} has no free {full}"
        yield nodes.cause(node, f"status.allocatable[{full}]", Confidence.LIKELY, text, (seen,))


def _untolerated(facts: WorkloadFacts, pod: PodFacts, said: str) -> set[str]:
    """Return the keys of the taints that the scheduler names; of a newer one, which names none, those that the pod does not bear."""
    if named := {key.strip() for key in words.TAINT.findall(said)}:
        return named
    borne = {each.key for each in pod.spec.tolerations}
    return set() if "" in borne else {key for node in facts.nodes for key in node.repelling} - borne


def _unexplained(facts: WorkloadFacts, pod: PodFacts, found: frozenset[SchedulerReason], seen: EvidenceItem) -> Cause:
    """Return that no node takes the pod, where nothing shows who would have to change: the field that is asked for, likely."""
    fields = facts.revisions[0].fields if facts.revisions else {}
    asked = next(filter(None, (_asked(sorted(fields), why) for why in sorted(found))), "")
    return _cause(facts, asked, pod.reference, seen)


def _cause(facts: WorkloadFacts, field: str, pod: str, seen: EvidenceItem) -> Cause:
    return Cause(
        kind=CauseKind.UNSCHEDULABLE,
        object=facts.reference,
        field=field,
        confidence=Confidence.LIKELY,
        text=f"no node accepts {pod}: {evidence_items.short(seen.text, 300)}",
        evidence=(seen,),
    )
