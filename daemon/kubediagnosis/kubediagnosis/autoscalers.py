"""Autoscaler: a HorizontalPodAutoscaler that cannot act: it has no metric, no request to measure by, or is at its maximum."""

from collections.abc import Iterator
from datetime import timedelta

from kubediagnosis import evidence_items
from kubediagnosis.causes import Cause, CauseKind, Confidence, EvidenceItem
from kubediagnosis.facts import WorkloadFacts
from kubeobjects.metadata import Condition
from kubeobjects.resources import find
from kubeobjects.workloads import HorizontalPodAutoscaler

LASTING = timedelta(minutes=1)
"""A new autoscaler, and one of new pods, has no metric until metrics-server has asked the kubelets (every 15 s)."""

# Reasons of the autoscaler's own conditions (pkg/controller/podautoscaler/horizontal.go).
_DISABLED, _AT_MAXIMUM = "ScalingDisabled", "TooManyReplicas"


def autoscaler(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find autoscalers of the workload that cannot act by their own conditions, for a while."""
    for each in facts.autoscalers:
        if _target(each) != facts.reference:
            continue
        for condition in each.status.conditions:
            at = condition.last_transition_time
            if at is not None and facts.now - at >= LASTING:
                yield from _stopped(facts, each, condition)


def _target(each: HorizontalPodAutoscaler) -> str:
    target = each.spec.scale_target_ref
    resource = find(target.kind)
    return f"{resource.singular if resource is not None else target.kind.lower()}/{target.name}"


def _stopped(facts: WorkloadFacts, each: HorizontalPodAutoscaler, condition: Condition) -> Iterator[Cause]:
    name = each.metadata.name
    holder = f"horizontalpodautoscaler/{name}"
    text = ": ".join(filter(None, (condition.reason, condition.message)))
    seen = evidence_items.field(holder, f"status.conditions[{condition.type}]", text, condition.last_transition_time)
    said = evidence_items.short(condition.message, 200)
    match condition.type, condition.status:
        case "ScalingActive", "False" if condition.reason != _DISABLED:
            lacking = _without_request(facts, each)
            if lacking:
                yield _cause(
                    facts.reference,
                    lacking,
                    f"autoscaler {name} cannot act, because a container has no request: {said}",
                    seen,
                )
            else:
                yield _cause(holder, "status.conditions[ScalingActive]", f"autoscaler {name} cannot act: {said}", seen)
        case "AbleToScale", "False":
            yield _cause(holder, "status.conditions[AbleToScale]", f"autoscaler {name} cannot act: {said}", seen)
        case "ScalingLimited", "True" if condition.reason == _AT_MAXIMUM:
            text = f"autoscaler {name} wants more than its maximum of {each.spec.max_replicas} replicas"
            yield _cause(holder, "spec.maxReplicas", text, seen)


def _without_request(facts: WorkloadFacts, each: HorizontalPodAutoscaler) -> str:
    """Return the field of the request that a container lacks, where the autoscaler measures by a share of it; "" for none."""
    wanted = [
        metric.resource.name
        for metric in each.spec.metrics
        if metric.resource is not None and metric.resource.target.type == "Utilization"
    ]
    for resource in wanted:
        for container in facts.template.containers:
            asks = container.resources
            if resource not in asks.requests and resource not in asks.limits:
                return f"containers[{container.name}].resources.requests.{resource}"
    return ""


def _cause(holder: str, field: str, text: str, seen: EvidenceItem) -> Cause:
    return Cause(
        kind=CauseKind.AUTOSCALER,
        object=holder,
        field=field,
        confidence=Confidence.CERTAIN,
        text=text,
        evidence=(seen,),
    )
