"""
Pure: one service's view from its objects. `live` decides when to ask.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from kintsugi.errors import EvaluationError
from kintsugi.model.documents import Service, WorkloadRef
from kintsugi.model.views import ServiceView, Workload
from kintsugi.objects import facts
from kintsugi.objects.kept import (
    DaemonSet,
    EndpointSlice,
    HorizontalPodAutoscaler,
    Metadata,
    PersistentVolumeClaim,
    Pod,
    ReplicaSet,
    StatefulSet,
)
from kintsugi.objects.kept import Service as KubeService
from kintsugi.objects.owners import managers

REVISION = "deployment.kubernetes.io/revision"
TEMPLATE_HASH = "pod-template-hash"
_NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Objects:
    """What belongs to one service, as cached."""

    pods: tuple[Pod, ...]
    claims: tuple[PersistentVolumeClaim, ...]
    endpoints: tuple[EndpointSlice, ...]
    front: KubeService | None
    workload: Workload | None
    replica_sets: tuple[ReplicaSet, ...]
    autoscalers: tuple[HorizontalPodAutoscaler, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Restarts:
    """What was observed of container restarts: how many, when the last, and the longest time between two."""

    count: int = 0
    last: datetime | None = None
    interval: timedelta = timedelta(0)


def view_of(service: Service, objects: Objects, restarts: Restarts, *, fresh: bool) -> ServiceView:
    """Make the view, but for `healthy` and what follows from it."""
    revision, template = current_revision(objects.workload, objects.replica_sets)
    port = objects.front.spec.ports[0].port if objects.front and objects.front.spec.ports else 0
    return ServiceView(
        service=service,
        pods=objects.pods,
        claims=objects.claims,
        endpoints=objects.endpoints,
        workload=objects.workload,
        desired=desired_of(objects.workload),
        ready=sum(counts(pod) for pod in objects.pods),
        restarts=restarts.count,
        last_restart=restarts.last,
        crash_interval=restarts.interval,
        template=template,
        revision=revision,
        managers=managers_of(service.workload, objects),
        cluster_ip=objects.front.spec.cluster_ip if objects.front else "",
        port=port,
        fresh=fresh,
    )


def unreadable(service: Service) -> ServiceView:
    """Make the view of a service whose objects make no sense: nothing is known of it, and nothing is done by it (P6)."""
    return ServiceView(service=service, fresh=False)


def counts(pod: Pod) -> bool:
    """Tell whether a pod can serve: ready, and not on its way out."""
    return facts.ready(pod) and pod.metadata.deletion_timestamp is None


def desired_of(workload: Workload | None) -> int:
    """Say how many pods the workload asks for; none without a workload."""
    match workload:
        case None:
            return 0
        case DaemonSet():
            return workload.status.desired_number_scheduled
        case _:
            return workload.spec.replicas


def current_revision(workload: Workload | None, replica_sets: Iterable[ReplicaSet]) -> tuple[int, str]:
    """Name the revision and the pod template that the workload now asks for: (0, "") when it cannot be told."""
    if workload is None:
        return 0, ""
    if isinstance(workload, StatefulSet):
        return 0, workload.status.update_revision
    wanted = workload.metadata.annotations.get(REVISION, "")
    for each in replica_sets:
        if is_owned_by(each.metadata, workload.metadata.uid) and each.metadata.annotations.get(REVISION) == wanted:
            return revision_number(wanted), each.metadata.labels.get(TEMPLATE_HASH, "")
    return 0, ""


def revision_number(annotation: str) -> int:
    """Read the number of a revision; 0 where somebody has written something else there: it is only an annotation."""
    return int(annotation) if _NUMBER.fullmatch(annotation) else 0


def is_owned_by(metadata: Metadata, uid: str) -> bool:
    """Tell whether an object is owned by the one with this uid."""
    return any(owner.uid == uid for owner in metadata.owner_references)


def managers_of(reference: WorkloadRef, objects: Objects) -> tuple[str, ...]:
    """List who else writes the workload, in words: autoscalers, GitOps tools, operators."""
    scalers = [
        f"HPA {each.metadata.name}"
        for each in objects.autoscalers
        if each.spec.scale_target_ref.kind == reference.resource.kind
        and each.spec.scale_target_ref.name == reference.name
    ]
    if objects.workload is None:
        return tuple(scalers)
    return (*scalers, *managers(objects.workload.metadata))


def with_health(
    view: ServiceView, before: ServiceView | None, names: Mapping[str, object], *, now: datetime
) -> ServiceView:
    """Ask the service's own `healthy`, and keep since when the answer has been the same."""
    healthy = answer(view.service, names) if view.fresh else None
    if healthy is None:
        return replace(view, healthy=None, healthy_since=None, failing_since=None)
    unchanged = before is not None and before.healthy is healthy
    since = (before.healthy_since if healthy else before.failing_since) if before is not None and unchanged else None
    since = since or now
    return replace(
        view, healthy=healthy, healthy_since=since if healthy else None, failing_since=None if healthy else since
    )


def answer(service: Service, names: Mapping[str, object]) -> bool | None:
    """Evaluate `healthy`; None when it has no answer (P6)."""
    try:
        return service.healthy.evaluate(names) is True
    except EvaluationError:
        return None
