"""
The roles that a database needs: created where they are missing, left exactly as they are where they exist.

Roles belong to the whole server, so a restore changes none that somebody else made. A password goes to the server as
what it keeps of it (RFC 5803), so that it stands in no log and no statistics.
"""

import base64
import hashlib
import hmac
import os
import unicodedata
from collections.abc import Sequence
from contextlib import suppress

import asyncpg

from kintsugi.worker.options import Role
from kintsugi.worker.server import identifier, literal

# PostgreSQL's own (src/include/common/scram-common.h).
_ITERATIONS = 4096
SALT = 16


async def missing(session: asyncpg.Connection, roles: Sequence[Role]) -> tuple[Role, ...]:
    """Give those that the server does not know."""
    rows = await session.fetch("SELECT rolname FROM pg_roles WHERE rolname = ANY($1)", [role.name for role in roles])
    known = {row["rolname"] for row in rows}
    return tuple(role for role in roles if role.name not in known)


async def create(session: asyncpg.Connection, roles: Sequence[Role], *, login: bool) -> None:
    """Create roles; with `login` each may log in, with its password where it has one."""
    for role in roles:
        statement = f"CREATE ROLE {identifier(role.name)}"
        if login:
            statement += " LOGIN"
        if login and role.password:
            statement += f" PASSWORD {literal(verifier(role.password, os.urandom(SALT)))}"
        # Another restore on this server may have made it a moment ago.
        with suppress(asyncpg.DuplicateObjectError):
            await session.execute(statement)


async def drop(session: asyncpg.Connection, names: Sequence[str]) -> tuple[str, ...]:
    """Drop roles that nothing depends on; give the names of those that had to stay."""
    kept: list[str] = []
    for name in names:
        try:
            await session.execute(f"DROP ROLE IF EXISTS {identifier(name)}")
        except (asyncpg.DependentObjectsStillExistError, asyncpg.ObjectInUseError):
            kept.append(name)
    return tuple(kept)


def verifier(password: str, salt: bytes) -> str:
    """Make what the server keeps of a password: `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`."""
    # RFC 4013 (SASLprep) comes down to NFKC for what people type; for ASCII it changes nothing.
    prepared = unicodedata.normalize("NFKC", password).encode()
    salted = hashlib.pbkdf2_hmac("sha256", prepared, salt, _ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(each).decode() for each in (salt, stored, server)]
    return f"SCRAM-SHA-256${_ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"
