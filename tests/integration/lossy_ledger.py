"""
A PostgreSQL ledger one of whose commits is answered by nothing, and which is away until its caller has noticed.

A connection that breaks is tried again by the ledger itself; so that the caller hears of the lost answer, as it does when the
database falls silent for longer than a statement may take, no new connection is taken until the call has failed.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.errors import LedgerUnavailable
from kintsugi.ledger import Ledger, RunRequestResult
from kintsugi.ledger.process_lock import LockSession
from kintsugi.ledger.store import NO_FAILPOINTS, Store, Work
from kintsugi.model.records import Incident, RunRecord

T = TypeVar("T")

_SAYS: ContextVar[str] = ContextVar("what the transaction that is about to be committed says", default="")


@dataclass(kw_only=True)
class LossyConnection:
    """
    A line to a PostgreSQL server that loses the answer of one commit.

    `point` names the commit: what it says, and the how many-th of its kind it is. `passed` lists the points in their order.
    `lands`: the server gets the COMMIT, and only its answer is lost; else nothing of it arrives.
    """

    host: str
    port: int
    point: str = ""
    lands: bool = True
    passed: list[str] = field(default_factory=list)
    lost: int = 0
    surfaced: int = 0
    _counts: Counter[str] = field(default_factory=Counter)
    _armed: int | None = None
    _is_away: bool = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection, unless the database is away."""
        if self._is_away:
            writer.transport.abort()
            return
        client = writer.get_extra_info("peername")[1]
        server_reader, server_writer = await asyncio.open_connection(self.host, self.port)
        back = asyncio.create_task(_carry(server_reader, writer))
        try:
            while words := await reader.read(65536):
                if client == self._armed and b"COMMIT" in words:
                    await self._lose(words, back, server_reader, server_writer)
                    return
                server_writer.write(words)
        except ConnectionError:
            pass  # one of the two has gone, and takes the other with it
        finally:
            back.cancel()
            writer.transport.abort()
            server_writer.transport.abort()

    async def commits(self, connection: AsyncConnection, what: str) -> None:
        """Note that a transaction is about to be committed, and lose its answer where that is the point."""
        self._counts[what] += 1
        name = f"{what} {self._counts[what]}"
        self.passed.append(name)
        if name == self.point:
            raw = await connection.get_raw_connection()
            self._armed = raw.driver_connection._transport.get_extra_info("sockname")[1]  # type: ignore[union-attr]

    def failed(self) -> None:
        """Note that a caller was told that the ledger is away: it is there again."""
        self.surfaced += self._is_away
        self._is_away = False

    async def _lose(
        self,
        words: bytes,
        back: asyncio.Task[None],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._armed, self._is_away = None, True
        back.cancel()
        await asyncio.wait([back])
        if self.lands:
            writer.write(words)
            answer = await reader.read(65536)
            assert b"COMMIT" in answer, answer
        self.lost += 1


class LossyStore(Store):
    """The store of production, which tells the line what each commit is about."""

    def __init__(self, store: Store, line: LossyConnection) -> None:
        super().__init__(store.engines, NO_FAILPOINTS, store.holder)
        self._line = line

    async def write(self, name: str, work: Work[T], *, fenced: bool = False) -> T:
        """Do as the store does; the line hears when the caller is told of the loss."""

        async def described(connection: AsyncConnection) -> T:
            value = await work(connection)
            _SAYS.set(describe(name, value))
            return value

        lost = self._line.lost
        try:
            return await super().write(name, described, fenced=fenced)
        except LedgerUnavailable:
            if self._line.lost > lost:
                self._line.failed()
            raise

    async def commit(self, connection: AsyncConnection, name: str) -> None:
        """Commit, on a line that may lose the answer."""
        await self._line.commits(connection, _SAYS.get())
        await super().commit(connection, name)


def describe(name: str, value: object) -> str:
    """Return what a transaction is about: its name, whom it concerns, and what was decided."""
    match value:
        case RunRequestResult(verdict=verdict, incident=Incident(service=service)):
            return f"{name} {service} {verdict.kind}"
        case RunRequestResult(verdict=verdict):
            return f"{name} {verdict.kind}"
        case RunRecord(service=service):
            return f"{name} {service}"
        case Incident(service=service, state=state):
            return f"{name} {service} {state}"
        case _:
            return name


@asynccontextmanager
async def lossy(url: str, *, point: str = "", lands: bool = True) -> AsyncIterator[tuple[Ledger, LossyConnection]]:
    """Open a ledger over a line that loses one answer."""
    real = urlsplit(url)
    line = LossyConnection(host=real.hostname or "", port=real.port or 0, point=point, lands=lands)

    class Lossy(Ledger):
        """The ledger of production on that line."""

        def __init__(self, store: Store, session: LockSession | None = None) -> None:
            super().__init__(LossyStore(store, line), session)

    server = await asyncio.start_server(line.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with Lossy.open(url.replace(f":{real.port}/", f":{port}/"), holder="kintsugi-0") as ledger:
            yield ledger, line
    finally:
        server.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while words := await reader.read(65536):
            writer.write(words)
    except ConnectionError:
        pass  # as above
    writer.close()
