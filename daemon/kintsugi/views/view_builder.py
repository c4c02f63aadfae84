"""Builds one service's view from its objects. Pure; `service_views` decides when."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from kintsugi.errors import EvaluationError
from kintsugi.model.good_state import SeenReplicas
from kintsugi.model.services import DERIVED, Service
from kintsugi.model.views import DerivedCheck, ServiceView, SocketAddress, Workload
from kintsugi.views.service_objects import host_of
from kubeobjects import predicates
from kubeobjects.autoscalers import rests, scalers_of
from kubeobjects.kept import (
    DaemonSet,
    Deployment,
    EndpointSlice,
    HorizontalPodAutoscaler,
    KubeService,
    Metadata,
    PersistentVolumeClaim,
    Pod,
    ReplicaSet,
    StatefulSet,
)
from kubeobjects.metadata import REVISION
from kubeobjects.network import EndpointPort, ServicePort, ServiceSpec
from kubeobjects.owners import Manager, ManagerKind, managers
from kubeobjects.rollouts import unsettled

TEMPLATE_HASH = "pod-template-hash"
REVISION_HASH = "controller-revision-hash"
_NUMBER = re.compile(r"[0-9]{1,18}")
_SEEN = ("pods", "all_pvcs", "endpoints", "workload", "template", "host", "port", "addresses", "ready_endpoints")
"""The fields of a view by which health is judged. They show the objects, each with its resourceVersion."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceObjects:
    """
    The cached objects of one service. `selects_its_pods`: its Kubernetes Service selects its pods, or there is none.

    `lost_service` names the Kubernetes Service that was seen to lead to its pods and is gone, "" for none.
    """

    pods: tuple[Pod, ...]
    pvcs: tuple[PersistentVolumeClaim, ...]
    labelled_pvcs: tuple[PersistentVolumeClaim, ...]
    endpoints: tuple[EndpointSlice, ...]
    kube_service: KubeService | None
    workload: Workload | None
    replica_sets: tuple[ReplicaSet, ...]
    autoscalers: tuple[HorizontalPodAutoscaler, ...]
    selects_its_pods: bool = True
    lost_service: str = ""
    derived_check: DerivedCheck | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Restarts:
    """The observed restarts of containers: their number, the last one, and the longest time between two."""

    count: int = 0
    last: datetime | None = None
    interval: timedelta = timedelta(0)


def view_of(service: Service, objects: ServiceObjects, restarts: Restarts, *, is_current: bool) -> ServiceView:
    """Return the view, without `healthy` and the fields that depend on it."""
    revision, template = current_revision(objects.workload, objects.replica_sets, objects.pods)
    kube_service = objects.kube_service
    port = kube_service.spec.ports[0].port if kube_service and kube_service.spec.ports else 0
    scalers = scalers_of(service.workload.resource, service.workload.name, objects.autoscalers)
    return ServiceView(
        service=service,
        pods=objects.pods,
        pvcs=objects.pvcs,
        labelled_pvcs=objects.labelled_pvcs,
        endpoints=objects.endpoints,
        workload=objects.workload,
        desired=desired_of(objects.workload),
        ready=sum(predicates.serves(pod) for pod in objects.pods),
        restarts=restarts.count,
        last_restart=restarts.last,
        crash_interval=restarts.interval,
        template=template,
        revision=revision,
        managers=managers_of(scalers, objects.workload),
        rests=rests(scalers),
        cluster_ip=kube_service.spec.cluster_ip if kube_service else "",
        port=port,
        host=host_of(objects.kube_service),
        addresses=addresses_of(objects),
        ready_endpoints=_serving_endpoints(objects),
        lost_service=objects.lost_service,
        derived_check=None if DERIVED in service.checks else objects.derived_check,
        is_current=is_current,
    )


def _serving_endpoints(objects: ServiceObjects) -> int | None:
    """Return how many endpoints a service serves by, None where its ready pods say that; those of a Service that is gone are none."""
    kube_service = objects.kube_service
    if kube_service is None:
        return 0 if objects.lost_service else None
    if objects.selects_its_pods and kube_service.spec.publish_not_ready_addresses:
        return None
    return ready_endpoints(kube_service, objects.endpoints)


def addresses_of(objects: ServiceObjects) -> tuple[SocketAddress, ...]:
    """Return the addresses on which the service's Kubernetes Service accepts TCP connections; UDP cannot be tested."""
    spec = objects.kube_service.spec if objects.kube_service is not None else ServiceSpec()
    if spec.cluster_ip not in ("", "None"):
        return tuple(SocketAddress(host=spec.cluster_ip, port=each.port) for each in spec.ports if _is_tcp(each))
    ready = [
        SocketAddress(host=address, port=port.port)
        for part in objects.endpoints
        for endpoint in part.endpoints or ()
        if endpoint.conditions.ready and part.address_type != "FQDN"
        for address in endpoint.addresses
        for port in part.ports or ()
        if _is_tcp(port) and port.port
    ]
    return tuple(sorted(set(ready), key=lambda each: (each.host, each.port)))


def _is_tcp(port: ServicePort | EndpointPort) -> bool:
    return port.protocol == "TCP"


def ready_endpoints(kube_service: KubeService, slices: Iterable[EndpointSlice]) -> int:
    """
    Count the endpoints of a Kubernetes Service that take traffic.

    Pods that have none of its named target ports are in a slice without ports: nothing leads to them.
    """
    has_ports = bool(kube_service.spec.selector and kube_service.spec.ports)
    return sum(
        each.conditions.ready and not each.conditions.terminating
        for found in slices
        if found.ports or not has_ports
        for each in found.endpoints or ()
    )


