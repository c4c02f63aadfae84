"""Which of several causes comes first: the workload's own, then what explains a symptom, then the symptom, then what holds anyway."""

from collections.abc import Sequence
from enum import IntEnum

from kintsugi.decisions.diagnosis import answering, last_change
from kintsugi.decisions.diagnosis.chains import STANDING, SYMPTOMS
from kintsugi.decisions.diagnosis.facts import WorkloadFacts
from kintsugi.model.causes import Cause, CauseKind, Confidence

_EXPLANATIONS = frozenset({CauseKind.UPSTREAM, CauseKind.NETWORK_POLICY, CauseKind.NAME_RESOLUTION, CauseKind.OBSERVER})


class Rank(IntEnum):
    """What a cause is beside others: a lower one comes first, and of one rank what is certain."""

    OWN = 0
    EXPLANATION = 1
    SYMPTOM = 2
    STANDING = 3


def ranked(facts: WorkloadFacts, causes: Sequence[Cause]) -> tuple[Cause, ...]:
    """Return the causes, the likeliest first; what is equal stays in its order."""
    return tuple(sorted(causes, key=lambda each: (rank_of(facts, each), each.confidence is not Confidence.CERTAIN)))


def rank_of(facts: WorkloadFacts, cause: Cause) -> Rank:
    """Return what a cause is beside the others of a workload."""
    if cause.kind in _EXPLANATIONS:
        return Rank.EXPLANATION
    if cause.kind in STANDING:
        return Rank.STANDING
    if cause.kind is CauseKind.STALE_CONFIGURATION and not answering.unmet(facts):
        return Rank.STANDING
    return Rank.SYMPTOM if _is_symptom(facts, cause) else Rank.OWN


def _is_symptom(facts: WorkloadFacts, cause: Cause) -> bool:
    """Return whether nothing that changed is blamed: all of a workload's pods that show this may do so for another's fault."""
    if cause.kind not in SYMPTOMS or cause.object != facts.reference:
        return False
    if cause.kind is CauseKind.NOT_ANSWERING:
        return True
    return not last_change.covering(last_change.suspected(facts), cause.field)
