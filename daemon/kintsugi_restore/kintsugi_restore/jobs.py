"""
A worker's Job (`job_effect`): judged, and made with the claim of its staging volume.

Its name is derived from the run's step, so that it is created only once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from msgspec import UNSET

from kintsugi.actions import api_objects, job_effect, preconditions
from kintsugi.actions.change_context import RUN, STEP
from kintsugi.actions.effect_plan import EffectPlan, Write, undone_by
from kintsugi.actions.probe import Result
from kintsugi.errors import Conflict, Forbidden, KubeError, NotFound, OutcomeUnknown, Refused
from kintsugi.kube.client import KubeClient
from kintsugi.kube.repeats import when_busy
from kintsugi.model.hosts import service_of
from kintsugi.retries import Waits, retry
from kintsugi_restore.commands import BackupFetch, PgRestore, WorkerCommand
from kintsugi_restore.drill_postgres import with_server
from kintsugi_restore.job_manifest import DIGEST, job, owned, staging_pvc
from kintsugi_restore.worker_job_spec import WorkerJobSpec
from kubeobjects import unstructured
from kubeobjects.resources import JOBS, PODS, PVCS, SECRETS, SERVICES
from kubeobjects.unstructured import Unstructured

_NO_IMAGE = "restore.image is not set: name the image of the workers, which is the daemon's own"
_FETCH_UNDONE = "the fetched backup is deleted with the Job; it can be fetched again"
_RESTORE_UNDONE = "its worker is ended; the restored data stay in the database"
_SERVER_GOES = "its worker is ended, and the server of the restore is deleted with it"
_TAKE_AWAY = Waits(first=timedelta(seconds=0.5), longest=timedelta(seconds=10))
_TRIES = 8
_UNDONE: Mapping[type[WorkerCommand], str] = {
    BackupFetch: _FETCH_UNDONE,
    PgRestore: _RESTORE_UNDONE,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class JobWrite(Write):
    """
    A worker's Job, and the claim of its staging volume where that is made with it; None for an object that exists already.

    The claim belongs to the Job and comes second: until it is there the Job's pod only waits.
    """

    job: Unstructured | None
    staging_pvc: Unstructured | None


class WorkerIntent(job_effect.JobIntent, frozen=True, kw_only=True):
    """A worker's Job, the claim that is made with it ("" for none), and the digest of what is asked."""

    claim: str
    digest: str


async def plan_effect(kube: KubeClient, job_spec: WorkerJobSpec) -> EffectPlan:
    """Judge by live reads whether a Job can do its work. Raises Refused with the missing object."""
    preconditions.check(
        preconditions.protected(job_spec.namespace, job_spec.context),
        "" if job_spec.settings.image else _NO_IMAGE,
        _elsewhere(job_spec),
    )
    if job_spec.brings_server:
        job_spec = await with_server(kube, job_spec)
    elif not isinstance(job_spec.command, BackupFetch):
        await _check_host(kube, job_spec.command, job_spec)
    await _check_secrets(kube, job_spec)
    there = await job_effect.find(kube, job_spec.name, job_spec.namespace, job_spec.labels)
    claimed = await _claim(kube, job_spec)
    wanted = job(job_spec)
    missing = job_spec.makes_pvc and not claimed
    write = JobWrite(job=None if there else wanted, staging_pvc=staging_pvc(job_spec) if missing else None)
    already = there is not None and not missing
    return EffectPlan(
        command=job_spec.command,
        intent=WorkerIntent(
            uid=unstructured.uid(there) if there else "",
            job=job_spec.name,
            namespace=job_spec.namespace,
            run=job_spec.labels[RUN],
            step=job_spec.labels[STEP],
            claim=job_spec.pvc_name if job_spec.makes_pvc else "",
            digest=unstructured.nested_string(wanted, "metadata", "annotations", DIGEST),
            already=already or UNSET,
        ),
        undo=undone_by(
            job_effect.ending(job_spec.name, job_spec.namespace),
            note=_SERVER_GOES if job_spec.brings_server else _UNDONE[type(job_spec.command)],
        ),
        write=None if already else write,
    )


