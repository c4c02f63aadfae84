"""Builders of the kubectl commands that only look."""

from datetime import timedelta

from kintsugi.commands.problem import CommandProblem
from kintsugi.commands.references import kinds_of, named, namespace_for, place_of, resource_of
from kintsugi.commands.row import Argument, Bound
from kintsugi.model.command import CanI, Describe, Events, Get, Logs, ObjectName, Top, Usage, Wait
from kintsugi.objects.resources import Resource

_WAIT = timedelta(seconds=30)
"""kubectl's own default for `wait --timeout`."""


def build_get(bound: Bound) -> Get:
    """Build `kubectl get`: names, or lists of one or several kinds."""
    found = named(bound)
    labels, fields = bound.text("labels"), bound.text("fields")
    everywhere = bound.on("everywhere")
    if found.objects and (labels or fields):
        raise bound.misused("names and a selector exclude each other")
    if found.objects and everywhere:
        raise bound.misused("an object is not looked for by name in all namespaces: write -n NAMESPACE")
    return Get(
        resources=found.resources,
        words=found.words,
        objects=found.objects,
        namespace=_scope(bound, found.resources + kinds_of(found.objects)),
        labels=labels,
        fields=fields,
        sort_by=bound.text("sort_by"),
        ignore_not_found=bound.on("ignore_not_found"),
    )


def _scope(bound: Bound, resources: tuple[Resource, ...]) -> str | None:
    """Give the namespace to list in; None for all of them, and for kinds that live in none."""
    if bound.on("everywhere") or not any(resource.namespaced for resource in resources):
        return None
    return place_of(bound)


def build_describe(bound: Bound) -> Describe:
    """Build `kubectl describe`: objects by name, or one kind, by a selector if one is given."""
    found = named(bound)
    resource = _one_kind(bound, found.resources)
    if found.objects and bound.text("labels"):
        raise bound.misused("names and a selector exclude each other")
    return Describe(
        objects=found.objects,
        resource=resource,
        namespace=namespace_for(bound, found.resources + kinds_of(found.objects)),
        labels=bound.text("labels"),
    )


def _one_kind(bound: Bound, resources: tuple[Resource, ...]) -> Resource | None:
    if len(resources) > 1:
        raise bound.misused("it takes one type at a time")
    return resources[0] if resources else None


def build_logs(bound: Bound) -> Logs:
    """Build `kubectl logs`: of a pod, of a workload's pods, or of the pods that a selector chooses."""
    about, container = _logged(bound)
    found = named(bound, about).objects if about else ()
    labels = bound.text("labels")
    if bool(found) == bool(labels) or len(found) > 1:
        raise bound.misused("it takes one pod or TYPE/NAME, or else a selector (-l)")
    if container and bound.on("all_containers"):
        raise bound.misused("a container and --all-containers exclude each other")
    return Logs(
        object=found[0] if found else None,
        labels=labels,
        namespace=place_of(bound),
        container=container,
        all_containers=bound.on("all_containers"),
        previous=bound.on("previous"),
        follow=bound.on("follow"),
        since=bound.duration("since"),
        tail=_tail(bound),
        timestamps=bound.on("timestamps"),
        prefix=bound.on("prefix"),
    )


def _logged(bound: Bound) -> tuple[tuple[Argument, ...], str]:
    """Return what logs are asked of from the container, which stands behind it as with kubectl, or with -c."""
    flag, *words = bound.text("container"), *bound.arguments
    if len(words) != 2 or words[1].object is not None or "/" in words[1].text or bound.text("labels"):
        return bound.arguments, flag
    if flag:
        raise bound.misused("the container stands twice: behind the pod, and with -c")
    return (words[0],), words[1].text


def _tail(bound: Bound) -> int | None:
    """Give --tail; -1 is kubectl's word for all lines."""
    tail = bound.number("tail")
    return tail if tail is not None and tail >= 0 else None


def build_top(bound: Bound) -> Top:
    """Build `kubectl top`: what pods or nodes use."""
    found = named(bound)
    if len(found.objects) > 1 or len(found.resources) > 1:
        raise bound.misused("it takes pods or nodes, and at most one name")
    name = found.objects[0].name if found.objects else ""
    if name and bound.text("labels"):
        raise bound.misused("a name and a selector exclude each other")
    resource = found.objects[0].resource if found.objects else found.resources[0]
    return Top(
        resource=resource,
        name=name,
        namespace=_scope(bound, (resource,)),
        labels=bound.text("labels"),
        sort_by=Usage(bound.text("sort_by")) if bound.text("sort_by") else None,
    )


def build_events(bound: Bound) -> Events:
    """Build `kubectl events`: of a namespace, of all, or about one object."""
    if bound.arguments:
        raise bound.misused("it takes flags only; one object is named with --for TYPE/NAME")
    types = tuple(word for word in bound.text("types").split(",") if word)
    return Events(namespace=None if bound.on("everywhere") else place_of(bound), about=_about(bound), types=types)


def _about(bound: Bound) -> ObjectName | None:
    word, slash, name = bound.text("about").partition("/")
    if not word:
        return None
    if not slash or not name:
        raise bound.misused(f"--for takes TYPE/NAME, not {word!r}")
    return ObjectName(resource=resource_of(bound.row, word), name=name)


def build_wait(bound: Bound) -> Wait:
    """Build `kubectl wait`: for named objects, or for those that a selector chooses."""
    found = named(bound)
    resource = _one_kind(bound, found.resources)
    labels = bound.text("labels")
    if (resource is None) == bool(labels):
        raise bound.misused("it takes names, or else one type and a selector (-l)")
    return Wait(
        objects=found.objects,
        resource=resource,
        labels=labels,
        namespace=namespace_for(bound, found.resources + kinds_of(found.objects)),
        condition=bound.text("condition"),
        timeout=bound.duration("timeout") or _WAIT,
    )


def build_can_i(bound: Bound) -> CanI:
    """Build `kubectl auth can-i`: may our own identity do this."""
    verb, target = bound.exactly(2)
    word, _, name = target.text.partition("/")
    resource = resource_of(bound.row, word)
    if name and bound.on("everywhere"):
        raise CommandProblem(f"{bound.row.verb}: one object is in one namespace: leave out -A, or the name")
    return CanI(
        verb=verb.text,
        resource=resource,
        name=name,
        subresource=bound.text("subresource"),
        namespace=_scope(bound, (resource,)),
    )
