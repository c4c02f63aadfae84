"""
The kept fields of Pods: those that decide kubectl's STATUS column, readiness and start-up.

A pod of two containers takes under 4 KiB in a reflector's store (tests/unit/objects holds it to that).
"""

import msgspec

from kubeobjects.metadata import Condition, Moment, Object, PartialObject


class HttpHeader(PartialObject, frozen=True):
    """A header that a probe sends."""

    name: str = ""


class HttpGet(PartialObject, frozen=True):
    """The request of a probe by HTTP; `port` is a number or the name of a container's port, "" for `host` is the pod itself."""

    path: str = ""
    port: int | str = 0
    scheme: str = "HTTP"
    host: str = ""
    http_headers: tuple[HttpHeader, ...] = ()


class Probe(PartialObject, frozen=True):
    """A kubelet's probe: when it starts, how long it may fail, and what it asks by HTTP. Defaults are the API's."""

    initial_delay_seconds: int = 0
    period_seconds: int = 10
    timeout_seconds: int = 1
    success_threshold: int = 1
    failure_threshold: int = 3
    http_get: HttpGet | None = None


class Requirements(PartialObject, frozen=True):
    """Resource requests and limits, as quantities in text ("250m", "1Gi")."""

    requests: dict[str, str] = msgspec.field(default_factory=dict)
    limits: dict[str, str] = msgspec.field(default_factory=dict)


class ContainerPort(PartialObject, frozen=True):
    """A port that a container says it listens on."""

    name: str = ""
    container_port: int = 0
    protocol: str = "TCP"


class Container(PartialObject, frozen=True):
    """A container as specified. An init container with `restartPolicy: Always` is a sidecar."""

    name: str = ""
    image: str = ""
    image_pull_policy: str = ""
    restart_policy: str = ""
    ports: tuple[ContainerPort, ...] = ()
    resources: Requirements = Requirements()
    startup_probe: Probe | None = None
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None


class ClaimVolume(PartialObject, frozen=True):
    """A volume that is a PersistentVolumeClaim of the pod's namespace."""

    claim_name: str = ""
    read_only: bool = False


class Volume(PartialObject, frozen=True):
    """A volume of a pod; of its many sources only the claim is kept."""

    name: str = ""
    persistent_volume_claim: ClaimVolume | None = None


class ReadinessGate(PartialObject, frozen=True):
    """A condition that must be true, too, before the pod counts as ready."""

    condition_type: str = ""


class PodSpec(PartialObject, frozen=True):
    """The desired state."""

    node_name: str = ""
    restart_policy: str = "Always"
    service_account_name: str = ""
    priority_class_name: str = ""
    priority: int = 0
    host_network: bool = False
    termination_grace_period_seconds: int = 30
    node_selector: dict[str, str] = msgspec.field(default_factory=dict)
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()
    readiness_gates: tuple[ReadinessGate, ...] = ()

    @property
    def named_ports(self) -> dict[str, int]:
        """Return the ports of all containers by name."""
        containers = (*self.init_containers, *self.containers)
        return {port.name: port.container_port for each in containers for port in each.ports if port.name}


class ContainerStateWaiting(PartialObject, frozen=True):
    """The reason for which a container does not run yet (ContainerCreating, CrashLoopBackOff, ImagePullBackOff, …)."""

    reason: str = ""
    message: str = ""


class ContainerStateRunning(PartialObject, frozen=True):
    """A container that runs."""

    started_at: Moment | None = None


class ContainerStateTerminated(PartialObject, frozen=True):
    """The end of a container."""

    exit_code: int = 0
    signal: int = 0
    reason: str = ""
    message: str = ""
    started_at: Moment | None = None
    finished_at: Moment | None = None


class ContainerState(PartialObject, frozen=True):
    """Exactly one of the three is set; none means that the kubelet has not said."""

    waiting: ContainerStateWaiting | None = None
    running: ContainerStateRunning | None = None
    terminated: ContainerStateTerminated | None = None


class ContainerStatus(PartialObject, frozen=True):
    """A container as the kubelet last saw it. `started` is None until a start-up probe was asked."""

    name: str = ""
    image: str = ""
    container_id: str = msgspec.field(default="", name="containerID")
    ready: bool = False
    started: bool | None = None
    restart_count: int = 0
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class PodStatus(PartialObject, frozen=True):
    """The state that the kubelet and the scheduler report."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    host_ip: str = msgspec.field(default="", name="hostIP")
    qos_class: str = ""
    nominated_node_name: str = ""
    start_time: Moment | None = None
    conditions: tuple[Condition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(Object, frozen=True):
    """A Pod."""

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()
