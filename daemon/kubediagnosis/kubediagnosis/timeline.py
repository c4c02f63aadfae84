"""
The changes before a diagnosis: the last rollout by field, the replicas, mounted configuration, and related objects.

The related objects are nodes, autoscalers, and incidents of upstreams. The latest change is last.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from kubediagnosis.causes import ObjectChange
from kubediagnosis.facts import ConfigurationFacts, NodeFacts, WorkloadFacts
from kubediagnosis.templates import changed_fields
from kubeobjects import predicates

RECENT = timedelta(days=1)
"""The age up to which changes are listed; the last rollout is always listed."""

MOST_CHANGES = 30

CREATION = timedelta(seconds=1)
"""The most seconds between an object's creation and its first write, as its metadata have them."""

LONGEST_VALUE = 200
"""The most characters that are shown of a value."""

_NOT_SHOWN = re.compile(r"\.(env|envFrom|command|args)\b|\.(lifecycle|livenessProbe|readinessProbe|startupProbe)$")
"""Fields of a template whose values may contain a secret: variables, and all that may have a command or a header."""

_FIRST = datetime.min.replace(tzinfo=UTC)

MOST = 5
"""The most changes of nodes in a diagnosis, the latest of them: a cluster that grows and shrinks has many."""

_LOST = ("False", "Unknown")


def changes_before(facts: WorkloadFacts) -> tuple[ObjectChange, ...]:
    """Return what changed, the latest last; of many the latest."""
    found = [*_rollout(facts), *_scale(facts), *_configurations(facts), *_around(facts)]
    return tuple(sorted(found, key=lambda each: each.at or _FIRST)[-MOST_CHANGES:])


def _rollout(facts: WorkloadFacts) -> Iterator[ObjectChange]:
    """Yield in which fields the template in force differs from the one before it."""
    if len(facts.revisions) < 2:
        return
    now, before = facts.revisions[:2]
    by = facts.templated
    for field in changed_fields(before.fields, now.fields):
        shown = (field in before.fields or field in now.fields) and _NOT_SHOWN.search(field) is None
        yield ObjectChange(
            object=facts.reference,
            field=field,
            at=by.at if now.returned and by is not None else now.created,
            by=by.manager if by is not None else "",
            before=_value(before.fields.get(field, "")) if shown else "",
            after=_value(now.fields.get(field, "")) if shown else "",
            shown=shown,
        )


def _scale(facts: WorkloadFacts) -> Iterator[ObjectChange]:
    """Yield who wrote the number of replicas last, where that was after the workload was made."""
    scaled = facts.scaled
    if scaled is None or scaled.at is None or scaled.at == facts.created or not _is_recent(facts, scaled.at):
        return
    desired = f"{facts.desired}"
    yield ObjectChange(
        object=facts.reference, field="spec.replicas", at=scaled.at, by=scaled.manager, after=desired, shown=True
    )


def _configurations(facts: WorkloadFacts) -> Iterator[ObjectChange]:
    """Yield the ConfigMaps and Secrets that were written, and their changed keys; never their values."""
    for each in facts.configurations:
        if (
            each.exists
            and each.changed is not None
            and _is_recent(facts, each.changed)
            and not _is_original(facts, each)
        ):
            for field in [f"data[{key}]" for key in each.changed_keys] or ["data"]:
                yield ObjectChange(object=each.reference, field=field, at=each.changed, by=each.changed_by)


def _around(facts: WorkloadFacts) -> Iterator[ObjectChange]:
    """Yield what changed of nodes, autoscalers and upstreams."""
    for each in (*changes_of_nodes(facts), *facts.changed_around):
        if each.at is not None and _is_recent(facts, each.at):
            yield each


def _is_original(facts: WorkloadFacts, each: ConfigurationFacts) -> bool:
    """Return whether a configuration was made before the workload, and is as it was made."""
    if facts.created is None or each.created is None or each.changed is None:
        return False
    return each.changed <= min(facts.created, each.created + CREATION)


def _is_recent(facts: WorkloadFacts, at: datetime) -> bool:
    return facts.now - at <= RECENT


def _value(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


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
        field, at = "status.conditions[Ready]", ready.last_transition_time
        yield ObjectChange(object=reference, field=field, at=at, before="True", after=ready.status, shown=True)
    if node.spec.unschedulable and node.marked is not None:
        at, by = node.marked.at, node.marked.manager
        yield ObjectChange(object=reference, field="spec.unschedulable", at=at, by=by, after="true", shown=True)
    if created is not None:
        yield ObjectChange(object=reference, field="metadata.creationTimestamp", at=created, after="added", shown=True)
