"""`kubectl get` and `kubectl describe`: whole objects, as `-o json` shows them less managedFields."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from kintsugi.actions import live
from kintsugi.actions.description import clip, described
from kintsugi.actions.events import events_about
from kintsugi.actions.live import Live
from kintsugi.actions.order import sorted_by
from kintsugi.actions.result import Result, of_objects
from kintsugi.commands.results import column_name
from kintsugi.errors import NotFound
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Describe, Get, ObjectName
from kintsugi.objects import facts
from kintsugi.objects.kept import Pod
from kintsugi.objects.resources import PODS, Resource


async def get(kube: KubeClient, command: Get) -> Result:
    """Read objects by name, or lists of one or several kinds. Raises NotFound in kubectl's words, for all at once."""
    if command.objects:
        items = await by_name(kube, command.objects, command.namespace, missing_ok=command.ignore_not_found)
        return of_objects(_ordered(items, command), named=len(command.objects), summary=summary(items))
    lists = await asyncio.gather(*(_list(kube, resource, command) for resource in command.resources))
    everything = [item for items in lists for item in items]
    if len(lists) == 1:
        return of_objects(_ordered(everything, command), named=0, summary=summary(everything))
    columns = {column_name(word): _ordered(items, command) for word, items in zip(command.words, lists, strict=True)}
    return Result(names=columns, summary=summary(everything))


async def by_name(
    kube: KubeClient, objects: Sequence[ObjectName], namespace: str | None, *, missing_ok: bool = False
) -> list[Live]:
    """Read named objects. Raises NotFound naming all that are missing, unless that is no matter."""
    found: list[Live] = []
    missing: list[str] = []
    for asked in objects:
        try:
            found.append(live.shown(await kube.get(asked.resource, asked.name, namespace)))
        except NotFound as error:
            missing.append(str(error))
    if missing and not missing_ok:
        raise NotFound("; ".join(missing), status=404, reason="NotFound")
    return found


async def _list(kube: KubeClient, resource: Resource, command: Get) -> list[Live]:
    namespace = command.namespace if resource.namespaced else None
    listing = await kube.list(resource, namespace, labels=command.labels, fields=command.fields)
    return [live.shown(item) for item in listing.items]


def _ordered(items: list[Live], command: Get) -> list[Live]:
    return sorted_by(items, command.sort_by) if command.sort_by else items


def summary(items: Sequence[Live]) -> str:
    """Say what was read in a line: kinds by number, pods by their status where it is not Running."""
    if not items:
        return "No resources found"
    kinds = Counter(live.text(item, "kind") or "object" for item in items)
    counted = [f"{number} {kind if number == 1 else f'{kind}s'}" for kind, number in kinds.items()]
    states = Counter(facts.status_of(live.kept(item, Pod)) for item in items if live.text(item, "kind") == PODS.kind)
    unusual = [f"{number} {state}" for state, number in states.items() if state != "Running"]
    return ", ".join([*counted, *unusual])


async def describe_objects(kube: KubeClient, command: Describe) -> Result:
    """Read objects with their Events, as text for a person."""
    if command.resource is None:
        items = await by_name(kube, command.objects, command.namespace or None)
        kinds = [asked.resource for asked in command.objects]
    else:
        lists = Get(resources=(command.resource,), namespace=command.namespace or None, labels=command.labels)
        items = await _list(kube, command.resource, lists)
        kinds = [command.resource] * len(items)
    texts = [await _description(kube, resource, item) for resource, item in zip(kinds, items, strict=True)]
    result = of_objects(items, named=len(command.objects), summary=summary(items))
    return replace(result, names={**result.names, "text": clip("\n\n".join(texts))})


async def _description(kube: KubeClient, resource: Resource, item: Live) -> str:
    # Events about what lives in no namespace are in `default`; they carry no uid that could be relied on.
    asked = replace(live.named(resource, item), uid=live.uid(item) if resource.namespaced else "")
    namespace = live.text(item, "metadata", "namespace") or "default"
    return await described(item, await events_about(kube, asked, namespace))
