"""
What containers have written: kept by pod, container and start, read as `pods/log` does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from kintsugi.rehearsal.manifest import Json, dig, micro_timestamp, name_of, uid_of
from kintsugi.rehearsal.pace import Pace
from kintsugi.rehearsal.status import bad_request


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line of a container's log."""

    time: datetime
    text: str


class PodLogs:
    """Keep and read logs; a container's start is an `instance`, counted from 1."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._lines: dict[tuple[str, str, int], list[Line]] = {}

    def write(self, pod: Json, container: str, instance: int, *texts: str) -> None:
        """Append lines to the log of one start of a container."""
        lines = self._lines.setdefault((uid_of(pod), container, instance), [])
        lines.extend(Line(time=self._pace.now(), text=text) for text in texts)

    def forget(self, pod_uid: str) -> None:
        """Drop what a pod has written, as the kubelet does with the pod."""
        for key in [key for key in self._lines if key[0] == pod_uid]:
            del self._lines[key]

    def read(self, pod: Json, query: Mapping[str, str]) -> str:
        """Give the log that a `pods/log` request asks for; raise ApiRefusal 400 when there is none."""
        container = container_of(pod, query.get("container", ""))
        instance = self._instance(pod, container, previous=query.get("previous") == "true")
        lines = self._lines.get((uid_of(pod), container, instance), [])
        if query.get("sinceSeconds"):
            oldest = self._pace.now() - timedelta(seconds=int(query["sinceSeconds"]))
            lines = [line for line in lines if line.time >= oldest]
        if query.get("tailLines"):
            count = int(query["tailLines"])
            lines = lines[-count:] if count else []
        stamped = query.get("timestamps") == "true"
        text = "".join(f"{micro_timestamp(each.time)} {each.text}\n" if stamped else f"{each.text}\n" for each in lines)
        limit = int(query.get("limitBytes") or len(text.encode()))
        return text.encode()[:limit].decode(errors="ignore")

    def _instance(self, pod: Json, container: str, *, previous: bool) -> int:
        statuses = dig(pod, "status", "containerStatuses", default=[])
        status: Json = next((each for each in statuses if each["name"] == container), {})
        latest = max((key[2] for key in self._lines if key[:2] == (uid_of(pod), container)), default=0)
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
    """Choose the container that a request means; raise ApiRefusal 400 when that cannot be told."""
    names: list[str] = [each["name"] for each in pod["spec"]["containers"]]
    if wanted and wanted not in names:
        raise bad_request(f"container {wanted} is not valid for pod {name_of(pod)}")
    if not wanted and len(names) > 1:
        choices = " ".join(names)
        raise bad_request(f"a container name must be specified for pod {name_of(pod)}, choose one of: [{choices}]")
    return wanted or names[0]
