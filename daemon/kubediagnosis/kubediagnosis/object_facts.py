"""
Converts objects to the facts of a diagnosis, which contain no JSON.

Of Secrets and ConfigMaps only the names of keys are used, with the times at which they were written.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import dropwhile
from urllib.parse import urlsplit

import msgspec

from kubediagnosis.causes import ObjectChange
from kubediagnosis.facts import (
    ConfigurationFacts,
    ConfigurationType,
    FieldChange,
    HostReference,
    NameServerFacts,
    NodeFacts,
    PodFacts,
    SharedService,
    TemplateRevision,
    WebhookFacts,
)
from kubediagnosis.ports import KeptTemplate
from kubediagnosis.templates import differ_in_stamp_only, template_fields
from kubediagnosis.workload_revisions import Revision
from kubeobjects import predicates, unstructured
from kubeobjects.kept import EndpointSlice, Event, HorizontalPodAutoscaler, Object, Pod
from kubeobjects.network import KubeService
from kubeobjects.resources import HPAS
from kubeobjects.unstructured import Unstructured

MOST_REVISIONS = 2
"""Revisions whose templates are compared: the one in force with the one before it."""

LOG_LINES = 50
LOG_BYTES = 64 * 1024
LOG_TIME = timedelta(seconds=5)
"""The part of a log that is read."""

_EARLIER = "deployment.kubernetes.io/revision-history"
"""The annotation in which a ReplicaSet that is in force again has its earlier numbers (k8s.io/kubernetes, deployment/util)."""

_DATA = ("f:data", "f:stringData", "f:binaryData")

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
_BETWEEN = re.compile(r"[\s;&|()'\"`]+")
_LOOKUPS = frozenset({"nslookup", "dig", "host", "getent", "ping", "nc", "pg_isready", "redis-cli"})
"""Programs that look up a host or connect to it: the first of their words that is neither an option nor a number."""

MOST_NAMED = 5


def pods_of_facts(items: Iterable[Unstructured], owners: frozenset[str]) -> tuple[PodFacts, ...]:
    """Return the pods that one of these owners controls."""
    found = (unstructured.convert(item, PodFacts) for item in items)
    return tuple(
        pod for pod in found if any(each.controller and each.uid in owners for each in pod.metadata.owner_references)
    )


def compared_revisions(
    found: Sequence[Revision], pods: Sequence[PodFacts], kept: KeptTemplate | None = None
) -> tuple[TemplateRevision, ...]:
    """
    Return the templates to compare: the one in force, then the newest of the others.

    Where there is no other, the `kept` last good one is used, unless it makes the same pods.
    """
    ordered = sorted(found, key=lambda each: (each.current, each.number), reverse=True)
    of_kubernetes = tuple(
        TemplateRevision(
            number=each.number,
            hash=next((pod.template_hash for pod in pods if each.makes(pod)), each.template),
            created=each.created,
            fields=template_fields(each.pods),
            returned=_EARLIER in each.annotations,
        )
        for each in ordered[:MOST_REVISIONS]
    )
    if kept is None or len(found) != 1 or differ_in_stamp_only(kept.pods, found[0].pods):
        return of_kubernetes
    before = TemplateRevision(
        number=kept.number, hash=kept.template, created=kept.seen, fields=template_fields(kept.pods)
    )
    return (*of_kubernetes, before)


def events_of_facts(items: Iterable[Unstructured], about: frozenset[str]) -> Iterator[Event]:
    """Yield the Events about these objects (TYPE/NAME)."""
    found = (unstructured.convert(item, Event) for item in items)
    return (event for event in found if event.about in about)


def configuration_facts(type_: ConfigurationType, name: str, obj: Unstructured) -> ConfigurationFacts:
    """Return the facts of an existing ConfigMap or Secret, of which only the metadata are read: its managed fields name the keys."""
    keys: set[str] = set()
    changed: datetime | None = None
    manager = ""
    written: tuple[str, ...] = ()
    for entry, at in _managed(obj):
        fields = unstructured.nested_map(entry, "fieldsV1")
        own = [key[2:] for part in _DATA for key in unstructured.nested_map(fields, part) if key.startswith("f:")]
        keys.update(own)
        if own and at is not None and (changed is None or at >= changed):
            changed, written = at, tuple(sorted(own))
            manager = unstructured.nested_string(entry, "manager")
    # Of several keys under one name of a writer nobody says which it wrote last.
    return ConfigurationFacts(
        type=type_,
        name=name,
        exists=True,
        keys=frozenset(keys),
        changed=changed,
        changed_by=manager,
        changed_keys=written if len(written) == 1 else (),
        created=unstructured.convert(obj, Object).metadata.creation_timestamp,
    )


def paused_before_start(workload: Unstructured) -> FieldChange | None:
    """Return who paused a Deployment that has no pod of the template in force, None where it is not so."""
    if unstructured.nested_field(workload, "spec", "paused") is not True:
        return None
    if unstructured.nested_field(workload, "status", "updatedReplicas"):
        return None
    return written_by(workload, "f:paused") or FieldChange(manager="", at=None)


def written_by(obj: Unstructured, field: str) -> FieldChange | None:
    """Return who wrote a field of an object's `spec` last, by the managed fields."""
    newest: FieldChange | None = None
    for entry, at in _managed(obj):
        spec = unstructured.nested_map(entry, "fieldsV1", "f:spec")
        if field not in spec:
            continue
        if newest is None or newest.at is None or (at is not None and at >= newest.at):
            newest = FieldChange(manager=unstructured.nested_string(entry, "manager"), at=at)
    return newest


