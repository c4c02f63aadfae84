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

from kintsugi.ledger.outbox import put_notice
from kintsugi.ledger.store.columns import RedactedText, TextColumn, Unreadable
from kintsugi.ledger.store.rows import (
    columns,
    signal,
    unreadable,
    values,
    verdict_values,
)
from kintsugi.ledger.store.tables import conditions, dead_letters, incidents, runs, signals
from kintsugi.model.records import (
    DeadLetter,
    IncidentState,
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
    if not letters:
        return
    newest = select(dead_letters.c.id).order_by(dead_letters.c.received.desc(), dead_letters.c.id.desc())
    rows = {letter.id: values(letter) for letter in letters}
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
