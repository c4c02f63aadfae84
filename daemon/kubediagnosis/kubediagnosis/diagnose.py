"""The table of finders of causes, and the diagnosis that is made from their results."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from kubediagnosis import (
    autoscalers,
    budgets,
    chains,
    check_causes,
    configuration,
    containers,
    creation,
    denials,
    desired_pods,
    finalizers,
    images,
    last_change,
    name_resolution,
    nodes,
    probes,
    routing,
    scheduling,
    services,
    storage,
    timeline,
)
from kubediagnosis.causes import Cause, Confidence, Diagnosis
from kubediagnosis.facts import WorkloadFacts
from kubediagnosis.ranking import ranked
from kubeobjects import predicates

Finder = Callable[[WorkloadFacts], Iterator[Cause]]

FINDERS: Sequence[Finder] = (
    desired_pods.missing_workload,
    desired_pods.scaled_to_zero,
    desired_pods.paused_rollout,
    finalizers.finalizer,
    finalizers.pod_termination,
    creation.pod_creation,
    nodes.unreported,
    nodes.under_pressure,
    nodes.failing_alone,
    storage.claims,
    scheduling.unschedulable,
    storage.volumes,
    configuration.missing_configuration,
    images.pull_secret,
    images.image_pull,
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
    routing.service_routing,
    services.gone,
    services.unlisted_target_port,
    services.too_wide,
    check_causes.certificate,
    check_causes.stale_configuration,
    name_resolution.cluster_dns,
    name_resolution.alias,
    denials.network_policy,
    name_resolution.resolver,
    name_resolution.host_name,
    chains.observer,
    lambda facts: chains.upstream(facts, lambda each: diagnose(each).causes),
    check_causes.not_answering,
    autoscalers.autoscaler,
    budgets.disruption_budget,
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
