"""
The outbox: notices that are written with the change they tell of, and sent later.

A notice is in the same transaction as its cause, so none is lost and none is sent for what was not kept; the notifier
may send one twice, and its id tells the receiver so.
"""

from datetime import datetime, timedelta

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.ledger.chapter import Chapter
from kintsugi.ledger.rows import columns, values
from kintsugi.ledger.tables import notices
from kintsugi.ledger.texts import clean
from kintsugi.model.identity import new_id
from kintsugi.model.records import IncidentState, Notice

TOLD = frozenset(
    {
        IncidentState.NEEDS_OPERATOR,
        IncidentState.AWAITING_APPROVAL,
        IncidentState.ROLLED_BACK,
        IncidentState.RECOVERED,
        IncidentState.INEFFECTIVE,
        IncidentState.FAILED,
    }
)
"""The states that a person is told of."""

AGAIN_AFTER = timedelta(hours=1)
"""How long the same words about the daemon itself are not said again: it may start, or its trouble come back, every minute."""


async def tell(connection: AsyncConnection, incident: str, state: IncidentState, text: str, now: datetime) -> None:
    """Put a notice into the outbox, in the caller's transaction; nothing for states that nobody is told of."""
    if state in TOLD:
        await _put(connection, incident, state, text, now)


async def tell_once(connection: AsyncConnection, incident: str, kind: IncidentState, text: str, now: datetime) -> None:
    """Put a notice into the outbox, in the caller's transaction, unless these words were said of the incident before."""
    said = select(notices.c.id).where(
        notices.c.incident == incident, notices.c.kind == kind, notices.c.text == clean(text)
    )
    if (await connection.execute(said.limit(1))).first() is None:
        await _put(connection, incident, kind, text, now)


async def _put(
    connection: AsyncConnection, incident: str | None, kind: IncidentState, text: str, now: datetime
) -> None:
    notice = Notice(id=new_id("ntc", now), incident=incident, kind=kind, text=text, created=now, due=now)
    await connection.execute(insert(notices).values(values(notice) | {"sent": False}))


class Outbox(Chapter):
    """What waits to be sent, for the notifier."""

    async def tell_once(self, incident: str, kind: IncidentState, text: str, now: datetime) -> None:
        """
        Leave a notice about an incident that moves no state of it, once for the same words.

        Raises `StaleEpoch`, `LedgerUnavailable`.
        """

        async def work(connection: AsyncConnection) -> None:
            await tell_once(connection, incident, kind, text, now)

        await self._store.write("tell", work, fenced=True)

    async def tell_of_daemon(self, text: str, now: datetime) -> None:
        """
        Leave a notice about the daemon itself, which a person must mend, unless it was said within the last hour.

        Raises `StaleEpoch`, `LedgerUnavailable`.
        """
        said = select(notices.c.id).where(
            notices.c.incident.is_(None), notices.c.created > now - AGAIN_AFTER, notices.c.text == clean(text)
        )

        async def work(connection: AsyncConnection) -> None:
            if (await connection.execute(said.limit(1))).first() is None:
                await _put(connection, None, IncidentState.NEEDS_OPERATOR, text, now)

        await self._store.write("tell-of-daemon", work, fenced=True)

    async def due_notices(self, now: datetime, limit: int = 20) -> tuple[Notice, ...]:
        """Give the unsent notices whose time has come, oldest first."""
        query = select(*columns(Notice, notices)).where(~notices.c.sent, notices.c.due <= now)
        return await self._shown(Notice, query.order_by(notices.c.due, notices.c.id).limit(limit))

    async def notice_sent(self, notice: str) -> None:
        """Mark a notice as sent."""

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(update(notices).where(notices.c.id == notice).values(sent=True))

        await self._store.write("notice-sent", work)

    async def notice_failed(self, notice: str, due: datetime) -> None:
        """Count a failed attempt; the notice is due again at `due`."""

        async def work(connection: AsyncConnection) -> None:
            failed = update(notices).where(
                notices.c.id == notice, notices.c.due != due
            )  # twice is once: see Store.write
            await connection.execute(failed.values(attempts=notices.c.attempts + 1, due=due))

        await self._store.write("notice-failed", work)
