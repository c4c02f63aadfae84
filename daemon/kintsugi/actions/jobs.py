"""
A worker's Job: made, and found again.

Its name is derived from the run's step, so that it is created only once. Its creation is the effect; its progress is watched
afterwards (`job_progress`), also by a later process.
"""

from datetime import timedelta

from kintsugi.actions.effect_plan import EffectPlan, EffectStatus, Intent, JobWrite
from kintsugi.actions.result import Result
from kintsugi.errors import Conflict, KubeError, NotFound, OutcomeUnknown, Refused
from kintsugi.kube.client import KubeClient
from kintsugi.kube.repeats import when_busy
from kintsugi.model.command import Delete, ObjectName
from kintsugi.retries import Waits, retry
from kubeobjects import unstructured
from kubeobjects.resources import JOBS, PVCS
from kubeobjects.unstructured import Unstructured

MANAGED_BY, OURS = "app.kubernetes.io/managed-by", "kintsugi"
INCIDENT, RUN, STEP = "kintsugi.dev/incident", "kintsugi.dev/run", "kintsugi.dev/step"
"""Labels of all that is made for a worker."""

_TAKE_AWAY = Waits(first=timedelta(seconds=0.5), longest=timedelta(seconds=10))
_TRIES = 8


class WorkerIntent(Intent, frozen=True, kw_only=True):
    """A worker's Job, whose it says it is, the claim that is made with it ("" for none), and the digest of what is asked."""

    job: str
    namespace: str
    run: str
    step: str
    claim: str
    digest: str


async def apply(kube: KubeClient, plan: EffectPlan) -> Result:
    """
    Create the Job, then its claim; one that exists already is ours, and is left as it is.

    A Job whose claim is refused for good is deleted again: it could never start.
    """
    if plan.already:
        return found(plan)
    write, namespace = plan.write, plan.remembered(WorkerIntent).namespace
    if not isinstance(write, JobWrite):
        raise Refused(f"job/{plan.remembered(WorkerIntent).job}: a change prepared before a restart is not applied")
    made = await _create(kube, plan, write.job) if write.job is not None else await _ours(kube, plan)
    if write.staging_pvc is not None:
        try:
            await kube.create(PVCS, namespace, owned(write.staging_pvc, made))
        except Conflict:
            await _check_claim(kube, plan)
        except OutcomeUnknown:
            raise
        except KubeError as error:
            await _take_away(kube, made, namespace, error)
            raise
    return Result(names={}, summary=f"job/{unstructured.name(made)} made in {namespace}")


def found(plan: EffectPlan) -> Result:
    """Return the result that a Job exists; its progress is read by `job_progress`."""
    return Result(
        names={},
        summary=f"job/{plan.remembered(WorkerIntent).job} exists in {plan.remembered(WorkerIntent).namespace}",
    )


async def probe(kube: KubeClient, plan: EffectPlan) -> EffectStatus:
    """Return whether the Job was made, by its name and whose it says it is; without its claim it is only half made."""
    if plan.already:
        return EffectStatus.DONE
    try:
        found = await kube.get(JOBS, plan.remembered(WorkerIntent).job, plan.remembered(WorkerIntent).namespace)
    except NotFound:
        return EffectStatus.NOT_DONE
    if not is_of(found, plan):
        return EffectStatus.UNKNOWN
    if claim := plan.remembered(WorkerIntent).claim:
        try:
            await kube.get(PVCS, claim, plan.remembered(WorkerIntent).namespace)
        except NotFound:
            return EffectStatus.NOT_DONE
    return EffectStatus.DONE


def owned(made: Unstructured, job: Unstructured) -> Unstructured:
    """Let the cluster take something away together with the Job that it was made for."""
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": unstructured.name(job), "uid": unstructured.uid(job)}
    return unstructured.with_field(made, "metadata", "ownerReferences", value=[owner])


def ending(name: str, namespace: str) -> Delete:
    """Return the command that ends a worker at any stage."""
    return Delete(objects=(ObjectName(resource=JOBS, name=name),), namespace=namespace)


def is_of(found: Unstructured, plan: EffectPlan) -> bool:
    """Return whether a Job is the one that this very step of this very run made."""
    labels = unstructured.labels(found)
    return (labels.get(RUN), labels.get(STEP)) == (
        plan.remembered(WorkerIntent).run,
        plan.remembered(WorkerIntent).step,
    )


async def _create(kube: KubeClient, plan: EffectPlan, manifest: Unstructured) -> Unstructured:
    try:
        return await kube.create(JOBS, plan.remembered(WorkerIntent).namespace, manifest)
    except Conflict:
        return await _ours(kube, plan)


async def _ours(kube: KubeClient, plan: EffectPlan) -> Unstructured:
    """Read the Job that has our name. Raises Conflict when it is not ours."""
    found = await kube.get(JOBS, plan.remembered(WorkerIntent).job, plan.remembered(WorkerIntent).namespace)
    if not is_of(found, plan):
        raise Conflict(f"job/{unstructured.name(found)} is not of this step", status=409)
    return found


async def _check_claim(kube: KubeClient, plan: EffectPlan) -> None:
    found = await kube.get(PVCS, plan.remembered(WorkerIntent).claim, plan.remembered(WorkerIntent).namespace)
    if unstructured.labels(found).get(RUN) != plan.remembered(WorkerIntent).run:
        raise Conflict(f"persistentvolumeclaim/{unstructured.name(found)} is not of this run", status=409)


async def _take_away(kube: KubeClient, made: Unstructured, namespace: str, why: KubeError) -> None:
    """
    Delete a Job that cannot start, also while the API server is busy; when that fails, too, raise KubeError with both
    reasons.
    """

    async def delete() -> None:
        await kube.delete(JOBS, unstructured.name(made), namespace, uid=unstructured.uid(made))

    try:
        await retry(delete, when_busy, _TAKE_AWAY, attempts=_TRIES)
    except NotFound:
        return
    except KubeError as error:
        raise KubeError(f"{why}; job/{unstructured.name(made)} was created and cannot be deleted: {error}") from error
