"""
The outbox: notices that are written with the change that they report, and sent later; and outages, with their notices (P11).

A notice is in the same transaction as its cause, so that none is lost and none is sent for a change that was not committed.
The notifier may send one twice; the receiver recognises it by its id.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, bindparam, delete, exists, insert, or_, select, update

from kintsugi.ledger.store.rows import columns, values
from kintsugi.ledger.store.tables import incident_messages, incidents, notices, open_pages, outages, signals
from kintsugi.ledger.store.transactions import Aggregate, insert_once
from kintsugi.model.identity import new_id
from kintsugi.model.notices import IncidentMessage, NoticeSubject, OpenPage
from kintsugi.model.outages import NoticeOfProblem, Outage
from kintsugi.model.records import ENDED_WELL, IncidentState, Notice, RunRecord, StepRecord
from kintsugi.model.rules import RuleSource
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


_BEGAN = (
    select(notices.c.id)
    .where(notices.c.incident == bindparam("incident"), notices.c.kind == IncidentState.RUNNING)
    .where(notices.c.created >= bindparam("since"))
    .limit(1)
)
_ANY = select(notices.c.id).where(notices.c.incident == bindparam("incident")).limit(1)
_PUT = insert(notices)
_DUE = select(*columns(Notice, notices)).where(~notices.c.sent, notices.c.due <= bindparam("now"))
_DUE = _DUE.order_by(notices.c.due, notices.c.id).limit(bindparam("most"))


_SERVICE = select(incidents.c.service).where(incidents.c.id == bindparam("incident"))
_LABELS = select(signals.c.labels).where(signals.c.incident == bindparam("incident"))
_LABELS = _LABELS.order_by(signals.c.received.desc(), signals.c.id.desc()).limit(100)
_MESSAGES = select(*columns(IncidentMessage, incident_messages))

_FIRING = exists().where(signals.c.incident == incidents.c.id, signals.c.ended.is_(None))
_FIRING = _FIRING.where(signals.c.kind != RuleSource.EVENT)  # Events never end
_CLOSABLE = (
    select(open_pages.c.destination, open_pages.c.incident, incidents.c.service, incidents.c.state)
    .join(incidents, incidents.c.id == open_pages.c.incident)
    .where(incidents.c.closed.is_not(None), incidents.c.state.in_(ENDED_WELL) | ~_FIRING)
    .order_by(open_pages.c.opened)
)

_TELLING = (
    IncidentState.AWAITING_APPROVAL,
    IncidentState.NEEDS_OPERATOR,
    IncidentState.INEFFECTIVE,
    IncidentState.FAILED,
    IncidentState.HELD,
)
"""The notices of an incident that tell a person of a problem and of what is needed."""


def put_notice(connection: Connection, incident: str, state: IncidentState, text: str, now: datetime) -> None:
    """Put a notice into the outbox, in the caller's transaction. Every end of an incident has one if an earlier notice was of it."""
    has_end = state.is_final and connection.execute(_ANY, {"incident": incident}).first() is not None
    if state in NOTIFIED_STATES or has_end:
        _put(connection, incident, state, text, now)


def put_notice_once(connection: Connection, incident: str, kind: IncidentState, text: str, now: datetime) -> None:
    """Put a notice into the outbox, in the caller's transaction, unless the incident had one with the same text before."""
    insert_once(connection, notices, _row(incident, kind, text, now), by=("incident", "kind", "text"))


def withdraw_notices(connection: Connection, incident: str, kind: IncidentState) -> None:
    """Let the notices of an incident about a state that were not sent yet be sent no more, in the caller's transaction."""
    connection.execute(
        update(notices).where(notices.c.incident == incident, notices.c.kind == kind, ~notices.c.sent).values(sent=True)
    )


def put_first_change(connection: Connection, run: RunRecord, step: StepRecord, now: datetime) -> None:
    """Put the notice of a run's first change into the outbox, in the caller's transaction; one for each run."""
    if connection.execute(_BEGAN, {"incident": run.incident, "since": run.started}).first() is None:
        why = (line(f"because {step.why}"),) if step.why else ()
        text = lines((line(f"begins: {step.text}"), *why))
        _put(connection, run.incident, IncidentState.RUNNING, text, now)


def _put(connection: Connection, incident: str | None, kind: IncidentState, text: str, now: datetime) -> str:
    row = _row(incident, kind, text, now)
    connection.execute(_PUT, row)
    return str(row["id"])


def _row(incident: str | None, kind: IncidentState, text: str, now: datetime) -> dict[str, object]:
    notice = Notice(id=new_id("ntc", now), incident=incident, kind=kind, text=text, created=now, due=now)
    return values(notice) | {"sent": False}


