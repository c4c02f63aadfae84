"""
The facts about a server that a backup may need: version, roles and extensions, asked or assumed. Nothing is changed.
"""

from dataclasses import dataclass

import asyncpg

from kintsugi_restore.worker import PG_MAJOR
from kintsugi_restore.worker.log_writer import Reporter, WorkFailed
from kintsugi_restore.worker.options import FetchOptions, ServerOptions
from kintsugi_restore.worker.server import DatabaseServer
from kintsugi_restore.worker_log import Note

USUAL_USER = "postgres"
_DATABASE = "postgres"

_CONTRIB = """
    adminpack amcheck autoinc bloom btree_gin btree_gist citext cube dblink dict_int dict_xsyn earthdistance file_fdw
    fuzzystrmatch hstore insert_username intagg intarray isn lo ltree moddatetime old_snapshot pageinspect pg_buffercache
    pg_freespacemap pg_prewarm pg_stat_statements pg_surgery pg_trgm pg_visibility pg_walinspect pgcrypto pgrowlocks
    pgstattuple plpgsql postgres_fdw refint seg sslinfo tablefunc tcn tsm_system_rows tsm_system_time unaccent uuid-ossp
    xml2
"""
CONTRIB = frozenset(_CONTRIB.split())
"""The extensions of a PostgreSQL 16 with contrib, as packages and official images have it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerInfo:
    """
    The facts about a server. `declared` are the roles that a restore makes; `others` are only on this server.

    `extensions` is None where no server could be asked.
    """

    major: int
    declared: frozenset[str]
    extensions: frozenset[str] | None = None
    others: frozenset[str] = frozenset()


async def inspect_server(options: FetchOptions, report: Reporter) -> ServerInfo:
    """Ask the server where there is one and it answers; else assume one of our version, and say so."""
    user = options.server.user if options.server else USUAL_USER
    declared = frozenset({user, *(role.name for role in options.roles)})
    assumed = ServerInfo(major=PG_MAJOR, declared=declared)
    if options.server is None:
        return assumed
    try:
        return await _asked(options.server, declared)
    except WorkFailed as error:
        report(
            Note(
                text=f"roles and extensions of the server could not be read, PostgreSQL {PG_MAJOR} is assumed: {error}"
            )
        )
        return assumed


async def _asked(options: ServerOptions, declared: frozenset[str]) -> ServerInfo:
    async with DatabaseServer(options).session(_DATABASE) as session, session.transaction(readonly=True):
        major = int(await session.fetchval("SHOW server_version_num")) // 10000
        roles = await _names(session, "SELECT rolname FROM pg_roles")
        extensions = await _names(session, "SELECT name FROM pg_available_extensions")
    return ServerInfo(major=major, declared=declared, extensions=extensions, others=roles - declared)


async def _names(session: asyncpg.Connection, query: str) -> frozenset[str]:
    return frozenset(str(row[0]) for row in await session.fetch(query))
