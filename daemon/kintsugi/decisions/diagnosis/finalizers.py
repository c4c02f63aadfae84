"""Finalizer: an object is Terminating, its grace is over, and a finalizer holds it."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from kintsugi.decisions.diagnosis import evidence_items
from kintsugi.decisions.diagnosis.facts import WorkloadFacts
from kintsugi.model.causes import Cause, CauseKind, Confidence

SLACK = timedelta(seconds=30)
"""
The time that a kubelet, or the owner of the finalizer, may take after the grace period, which ends at
`deletionTimestamp`.
"""

_OF_KUBERNETES = frozenset({"foregroundDeletion", "orphan"})
"""Those that the garbage collector itself removes, once what depends on the object is gone."""


def finalizer(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find the workload or pods of it that a finalizer keeps; only likely while a container of the pod still runs."""
    yield from _held(facts, facts.reference, facts.deleted, facts.finalizers, Confidence.CERTAIN)
    for pod in facts.pods:
        runs = any(status.state.running is not None for status, _ in pod.statuses())
        sure = Confidence.LIKELY if runs else Confidence.CERTAIN
        yield from _held(facts, pod.reference, pod.metadata.deletion_timestamp, pod.metadata.finalizers, sure)


def _held(
    facts: WorkloadFacts, holder: str, deleted: datetime | None, finalizers: tuple[str, ...], confidence: Confidence
) -> Iterator[Cause]:
    if deleted is None or facts.now - deleted < SLACK:
        return
    for each in finalizers:
        if each not in _OF_KUBERNETES:
            yield Cause(
                kind=CauseKind.FINALIZER,
                object=holder,
                field=f"metadata.finalizers[{each}]",
                confidence=confidence,
                text=f"{holder} is being deleted since {deleted:%H:%M:%S}, but the finalizer {each} blocks the deletion",
                evidence=(
                    evidence_items.field(
                        holder, "metadata.deletionTimestamp", f"{deleted:%Y-%m-%dT%H:%M:%SZ}", deleted
                    ),
                    evidence_items.field(holder, "metadata.finalizers", each),
                ),
            )
