"""
Sets the owners of restored objects: by catalogue and name after `pg_restore`, which makes all of them as one owner.

An object becomes the role's that the dump names where that role has no more rights than an application needs. Objects
of a superuser, or of a role with such rights, stay with the owner of the restore: a superuser's function, view or index
runs with a superuser's rights when it is used. No statement here calls anything that was restored.
"""

from collections.abc import Collection, Iterator

import asyncpg

from kintsugi_restore.worker.dump_ownership import DefaultRight, DumpOwnership, key
from kintsugi_restore.worker.log_writer import Reporter, WorkFailed
from kintsugi_restore.worker.server import DatabaseServer, identifier
from kintsugi_restore.worker_log import Note
from kintsugi_restore.worker_results import WorkFailure, owner_of

_HARMLESS = """
SELECT rolname FROM pg_roles r WHERE rolname = ANY($1) AND rolname !~ '^pg_'
    AND NOT (rolsuper OR rolcreaterole OR rolreplication OR rolbypassrls)
    AND NOT EXISTS (SELECT FROM pg_roles p WHERE pg_has_role(r.oid, p.oid, 'MEMBER') AND (p.rolsuper OR p.rolcreaterole
        OR p.rolname IN ('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program',
            'pg_read_all_data', 'pg_write_all_data', 'pg_signal_backend', 'pg_create_subscription')))
"""
# A sequence of a column's, and a partition's index, go with their table.
_OWNED = """
SELECT o.type, o.identity FROM pg_shdepend d, LATERAL pg_identify_object(d.classid, d.objid, 0) o
WHERE d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND d.refclassid = 'pg_authid'::regclass AND d.refobjid = (SELECT oid FROM pg_roles WHERE rolname = $1)
    AND d.deptype = 'o' AND d.objsubid = 0
    AND NOT EXISTS (SELECT FROM pg_depend c WHERE c.classid = d.classid AND c.objid = d.objid
        AND d.classid = 'pg_class'::regclass AND c.refclassid = 'pg_class'::regclass AND c.refobjsubid > 0
        AND c.deptype IN ('a', 'i'))
"""
_WORDS = {"statistics object": "statistics"}
_ALTERED = frozenset(
    {
        *("table", "view", "materialized view", "sequence", "foreign table", "type", "schema", "large object"),
        *("function", "procedure", "aggregate", "collation", "conversion", "statistics object"),
        *("text search configuration", "text search dictionary"),
    }
)
_PRIVILEGES = frozenset(
    ["ALL", "SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "USAGE", "EXECUTE", "CREATE"]
)


async def harmless(session: asyncpg.Connection, names: Collection[str]) -> frozenset[str]:
    """Return those of the roles that may own what strangers wrote: no superuser, and nothing that comes near to one."""
    return frozenset(row["rolname"] for row in await session.fetch(_HARMLESS, list(names)))


async def refuse_missing(
    session: asyncpg.Connection, dump_ownership: DumpOwnership, declared: Collection[str], where: str
) -> None:
    """Refuse a dump with an owner that is neither on the server nor declared. Raises WorkFailed with the first."""
    needed = set(dump_ownership.owners.values()) - set(declared)
    rows = await session.fetch("SELECT rolname FROM pg_roles WHERE rolname = ANY($1)", list(needed))
    if missing := sorted(needed - {row["rolname"] for row in rows}):
        raise WorkFailed(
            WorkFailure.MISMATCH,
            f"the dump needs the role {missing[0]}, which {where} does not have and which is not declared",
        )


async def settle(
    server: DatabaseServer, hidden: str, database: str, dump_ownership: DumpOwnership, report: Reporter
) -> None:
    """Assign everything in the hidden database to whom the dump gives it, all or nothing; done again it changes nothing."""
    us = owner_of(database)
    async with server.session(hidden) as session, session.transaction():
        owners = await harmless(session, set(dump_ownership.owners.values()))
        for statement in [*await _gifts(session, us, dump_ownership, owners), *_default_rights(dump_ownership, owners)]:
            await session.execute(statement)
        for role in sorted(owners):
            await session.execute(f"GRANT {identifier(role)} TO {identifier(us)} WITH INHERIT TRUE, SET FALSE")
    if stays := sorted(each for each in set(dump_ownership.owners.values()) - owners if not each.startswith("pg_")):
        report(Note(text=f"objects of {', '.join(stays)} belong to {us}: a superuser must not own restored data"))


async def _gifts(
    session: asyncpg.Connection, us: str, dump_ownership: DumpOwnership, owners: Collection[str]
) -> list[str]:
    gifts: list[str] = []
    # The only schema that is there before a dump, and no one's then but the database's owner.
    if (public := dump_ownership.owners.get(key("schema", "", "public"))) in owners:
        gifts.append(f"ALTER SCHEMA public OWNER TO {identifier(str(public))}")
    for row in await session.fetch(_OWNED, us):
        kind, identity = row["type"], row["identity"]
        owner = dump_ownership.owners.get(key(kind, "", identity), us)
        if owner in owners and kind in _ALTERED:
            gifts.append(f"ALTER {_WORDS.get(kind, kind).upper()} {identity} OWNER TO {identifier(owner)}")
    return gifts


def _default_rights(dump_ownership: DumpOwnership, owners: Collection[str]) -> Iterator[str]:
    for right in dump_ownership.default_rights:
        if right.of in owners and _PRIVILEGES.issuperset(right.privileges):
            yield _default_statement(right)


def _default_statement(right: DefaultRight) -> str:
    verb, word = ("GRANT", "TO") if right.granted else ("REVOKE", "FROM")
    schema = f" IN SCHEMA {identifier(right.schema)}" if right.schema else ""
    role = "PUBLIC" if right.role == "PUBLIC" else identifier(right.role)
    option = " WITH GRANT OPTION" if right.grantable else ""
    return (
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {identifier(right.of)}{schema} {verb} {', '.join(right.privileges)}"
        f" ON {right.kind} {word} {role}{option}"
    )
