"""The kept fields of the cluster's own objects: nodes, namespaces, events, leases, and the usage of nodes."""

from datetime import datetime

import msgspec

from kubeobjects.metadata import Condition, Moment, Object, ObjectReference, PartialObject
from kubeobjects.resources import find


class Taint(PartialObject, frozen=True):
    """A mark on a node that keeps pods away."""

    key: str = ""
    value: str = ""
    effect: str = ""
    time_added: Moment | None = None


class NodeSpec(PartialObject, frozen=True):
    """The desired state. `kubectl cordon` sets `unschedulable`."""

    unschedulable: bool = False
    provider_id: str = msgspec.field(default="", name="providerID")
    taints: tuple[Taint, ...] = ()


class NodeAddress(PartialObject, frozen=True):
    """One address of a node: InternalIP, ExternalIP, Hostname, …"""

    type: str = ""
    address: str = ""


class NodeInfo(PartialObject, frozen=True):
    """The software of the node."""

    kubelet_version: str = ""
    container_runtime_version: str = ""
    os_image: str = ""
    kernel_version: str = ""
    architecture: str = ""


class NodeStatus(PartialObject, frozen=True):
    """The state that the kubelet reports; capacity and allocatable are quantities in text."""

    conditions: tuple[Condition, ...] = ()
    addresses: tuple[NodeAddress, ...] = ()
    capacity: dict[str, str] = msgspec.field(default_factory=dict)
    allocatable: dict[str, str] = msgspec.field(default_factory=dict)
    node_info: NodeInfo = NodeInfo()


class Node(Object, frozen=True):
    """A Node."""

    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class NodeMetrics(Object, frozen=True):
    """The usage of a node over `window` (metrics.k8s.io), as quantities in text."""

    timestamp: Moment | None = None
    window: str = ""
    usage: dict[str, str] = msgspec.field(default_factory=dict)


class NamespaceStatus(PartialObject, frozen=True):
    """Active or Terminating."""

    phase: str = ""


class Namespace(Object, frozen=True):
    """A Namespace."""

    status: NamespaceStatus = NamespaceStatus()


class EventSource(PartialObject, frozen=True):
    """The reporter of an Event, in its old form."""

    component: str = ""
    host: str = ""


class EventSeries(PartialObject, frozen=True):
    """The count and the last time of a series of Events."""

    count: int = 0
    last_observed_time: Moment | None = None


class Event(Object, frozen=True):
    """An Event: a hint about an object, which may be lost, repeated or summed up. `type` is Normal or Warning."""

    type: str = ""
    reason: str = ""
    message: str = ""
    action: str = ""
    count: int = 0
    involved_object: ObjectReference = ObjectReference()
    source: EventSource = EventSource()
    reporting_component: str = ""
    series: EventSeries | None = None
    event_time: Moment | None = None
    first_timestamp: Moment | None = None
    last_timestamp: Moment | None = None

    @property
    def about(self) -> str:
        """Return the object that it is about, as kubectl writes it."""
        resource = find(self.involved_object.kind)
        kind = resource.singular if resource is not None else self.involved_object.kind.lower()
        return f"{kind}/{self.involved_object.name}"

    @property
    def times(self) -> int:
        """Return how often it was said."""
        return max(1, self.series.count if self.series is not None else self.count)

    @property
    def at(self) -> datetime | None:
        """Return when it was said last."""
        said = self.series.last_observed_time if self.series is not None else self.last_timestamp
        return said or self.event_time or self.metadata.creation_timestamp


class LeaseSpec(PartialObject, frozen=True):
    """The holder of the lease, and its last renewal."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    lease_transitions: int | None = None
    acquire_time: Moment | None = None
    renew_time: Moment | None = None


class Lease(Object, frozen=True):
    """A Lease: of a leader, or of a node's kubelet (namespace kube-node-lease)."""

    spec: LeaseSpec = LeaseSpec()
