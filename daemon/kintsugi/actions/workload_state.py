"""The state of a workload when a remedy is chosen: its ready pods, and the daemon's own facts about it."""

from collections.abc import Iterator

from kintsugi.actions.probe_context import OwnWorkload
from kintsugi.model.remedies import ClaimSize, ContainerMemory, WorkloadState
from kubediagnosis import last_change
from kubediagnosis.containers import pending_resize
from kubediagnosis.facts import PodFacts, WorkloadFacts
from kubeobjects import predicates


def state_of(facts: WorkloadFacts, seen: OwnWorkload) -> WorkloadState:
    """Return the state of a workload whose diagnosis was made from `facts`."""
    serving = sorted((each for each in facts.pods if predicates.serves(each)), key=_order)
    # an ordered StatefulSet recreates no pod before those of a lower ordinal are ready
    failing = sorted((each for each in last_change.living(facts) if not predicates.ready(each)), key=_order)
    return WorkloadState(
        serving=tuple(each.metadata.name for each in serving),
        failing=tuple(each.metadata.name for each in reversed(failing)),
        replicas=seen.replicas,
        rests=seen.rests,
        tried=seen.tried,
        memory=tuple(_memory(facts)),
        claims=tuple(
            ClaimSize(
                name=each.metadata.name,
                requested=each.spec.resources.requests.get("storage", ""),
                capacity=each.capacity,
                grows=each.grows,
            )
            for each in facts.claims
        ),
        max_allowed=seen.max_allowed,
    )


def _memory(facts: WorkloadFacts) -> Iterator[ContainerMemory]:
    for pod in last_change.living(facts):
        for container in pod.spec.containers:
            yield ContainerMemory(
                pod=pod.metadata.name,
                container=container.name,
                limit=container.resources.limits.get("memory", ""),
                request=container.resources.requests.get("memory", ""),
                pending=pending_resize(pod),
            )


def _order(pod: PodFacts) -> tuple[int, str]:
    """Sort as a rolling update of a StatefulSet goes, the last ordinal first; all others by their names."""
    _, _, ordinal = pod.metadata.name.rpartition("-")
    return (-int(ordinal) if ordinal.isdecimal() and len(ordinal) < 10 else 0, pod.metadata.name)
