"""Outages, kept across restarts, and whether a person was notified of them (P11)."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import and_, delete, func, or_, select

from kintsugi.ledger.outbox import put_outage_notice
from kintsugi.ledger.store import Repository
from kintsugi.ledger.tables import incidents, notices, outages, steps
from kintsugi.model.outages import NoticeOfProblem, Outage
from kintsugi.model.records import NOT_MADE, IncidentState

_TELLING = (
    IncidentState.AWAITING_APPROVAL,
    IncidentState.NEEDS_OPERATOR,
    IncidentState.INEFFECTIVE,
    IncidentState.FAILED,
    IncidentState.HELD,
)
"""The notices of an incident that tell a person of a problem and of what is needed."""


class OutageRepository(Repository):
    """One row a service that is down."""

    async def all(self) -> tuple[Outage, ...]:
        """Return the outages that were not over when they were last written."""
        return tuple(each for each in await self._scalars(select(outages.c.outage)) if isinstance(each, Outage))

    async def save(self, changed: Sequence[Outage], ended: Collection[str]) -> None:
        """Write outages in place of earlier ones, and forget those of services that are not down. Raises StaleEpoch."""
        names = {*ended, *(each.service for each in changed)}
        rows = [{"service": each.service, "outage": each} for each in changed]
        if names:
            await self._replace("save-outages", delete(outages).where(outages.c.service.in_(names)), rows, fenced=True)

    async def notices(self, outage: Outage) -> tuple[NoticeOfProblem, ...]:
        """Return the outage's own notice, and those of the service's incidents since the fault began."""
        open_since = (incidents.c.service == outage.service) & (
            incidents.c.closed.is_(None) | (incidents.c.closed >= outage.fault_since)
        )
        of_incident = and_(
            notices.c.incident.in_(select(incidents.c.id).where(open_since)),
            notices.c.created >= outage.fault_since,
            notices.c.kind.in_(_TELLING),
        )
        query = select(notices.c.incident, notices.c.created, notices.c.sent)
        query = query.where(or_(notices.c.id == outage.notice, of_incident)).order_by(notices.c.created)
        rows = await self._select(query)
        return tuple(NoticeOfProblem(incident=row.incident, created=row.created, sent=row.sent) for row in rows)

    async def last_change(self, run: str) -> datetime | None:
        """Return when a run last made a change, or may have made one; None for no change."""
        made = (steps.c.run == run, steps.c.changes, steps.c.state.not_in(NOT_MADE))
        query = select(func.coalesce(steps.c.finished, steps.c.started, type_=steps.c.started.type)).where(*made)
        return max((each for each in await self._scalars(query) if isinstance(each, datetime)), default=None)

    async def put_notice(self, text: str, now: datetime) -> str:
        """Leave a notice about an outage in the outbox, and return its id. Raises StaleEpoch, LedgerUnavailable."""
        return await self._store.write(
            "outage-notice", lambda connection: put_outage_notice(connection, text, now), fenced=True
        )
