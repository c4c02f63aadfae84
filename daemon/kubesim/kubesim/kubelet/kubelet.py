"""The kubelets of all nodes: they start scheduled pods, monitor them, and stop deleted ones."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from kubeobjects import resources
from kubeobjects.quantities import quantity
from kubesim.controllers.control import Controller, Key
from kubesim.controllers.recorder import Recorder
from kubesim.faults import Faults, PodFault
from kubesim.images import Images
from kubesim.kubelet.containers import Container, ContainerContext, Phase, WaitingState
from kubesim.kubelet.pod_status import PendingResize, pod_status, refusal, resources_of, waiting_message, with_allocated
from kubesim.manifest import Json, containers_of, deleting, dig, name_of, namespace_of, uid_of
from kubesim.runtime.environment import ConfigError
from kubesim.runtime.logs import PodLogs
from kubesim.runtime.mounts import MountFailed, removed_with
from kubesim.runtime.runtime import Runtime, Start
from kubesim.storage.addresses import HOST, Addresses
from kubesim.storage.registry import Registry
from kubesim.storage.store import Change, ChangeType

RESIZE_RETRY: Final = timedelta(seconds=3)
"""The delay before a retry of changed resources that the node did not have."""

ENDED: Final = ("Succeeded", "Failed")

OUTLIVED: Final = 0.02
"""Seconds until it is looked again whether the programs of a pod deleted without grace have ended."""


@dataclass(kw_only=True, slots=True)
class Sandbox:
    """
    The kubelet's state of one pod; `stops_at` is set once it is being stopped.

    `allocated` are the resources that its containers have, `pending` is the reason for which a change of them is not
    applied.
    """

    uid: str
    address: str
    containers: list[Container]
    allocated: Mapping[str, Json]
    pending: PendingResize | None = None
    stops_at: float | None = None

    @property
    def is_over(self) -> bool:
        """Return whether the pod's own containers have all ended for good; its sidecars are stopped then."""
        return all(each.phase is Phase.EXITED for each in self.containers if not each.initialises)

    def may_start(self, container: Container) -> bool:
        """Return whether all that initialise the pod before a container let it start for the first time."""
        before = self.containers[: self.containers.index(container)]
        return container.instance > 0 or all(each.lets_on for each in before if each.initialises)


