"""
The view of a service: its state at one moment, as one value.

`views` makes a view whenever the watch brings news; the pure decisions and the expressions read it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from yarl import URL

from kintsugi.model.services import Service
from kubeobjects.kept import DaemonSet, Deployment, EndpointSlice, PersistentVolumeClaim, Pod, StatefulSet
from kubeobjects.owners import Manager
from kubeobjects.rollouts import in_progress, stuck

TEMPLATE_LABELS = ("pod-template-hash", "controller-revision-hash")
"""Labels by which the pods of a Deployment or a StatefulSet name their template."""

Workload = Deployment | StatefulSet | DaemonSet


@dataclass(frozen=True, kw_only=True, slots=True)
class SocketAddress:
    """An address that accepts TCP connections."""

    host: str
    port: int


@dataclass(frozen=True, kw_only=True, slots=True)
class DerivedCheck:
    """
    The request of a service's own HTTP probe, sent to a port of the Kubernetes Service that leads to its pods.

    `address` is the cluster's one of that Service, "" where it has none.
    """

    service: str
    address: str
    scheme: str
    port: int
    path: str

    @property
    def url(self) -> str:
        """Return the URL at the address: no name needs to resolve."""
        return self.url_at(self.address)

    def url_at(self, host: str) -> str:
        """Return the URL at a host that means the Kubernetes Service."""
        return f"{URL.build(scheme=self.scheme, host=host, port=self.port)}{self.path}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceView:
    """
    One service as the caches show it.

    `ready` counts pods that are ready and not terminating, `desired` the replicas asked for. `healthy` is the service's
    own expression; None means that it could not be evaluated, which is neither health nor a reason to act (P6).
    `healthy_since` and `failing_since` are unbroken; at most one of them is set. `template` names the pod template that
    the workload now asks for, `managers` the other writers of the workload (HPA, GitOps, operators). `host` is the name
    of its Kubernetes Service in the cluster's DNS, `addresses` are those at which the Service accepts TCP connections:
    the cluster IP, or the ready endpoints where it has none. `ready_endpoints` counts those of that Service, None
    without a Service; 0 also where it selects none of the pods, or is gone (`lost_service`). `serving_since` is unbroken; `lapsed_since` is the time
    at which it last stopped serving, None where that was not seen. `replicas` is the number that it is started with
    from 0: the document's, else the last seen one, None where neither is known; `running_since` is the time at which it
    last got any. `counts` are the numbers that its checks have counted last while it was well, by the step's id;
    `unmet` names the checks that were not met when they were last answered. `derived_check` is what stands for the list
    `smoke` where the document has none; None where no HTTP probe can be asked through its Kubernetes Service. `warnings`
    are what its objects show to be wrong while it is well. `missing_since` is when its workload was seen to go, None while it is there or where that was not seen. `rests` is the autoscaler that may let it rest at 0, "" for none. `pvcs` are what its own pods mount or its StatefulSet makes; `labelled_pvcs` only have its labels.
    """

    service: Service
    pods: tuple[Pod, ...] = ()
    pvcs: tuple[PersistentVolumeClaim, ...] = ()
    labelled_pvcs: tuple[PersistentVolumeClaim, ...] = ()
    endpoints: tuple[EndpointSlice, ...] = ()
    workload: Workload | None = None
    desired: int = 0
    ready: int = 0
    restarts: int = 0
    healthy: bool | None = None
    healthy_since: datetime | None = None
    failing_since: datetime | None = None
    last_restart: datetime | None = None
    crash_interval: timedelta = timedelta(0)
    template: str = ""
    revision: int = 0
    managers: tuple[Manager, ...] = ()
    cluster_ip: str = ""
    port: int = 0
    host: str = ""
    addresses: tuple[SocketAddress, ...] = ()
    ready_endpoints: int | None = None
    lost_service: str = ""
    missing_since: datetime | None = None
    serving_since: datetime | None = None
    lapsed_since: datetime | None = None
    replicas: int | None = None
    running_since: datetime | None = None
    rests: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    unmet: frozenset[str] = frozenset()
    derived_check: DerivedCheck | None = None
    warnings: tuple[str, ...] = ()
    is_current: bool = False

    @property
    def all_pvcs(self) -> tuple[PersistentVolumeClaim, ...]:
        """Return the claims whose problems are its own, and that a pause of it covers: any with its labels is one, too."""
        return (*self.pvcs, *self.labelled_pvcs)

    @property
    def name(self) -> str:
        """Return the service's name."""
        return self.service.name

    @property
    def reached_by(self) -> str:
        """Return what leads to its pods: its Kubernetes Service, else its own name. Services that share one fail together."""
        return self.host or self.name

    @property
    def is_failing(self) -> bool:
        """Return whether the service is not well: it is not healthy, or its rollout is stuck beside healthy pods."""
        return self.healthy is False or (self.healthy is True and self.rollout_stuck)

    @property
    def serving(self) -> bool:
        """Return whether anything of it can answer: enough for those who depend on it, however many replicas lag."""
        return (self.ready if self.ready_endpoints is None else self.ready_endpoints) > 0

    @property
    def workload_missing(self) -> bool:
        """Return whether the workload is known not to be there."""
        return self.is_current and self.workload is None

    @property
    def rollout_complete(self) -> bool:
        """Return whether the workload is there, and its rollout is complete."""
        return self.workload is not None and not in_progress(self.workload)

    @property
    def rollout_stuck(self) -> bool:
        """Return whether the workload's rollout does not get on, also beside old pods that serve."""
        workload = self.workload
        return workload is not None and stuck(workload, filter(self._is_new, self.pods))

    @property
    def new_pods(self) -> tuple[Pod, ...]:
        """Return the pods of the template that the workload now asks for."""
        return tuple(pod for pod in self.pods if self._is_new(pod))

    def _is_new(self, pod: Pod) -> bool:
        """Return whether a pod is of the template that the workload now asks for; of a DaemonSet's that is not known, and each counts."""
        if isinstance(self.workload, DaemonSet):
            return True
        return self.template != "" and self.template in {pod.metadata.labels.get(label) for label in TEMPLATE_LABELS}