def node_facts(obj: Unstructured) -> NodeFacts:
    """Return the facts of a node."""
    return msgspec.structs.replace(unstructured.convert(obj, NodeFacts), marked=written_by(obj, "f:unschedulable"))


def webhooks_of(word: str, obj: Unstructured) -> WebhookFacts:
    """Return the names of a configuration's webhooks."""
    names = tuple(unstructured.nested_string(each, "name") for each in unstructured.nested_maps(obj, "webhooks"))
    return WebhookFacts(reference=f"{word}/{unstructured.name(obj)}", names=names)


def _managed(obj: Unstructured) -> Iterator[tuple[Unstructured, datetime | None]]:
    for entry in unstructured.nested_maps(obj, "metadata", "managedFields"):
        yield entry, moment(unstructured.nested_string(entry, "time"))


def moment(text: str) -> datetime | None:
    """Parse a time; None where it is empty or invalid."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


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
    """
    Yield the hosts that the template names as literals, in variables and in what its init containers run.

    Of their values nothing else is kept.
    """
    spec = unstructured.nested_map(workload, "spec", "template", "spec")
    for part in ("initContainers", "containers"):
        for container in unstructured.nested_maps(spec, part):
            member = f"{part}[{unstructured.nested_string(container, 'name')}]"
            for variable in unstructured.nested_maps(container, "env"):
                host, port = _host(unstructured.nested_string(variable, "value"))
                if host:
                    field = f"{member}.env[{unstructured.nested_string(variable, 'name')}]"
                    yield HostReference(field=field, host=host, port=port)
            for name in ("command", "args") if part == "initContainers" else ():
                words = unstructured.nested_field(container, name)
                command = " ".join(map(str, words)) if isinstance(words, list | tuple) else ""
                for host, port in dict.fromkeys(_asked_hosts(command)):
                    yield HostReference(field=f"{member}.{name}", host=host, port=port)


def _asked_hosts(command: str) -> Iterator[tuple[str, int]]:
    """Yield the hosts of URLs and of `host:port` in a command, and those that its programs look up or connect to."""
    words = [each for each in _BETWEEN.split(command) if each]
    for index, word in enumerate(words):
        if (found := _host(word))[0]:
            yield found
        if word in _LOOKUPS:
            after = [each for each in words[index + 1 :] if not each.startswith("-") and each != "hosts"]
            named = list(dropwhile(str.isdecimal, after))[:2]
            if named and _HOST.fullmatch(named[0]):
                yield named[0], int(named[1]) if named[1:] and named[1].isdecimal() else 0


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
        if f"{target.kind.lower()}/{target.name}" != workload:
            continue
        reference, created = f"{HPAS.singular}/{found.metadata.name}", found.metadata.creation_timestamp
        yield _shown(reference, "metadata.creationTimestamp", FieldChange(manager="", at=created), "added")
        for field, value in (("minReplicas", found.spec.min_replicas), ("maxReplicas", found.spec.max_replicas)):
            written = written_by(each, f"f:{field}")
            if written is not None and written.at != created:
                yield _shown(reference, f"spec.{field}", written, f"{value}")
        scaled = FieldChange(manager="", at=found.status.last_scale_time)
        yield _shown(reference, "status.desiredReplicas", scaled, f"{found.status.desired_replicas}")


def _shown(reference: str, field: str, by: FieldChange, after: str) -> ObjectChange:
    return ObjectChange(object=reference, field=field, at=by.at, by=by.manager, after=after, shown=True)
