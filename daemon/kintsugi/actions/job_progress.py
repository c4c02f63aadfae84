"""
Reads the progress of a worker from its Job's status and its pod's log.

The end that the log tells decides. Without one, the state in the cluster is used: a pod that does not start is waited
for, with its reason; for a pod that ended without a last line the progress is unknown. A log may quote megabytes of
foreign text: a large one is read in a thread.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from kintsugi.actions import api_objects
from kintsugi.actions.description import events_about
from kintsugi.actions.job_end import pods_of
from kintsugi.actions.pods import status_of_container
from kintsugi.durations import format_duration
from kintsugi.errors import Invalid, KubeError, NotFound
from kintsugi.kube.client import KubeClient
from kintsugi.offload import processed
from kubeobjects import unstructured
from kubeobjects.resources import JOBS, PODS
from kubeobjects.unstructured import Unstructured

_TAIL = 50
"""Lines that are read of a log that still grows."""

_MOST_READ = 16 * 1024 * 1024
_TIMEOUT = timedelta(seconds=30)
_STARTING = frozenset({"ContainerCreating", "PodInitializing"})
"""Reasons of a container that waits which say nothing: the Events know more."""


class WorkerStage(StrEnum):
    """The stage of a worker."""

    STARTING = "starting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STUCK = "stuck"
    LOST = "lost"


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerStatus:
    """
    The state of a worker. `names` are those that an expression sees, `why` says what it waits for or why it failed.

    STUCK: it is given up, though it may go on. LOST: it has ended, and its progress is unknown. `since` is when its Job was made.
    """

    stage: WorkerStage
    names: Mapping[str, object] = field(default_factory=dict)
    why: str = ""
    since: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LogContents:
    """The contents of a worker's log: the names for expressions, and the `end` that it tells, None for none yet, with `why`."""

    names: Mapping[str, object] = field(default_factory=dict)
    end: WorkerStage | None = None
    why: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerContainer:
    """The container of a Job that does its work, and the reader of its log."""

    name: str
    read_log: Callable[[bytes], LogContents]


async def read(kube: KubeClient, name: str, namespace: str, worker: WorkerContainer) -> WorkerStatus:
    """Return the state of a Job's worker. Raises KubeError."""
    try:
        job = await kube.get(JOBS, name, namespace)
    except NotFound:
        return WorkerStatus(stage=WorkerStage.LOST, why=f"job/{name} is gone: it was deleted")
    pods = await pods_of(kube, job)
    pod = pods[-1] if pods else None
    output = await _output(kube, pod, worker, whole=has_ended(job, pod, worker.name)) if pod is not None else b""
    since = datetime.fromisoformat(unstructured.nested_string(job, "metadata", "creationTimestamp"))
    contents = await processed(len(output), lambda: worker.read_log(output))
    status = replace(status_of(job, pod, worker.name, contents), since=since)
    if status.stage is not WorkerStage.STARTING:
        return status
    warning = await _warning(kube, job, pod)
    return replace(status, why="; ".join(dict.fromkeys(part for part in (status.why, warning) if part)))


def stuck_if_not_started(status: WorkerStatus, limit: timedelta, now: datetime) -> WorkerStatus:
    """Return a worker's state, STUCK with the reason when the worker has not started in time."""
    if status.since is None or now - status.since < limit:
        return status
    why = f"the worker has not started within {format_duration(limit)}: {status.why or 'for no stated reason'}"
    return replace(status, stage=WorkerStage.STUCK, why=why)


def status_of(job: Unstructured, pod: Unstructured | None, container: str, contents: LogContents) -> WorkerStatus:
    """Return the state of a worker by its Job, its newest pod and its log."""
    names = contents.names
    if contents.end is not None:
        return WorkerStatus(stage=contents.end, names=names, why=contents.why)
    status = status_of_container(pod, container) if pod is not None else {}
    if (ended := end_of(job)) is not None:
        return _ended_without_result(job, pod, ended, status, names)
    state = unstructured.nested_map(status, "state")
    if "running" in state or "terminated" in state:
        return WorkerStatus(stage=WorkerStage.RUNNING, names=names)
    return WorkerStatus(stage=WorkerStage.STARTING, names=names, why=_waits_for(pod, status))


def has_ended(job: Unstructured, pod: Unstructured, container: str) -> bool:
    """Return whether nothing more will be said."""
    return end_of(job) is not None or "terminated" in unstructured.nested_map(
        status_of_container(pod, container), "state"
    )


def end_of(job: Unstructured) -> Unstructured | None:
    """Return the condition by which a Job says that it has ended, well or not."""
    return next(
        (
            each
            for each in unstructured.nested_maps(job, "status", "conditions")
            if unstructured.nested_string(each, "type") in {"Complete", "Failed"}
            and unstructured.nested_string(each, "status") == "True"
        ),
        None,
    )


