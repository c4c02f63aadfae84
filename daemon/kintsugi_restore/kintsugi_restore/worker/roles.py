"""
The roles that a database needs: created where they are missing, left exactly as they are where they exist.

Roles belong to the whole server, so a restore changes none of another origin. The comment on a role, which no dump can
write, names the database that it was made for: only such a role is dropped again. A password is sent to the server as
its verifier (RFC 5803), so that it is in no log and no statistics.
"""

import base64
import hashlib
import hmac
import os
import unicodedata
from collections.abc import Sequence
from contextlib import suppress

import asyncpg

from kintsugi_restore.worker.options import DatabaseRole
from kintsugi_restore.worker.server import identifier, literal

# PostgreSQL's own (src/include/common/scram-common.h).
_ITERATIONS = 4096
SALT = 16

_MADE_FOR = """
SELECT rolname FROM pg_roles WHERE rolname = ANY($1::text[]) AND shobj_description(oid, 'pg_authid') = $2
ORDER BY array_position($1::text[], rolname::text)
"""


async def missing(session: asyncpg.Connection, roles: Sequence[DatabaseRole]) -> tuple[DatabaseRole, ...]:
    """Return those that the server does not know."""
    rows = await session.fetch("SELECT rolname FROM pg_roles WHERE rolname = ANY($1)", [role.name for role in roles])
    known = {row["rolname"] for row in rows}
    return tuple(role for role in roles if role.name not in known)


async def create(session: asyncpg.Connection, roles: Sequence[DatabaseRole], database: str, *, login: bool) -> None:
    """Create roles for a database; with `login` each may log in, with its password where it has one."""
    for role in roles:
        statement = f"CREATE ROLE {identifier(role.name)}"
        if login:
            statement += " LOGIN"
        if login and role.password:
            statement += f" PASSWORD {literal(verifier(role.password, os.urandom(SALT)))}"
        # Another restore on this server may have made it a moment ago.
        with suppress(asyncpg.DuplicateObjectError):
            await session.execute(statement)
            await mark(session, role.name, database)


async def mark(session: asyncpg.Connection, name: str, database: str) -> None:
    """Write down for which database a role was made."""
    await session.execute(f"COMMENT ON ROLE {identifier(name)} IS {literal(_made_for(database))}")


async def drop(session: asyncpg.Connection, names: Sequence[str], database: str) -> tuple[str, ...]:
    """Drop roles that were made for a database and that nothing depends on; give the names of those that had to stay."""
    kept: list[str] = []
    rows = await session.fetch(_MADE_FOR, list(names), _made_for(database))
    for name in [row["rolname"] for row in rows]:
        try:
            await session.execute(f"DROP ROLE IF EXISTS {identifier(name)}")
        except (asyncpg.DependentObjectsStillExistError, asyncpg.ObjectInUseError):
            kept.append(name)
    return tuple(kept)


def _made_for(database: str) -> str:
    return f"kintsugi: made for {database}"


def verifier(password: str, salt: bytes) -> str:
    """Make what the server keeps of a password: `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`."""
    # RFC 4013 (SASLprep) comes down to NFKC for what people type; for ASCII it changes nothing.
    normalized = unicodedata.normalize("NFKC", password).encode()
    salted = hashlib.pbkdf2_hmac("sha256", normalized, salt, _ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(each).decode() for each in (salt, stored, server)]
    return f"SCRAM-SHA-256${_ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"
