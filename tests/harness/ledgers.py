"""A ledger that has its tables and no rows: made once a run, since migrations take longer than most tests do with it."""

import asyncio
import shutil
import weakref
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from sqlalchemy import Connection

from kintsugi.errors import LedgerUnavailable
from kintsugi.ledger import NO_FAILPOINTS, Failpoints, Ledger
from kintsugi.ledger.store.engines import connect, parse_url
from kintsugi.ledger.store.transactions import Store
from kintsugi.model.api_types import SignalQuery
from kintsugi.model.change_limits import Budget
from kintsugi.model.records import DeadLetter, Signal, StepRecord, StepState, Verdict
from tests.harness.sqlite_at_once import ExecutorAtOnce, at_once

_SHM = Path("/dev/shm")
_MEMORY = _SHM if _SHM.is_dir() else None


def url_of(file: Path) -> str:
    """Return the URL of a ledger in an SQLite file."""
    return f"sqlite:///{file}"


async def make(url: str) -> None:
    """Let a ledger make its tables."""
    async with Ledger.open(url, holder="its maker"):
        pass


@cache
def content() -> bytes:
    """Return what is in an SQLite file after that, for a test to write to a file of its own."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "ledger.db"
        # In a thread, for callers that run on an event loop of their own.
        with ThreadPoolExecutor(max_workers=1) as aside:
            aside.submit(lambda: asyncio.run(make(url_of(file)))).result()
        return file.read_bytes()


@contextmanager
def memory() -> Iterator[str]:
    """
    Return the URL of a ledger without rows that stays in memory, and whose calls end before anybody waits for them.

    One ledger at a time may be opened on it: a second one would wait for the first in the only thread that there is.
    """
    with TemporaryDirectory(dir=_MEMORY, prefix="kintsugi-") as folder, at_once():
        file = Path(folder) / "ledger.db"
        file.write_bytes(content())
        yield url_of(file)


class _Database:
    """A file in memory with its engines, which keep what they have compiled for the next ledger on it."""

    def __init__(self) -> None:
        self._folder = Path(mkdtemp(dir=_MEMORY, prefix="kintsugi-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._file = self._folder / "ledger.db"
        with at_once():
            self.engines = connect(parse_url(url_of(self._file)))

    def empty(self) -> None:
        """Let there be nothing but a ledger that is led."""
        for connections in (self.engines.reader, self.engines.writer):
            connections.engine.dispose()
        for beside in self._folder.iterdir():
            beside.unlink()
        self._file.write_bytes(led_content())


_FREE: list[_Database] = []


class LedgerAtOnce:
    """
    The in-memory ledger without an event loop: led and empty when it is made, and read and written without waiting.

    What asks it in a loop has that loop `work_at_once`. Its file is given to the next one once this is gone.
    """

    def __init__(self, failpoints: Failpoints = NO_FAILPOINTS) -> None:
        database = _FREE.pop() if _FREE else _Database()
        database.empty()
        weakref.finalize(self, _FREE.append, database)
        self._engines = database.engines
        store = Store(self._engines, failpoints, "kintsugi-0")
        store.epoch = 1
        self.ledger = Ledger(store)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Lend a connection in a transaction of its own, which is committed."""
        with self._engines.writer.engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Lend a connection that only reads."""
        with self._engines.reader.engine.connect() as connection:
            yield connection


@cache
def led_content() -> bytes:
    """Return what is in an SQLite file whose ledger is led under the first epoch."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "ledger.db"
        file.write_bytes(content())
        with ThreadPoolExecutor(max_workers=1) as aside:
            aside.submit(lambda: asyncio.run(_lead(url_of(file)))).result()
        return file.read_bytes()


async def _lead(url: str) -> None:
    async with Ledger.open(url, holder="kintsugi-0") as ledger:
        await ledger.lead(datetime.fromtimestamp(0, UTC))


def work_at_once() -> None:
    """Let the running loop do at once what it would leave to a thread."""
    asyncio.get_running_loop().set_default_executor(ExecutorAtOnce())


class Outage:
    """A ledger's failpoints that refuse every commit while it is `away`."""

    def __init__(self) -> None:
        self.away = False

    def hit(self, kind: str, name: str, *, before: bool) -> None:
        """Raise LedgerUnavailable before a commit."""
        if self.away and before:
            raise LedgerUnavailable("the disk is full")


@asynccontextmanager
async def in_memory(now: datetime, failpoints: Failpoints = NO_FAILPOINTS) -> AsyncIterator[Ledger]:
    """
    Lead the in-memory ledger, the real one on `memory`: for tests of what asks it, also in virtual time.

    What else the loop would leave to a thread is done at once, too.
    """
    work_at_once()
    with memory() as url:
        async with Ledger.open(url, holder="kintsugi-0", failpoints=failpoints) as ledger:
            await ledger.lead(now)
            yield ledger


async def newest_signals(ledger: Ledger, limit: int = 50) -> tuple[tuple[Signal, Verdict | None], ...]:
    """Return the newest signals with their verdicts, newest first."""
    found = await ledger.signals.list_signals(SignalQuery(limit=limit))
    return tuple((each.signal, each.verdict) for each in found)


async def newest_dead_letters(ledger: Ledger, limit: int = 50) -> tuple[DeadLetter, ...]:
    """Return the newest dead letters with their payloads, newest first."""
    found = await ledger.signals.dead_letters(limit=limit)
    return tuple([await ledger.signals.dead_letter(each.id) for each in found])


async def save_step(
    ledger: Ledger, step: StepRecord, *, expect: StepState | None, now: datetime, budget: Budget | None = None
) -> None:
    """Write a step in a transaction of its own."""
    await ledger.commit(await ledger.incidents.step_write(step, expect=expect, now=now, budget=budget))


async def keep_evidence(ledger: Ledger, run: str, path: str, kind: str, text: str, now: datetime) -> None:
    """Keep a piece of evidence in a transaction of its own."""
    await ledger.commit(await ledger.incidents.evidence_write(run, path, kind, text, now))
