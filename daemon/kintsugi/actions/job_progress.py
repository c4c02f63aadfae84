"""
How far a worker is: read from its Job's status and the lines of its pod's log, by whoever watches it now.

The worker's own last line decides. Where there is none, what the cluster says tells why: a pod that does not start is
waited for, and its reason is told; of a pod that ended without a word nobody knows how far it came.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from kintsugi.actions import live
from kintsugi.actions.events import events_about
from kintsugi.actions.job_end import pods_of
from kintsugi.actions.job_manifest import CONTAINER
from kintsugi.actions.live import Live
from kintsugi.actions.pods import status_of_container
from kintsugi.durations import format_duration
from kintsugi.errors import Invalid, KubeError, NotFound
from kintsugi.kube.client import KubeClient
from kintsugi.model.lines import Note, WorkLine, decode
from kintsugi.model.restore import Backup, Dropped, Failed, LastLine, Restored, WorkProgress
from kintsugi.objects.resources import JOBS, PODS

_TAIL = 50
"""Lines that are read of a log that still grows."""

_MOST_READ = 16 * 1024 * 1024
_MOST_NOTES = 100
_MOST_TABLES = 2000
_PATIENCE = timedelta(seconds=30)
_STARTING = frozenset({"ContainerCreating", "PodInitializing"})
"""Reasons of a container that waits which say nothing: the Events know more."""


class Stage(StrEnum):
    """Where a worker stands."""

    STARTING = "starting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STUCK = "stuck"
    LOST = "lost"


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """
    What is known of a worker now. `names` are what an expression sees, `why` what it waits for or why it failed.

    STUCK: it is given up, though it may go on. LOST: it has ended, and nobody can tell how far it came. `since` is when its Job was made.
    """

    stage: Stage
    names: Mapping[str, object] = field(default_factory=dict)
    why: str = ""
    since: datetime | None = None


async def read(kube: KubeClient, name: str, namespace: str) -> Standing:
    """Read how a Job stands. Raises KubeError when that cannot be asked."""
    try:
        job = await kube.get(JOBS, name, namespace)
    except NotFound:
        return Standing(stage=Stage.LOST, why=f"job/{name} is gone: somebody deleted it")
    pods = await pods_of(kube, job)
    pod = pods[-1] if pods else None
    lines = await _lines(kube, pod, whole=pod is not None and has_ended(job, pod)) if pod is not None else []
    since = datetime.fromisoformat(live.text(job, "metadata", "creationTimestamp"))
    standing = replace(judge(job, pod, lines), since=since)
    if standing.stage is not Stage.STARTING:
        return standing
    told = await _warning(kube, job, pod)
    return replace(standing, why="; ".join(dict.fromkeys(part for part in (standing.why, told) if part)))


def held_to(standing: Standing, limit: timedelta, now: datetime) -> Standing:
    """Give up a worker that has not started in time; why it has not is told with it."""
    if standing.since is None or now - standing.since < limit:
        return standing
    why = f"it has not started within {format_duration(limit)}: {standing.why or 'nothing says why'}"
    return replace(standing, stage=Stage.STUCK, why=why)


def judge(job: Live, pod: Live | None, lines: Sequence[WorkLine]) -> Standing:
    """Say how a worker stands, by its Job, its newest pod and its lines."""
    names = names_of(lines)
    last = next((line for line in reversed(lines) if isinstance(line, LastLine)), None)
    if isinstance(last, Failed):
        return Standing(stage=Stage.FAILED, names=names, why=last.reason)
    if last is not None:
        return Standing(stage=Stage.DONE, names=names)
    if (ended := end_of(job)) is not None:
        return _without_a_word(job, pod, ended, names)
    state = live.mapping(status_of_container(pod, CONTAINER), "state") if pod is not None else {}
    if "running" in state or "terminated" in state:
        return Standing(stage=Stage.RUNNING, names=names)
    return Standing(stage=Stage.STARTING, names=names, why=_waits_for(pod))


def names_of(lines: Sequence[WorkLine]) -> Mapping[str, object]:
    """Give what an expression sees of a worker's lines: the newest progress, all notes, the result."""
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
            case Dropped():
                names["dropped"] = _shown(line)
            case Note() | Failed():
                pass
    return names


def has_ended(job: Live, pod: Live) -> bool:
    """Tell whether nothing more will be said."""
    return end_of(job) is not None or "terminated" in live.mapping(status_of_container(pod, CONTAINER), "state")


