"""The changes of the nodes that a diagnosis has read: a node stopped reporting, was cordoned, or was added."""

from collections.abc import Iterator
from datetime import datetime

from kubediagnosis.causes import ObjectChange
from kubediagnosis.facts import NodeFacts, WorkloadFacts
from kubeobjects import predicates

MOST = 5
"""The most changes of nodes in a diagnosis, the latest of them: a cluster that grows and shrinks has many."""

_LOST = ("False", "Unknown")


def changes_of_nodes(facts: WorkloadFacts) -> tuple[ObjectChange, ...]:
    """Return what changed of nodes since the workload was made, the latest last; of many the latest."""
    since = facts.created
    found = [
        (each.at, each)
        for node in facts.nodes
        for each in _changes(node)
        if each.at is not None and (since is None or each.at > since)
    ]
    return tuple(each for _, each in sorted(found, key=lambda pair: pair[0])[-MOST:])


def _changes(node: NodeFacts) -> Iterator[ObjectChange]:
    reference, created = node.reference, node.metadata.creation_timestamp
    ready = predicates.condition_of(node.status.conditions, "Ready")
    if ready is not None and ready.status in _LOST:
        yield _change(
            reference, "status.conditions[Ready]", ready.last_transition_time, before="True", after=ready.status
        )
    if node.spec.unschedulable and node.marked is not None:
        yield _change(reference, "spec.unschedulable", node.marked.at, after="true", by=node.marked.manager)
    if created is not None:
        yield _change(reference, "metadata.creationTimestamp", created, after="added")


def _change(
    reference: str, field: str, at: datetime | None, *, before: str = "", after: str, by: str = ""
) -> ObjectChange:
    return ObjectChange(object=reference, field=field, at=at, by=by, before=before, after=after, shown=True)
