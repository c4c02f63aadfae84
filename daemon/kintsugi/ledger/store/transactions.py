"""
The connector: transactions on the ledger's database, the epoch of the leader, and the one function that commits; and the base
of the aggregates, which read and write by it.

Every change goes through `Store.write`. One transaction is under way at a time; works that arrive meanwhile wait, and go into
the next one together, so that they share its commit: the epoch is tested once for all that are a leader's, each runs inside a
savepoint, and who waits is answered after the commit. Nothing is done outside a transaction, so a failed one may simply run
again; and since each work first looks at what is already written, it may run again even when a COMMIT's answer was lost.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, partial
from itertools import count
from typing import Any, Generic, Protocol, TypeVar

import structlog
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Delete,
    Insert,
    Row,
    Select,
    Table,
    UpdateBase,
    bindparam,
    delete,
    func,
    insert,
    literal,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql

from kintsugi.cancellation import uncancelled
from kintsugi.errors import LedgerError, StaleEpoch, UnreadableRow
from kintsugi.ledger.store.engines import (
    DRIVER_ERRORS,
    DatabaseFailure,
    Engines,
    classify,
    is_read_only,
    ledger_error,
    off_loop,
)
from kintsugi.ledger.store.rows import read_leniently, readable, unreadable
from kintsugi.ledger.store.tables import commit_counts, leadership, pauses
from kintsugi.model.records import DeadLetter, PauseScope, Signal, StepRecord
from kintsugi.retries import Waits, retry

log = structlog.get_logger(__name__)

T = TypeVar("T")
Work = Callable[[Connection], T]
Parameters = Mapping[str, object] | None

_ATTEMPTS = 4
_WAITS = Waits(first=timedelta(seconds=0.02), longest=timedelta(seconds=0.5), jitter=timedelta(seconds=0.05))
_NUMBER = "number of the connection"
_LOST = {
    "scope": PauseScope.GLOBAL,
    "name": "",
    "who": "kintsugi",
    "why": "a failover has lost commits of the ledger: check what was changed last, then resume; replicate synchronously",
    "freeze": True,
    "since": func.now(),
}
# FOR SHARE: a successor's epoch waits until this transaction has ended, so none commits under an old one
_EPOCH_HELD = select(leadership.c.epoch).with_for_update(read=True)

_MOST_NOTED = 10_000
"""The most rows that are remembered as logged."""

_MOST_TOGETHER = 32
"""Works in one transaction, so that none waits long behind the others of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Windows:
    """
    `changes`: how far back the disruption budget counts, by default the hour of `guards.budgetWindow`.

    `runs`: how far back finished runs are read, by default more than the longest cooldown (2 h) and the pause after
    failures (1 h) of the default settings.
    """

    changes: timedelta = timedelta(hours=1)
    runs: timedelta = timedelta(hours=3)

    @classmethod
    def covering(cls, *, changes: timedelta, runs: timedelta) -> "Windows":
        """Return windows that reach at least so far back."""
        usual = cls()
        return cls(changes=max(usual.changes, changes), runs=max(usual.runs, runs))

    @property
    def longest(self) -> timedelta:
        """Return the longest of the windows."""
        return max(self.changes, self.runs)


class Failpoints(Protocol):
    """
    Is called at every commit and effect, and may end the process there.

    `kind` is "commit" (or "effect"), `name` the transaction's (accept, request-run …) and for a run's own what it is about (save-step PATH
    STATE, move-run STATE …). Between the two calls the database decides; whatever is raised here passes through to the caller.
    """

    def hit(self, kind: str, name: str, *, before: bool) -> None:
        """Take note that a failpoint is hit."""
        ...


class _NoFailpoints:
    """The failpoints of production: nothing happens at them."""

    def hit(self, kind: str, name: str, *, before: bool) -> None:
        """Do nothing."""


NO_FAILPOINTS = _NoFailpoints()


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerWrite(Generic[T]):
    """A change of the ledger, to be made by `work`; its commit is told to the failpoints as `name`."""

    name: str
    work: Work[T]


@dataclass(kw_only=True, slots=True, eq=False)
class _Pending:
    """Writes that wait for their transaction, and who waits for its end; `error` is what one of them has raised itself."""

    writes: Sequence[LedgerWrite[Any]]
    fenced: bool
    answer: asyncio.Future[list[Any]]
    values: list[Any] = field(default_factory=list)
    error: Exception | None = None