def with_replicas(view: ServiceView, seen: SeenReplicas | None) -> ServiceView:
    """Return how many replicas a service is started with: its document's number, else the one that it was last seen with."""
    last = seen.replicas if seen is not None else None
    return replace(view, replicas=view.service.replicas or last, running_since=seen.since if seen is not None else None)


def after_gap(view: ServiceView, before: ServiceView) -> ServiceView:
    """
    Return the view before a gap in which changes may have been missed, or have come together.

    Its times go on where none of the service's objects has changed. Else it is not known what was so in between, and
    they end.
    """
    if all(getattr(view, name) == getattr(before, name) for name in _SEEN):
        return before
    return without_times(before)


def without_times(view: ServiceView) -> ServiceView:
    """Return a view of which it is not known any more since when it has been so."""
    return replace(view, healthy=None, healthy_since=None, failing_since=None, serving_since=None)


def with_serving(view: ServiceView, before: ServiceView | None, *, now: datetime) -> ServiceView:
    """
    Keep the time since which a service serves, and the time at which it last stopped.

    A service that serves when it is first seen has done so at least since one of its pods became ready: a restart of
    ours is no lapse. A lapse that was not seen has no time.
    """
    served = before.serving_since if before is not None else None
    lapsed = before.lapsed_since if before is not None else None
    if not view.is_current:
        return replace(view, serving_since=None, lapsed_since=lapsed)
    if view.serving:
        ready = (predicates.ready_since(pod) for pod in view.pods if predicates.serves(pod))
        since = served or min((moment for moment in ready if moment is not None), default=now)
        return replace(view, serving_since=since, lapsed_since=lapsed)
    return replace(view, serving_since=None, lapsed_since=now if served is not None else lapsed)


def with_missing_since(view: ServiceView, before: ServiceView | None, *, now: datetime) -> ServiceView:
    """Keep since when the workload is gone: one that was not there when it was first looked for has no time."""
    if not view.workload_missing or before is None:
        return view
    return replace(view, missing_since=now if before.workload is not None else before.missing_since)


def unreadable(service: Service) -> ServiceView:
    """Return the view of a service with unreadable objects: nothing is known of it, and nothing is decided by it (P6)."""
    return ServiceView(service=service, is_current=False)


def desired_of(workload: Workload | None) -> int:
    """Return how many pods the workload asks for; none without a workload."""
    match workload:
        case None:
            return 0
        case DaemonSet():
            return workload.status.desired_number_scheduled
        case _:
            return workload.spec.replicas


def current_revision(
    workload: Workload | None, replica_sets: Iterable[ReplicaSet], pods: Iterable[Pod]
) -> tuple[int, str]:
    """Return the revision and the pod template that the workload now asks for: (0, "") when they are not known."""
    if workload is None:
        return 0, ""
    if isinstance(workload, DaemonSet):
        return 0, daemon_set_template(workload, pods)
    if isinstance(workload, StatefulSet):
        return 0, workload.status.update_revision
    wanted = workload.metadata.annotations.get(REVISION, "")
    for each in replica_sets:
        if is_owned_by(each.metadata, workload.metadata.uid) and each.metadata.annotations.get(REVISION) == wanted:
            return revision_number(wanted), each.metadata.labels.get(TEMPLATE_HASH, "")
    return 0, ""


def daemon_set_template(workload: DaemonSet, pods: Iterable[Pod]) -> str:
    """
    Name the pod template of a DaemonSet, by its ControllerRevision; "" while not all of its pods are of one.

    Its status names none: what all pods have once each of them is of the new template is that.
    """
    status, metadata = workload.status, workload.metadata
    if unsettled(workload) or status.updated_number_scheduled != status.desired_number_scheduled:
        return ""
    hashes = {
        pod.metadata.labels.get(REVISION_HASH, "")
        for pod in pods
        if is_owned_by(pod.metadata, metadata.uid) and not predicates.terminating(pod)
    }
    (found,) = hashes if len(hashes) == 1 else ("",)
    return f"{metadata.name}-{found}" if found else ""


def revision_number(annotation: str) -> int:
    """Read the number of a revision; 0 where somebody has written something else there: it is only an annotation."""
    return int(annotation) if _NUMBER.fullmatch(annotation) else 0


def is_owned_by(metadata: Metadata, uid: str) -> bool:
    """Return whether an object is owned by the one with this uid."""
    return any(owner.uid == uid for owner in metadata.owner_references)


def managers_of(scalers: Iterable[HorizontalPodAutoscaler], workload: Workload | None) -> tuple[Manager, ...]:
    """Return who else writes a workload: autoscalers, GitOps tools, operators."""
    named = tuple(Manager(kind=ManagerKind.AUTOSCALER, name=each.metadata.name) for each in scalers)
    return named if workload is None else (*named, *managers(workload.metadata))


def with_health(
    view: ServiceView, before: ServiceView | None, names: Mapping[str, object], *, now: datetime
) -> ServiceView:
    """Evaluate the service's `healthy`, and keep since when the answer has been the same."""
    healthy = answer(view.service, names) if view.is_current else None
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


def is_rollout_complete(view: ServiceView) -> bool:
    """Return whether the workload's rollout is complete, so that health speaks of its current template."""
    match view.workload:
        case Deployment() | StatefulSet():
            status = view.workload.status
            return not unsettled(view.workload) and status.replicas == status.updated_replicas
        case DaemonSet():
            return not unsettled(view.workload)
        case _:
            return False
