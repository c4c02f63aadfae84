"""The kept fields of the objects that route traffic to pods: Services, EndpointSlices, Ingresses and NetworkPolicies."""

from typing import ClassVar

import msgspec

from kubeobjects.metadata import LabelSelector, Object, ObjectReference, PartialObject
from kubeobjects.pods import PodSpec


class ServicePort(PartialObject, frozen=True):
    """One port of a service. It leads to `target_port` of its pods, a number or a container's name for one; 0 is `port` itself."""

    name: str = ""
    port: int = 0
    target_port: int | str = 0
    protocol: str = "TCP"
    node_port: int = 0

    def number_in(self, pod: PodSpec) -> int:
        """Return the number of a pod's port that it leads to, 0 where it is a name that no container has."""
        if isinstance(self.target_port, str):
            return pod.named_ports.get(self.target_port, 0)
        return self.target_port or self.port


class ServiceSpec(PartialObject, frozen=True):
    """The desired state. `clusterIP` is "None" for a headless service."""

    type: str = "ClusterIP"
    cluster_ip: str = msgspec.field(default="", name="clusterIP")
    cluster_ips: tuple[str, ...] = msgspec.field(default=(), name="clusterIPs")
    external_ips: tuple[str, ...] = msgspec.field(default=(), name="externalIPs")
    external_name: str = ""
    selector: dict[str, str] = msgspec.field(default_factory=dict)
    ports: tuple[ServicePort, ...] = ()
    health_check_node_port: int = 0
    publish_not_ready_addresses: bool = False


class IngressPoint(PartialObject, frozen=True):
    """A point where a load balancer accepts traffic: an address, a host name, or both."""

    ip: str = ""
    hostname: str = ""


class LoadBalancer(PartialObject, frozen=True):
    """A load balancer's points of entry; none until it is provisioned."""

    ingress: tuple[IngressPoint, ...] = ()


class ServiceStatus(PartialObject, frozen=True):
    """The state that the load balancer's controller reports."""

    load_balancer: LoadBalancer = LoadBalancer()


class KubeService(Object, frozen=True):
    """A Service of Kubernetes (not one of Kintsugi's)."""

    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus = ServiceStatus()


SERVICE_NAME = "kubernetes.io/service-name"
"""The label of an EndpointSlice that says of which Service it is."""


class EndpointConditions(PartialObject, frozen=True):
    """The conditions of an endpoint. An absent `ready` means ready, as in the API."""

    ready: bool = True
    serving: bool = True
    terminating: bool = False


class Endpoint(PartialObject, frozen=True):
    """One endpoint behind a service."""

    addresses: tuple[str, ...] = ()
    conditions: EndpointConditions = EndpointConditions()
    target_ref: ObjectReference | None = None
    node_name: str = ""
    zone: str = ""


class EndpointPort(PartialObject, frozen=True):
    """A port that all endpoints of a slice listen on."""

    name: str = ""
    port: int = 0
    protocol: str = "TCP"


class EndpointSlice(Object, frozen=True):
    """Some of the endpoints of a service; its label `kubernetes.io/service-name` says of which. It may have 1,000 endpoints."""

    MOST_PARTS: ClassVar[int] = 10_000

    address_type: str = ""
    endpoints: tuple[Endpoint, ...] | None = ()
    ports: tuple[EndpointPort, ...] | None = ()

    def __post_init__(self) -> None:
        # The API writes an empty list here as null; readers see one form only.
        if self.endpoints is None:
            msgspec.structs.force_setattr(self, "endpoints", ())
        if self.ports is None:
            msgspec.structs.force_setattr(self, "ports", ())


class IngressRule(PartialObject, frozen=True):
    """A host that an ingress serves."""

    host: str = ""


class IngressSpec(PartialObject, frozen=True):
    """The desired state."""

    ingress_class_name: str = ""
    rules: tuple[IngressRule, ...] = ()


class IngressStatus(PartialObject, frozen=True):
    """The points where traffic is accepted."""

    load_balancer: LoadBalancer = LoadBalancer()


class Ingress(Object, frozen=True):
    """An Ingress."""

    spec: IngressSpec = IngressSpec()
    status: IngressStatus = IngressStatus()


INGRESS, EGRESS = "Ingress", "Egress"


class AddressBlock(PartialObject, frozen=True):
    """Addresses by CIDR, without those of `except`."""

    cidr: str = ""
    other_than: tuple[str, ...] = msgspec.field(default=(), name="except")


class PolicyPeer(PartialObject, frozen=True):
    """
    An allowed peer: pods of namespaces, or addresses. Without a namespace selector the namespace is the policy's own.
    """

    pod_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None
    ip_block: AddressBlock | None = None


class PolicyPort(PartialObject, frozen=True):
    """A port, a range up to `endPort`, or the name of one; none is all of the protocol."""

    protocol: str = "TCP"
    port: int | str | None = None
    end_port: int = 0


class NetworkPolicyRule(PartialObject, frozen=True):
    """A rule of allowed traffic: an empty list of peers or ports means all."""

    sources: tuple[PolicyPeer, ...] = msgspec.field(default=(), name="from")
    destinations: tuple[PolicyPeer, ...] = msgspec.field(default=(), name="to")
    ports: tuple[PolicyPort, ...] = ()


class PolicySpec(PartialObject, frozen=True):
    """The specification of a policy: the pods that it selects, its directions, and the traffic that it allows."""

    pod_selector: LabelSelector = LabelSelector()
    policy_types: tuple[str, ...] = ()
    ingress: tuple[NetworkPolicyRule, ...] = ()
    egress: tuple[NetworkPolicyRule, ...] = ()


class NetworkPolicy(Object, frozen=True):
    """A NetworkPolicy."""

    spec: PolicySpec = PolicySpec()

    @property
    def directions(self) -> frozenset[str]:
        """Return what it is about; without a word it is ingress, and egress where it has rules for that."""
        named = self.spec.policy_types
        return frozenset(named or ((INGRESS, EGRESS) if self.spec.egress else (INGRESS,)))
