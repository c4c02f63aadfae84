"""
Dead letters: kept, listed for people, and resent; and rows of the ledger that cannot be read.

An unreadable signal becomes a dead letter and is settled, so that no incident waits for it. An unsettled one is removed from
the inbox: its next delivery is a new signal, which is evaluated. Where an incident waits for it, the row stays with the
incident and a person is called, since neither can be processed further.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, delete, exists, insert, select, update

from kintsugi.errors import NotRecorded
from kintsugi.ledger.outbox import put_notice
from kintsugi.ledger.store.columns import RedactedText, TextColumn, Unreadable
from kintsugi.ledger.store.rows import (
    columns,
    read_leniently,
    read_one,
    signal,
    unreadable,
    values,
    verdict_values,
)
from kintsugi.ledger.store.tables import conditions, dead_letters, incidents, runs, signals
from kintsugi.ledger.store.transactions import Repository, is_before
from kintsugi.model.api_types import DeadLetterSummary
from kintsugi.model.records import (
    DeadLetter,
    Incident,
    IncidentState,
    PendingMatch,
    Reason,
    Signal,
    Verdict,
    VerdictKind,
)
from kintsugi.offload import searched
from kintsugi.telemetry import SECRETS

MOST_DEAD_LETTERS = 1_000
_EXCERPT = 2_000
"""Characters that are kept of a row, as of an alert that could not be read."""

_SHOWN = tuple(dead_letters.c[name] for name in ("id", "source", "received", "reason", "excerpt"))

_PUT = insert(dead_letters).values(
    {
        each.name: bindparam(each.name, type_=TextColumn() if isinstance(each.type, RedactedText) else each.type)
        for each in columns(DeadLetter, dead_letters)
    }
)
"""Write what is masked already: masking many letters is not the event loop's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UnreadableSignal:
    """A signal's row that cannot be read: what is kept of it, its key, and the incident that it belongs to, "" for none."""

    letter: DeadLetter
    key: str
    incident: str

    @classmethod
    async def of(cls, row: Any, now: datetime) -> "UnreadableSignal":
        """Keep what the database has of a row, without its secrets, for which a large one is searched in a thread."""
        found = signal(row)
        fields = row._mapping.items()
        raw = {str(name): held.raw if isinstance(held, Unreadable) else held for name, held in fields}
        written = orjson.dumps(raw, default=str).decode()
        text = await searched(len(written), lambda: SECRETS.text(written))
        letter = DeadLetter(
            id=found.id,
            source=found.source,
            received=now,
            reason=SECRETS.text(str(unreadable(Signal, row))[:500]),
            excerpt=text[:_EXCERPT],
        )
        return cls(letter=letter, key=row.key, incident=row.incident or "")


async def masked_letters(letters: Sequence[DeadLetter]) -> Sequence[DeadLetter]:
    """Return the newest letters as they are kept: without secrets, for which many are searched in a thread."""
    newest = letters[-MOST_DEAD_LETTERS:]
    foreign = sum(len(letter.reason) + len(letter.excerpt) for letter in newest)
    return await searched(foreign, lambda: [_masked(letter) for letter in newest])


def _masked(letter: DeadLetter) -> DeadLetter:
    return replace(letter, reason=SECRETS.text(letter.reason), excerpt=SECRETS.text(letter.excerpt))


def put_dead_letters(connection: Connection, letters: Sequence[DeadLetter]) -> None:
    """
    Keep what could not be understood and is masked already, instead of what was kept under the same id.

    The newest 1,000 stay, so that a flood of nonsense cannot fill the disk.
    """
    newest = select(dead_letters.c.id).order_by(dead_letters.c.received.desc(), dead_letters.c.id.desc())
    rows = {letter.id: values(letter) for letter in letters}
    if rows:
        connection.execute(delete(dead_letters).where(dead_letters.c.id.in_(rows)))
        connection.execute(_PUT, list(rows.values()))
    kept = newest.limit(MOST_DEAD_LETTERS).subquery()
    connection.execute(delete(dead_letters).where(dead_letters.c.id.not_in(select(kept.c.id))))


