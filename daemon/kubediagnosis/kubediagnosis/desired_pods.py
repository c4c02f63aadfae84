"""MissingWorkload, ScaledToZero and PausedRollout: a workload that is not there, is asked for no pod, or for none of its template."""

from collections.abc import Iterator

from kubediagnosis import evidence_items, last_change
from kubediagnosis.causes import Cause, CauseKind, Confidence
from kubediagnosis.facts import WorkloadFacts
from kubediagnosis.related_objects import MissingFacts
from kubeobjects import predicates


def missing_workload(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find a workload that a service names and that does not exist, with the command that makes it again. Nobody knows who deleted it."""
    if facts.missing is None:
        return
    text = f"the workload does not exist; {_last_seen(facts, facts.missing)}{_to_recreate(facts, facts.missing)}"
    yield Cause(
        kind=CauseKind.MISSING_WORKLOAD,
        object=facts.reference,
        confidence=Confidence.CERTAIN,
        text=text,
        evidence=(evidence_items.field(facts.reference, "", "not found", facts.declared.missing_since),),
    )


def _last_seen(facts: WorkloadFacts, missing: MissingFacts) -> str:
    if (since := facts.declared.missing_since) is not None:
        return f"it was there until {since:%Y-%m-%d %H:%M:%S}"
    if missing.last_good is not None:
        return f"it was last good at {missing.last_good:%Y-%m-%d %H:%M:%S}"
    hint = f"; did you mean {missing.similar}?" if missing.similar else ""
    return f"it was never seen{hint}"


def _to_recreate(facts: WorkloadFacts, missing: MissingFacts) -> str:
    if missing.owner:
        return f"; its owner {missing.owner} makes it again"
    if missing.command:
        return f"; to make it again: {missing.command}"
    if missing.lacks:
        return (
            f"; to make it again, apply your own manifest: the kept one lacks the values of {', '.join(missing.lacks)}"
        )
    command = facts.declared.recreate if missing.last_good is not None else ""
    return f"; to make it again: {command}" if command else ""


def scaled_to_zero(facts: WorkloadFacts) -> Iterator[Cause]:
    """
    Find a workload that is scaled to zero, with the author and the time: only the author knows whether that is
    intended.
    """
    if facts.missing or facts.desired or not facts.reference.startswith(("deployment/", "statefulset/")):
        return
    by = facts.scaled
    at = by.at if by is not None else None
    if at is not None and facts.created is not None and at <= facts.created:
        return  # it was made so, and never had pods
    who = f" by {by.manager}" if by is not None else ""
    when = f" at {at:%Y-%m-%d %H:%M:%S}" if at is not None else ""
    yield Cause(
        kind=CauseKind.SCALED_TO_ZERO,
        object=facts.reference,
        field="spec.replicas",
        confidence=Confidence.CERTAIN if at is not None else Confidence.LIKELY,
        text=f"the workload is scaled to 0 replicas{who}{when}",
        evidence=(evidence_items.field(facts.reference, "spec.replicas", f"0{who and f', written{who}'}", at),),
    )


def paused_rollout(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find a paused rollout to a template of which no pod was made, while every pod of an earlier template fails."""
    if facts.paused_before_start is None:
        return
    living, at = last_change.living(facts), facts.paused_before_start.at
    failing = [pod for pod in living if predicates.unhealthy(pod, facts.now, facts.declared.start_up)]
    if not any(not any(predicates.ready(each) for each in last_change.alike(facts, pod)) for pod in failing):
        return
    by = f" by {facts.paused_before_start.manager}" if facts.paused_before_start.manager else ""
    since = f" since {at:%Y-%m-%d %H:%M:%S}" if at is not None else ""
    resume = f"kubectl rollout resume {facts.reference} -n {facts.namespace}"
    yield Cause(
        kind=CauseKind.PAUSED_ROLLOUT,
        object=facts.reference,
        field="spec.paused",
        confidence=Confidence.LIKELY,
        text=f"the rollout is paused{since}{by}, and no pod is of the new template; {resume} lets it go on",
        evidence=(
            evidence_items.field(facts.reference, "spec.paused", f"true{by and f', written{by}'}", at),
            evidence_items.field(facts.reference, "status.updatedReplicas", "0"),
        ),
    )
