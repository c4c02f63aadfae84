"""
The owner: a role without a superuser's rights, as which a dump is restored and restored data are read.

A dump is a program. As a superuser it could run commands on the server's machine, change any role and read any
database; `SET ROLE` does not protect, because the dump can reset it. So the owner logs in: nothing in its session has
more rights than it. It is a member of no role while the dump runs. It has the password of the restoring user, so that
this user may also read; the dump cannot learn it. It inherits the rights of the roles that own objects afterwards and
cannot become any of them (`SET FALSE`): it reads all, and changes no role.
"""

import os
from dataclasses import replace

import asyncpg

from kintsugi_restore.worker.log_writer import WorkFailed
from kintsugi_restore.worker.roles import SALT, mark, verifier
from kintsugi_restore.worker.server import DatabaseServer, identifier, literal
from kintsugi_restore.worker_results import WorkFailure, owner_of

_ATTRIBUTES = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION BYPASSRLS"
"""BYPASSRLS: rows come back, and are counted, whatever policies the dump has for its owners."""

_MEMBERSHIPS = """
SELECT r.rolname AS of FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid JOIN pg_roles o ON o.oid = m.member
WHERE o.rolname = $1
"""


def as_owner(server: DatabaseServer, database: str) -> DatabaseServer:
    """Return the server as the owner of a database sees it."""
    return DatabaseServer(replace(server.options, user=owner_of(database)))


async def make(session: asyncpg.Connection, server: DatabaseServer, database: str) -> None:
    """Make the owner of a database, or make one that is there as it must be; it is a member of nothing then."""
    name = owner_of(database)
    exists = await session.fetchval("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", name)
    password = server.options.password
    given = f" PASSWORD {literal(verifier(password, os.urandom(SALT)))}" if password else ""
    await session.execute(f"{'ALTER' if exists else 'CREATE'} ROLE {identifier(name)} {_ATTRIBUTES}{given}")
    await mark(session, name, database)
    for row in await session.fetch(_MEMBERSHIPS, name):
        await session.execute(f"REVOKE {identifier(row['of'])} FROM {identifier(name)}")


async def check(server: DatabaseServer, database: str, hidden: str) -> None:
    """
    See that the owner can log in, and has no more rights than it should: the dump is run as it next.

    Raises WorkFailed. A `pg_hba.conf` that lets only some users in is the usual reason.
    """
    async with as_owner(server, database).session(hidden) as session:
        if await session.fetchval("SELECT current_setting('is_superuser')") != "off":
            raise WorkFailed(
                WorkFailure.REFUSED,
                f"{owner_of(database)} is a superuser on {server.where}: a dump is not restored with such rights",
            )
