"""The ports of a workload's pods that a Service leads to: numbers, and names of containers' ports."""

from collections.abc import Iterator, Mapping

from kubediagnosis.facts import WorkloadFacts
from kubeobjects.network import KubeService, ServicePort
from kubeobjects.specified import SpecifiedPod


def leading(facts: WorkloadFacts) -> Iterator[KubeService]:
    """Yield the Services that select the workload's pods."""
    for service in facts.services:
        selector = service.spec.selector
        if selector and service.spec.type != "ExternalName" and selector.items() <= facts.labels.items():
            yield service


def elsewhere(facts: WorkloadFacts) -> Iterator[KubeService]:
    """Yield the Services that select pods, and not the workload's."""
    for service in facts.services:
        if service.spec.selector and not service.spec.selector.items() <= facts.labels.items():
            yield service


def reference(service: KubeService) -> str:
    """Return a Service as kubectl writes it."""
    return f"service/{service.metadata.name}"


def is_own(facts: WorkloadFacts, service: KubeService) -> bool:
    """Return whether a Service leads to this workload alone: another one's pods might have the port."""
    return bool(facts.selector) and facts.selector.items() <= service.spec.selector.items()


def named_ports(template: SpecifiedPod) -> Mapping[str, int]:
    """Return the ports of all containers by name."""
    containers = (*template.init_containers, *template.containers)
    return {port.name: port.container_port for each in containers for port in each.ports if port.name}


def numbers(template: SpecifiedPod) -> frozenset[int]:
    """Return the numbers of all ports that containers say they listen on."""
    containers = (*template.init_containers, *template.containers)
    return frozenset(port.container_port for each in containers for port in each.ports)


def number_of(port: ServicePort, template: SpecifiedPod) -> int:
    """Return the number that a Service's port leads to, 0 where it is a name that no container has; an absent one is the port's own."""
    if isinstance(port.target_port, str):
        return named_ports(template).get(port.target_port, 0)
    return port.target_port or port.port