def put_aside(connection: Connection, unreadable: Sequence[UnreadableSignal], now: datetime) -> None:
    """Make dead letters of unreadable signals, in the caller's transaction."""
    put_dead_letters(connection, [each.letter for each in unreadable])
    for each in unreadable:
        waits = incidents.c.id == each.incident, incidents.c.closed.is_(None)
        if not each.incident or connection.scalar(select(incidents.c.id).where(*waits)) is None:
            _forget(connection, each)
            continue
        settled = Verdict(
            kind=VerdictKind.DEAD_LETTER,
            reason=Reason.MALFORMED,
            text=each.letter.reason,
            incident=each.incident,
        )
        row = update(signals).where(signals.c.id == each.letter.id)
        connection.execute(row.values(verdict_values(settled, now)))
        close_without_run(
            connection, each.incident, f"the signal that it waits for was lost: {each.letter.reason}", now
        )


def _forget(connection: Connection, one: UnreadableSignal) -> None:
    """Remove an unreadable signal from the inbox; a watched condition behind it gets a new signal."""
    connection.execute(delete(signals).where(signals.c.id == one.letter.id))
    statement = update(conditions).where(conditions.c.rule + "/" + conditions.c.uid == one.key)
    connection.execute(statement.values(signalled=False))


def close_without_run(connection: Connection, incident: str, reason: str, now: datetime) -> None:
    """Hand an open incident to a person in the caller's transaction; one with a run under way is the run's to close."""
    going = exists().where(runs.c.incident == incident, runs.c.finished.is_(None))
    closed = update(incidents).where(incidents.c.id == incident, incidents.c.closed.is_(None), ~going)
    state = IncidentState.NEEDS_OPERATOR
    if connection.execute(closed.values(state=state, reason=reason, closed=now)).rowcount:
        put_notice(connection, incident, state, reason, now)


class DeadLetterRepository(Repository):
    """Dead letters: deliveries that could not be understood."""

    async def summaries(self, *, limit: int, before: str = "") -> Sequence[DeadLetterSummary]:
        """
        Return the newest dead letters without their payloads, newest first, of those before the one with the id `before`.

        Raises `NotRecorded` when there is no such letter.
        """
        order = (dead_letters.c.received, dead_letters.c.id)
        query = select(*_SHOWN, dead_letters.c.payload.is_not(None).label("resendable"))
        query = query.order_by(*(column.desc() for column in order)).limit(limit)

        def work(connection: Connection) -> Sequence[DeadLetterSummary]:
            page = query
            if before:
                place = connection.execute(select(*order).where(dead_letters.c.id == before)).one_or_none()
                if place is None:
                    raise _not_there(before)
                page = query.where(is_before(order, place))
            return [read_leniently(DeadLetterSummary, row) for row in connection.execute(page)]

        return await self._store.read(work)

    async def get(self, letter: str) -> DeadLetter:
        """Return a dead letter with its payload. Raises `NotRecorded` when there is no such letter."""
        query = select(*columns(DeadLetter, dead_letters)).where(dead_letters.c.id == letter)

        def work(connection: Connection) -> DeadLetter:
            found = read_one(connection, DeadLetter, query)
            if found is None:
                raise _not_there(letter)
            return found

        return await self._store.read(work)

    async def forget(self, letter: str) -> None:
        """Delete a dead letter that has been understood after all; one that is gone already is no error."""
        await self._execute("forget-dead-letter", delete(dead_letters).where(dead_letters.c.id == letter))


def _not_there(letter: str) -> NotRecorded:
    return NotRecorded(f"there is no dead letter {letter}: `kintsugi dead-letters` lists the newest 1,000")


class RowRepair(Repository):
    """
    Closes or deletes unreadable rows that nothing else would ever close, when the daemon starts and every hour.

    All other readers skip such a row, or read it as far as they can: see `rows`. An unreadable run is closed when it is
    resumed, a signal when it is evaluated.
    """

    async def repair_rows(self, now: datetime) -> None:
        """
        Hand unreadable open incidents without a run to a person; delete unreadable conditions.

        Such a condition is found again where it holds. Raises `StaleEpoch` when another daemon has taken the lead.
        """
        opened = await self._rows(Incident, select(*columns(Incident, incidents)).where(incidents.c.closed.is_(None)))
        held = await self._rows(PendingMatch, select(conditions))
        lost = {row.id: error for row in opened if (error := unreadable(Incident, row)) is not None}
        forgotten = [(row.rule, row.uid) for row in held if unreadable(PendingMatch, row) is not None]

        def work(connection: Connection) -> None:
            for incident, error in lost.items():
                close_without_run(connection, incident, str(error), now)
            for rule, uid in forgotten:
                connection.execute(delete(conditions).where(conditions.c.rule == rule, conditions.c.uid == uid))

        if lost or forgotten:
            await self._store.write("mend", work, fenced=True)
