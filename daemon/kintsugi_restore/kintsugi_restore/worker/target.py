"""
The database that is restored into: hidden under another name until it is whole.

A client must never use a database that is half restored, and no right or limit keeps out all of them (an application
may log in as the superuser). So the work is done under a name that no client uses, `kintsugi_restoring_NAME`; the last
act of a restore gives the database its own name. An existing empty database is renamed for that time and keeps its
owner (where that is no superuser), rights and settings. That a database of the wanted name exists and has tables means
that it is whole.

A comment on the hidden database names its owner and its state, so that after any kind of end the next worker continues
it: empty, it is taken again; full, the restore of the same file had come to its end, and only the last act is missing
(the restore is one transaction: there is nothing between).
"""

import hashlib
from dataclasses import dataclass, replace

import asyncpg
import msgspec

from kintsugi_restore.worker.contents import made_by_people
from kintsugi_restore.worker.database import Database, right_statement, setting_statement
from kintsugi_restore.worker.log_writer import Reporter, WorkFailed
from kintsugi_restore.worker.owner import as_owner
from kintsugi_restore.worker.ownership import harmless
from kintsugi_restore.worker.server import DatabaseServer, clients, emptied, identifier, literal
from kintsugi_restore.worker_log import Note
from kintsugi_restore.worker_results import WorkFailure, owner_of

HIDDEN = "kintsugi_restoring_"
_NO_SUCH_LOCALE = (
    asyncpg.WrongObjectTypeError,
    asyncpg.InvalidParameterValueError,
    asyncpg.FeatureNotSupportedError,
    asyncpg.InvalidObjectDefinitionError,
    asyncpg.UndefinedObjectError,
)
# PostgreSQL's limit of a name, in bytes (NAMEDATALEN - 1).
_LONGEST = 63


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnershipComment:
    """
    The contents of the comment on a database of ours.

    `created`: the database is ours and may be dropped; else `comment`, `owner` and `extensions` are its former ones.
    `roles` were made for it. `drill`: the run whose scratch database it is.
    """

    sha256: str = ""
    created: bool = True
    comment: str | None = None
    owner: str | None = None
    extensions: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    drill: str | None = None

    @property
    def text(self) -> str:
        """Return the comment."""
        return f"kintsugi: {msgspec.json.encode(self).decode()}"

    @classmethod
    def read(cls, comment: str | None) -> "OwnershipComment | None":
        """Read a comment; None where it is not ours."""
        if comment is None or not comment.startswith("kintsugi: "):
            return None
        try:
            return msgspec.json.decode(comment.removeprefix("kintsugi: "), type=cls)
        except msgspec.DecodeError:
            return None


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoreTarget:
    """A database that is ours for the restore; `whole`: an earlier worker had restored it and not come further."""

    database: str
    mark: OwnershipComment
    whole: bool = False

    @property
    def hidden(self) -> str:
        """Return the name that it has until it is whole."""
        return hidden(self.database)


def hidden(database: str) -> str:
    """Name the hidden database of another."""
    name = f"{HIDDEN}{database}"
    if len(name.encode()) <= _LONGEST:
        return name
    return f"{HIDDEN}{hashlib.sha256(database.encode()).hexdigest()[:32]}"


