"""`kintsugi backup fetch`: the newest backup that passes every check, into the room for backups."""

from collections.abc import Iterator

from typing_extensions import override

from kintsugi.actions.worker_verb import WorkerVerb
from kintsugi.commands import arg_types, backups, flags
from kintsugi.commands.command_spec import CommandSpec, Flag
from kintsugi.commands.words import duration, namespace_option, server
from kintsugi.model.worker_commands import BackupFetch


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
            *backups.SERVER,
            Flag(names=("--database",), key="database", kind=arg_types.IDENTIFIER, required=True),
            Flag(names=("--max-age",), key="max_age", kind=arg_types.DURATION),
        ),
        arguments=(backups.S3,),
        build=backups.build_fetch,
        result=backups.FETCH,
    )

    @override
    def words(self, command: BackupFetch) -> Iterator[str]:
        yield from [command.url, f"--database={command.database}", *duration("--max-age=", command.max_age)]
        yield from [*server(command.host, command.port, command.user), *namespace_option(command.namespace)]

    @override
    def touches(self, command: BackupFetch) -> str:
        return "the room for backups"


VERBS = (BackupFetchVerb(),)
