"""`dropdb`: the scratch database of a drill, and no other."""

from collections.abc import Iterator

from typing_extensions import override

from kintsugi.actions.worker_verb import WorkerVerb
from kintsugi.commands import backups
from kintsugi.commands.command_spec import CommandSpec, Flag
from kintsugi.commands.words import server
from kintsugi.model.command import Dropdb, Verb
from kintsugi.model.worker_results import DRILL


class DropdbVerb(WorkerVerb[Dropdb]):
    """A worker does it, in a Job of its own."""

    command = Dropdb
    allowed_in_drill = True
    spec = CommandSpec(
        verb=Verb.DROPDB,
        changes=True,
        usage=f"dropdb [--if-exists] -h SERVICE.NAMESPACE [-p PORT] -U USER {DRILL}NAME",
        example=f"dropdb --if-exists -h database.production -U postgres {DRILL}one",
        flags=(
            Flag(names=("--if-exists",)),
            *(
                Flag(names=each.names, key=each.key, kind=each.kind, required=each.key != "port")
                for each in backups.SERVER
            ),
            Flag(names=("-w", "--no-password")),
            backups.PROMPT,
            Flag(names=("-f", "--force"), refused="a scratch database has no clients but our own"),
        ),
        arguments=(backups.SCRATCH,),
        build=backups.build_dropdb,
        result=backups.DROP,
    )

    @override
    def words(self, command: Dropdb) -> Iterator[str]:
        yield from ["--if-exists", *server(command.host, command.port, command.user), command.database]

    @override
    def touches(self, command: Dropdb) -> str:
        return command.database


VERBS = (DropdbVerb(),)
