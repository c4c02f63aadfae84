"""
The rule of docs/faults.md for which of two objects that disagree changed last, applied to a workload's facts.

A template is suspected while no pod of it has become ready. It is not the cause of a failure that began long after it
came into force.
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta

from kubediagnosis.facts import ConfigurationFacts, PodFacts, TemplateRevision, WorkloadFacts
from kubediagnosis.templates import changed_fields
from kubeobjects import predicates
from kubeobjects.pods import ContainerStatus

FIRST_PODS = timedelta(minutes=30)
"""A pod that was made so much later than its template replaces one of the same template that had run."""


APPLIED_TOGETHER = timedelta(minutes=1)
"""
The time after a template was applied within which other written objects count as applied with it: the template is the
change.
"""


def living(facts: WorkloadFacts) -> tuple[PodFacts, ...]:
    """Return the pods that are neither terminating nor finished."""
    return tuple(pod for pod in facts.pods if not predicates.terminating(pod) and not predicates.finished(pod))


def containers(facts: WorkloadFacts) -> Iterator[tuple[PodFacts, ContainerStatus, bool]]:
    """Yield the containers of the living pods, and whether each is an init container that has to end."""
    for pod in living(facts):
        for status, has_to_end in pod.statuses():
            yield pod, status, has_to_end


def alike(facts: WorkloadFacts, pod: PodFacts) -> tuple[PodFacts, ...]:
    """Return the living pods of the same template, this one among them."""
    return tuple(each for each in living(facts) if each.template_hash == pod.template_hash)


def changes(facts: WorkloadFacts) -> tuple[str, ...]:
    """
    Return the fields of the template in force that differ from the revision before it; empty where there is no earlier
    one.
    """
    if len(facts.revisions) < 2:
        return ()
    now, before = facts.revisions[:2]
    return changed_fields(before.fields, now.fields)


def suspected(facts: WorkloadFacts, pod: PodFacts | None = None) -> tuple[str, ...]:
    """
    Return the changed fields of a template that may be at fault: it is new, and no pod of it is ready.

    One that was in force before, and came back, is not new. Without a `pod` it is asked of the template in force.
    """
    revision = _newest(facts)
    if facts.paused_before_start is not None:
        return ()  # no pod is of the template in force
    if revision is None or (pod is not None and pod.template_hash != revision.hash) or _came_back(facts):
        return ()
    of_it = [each for each in living(facts) if each.template_hash == revision.hash]
    if any(predicates.ready(each) for each in of_it):
        return ()
    if pod is not None and _replaces(pod, revision):
        return ()
    return changes(facts)


def is_replaced(facts: WorkloadFacts, pod: PodFacts) -> bool:
    """Return whether a pod is of another template than the one in force: the rollout of that replaces it."""
    revision = _newest(facts)
    return revision is not None and pod.template_hash != revision.hash


def is_alone(facts: WorkloadFacts, pod: PodFacts) -> bool:
    """Return whether a pod fails among good ones of the same template."""
    others = [each for each in alike(facts, pod) if each.metadata.uid != pod.metadata.uid]
    return bool(others) and all(predicates.ready(each) for each in others)


def ran_before(facts: WorkloadFacts, pod: PodFacts) -> bool:
    """Return whether pods of this pod's template are known to have come up: what it names was there then."""
    revision = next((each for each in facts.revisions if each.hash == pod.template_hash), None)
    ready = any(predicates.ready(each) for each in alike(facts, pod))
    return ready or (revision is not None and _replaces(pod, revision))


def within(paths: Iterable[str], prefix: str) -> tuple[str, ...]:
    """Return the paths of one member of the template: itself, and what is in it."""
    return tuple(each for each in paths if each == prefix or each.startswith((f"{prefix}.", f"{prefix}[")))


def covering(paths: Iterable[str], field: str) -> bool:
    """Return whether one of the changed paths is a field, is in it, or holds it."""
    return any(
        each == field or each in _holders(field) or each.startswith((f"{field}.", f"{field}[")) for each in paths
    )


def changed_since(facts: WorkloadFacts, pod: PodFacts, used: Iterable[ConfigurationFacts]) -> ConfigurationFacts | None:
    """Return the ConfigMap or Secret that was written after the template, and before this pod was made; the newest of them."""
    revision = next((each for each in facts.revisions if each.hash == pod.template_hash), None)
    since = revision.created if revision is not None else None
    made = pod.metadata.creation_timestamp
    found = [
        (each.changed, each)
        for each in used
        if each.changed is not None
        and (since is None or each.changed - since > APPLIED_TOGETHER)
        and (made is None or each.changed <= made)
    ]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def _newest(facts: WorkloadFacts) -> TemplateRevision | None:
    return facts.revisions[0] if facts.revisions else None


def _came_back(facts: WorkloadFacts) -> bool:
    """Return whether the template in force was in force before, or is older than the one that it took the place of."""
    if len(facts.revisions) < 2:
        return False
    now, before = facts.revisions[:2]
    return now.returned or (now.created is not None and before.created is not None and now.created < before.created)


def _replaces(pod: PodFacts, revision: TemplateRevision) -> bool:
    made = pod.metadata.creation_timestamp
    return made is not None and revision.created is not None and made - revision.created > FIRST_PODS


def _holders(field: str) -> set[str]:
    """Return the members of lists that hold a field: `containers[app]` of `containers[app].env[TOKEN]`."""
    return {field[: index + 1] for index, sign in enumerate(field) if sign == "]"}
