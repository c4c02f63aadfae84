"""DisruptionBudget: a PodDisruptionBudget that forbids each eviction, while a node is to be drained."""

from collections.abc import Iterator

from kubediagnosis import evidence_items, last_change
from kubediagnosis.causes import Cause, CauseKind, Confidence
from kubediagnosis.facts import WorkloadFacts
from kubeobjects.selectors import selects
from kubeobjects.workloads import PodDisruptionBudget


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
