"""Finalizer and PodTermination: an object is Terminating, and a finalizer holds it after its grace; or its grace is long."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from kubediagnosis import evidence_items, last_change
from kubediagnosis.causes import Cause, CauseKind, Confidence
from kubediagnosis.facts import WorkloadFacts

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


def pod_termination(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find pods that take longer to end than a pod takes to start, and whose successors come only after that."""
    if len(last_change.living(facts)) >= facts.desired:
        return
    for pod in facts.pods:
        until, grace = pod.metadata.deletion_timestamp, timedelta(seconds=pod.metadata.deletion_grace_period_seconds)
        if until is None or facts.now >= until or facts.now - (until - grace) < facts.declared.start_up:
            continue
        began, seconds = until - grace, f"{grace.total_seconds():g}"
        sooner = f"kubectl delete {pod.reference} -n {facts.namespace} --grace-period=1"  # it does not cut a preStop hook short
        yield Cause(
            kind=CauseKind.POD_TERMINATION,
            object=pod.reference,
            field="metadata.deletionGracePeriodSeconds",
            confidence=Confidence.CERTAIN,
            text=(
                f"{pod.reference} is ending since {began:%H:%M:%S}, its grace period of {seconds} s lasts until {until:%H:%M:%S},"
                f" and its successor comes after that; to end it sooner, unless its preStop hook runs: {sooner}"
            ),
            evidence=(
                evidence_items.field(pod.reference, "metadata.deletionTimestamp", f"{until:%Y-%m-%dT%H:%M:%SZ}", began),
                evidence_items.field(pod.reference, "metadata.deletionGracePeriodSeconds", seconds),
            ),
        )


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
