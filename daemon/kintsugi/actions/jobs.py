"""
A worker's Job: judged, made, and found again.

Its name is that of the step of the run, so that whoever makes it twice makes it once. Making it is the effect; what comes
of its work is watched afterwards (`job_progress`), by whichever daemon is alive then.
"""

from collections.abc import Mapping

from kintsugi.actions import live, refusals
from kintsugi.actions.job_manifest import DIGEST, job, owned, room
from kintsugi.actions.job_order import RUN, STEP, Order
from kintsugi.actions.live import Live
from kintsugi.actions.prepared import Happened, JobWrite, Prepared
from kintsugi.actions.result import Result
from kintsugi.actions.undo import undone_by
from kintsugi.errors import Conflict, Forbidden, KubeError, NotFound, OutcomeUnknown, Refused
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import BackupFetch, Delete, Dropdb, ObjectName, PgRestore, WorkerCommand
from kintsugi.model.hosts import service_of
from kintsugi.objects.resources import JOBS, PODS, PVCS, SECRETS, SERVICES

_NO_IMAGE = "restore.image is not set: say from which image the workers run, that of the daemon itself"
_FETCH_UNDONE = "what was fetched goes with the Job; it can be fetched again"
_RESTORE_UNDONE = "its worker is ended; what it restored stays in the database"
_UNDONE: Mapping[type[WorkerCommand], str] = {
    BackupFetch: _FETCH_UNDONE,
    PgRestore: _RESTORE_UNDONE,
    Dropdb: "its worker is ended; the scratch database of a drill is missed by nobody",
}


async def prepare(kube: KubeClient, order: Order) -> Prepared:
    """Judge by live reads whether a Job can do its work. Raises Refused with what is missing."""
    refusals.check(
        refusals.protected(order.namespace, order.circumstances),
        "" if order.settings.image else _NO_IMAGE,
        _elsewhere(order),
    )
    if not isinstance(order.command, BackupFetch):
        await _check_host(kube, order.command, order)
    await _check_secrets(kube, order)
    there, claimed = await _find(kube, order), await _claim(kube, order)
    wanted = job(order)
    missing = order.makes_claim and not claimed
    write = JobWrite(job=None if there else wanted, room=room(order) if missing else None)
    already = there is not None and not missing
    return Prepared(
        command=order.command,
        facts={
            "uid": live.uid(there) if there else "",
            "job": order.name,
            "namespace": order.namespace,
            "run": order.labels[RUN],
            "step": order.labels[STEP],
            "claim": order.claim if order.makes_claim else "",
            "digest": live.text(wanted, "metadata", "annotations", DIGEST),
            **({"already": True} if already else {}),
        },
        undo=undone_by(
            ending(order.name, order.namespace),
            note=_UNDONE[type(order.command)],
        ),
        write=None if already else write,
    )


async def perform(kube: KubeClient, prepared: Prepared) -> Result:
    """
    Make the Job, then its claim; what is there already is ours, and is left as it is.

    A Job whose claim is refused for good is taken away again: it could never start.
    """
    if prepared.already:
        return found(prepared)
    write, namespace = prepared.write, str(prepared.facts["namespace"])
    if not isinstance(write, JobWrite):
        raise Refused(f"job/{prepared.facts['job']}: what was prepared before a restart is not performed")
    made = await _create(kube, prepared, write.job) if write.job is not None else await _ours(kube, prepared)
    if write.room is not None:
        try:
            await kube.create(PVCS, namespace, owned(write.room, made))
        except Conflict:
            await _check_claim(kube, prepared)
        except OutcomeUnknown:
            raise
        except KubeError as error:
            await _take_away(kube, made, namespace, error)
            raise
    return Result(names={}, summary=f"job/{live.name(made)} made in {namespace}")


def found(prepared: Prepared) -> Result:
    """Say that a Job is there; what comes of its work is asked by those who watch it."""
    return Result(names={}, summary=f"job/{prepared.facts['job']} is there in {prepared.facts['namespace']}")


async def probe(kube: KubeClient, prepared: Prepared) -> Happened:
    """Tell whether the Job was made, by its name and whose it says it is; without its claim it is only half made."""
    if prepared.already:
        return Happened.DONE
    try:
        found = await kube.get(JOBS, str(prepared.facts["job"]), str(prepared.facts["namespace"]))
    except NotFound:
        return Happened.NOT_DONE
    if not is_of(found, prepared):
        return Happened.UNKNOWN
    if claim := str(prepared.facts.get("claim", "")):
        try:
            await kube.get(PVCS, claim, str(prepared.facts["namespace"]))
        except NotFound:
            return Happened.NOT_DONE
    return Happened.DONE


def ending(name: str, namespace: str) -> Delete:
    """Give the command that ends a worker, wherever it is in its work."""
    return Delete(objects=(ObjectName(resource=JOBS, name=name),), namespace=namespace)


def is_of(found: Live, prepared: Prepared) -> bool:
    """Tell whether a Job is the one that this very step of this very run made."""
    labels = live.labels(found)
    return (labels.get(RUN), labels.get(STEP)) == (prepared.facts["run"], prepared.facts["step"])