async def apply(kube: KubeClient, plan: EffectPlan) -> Result:
    """
    Create the Job, then its claim; one that exists already is ours, and is left as it is.

    A Job whose claim is refused for good is deleted again: it could never start.
    """
    if plan.already:
        return job_effect.made(plan)
    write, namespace = plan.write, plan.remembered(WorkerIntent).namespace
    if not isinstance(write, JobWrite):
        raise Refused(f"job/{plan.remembered(WorkerIntent).job}: a change prepared before a restart is not applied")
    made = (
        await job_effect.create(kube, plan, write.job) if write.job is not None else await job_effect.ours(kube, plan)
    )
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
    return job_effect.made(plan)


def _elsewhere(job_spec: WorkerJobSpec) -> str:
    """Refuse to work in another namespace than the service's: its claims and Secrets are not there."""
    own = job_spec.context.namespace
    if own and job_spec.namespace != own:
        return f"{job_spec.namespace} is not the namespace of {job_spec.context.service} ({own}): nothing is done there"
    return ""


async def _check_host(kube: KubeClient, restore: PgRestore, job_spec: WorkerJobSpec) -> None:
    """Refuse a host that does not lead to the service's own pods, and our own ledger's database."""
    host = service_of(restore.host)
    assert host is not None, f"{restore.host} was read as a Service"
    try:
        found = await kube.get(SERVICES, host.service, host.namespace)
    except NotFound as error:
        raise Refused(
            f"-h {restore.host} has no target: there is no service/{host.service} in {host.namespace}"
        ) from error
    preconditions.check(
        preconditions.own_ledger(restore.host, unstructured.nested_string(found, "spec", "clusterIP"), job_spec.context)
    )
    chosen = {key: str(value) for key, value in unstructured.nested_map(found, "spec", "selector").items()}
    if not chosen:
        raise Refused(f"service/{host.service} has no selector: the pods behind -h {restore.host} are unknown")
    labels = ",".join(f"{key}={value}" for key, value in sorted(chosen.items()))
    pods = (await kube.list(PODS, host.namespace, labels=labels)).items
    strangers = [
        reason
        for pod in pods
        if (reason := preconditions.foreign_pod(api_objects.named(PODS, pod), pod, job_spec.context))
    ]
    preconditions.check(
        *(f"-h {restore.host} does not lead to the service's own pods: {reason}" for reason in strangers[:1])
    )


async def _check_secrets(kube: KubeClient, job_spec: WorkerJobSpec) -> None:
    """
    Raise Refused when a Secret or its key is missing.

    Where we may not read Secrets (the least rights do not include that), this is not known beforehand: the pod's Events
    show it.
    """
    for name, reference in job_spec.secrets.items():
        try:
            found = await kube.get(SECRETS, reference.secret, job_spec.namespace)
        except Forbidden:
            return
        except NotFound as error:
            raise Refused(
                f"{name} comes from secret/{reference.secret}, which does not exist in {job_spec.namespace}"
            ) from error
        if reference.key not in unstructured.nested_map(found, "data"):
            raise Refused(f"{name} comes from secret/{reference.secret}, which has no key {reference.key!r}")


async def _claim(kube: KubeClient, job_spec: WorkerJobSpec) -> bool:
    """Return whether the claim is there. Raises Refused where it should be and is not, or is somebody else's."""
    try:
        found = await kube.get(PVCS, job_spec.pvc_name, job_spec.namespace)
    except NotFound as error:
        if job_spec.makes_pvc:
            return False
        why = (
            "restore.existingClaim names it"
            if job_spec.settings.existing_claim
            else "the backup that was fetched into it is lost"
        )
        raise Refused(
            f"persistentvolumeclaim/{job_spec.pvc_name} does not exist in {job_spec.namespace}: {why}"
        ) from error
    asked = api_objects.named(PVCS, found)
    foreign = job_spec.settings.existing_claim is None and unstructured.labels(found).get(RUN) != job_spec.labels[RUN]
    preconditions.check(
        f"there is a {asked} that is not of this run: its name is taken" if foreign else "",
        preconditions.terminating(asked, found),
        f"{asked} has lost its volume" if unstructured.nested_string(found, "status", "phase") == "Lost" else "",
    )
    return True


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
