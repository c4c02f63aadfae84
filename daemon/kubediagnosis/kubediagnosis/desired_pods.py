"""
Pods that are not there, or not enough of them.

MissingWorkload, ScaledToZero and PausedRollout: a workload that is not there, is asked for no pod, or for none of its
template. PodCreation: a pod is refused before it is there, by a quota, a limit range, a webhook, a service account or pod
security. Autoscaler: a HorizontalPodAutoscaler that cannot act, since it has no metric, no request to measure by, or is at
its maximum.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import partial

from kubediagnosis import evidence_items, last_change, words
from kubediagnosis.causes import Cause, CauseKind, Confidence, EvidenceItem
from kubediagnosis.facts import MissingFacts, WorkloadFacts
from kubediagnosis.words import CreationRefusal
from kubeobjects import predicates
from kubeobjects.metadata import Condition
from kubeobjects.resources import find
from kubeobjects.workloads import HorizontalPodAutoscaler

LATELY = timedelta(minutes=20)
"""Controllers try again at the latest after 1000 s (k8s.io/client-go/util/workqueue): an older Event is over."""

_CONDITION = "ReplicaFailure"
_REASON = "FailedCreate"

LASTING = timedelta(minutes=1)
"""A new autoscaler, and one of new pods, has no metric until metrics-server has asked the kubelets (every 15 s)."""

# Reasons of the autoscaler's own conditions (pkg/controller/podautoscaler/horizontal.go).
_DISABLED, _AT_MAXIMUM = "ScalingDisabled", "TooManyReplicas"


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


def pod_creation(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find what refuses the pods that are asked for: by the controller's condition, else by its Events while pods lack."""
    for said, seen in _messages(facts):
        refusal, names = words.creation_refusal(said)
        yield _of_refusal(facts, refusal, names, (said, seen))


def _messages(facts: WorkloadFacts) -> Iterator[tuple[str, EvidenceItem]]:
    failed = [(holder, each) for holder, each in facts.conditions if each.type == _CONDITION and each.status == "True"]
    for holder, condition in failed[:1]:
        yield condition.message, evidence_items.condition(holder, condition, condition.message)
    if failed or len(last_change.living(facts)) >= facts.desired:
        return
    event = evidence_items.newest(
        each
        for each in facts.events
        if each.reason == _REASON and each.at is not None and facts.now - each.at <= LATELY
    )
    if event is not None:
        yield event.message, evidence_items.event_item(event)


def _of_refusal(
    facts: WorkloadFacts, refusal: CreationRefusal, names: Mapping[str, str], message: tuple[str, EvidenceItem]
) -> Cause:
    said, seen = message
    holder, field, confidence = _blamed(facts, refusal, names)
    return Cause(
        kind=CauseKind.CERTIFICATE if refusal is CreationRefusal.WEBHOOK_EXPIRED else CauseKind.POD_CREATION,
        object=holder,
        field=field,
        confidence=confidence,
        text=f"a required pod cannot be created: {evidence_items.short(said, 300)}",
        evidence=(seen,),
    )


def _blamed(facts: WorkloadFacts, refusal: CreationRefusal, names: Mapping[str, str]) -> tuple[str, str, Confidence]:
    """Return object, field and confidence: the template's where it came to ask for this only now, else who refuses."""
    name, resource = names.get("name", ""), names.get("resource", "")
    changed = last_change.suspected(facts)
    match refusal:
        case CreationRefusal.QUOTA | CreationRefusal.QUOTA_WANTS:
            if own := _asks(changed, resource):
                return facts.reference, own, Confidence.CERTAIN
            return f"resourcequota/{name}", f"spec.hard[{resource}]", Confidence.CERTAIN
        case CreationRefusal.LIMIT_RANGE:
            asked = f"{names.get('bound', 'limit')}s.{resource}"
            own = _asks(changed, asked)
            return facts.reference, own, Confidence.CERTAIN if own else Confidence.LIKELY
        case CreationRefusal.SERVICE_ACCOUNT:
            if "serviceAccountName" in changed:
                return facts.reference, "serviceAccountName", Confidence.CERTAIN
            return f"serviceaccount/{name}", "", Confidence.CERTAIN
        case CreationRefusal.POD_SECURITY:
            own = next((each for each in changed if "securityContext" in each or each.startswith("host")), "")
            if own or changed:
                return facts.reference, own, Confidence.LIKELY
            field = "metadata.labels[pod-security.kubernetes.io/enforce]"
            return f"namespace/{facts.namespace}", field, Confidence.CERTAIN
        case CreationRefusal.WEBHOOK_FAILED | CreationRefusal.WEBHOOK_EXPIRED | CreationRefusal.WEBHOOK_DENIED:
            holder = _webhook(facts, name)
            sure = bool(holder) and refusal is not CreationRefusal.WEBHOOK_DENIED  # who denies may be right
            return holder, f"webhooks[{name}]", Confidence.CERTAIN if sure else Confidence.LIKELY
        case CreationRefusal.OTHER:
            return facts.reference, "", Confidence.LIKELY


def _webhook(facts: WorkloadFacts, name: str) -> str:
    """Return the configuration that has a webhook of this name; which one it is, the refusal does not say."""
    found = [each.reference for each in facts.webhooks if name in each.names]
    return found[0] if len(found) == 1 else ""


def _asks(changed: tuple[str, ...], resource: str) -> str:
    """Return the changed field by which a template asks for a resource of a quota or limit range; "" where none does."""
    wanted = resource if "." in resource else f"requests.{resource}"
    return next((each for each in changed if each.endswith(f".resources.{wanted}")), "")


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
    seen = evidence_items.condition(holder, condition, text)
    cause = partial(Cause, kind=CauseKind.AUTOSCALER, confidence=Confidence.CERTAIN, evidence=(seen,))
    said = evidence_items.short(condition.message, 200)
    match condition.type, condition.status:
        case "ScalingActive", "False" if condition.reason != _DISABLED:
            if lacking := _without_request(facts, each):
                text = f"autoscaler {name} cannot act, because a container has no request: {said}"
                yield cause(object=facts.reference, field=lacking, text=text)
            else:
                yield cause(object=holder, field=seen.field, text=f"autoscaler {name} cannot act: {said}")
        case "AbleToScale", "False":
            yield cause(object=holder, field=seen.field, text=f"autoscaler {name} cannot act: {said}")
        case "ScalingLimited", "True" if condition.reason == _AT_MAXIMUM:
            text = f"autoscaler {name} wants more than its maximum of {each.spec.max_replicas} replicas"
            yield cause(object=holder, field="spec.maxReplicas", text=text)


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
