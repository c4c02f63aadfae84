"""
Signals that cannot be read: kept as dead letters, and settled so that nobody waits for them.

What is not settled yet is taken out of the inbox: its next delivery is a new signal, which is judged. Where an incident
waits for it, the row stays with the incident, and a person is called: nobody else could go on with either.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import delete, exists, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.ledger.columns import Unreadable
from kintsugi.ledger.outbox import tell
from kintsugi.ledger.rows import signal, unreadable, values, verdict_values
from kintsugi.ledger.tables import conditions, dead_letters, incidents, runs, signals
from kintsugi.model.records import DeadLetter, IncidentState, Reason, Signal, Verdict, VerdictKind
from kintsugi.telemetry import SECRETS

MOST_DEAD_LETTERS = 1_000
_EXCERPT = 2_000
"""Characters that are kept of a row, as of an alert that could not be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stray:
    """A signal's row that cannot be read: what is kept of it, its key, and the incident that it belongs to, "" for none."""

    letter: DeadLetter
    key: str
    incident: str

    @classmethod
    def of(cls, row: Any, now: datetime) -> "Stray":
        """Keep what the database has of a row, without its secrets."""
        found = signal(row)
        fields = row._mapping.items()
        raw = {str(name): held.raw if isinstance(held, Unreadable) else held for name, held in fields}
        text = SECRETS.text(orjson.dumps(raw, default=str).decode())
        letter = DeadLetter(
            id=found.id,
            source=found.source,
            received=now,
            reason=str(unreadable(Signal, row))[:500],
            excerpt=text[:_EXCERPT],
        )
        return cls(letter=letter, key=row.key, incident=row.incident or "")


async def put_dead_letters(connection: AsyncConnection, letters: Sequence[DeadLetter]) -> None:
    """
    Keep what could not be understood, instead of what was kept under the same id.

    The newest 1,000 stay, so that a flood of nonsense cannot fill the disk.
    """
    newest = select(dead_letters.c.id).order_by(dead_letters.c.received.desc(), dead_letters.c.id.desc())
    rows = {letter.id: values(letter) for letter in letters[-MOST_DEAD_LETTERS:]}
    if rows:
        await connection.execute(delete(dead_letters).where(dead_letters.c.id.in_(rows)))
        await connection.execute(insert(dead_letters), list(rows.values()))
    kept = newest.limit(MOST_DEAD_LETTERS).subquery()
    await connection.execute(delete(dead_letters).where(dead_letters.c.id.not_in(select(kept.c.id))))


async def put_aside(connection: AsyncConnection, strays: Sequence[Stray], now: datetime) -> None:
    """Make dead letters of strays, in the caller's transaction."""
    await put_dead_letters(connection, [stray.letter for stray in strays])
    for stray in strays:
        waits = incidents.c.id == stray.incident, incidents.c.closed.is_(None)
        if not stray.incident or await connection.scalar(select(incidents.c.id).where(*waits)) is None:
            await _forget(connection, stray)
            continue
        settled = Verdict(
            kind=VerdictKind.DEAD_LETTER,
            reason=Reason.MALFORMED,
            text=stray.letter.reason,
            incident=stray.incident,
        )
        row = update(signals).where(signals.c.id == stray.letter.id)
        await connection.execute(row.values(verdict_values(settled, now)))
        await close_without_run(connection, stray.incident, f"what it waits for is lost: {stray.letter.reason}", now)


async def _forget(connection: AsyncConnection, stray: Stray) -> None:
    """Take a stray out of the inbox; a watched condition that it told of is told anew."""
    await connection.execute(delete(signals).where(signals.c.id == stray.letter.id))
    told = update(conditions).where(conditions.c.rule + "/" + conditions.c.uid == stray.key)
    await connection.execute(told.values(signalled=False))


async def close_without_run(connection: AsyncConnection, incident: str, reason: str, now: datetime) -> None:
    """Hand an open incident to a person in the caller's transaction; one with a run under way is the run's to close."""
    going = exists().where(runs.c.incident == incident, runs.c.finished.is_(None))
    closed = update(incidents).where(incidents.c.id == incident, incidents.c.closed.is_(None), ~going)
    state = IncidentState.NEEDS_OPERATOR
    if (await connection.execute(closed.values(state=state, reason=reason, closed=now))).rowcount:
        await tell(connection, incident, state, reason, now)