class Store:
    """
    Runs transactions.

    `epoch` is the one under which this process leads, None while it does not; `holder` is its name. `windows` say how
    far back the past counts.
    """

    def __init__(self, engines: Engines, failpoints: Failpoints, holder: str, windows: Windows | None = None) -> None:
        self.engines = engines
        self.windows = windows or Windows()
        self.holder = holder
        self.epoch: int | None = None
        self._failpoints = failpoints
        self._noted: set[str] = set()
        self._numbers = count(1)
        self._committed: dict[tuple[int, int], int] = {}
        self._waiting: deque[_Pending] = deque()
        self._writing: asyncio.Task[None] | None = None

    async def write(self, name: str, work: Work[T], *, fenced: bool = False) -> T:
        """
        Run `work` in one transaction and commit it; return its result.

        `work` may run several times and must therefore read before it writes: after a deadlock, a lost connection, or a
        COMMIT whose answer was lost. `fenced`: only while no other process has taken the lead. Raises
        `LedgerUnavailable`, `StaleEpoch`, or what `work` raises; then nothing of it is kept, or in one case may be:
        when the database fell silent during the COMMIT itself. Calling again is always right. A caller that is
        cancelled is so once the transaction has ended.
        """
        (value,) = await self.write_all((LedgerWrite(name=name, work=work),), fenced=fenced)
        return value  # type: ignore[no-any-return]  # what `work` returns

    async def write_all(self, writes: Sequence[LedgerWrite[Any]], *, fenced: bool = False) -> list[Any]:
        """Make several changes in their order, all or none: see `write`; return the values of their works."""
        return await _with_retries(lambda: self._next(writes, fenced=fenced), f"write ({writes[-1].name})")

    async def read(self, work: Work[T]) -> T:
        """
        Run `work`, which only reads, on one snapshot or a series of them. Raises `LedgerUnavailable`.

        A caller that is cancelled is so once the reading has ended.
        """
        return await _with_retries(lambda: uncancelled(self.engines.reader.run(work)), "read")

    def commit(self, connection: Connection, *names: str) -> None:
        """Commit: the only place where anything becomes durable, and where failpoints are hit, once for each of the works."""
        for name in names:
            self._failpoints.hit("commit", name, before=True)
        connection.commit()
        for name in names:
            self._failpoints.hit("commit", name, before=False)

    def note(self, error: UnreadableRow | None) -> None:
        """Log that a row cannot be read, once however often it is met; nothing for None."""
        text = str(error)
        if error is not None and text not in self._noted and len(self._noted) < _MOST_NOTED:
            self._noted.add(text)
            log.error("ledger row unreadable", error=text)

    def take_advisory_lock(self, connection: Connection, lock_id: int) -> None:
        """
        Wait until no other transaction holds this turn, on any replica; it is given back at the end of this one.

        On SQLite every writing transaction has the turn already (BEGIN IMMEDIATE).
        """
        if self.engines.on_postgres:
            connection.execute(select(func.pg_advisory_xact_lock(lock_id)))

    async def lead(self, now: datetime) -> int:
        """
        Take the lead: raise the epoch by one and write under it from now on; return the new epoch (P4).

        After this commit every write of an earlier leader is refused. Raises `StaleEpoch` when the database is behind what
        this process has seen of it: it was restored, or failed over to a lagging replica (D3), and changes that it does not
        contain may have been made.
        """
        known = self.epoch or 0

        def work(connection: Connection) -> int:
            epoch = connection.scalar(select(leadership.c.epoch).with_for_update())
            if epoch is None:
                connection.execute(insert(leadership).values(id=1, epoch=0, holder=self.holder))
                epoch = 0
            if epoch < known:
                raise StaleEpoch(f"the ledger is back at epoch {epoch} although {known} was taken: it has lost commits")
            taken = update(leadership).values(epoch=epoch + 1, holder=self.holder, since=now)
            connection.execute(taken)
            connection.execute(delete(commit_counts).where(commit_counts.c.epoch <= epoch))
            return int(epoch) + 1

        self.epoch = await self.write("lead", work)
        return self.epoch

    def leads(self, connection: Connection) -> bool:
        """Return whether this process leads; if so, no other takes the lead before the transaction has ended."""
        return self.epoch is not None and self._stale(connection) is None

    def check_epoch(self, connection: Connection) -> None:
        """Raise `StaleEpoch` unless the ledger is led under the epoch of this process."""
        found = connection.scalar(select(leadership.c.epoch))
        if found != self.epoch:
            raise StaleEpoch(f"the ledger is led under epoch {found}, this process holds {self.epoch}: it must stop")

    async def _next(self, writes: Sequence[LedgerWrite[Any]], *, fenced: bool) -> list[Any]:
        """Let writes go into the next transaction, and return their values once that is committed."""
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Pending(writes=writes, fenced=fenced, answer=answer))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all(), name="ledger-writer")
        try:
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            await asyncio.wait([answer])
            raise

    async def _write_all(self) -> None:
        """Commit one transaction after the other as long as a work waits."""
        try:
            while self._waiting:
                group = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_TOGETHER))]
                try:
                    await self.engines.writer.run(partial(self._transact, group))
                except asyncio.CancelledError:
                    self._waiting.extendleft(group)
                    raise
                # Any error: no caller may wait for ever. It is raised at each of them.
                except BaseException as error:  # noqa: BLE001
                    _refuse(group, error)
                else:
                    _answer(group)
        finally:
            self._writing = None
            for each in self._waiting:  # only when this task itself was cancelled
                each.answer.cancel()

    def _transact(self, group: Sequence[_Pending], connection: Connection) -> None:
        """Make the writes in one transaction and commit it. Raises what ends the transaction, for all of them."""
        try:
            connection.begin()
            stale = self._stale(connection) if any(each.fenced for each in group) else None
            counted = self._count(connection)
            for each in group:
                if each.fenced and stale is not None:
                    each.error = stale
                else:
                    _run(connection, each, alone=len(group) == 1)
            done = [write.name for each in group if each.error is None for write in each.writes]
            if done:
                self.commit(connection, *done)
                self._committed |= counted
        except DRIVER_ERRORS as error:
            if is_read_only(error):  # a demoted primary: the next connection may reach the new one
                connection.invalidate()
            raise

    def check_commits(self, connection: Connection) -> None:
        """
        Raise `StaleEpoch` when the database lacks commits of ours that it has answered: a lagging replica took over (D3).

        What was changed is not known then to any successor. So everything is frozen until a person has looked.
        """
        epoch, known = self.epoch, dict(self._committed)
        found = connection.scalar(select(leadership.c.epoch))
        if epoch is None or (found is not None and found > epoch):
            return
        rows = connection.execute(
            select(commit_counts.c.connection, commit_counts.c.commits).where(commit_counts.c.epoch == epoch)
        )
        counts = {(epoch, number): commits for number, commits in rows}
        if all(counts.get(each, 0) >= commits for each, commits in known.items() if each[0] == epoch):
            return
        connection.rollback()
        connection.begin()
        connection.execute(
            postgresql.insert(pauses).values(**_LOST, id=f"lost-commits-{epoch}").on_conflict_do_nothing()
        )
        self.commit(connection, "freeze")
        raise StaleEpoch(f"the ledger is at epoch {epoch}, but it has lost commits: this process must stop")

    def _count(self, connection: Connection) -> dict[tuple[int, int], int]:
        """
        Count the commit that follows, in a row of its connection, for which no other waits; return the new count.

        A new connection may lead to another server: what that has is checked first. SQLite has no other.
        """
        if self.epoch is None or not self.engines.on_postgres:
            return {}
        if _NUMBER not in connection.info:
            self.check_commits(connection)
            connection.info[_NUMBER] = next(self._numbers)
        key = self.epoch, connection.info[_NUMBER]
        commits = self._committed.get(key, 0) + 1
        row = postgresql.insert(commit_counts).values(epoch=key[0], connection=key[1], commits=commits)
        connection.execute(row.on_conflict_do_update(index_elements=["epoch", "connection"], set_={"commits": commits}))
        return {key: commits}

    def _stale(self, connection: Connection) -> LedgerError | None:
        """Return why this process may not write as the leader, None where it leads."""
        epoch = connection.scalar(_EPOCH_HELD)
        if self.epoch is None:
            return LedgerError("this process does not lead: call lead() before changing runs")
        if epoch != self.epoch:
            return StaleEpoch(f"the ledger is led under epoch {epoch}, this process holds {self.epoch}: it must stop")
        return None


