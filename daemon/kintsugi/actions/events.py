"""`kubectl events`: the Events of a namespace, or about one object, oldest first."""

from collections.abc import Sequence

from kintsugi.actions import live
from kintsugi.actions.live import Live
from kintsugi.actions.result import Result
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Events, ObjectName
from kintsugi.objects.resources import EVENTS


async def read(kube: KubeClient, command: Events) -> Result:
    """List Events; of `types`, when given, only those."""
    found = await events_about(kube, command.about, command.namespace)
    wanted = {word.lower() for word in command.types}
    items = [live.shown(event) for event in found if not wanted or live.text(event, "type").lower() in wanted]
    warnings = sum(live.text(event, "type") == "Warning" for event in items)
    return Result(names={"items": items}, summary=f"{len(items)} events, {warnings} warnings")


async def events_about(kube: KubeClient, about: ObjectName | None, namespace: str | None) -> Sequence[Live]:
    """List the Events about an object (all of them without one), oldest first."""
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


def event_time(event: Live) -> str:
    """Give when an Event was last seen, in the API's own notation, which sorts by time (kubectl's order of fields)."""
    if live.at(event, "series"):
        return live.text(event, "series", "lastObservedTime")
    return live.text(event, "lastTimestamp") or live.text(event, "eventTime")
