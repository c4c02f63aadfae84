"""
`kubectl logs`: the lines of a pod, of the pods of a workload, or of those that a selector chooses.

Of a workload all pods are read, where kubectl takes the first: what is wrong stands in any of them.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from kintsugi.actions import live
from kintsugi.actions.live import Live
from kintsugi.actions.pods import default_container, pods_of, status_of_container
from kintsugi.actions.result import Result
from kintsugi.actions.scan import by_start, find
from kintsugi.actions.threads import LEAST_LINE, computed
from kintsugi.errors import Invalid, ProbeFailed
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Logs
from kintsugi.model.documents import Pattern, Severity
from kintsugi.objects.resources import PODS

_MOST_READ = 32 * 1024 * 1024
_MOST_KEPT = 1024 * 1024
_MOST_STREAMS = 50
# How the API server says that there is no log: of a container that has not started, of one before it that is collected.
_SILENT = ("is waiting to start", "does not have a host assigned", "previous terminated container")


@dataclass(frozen=True, slots=True)
class Stream:
    """One log: of a container of a pod. `start` is the container's id, "" where it is not sure."""

    pod: str
    container: str
    previous: bool = False
    start: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """What was read of a log; `cut`: its oldest part is left out."""

    lines: str
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """
    The lines of several logs, one after the other, each with the place of its stream among them.

    `size` is what they come to in characters, a short line counted as `LEAST_LINE`.
    """

    lines: list[str]
    origins: list[int]
    size: int
    summary: str


async def read(kube: KubeClient, command: Logs, *, within: timedelta) -> Result:
    """
    Read logs: `lines`, stream after stream, and `sources`, the pod of each line.

    With `follow` they are read until `within` has passed. Of all together the newest 1 MiB is kept, of each stream its
    share: what is wrong now stands at the end.
    """
    pods = await _pods(kube, command)
    streams = [
        Stream(live.name(pod), container, previous=command.previous)
        for pod in pods
        for container in _containers(pod, command)
    ]
    return _result(await _read(kube, command, streams, within), streams)


async def scan(kube: KubeClient, command: Logs, patterns: Iterable[Pattern], *, within: timedelta) -> Result:
    """
    Read logs for what is wrong: `findings` and `starts` beside what `read` gives.

    Where a container has restarted, the one before it is read first: it knows why. One that has not started has said
    nothing yet. A line is of a start (`start`) only where the container was the same before and after it was read.
    """
    streams = [stream for pod in await _pods(kube, command) for stream in _with_previous(pod, command)]
    said = await _read(kube, command, streams, within, lenient=True)
    after = {stream for pod in await _pods(kube, command) for stream in _with_previous(pod, command)}
    starts = [stream.start if stream in after else "" for stream in streams]
    result = _result(said, streams)
    pods = [streams[origin].pod for origin in said.origins]
    of = [starts[origin] for origin in said.origins]
    known = tuple(patterns)
    found = await computed(said.size, lambda: find(said.lines, pods, known, of))
    critical = sum(each["severity"] == Severity.CRITICAL for each in found)
    summary = f"{result.summary}; {len(found)} findings, {critical} of them critical"
    return Result(names={**result.names, "findings": found, "starts": by_start(found)}, summary=summary)


def _with_previous(pod: Live, command: Logs) -> Iterator[Stream]:
    for container in _containers(pod, command):
        status = status_of_container(pod, container)
        before = live.text(status, "lastState", "terminated", "containerID")
        # While a container waits to be started again, its log is still the one of the container before.
        present = live.text(status, "containerID")
        if live.number(status, "restartCount") > 0 and not command.previous:
            yield Stream(live.name(pod), container, previous=True, start=before)
        yield Stream(
            live.name(pod), container, previous=command.previous, start=before if command.previous else present
        )


def _result(said: Said, streams: Sequence[Stream]) -> Result:
    sources = [streams[origin].pod for origin in said.origins]
    return Result(names={"lines": said.lines, "sources": sources}, summary=said.summary)


async def _read(
    kube: KubeClient, command: Logs, streams: Sequence[Stream], within: timedelta, *, lenient: bool = False
) -> Said:
    if not streams:
        raise ProbeFailed(f"no pods to read the logs of ({command.object or command.labels} in {command.namespace})")
    if len(streams) > _MOST_STREAMS:
        raise ProbeFailed(
            f"{len(streams)} logs are too many to read at once: at most {_MOST_STREAMS}, narrow it with -l or -c"
        )
    share = _MOST_KEPT // len(streams)
    read_one = _said if lenient else _text
    texts = await asyncio.gather(*(read_one(kube, command, stream, share, within) for stream in streams))
    size = sum(len(text.lines) for text in texts)
    return await computed(size, lambda: _joined(texts, streams, share // LEAST_LINE, prefixed=command.prefix))


def _joined(texts: Sequence[Text], streams: Sequence[Stream], most: int, *, prefixed: bool) -> Said:
    """Put the lines of several logs one after the other, of each its newest `most`."""
    lines: list[str] = []
    origins: list[int] = []
    cut = any(text.cut for text in texts)
    for origin, (stream, text) in enumerate(zip(streams, texts, strict=True)):
        prefix = f"[pod/{stream.pod}/{stream.container}] " if prefixed else ""
        found = text.lines.rsplit("\n", most) if text.lines else []
        if len(found) > most:
            found, cut = found[1:], True
        lines += [prefix + line for line in found] if prefix else found
        origins += [origin] * len(found)
    left_out = ", the oldest left out" if cut else ""
    size = sum(max(LEAST_LINE, len(line)) for line in lines)
    return Said(lines, origins, size, f"{len(lines)} lines from {len(streams)} containers{left_out}")


async def _pods(kube: KubeClient, command: Logs) -> Sequence[Live]:
    if command.object is None:
        return (await kube.list(PODS, command.namespace, labels=command.labels)).items
    return await pods_of(kube, command.object, command.namespace)


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
    return [name] if (name := default_container(pod)) else []


async def _said(kube: KubeClient, command: Logs, stream: Stream, share: int, within: timedelta) -> Text:
    """Read a log that may not have begun, or be gone already."""
    try:
        return await _text(kube, command, stream, share, within)
    except Invalid as error:
        if any(words in str(error) for words in _SILENT):
            return Text("")
        raise


async def _text(kube: KubeClient, command: Logs, stream: Stream, share: int, within: timedelta) -> Text:
    chunks = kube.logs(
        stream.pod,
        command.namespace,
        container=stream.container,
        previous=stream.previous,
        since=command.since,
        tail=command.tail,
        timestamps=command.timestamps,
        follow=command.follow and not stream.previous,
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