def _ended_without_result(
    job: Unstructured,
    pod: Unstructured | None,
    ended: Unstructured,
    status: Unstructured,
    names: Mapping[str, object],
) -> WorkerStatus:
    """Judge a Job that has ended without the worker's last line: surely nothing was done where it never ran."""
    output = unstructured.nested_string(ended, "message") or unstructured.nested_string(ended, "reason")
    terminated = unstructured.nested_map(status, "state", "terminated")
    reason = unstructured.nested_string(pod, "status", "reason") or unstructured.nested_string(terminated, "reason")
    code = unstructured.nested_field(terminated, "exitCode")
    parts = [
        output,
        reason,
        unstructured.nested_string(pod, "status", "message"),
        f"exit code {code}" if code is not None else "",
    ]
    parts += list(_init_container_errors(pod)) if pod is not None else []
    why = f"job/{unstructured.name(job)} has ended without the worker's last line ({'; '.join(filter(None, parts))})"
    never_ran = pod is not None and not terminated and not unstructured.nested_string(status, "containerID")
    return WorkerStatus(stage=WorkerStage.FAILED if never_ran else WorkerStage.LOST, names=names, why=why)


def _waits_for(pod: Unstructured | None, status: Unstructured) -> str:
    """Return the reason for which a pod does not run, as far as its status shows it."""
    if pod is None:
        return "it has no pod"
    waiting = unstructured.nested_map(status, "state", "waiting")
    if (reason := unstructured.nested_string(waiting, "reason")) and reason not in _STARTING:
        return ": ".join(filter(None, (reason, unstructured.nested_string(waiting, "message"))))
    if start_problems := list(_init_container_errors(pod)):
        return "; ".join(start_problems)
    for each in unstructured.nested_maps(pod, "status", "conditions"):
        if (
            unstructured.nested_string(each, "type") == "PodScheduled"
            and unstructured.nested_string(each, "status") == "False"
        ):
            return ": ".join(
                filter(None, (unstructured.nested_string(each, "reason"), unstructured.nested_string(each, "message")))
            )
    return ""


def _init_container_errors(pod: Unstructured) -> Iterator[str]:
    """Yield what is wrong with the containers that must run before the worker: a drill's server."""
    for status in unstructured.nested_maps(pod, "status", "initContainerStatuses"):
        waiting, ended = (unstructured.nested_map(status, "state", state) for state in ("waiting", "terminated"))
        reason = unstructured.nested_string(waiting, "reason")
        if reason and reason not in _STARTING:
            yield ": ".join(
                filter(
                    None,
                    (
                        unstructured.nested_string(status, "name"),
                        reason,
                        unstructured.nested_string(waiting, "message"),
                    ),
                )
            )
        code = unstructured.nested_field(ended, "exitCode")
        if code:
            output = unstructured.nested_string(ended, "message").strip() or unstructured.nested_string(ended, "reason")
            yield f"{unstructured.nested_string(status, 'name')} exited {code}: {output}"


async def _warning(kube: KubeClient, job: Unstructured, pod: Unstructured | None) -> str:
    """Return the newest warning among the Events about the pod, or about the Job that could not make one."""
    about = api_objects.named(PODS, pod) if pod is not None else api_objects.named(JOBS, job)
    try:
        found = await events_about(kube, about, unstructured.nested_string(job, "metadata", "namespace"))
    except KubeError as error:
        return f"its Events cannot be read: {error}"
    warnings = [each for each in found if unstructured.nested_string(each, "type") == "Warning"]
    return (
        f"{unstructured.nested_string(warnings[-1], 'reason')}: {unstructured.nested_string(warnings[-1], 'message')}"
        if warnings
        else ""
    )


async def _output(kube: KubeClient, pod: Unstructured, worker: WorkerContainer, *, whole: bool) -> bytes:
    """Read what a worker has said; where its log is gone, what the kubelet kept of its end."""
    status = status_of_container(pod, worker.name)
    if not unstructured.nested_string(status, "containerID"):
        return b""
    try:
        output = await _log(kube, pod, worker.name, whole=whole)
    except (NotFound, Invalid):
        output = b""
    output = output or unstructured.nested_string(status, "state", "terminated", "message").encode(errors="replace")
    # It has ended since the pod was read: what it said at first is to be told, too.
    if not whole and await processed(len(output), lambda: worker.read_log(output).end is not None):
        return await _output(kube, pod, worker, whole=True)
    return output


async def _log(kube: KubeClient, pod: Unstructured, container: str, *, whole: bool) -> bytes:
    chunks = kube.logs(
        unstructured.name(pod),
        unstructured.nested_string(pod, "metadata", "namespace"),
        container=container,
        tail=None if whole else _TAIL,
        limit_bytes=_MOST_READ,
        deadline=_TIMEOUT,
    )
    return b"".join([chunk async for chunk in chunks])
