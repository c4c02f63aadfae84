"""What people say: pauses, and answers to our questions."""

from datetime import datetime

from sqlalchemy import and_, case, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.errors import NotRecorded, WrongState
from kintsugi.ledger.chapter import Chapter
from kintsugi.ledger.history import pauses_at
from kintsugi.ledger.outbox import tell_once
from kintsugi.ledger.rows import columns, record, shown, values
from kintsugi.ledger.tables import approvals, pauses
from kintsugi.model.records import Approval, IncidentState, Pause

_APPROVAL = columns(Approval, approvals)


class People(Chapter):
    """Pauses and approvals. Any replica may write them: a person's word needs no leader."""

    async def pause(self, pause: Pause) -> None:
        """Begin a pause; the same id twice is the same pause."""

        async def work(connection: AsyncConnection) -> None:
            if await connection.scalar(select(pauses.c.id).where(pauses.c.id == pause.id)) is None:
                await connection.execute(insert(pauses).values(values(pause)))

        await self._store.write("pause", work)

    async def resume(self, pause: str, who: str, why: str, now: datetime) -> Pause:
        """Lift a pause and give it back; lifting it again changes nothing. Raises `NotRecorded`."""

        async def work(connection: AsyncConnection) -> Pause:
            row = (await connection.execute(select(*columns(Pause, pauses)).where(pauses.c.id == pause))).one_or_none()
            if row is None:
                raise NotRecorded(f"there is no pause {pause}")
            lift = update(pauses).where(pauses.c.id == pause, pauses.c.lifted.is_(None))
            await connection.execute(lift.values(lifted=now, lifted_by=who, lifted_why=why))
            return shown(Pause, row)

        return await self._store.write("resume", work)

    async def pauses(self, now: datetime) -> tuple[Pause, ...]:
        """Return the pauses that hold at `now`, oldest first. One of which it cannot be read what it holds is of everything."""
        return await self._shown(Pause, pauses_at(now))

    async def pauses_since(self, moment: datetime, now: datetime) -> tuple[Pause, ...]:
        """
        Give the pauses that held at any time from `moment` to `now`, oldest first.

        `until` is when each has really ended: when it was lifted, if that came first; None for one without an end.
        """
        held = and_(
            pauses.c.since <= now,
            or_(pauses.c.lifted.is_(None), pauses.c.lifted > moment),
            or_(pauses.c.until.is_(None), pauses.c.until > moment),
        )
        early = and_(pauses.c.lifted.is_not(None), or_(pauses.c.until.is_(None), pauses.c.lifted < pauses.c.until))
        first = case((early, pauses.c.lifted), else_=pauses.c.until)
        others = [column for column in columns(Pause, pauses) if column is not pauses.c.until]
        query = select(*others, first.label("until")).where(held).order_by(pauses.c.since, pauses.c.id)
        return await self._shown(Pause, query)

    async def ask(self, approval: Approval, *, told: str = "") -> None:
        """
        Put a question to a person. The newest question of a step is the one that can be answered.

        `told` is what a person hears of a question that moves no state, since another one stood before it.
        """
        asked = select(approvals.c.number).where(
            approvals.c.incident == approval.incident,
            approvals.c.path == approval.path,
            approvals.c.plan == approval.plan,
            approvals.c.asked == approval.asked,
        )

        async def work(connection: AsyncConnection) -> None:
            if (await connection.execute(asked)).first() is None:
                await connection.execute(insert(approvals).values(values(approval)))
                if told:
                    state = IncidentState.AWAITING_APPROVAL
                    await tell_once(connection, approval.incident, state, told, approval.asked)

        await self._store.write(f"ask {approval.path}", work)

    async def approve(self, incident: str, path: str, plan: str, who: str, now: datetime) -> Approval:
        """
        Answer the newest question of a step with yes, for the plan that was shown.

        Answered twice for one plan, the first answer stays. Raises `NotRecorded` when nothing was asked there, `WrongState`
        when the plan has changed since it was shown or the question has expired.
        """

        async def work(connection: AsyncConnection) -> Approval:
            newest = select(*_APPROVAL, approvals.c.number).where(
                approvals.c.incident == incident, approvals.c.path == path
            )
            newest = newest.order_by(approvals.c.number.desc()).limit(1).with_for_update()
            row = (await connection.execute(newest)).one_or_none()
            if row is None:
                raise NotRecorded(f"nothing was asked about {path or 'the plan'} of incident {incident}")
            _check(row.plan == plan, incident, "the plan has changed since it was shown: look at it again")
            if row.answered is None:
                _check(
                    now < row.expires,
                    incident,
                    f"the question expired at {row.expires:%H:%M:%S}: it will be asked anew",
                )
                answer = update(approvals).where(approvals.c.number == row.number)
                await connection.execute(answer.values(who=who, answered=now))
            read = select(*_APPROVAL).where(approvals.c.number == row.number)
            return record(Approval, (await connection.execute(read)).one())

        return await self._store.write(f"approve {path}", work)

    async def approvals(self, incident: str) -> tuple[Approval, ...]:
        """Give an incident's questions with their answers, oldest first."""
        query = select(*_APPROVAL).where(approvals.c.incident == incident).order_by(approvals.c.number)
        return await self._whole(Approval, query)


def _check(holds: bool, incident: str, what: str) -> None:
    if not holds:
        raise WrongState(f"incident {incident}: {what}")
