"""The state of a workload's service beyond its pods: the checks that are not met, and whether anything is wrong."""

from collections.abc import Iterator
from datetime import datetime

from kubediagnosis import evidence_items, last_change
from kubediagnosis.causes import EvidenceItem
from kubediagnosis.facts import CheckFacts, WorkloadFacts
from kubeobjects import predicates


def unmet(facts: WorkloadFacts) -> tuple[CheckFacts, ...]:
    """Return the checks that are not met; none while the path of the checks is in doubt itself."""
    if facts.declared.observer.doubt or facts.declared.observer.stale:
        return ()
    return tuple(each for each in facts.declared.checks if not each.met)


def serves(facts: WorkloadFacts) -> bool:
    """Return whether any pod of the workload serves."""
    return any(predicates.serves(pod) for pod in facts.pods)


def lacks_pods(facts: WorkloadFacts) -> bool:
    """Return whether fewer pods serve than are asked for, or one that is there does not."""
    serving = sum(predicates.serves(pod) for pod in facts.pods)
    return serving < facts.desired or any(not predicates.ready(pod) for pod in last_change.living(facts))


def has_problem(facts: WorkloadFacts) -> bool:
    """Return whether something is wrong, or may be, because no check of the service is asked."""
    return bool(unmet(facts)) or lacks_pods(facts) or not facts.declared.checks


def is_well(facts: WorkloadFacts) -> bool:
    """Return whether nothing that is looked at says that something is wrong: what contradicts that is a warning."""
    return facts.declared.serving is not False and not unmet(facts) and not lacks_pods(facts)


def answers(facts: WorkloadFacts) -> tuple[EvidenceItem, ...]:
    """Return what was answered to the checks that are not met."""
    return tuple(_seen(each, facts) for each in unmet(facts))


def _seen(check: CheckFacts, facts: WorkloadFacts) -> EvidenceItem:
    return evidence_items.field(facts.reference, f"check {check.name}", check.answer or "not met", check.since)


def since(facts: WorkloadFacts) -> datetime | None:
    """Return the earliest time since which a check has not been met; None where it is not known."""
    return min((each.since for each in unmet(facts) if each.since is not None), default=None)


def unmet_checks(facts: WorkloadFacts) -> Iterator[tuple[str, EvidenceItem]]:
    """Yield what the service itself says of its problem: answers to checks that are not met, and the telling lines of logs."""
    for check in unmet(facts):
        if check.answer:
            yield check.answer, _seen(check, facts)
    for pod in facts.pods:
        for each in (*facts.running_logs, *facts.logs):
            if each.pod == pod.metadata.name:
                yield each.line, evidence_items.log_line(pod, each)
