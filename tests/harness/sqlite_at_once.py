"""
SQLite on the event loop's own thread, and what else would be in a thread: the real ledger where time is virtual.

A loop in virtual time finds nothing to do while a thread is at work, and moves its clock: every commit would take as long
as the next timer is away. Here a call is over before anybody waits for it.
"""

import concurrent.futures
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Any, ClassVar, TypeVar
from unittest.mock import patch

from sqlalchemy import URL, Connection, CursorResult, Dialect, Executable, ScalarResult, create_engine

T = TypeVar("T")


@contextmanager
def at_once() -> Iterator[None]:
    """Let ledgers that are opened inside speak to SQLite without a thread."""
    with patch("kintsugi.ledger.engines.create_async_engine", EngineAtOnce):
        yield


def _connected() -> Dialect:
    """Return a dialect that knows the version of SQLite, as each does after its engine's first connection."""
    engine = create_engine("sqlite://")
    engine.connect().close()
    engine.dispose()
    return engine.dialect


class EngineAtOnce:
    """
    What a ledger asks of an asynchronous engine, over a synchronous one.

    A statement is compiled for a dialect: the engines of all tests share one, and what was compiled for it.
    """

    dialect: ClassVar[Dialect] = _connected()
    _compiled: ClassVar[dict[Any, Any]] = {}

    def __init__(self, url: URL, **settings: Any) -> None:
        options = {"compiled_cache": self._compiled}
        self.sync_engine = create_engine(url.set(drivername="sqlite"), execution_options=options, **settings)
        self.sync_engine.dialect = self.dialect

    @asynccontextmanager
    async def connect(self) -> AsyncIterator["ConnectionAtOnce"]:
        """Lend a connection; what is not committed is rolled back."""
        with self.sync_engine.connect() as connection:
            yield ConnectionAtOnce(connection)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator["ConnectionAtOnce"]:
        """Lend a connection in a transaction, which is committed."""
        with self.sync_engine.begin() as connection:
            yield ConnectionAtOnce(connection)

    async def dispose(self) -> None:
        """Close every connection."""
        self.sync_engine.dispose()


class ConnectionAtOnce:
    """What a ledger asks of an asynchronous connection, over a synchronous one."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.dialect = connection.dialect
        self.engine = connection.engine

    async def begin(self) -> None:
        """Begin a transaction."""
        self._connection.begin()

    async def commit(self) -> None:
        """Commit it."""
        self._connection.commit()

    async def invalidate(self) -> None:
        """Use this connection no more."""
        self._connection.invalidate()

    async def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        """Return what a statement finds."""
        return self._connection.execute(statement, parameters)

    async def scalar(self, statement: Executable, parameters: Any = None) -> Any:
        """Return the first value of the first row."""
        return self._connection.scalar(statement, parameters)

    async def scalars(self, statement: Executable, parameters: Any = None) -> ScalarResult[Any]:
        """Return the first value of each row."""
        return self._connection.scalars(statement, parameters)

    async def exec_driver_sql(self, statement: str, parameters: Any = None) -> CursorResult[Any]:
        """Return what a statement in the database's own words finds."""
        return self._connection.exec_driver_sql(statement, parameters)

    async def run_sync(self, function: Callable[[Connection], T]) -> T:
        """Call a function with the synchronous connection."""
        return function(self._connection)


class ExecutorAtOnce(ThreadPoolExecutor):
    """A loop's default executor that does what it is given in the thread that asks."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "concurrent.futures.Future[Any]":
        """Call the function now."""
        done: concurrent.futures.Future[Any] = concurrent.futures.Future()
        try:
            done.set_result(fn(*args, **kwargs))
        # As a thread of the pool does, it hands everything on to who waits.
        except BaseException as error:  # noqa: BLE001
            done.set_exception(error)
        return done