def _run(connection: Connection, one: _Pending, *, alone: bool) -> None:
    """Make a caller's writes inside the transaction; what they raise is the caller's, and undoes nothing of the others."""
    try:
        with nullcontext() if alone else connection.begin_nested():
            one.values = [write.work(connection) for write in one.writes]
    # Any error of the work's: the other works of the transaction must not suffer for it. One that ends the transaction does.
    except Exception as error:
        if isinstance(error, DRIVER_ERRORS) and (alone or classify(error) is not DatabaseFailure.REFUSED):
            raise
        one.error = error


def _answer(group: Iterable[_Pending]) -> None:
    for each in group:
        if each.answer.done():
            continue
        if each.error is None:
            each.answer.set_result(each.values)
        else:
            each.answer.set_exception(each.error)


def _refuse(group: Iterable[_Pending], error: BaseException) -> None:
    for each in group:
        if not each.answer.done():
            each.answer.set_exception(error)


async def _with_retries(once: Callable[[], Awaitable[T]], what: str) -> T:
    try:
        return await retry(once, _may_run_again, _WAITS, attempts=_ATTEMPTS)
    except DRIVER_ERRORS as error:
        raise ledger_error(error, what) from error


def _may_run_again(error: Exception) -> bool:
    return isinstance(error, DRIVER_ERRORS) and classify(error) in (DatabaseFailure.AGAIN, DatabaseFailure.LOST)


