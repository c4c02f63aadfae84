"""
The Events about an object, and the object with them as text, as `kubectl describe` shows it: bounded and without secrets.

The text is for a person. It is kept as evidence of an object before that is deleted, with its logs; nothing decides on it.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

import orjson
import yaml

from kintsugi.actions import api_objects
from kintsugi.actions.effect_plan import Evidence
from kintsugi.errors import KubeError
from kintsugi.kube.client import KubeClient
from kintsugi.mask import MASK
from kintsugi.model.command import ObjectName
from kintsugi.offload import searched
from kintsugi.telemetry.redaction import SECRETS, environment, is_manifest, is_secret_key
from kubeobjects import predicates, unstructured
from kubeobjects.kept import Object, Pod
from kubeobjects.resources import EVENTS, PODS
from kubeobjects.unstructured import Unstructured

LONGEST = 64 * 1024
_MOST_EVENTS = 40
_HEADED = ("apiVersion", "kind", "metadata", "status")
_DATA = ("data", "stringData", "binaryData")
_LOG_LINES = 500
_LOG_BYTES = 64 * 1024
_LOG_TIMEOUT = timedelta(seconds=10)


async def events_about(kube: KubeClient, about: ObjectName | None, namespace: str | None) -> Sequence[Unstructured]:
    """Return the Events about an object (all Events without one), oldest first."""
    listing = await kube.list(EVENTS, namespace, fields=_fields(about))
    return sorted(listing.items, key=event_time)


def _fields(about: ObjectName | None) -> str:
    if about is None:
        return ""
    conditions = {
        "kind": about.resource.kind,
        "apiVersion": about.resource.api_version,
        "name": about.name,
        "uid": about.uid,
    }
    return ",".join(f"involvedObject.{key}={value}" for key, value in conditions.items() if value)


def event_time(event: Unstructured) -> str:
    """Return the last time of an Event, in the API's notation, which sorts by time (fields in kubectl's order)."""
    if unstructured.nested_field(event, "series"):
        return unstructured.nested_string(event, "series", "lastObservedTime")
    return unstructured.nested_string(event, "lastTimestamp") or unstructured.nested_string(event, "eventTime")


async def described(obj: Unstructured, events: Sequence[Unstructured]) -> str:
    """Return the text of an object and its newest Events, at most 64 KiB; it is made in a thread where they are large."""

    def describe() -> str:
        return clip(SECRETS.text("\n".join((*_head(obj), *_body(obj), *_events(events)))))

    return await searched(len(orjson.dumps([obj, *events])), describe)


def clip(text: str, longest: int = LONGEST) -> str:
    """Cut a text that is too long, keeping its end, where the newest is."""
    if len(text) <= longest:
        return text
    return f"[{len(text) - longest} characters before this are left out]\n{text[-longest:]}"


def _head(obj: Unstructured) -> Iterator[str]:
    metadata = unstructured.nested_map(obj, "metadata")
    yield f"Name:         {unstructured.name(obj)}"
    if namespace := unstructured.nested_string(metadata, "namespace"):
        yield f"Namespace:    {namespace}"
    yield f"Kind:         {unstructured.nested_string(obj, 'kind')}"
    yield f"UID:          {unstructured.uid(obj)}"
    yield f"Created:      {unstructured.nested_string(metadata, 'creationTimestamp')}"
    if deleted := unstructured.nested_string(metadata, "deletionTimestamp"):
        yield f"Terminating:  since {deleted}"
    owner = predicates.controller_of(api_objects.convert(obj, Object))
    if owner is not None:
        yield f"Controlled by: {owner.kind}/{owner.name}"
    if unstructured.nested_string(obj, "kind") == "Pod":
        pod = api_objects.convert(obj, Pod)
        yield f"Status:       {predicates.status_of(pod)} ({predicates.restarts(pod)} restarts) on {pod.spec.node_name or 'no node'}"
    annotations = {
        key: value
        for key, value in unstructured.nested_map(metadata, "annotations").items()
        if not is_manifest(key, value)
    }
    yield from _section("Labels", unstructured.nested_map(metadata, "labels"))
    yield from _section("Annotations", annotations)


def _body(obj: Unstructured) -> Iterator[str]:
    """Yield the status first, then the other sections."""
    yield from _section("Status", unstructured.nested_map(obj, "status"))
    for key, value in obj.items():
        if key in _DATA and isinstance(value, Mapping):
            yield from _section(
                key.capitalize(), {name: f"({len(str(each))} characters)" for name, each in value.items()}
            )
        elif key not in _HEADED:
            yield from _section(key.capitalize(), value)


def _section(title: str, content: object) -> Iterator[str]:
    if content:
        yield f"{title}:"
        text = yaml.safe_dump(_without_secrets(content), sort_keys=False, default_flow_style=False, allow_unicode=True)
        yield from ("  " + line for line in text.rstrip().splitlines())


def _without_secrets(value: object) -> object:
    """Mask texts under a secret's name, and every variable of an environment; names of Secrets stay."""
    if isinstance(value, Mapping):
        named = value.get("name")
        if isinstance(named, str) and "value" in value and is_secret_key(named):
            return {**value, "value": MASK}
        return {
            key: MASK if _holds_secret(key, each) else _without_secrets(_field(key, each))
            for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [_without_secrets(each) for each in value]
    return value


def _field(key: str, value: object) -> object:
    return environment(value) if key in ("env", "httpHeaders") else value


def _holds_secret(key: str, value: object) -> bool:
    return isinstance(value, str) and (is_manifest(key, value) or is_secret_key(key)) and not key.endswith("Name")


def _events(events: Sequence[Unstructured]) -> Iterator[str]:
    if not events:
        yield "Events:       none"
        return
    yield "Events:"
    for event in sorted(events, key=event_time)[-_MOST_EVENTS:]:
        times = unstructured.nested_int(event, "series", "count") or unstructured.nested_int(event, "count", default=1)
        yield (
            f"  {event_time(event)}  {unstructured.nested_string(event, 'type'):<8}{unstructured.nested_string(event, 'reason'):<20}"
            f"(x{times})  {unstructured.nested_string(event, 'message').strip()}"
        )


async def evidence_of_pod(kube: KubeClient, obj: Unstructured) -> tuple[Evidence, ...]:
    """
    Return a pod's description, and the current and previous log of each of its containers.

    Evidence that cannot be read (a container that never started has no log) contains the error instead.
    """
    description, *logs = await asyncio.gather(
        _description(kube, obj), *(_log(kube, obj, container, previous) for container, previous in _logs_of(obj))
    )
    return (description, *logs)


async def evidence_of_claim(obj: Unstructured) -> Evidence:
    """Return the whole description of a claim or a volume, from which a person could recreate it."""
    return Evidence(
        kind=f"describe {unstructured.nested_string(obj, 'kind')} {unstructured.name(obj)}",
        text=await described(unstructured.without_managed_fields(obj), ()),
    )


async def _description(kube: KubeClient, obj: Unstructured) -> Evidence:
    about, namespace = api_objects.named(PODS, obj), unstructured.nested_string(obj, "metadata", "namespace")
    events: Sequence[Unstructured] = ()
    unread = ""
    try:
        events = await events_about(kube, about, namespace)
    except KubeError as error:
        unread = f"\nits events cannot be read: {error}"
    return Evidence(kind="describe", text=await described(unstructured.without_managed_fields(obj), events) + unread)


def _logs_of(obj: Unstructured) -> Iterator[tuple[str, bool]]:
    """Yield each log to read: the container, and whether it is that of the previous instance."""
    pod = api_objects.convert(obj, Pod)
    for status in (*pod.status.init_container_statuses, *pod.status.container_statuses):
        yield status.name, False
        if status.restart_count > 0:
            yield status.name, True


async def _log(kube: KubeClient, obj: Unstructured, container: str, previous: bool) -> Evidence:
    kind = f"logs {container}{' --previous' if previous else ''}"
    try:
        chunks = [
            chunk
            async for chunk in kube.logs(
                unstructured.name(obj),
                unstructured.nested_string(obj, "metadata", "namespace"),
                container=container,
                previous=previous,
                tail=_LOG_LINES,
                timestamps=True,
                limit_bytes=_LOG_BYTES,
                deadline=_LOG_TIMEOUT,
            )
        ]
    except KubeError as error:
        return Evidence(kind=kind, text=f"cannot be read: {error}")
    log = b"".join(chunks)
    return Evidence(kind=kind, text=clip(SECRETS.text(log.decode(errors="replace"))))
