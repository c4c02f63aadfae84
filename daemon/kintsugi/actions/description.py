"""
An object as text for a person, with its events, much as `kubectl describe` shows it: bounded and without secrets.

It is for reading, and for keeping as evidence; nothing decides on it.
"""

from collections.abc import Iterator, Mapping, Sequence

import yaml

from kintsugi.actions import live
from kintsugi.actions.events import event_time
from kintsugi.actions.live import Live
from kintsugi.actions.threads import computed, size_of
from kintsugi.objects import facts
from kintsugi.objects.kept import Object, Pod
from kintsugi.telemetry.redaction import MASK, SECRETS, is_secret_key
from kintsugi.telemetry.secret_places import LAST_APPLIED, environment

LONGEST = 64 * 1024
_MOST_EVENTS = 40
_HEADED = ("apiVersion", "kind", "metadata", "status")
_DATA = ("data", "stringData", "binaryData")


async def described(obj: Live, events: Sequence[Live]) -> str:
    """Write an object and its newest events, in a thread where they are large. At most 64 KiB."""
    size = size_of([obj, *events])
    return await computed(size, lambda: describe(obj, events))


def describe(obj: Live, events: Sequence[Live]) -> str:
    """Write an object and its newest events. At most 64 KiB."""
    text = "\n".join((*_head(obj), *_body(obj), *_events(events)))
    return clip(SECRETS.text(text))


def clip(text: str, longest: int = LONGEST) -> str:
    """Cut a text that is too long, keeping its end, where the newest is."""
    if len(text) <= longest:
        return text
    return f"[{len(text) - longest} characters before this are left out]\n{text[-longest:]}"


def _head(obj: Live) -> Iterator[str]:
    metadata = live.mapping(obj, "metadata")
    yield f"Name:         {live.name(obj)}"
    if namespace := live.text(metadata, "namespace"):
        yield f"Namespace:    {namespace}"
    yield f"Kind:         {live.text(obj, 'kind')}"
    yield f"UID:          {live.uid(obj)}"
    yield f"Created:      {live.text(metadata, 'creationTimestamp')}"
    if deleted := live.text(metadata, "deletionTimestamp"):
        yield f"Terminating:  since {deleted}"
    owner = facts.controller_of(live.kept(obj, Object))
    if owner is not None:
        yield f"Controlled by: {owner.kind}/{owner.name}"
    if live.text(obj, "kind") == "Pod":
        pod = live.kept(obj, Pod)
        yield f"Status:       {facts.status_of(pod)} ({facts.restarts(pod)} restarts) on {pod.spec.node_name or 'no node'}"
    annotations = {key: value for key, value in live.mapping(metadata, "annotations").items() if key != LAST_APPLIED}
    yield from _section("Labels", live.mapping(metadata, "labels"))
    yield from _section("Annotations", annotations)


def _body(obj: Live) -> Iterator[str]:
    """Yield status first: it is what one looks for."""
    yield from _section("Status", live.mapping(obj, "status"))
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
    """Mask texts under a secret's name, and every variable of an environment; what only names a Secret stays."""
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
    return environment(value, MASK) if key in ("env", "httpHeaders") else value


def _holds_secret(key: str, value: object) -> bool:
    return isinstance(value, str) and (key == LAST_APPLIED or is_secret_key(key)) and not key.endswith("Name")


def _events(events: Sequence[Live]) -> Iterator[str]:
    if not events:
        yield "Events:       none"
        return
    yield "Events:"
    for event in sorted(events, key=event_time)[-_MOST_EVENTS:]:
        times = live.number(event, "series", "count") or live.number(event, "count", default=1)
        yield (
            f"  {event_time(event)}  {live.text(event, 'type'):<8}{live.text(event, 'reason'):<20}"
            f"(x{times})  {live.text(event, 'message').strip()}"
        )
