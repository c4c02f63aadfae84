"""
A Job that an effect makes: made only once under its name, found again by its labels, read until it has ended, or ended.

Its creation is the effect; its state is watched afterwards (`runner.changes`), also by a later process.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from kintsugi.actions import api_objects, preconditions
from kintsugi.actions.change_context import RUN, STEP
from kintsugi.actions.description import events_about, evidence_of_pod
from kintsugi.actions.effect_plan import (
    DeleteIntent,
    DeleteWrite,
    EffectPlan,
    Evidence,
    Intent,
    record_without_undo,
)
from kintsugi.actions.loaded_target import LoadedTarget
from kintsugi.actions.probe import Result
from kintsugi.errors import Conflict, KubeError, Refused
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Delete, ObjectName
from kubeobjects import unstructured
from kubeobjects.resources import JOBS, PODS
from kubeobjects.unstructured import Unstructured

_JOB_NAME = "batch.kubernetes.io/job-name"
"""The label by which the pods of a Job are found."""

_NOT_UNDONE = "a Job that was ended is not started again: run its step again"
_STARTING = frozenset({"ContainerCreating", "PodInitializing"})
"""Reasons of a container that waits which say nothing: the Events know more."""


class JobIntent(Intent, frozen=True, kw_only=True):
    """A Job, and whose it says it is."""

    job: str
    namespace: str
    run: str
    step: str


class JobStage(StrEnum):
    """The stage of a Job."""

    STARTING = "starting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STUCK = "stuck"
    LOST = "lost"
    GONE = "gone"


@dataclass(frozen=True, kw_only=True, slots=True)
class JobState:
    """
    The state of a Job. `names` are those that an expression sees, `why` says what it waits for or why it failed.

    STUCK: it is given up, though it may go on. LOST: it has ended, and how is unknown. GONE: it is deleted, and how it had
    ended is unknown. `since` is when it was made.
    """

    stage: JobStage
    names: Mapping[str, object] = field(default_factory=dict)
    why: str = ""
    since: datetime | None = None


Judge = Callable[[Unstructured, Sequence[Unstructured]], Awaitable[JobState]]
"""Return the state of a Job by itself and its pods, the oldest first."""


async def find(kube: KubeClient, name: str, namespace: str, labels: Mapping[str, str]) -> Unstructured | None:
    """Return the Job of this step when it is there already. Raises Refused when its name is somebody else's."""
    found = await api_objects.found(kube, JOBS, name, namespace)
    if found is None:
        return None
    if not _is_of(found, labels[RUN], labels[STEP]):
        raise Refused(f"there is a job/{name} in {namespace} that is not of this step: its name is taken")
    preconditions.check(preconditions.terminating(api_objects.named(JOBS, found), found))
    return found


async def create(kube: KubeClient, plan: EffectPlan, manifest: Unstructured) -> Unstructured:
    """Create the Job, and return it; or the one of this step that is there already. Raises Conflict for another one."""
    try:
        return await kube.create(JOBS, plan.remembered(JobIntent).namespace, manifest)
    except Conflict:
        return await ours(kube, plan)


async def ours(kube: KubeClient, plan: EffectPlan) -> Unstructured:
    """Read the Job that has our name. Raises Conflict when it is not ours."""
    intent = plan.remembered(JobIntent)
    there = await kube.get(JOBS, intent.job, intent.namespace)
    if not _is_of(there, intent.run, intent.step):
        raise Conflict(f"job/{intent.job} is not of this step", status=409)
    return there


def made(plan: EffectPlan) -> Result:
    """Return the result that a Job is there; its state is watched afterwards."""
    intent = plan.remembered(JobIntent)
    return Result(names={}, summary=f"job/{intent.job} {'exists' if plan.already else 'made'} in {intent.namespace}")


def ending(name: str, namespace: str) -> Delete:
    """Return the command that ends a Job at any stage."""
    return Delete(objects=(ObjectName(resource=JOBS, name=name),), namespace=namespace)


async def plan_end(kube: KubeClient, command: Delete, loaded: LoadedTarget) -> EffectPlan:
    """Judge the end of a Job of this very run; what its pods said is kept. Raises Refused for any other Job."""
    is_ours = unstructured.labels(loaded.obj).get(RUN) == loaded.context.run
    preconditions.check("" if is_ours else f"{loaded.asked} is not of this run: it is left alone")
    kept: list[Evidence] = []
    for pod in await pods_of(kube, loaded.obj):
        kept += await evidence_of_pod(kube, pod)
    return EffectPlan(
        command=replace(command, objects=(loaded.asked,)),
        intent=loaded.identified(DeleteIntent(uid=loaded.uid)),
        undo=record_without_undo(_NOT_UNDONE),
        evidence=tuple(kept),
        write=DeleteWrite(grace=command.grace),
    )


