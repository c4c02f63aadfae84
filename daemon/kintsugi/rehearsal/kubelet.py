"""
The kubelets of all nodes: they start what is scheduled, watch over it, and stop what is deleted.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from kintsugi.objects import resources
from kintsugi.rehearsal.addresses import Addresses
from kintsugi.rehearsal.containers import Container, Obstacle, Phase, Surroundings
from kintsugi.rehearsal.control import Key
from kintsugi.rehearsal.faults import Ailment, Faults
from kintsugi.rehearsal.images import Images
from kintsugi.rehearsal.logs import PodLogs
from kintsugi.rehearsal.manifest import Json, deleting, dig, name_of, namespace_of, uid_of
from kintsugi.rehearsal.pod_status import pod_status, waiting_message
from kintsugi.rehearsal.recorder import Recorder
from kintsugi.rehearsal.registry import STATUS, Registry
from kintsugi.rehearsal.runtime.environment import ConfigError
from kintsugi.rehearsal.runtime.mounts import MountFailed, removed_with
from kintsugi.rehearsal.runtime.runtime import Runtime, Start
from kintsugi.rehearsal.store import Change, ChangeType

HOST: Final = "10.88.0.1"
OUTLIVED: Final = 0.02
"""Seconds until it is looked again whether the programs of a pod deleted without grace have ended."""


@dataclass(kw_only=True, slots=True)
class Sandbox:
    """What a kubelet knows of one pod; `stops_at` is set once it has been told to stop."""

    uid: str
    address: str
    containers: list[Container]
    stops_at: float | None = None


class Kubelet:
    """Bring pods to life and to their end."""

    def __init__(self, registry: Registry, images: Images, faults: Faults, logs: PodLogs, runtime: Runtime) -> None:
        self._registry = registry
        self._pace = runtime.pace
        self._images = images
        self._faults = faults
        self._logs = logs
        self._runtime = runtime
        self._events = Recorder(registry, "kubelet")
        self._addresses = Addresses()
        self._sandboxes: dict[Key, Sandbox] = {}

    def affected(self, change: Change) -> Iterable[Key]:
        """Look at every pod that changes."""
        gone = change.type is ChangeType.DELETED
        if change.resource == resources.PODS:
            if gone:
                self._logs.forget(uid_of(change.object))
                self._runtime.forget(uid_of(change.object))
            yield (namespace_of(change.object), name_of(change.object))
        if change.resource == resources.PVS and gone and removed_with(change.object):
            self._runtime.folders.remove_volume(change.object)

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
        if self._runtime.outlived(pod):
            return OUTLIVED
        sandbox = self._sandbox(key, pod)
        if deleting(pod):
            return self._stop(pod, sandbox)
        return self._run(pod, sandbox)

    def _sandbox(self, key: Key, pod: Json) -> Sandbox:
        sandbox = self._sandboxes.get(key)
        if sandbox is None or sandbox.uid != uid_of(pod):
            now = self._pace.clock()
            containers = [Container(name=each["name"], since=now) for each in pod["spec"]["containers"]]
            sandbox = Sandbox(uid=uid_of(pod), address=self._address(pod), containers=containers)
            self._sandboxes[key] = sandbox
        return sandbox

    def _address(self, pod: Json) -> str:
        """Give a pod its address: one that this machine can listen on when there is something to listen."""
        images = (self._images.find(each["image"]) for each in pod["spec"]["containers"])
        real = any(image is not None and image.program is not None for image in images)
        return self._addresses.loopback() if real else self._addresses.pod()

    def _run(self, pod: Json, sandbox: Sandbox) -> float | None:
        due = []
        for container in sandbox.containers:
            before = (container.phase, container.instance, container.last_exit, container.obstacle)
            due.append(container.advance(self._around(pod, container, sandbox)))
            if before != (container.phase, container.instance, container.last_exit, container.obstacle):
                started, exited = container.instance > before[1], container.last_exit is not before[2]
                self._tell(pod, container, started=started, exited=exited)
                if started:
                    self._start_program(pod, container, sandbox)
        status = pod_status(pod, sandbox.containers, HOST, sandbox.address, self._registry.now())
        self._registry.update(
            resources.PODS, namespace_of(pod), name_of(pod), lambda current: {**current, "status": status}, STATUS
        )
        return self._wait(due)

    def _wait(self, due: Iterable[float | None]) -> float | None:
        known = [moment for moment in due if moment is not None]
        return max(0.0, min(known) - self._pace.clock()) if known else None

    def _around(self, pod: Json, container: Container, sandbox: Sandbox) -> Surroundings:
        image = self._images.find(_spec(pod, container)["image"])
        running = self._runtime.find(uid_of(pod), container.name)
        return Surroundings(
            image=image,
            restart_policy=pod["spec"].get("restartPolicy", "Always"),
            crashing=self._faults.has(pod, Ailment.CRASH_LOOP),
            unready=self._faults.has(pod, Ailment.UNREADY),
            pace=self._pace,
            lived=None if running is None else running.lived,
            obstacle=self._obstacle(pod, container, sandbox),
        )

    def _obstacle(self, pod: Json, container: Container, sandbox: Sandbox) -> Obstacle | None:
        """Find what keeps a program that does not run from being started now."""
        start = self._start(pod, container, sandbox)
        if start is None or container.phase is Phase.RUNNING:
            return None
        try:
            self._runtime.check(start)
        except MountFailed as problem:
            return Obstacle(phase=Phase.CREATING, message=str(problem))
        except ConfigError as problem:
            return Obstacle(phase=Phase.CONFIG_FAILED, message=str(problem))
        return None

    def _start(self, pod: Json, container: Container, sandbox: Sandbox) -> Start | None:
        """Say how a container is started that has a program."""
        spec = _spec(pod, container)
        image = self._images.find(spec["image"])
        if image is None or image.program is None:
            return None
        return Start(
            pod=pod, container=spec, instance=container.instance, address=sandbox.address, program=image.program
        )

    def _start_program(self, pod: Json, container: Container, sandbox: Sandbox) -> None:
        start = self._start(pod, container, sandbox)
        if start is not None:
            self._runtime.start(start)

    def _tell(self, pod: Json, container: Container, *, started: bool, exited: bool) -> None:
        """Write events and logs of what has happened to a container."""
        image = str(_spec(pod, container)["image"])
        simulated = container.image is not None and container.image.program is None
        if exited and container.image is not None and container.last_exit is not None:
            ended = container.instance - 1 if container.phase is Phase.RUNNING else container.instance
            self._logs.write(pod, container.name, ended, *(container.image.last_words if simulated else ()))
            self._logs.end(pod, container.name, ended)
            if container.last_exit.code and _spec(pod, container).get("terminationMessagePolicy") != "File":
                message = self._logs.last_words(pod, container.name, ended)
                container.last_exit = replace(container.last_exit, message=message)
        if started and container.image is not None:
            self._logs.write(pod, container.name, container.instance, *(container.image.logs if simulated else ()))
            self._events.normal(resources.PODS, pod, "Started", f"Started container {container.name}")
        if container.phase is Phase.BACK_OFF:
            message = f"Back-off restarting failed container {container.name} in pod {name_of(pod)}"
            self._events.warning(resources.PODS, pod, "BackOff", message)
        if container.obstacle is not None:
            reason = "FailedMount" if container.obstacle.phase is Phase.CREATING else "Failed"
            self._events.warning(resources.PODS, pod, reason, container.obstacle.message)
        if container.phase is Phase.PULL_FAILED:
            message = f'Failed to pull image "{image}": {waiting_message(pod, container, image)}'
            self._events.warning(resources.PODS, pod, "Failed", message)
        if container.phase is Phase.PULL_BACK_OFF:
            self._events.normal(resources.PODS, pod, "BackOff", waiting_message(pod, container, image))

    def _stop(self, pod: Json, sandbox: Sandbox) -> float | None:
        if sandbox.stops_at is None:
            self._events.normal(resources.PODS, pod, "Killing", f"Stopping container {sandbox.containers[0].name}")
        self._runtime.stop(uid_of(pod))
        now, latest = self._pace.clock(), self._stopping_seconds(pod, sandbox)
        sandbox.stops_at = min(sandbox.stops_at or now + latest, now + latest)
        if sandbox.stops_at > now:
            return sandbox.stops_at - now
        if self._runtime.lives(uid_of(pod)):
            self._runtime.kill(uid_of(pod))
            return None
        self._registry.delete_now(resources.PODS, pod)
        return None

    def _stopping_seconds(self, pod: Json, sandbox: Sandbox) -> float:
        """
        Say how long a pod takes to stop: its grace period at most, and all of it when it ignores SIGTERM.

        A real program takes the time that it takes, and may take the whole of its grace period, whatever the pace.
        """
        grace = timedelta(seconds=pod["metadata"].get("deletionGracePeriodSeconds", 0))
        if self._runtime.lives(uid_of(pod)):
            return grace.total_seconds()
        if self._faults.has(pod, Ailment.IGNORES_SIGTERM):
            return self._pace.seconds(grace)
        images = [each.image for each in sandbox.containers if each.phase is Phase.RUNNING and each.image is not None]
        times = [grace if each.stops_after is None else each.stops_after for each in images if each.program is None]
        return self._pace.seconds(min(grace, max(times, default=timedelta(0))))


def _spec(pod: Json, container: Container) -> Json:
    return next(each for each in pod["spec"]["containers"] if each["name"] == container.name)
