"""
The actions: every command of the grammar, done natively.

The executor is their only caller for changes: `prepare` judges, the executor commits the intent, `perform` makes the
one write, and `probe` answers for a write whose answer was lost.
"""

from dataclasses import replace
from datetime import timedelta

from kintsugi.actions import (
    claims,
    cordon,
    delete,
    job_progress,
    job_target,
    jobs,
    live,
    looks,
    mark,
    patch,
    refusals,
    request,
    rollout,
    scale,
    touched,
)
from kintsugi.actions.asker import NOBODY, Asker
from kintsugi.actions.circumstances import Circumstances
from kintsugi.actions.containers import Containers
from kintsugi.actions.job_order import Order
from kintsugi.actions.job_progress import Stage, Standing
from kintsugi.actions.live import Live
from kintsugi.actions.prepared import CreateWrite, DeleteWrite, Happened, JobWrite, PatchWrite, Prepared
from kintsugi.actions.result import Result, of_objects
from kintsugi.actions.sentences import summary_of
from kintsugi.clients.clients import Clients
from kintsugi.errors import KubeError, Refused
from kintsugi.kube.client import KubeClient, PatchKind
from kintsugi.model.command import (
    BackupFetch,
    Command,
    Cordon,
    Create,
    Curl,
    Delete,
    Dropdb,
    Mark,
    Patch,
    PgRestore,
    Rollout,
    Scale,
    WorkerCommand,
)
from kintsugi.settings import RestoreSettings


class Actions:
    """Do commands on one cluster."""

    def __init__(self, kube: KubeClient, clients: Clients, restore: RestoreSettings | None = None) -> None:
        self._kube = kube
        self._restore = restore or RestoreSettings()
        self._means = looks.Means(kube=kube, clients=clients, containers=Containers(kube))

    async def look(self, command: Command, *, deadline: timedelta, asker: Asker = NOBODY) -> Result:
        """
        Do a command that only looks.

        A log that is followed, a wait and a `rollout status` last until `deadline` at most; a log then ends well.
        What its answer depends on besides the command is the `asker`'s. Raises KubeError or ProbeFailed when the
        question could not be answered, Refused for an address that may not be asked.
        """
        return await looks.look(self._means, command, deadline=deadline, asker=asker)

    def split(self, command: Command) -> tuple[Command, ...]:
        """Make a change over several objects into changes of one object each, in order."""
        if isinstance(command, Cordon | Delete | Mark | Scale):
            return tuple(replace(command, objects=(each,)) for each in command.objects)
        return (command,)

    async def prepare(self, command: Command, circumstances: Circumstances) -> Prepared:
        """
        Judge a change of one object by a live read of it; nothing is changed.

        Raises Refused with the reason why it is not made; KubeError when that cannot be judged (P6): NotFound for a
        name that nobody has, Conflict for a JSON patch whose tests fail.
        """
        refusals.check(circumstances.off_limits)
        if isinstance(command, WorkerCommand):
            order = Order(command=command, circumstances=circumstances, settings=self._restore)
            return await jobs.prepare(self._kube, order)
        if isinstance(command, Curl):
            return request.prepare(command, circumstances)
        touched.object_of(command)
        match command:
            case Delete():
                return await delete.prepare(self._kube, command, circumstances)
            case Scale():
                return await scale.prepare(self._kube, command, circumstances)
            case Rollout():
                return await rollout.prepare(self._kube, command, circumstances)
            case Cordon():
                return await cordon.prepare(self._kube, command, circumstances)
            case Patch():
                return await patch.prepare(self._kube, command, circumstances)
            case Create():
                return await claims.prepare_create(self._kube, command, circumstances)
            case Mark():
                return await mark.prepare(self._kube, command, circumstances)
            case _:
                raise Refused(f"{type(command).__name__} only looks: there is nothing to prepare")

    async def perform(self, prepared: Prepared) -> Result:
        """
        Make a prepared change by exactly one write; by none when all was so already.

        Raises Conflict when the object is another one or is no longer as it was judged (nothing was changed: prepare
        again), another KubeError when it was refused, OutcomeUnknown when its answer was lost: probe then.
        """
        if isinstance(prepared.command, WorkerCommand):
            return await jobs.perform(self._kube, prepared)
        if isinstance(prepared.command, Curl):
            return await request.perform(self._means.clients, prepared.command)
        if prepared.already:
            return _result(prepared, await touched.read_again(self._kube, prepared))
        answer = await self._write(prepared)
        try:
            obj = await touched.read_again(self._kube, prepared)
        except KubeError:
            # The change is made and answered; that its object cannot be read again right now does not undo that.
            obj = None if isinstance(prepared.write, DeleteWrite) else answer
        return _result(prepared, obj)

    async def look_again(self, prepared: Prepared) -> Result:
        """Read afresh what a change touched: `items`, empty when its object is gone."""
        if isinstance(prepared.command, WorkerCommand):
            return jobs.found(prepared)
        if isinstance(prepared.command, Curl):
            return Result(names={}, summary="what was sent is not looked up again")
        return _result(prepared, await touched.read_again(self._kube, prepared))

    async def probe(self, prepared: Prepared) -> Happened:
        """Find out whether a change has happened; see `touched.probe`. Of what was sent by `curl` nobody can tell."""
        if isinstance(prepared.command, WorkerCommand):
            return await jobs.probe(self._kube, prepared)
        if isinstance(prepared.command, Curl):
            return Happened.UNKNOWN
        return await touched.probe(self._kube, prepared)

    async def watch(self, prepared: Prepared, circumstances: Circumstances) -> Standing:
        """
        Say how a worker stands whose Job was made, by this process or by one before it.

        Raises KubeError when that cannot be asked now: nothing follows from that.
        """
        command = prepared.command
        assert isinstance(command, WorkerCommand), command
        job, namespace = str(prepared.facts["job"]), str(prepared.facts["namespace"])
        standing = await job_progress.read(self._kube, job, namespace)
        if standing.stage is Stage.STARTING:
            return job_progress.held_to(standing, self._restore.start_within, circumstances.now)
        if standing.stage is not Stage.LOST:
            return standing
        if not isinstance(command, PgRestore):
            return replace(
                standing, stage=Stage.FAILED, why=f"{standing.why}; nothing but {_touches(command)} was touched"
            )
        return await job_target.settle(self._kube, self._means.containers, command, standing, circumstances)

    async def _write(self, prepared: Prepared) -> Live:
        asked, namespace = touched.object_of(prepared.command), touched.namespace_of(prepared.command)
        match prepared.write:
            case PatchWrite(operations=operations):
                return await self._kube.patch(asked.resource, asked.name, namespace, operations, kind=PatchKind.JSON)
            case DeleteWrite(grace=grace):
                uid = str(prepared.facts["uid"])
                return await self._kube.delete(asked.resource, asked.name, namespace, uid=uid, grace=grace)
            case CreateWrite(manifest=manifest):
                return await self._kube.create(asked.resource, namespace, manifest)
            case JobWrite() | None:
                raise Refused(f"{asked}: what was prepared before a restart is not performed: prepare it again")


def _touches(command: BackupFetch | Dropdb) -> str:
    return command.database if isinstance(command, Dropdb) else "the room for backups"


def _result(prepared: Prepared, obj: Live | None) -> Result:
    items = [] if obj is None else [live.shown(obj)]
    done = "nothing to do: " if prepared.already else ""
    return of_objects(items, named=1, summary=f"{done}{summary_of(prepared)}")
