"""
Objects that do not go.

Finalizer and PodTermination: an object is Terminating, and a finalizer holds it after its grace; or its grace is long.
DisruptionBudget: a PodDisruptionBudget forbids each eviction, while a node is to be drained.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from kubediagnosis import evidence_items, last_change
from kubediagnosis.causes import Cause, CauseKind, Confidence
from kubediagnosis.facts import WorkloadFacts
from kubeobjects.selectors import selects
from kubeobjects.workloads import PodDisruptionBudget

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
    """
    Find pods that take longer to end than a pod takes to start, and whose successors come only after that.

    Only likely where a finalizer stands as well: it may keep the pod beyond its grace.
    """
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
            confidence=Confidence.LIKELY if pod.metadata.finalizers else Confidence.CERTAIN,
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


def disruption_budget(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find budgets that allow no eviction though all is well; only what has a pod on a cordoned node is held up by one."""
    cordoned = sorted(
        {pod.spec.node_name for pod in last_change.living(facts)}
        & {each.metadata.name for each in facts.nodes if each.spec.unschedulable}
    )
    if not cordoned:
        return
    for budget in facts.budgets:
        if forbids_all(budget) and budget.spec.selector is not None and selects(budget.spec.selector, facts.labels):
            yield _cause(budget, cordoned[0])


def forbids_all(budget: PodDisruptionBudget) -> bool:
    """Return whether a budget by itself forbids each eviction: it wants as many pods as there are, and they are well."""
    status = budget.status
    known = status.observed_generation >= budget.metadata.generation
    return (
        known
        and not status.disruptions_allowed
        and 0 < status.expected_pods <= min(status.desired_healthy, status.current_healthy)
    )


def _cause(budget: PodDisruptionBudget, node: str) -> Cause:
    name = budget.metadata.name
    holder = f"poddisruptionbudget/{name}"
    field = "spec.maxUnavailable" if budget.spec.max_unavailable is not None else "spec.minAvailable"
    terms = budget.spec.max_unavailable if budget.spec.max_unavailable is not None else budget.spec.min_available
    status = budget.status
    return Cause(
        kind=CauseKind.DISRUPTION_BUDGET,
        object=holder,
        field=field,
        confidence=Confidence.CERTAIN,
        text=(
            f"budget {name} forbids every eviction ({field.removeprefix('spec.')} {terms}, {status.expected_pods} pods): "
            f"node {node} cannot be drained"
        ),
        evidence=(
            evidence_items.field(holder, field, str(terms)),
            evidence_items.field(holder, "status.disruptionsAllowed", str(status.disruptions_allowed)),
            evidence_items.field(f"node/{node}", "spec.unschedulable", "true"),
        ),
    )