_OF_STRANGERS = (DeadLetter, Signal, StepRecord)
"""Records that hold what strangers have written: so many rows may have as many MiB, and are decoded in a thread."""


def is_before(order: Sequence[Column[Any]], place: Sequence[object]) -> ColumnElement[bool]:
    """Compare rows with a position in their order, by all columns at once: both databases use an index on them for it."""
    values = [literal(value, type_=column.type) for column, value in zip(order, place, strict=True)]
    return tuple_(*order) < tuple_(*values)


def insert_once(connection: Connection, table: Table, row: Mapping[str, object], *, by: tuple[str, ...]) -> bool:
    """Insert a row unless there is one with the same values in the columns `by`, none of them NULL; return whether it was inserted."""
    same, put = _once(table, by)
    if connection.execute(same, {name: row[name] for name in by}).first() is not None:
        return False
    connection.execute(put, row)
    return True


@cache
def _once(table: Table, by: tuple[str, ...]) -> tuple[Select[Any], Insert]:
    same = (table.c[name] == bindparam(name) for name in by)
    return select(literal(1)).select_from(table).where(*same).limit(1), insert(table)


class Aggregate:
    """One subject of the ledger, which is read and written as a whole; `Ledger` binds the aggregates together."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def _select(
        self, query: Select[Any], given: Parameters = None, *, in_thread: bool = False
    ) -> Sequence[Row[Any]]:
        """Return the rows of a query as they are; `given` are its parameters."""

        def work(connection: Connection) -> Sequence[Row[Any]]:
            result = connection.execute(query, given)  # all that the database has said; what is left is to decode it
            return off_loop(connection, result.all) if in_thread else result.all()

        return await self._store.read(work)

    async def _scalars(self, query: Select[Any], given: Parameters = None) -> tuple[Any, ...]:
        """Return the values of a query for one column."""
        return tuple(row[0] for row in await self._select(query, given))

    async def _execute(
        self, name: str, statement: UpdateBase, given: Parameters = None, *, fenced: bool = False
    ) -> int:
        """Execute one statement in a transaction of its own; return the number of changed rows. See `Store.write`."""

        def work(connection: Connection) -> int:
            return connection.execute(statement, given).rowcount

        return await self._store.write(name, work, fenced=fenced)

    async def _replace(
        self, name: str, old: Delete, new: Sequence[Mapping[str, object]], *, fenced: bool = False
    ) -> None:
        """Delete rows and insert others in their place, in one transaction. See `Store.write`."""

        def work(connection: Connection) -> None:
            connection.execute(old)
            if new:
                connection.execute(insert(old.table), new)

        await self._store.write(name, work, fenced=fenced)

    async def _rows(self, kind: type[object], query: Select[Any], given: Parameters = None) -> Sequence[Row[Any]]:
        """Run a query, and log each row that cannot be read whole, once."""
        rows = await self._select(query, given, in_thread=kind in _OF_STRANGERS)
        for row in rows:
            self._store.note(unreadable(kind, row))
        return rows

    async def _unreadable(self, kind: type[object], query: Select[Any]) -> Sequence[tuple[Row[Any], UnreadableRow]]:
        """Return the rows of a query that cannot be read whole, and what is wrong with each."""
        rows = await self._rows(kind, query)
        return [(row, error) for row in rows if (error := unreadable(kind, row)) is not None]

    async def _whole(self, kind: type[T], query: Select[Any], given: Parameters = None) -> tuple[T, ...]:
        """Return the records that can be read whole: only these are acted upon."""
        return readable(kind, await self._rows(kind, query, given))

    async def _shown(self, kind: type[T], query: Select[Any], given: Parameters = None) -> tuple[T, ...]:
        """Return every record as far as it can be read, to be shown, counted or closed."""
        return tuple(read_leniently(kind, row) for row in await self._rows(kind, query, given))
