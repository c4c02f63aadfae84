"""A worker's Job is judged: by live reads, whether it can do its work, and what undoes it."""

from collections.abc import Mapping

from msgspec import UNSET

from kintsugi.actions import api_objects, preconditions
from kintsugi.actions.effect_plan import EffectPlan, JobWrite, undone_by
from kintsugi.actions.job_manifest import DIGEST, job, staging_pvc
from kintsugi.actions.job_server import with_server
from kintsugi.actions.jobs import RUN, STEP, WorkerIntent, ending
from kintsugi.actions.worker_job_spec import WorkerJobSpec
from kintsugi.errors import Forbidden, NotFound, Refused
from kintsugi.kube.client import KubeClient
from kintsugi.model.hosts import service_of
from kintsugi.model.worker_commands import BackupFetch, PgRestore, WorkerCommand
from kubeobjects import unstructured
from kubeobjects.resources import JOBS, PODS, PVCS, SECRETS, SERVICES
from kubeobjects.unstructured import Unstructured

_NO_IMAGE = "restore.image is not set: name the image of the workers, which is the daemon's own"
_FETCH_UNDONE = "the fetched backup is deleted with the Job; it can be fetched again"
_RESTORE_UNDONE = "its worker is ended; the restored data stay in the database"
_SERVER_GOES = "its worker is ended, and the server of the restore is deleted with it"
_UNDONE: Mapping[type[WorkerCommand], str] = {
    BackupFetch: _FETCH_UNDONE,
    PgRestore: _RESTORE_UNDONE,
}


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
    there, claimed = await _find(kube, job_spec), await _claim(kube, job_spec)
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
            ending(job_spec.name, job_spec.namespace),
            note=_SERVER_GOES if job_spec.brings_server else _UNDONE[type(job_spec.command)],
        ),
        write=None if already else write,
    )


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


async def _find(kube: KubeClient, job_spec: WorkerJobSpec) -> Unstructured | None:
    """Return the Job of this step when it is there already. Raises Refused when its name is somebody else's."""
    try:
        found = await kube.get(JOBS, job_spec.name, job_spec.namespace)
    except NotFound:
        return None
    labels = unstructured.labels(found)
    if (labels.get(RUN), labels.get(STEP)) != (job_spec.labels[RUN], job_spec.labels[STEP]):
        raise Refused(
            f"there is a job/{job_spec.name} in {job_spec.namespace} that is not of this step: its name is taken"
        )
    preconditions.check(preconditions.terminating(api_objects.named(JOBS, found), found))
    return found


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
