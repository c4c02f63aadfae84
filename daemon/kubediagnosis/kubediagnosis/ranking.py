"""
The order of several causes: the workload's own, then explanations of symptoms, then symptoms, then causes that always
hold, then warnings.
"""

from collections.abc import Sequence
from enum import IntEnum

from kubediagnosis import answering, last_change, service_ports
from kubediagnosis.causes import Cause, CauseKind, Confidence
from kubediagnosis.chains import PERMANENT, SYMPTOMS
from kubediagnosis.facts import WorkloadFacts

_EXPLANATIONS = frozenset({CauseKind.UPSTREAM, CauseKind.NETWORK_POLICY, CauseKind.NAME_RESOLUTION, CauseKind.OBSERVER})


class Rank(IntEnum):
    """The rank of a cause among others: a lower one comes first, and of one rank the certain one."""

    OWN = 0
    EXPLANATION = 1
    SYMPTOM = 2
    PERMANENT = 3
    WARNING = 4


def ranked(facts: WorkloadFacts, causes: Sequence[Cause]) -> tuple[Cause, ...]:
    """Return the causes, the likeliest first; what is equal stays in its order."""
    return tuple(sorted(causes, key=lambda each: (rank_of(facts, each), each.confidence is not Confidence.CERTAIN)))


def rank_of(facts: WorkloadFacts, cause: Cause) -> Rank:
    """Return what a cause is beside the others of a workload."""
    if cause.is_warning:
        return Rank.WARNING
    if cause.kind in _EXPLANATIONS or _is_of_others(facts, cause):
        return Rank.EXPLANATION
    if cause.kind in PERMANENT:
        return Rank.PERMANENT
    if cause.kind is CauseKind.STALE_CONFIGURATION and not answering.unmet(facts):
        return Rank.PERMANENT
    return Rank.SYMPTOM if _is_symptom(facts, cause) else Rank.OWN


def _is_of_others(facts: WorkloadFacts, cause: Cause) -> bool:
    """Return whether a cause is in a Service that leads to other workloads, too, while this workload has one of its own."""
    if cause.kind is not CauseKind.SERVICE_ROUTING:
        return False
    is_own = {
        f"service/{each.metadata.name}": service_ports.is_own(facts, each) for each in service_ports.leading(facts)
    }
    return any(is_own.values()) and not is_own.get(cause.object, True)


def _is_symptom(facts: WorkloadFacts, cause: Cause) -> bool:
    """Return whether nothing that changed is blamed: all of a workload's pods that show this may do so for another's fault."""
    if cause.kind not in SYMPTOMS or cause.object != facts.reference:
        return False
    if cause.kind is CauseKind.NOT_ANSWERING:
        return True
    return not last_change.covering(last_change.suspected(facts), cause.field)
