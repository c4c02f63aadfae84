"""
`kintsugi backup fetch` and `pg_restore`: the verbs that a worker executes, in a Job of its own.

The effect is the Job, whose outcome is watched.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace

from typing_extensions import override

from kintsugi.actions.api_objects import found
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.effect_plan import EffectPlan, EffectStatus
from kintsugi.actions.job_effect import JobStage, JobState
from kintsugi.actions.probe import Result
from kintsugi.actions.verb_bases import JobVerb, VerbClients
from kintsugi.commands import arg_types, flags
from kintsugi.commands.command_spec import CommandSpec, Flag
from kintsugi.commands.verb_definition import C, RestoredDatabase
from kintsugi.commands.words import duration, namespace_option, server
from kintsugi_restore import grammar, job_progress, job_target, jobs
from kintsugi_restore.commands import BackupFetch, PgRestore, WorkerCommand
from kintsugi_restore.worker_job_spec import WorkerJobSpec
from kintsugi_restore.worker_results import SEARCH_PATH, SERVER, owner_of
from kubeobjects.resources import PVCS


class WorkerVerb(JobVerb[C]):
    """
    The base of the verbs that a worker executes; planning and applying are the same for all of them: `kintsugi_restore.jobs`.
    """

    intent = jobs.WorkerIntent
    begins_section = False

    @abstractmethod
    def touches(self, command: C) -> str:
        """Return the object that a lost worker may have touched."""

    async def settle(self, clients: VerbClients, command: C, lost: JobState, context: ChangeContext) -> JobState:
        """Return the outcome of a worker that ended without a last line: it has failed, unless a verb asks further."""
        why = f"{lost.why}; nothing but {self.touches(command)} was touched"
        return replace(lost, stage=JobStage.FAILED, why=why)

    @override
    async def watch(self, clients: VerbClients, plan: EffectPlan, context: ChangeContext) -> JobState:
        intent = plan.remembered(jobs.WorkerIntent)
        status = await job_progress.read(clients.kube, intent.job, intent.namespace)
        if status.stage is JobStage.STARTING:
            return job_progress.stuck_if_not_started(status, clients.restore.start_timeout, context.now)
        if status.stage not in (JobStage.LOST, JobStage.GONE):
            return status
        assert isinstance(plan.command, self.command), plan.command
        return await self.settle(clients, plan.command, status, context)

    @override
    async def plan_effect(self, clients: VerbClients, command: C, context: ChangeContext) -> EffectPlan:
        assert isinstance(command, WorkerCommand), command
        order = WorkerJobSpec(command=command, context=context, settings=clients.restore)
        return await jobs.plan_effect(clients.kube, order)

    @override
    async def apply(self, clients: VerbClients, plan: EffectPlan) -> Result:
        return await jobs.apply(clients.kube, plan)

    async def probe(self, clients: VerbClients, plan: EffectPlan) -> EffectStatus:
        """Return whether the Job was made; without its claim it is only half made."""
        status, intent = await super().probe(clients, plan), plan.remembered(jobs.WorkerIntent)
        if status is not EffectStatus.DONE or plan.already or not intent.claim:
            return status
        claim = await found(clients.kube, PVCS, intent.claim, intent.namespace)
        return EffectStatus.NOT_DONE if claim is None else EffectStatus.DONE


class BackupFetchVerb(WorkerVerb[BackupFetch]):
    """A worker does it, in a Job of its own."""

    command = BackupFetch
    allowed_in_drill = True
    spec = CommandSpec(
        verb="kintsugi backup fetch",
        changes=True,
        usage="kintsugi backup fetch s3://BUCKET/PREFIX --database=NAME [--max-age=DURATION] [-h HOST [-p PORT] -U USER] [-n NS]",
        example="kintsugi backup fetch s3://backup-bucket/database/ --database=app --max-age=26h",
        flags=(
            flags.NAMESPACE,
            *grammar.SERVER,
            Flag(names=("--database",), key="database", kind=arg_types.IDENTIFIER, required=True),
            Flag(names=("--max-age",), key="max_age", kind=arg_types.DURATION),
        ),
        arguments=(grammar.S3,),
        build=grammar.build_fetch,
        result=grammar.FETCH,
    )

    @override
    def words(self, command: BackupFetch) -> Iterator[str]:
        yield from [command.url, f"--database={command.database}", *duration("--max-age=", command.max_age)]
        yield from [*server(command.host, command.port, command.user), *namespace_option(command.namespace)]

    @override
    def touches(self, command: BackupFetch) -> str:
        return "the room for backups"


class PgRestoreVerb(WorkerVerb[PgRestore]):
    """A worker does it, in a Job of its own."""

    command = PgRestore
    allowed_in_drill = True
    spec = CommandSpec(
        verb="pg_restore",
        changes=True,
        usage="pg_restore --exit-on-error --single-transaction -h SERVICE.NAMESPACE [-p PORT] -U USER -d DATABASE FILE",
        example="pg_restore --exit-on-error --single-transaction -h database.production -U postgres -d app /backups/app.dump",
        flags=(
            Flag(names=("-e", "--exit-on-error"), key="exits"),
            Flag(names=("-1", "--single-transaction"), key="single"),
            *(
                Flag(names=each.names, key=each.key, kind=each.kind, required=each.key != "port")
                for each in grammar.SERVER
            ),
            Flag(names=("-d", "--dbname"), key="database", kind=arg_types.IDENTIFIER, required=True),
            *(Flag(names=names) for names in (("-v", "--verbose"), ("-w", "--no-password"))),
            grammar.PROMPT,
            Flag(names=("-c", "--clean"), refused=f"it drops existing objects: {grammar.INTO_NEW_DATABASE}"),
            Flag(names=("-C", "--create"), refused="the database is made by the worker: name it with -d"),
            Flag(
                names=("-j", "--jobs"),
                kind=arg_types.NATURAL,
                refused=f"it takes several transactions: {grammar.INTO_NEW_DATABASE}",
            ),
            Flag(
                names=("-f", "--file"), kind=arg_types.TEXT, refused="no files are written: name the database with -d"
            ),
        ),
        arguments=(grammar.BACKUP_FILE,),
        build=grammar.build_restore,
        result=grammar.RESTORE,
    )

    @override
    def words(self, command: PgRestore) -> Iterator[str]:
        yield from [
            "--exit-on-error",
            "--single-transaction",
            *server(command.host, command.port, command.user),
            "-d",
            command.database,
            command.file,
        ]

    @override
    def replaces_data(self, command: PgRestore) -> bool:
        return not command.on_own_server

    @override
    def restore(self, command: PgRestore) -> RestoredDatabase:
        return RestoredDatabase(
            database=command.database,
            owner=owner_of(command.database),
            search_path=SEARCH_PATH,
            container=SERVER if command.on_own_server else "",
        )

    async def settle(
        self, clients: VerbClients, command: PgRestore, lost: JobState, context: ChangeContext
    ) -> JobState:
        """Ask the live server; a server of its own is gone with the Job."""
        if command.on_own_server:
            return await super().settle(clients, command, lost, context)
        return await job_target.settle(clients.kube, clients.containers, command, lost, context)

    @override
    def touches(self, command: PgRestore) -> str:
        return "the server of its own"


VERBS = (BackupFetchVerb(), PgRestoreVerb())