def _elsewhere(order: Order) -> str:
    """Refuse to work in another namespace than the service's: its claims and Secrets are not there."""
    own = order.circumstances.namespace
    if own and order.namespace != own:
        return f"{order.namespace} is not the namespace of {order.circumstances.service} ({own}): nothing is done there"
    return ""


async def _check_host(kube: KubeClient, restore: PgRestore | Dropdb, order: Order) -> None:
    """Refuse a host that does not lead to the service's own pods, and our own ledger's database."""
    host = service_of(restore.host)
    assert host is not None, f"{restore.host} was read as a Service"
    try:
        found = await kube.get(SERVICES, host.service, host.namespace)
    except NotFound as error:
        raise Refused(
            f"-h {restore.host} leads nowhere: there is no service/{host.service} in {host.namespace}"
        ) from error
    refusals.check(refusals.own_ledger(restore.host, live.text(found, "spec", "clusterIP"), order.circumstances))
    chosen = {key: str(value) for key, value in live.mapping(found, "spec", "selector").items()}
    if not chosen:
        raise Refused(f"service/{host.service} has no selector: where -h {restore.host} leads cannot be judged")
    labels = ",".join(f"{key}={value}" for key, value in sorted(chosen.items()))
    pods = (await kube.list(PODS, host.namespace, labels=labels)).items
    strangers = [
        reason for pod in pods if (reason := refusals.foreign_pod(live.named(PODS, pod), pod, order.circumstances))
    ]
    refusals.check(*(f"-h {restore.host} leads elsewhere: {reason}" for reason in strangers[:1]))


async def _check_secrets(kube: KubeClient, order: Order) -> None:
    """
    Refuse when a Secret or its key is not there.

    Where we may not read Secrets (the least rights do not say so) it is not known beforehand: the pod's own events tell.
    """
    for name, reference in order.secrets.items():
        try:
            found = await kube.get(SECRETS, reference.secret, order.namespace)
        except Forbidden:
            return
        except NotFound as error:
            raise Refused(
                f"{name} comes from secret/{reference.secret}, which is not there in {order.namespace}"
            ) from error
        if reference.key not in live.mapping(found, "data"):
            raise Refused(f"{name} comes from secret/{reference.secret}, which has no key {reference.key!r}")


async def _find(kube: KubeClient, order: Order) -> Live | None:
    """Give the Job of this step when it is there already. Raises Refused when its name is somebody else's."""
    try:
        found = await kube.get(JOBS, order.name, order.namespace)
    except NotFound:
        return None
    labels = live.labels(found)
    if (labels.get(RUN), labels.get(STEP)) != (order.labels[RUN], order.labels[STEP]):
        raise Refused(f"there is a job/{order.name} in {order.namespace} that is not of this step: its name is taken")
    refusals.check(refusals.terminating(live.named(JOBS, found), found))
    return found


async def _claim(kube: KubeClient, order: Order) -> bool:
    """Tell whether the claim is there. Raises Refused where it should be and is not, or is somebody else's."""
    try:
        found = await kube.get(PVCS, order.claim, order.namespace)
    except NotFound as error:
        if order.makes_claim:
            return False
        why = "restore.claim names it" if order.settings.claim else "what was fetched into it is gone with it"
        raise Refused(f"persistentvolumeclaim/{order.claim} is not there in {order.namespace}: {why}") from error
    asked = live.named(PVCS, found)
    foreign = order.settings.claim is None and live.labels(found).get(RUN) != order.labels[RUN]
    refusals.check(
        f"there is a {asked} that is not of this run: its name is taken" if foreign else "",
        refusals.terminating(asked, found),
        f"{asked} has lost its volume" if live.text(found, "status", "phase") == "Lost" else "",
    )
    return True


async def _create(kube: KubeClient, prepared: Prepared, manifest: Live) -> Live:
    try:
        return await kube.create(JOBS, str(prepared.facts["namespace"]), manifest)
    except Conflict:
        return await _ours(kube, prepared)


async def _ours(kube: KubeClient, prepared: Prepared) -> Live:
    """Read the Job that has our name. Raises Conflict when it is not ours."""
    found = await kube.get(JOBS, str(prepared.facts["job"]), str(prepared.facts["namespace"]))
    if not is_of(found, prepared):
        raise Conflict(f"job/{live.name(found)} is not of this step", status=409)
    return found


async def _check_claim(kube: KubeClient, prepared: Prepared) -> None:
    found = await kube.get(PVCS, str(prepared.facts["claim"]), str(prepared.facts["namespace"]))
    if live.labels(found).get(RUN) != prepared.facts["run"]:
        raise Conflict(f"persistentvolumeclaim/{live.name(found)} is not of this run", status=409)


async def _take_away(kube: KubeClient, made: Live, namespace: str, why: KubeError) -> None:
    """Take a Job away that cannot start; when that fails, too, both reasons are told."""
    try:
        await kube.delete(JOBS, live.name(made), namespace, uid=live.uid(made))
    except NotFound:
        return
    except KubeError as error:
        raise KubeError(f"{why}; job/{live.name(made)} was made and cannot be taken away: {error}") from error