class TargetDatabase:
    """The target on its server. `session` is in the maintenance database and holds the lock."""

    def __init__(self, server: DatabaseServer, session: asyncpg.Connection, database: str) -> None:
        self._server, self._session = server, session
        self._database, self._hidden = database, hidden(database)
        self._owner = identifier(owner_of(database))

    async def refuse_full(self) -> None:
        """Refuse a target with anything in it, before anything is done."""
        if await self._exists(self._database):
            await self._refuse_full(self._database, self._database)

    async def claim(self, wanted: OwnershipComment, like: Database) -> RestoreTarget:
        """Take the target for a restore: the leftover of an earlier one, the empty database, or a new one."""
        if await self._exists(self._hidden):
            return await self._take_up(wanted, like)
        if not await self._exists(self._database):
            return await self._create(wanted, like)
        if wanted.drill is not None:
            raise WorkFailed(
                WorkFailure.REFUSED, f"{self._database} exists already: a drill needs a database of its own"
            )
        await self._refuse_full(self._database, self._database)
        return await self._hide(wanted)

    async def restore_owner(self, taken: RestoreTarget) -> None:
        """Leave things as they were: a new database is dropped, an old one gets its name and its comment again."""
        await emptied(self._session, taken.hidden)
        if taken.mark.created:
            await self._session.execute(f"DROP DATABASE IF EXISTS {identifier(taken.hidden)}")
        else:
            await self._emptied_again(taken)
            await self._show(taken, taken.mark.comment, taken.mark.owner)

    async def give_to_owner(self, taken: RestoreTarget) -> None:
        """Make the hidden database the owner's, for as long as the restore lasts."""
        await self._session.execute(f"ALTER DATABASE {identifier(taken.hidden)} OWNER TO {self._owner}")

    async def rename_into_place(self, taken: RestoreTarget, like: Database, report: Reporter) -> None:
        """Rename a whole database. Raises WorkFailed, and keeps all, when there is another of that name by now."""
        described = taken.mark.created and like.name == self._database
        if described:
            await self._set_as_it_was(taken, like, report)
        strangers = await emptied(self._session, taken.hidden)
        if strangers:
            report(
                Note(
                    text=f"disconnected from {taken.hidden} before it was handed over: {', '.join(map(str, strangers))}"
                )
            )
        try:
            owner = await self._owned_by(taken, like)
            await self._show(taken, _comment_of(taken, like, described=described), owner)
        except asyncpg.DuplicateDatabaseError as error:
            raise WorkFailed(
                WorkFailure.REFUSED,
                f"a database {self._database} was made meanwhile: the restored one is kept as {taken.hidden};"
                f" drop {self._database} if it is not needed, and restore again",
            ) from error
        if owner != owner_of(self._database):
            await self._session.execute(f"GRANT {identifier(owner)} TO {self._owner} WITH INHERIT TRUE, SET FALSE")
        if described:
            await self._allow_as_it_was(like, report)

    async def _set_as_it_was(self, taken: RestoreTarget, like: Database, report: Reporter) -> None:
        """Apply to a new database the settings of the dumped one, as far as its owner may set them."""
        refused: list[str] = []
        async with as_owner(self._server, self._database).session(taken.hidden) as session:
            for setting in like.settings:
                try:
                    await session.execute(setting_statement(taken.hidden, setting))
                except asyncpg.PostgresError as error:
                    refused.append(f"{setting.name} ({error})")
        if refused:
            report(Note(text=f"settings of {self._database} itself that were not restored: {', '.join(refused)}"))
        if like.not_understood:
            report(
                Note(
                    text=f"{like.not_understood} statements about {self._database} itself were not understood: left out"
                )
            )

    async def _allow_as_it_was(self, like: Database, report: Reporter) -> None:
        """Apply to a new database the rights and the limit of the dumped one."""
        statements = [right_statement(self._database, right) for right in like.rights]
        if like.limit is not None:
            statements.append(f"ALTER DATABASE {identifier(self._database)} CONNECTION LIMIT {like.limit}")
        try:
            async with self._session.transaction():
                for statement in statements:
                    await self._session.execute(statement)
        except asyncpg.PostgresError as error:
            report(Note(text=f"the rights of {self._database} itself were not restored: {error}"))

    async def _owned_by(self, taken: RestoreTarget, like: Database) -> str:
        """Return who is to own the database: who did, unless that is a superuser or comes near to one."""
        was = like.owner if taken.mark.created else taken.mark.owner
        if taken.mark.drill is None and was and was in await harmless(self._session, [was]):
            return was
        return owner_of(self._database)

    async def _emptied_again(self, taken: RestoreTarget) -> None:
        """Take out of an existing database what was made in it before the dump: extensions, and schemas for them."""
        made = set(await self._extensions(taken.hidden)) - set(taken.mark.extensions)
        async with self._server.session(taken.hidden) as session:
            for name in sorted(made):
                await session.execute(f"DROP EXTENSION IF EXISTS {identifier(name)} CASCADE")
            if await session.fetchval(
                "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", owner_of(self._database)
            ):
                await session.execute(f"DROP OWNED BY {self._owner}")

    async def _take_up(self, wanted: OwnershipComment, like: Database) -> RestoreTarget:
        """Take what an earlier worker left: it is dead, for we hold its lock; its pg_restore may not know yet."""
        if await self._exists(self._database):
            raise WorkFailed(
                WorkFailure.REFUSED,
                f"{self._hidden} was left by an earlier restore, and there is a database {self._database} beside it:"
                " drop the one that is not needed, and restore again",
            )
        await emptied(self._session, self._hidden)
        found = OwnershipComment.read(await self._comment(self._hidden))
        made = await self._made(self._hidden)
        if not made:
            mark = wanted if found is None else _again(wanted, found)
            await self._session.execute(f"COMMENT ON DATABASE {identifier(self._hidden)} IS {literal(mark.text)}")
            return RestoreTarget(database=self._database, mark=mark)
        if found is not None and found.sha256 == wanted.sha256:
            return RestoreTarget(database=self._database, mark=found, whole=True)
        if found is None or not found.created:
            raise WorkFailed(
                WorkFailure.REFUSED,
                f"{self._hidden} contains objects of an earlier restore of another file ({', '.join(made)}):"
                f" rename it to {self._database} to keep it, or drop it, and restore again",
            )
        await self._session.execute(f"DROP DATABASE {identifier(self._hidden)}")
        return await self._create(_again(wanted, found), like)

    async def _create(self, mark: OwnershipComment, like: Database) -> RestoreTarget:
        name = identifier(self._hidden)
        try:
            await self._session.execute(f"CREATE DATABASE {name} TEMPLATE = template0{like.options}")
        except _NO_SUCH_LOCALE as error:
            raise WorkFailed(
                WorkFailure.MISMATCH,
                f"{self._server.where} cannot make a database like the dumped one ({like.options.strip()}): {error};"
                f" make an empty {self._database} by hand, and restore again",
            ) from error
        await self._session.execute(f"COMMENT ON DATABASE {name} IS {literal(mark.text)}")
        return RestoreTarget(database=self._database, mark=mark)

    async def _hide(self, wanted: OwnershipComment) -> RestoreTarget:
        """Rename an empty database; the server itself refuses while a client is there."""
        owner, extensions = await self._owner_of(self._database), await self._extensions(self._database)
        comment = await self._comment(self._database)
        mark = replace(wanted, created=False, comment=comment, owner=owner, extensions=extensions)
        try:
            async with self._session.transaction():
                await self._rename(self._database, self._hidden, mark.text)
        except asyncpg.ObjectInUseError as error:
            who = ", ".join(map(str, await clients(self._session, self._database))) or str(error)
            raise WorkFailed(
                WorkFailure.REFUSED, f"clients are connected to {self._database} ({who}): stop them, and restore again"
            ) from error
        taken = RestoreTarget(database=self._database, mark=mark)
        try:
            # Between the first look and the new name somebody may have written.
            await self._refuse_full(self._hidden, self._database)
        except WorkFailed:
            await self.restore_owner(taken)
            raise
        return taken

    async def _show(self, taken: RestoreTarget, comment: str | None, owner: str | None) -> None:
        """Set the database's name, comment and owner."""
        async with self._session.transaction():
            await self._rename(taken.hidden, taken.database, comment)
            if owner is not None:
                await self._session.execute(f"ALTER DATABASE {identifier(taken.database)} OWNER TO {identifier(owner)}")

    async def _rename(self, old: str, new: str, comment: str | None) -> None:
        text = "NULL" if comment is None else literal(comment)
        await self._session.execute(f"COMMENT ON DATABASE {identifier(old)} IS {text}")
        await self._session.execute(f"ALTER DATABASE {identifier(old)} RENAME TO {identifier(new)}")

    async def _refuse_full(self, name: str, called: str) -> None:
        if made := await self._made(name):
            more = ", …" if len(made) > 3 else ""
            raise WorkFailed(
                WorkFailure.REFUSED,
                f"{called} is not empty ({', '.join(made[:3])}{more}): a backup is restored into an empty database only",
            )

    async def _made(self, name: str) -> tuple[str, ...]:
        async with self._server.session(name) as session:
            return await made_by_people(session)

    async def _extensions(self, name: str) -> tuple[str, ...]:
        async with self._server.session(name) as session:
            return tuple(row["extname"] for row in await session.fetch("SELECT extname FROM pg_extension"))

    async def _owner_of(self, name: str) -> str:
        return str(
            await self._session.fetchval("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = $1", name)
        )

    async def _exists(self, name: str) -> bool:
        return bool(await self._session.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name))

    async def _comment(self, name: str) -> str | None:
        found: str | None = await self._session.fetchval(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1", name
        )
        return found


def _again(wanted: OwnershipComment, found: OwnershipComment) -> OwnershipComment:
    """Return what is to be known of both attempts at a database that is taken again."""
    roles = tuple(dict.fromkeys((*found.roles, *wanted.roles)))
    return replace(
        wanted,
        created=found.created,
        comment=found.comment,
        owner=found.owner,
        extensions=found.extensions,
        roles=roles,
    )


def _comment_of(taken: RestoreTarget, like: Database, *, described: bool) -> str | None:
    """Return what the comment on a database is in the end: a drill's mark, what the dump says of it, or what it was."""
    if taken.mark.drill is not None:
        return taken.mark.text
    return like.comment if described else taken.mark.comment
