"""
The extensions that a dump needs: made before anything of the dump is there, because most need a superuser.

Only extensions that are installed on the server can be made, and their scripts are the server's own. They run in a
database that has no foreign objects yet, so that none can be found by them: the search path is the server's, which some
scripts add to (`topology.AddToSearchPath` of PostGIS).
"""

from collections.abc import Sequence

import asyncpg

from kintsugi_restore.backups import FILLABLE_TABLES
from kintsugi_restore.worker.dump_ownership import Extension
from kintsugi_restore.worker.log_writer import WorkFailed
from kintsugi_restore.worker.server import DatabaseServer, identifier
from kintsugi_restore.worker_results import WorkFailure

_THERE = "SELECT extname FROM pg_catalog.pg_extension"
_TABLES = """
SELECT format('%I.%I', n.nspname, c.relname) AS name
FROM pg_catalog.pg_extension e
JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
JOIN pg_catalog.pg_class c ON d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND c.relkind = 'r'
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE e.extname = $1 AND c.relname = $2
"""
_SCHEMA_THERE = "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)"


async def make(server: DatabaseServer, database: str, owner: str, extensions: Sequence[Extension]) -> None:
    """Make those that are missing, all or none; schemas that the dump has for them are the owner's. Raises WorkFailed."""
    async with server.session(database, search_path="") as session, session.transaction():
        there = {row["extname"] for row in await session.fetch(_THERE)}
        for extension in extensions:
            if extension.made and not await session.fetchval(_SCHEMA_THERE, extension.schema):
                await session.execute(f"CREATE SCHEMA {identifier(extension.schema)} AUTHORIZATION {identifier(owner)}")
            if extension.name not in there:
                await _make(session, extension, server.where)
            for table in FILLABLE_TABLES.get(extension.name, ()):
                await _let_fill(session, extension, table, owner)


async def _let_fill(session: asyncpg.Connection, extension: Extension, table: str, owner: str) -> None:
    """Let the owner insert into a table of an extension, wherever that is, and whatever another one is called."""
    for row in await session.fetch(_TABLES, extension.name, table):
        await session.execute(f"GRANT INSERT ON TABLE {row['name']} TO {identifier(owner)}")


async def _make(session: asyncpg.Connection, extension: Extension, where: str) -> None:
    schema = f" WITH SCHEMA {identifier(extension.schema)}" if extension.schema else ""
    available = "SELECT EXISTS (SELECT FROM pg_catalog.pg_available_extensions WHERE name = $1)"
    if not await session.fetchval(available, extension.name):
        raise WorkFailed(
            WorkFailure.MISMATCH,
            f"the dump needs the extension {extension.name}, which is not installed on {where}: install it there",
        )
    await session.execute(f"CREATE EXTENSION {identifier(extension.name)}{schema}")