class Kubelet(Controller):
    """Bring pods to life and to their end."""

    def __init__(self, registry: Registry, images: Images, faults: Faults, logs: PodLogs, runtime: Runtime) -> None:
        super().__init__(registry)
        self._time = runtime.time
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
        pod = self._store.get(resources.PODS, *key)
        if pod is None:
            self._sandboxes.pop(key, None)
            return None
        node = dig(pod, "spec", "nodeName", default="")
        if self._store.get(resources.NODES, None, node) is None or self._faults.is_down(node):
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
            now = self._time.clock()
            containers = _containers(pod, now)
            sandbox = Sandbox(
                uid=uid_of(pod), address=self._address(pod), containers=containers, allocated=resources_of(pod)
            )
            self._sandboxes[key] = sandbox
        return sandbox

    def _address(self, pod: Json) -> str:
        """Return a pod its address: one that this machine can listen on when there is something to listen."""
        images = (self._images.find(each["image"]) for each in containers_of(pod))
        real = any(image is not None and image.program is not None for image in images)
        return self._addresses.loopback() if real else self._addresses.pod()

    def _allocate(self, pod: Json, sandbox: Sandbox) -> float | None:
        """Take what is asked for now, if the node has it; return when to look again where it may have it later."""
        sandbox.pending = None
        if (asked := resources_of(pod)) == sandbox.allocated:
            return None
        node = self._store.get(resources.NODES, None, pod["spec"]["nodeName"]) or {}
        others = (each for each in self._store.list(resources.PODS) if uid_of(each) != uid_of(pod))
        beside = [each for each in others if dig(each, "spec", "nodeName") == pod["spec"]["nodeName"]]
        sandbox.pending = refusal(pod, node, [each for each in beside if dig(each, "status", "phase") not in ENDED])
        if sandbox.pending is None:
            sandbox.allocated = asked
            return None
        return self._time.clock() + self._time.seconds(RESIZE_RETRY)

    def _run(self, pod: Json, sandbox: Sandbox) -> float | None:
        due = [self._allocate(pod, sandbox)]
        for container in sandbox.containers:
            before = (container.phase, container.instance, container.last_exit, container.waiting)
            due.append(container.advance(self._context(pod, container, sandbox)))
            if before != (container.phase, container.instance, container.last_exit, container.waiting):
                started, exited = container.instance > before[1], container.last_exit is not before[2]
                self._record_events(pod, container, started=started, exited=exited)
                if started:
                    self._start_program(pod, container, sandbox)
        starved = any(self._is_starved(pod, each, sandbox) for each in sandbox.containers)
        if starved or self._faults.has(pod, PodFault.CRASH_LOOP):
            self._runtime.kill(uid_of(pod))
        if sandbox.is_over:
            self._runtime.stop(uid_of(pod))
        given = with_allocated(pod, sandbox.allocated)
        status = pod_status(given, sandbox.containers, (HOST, sandbox.address), self._registry.now(), sandbox.pending)
        self._registry.set_status(resources.PODS, pod, status)
        return self._wait(due)

    def _wait(self, due: Iterable[float | None]) -> float | None:
        known = [moment for moment in due if moment is not None]
        return max(0.0, min(known) - self._time.clock()) if known else None

    def _context(self, pod: Json, container: Container, sandbox: Sandbox) -> ContainerContext:
        image = self._images.find(_spec(pod, container)["image"])
        running = self._runtime.find(uid_of(pod), container.name)
        return ContainerContext(
            image=image,
            restart_policy=_restart_policy(pod, container, sandbox),
            crashing=self._faults.has(pod, PodFault.CRASH_LOOP),
            unready=self._faults.has(pod, PodFault.UNREADY),
            starved=self._is_starved(pod, container, sandbox),
            time=self._time,
            run=None if running is None else running.run,
            waiting=self._waiting(pod, container, sandbox),
        )

    def _is_starved(self, pod: Json, container: Container, sandbox: Sandbox) -> bool:
        """Return whether the kernel ends a container for its memory."""
        limit = dig(sandbox.allocated.get(container.name), "limits", "memory")
        return limit is not None and quantity(limit) < self._faults.memory_needed(uid_of(pod))

    def _waiting(self, pod: Json, container: Container, sandbox: Sandbox) -> WaitingState | None:
        """Find what keeps a container that does not run from being started now."""
        if not sandbox.may_start(container):
            return WaitingState(phase=Phase.INITIALISING)
        start = self._start(pod, container, sandbox)
        if start is None or container.phase is Phase.RUNNING:
            return None
        try:
            self._runtime.check(start)
        except MountFailed as problem:
            return WaitingState(phase=Phase.CREATING, message=str(problem))
        except ConfigError as problem:
            return WaitingState(phase=Phase.CONFIG_FAILED, message=str(problem))
        return None

    def _start(self, pod: Json, container: Container, sandbox: Sandbox) -> Start | None:
        """Return how a container is started that has a program."""
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

    def _record_events(self, pod: Json, container: Container, *, started: bool, exited: bool) -> None:
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
        if container.waiting is not None and container.waiting.message:
            reason = "FailedMount" if container.waiting.phase is Phase.CREATING else "Failed"
            self._events.warning(resources.PODS, pod, reason, container.waiting.message)
        if container.phase is Phase.PULL_FAILED:
            message = f'Failed to pull image "{image}": {waiting_message(pod, container, image)}'
            self._events.warning(resources.PODS, pod, "Failed", message)
        if container.phase is Phase.PULL_BACK_OFF:
            self._events.normal(resources.PODS, pod, "BackOff", waiting_message(pod, container, image))

    def _stop(self, pod: Json, sandbox: Sandbox) -> float | None:
        if sandbox.stops_at is None:
            self._events.normal(resources.PODS, pod, "Killing", f"Stopping container {sandbox.containers[0].name}")
        self._runtime.stop(uid_of(pod))
        now, latest = self._time.clock(), self._stopping_seconds(pod, sandbox)
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
        Return how long a pod takes to stop: its grace period at most, and all of it when it ignores SIGTERM.

        A real program takes the time that it takes, and may take the whole of its grace period, whatever the speed.
        """
        grace = timedelta(seconds=pod["metadata"].get("deletionGracePeriodSeconds", 0))
        if self._runtime.lives(uid_of(pod)):
            return grace.total_seconds()
        if self._faults.has(pod, PodFault.IGNORES_SIGTERM):
            return self._time.seconds(grace)
        images = [each.image for each in sandbox.containers if each.phase is Phase.RUNNING and each.image is not None]
        times = [grace if each.stops_after is None else each.stops_after for each in images if each.program is None]
        return self._time.seconds(min(grace, max(times, default=timedelta(0))))


def _spec(pod: Json, container: Container) -> Json:
    return next(each for each in containers_of(pod) if each["name"] == container.name)


def _containers(pod: Json, now: float) -> list[Container]:
    first = [
        Container(name=each["name"], since=now, initialises=True, sidecar=each.get("restartPolicy") == "Always")
        for each in dig(pod, "spec", "initContainers", default=())
    ]
    return [*first, *(Container(name=each["name"], since=now) for each in pod["spec"]["containers"])]


def _restart_policy(pod: Json, container: Container, sandbox: Sandbox) -> str:
    """Return when a container is started again: a sidecar whenever it ends, until the pod's own containers have ended."""
    policy = str(pod["spec"].get("restartPolicy", "Always"))
    if container.sidecar:
        return "Never" if sandbox.is_over else "Always"
    return "OnFailure" if container.initialises and policy == "Always" else policy