async def read(kube: KubeClient, name: str, namespace: str, judge: Judge) -> JobState:
    """Return the state of a Job; of one that does not start, with the newest warning about it. Raises KubeError."""
    job = await api_objects.found(kube, JOBS, name, namespace)
    if job is None:
        return JobState(stage=JobStage.GONE, why=f"job/{name} is gone: it was deleted")
    pods = await pods_of(kube, job)
    since = datetime.fromisoformat(unstructured.nested_string(job, "metadata", "creationTimestamp"))
    status = replace(await judge(job, pods), since=since)
    if status.stage is not JobStage.STARTING:
        return status
    warning = await _warning(kube, job, pods[-1] if pods else None)
    return replace(status, why="; ".join(dict.fromkeys(part for part in (status.why, warning) if part)))


async def pods_of(kube: KubeClient, job: Unstructured) -> list[Unstructured]:
    """List the pods of one Job, the oldest first; a namesake's before it are not its own."""
    namespace = unstructured.nested_string(job, "metadata", "namespace")
    found = (await kube.list(PODS, namespace, labels=f"{_JOB_NAME}={unstructured.name(job)}")).items
    own = [pod for pod in found if _is_owned(pod, unstructured.uid(job))]
    return sorted(own, key=lambda pod: unstructured.nested_string(pod, "metadata", "creationTimestamp"))


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


def has_started(pod: Unstructured | None) -> bool:
    """Return whether a container of a Job's pod runs, or has run."""
    return any("running" in state or "terminated" in state for state in _states(pod))


def terminated(pod: Unstructured | None) -> Unstructured:
    """Return how a container of a pod has ended: one that failed before one that did not, empty where none has."""
    ended = [unstructured.nested_map(state, "terminated") for state in _states(pod) if "terminated" in state]
    return max(ended, key=lambda each: unstructured.nested_field(each, "exitCode") != 0, default={})


def end_words(job: Unstructured, pod: Unstructured | None) -> list[str]:
    """Return what the Job's condition, its pod and a container of that say about the end of the Job."""
    ended, container = end_of(job) or {}, terminated(pod)
    code = unstructured.nested_field(container, "exitCode")
    parts = [
        unstructured.nested_string(ended, "message") or unstructured.nested_string(ended, "reason"),
        unstructured.nested_string(pod, "status", "reason") or unstructured.nested_string(container, "reason"),
        unstructured.nested_string(pod, "status", "message"),
        f"exit code {code}" if code is not None else "",
    ]
    return [*filter(None, parts), *_init_container_errors(pod)]


def waits_for(pod: Unstructured | None) -> str:
    """Return the reason for which a pod does not run, as far as its status shows it."""
    if pod is None:
        return "it has no pod"
    for waiting in (unstructured.nested_map(state, "waiting") for state in _states(pod)):
        if (reason := unstructured.nested_string(waiting, "reason")) and reason not in _STARTING:
            return _with_message(waiting, reason)
    if start_problems := list(_init_container_errors(pod)):
        return "; ".join(start_problems)
    for each in unstructured.nested_maps(pod, "status", "conditions"):
        if (
            unstructured.nested_string(each, "type") == "PodScheduled"
            and unstructured.nested_string(each, "status") == "False"
        ):
            return _with_message(each, unstructured.nested_string(each, "reason"))
    return ""


def _is_of(job: Unstructured, run: str, step: str) -> bool:
    """Return whether a Job is the one that a step of a run has made."""
    labels = unstructured.labels(job)
    return (labels.get(RUN), labels.get(STEP)) == (run, step)


def _is_owned(pod: Unstructured, uid: str) -> bool:
    return any(owner.get("uid") == uid for owner in unstructured.nested_maps(pod, "metadata", "ownerReferences"))


def _states(pod: Unstructured | None) -> list[Unstructured]:
    statuses = unstructured.nested_maps(pod, "status", "containerStatuses")
    return [unstructured.nested_map(each, "state") for each in statuses]


def _with_message(about: Unstructured, *parts: str) -> str:
    return ": ".join(filter(None, (*parts, unstructured.nested_string(about, "message"))))


def _init_container_errors(pod: Unstructured | None) -> Iterator[str]:
    """Yield what is wrong with the containers that must run before the others."""
    for status in unstructured.nested_maps(pod, "status", "initContainerStatuses"):
        waiting, ended = (unstructured.nested_map(status, "state", state) for state in ("waiting", "terminated"))
        reason = unstructured.nested_string(waiting, "reason")
        if reason and reason not in _STARTING:
            yield _with_message(waiting, unstructured.nested_string(status, "name"), reason)
        code = unstructured.nested_field(ended, "exitCode")
        if code:
            output = unstructured.nested_string(ended, "message").strip() or unstructured.nested_string(ended, "reason")
            yield f"{unstructured.nested_string(status, 'name')} exited {code}: {output}"


async def _warning(kube: KubeClient, job: Unstructured, pod: Unstructured | None) -> str:
    """Return the newest warning among the Events about the pod, or about the Job that could not make one."""
    about = api_objects.named(PODS, pod) if pod is not None else api_objects.named(JOBS, job)
    try:
        events = await events_about(kube, about, unstructured.nested_string(job, "metadata", "namespace"))
    except KubeError as error:
        return f"its Events cannot be read: {error}"
    warnings = [each for each in events if unstructured.nested_string(each, "type") == "Warning"]
    return _with_message(warnings[-1], unstructured.nested_string(warnings[-1], "reason")) if warnings else ""
