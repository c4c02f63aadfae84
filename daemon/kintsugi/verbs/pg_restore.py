"""`pg_restore`: a dump into a fresh database, all of it or nothing."""

from collections.abc import Iterator

from typing_extensions import override

from kintsugi.actions import job_target
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.job_effect import JobState
from kintsugi.actions.verb_clients import VerbClients
from kintsugi.actions.worker_verb import WorkerVerb
from kintsugi.commands import arg_types, backups
from kintsugi.commands.command_spec import CommandSpec, Flag
from kintsugi.commands.words import server
from kintsugi.model.command import PgRestore, Verb


class PgRestoreVerb(WorkerVerb[PgRestore]):
    """A worker does it, in a Job of its own."""

    command = PgRestore
    allowed_in_drill = True
    spec = CommandSpec(
        verb=Verb.PG_RESTORE,
        changes=True,
        usage="pg_restore --exit-on-error --single-transaction -h SERVICE.NAMESPACE [-p PORT] -U USER -d DATABASE FILE",
        example="pg_restore --exit-on-error --single-transaction -h database.production -U postgres -d app /backups/app.dump",
        flags=(
            Flag(names=("-e", "--exit-on-error"), key="exits"),
            Flag(names=("-1", "--single-transaction"), key="single"),
            *(
                Flag(names=each.names, key=each.key, kind=each.kind, required=each.key != "port")
                for each in backups.SERVER
            ),
            Flag(names=("-d", "--dbname"), key="database", kind=arg_types.IDENTIFIER, required=True),
            *(Flag(names=names) for names in (("-v", "--verbose"), ("-w", "--no-password"))),
            backups.PROMPT,
            Flag(names=("-c", "--clean"), refused=f"it drops existing objects: {backups.INTO_NEW_DATABASE}"),
            Flag(names=("-C", "--create"), refused="the database is made by the worker: name it with -d"),
            Flag(
                names=("-j", "--jobs"),
                kind=arg_types.NATURAL,
                refused=f"it takes several transactions: {backups.INTO_NEW_DATABASE}",
            ),
            Flag(
                names=("-f", "--file"), kind=arg_types.TEXT, refused="no files are written: name the database with -d"
            ),
        ),
        arguments=(arg_types.BACKUP_FILE,),
        build=backups.build_restore,
        result=backups.RESTORE,
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
    def restore(self, command: PgRestore) -> PgRestore:
        return command

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


VERBS = (PgRestoreVerb(),)
