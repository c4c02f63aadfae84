"""
The outbox: notices that are written with the change that they report, and sent later.

A notice is in the same transaction as its cause, so that none is lost and none is sent for a change that was not committed.
The notifier may send one twice; the receiver recognises it by its id.
"""

from datetime import datetime, timedelta

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.ledger.rows import columns, values
from kintsugi.ledger.store import Repository
from kintsugi.ledger.tables import notices
from kintsugi.model.identity import new_id
from kintsugi.model.records import IncidentState, Notice, RunRecord, StepRecord
from kubeobjects.lines import line, lines

NOTIFIED_STATES = frozenset(
    {
        IncidentState.NEEDS_OPERATOR,
        IncidentState.AWAITING_APPROVAL,
        IncidentState.ROLLED_BACK,
        IncidentState.RECOVERED,
        IncidentState.INEFFECTIVE,
        IncidentState.FAILED,
    }
)
"""The states of which a person is notified."""

AGAIN_AFTER = timedelta(hours=1)
"""The time before a notice of the daemon itself is repeated: it may restart, or its problem return, every minute."""


async def put_notice(
    connection: AsyncConnection, incident: str, state: IncidentState, text: str, now: datetime
) -> None:
    """Put a notice into the outbox, in the caller's transaction; none for states without notices."""
    if state in NOTIFIED_STATES:
        await _put(connection, incident, state, text, now)


async def put_notice_once(
    connection: AsyncConnection, incident: str, kind: IncidentState, text: str, now: datetime
) -> None:
    """Put a notice into the outbox, in the caller's transaction, unless the incident had one with the same text before."""
    query = select(notices.c.id).where(notices.c.incident == incident, notices.c.kind == kind, notices.c.text == text)
    if (await connection.execute(query.limit(1))).first() is None:
        await _put(connection, incident, kind, text, now)


async def put_first_change(connection: AsyncConnection, run: RunRecord, step: StepRecord, now: datetime) -> None:
    """Put the notice of a run's first change into the outbox, in the caller's transaction; one for each run."""
    query = select(notices.c.id).where(
        notices.c.incident == run.incident,
        notices.c.kind == IncidentState.RUNNING,
        notices.c.created >= run.started,
    )
    if (await connection.execute(query.limit(1))).first() is None:
        why = (line(f"because {step.why}"),) if step.why else ()
        text = lines((line(f"begins: {step.text}"), *why))
        await _put(connection, run.incident, IncidentState.RUNNING, text, now)


async def put_outage_notice(connection: AsyncConnection, text: str, now: datetime) -> str:
    """Put a notice of a service that is down into the outbox, in the caller's transaction, and return its id."""
    return await _put(connection, None, IncidentState.OPEN, text, now)


async def _put(connection: AsyncConnection, incident: str | None, kind: IncidentState, text: str, now: datetime) -> str:
    notice = Notice(id=new_id("ntc", now), incident=incident, kind=kind, text=text, created=now, due=now)
    await connection.execute(insert(notices).values(values(notice) | {"sent": False}))
    return notice.id


class OutboxRepository(Repository):
    """The notices that wait to be sent."""

    async def put_notice_once(self, incident: str, kind: IncidentState, text: str, now: datetime) -> None:
        """
        Leave a notice about an incident without a change of its state, once for the same text.

        Raises `StaleEpoch`, `LedgerUnavailable`.
        """
        await self._store.write(
            "tell", lambda connection: put_notice_once(connection, incident, kind, text, now), fenced=True
        )

    async def put_daemon_notice(self, text: str, now: datetime) -> None:
        """
        Leave a notice about the daemon itself that needs a person, unless the same was sent within the last hour.

        Raises `StaleEpoch`, `LedgerUnavailable`.
        """
        await self._put_without_incident(IncidentState.NEEDS_OPERATOR, text, now)

    async def put_observed_notice(self, text: str, now: datetime) -> None:
        """
        Leave a notice of a problem that is only observed; once an hour for the same text.

        Raises `StaleEpoch`, `LedgerUnavailable`.
        """
        await self._put_without_incident(IncidentState.OPEN, text, now)

    async def _put_without_incident(self, kind: IncidentState, text: str, now: datetime) -> None:
        query = select(notices.c.id).where(
            notices.c.incident.is_(None), notices.c.created > now - AGAIN_AFTER, notices.c.text == text
        )

        async def work(connection: AsyncConnection) -> None:
            if (await connection.execute(query.limit(1))).first() is None:
                await _put(connection, None, kind, text, now)

        await self._store.write("tell-of-no-incident", work, fenced=True)

    async def due_notices(self, now: datetime, limit: int = 20) -> tuple[Notice, ...]:
        """Return the unsent notices whose time has come, oldest first."""
        query = select(*columns(Notice, notices)).where(~notices.c.sent, notices.c.due <= now)
        return await self._shown(Notice, query.order_by(notices.c.due, notices.c.id).limit(limit))

    async def notice_sent(self, notice: str) -> None:
        """Mark a notice as sent."""
        await self._execute("notice-sent", update(notices).where(notices.c.id == notice).values(sent=True))

    async def notice_failed(self, notice: str, due: datetime) -> None:
        """Count a failed attempt; the notice is due again at `due`."""
        failed = update(notices).where(notices.c.id == notice, notices.c.due != due)  # twice is once: see Store.write
        await self._execute("notice-failed", failed.values(attempts=notices.c.attempts + 1, due=due))
