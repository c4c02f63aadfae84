"""Objects around a workload as they were read, made into the facts of a diagnosis: claims, nodes, metrics, hosts."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from urllib.parse import urlsplit

import msgspec

from kubediagnosis import object_facts
from kubediagnosis.causes import ObjectChange
from kubediagnosis.facts import FieldChange, NodeFacts
from kubediagnosis.related_objects import (
    HostReference,
    NameServerFacts,
    SharedService,
)
from kubeobjects import predicates, unstructured
from kubeobjects.kept import EndpointSlice, HorizontalPodAutoscaler, Pod
from kubeobjects.network import KubeService
from kubeobjects.resources import HPAS
from kubeobjects.unstructured import Unstructured

_SOURCES: Mapping[str, str] = {"hostPath": "path", "local": "path", "nfs": "path", "csi": "volumeHandle"}
"""The sources of a PersistentVolume, with the field that says where it is."""

_SCHEMES: Mapping[str, int] = {
    "http": 80,
    "https": 443,
    "ws": 80,
    "wss": 443,
    "postgres": 5432,
    "postgresql": 5432,
    "mysql": 3306,
    "redis": 6379,
    "amqp": 5672,
    "mongodb": 27017,
    "grpc": 0,
    "tcp": 0,
    "nats": 4222,
}
_NAME = r"[a-z](?:[a-z0-9.-]{0,251}[a-z0-9])?"
_HOST = re.compile(_NAME)
_HOST_AND_PORT = re.compile(rf"(?P<host>{_NAME}):(?P<port>[1-9]\d{{0,4}})")
MOST_NAMED = 5


def source_of(volume: Unstructured | None) -> str:
    """Return the path of the source of a PersistentVolume (`spec.hostPath.path`), "" where it is not known."""
    source = next((each for each in _SOURCES if unstructured.nested_map(volume, "spec", each)), "")
    return f"spec.{source}.{_SOURCES[source]}" if source else ""


def with_others(node: NodeFacts, items: Iterable[Unstructured], own: frozenset[str]) -> NodeFacts:
    """Return a node with how many pods of other workloads run on it, and how many of them are ready."""
    found = [unstructured.convert(item, Pod) for item in items]
    others = [
        pod
        for pod in found
        if not pod.spec.host_network
        and not predicates.terminating(pod)
        and not predicates.finished(pod)
        and not any(each.uid in own for each in pod.metadata.owner_references)
    ]
    return msgspec.structs.replace(node, others=len(others), others_ready=sum(predicates.ready(pod) for pod in others))


def name_server_of(service: str, items: Sequence[Unstructured]) -> NameServerFacts:
    """Return the number of ready endpoints of the cluster's DNS; None where it has no EndpointSlice."""
    slices = [unstructured.convert(item, EndpointSlice) for item in items]
    ready = sum(each.conditions.ready for one in slices for each in one.endpoints or ())
    return NameServerFacts(service=service, ready=ready if slices else None)


def shared_of(
    service: KubeService, items: Iterable[Unstructured], own: frozenset[str], others: Iterable[KubeService]
) -> SharedService | None:
    """Return to which pods of other workloads a Service leads, and which other Services lead to those; None for none."""
    pods = [unstructured.convert(item, Pod) for item in items]
    foreign = [pod for pod in pods if not any(each.uid in own for each in pod.metadata.owner_references)]
    if not foreign:
        return None
    theirs = [
        each.metadata.name
        for each in others
        if each.spec.selector and any(each.spec.selector.items() <= pod.metadata.labels.items() for pod in foreign)
    ]
    names = tuple(pod.metadata.name for pod in foreign[:MOST_NAMED])
    return SharedService(name=service.metadata.name, pods=names, own=tuple(theirs))


def hosts_of(workload: Unstructured) -> Iterator[HostReference]:
    """Yield the hosts that variables of the template name as literals; of their values nothing else is kept."""
    spec = unstructured.nested_map(workload, "spec", "template", "spec")
    for part in ("initContainers", "containers"):
        for container in unstructured.nested_maps(spec, part):
            member = f"{part}[{unstructured.nested_string(container, 'name')}]"
            for variable in unstructured.nested_maps(container, "env"):
                host, port = _host(unstructured.nested_string(variable, "value"))
                if host:
                    field = f"{member}.env[{unstructured.nested_string(variable, 'name')}]"
                    yield HostReference(field=field, host=host, port=port)


def _host(value: str) -> tuple[str, int]:
    """
    Return host and port of a URL, or of `host:port`; ("", 0) for any other value.

    An address is no name, nor is a placeholder that Kubernetes or the program fills in, as `$(DATABASE_SERVICE_HOST)`.
    """
    if "://" in value:
        try:
            url = urlsplit(value)
            host, port = url.hostname or "", url.port or _SCHEMES.get(url.scheme, 0)
        except ValueError:
            return "", 0
    elif found := _HOST_AND_PORT.fullmatch(value):
        host, port = found["host"], int(found["port"])
    else:
        return "", 0
    return (host, port) if _HOST.fullmatch(host) else ("", 0)


def changes_of_autoscalers(items: Iterable[Unstructured], workload: str) -> Iterator[ObjectChange]:
    """Yield what changed of the autoscalers of a workload: that one was made, its bounds, and when it has scaled last."""
    for each in items:
        found = unstructured.convert(each, HorizontalPodAutoscaler)
        target = found.spec.scale_target_ref
        if f"{target.kind.lower()}/{target.name}" == workload:
            yield from _changes_of_autoscaler(each, found)


def _changes_of_autoscaler(obj: Unstructured, found: HorizontalPodAutoscaler) -> Iterator[ObjectChange]:
    reference, created = f"{HPAS.singular}/{found.metadata.name}", found.metadata.creation_timestamp
    yield _shown(reference, "metadata.creationTimestamp", FieldChange(manager="", at=created), "added")
    for field, value in (("minReplicas", found.spec.min_replicas), ("maxReplicas", found.spec.max_replicas)):
        written = object_facts.written_by(obj, f"f:{field}")
        if written is not None and written.at != created:
            yield _shown(reference, f"spec.{field}", written, f"{value}")
    scaled = FieldChange(manager="", at=found.status.last_scale_time)
    yield _shown(reference, "status.desiredReplicas", scaled, f"{found.status.desired_replicas}")


def _shown(reference: str, field: str, by: FieldChange, after: str) -> ObjectChange:
    return ObjectChange(object=reference, field=field, at=by.at, by=by.manager, after=after, shown=True)
