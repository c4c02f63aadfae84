"""The address of a single pod for its service's checks: its IP, and the ports that its Services lead to."""

from collections.abc import Iterator

from kintsugi.errors import NotFound
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import ObjectName
from kintsugi.model.hosts import PodAddress
from kubeobjects import unstructured
from kubeobjects.resources import PODS, SERVICES
from kubeobjects.unstructured import Unstructured


async def address_of(kube: KubeClient, asked: ObjectName, namespace: str) -> PodAddress:
    """Read the address of a pod. Raises KubeError: NotFound where it is gone, also where another one has its name."""
    pod = await kube.get(PODS, asked.name, namespace)
    if asked.uid and unstructured.uid(pod) != asked.uid:
        raise NotFound(f"{asked} is gone: another pod has its name")
    services = (await kube.list(SERVICES, namespace)).items
    return PodAddress(
        name=asked.name,
        namespace=namespace,
        ip=unstructured.nested_string(pod, "status", "podIP"),
        ports={key: port for service in services for key, port in _ports(service, pod)},
    )


def _ports(service: Unstructured, pod: Unstructured) -> Iterator[tuple[tuple[str, int], int]]:
    """Yield the ports of a pod that a Service leads to, by the Service's name and by its cluster IP."""
    selector = unstructured.nested_map(service, "spec", "selector")
    if not selector or not selector.items() <= unstructured.labels(pod).items():
        return
    named = dict(_named_ports(pod))
    names = (unstructured.name(service), unstructured.nested_string(service, "spec", "clusterIP"))
    for port in unstructured.nested_maps(service, "spec", "ports"):
        number, target = port.get("port"), port.get("targetPort", port.get("port"))
        leads = target if isinstance(target, int) else named.get(str(target))
        if isinstance(number, int) and leads is not None:
            yield from (((name, number), leads) for name in names if name not in ("", "None"))


def _named_ports(pod: Unstructured) -> Iterator[tuple[str, int]]:
    for container in unstructured.nested_maps(pod, "spec", "containers"):
        for port in unstructured.nested_maps(container, "ports"):
            name, number = port.get("name"), port.get("containerPort")
            if isinstance(name, str) and isinstance(number, int):
                yield name, number
