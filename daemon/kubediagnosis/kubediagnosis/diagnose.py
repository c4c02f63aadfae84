"""
The table of finders of causes, and the diagnosis that is made from their results.

The workload's own causes come first, then explanations of symptoms, then symptoms, then causes that always hold, then warnings.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from enum import IntEnum

from kubediagnosis import (
    answering,
    chains,
    check_causes,
    configuration,
    containers,
    desired_pods,
    finalizers,
    last_change,
    name_resolution,
    network_policies,
    nodes,
    probes,
    scheduling,
    services,
    storage,
    timeline,
)
from kubediagnosis.causes import Cause, CauseKind, Confidence, Diagnosis
from kubediagnosis.chains import PERMANENT, SYMPTOMS
from kubediagnosis.facts import WorkloadFacts
from kubeobjects import predicates

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
    if cause.kind is CauseKind.NAME_RESOLUTION and cause.confidence is Confidence.CERTAIN:
        return Rank.OWN
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
    is_own = {f"service/{each.metadata.name}": services.is_own(facts, each) for each in services.leading(facts)}
    return any(is_own.values()) and not is_own.get(cause.object, True)


def _is_symptom(facts: WorkloadFacts, cause: Cause) -> bool:
    """Return whether nothing that changed is blamed: all of a workload's pods that show this may do so for another's fault."""
    if cause.kind is CauseKind.NOT_ANSWERING:
        return cause.confidence is not Confidence.CERTAIN and cause.object.startswith((facts.reference, "service/"))
    if cause.kind not in SYMPTOMS or cause.object != facts.reference:
        return False
    return not last_change.covering(last_change.suspected(facts), cause.field)


Finder = Callable[[WorkloadFacts], Iterator[Cause]]

FINDERS: Sequence[Finder] = (
    desired_pods.missing_workload,
    desired_pods.scaled_to_zero,
    desired_pods.paused_rollout,
    finalizers.finalizer,
    finalizers.pod_termination,
    desired_pods.pod_creation,
    nodes.unreported,
    nodes.under_pressure,
    nodes.failing_alone,
    storage.claims,
    scheduling.unschedulable,
    storage.volumes,
    configuration.missing_configuration,
    containers.pull_secret,
    containers.image_pull,
    containers.container_start,
    containers.out_of_memory,
    probes.startup_probe,
    probes.liveness_probe,
    containers.init_container,
    storage.full,
    storage.evicted,
    containers.container_exit,
    probes.readiness_probe,
    probes.readiness_gate,
    services.service_routing,
    services.gone,
    services.unlisted_target_port,
    services.too_wide,
    check_causes.certificate,
    check_causes.stale_configuration,
    name_resolution.cluster_dns,
    name_resolution.alias,
    network_policies.network_policy,
    name_resolution.resolver,
    name_resolution.host_name,
    chains.observer,
    lambda facts: chains.upstream(facts, lambda each: diagnose(each).causes),
    check_causes.not_answering,
    desired_pods.autoscaler,
    finalizers.disruption_budget,
)
"""
The finders of causes, in the order of a pod's life and then of a request's path: among causes of one rank and one
confidence the earlier comes first.
"""

MOST_CAUSES = 10
MOST_EVIDENCE = 8
"""Pieces of evidence that are kept of one cause: more pods of the same kind prove no more."""


def diagnose(facts: WorkloadFacts) -> Diagnosis:
    """Return what is wrong with a workload, the likeliest first; no cause rather than a guess."""
    found = _merged(cause for finder in FINDERS for cause in finder(facts))
    causes = ranked(facts, chains.without_shared(found))[:MOST_CAUSES]
    return Diagnosis(
        object=facts.reference,
        namespace=facts.namespace,
        at=facts.now,
        summary=_summary(facts, causes),
        causes=causes,
        unknown=facts.unknown,
        changes=timeline.changes_before(facts),
        keeping=facts.keeping,
    )


def _merged(causes: Iterator[Cause]) -> list[Cause]:
    """Return each cause once, with the evidence of all pods that show it; certain where one of them is."""
    found: dict[tuple[str, str, str], Cause] = {}
    for cause in causes:
        key = (cause.kind, cause.object, cause.field)
        known = found.get(key)
        if known is None:
            found[key] = replace(cause, evidence=cause.evidence[:MOST_EVIDENCE])
            continue
        first = cause if cause.confidence is Confidence.CERTAIN and known.confidence is Confidence.LIKELY else known
        evidence = tuple(dict.fromkeys((*first.evidence, *known.evidence, *cause.evidence)))[:MOST_EVIDENCE]
        found[key] = replace(first, evidence=evidence)
    return list(found.values())


def _summary(facts: WorkloadFacts, causes: Sequence[Cause]) -> str:
    """Return the likeliest cause in one sentence, or the state of the pods without a cause."""
    if causes:
        return f"{facts.reference}: {causes[0].text}"
    pods = last_change.living(facts)
    ready = sum(predicates.ready(pod) for pod in pods)
    state = f"{ready} of {facts.desired} pods are ready"
    if ready >= facts.desired and ready == len(pods):
        return f"{facts.reference}: no problem was found: {state}"
    return f"{facts.reference}: no cause is known: {state}"
