"""
What is known of a service at one moment, as one value.

`services` makes a view whenever the watch brings news; the pure decisions and the expressions read it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from kintsugi.model.documents import Service
from kintsugi.objects.kept import DaemonSet, Deployment, EndpointSlice, PersistentVolumeClaim, Pod, StatefulSet

Workload = Deployment | StatefulSet | DaemonSet


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceView:
    """
    One service as the caches show it.

    `ready` counts pods that are ready and not terminating, `desired` the replicas asked for. `healthy` is the service's
    own expression; None means that it could not be answered, which is never health and never a reason to act (P6).
    `healthy_since` and `failing_since` are unbroken; at most one of them is set. `template` names the pod template that
    the workload now asks for, `managers` who else writes the workload (HPA, GitOps, operators), in words.
    """

    service: Service
    pods: tuple[Pod, ...] = ()
    claims: tuple[PersistentVolumeClaim, ...] = ()
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
    managers: tuple[str, ...] = ()
    cluster_ip: str = ""
    port: int = 0
    fresh: bool = False

    @property
    def name(self) -> str:
        """Give the service's name."""
        return self.service.name

    @property
    def serving(self) -> bool:
        """Tell whether at least one pod can answer: enough for those who depend on it."""
        return self.ready > 0