def end_of(job: Live) -> Live | None:
    """Give the condition by which a Job says that it has ended, well or not."""
    return next(
        (
            each
            for each in live.entries(job, "status", "conditions")
            if live.text(each, "type") in {"Complete", "Failed"} and live.text(each, "status") == "True"
        ),
        None,
    )


def _without_a_word(job: Live, pod: Live | None, ended: Live, names: Mapping[str, object]) -> Standing:
    """Judge a Job that has ended without the worker's last line: surely nothing was done where it never ran."""
    said = live.text(ended, "message") or live.text(ended, "reason")
    status = status_of_container(pod, CONTAINER) if pod is not None else {}
    terminated = live.mapping(status, "state", "terminated")
    reason = live.text(pod, "status", "reason") or live.text(terminated, "reason")
    code = live.at(terminated, "exitCode")
    parts = [said, reason, live.text(pod, "status", "message"), f"exit code {code}" if code is not None else ""]
    why = f"job/{live.name(job)} has ended without the worker's last word ({'; '.join(filter(None, parts))})"
    never_ran = pod is not None and not terminated and not live.text(status, "containerID")
    return Standing(stage=Stage.FAILED if never_ran else Stage.LOST, names=names, why=why)


def _waits_for(pod: Live | None) -> str:
    """Say what keeps a pod from running, as far as its status tells."""
    if pod is None:
        return "it has no pod"
    waiting = live.mapping(status_of_container(pod, CONTAINER), "state", "waiting")
    if (reason := live.text(waiting, "reason")) and reason not in _STARTING:
        return ": ".join(filter(None, (reason, live.text(waiting, "message"))))
    for each in live.entries(pod, "status", "conditions"):
        if live.text(each, "type") == "PodScheduled" and live.text(each, "status") == "False":
            return ": ".join(filter(None, (live.text(each, "reason"), live.text(each, "message"))))
    return ""


async def _warning(kube: KubeClient, job: Live, pod: Live | None) -> str:
    """Give the newest warning among the Events about the pod, or about the Job that could not make one."""
    about = live.named(PODS, pod) if pod is not None else live.named(JOBS, job)
    try:
        found = await events_about(kube, about, live.text(job, "metadata", "namespace"))
    except KubeError as error:
        return f"its Events cannot be read: {error}"
    warnings = [each for each in found if live.text(each, "type") == "Warning"]
    return f"{live.text(warnings[-1], 'reason')}: {live.text(warnings[-1], 'message')}" if warnings else ""


async def _lines(kube: KubeClient, pod: Live, *, whole: bool) -> list[WorkLine]:
    """Read what a worker has said; where its log is gone, what the kubelet kept of its end."""
    status = status_of_container(pod, CONTAINER)
    if not live.text(status, "containerID"):
        return []
    try:
        text = await _log(kube, pod, whole=whole)
    except (NotFound, Invalid):
        text = ""
    kept = live.text(status, "state", "terminated", "message")
    lines = [line for each in (text or kept).splitlines() if (line := decode(each)) is not None]
    # It has ended since the pod was read: what it said at first is to be told, too.
    just_ended = not whole and any(isinstance(line, LastLine) for line in lines)
    return await _lines(kube, pod, whole=True) if just_ended else lines


async def _log(kube: KubeClient, pod: Live, *, whole: bool) -> str:
    chunks = kube.logs(
        live.name(pod),
        live.text(pod, "metadata", "namespace"),
        container=CONTAINER,
        tail=None if whole else _TAIL,
        limit_bytes=_MOST_READ,
        deadline=_PATIENCE,
    )
    return b"".join([chunk async for chunk in chunks]).decode(errors="replace")


def _shown(said: WorkProgress | Backup | Restored | Dropped) -> Mapping[str, object]:
    """Give what was said as an expression sees it; what is not known is absent."""
    fields = msgspec.to_builtins(said, builtin_types=(datetime,))
    assert isinstance(fields, dict), fields
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in fields.items() if value is not None
    }


def _bounded(restored: Restored) -> Restored:
    """Keep the largest tables, so that the result of a step fits the ledger."""
    largest = sorted(restored.tables, key=lambda table: table.rows, reverse=True)[:_MOST_TABLES]
    return replace(restored, tables=tuple(sorted(largest, key=lambda table: table.name)))
