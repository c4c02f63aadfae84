"""
Reads the progress of a worker from its Job's status and the lines of its pod's log.

The worker's own last line decides. Without one, the state in the cluster is used: a pod that does not start is waited
for, with its reason; for a pod that ended without a last line the progress is unknown. A log may quote megabytes of
foreign text: a large one is read in a thread.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec

from kintsugi.actions import job_effect
from kintsugi.actions.job_effect import JobStage, JobState, end_of, end_words, has_started, terminated, waits_for
from kintsugi.actions.pods import status_of_container
from kintsugi.durations import format_duration
from kintsugi.errors import Invalid, NotFound
from kintsugi.kube.client import KubeClient
from kintsugi.model.restores import Backup, Restored
from kintsugi.offload import processed
from kintsugi_restore.job_manifest import CONTAINER
from kintsugi_restore.worker_log import Note, WorkLine, decode, is_last
from kintsugi_restore.worker_results import Failed, LastLine, WorkProgress
from kubeobjects import unstructured
from kubeobjects.unstructured import Unstructured

_TAIL = 50
"""Lines that are read of a log that still grows."""

_MOST_READ = 16 * 1024 * 1024
_MOST_NOTES = 100
_MOST_TABLES = 2000
_TIMEOUT = timedelta(seconds=30)


async def read(kube: KubeClient, name: str, namespace: str) -> JobState:
    """Return the state of a Job's worker. Raises KubeError."""

    async def judge(job: Unstructured, pods: Sequence[Unstructured]) -> JobState:
        pod = pods[-1] if pods else None
        output = await _output(kube, pod, whole=has_ended(job, pod)) if pod is not None else b""
        return await processed(len(output), lambda: status_of(job, pod, lines_of(output)))

    return await job_effect.read(kube, name, namespace, judge)


def stuck_if_not_started(status: JobState, limit: timedelta, now: datetime) -> JobState:
    """Return a worker's state, STUCK with the reason when the worker has not started in time."""
    if status.since is None or now - status.since < limit:
        return status
    why = f"the worker has not started within {format_duration(limit)}: {status.why or 'for no stated reason'}"
    return replace(status, stage=JobStage.STUCK, why=why)


def status_of(job: Unstructured, pod: Unstructured | None, lines: Sequence[WorkLine]) -> JobState:
    """Return the state of a worker by its Job, its newest pod and its lines."""
    names = names_of(lines)
    last = next((line for line in reversed(lines) if isinstance(line, LastLine)), None)
    if isinstance(last, Failed):
        return JobState(stage=JobStage.FAILED, names=names, why=last.reason)
    if last is not None:
        return JobState(stage=JobStage.DONE, names=names)
    if end_of(job) is not None:
        return _ended_without_result(job, pod, names)
    if has_started(pod):
        return JobState(stage=JobStage.RUNNING, names=names)
    return JobState(stage=JobStage.STARTING, names=names, why=waits_for(pod))


def names_of(lines: Sequence[WorkLine]) -> Mapping[str, object]:
    """Return what an expression sees of a worker's lines: the newest progress, all notes, the result."""
    notes = [line.text for line in lines if isinstance(line, Note)]
    names: dict[str, object] = {"notes": notes[-_MOST_NOTES:]}
    for line in lines:
        match line:
            case WorkProgress():
                names["done"] = _shown(line)
            case Backup():
                names["backup"] = _shown(line)
            case Restored():
                names["restored"] = _shown(_bounded(line))
            case Note() | Failed():
                pass
    return names


def has_ended(job: Unstructured, pod: Unstructured) -> bool:
    """Return whether nothing more will be said."""
    return end_of(job) is not None or "terminated" in unstructured.nested_map(
        status_of_container(pod, CONTAINER), "state"
    )


def _ended_without_result(job: Unstructured, pod: Unstructured | None, names: Mapping[str, object]) -> JobState:
    """Judge a Job that has ended without the worker's last line: surely nothing was done where it never ran."""
    status = status_of_container(pod, CONTAINER) if pod is not None else {}
    why = f"job/{unstructured.name(job)} has ended without the worker's last line ({'; '.join(end_words(job, pod))})"
    never_ran = pod is not None and not terminated(pod) and not unstructured.nested_string(status, "containerID")
    return JobState(stage=JobStage.FAILED if never_ran else JobStage.LOST, names=names, why=why)


def lines_of(output: bytes) -> list[WorkLine]:
    """Return the lines of a log that are a worker's; JSON may hold what else Python takes for the end of a line."""
    return [line for each in output.decode(errors="replace").split("\n") if each and (line := decode(each)) is not None]


async def _output(kube: KubeClient, pod: Unstructured, *, whole: bool) -> bytes:
    """Read what a worker has said; where its log is gone, what the kubelet kept of its end."""
    status = status_of_container(pod, CONTAINER)
    if not unstructured.nested_string(status, "containerID"):
        return b""
    try:
        output = await _log(kube, pod, whole=whole)
    except (NotFound, Invalid):
        output = b""
    output = output or unstructured.nested_string(status, "state", "terminated", "message").encode(errors="replace")
    # It has ended since the pod was read: what it said at first is to be told, too.
    if not whole and await processed(len(output), lambda: any(is_last(line) for line in lines_of(output))):
        return await _output(kube, pod, whole=True)
    return output


async def _log(kube: KubeClient, pod: Unstructured, *, whole: bool) -> bytes:
    chunks = kube.logs(
        unstructured.name(pod),
        unstructured.nested_string(pod, "metadata", "namespace"),
        container=CONTAINER,
        tail=None if whole else _TAIL,
        limit_bytes=_MOST_READ,
        deadline=_TIMEOUT,
    )
    return b"".join([chunk async for chunk in chunks])


def _shown(output: WorkProgress | Backup | Restored) -> Mapping[str, object]:
    """Return what was said as an expression sees it; what is not known is absent."""
    fields = msgspec.to_builtins(output, builtin_types=(datetime,))
    assert isinstance(fields, dict), fields
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in fields.items() if value is not None
    }


def _bounded(restored: Restored) -> Restored:
    """Keep the largest tables, so that the result of a step fits the ledger."""
    largest = sorted(restored.tables, key=lambda table: table.rows, reverse=True)[:_MOST_TABLES]
    return replace(restored, tables=tuple(sorted(largest, key=lambda table: table.name)))