class Outbox(Aggregate):
    """The notices that wait to be sent; and the outages, one row a service that is down."""

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

        def work(connection: Connection) -> None:
            if connection.execute(query.limit(1)).first() is None:
                _put(connection, None, kind, text, now)

        await self._store.write("tell-of-no-incident", work, fenced=True)

    async def due_notices(self, now: datetime, limit: int = 20) -> tuple[Notice, ...]:
        """Return the unsent notices whose time has come, oldest first."""
        return await self._shown(Notice, _DUE, {"now": now, "most": limit})

    async def subject_of(self, incident: str) -> NoticeSubject:
        """Return the service of an incident, and the labels of its newest signals. Both are empty where it is not kept."""

        def work(connection: Connection) -> NoticeSubject:
            service = connection.scalar(_SERVICE, {"incident": incident})
            labels = connection.scalars(_LABELS, {"incident": incident}).all()
            return NoticeSubject(
                service=service or "", labels=tuple(each for each in labels if isinstance(each, Mapping))
            )

        return await self._store.read(work)

    async def notice_sent(self, notice: str) -> None:
        """Mark a notice as sent: each of its routes has it."""
        await self._execute("notice-sent", update(notices).where(notices.c.id == notice).values(sent=True))

    async def notice_postponed(self, notice: str, due: datetime, reached: Sequence[str] = ()) -> None:
        """Count an attempt, after which some routes have the notice; it is due again for the others at `due`."""
        waiting = update(notices).where(notices.c.id == notice, notices.c.due != due)  # twice is once: see Store.write
        written = {"due": due, "reached": tuple(reached)}
        await self._execute("notice-postponed", waiting.values(attempts=notices.c.attempts + 1, **written))

    async def message_of(self, route: str, incident: str) -> IncidentMessage | None:
        """Return the message that a route has sent of an incident, None for none."""
        query = _MESSAGES.where(incident_messages.c.route == route, incident_messages.c.incident == incident)
        return next(iter(await self._shown(IncidentMessage, query)), None)

    async def current_messages(self) -> tuple[IncidentMessage, ...]:
        """Return the messages that do not show the end of their incident yet, oldest first."""
        query = _MESSAGES.where(~incident_messages.c.final).order_by(incident_messages.c.posted)
        return await self._shown(IncidentMessage, query)

    async def put_message(self, message: IncidentMessage) -> None:
        """Keep a message as it is now, in place of what was known of it."""
        same = (incident_messages.c.route == message.route, incident_messages.c.incident == message.incident)
        await self._replace("put-message", delete(incident_messages).where(*same), [values(message)])

    async def page_opened(self, destination: str, incident: str, now: datetime) -> None:
        """Keep that a pager has a page about an incident, once for as long as the page is open."""
        row = {"destination": destination, "incident": incident, "opened": now}
        await self._store.write(
            "page-opened",
            lambda connection: insert_once(connection, open_pages, row, by=("destination", "incident")),
        )

    async def pages_of_closed_incidents(self) -> tuple[OpenPage, ...]:
        """Return the open pages about incidents that have ended well, or are closed and have no signal that fires; oldest first."""
        return await self._shown(OpenPage, _CLOSABLE)

    async def page_closed(self, page: OpenPage) -> None:
        """Forget a page that was closed."""
        same = (open_pages.c.destination == page.destination, open_pages.c.incident == page.incident)
        await self._execute("page-closed", delete(open_pages).where(*same))

    async def outages(self) -> tuple[Outage, ...]:
        """Return the outages that were not over when they were last written."""
        return tuple(each for each in await self._scalars(select(outages.c.outage)) if isinstance(each, Outage))

    async def save_outages(self, changed: Sequence[Outage], ended: Collection[str]) -> None:
        """Write outages in place of earlier ones, and forget those of services that are not down. Raises StaleEpoch."""
        names = {*ended, *(each.service for each in changed)}
        rows = [{"service": each.service, "outage": each} for each in changed]
        if names:
            await self._replace("save-outages", delete(outages).where(outages.c.service.in_(names)), rows, fenced=True)

    async def notices_of(self, outage: Outage) -> tuple[NoticeOfProblem, ...]:
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

    async def put_outage_notice(self, text: str, now: datetime) -> str:
        """Leave a notice about an outage in the outbox, and return its id. Raises StaleEpoch, LedgerUnavailable."""
        return await self._store.write(
            "outage-notice", lambda connection: _put(connection, None, IncidentState.OPEN, text, now), fenced=True
        )
