"""`psql`: ask a PostgreSQL server one question, in a read-only transaction."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from typing_extensions import override

from kintsugi.actions import psql
from kintsugi.actions.probe import ProbeContext, Result
from kintsugi.actions.verb_bases import ProbeVerb, VerbClients
from kintsugi.clients.postgres import USUAL_PORT
from kintsugi.commands import arg_types, queries, results
from kintsugi.commands.command_spec import CommandSpec, Flag
from kintsugi.commands.words import option
from kintsugi.model.command import Psql, Verb
from kintsugi.model.hosts import PodAddress


class PsqlVerb(ProbeVerb[Psql]):
    """Directly; in a container it is `kubectl exec`'s."""

    command = Psql
    spec = CommandSpec(
        verb=Verb.PSQL,
        changes=False,
        usage=f"psql -h HOST {queries.USAGE.removeprefix('psql ').replace('[-U USER]', '-U USER')}",
        example="psql -h database.production -U postgres -c 'SELECT 1'",
        flags=(
            Flag(names=("-h", "--host"), key="host", kind=arg_types.HOST, required=True),
            Flag(names=("-p", "--port"), key="port", kind=arg_types.PORT),
            Flag(names=("-U", "--username"), key="user", kind=arg_types.PASSED, required=True),
            Flag(names=("-d", "--dbname"), key="database", kind=arg_types.PASSED),
            Flag(names=("-c", "--command"), key="statement", kind=arg_types.SQL, required=True),
            *(Flag(names=names) for names in queries.HARMLESS),
            *(Flag(names=names, kind=arg_types.TEXT, refused=why) for names, why in queries.REFUSED),
            Flag(names=("-W", "--password"), refused=queries.NO_PROMPT),
        ),
        arguments=(),
        build=queries.build_psql,
        result=results.TABLE,
    )

    @override
    def words(self, command: Psql) -> Iterator[str]:
        yield from [*option("-h", command.host), *(["-p", str(command.port)] if command.port else [])]
        yield from [*option("-U", command.user), *option("-d", _connection(command)), "-c", command.statement]

    @override
    async def read(
        self, clients: VerbClients, command: Psql, *, deadline: timedelta, probe_context: ProbeContext
    ) -> Result:
        return await psql.directly(clients.kube, clients.clients.postgres, command, probe_context, deadline)

    @override
    def question(self, command: Psql) -> Psql | None:
        return command

    def at_pod(self, command: Psql, pod: PodAddress) -> Psql | None:
        """Return that the pod's own server is asked; by its address no certificate is valid, so that is asked as it is."""
        port = pod.port_behind(command.host, command.port or USUAL_PORT)
        return None if port is None or command.sslmode == "verify-full" else replace(command, host=pod.ip, port=port)


VERBS = (PsqlVerb(),)


def _connection(command: Psql) -> str:
    """Write what `-d` says: the database alone, or with how the connection is made."""
    how = {"sslmode": command.sslmode, "sslrootcert": command.rootcert, "passfile": command.passfile}
    given = [f"{key}={value}" for key, value in how.items() if value]
    given += [f"options=-csearch_path={command.search_path}"] if command.search_path else []
    return (
        " ".join([*([f"dbname={command.database}"] if command.database else []), *given]) if given else command.database
    )
