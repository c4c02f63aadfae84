"""
The kubelets of all nodes: they start what is scheduled, watch over it, and stop what is deleted.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from kintsugi.objects import resources
from kintsugi.rehearsal.addresses import Addresses
from kintsugi.rehearsal.containers import Container, Phase, Surroundings
from kintsugi.rehearsal.control import Key
from kintsugi.rehearsal.faults import Ailment, Faults
from kintsugi.rehearsal.images import Images
from kintsugi.rehearsal.logs import PodLogs
from kintsugi.rehearsal.manifest import Json, deleting, dig, name_of, namespace_of, uid_of
from kintsugi.rehearsal.pace import Pace
from kintsugi.rehearsal.pod_status import pod_status, waiting_message
from kintsugi.rehearsal.recorder import Recorder
from kintsugi.rehearsal.registry import STATUS, Registry
from kintsugi.rehearsal.store import Change, ChangeType

HOST: Final = "10.88.0.1"


@dataclass(kw_only=True, slots=True)
class Sandbox:
    """What a kubelet knows of one pod; `stops_at` is set once it has been told to stop."""

    uid: str
    address: str
    containers: list[Container]
    stops_at: float | None = None


class Kubelet:
    """Bring pods to life and to their end."""

    def __init__(self, registry: Registry, pace: Pace, images: Images, faults: Faults, logs: PodLogs) -> None:
        self._registry = registry
        self._pace = pace
        self._images = images
        self._faults = faults
        self._logs = logs
        self._events = Recorder(registry, "kubelet")
        self._addresses = Addresses()
        self._sandboxes: dict[Key, Sandbox] = {}

    def affected(self, change: Change) -> Iterable[Key]:
        """Look at every pod that changes."""
        if change.resource == resources.PODS:
            if change.type is ChangeType.DELETED:
                self._logs.forget(uid_of(change.object))
            yield (namespace_of(change.object), name_of(change.object))

    def known(self) -> Iterable[Key]:
        """Name every pod that is known."""
        return tuple(self._sandboxes)

    def reconcile(self, key: Key) -> float | None:
        """Advance one pod."""
        pod = self._registry.store.get(resources.PODS, *key)
        if pod is None:
            self._sandboxes.pop(key, None)
            return None
        node = dig(pod, "spec", "nodeName", default="")
        if self._registry.store.get(resources.NODES, None, node) is None or self._faults.is_down(node):
            return None
        sandbox = self._sandbox(key, pod)
        if deleting(pod):
            return self._stop(pod, sandbox)
        return self._run(pod, sandbox)

    def _sandbox(self, key: Key, pod: Json) -> Sandbox:
        sandbox = self._sandboxes.get(key)
        if sandbox is None or sandbox.uid != uid_of(pod):
            now = self._pace.clock()
            containers = [Container(name=each["name"], since=now) for each in pod["spec"]["containers"]]
            sandbox = Sandbox(uid=uid_of(pod), address=self._addresses.pod(), containers=containers)
            self._sandboxes[key] = sandbox
        return sandbox

    def _run(self, pod: Json, sandbox: Sandbox) -> float | None:
        due = []
        for container in sandbox.containers:
            before = (container.phase, container.instance, container.last_exit)
            due.append(container.advance(self._around(pod, container.name)))
            if before != (container.phase, container.instance, container.last_exit):
                self._tell(
                    pod, container, started=container.instance > before[1], exited=container.last_exit is not before[2]
                )
        status = pod_status(pod, sandbox.containers, HOST, sandbox.address, self._registry.now())
        self._registry.update(
            resources.PODS, namespace_of(pod), name_of(pod), lambda current: {**current, "status": status}, STATUS
        )
        return self._wait(due)

    def _wait(self, due: Iterable[float | None]) -> float | None:
        known = [moment for moment in due if moment is not None]
        return max(0.0, min(known) - self._pace.clock()) if known else None

    def _around(self, pod: Json, container: str) -> Surroundings:
        return Surroundings(
            image=self._images.find(_image(pod, container)),
            restart_policy=pod["spec"].get("restartPolicy", "Always"),
            crashing=self._faults.has(pod, Ailment.CRASH_LOOP),
            unready=self._faults.has(pod, Ailment.UNREADY),
            pace=self._pace,
        )

    def _tell(self, pod: Json, container: Container, *, started: bool, exited: bool) -> None:
        """Write events and logs of what has happened to a container."""
        image = _image(pod, container.name)
        if exited and container.image is not None:
            ended = container.instance - 1 if container.phase is Phase.RUNNING else container.instance
            self._logs.write(pod, container.name, ended, *container.image.last_words)
        if started and container.image is not None:
            self._logs.write(pod, container.name, container.instance, *container.image.logs)
            self._events.normal(resources.PODS, pod, "Started", f"Started container {container.name}")
        if container.phase is Phase.BACK_OFF:
            message = f"Back-off restarting failed container {container.name} in pod {name_of(pod)}"
            self._events.warning(resources.PODS, pod, "BackOff", message)
        if container.phase is Phase.PULL_FAILED:
            message = f'Failed to pull image "{image}": {waiting_message(pod, container, image)}'
            self._events.warning(resources.PODS, pod, "Failed", message)
        if container.phase is Phase.PULL_BACK_OFF:
            self._events.normal(resources.PODS, pod, "BackOff", waiting_message(pod, container, image))

    def _stop(self, pod: Json, sandbox: Sandbox) -> float | None:
        if sandbox.stops_at is None:
            self._events.normal(resources.PODS, pod, "Killing", f"Stopping container {sandbox.containers[0].name}")
        now, latest = self._pace.clock(), self._pace.seconds(self._stopping_time(pod, sandbox))
        sandbox.stops_at = min(sandbox.stops_at or now + latest, now + latest)
        if sandbox.stops_at > now:
            return sandbox.stops_at - now
        self._registry.delete_now(resources.PODS, pod)
        return None

    def _stopping_time(self, pod: Json, sandbox: Sandbox) -> timedelta:
        """Say how long a pod takes to stop: its grace period at most, and all of it when it ignores SIGTERM."""
        grace = timedelta(seconds=pod["metadata"].get("deletionGracePeriodSeconds", 0))
        images = [each.image for each in sandbox.containers if each.phase is Phase.RUNNING and each.image is not None]
        if self._faults.has(pod, Ailment.IGNORES_SIGTERM):
            return grace
        return min(
            grace, max((grace if each.stops_after is None else each.stops_after for each in images), default=grace * 0)
        )


def _image(pod: Json, container: str) -> str:
    return next(str(each["image"]) for each in pod["spec"]["containers"] if each["name"] == container)
