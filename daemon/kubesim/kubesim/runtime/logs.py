"""The logs of containers: kept by pod, container and start, read and followed as by `pods/log`."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from kubesim.cluster_time import ClusterTime
from kubesim.manifest import Json, containers_of, dig, micro_timestamp, name_of, statuses_of, uid_of
from kubesim.storage.status import bad_request

MOST_LINES: Final = 20_000
"""Lines of one start that are kept; the oldest are dropped, as a kubelet rotates its files."""

LAST_LINES: Final = 80
LAST_BYTES: Final = 2048
"""The most bytes of a log that the kubelet copies into the status of a pod (`FallbackToLogsOnError`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line of a container's log."""

    time: datetime
    text: str


@dataclass(kw_only=True, slots=True)
class Log:
    """The log of one start of a container; `dropped` counts the lines that are kept no longer."""

    lines: list[Line] = field(default_factory=list)
    dropped: int = 0
    ended: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def extend(self, lines: Iterable[Line]) -> None:
        """Append lines, and notify the followers."""
        self.lines.extend(lines)
        excess = max(0, len(self.lines) - MOST_LINES)
        del self.lines[:excess]
        self.dropped += excess
        self.notify()

    def end(self) -> None:
        """Mark the end of the log, and notify the followers."""
        self.ended = True
        self.notify()

    def notify(self) -> None:
        """Wake the followers."""
        self.changed.set()
        self.changed = asyncio.Event()


class PodLogs:
    """Keep and read logs; a container's start is an `instance`, counted from 1."""

    def __init__(self, time: ClusterTime) -> None:
        self._time = time
        self._logs: dict[tuple[str, str, int], Log] = {}

    def write(self, pod: Json, container: str, instance: int, *texts: str) -> None:
        """Append lines to the log of one start of a container."""
        log = self._logs.setdefault((uid_of(pod), container, instance), Log())
        log.extend(Line(time=self._time.now(), text=text) for text in texts)

    def last_words(self, pod: Json, container: str, instance: int) -> str:
        """Return the end of the log of one start, as it is copied into the status of a pod that asks for it."""
        log = self._logs.get((uid_of(pod), container, instance)) or Log()
        text = "".join(f"{line.text}\n" for line in log.lines[-LAST_LINES:])
        return text.encode()[-LAST_BYTES:].decode(errors="ignore")

    def end(self, pod: Json, container: str, instance: int) -> None:
        """Note that one start of a container writes no more."""
        log = self._logs.get((uid_of(pod), container, instance))
        if log is not None:
            log.end()

    def forget(self, pod_uid: str) -> None:
        """Drop what a pod has written, as the kubelet does with the pod."""
        for key in [key for key in self._logs if key[0] == pod_uid]:
            self._logs.pop(key).end()

    def read(self, pod: Json, query: Mapping[str, str]) -> str:
        """Return the log that a `pods/log` request asks for; raise ApiRefusal 400 when it has none."""
        log = self._find(pod, query)
        return _bounded(_written(self._chosen(log.lines, query), query), query)

    async def follow(self, pod: Json, query: Mapping[str, str]) -> AsyncIterator[str]:
        """Yield what `read` does, then what is written from now on, until the container ends; raise ApiRefusal 400."""
        log = self._find(pod, query)
        left = int(query["limitBytes"]) if query.get("limitBytes") else None
        known, text = log.dropped + len(log.lines), _written(self._chosen(log.lines, query), query)
        while True:
            if left is not None:
                text = text.encode()[:left].decode(errors="ignore")
                left -= len(text.encode())
            yield text
            if left == 0:
                return
            while log.dropped + len(log.lines) == known:
                if log.ended:
                    return
                await log.changed.wait()
            text = _written(log.lines[max(0, known - log.dropped) :], query)
            known = log.dropped + len(log.lines)

    def _chosen(self, lines: Sequence[Line], query: Mapping[str, str]) -> Sequence[Line]:
        if query.get("sinceSeconds"):
            oldest = self._time.now() - timedelta(seconds=int(query["sinceSeconds"]))
            lines = [line for line in lines if line.time >= oldest]
        if query.get("tailLines"):
            count = int(query["tailLines"])
            lines = lines[-count:] if count else []
        return lines

    def _find(self, pod: Json, query: Mapping[str, str]) -> Log:
        container = container_of(pod, query.get("container", ""))
        instance = self._instance(pod, container, previous=query.get("previous") == "true")
        return self._logs.get((uid_of(pod), container, instance)) or Log(ended=True)

    def _instance(self, pod: Json, container: str, *, previous: bool) -> int:
        status: Json = next((each for each in statuses_of(pod) if each["name"] == container), {})
        latest = max((key[2] for key in self._logs if key[:2] == (uid_of(pod), container)), default=0)
        if previous:
            wanted = latest - 1 if "waiting" not in status.get("state", {}) else latest
            if wanted < 1:
                message = f'previous terminated container "{container}" in pod "{name_of(pod)}" not found'
                raise bad_request(message)
            return wanted
        if latest == 0:
            reason = dig(status, "state", "waiting", "reason", default="ContainerCreating")
            raise bad_request(f'container "{container}" in pod "{name_of(pod)}" is waiting to start: {reason}')
        return latest


def container_of(pod: Json, wanted: str) -> str:
    """Choose the container that a request means; raise ApiRefusal 400 when that is not clear."""
    names: list[str] = [each["name"] for each in pod["spec"]["containers"]]
    if wanted and wanted not in [each["name"] for each in containers_of(pod)]:
        raise bad_request(f"container {wanted} is not valid for pod {name_of(pod)}")
    if not wanted and len(names) > 1:
        choices = " ".join(names)
        raise bad_request(f"a container name must be specified for pod {name_of(pod)}, choose one of: [{choices}]")
    return wanted or names[0]


def _written(lines: Iterable[Line], query: Mapping[str, str]) -> str:
    if query.get("timestamps") == "true":
        return "".join(f"{micro_timestamp(each.time)} {each.text}\n" for each in lines)
    return "".join(f"{each.text}\n" for each in lines)


def _bounded(text: str, query: Mapping[str, str]) -> str:
    limit = int(query.get("limitBytes") or len(text.encode()))
    return text.encode()[:limit].decode(errors="ignore")
