"""
`kubectl logs`: the lines of a pod, of the pods of a workload, or of those that a selector chooses.

Of a workload all pods are read, where kubectl takes the first: what is wrong stands in any of them.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from kintsugi.actions import live
from kintsugi.actions.live import Live
from kintsugi.actions.result import Result
from kintsugi.errors import NotFound, ProbeFailed
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Logs
from kintsugi.objects.kept import LabelSelector
from kintsugi.objects.resources import PODS
from kintsugi.objects.selectors import Selector

_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
_MOST_READ = 32 * 1024 * 1024
_MOST_KEPT = 1024 * 1024
_MOST_STREAMS = 50


@dataclass(frozen=True, slots=True)
class Stream:
    """One log: of a container of a pod."""

    pod: str
    container: str


@dataclass(frozen=True, slots=True)
class Text:
    """What was read of a log; `cut`: its oldest part is left out."""

    lines: str
    cut: bool = False


async def read(kube: KubeClient, command: Logs, *, within: timedelta) -> Result:
    """
    Read logs: `lines`, stream after stream, and `sources`, the pod of each line.

    With `follow` they are read until `within` has passed. Of all together the newest 1 MiB is kept, of each stream its
    share: what is wrong now stands at the end.
    """
    pods = await _pods(kube, command)
    streams = [Stream(live.name(pod), container) for pod in pods for container in _containers(pod, command)]
    if not streams:
        raise ProbeFailed(f"no pods to read the logs of ({command.object or command.labels} in {command.namespace})")
    if len(streams) > _MOST_STREAMS:
        raise ProbeFailed(
            f"{len(streams)} logs are too many to read at once: at most {_MOST_STREAMS}, narrow it with -l or -c"
        )
    share = _MOST_KEPT // len(streams)
    texts = await asyncio.gather(*(_text(kube, command, stream, share, within) for stream in streams))
    lines: list[str] = []
    sources: list[str] = []
    for stream, text in zip(streams, texts, strict=True):
        prefix = f"[pod/{stream.pod}/{stream.container}] " if command.prefix else ""
        found = [prefix + line for line in text.lines.split("\n")] if text.lines else []
        lines += found
        sources += [stream.pod] * len(found)
    cut = ", the oldest left out" if any(text.cut for text in texts) else ""
    summary = f"{len(lines)} lines from {len(streams)} containers{cut}"
    return Result(names={"lines": lines, "sources": sources}, summary=summary)


async def _pods(kube: KubeClient, command: Logs) -> Sequence[Live]:
    asked = command.object
    if asked is None:
        return (await kube.list(PODS, command.namespace, labels=command.labels)).items
    obj = await kube.get(asked.resource, asked.name, command.namespace)
    if asked.uid and live.uid(obj) != asked.uid:
        raise NotFound(f"{asked} (uid {asked.uid}) is gone: another one has its name", status=404)
    if asked.resource == PODS:
        return [obj]
    selector = Selector.of(live.kept(live.mapping(obj, "spec", "selector"), LabelSelector))
    return (await kube.list(PODS, command.namespace, labels=str(selector))).items


def _containers(pod: Live, command: Logs) -> list[str]:
    """Name the containers whose logs are wanted; without -c kubectl's default: the annotated one, else the first."""
    if command.container:
        return [command.container]
    spec = live.mapping(pod, "spec")
    main = [live.text(each, "name") for each in live.entries(spec, "containers")]
    if command.all_containers:
        others = [live.entries(spec, kind) for kind in ("initContainers", "ephemeralContainers")]
        first, last = ([live.text(each, "name") for each in kind] for kind in others)
        return [*first, *main, *last]
    marked = live.text(pod, "metadata", "annotations", _DEFAULT_CONTAINER)
    return [marked] if marked in main else main[:1]


async def _text(kube: KubeClient, command: Logs, stream: Stream, share: int, within: timedelta) -> Text:
    chunks = kube.logs(
        stream.pod,
        command.namespace,
        container=stream.container,
        previous=command.previous,
        since=command.since,
        tail=command.tail,
        timestamps=command.timestamps,
        follow=command.follow,
        limit_bytes=_MOST_READ,
        deadline=within,
    )
    kept, read = bytearray(), 0
    async for chunk in chunks:
        kept += chunk
        read += len(chunk)
        if len(kept) > 2 * share:
            del kept[:-share]
    text = bytes(kept[-share:]).decode(errors="replace").removesuffix("\n")
    # The first line of what was cut is a piece of one.
    return Text(text.partition("\n")[2], cut=True) if read > share else Text(text)
