"""
Decides what a page of an alert may read: objects of one service, in its namespace.

Pure. A page is foreign text, so that nothing of it is taken on trust: each command is judged once its values are filled in.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kintsugi.commands.registry import definition_of
from kintsugi.model.command import Command, ObjectName, parts_of
from kintsugi.model.views import ServiceView
from kubeobjects import resources, unstructured
from kubeobjects.resources import PODS, SECRETS, Resource

RULE = "page"
"""The name of the rule of pages; a pause may name it."""


def objection(command: Command, view: ServiceView) -> str:
    """Return why a page may not run a command for a service, "" where it may."""
    verb, service = definition_of(command), view.service
    if not verb.allowed_in_page:
        return "a page only reads objects, their Events, logs and usage"
    names, listed = _named(command)
    if SECRETS in {*listed, *(each.resource for each in names)}:
        return "a page reads no Secret"
    own = owned(view)
    if foreign := next((each for each in names if (each.resource.kind, each.name) not in own), None):
        return f"{foreign} is not known to belong to {service.name}"
    if verb.reads_logs and (host := next((each for each in names if each.resource == resources.SERVICES), None)):
        return f"the pods that {host} selects may be others than those of {service.name}"
    if wide := next((each for each in listed if not each.namespaced), None):
        return f"a list of {wide.plural} is about more than {service.name}"
    place = getattr(command, "namespace", None)
    is_of_cluster = bool(names) and not any(each.resource.namespaced for each in names)
    if place != service.namespace and not is_of_cluster:
        where = f"namespace {place}" if place else "all namespaces"
        return f"it reads {where}, and {service.name} is in {service.namespace}"
    has_objects = verb.spec is not None and not verb.spec.result  # of which those of others are left out
    if not names and not has_objects and (set(listed) - {PODS} or not service.selector.text):
        return f"what it lists cannot be limited to {service.name}"
    return ""


def limited(command: Command, view: ServiceView) -> Command:
    """Return a command that lists pods with the selector of the service besides its own; any other as it is."""
    names, listed = _named(command)
    own, selector = getattr(command, "labels", None), view.service.selector.text
    if names or own is None or not selector or set(listed) - {PODS}:
        return command
    with_labels: Any = command
    narrowed: Command = replace(with_labels, labels=",".join(each for each in (own, selector) if each))
    return narrowed


def own_objects(names: Mapping[str, object], view: ServiceView) -> Mapping[str, object]:
    """Return a result with those objects of its lists that are the service's, and the Events about them."""
    own = owned(view)
    return {
        name: [each for each in value if _is_own(each, own)] if isinstance(value, list) else value
        for name, value in names.items()
    }


def owned(view: ServiceView) -> frozenset[tuple[str, str]]:
    """Return the objects of a service, by kind and name: its workload, pods, claims, volumes, nodes and Kubernetes Service."""
    return frozenset(_owned(view))


def _owned(view: ServiceView) -> Iterator[tuple[str, str]]:
    yield view.service.workload.resource.kind, view.service.workload.name
    for pod in view.pods:
        yield PODS.kind, pod.metadata.name
        yield from ((each.kind, each.name) for each in pod.metadata.owner_references)
        if pod.spec.node_name:
            yield resources.NODES.kind, pod.spec.node_name
    for claim in view.all_pvcs:
        yield resources.PVCS.kind, claim.metadata.name
        if claim.spec.volume_name:
            yield resources.PVS.kind, claim.spec.volume_name
    yield from ((resources.ENDPOINTSLICES.kind, each.metadata.name) for each in view.endpoints)
    if view.host:
        yield from ((each.kind, view.host.partition(".")[0]) for each in (resources.SERVICES, resources.ENDPOINTS))


def _named(command: Command) -> tuple[Sequence[ObjectName], Sequence[Resource]]:
    """Return the objects that a command names, and the kinds that it lists."""
    parts = list(parts_of(command))
    names = [each for each in parts if isinstance(each, ObjectName)]
    kinds = [each for each in parts if isinstance(each, Resource)]
    if name := getattr(command, "name", ""):
        return [*names, *(ObjectName(resource=each, name=name) for each in kinds)], ()
    return names, kinds


def _is_own(item: object, own: frozenset[tuple[str, str]]) -> bool:
    """Return whether an object is one of these, is owned by one of them, or is an Event about one; what is no object stays."""
    if not unstructured.nested_map(item, "metadata"):
        return True
    about = [
        unstructured.nested_map(item, "involvedObject"),
        unstructured.nested_map(item, "regarding"),
        {**unstructured.nested_map(item, "metadata"), "kind": unstructured.nested_string(item, "kind")},
        *unstructured.nested_maps(item, "metadata", "ownerReferences"),
    ]
    return any((each.get("kind"), each.get("name")) in own for each in about)
