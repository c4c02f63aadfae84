"""
The database that is restored into: hidden under another name until it is whole.

A client must never use a database that is half restored, and no right or limit keeps out all of them (an application
may log in as the superuser). So the work goes on under a name that nobody knows, `kintsugi_restoring_NAME`; the last
act of a restore gives the database its own name. An existing empty database is renamed for that time and keeps
its owner, rights and settings. That a database of the wanted name exists and has tables means that it is whole.

A comment on the hidden database says whose it is and what is being done, so that after any kind of end the next worker
takes it up: empty, it is taken again; full, the restore of the same file had come to its end, and only the last act is
missing (the restore is one transaction: there is nothing between).
"""

import hashlib
from dataclasses import dataclass, replace

import asyncpg
import msgspec

from kintsugi.model.lines import Note
from kintsugi.model.restore import WorkFailure
from kintsugi.worker.contents import made_by_people
from kintsugi.worker.database import Database
from kintsugi.worker.lines import Say, WorkFailed
from kintsugi.worker.server import Server, clients, emptied, identifier, literal

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
class Mark:
    """
    What the comment on a database of ours says.

    `created`: the database is ours and may be dropped; else `comment` is the one that it had. `roles` were made for it.
    `drill`: the run whose scratch database it is.
    """

    sha256: str = ""
    created: bool = True
    comment: str | None = None
    roles: tuple[str, ...] = ()
    drill: str | None = None

    @property
    def text(self) -> str:
        """Return the comment."""
        return f"kintsugi: {msgspec.json.encode(self).decode()}"

    @classmethod
    def read(cls, comment: str | None) -> "Mark | None":
        """Read a comment; None where it is not ours."""
        if comment is None or not comment.startswith("kintsugi: "):
            return None
        try:
            return msgspec.json.decode(comment.removeprefix("kintsugi: "), type=cls)
        except msgspec.DecodeError:
            return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """A database that is ours for the restore; `whole`: an earlier worker had restored it and not come further."""

    database: str
    mark: Mark
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


class Target:
    """The target on its server. `session` is in the maintenance database and holds the lock."""

    def __init__(self, server: Server, session: asyncpg.Connection, database: str) -> None:
        self._server, self._session = server, session
        self._database, self._hidden = database, hidden(database)

    async def refuse_full(self) -> None:
        """Refuse a target with anything in it, before anything is done."""
        if await self._exists(self._database):
            await self._refuse_full(self._database, self._database)

    async def take(self, wanted: Mark, like: Database) -> Taken:
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

    async def give_back(self, taken: Taken) -> None:
        """Leave things as they were: a new database is dropped, an old one gets its name and its comment again."""
        await emptied(self._session, taken.hidden)
        if taken.mark.created:
            await self._session.execute(f"DROP DATABASE IF EXISTS {identifier(taken.hidden)}")
        else:
            await self._show(taken, taken.mark.comment)

    async def hand_over(self, taken: Taken, like: Database, say: Say) -> None:
        """Give a whole database its name. Raises WorkFailed, and keeps all, when there is another of that name by now."""
        strangers = await emptied(self._session, taken.hidden)
        if strangers:
            say(
                Note(
                    text=f"disconnected from {taken.hidden} before it was handed over: {', '.join(map(str, strangers))}"
                )
            )
        try:
            await self._show(taken, taken.mark.text if taken.mark.drill is not None else taken.mark.comment)
        except asyncpg.DuplicateDatabaseError as error:
            raise WorkFailed(
                WorkFailure.REFUSED,
                f"somebody made a database {self._database} meanwhile: the restored one is kept as {taken.hidden};"
                f" drop {self._database} if nobody needs it, and restore again",
            ) from error
        if taken.mark.created and like.name == self._database:
            await self._as_it_was(like, say)

    async def _as_it_was(self, like: Database, say: Say) -> None:
        """Give a new database the owner, rights, settings and comment of the dumped one."""
        try:
            async with self._session.transaction():
                await self._session.execute(like.statements)
        except asyncpg.PostgresError as error:
            say(Note(text=f"the settings, owner and rights of {self._database} itself were not restored: {error}"))

    async def _take_up(self, wanted: Mark, like: Database) -> Taken:
        """Take what an earlier worker left: it is dead, for we hold its lock; its pg_restore may not know yet."""
        if await self._exists(self._database):
            raise WorkFailed(
                WorkFailure.REFUSED,
                f"{self._hidden} was left by an earlier restore, and there is a database {self._database} beside it:"
                " drop the one that is not needed, and restore again",
            )
        await emptied(self._session, self._hidden)
        found = Mark.read(await self._comment(self._hidden))
        made = await self._made(self._hidden)
        if not made:
            mark = wanted if found is None else _again(wanted, found)
            await self._session.execute(f"COMMENT ON DATABASE {identifier(self._hidden)} IS {literal(mark.text)}")
            return Taken(database=self._database, mark=mark)
        if found is not None and found.sha256 == wanted.sha256:
            return Taken(database=self._database, mark=found, whole=True)
        if found is None or not found.created:
            raise WorkFailed(
                WorkFailure.REFUSED,
                f"{self._hidden} holds what an earlier restore of another file left ({', '.join(made)}):"
                f" rename it to {self._database} to keep it, or drop it, and restore again",
            )
        await self._session.execute(f"DROP DATABASE {identifier(self._hidden)}")
        return await self._create(_again(wanted, found), like)

    async def _create(self, mark: Mark, like: Database) -> Taken:
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
        return Taken(database=self._database, mark=mark)

    async def _hide(self, wanted: Mark) -> Taken:
        """Rename an empty database; the server itself refuses while a client is there."""
        mark = replace(wanted, created=False, comment=await self._comment(self._database))
        try:
            async with self._session.transaction():
                await self._rename(self._database, self._hidden, mark.text)
        except asyncpg.ObjectInUseError as error:
            who = ", ".join(map(str, await clients(self._session, self._database))) or str(error)
            raise WorkFailed(
                WorkFailure.REFUSED, f"clients are connected to {self._database} ({who}): stop them, and restore again"
            ) from error
        taken = Taken(database=self._database, mark=mark)
        try:
            # Between the first look and the new name somebody may have written.
            await self._refuse_full(self._hidden, self._database)
        except WorkFailed:
            await self.give_back(taken)
            raise
        return taken

    async def _show(self, taken: Taken, comment: str | None) -> None:
        async with self._session.transaction():
            await self._rename(taken.hidden, taken.database, comment)

    async def _rename(self, old: str, new: str, comment: str | None) -> None:
        said = "NULL" if comment is None else literal(comment)
        await self._session.execute(f"COMMENT ON DATABASE {identifier(old)} IS {said}")
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

    async def _exists(self, name: str) -> bool:
        return bool(await self._session.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name))

    async def _comment(self, name: str) -> str | None:
        found: str | None = await self._session.fetchval(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1", name
        )
        return found


def _again(wanted: Mark, found: Mark) -> Mark:
    """Say of a database that is taken again what is to be known of both attempts."""
    roles = tuple(dict.fromkeys((*found.roles, *wanted.roles)))
    return replace(wanted, created=found.created, comment=found.comment, roles=roles)
