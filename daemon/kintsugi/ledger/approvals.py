"""Questions to people, and their answers."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.errors import NotRecorded, WrongState
from kintsugi.ledger.outbox import put_notice_once
from kintsugi.ledger.repository import Repository
from kintsugi.ledger.rows import columns, record, values
from kintsugi.ledger.tables import approvals
from kintsugi.model.records import Approval, IncidentState

_APPROVAL = columns(Approval, approvals)


class ApprovalRepository(Repository):
    """Questions and answers. Any replica may write them: an answer needs no leader."""

    async def ask(self, approval: Approval, *, notice: str = "") -> None:
        """
        Ask a person a question. Only the newest question of a step can be answered.

        `notice` is the notice of a question that changes no state, since another one came before it.
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
                if notice:
                    state = IncidentState.AWAITING_APPROVAL
                    await put_notice_once(connection, approval.incident, state, notice, approval.asked)

        await self._store.write(f"ask {approval.path}", work)

    async def approve(self, incident: str, path: str, plan: str, who: str, now: datetime) -> Approval:
        """
        Approve the newest question of a step, for the plan that was shown.

        Of two approvals of one plan the first stays. Raises `NotRecorded` when the step has no question, `WrongState` when the
        plan has changed since it was shown or the question has expired.
        """

        async def work(connection: AsyncConnection) -> Approval:
            newest = select(*_APPROVAL, approvals.c.number).where(
                approvals.c.incident == incident, approvals.c.path == path
            )
            newest = newest.order_by(approvals.c.number.desc()).limit(1).with_for_update()
            row = (await connection.execute(newest)).one_or_none()
            if row is None:
                raise NotRecorded(f"no approval was requested for {path or 'the plan'} of incident {incident}")
            _check(row.plan == plan, incident, "the plan has changed since it was shown: review it again")
            if row.answered is None:
                _check(
                    now < row.expires,
                    incident,
                    f"the question expired at {row.expires:%H:%M:%S}: it will be asked again",
                )
                answer = update(approvals).where(approvals.c.number == row.number)
                await connection.execute(answer.values(who=who, answered=now))
            read = select(*_APPROVAL).where(approvals.c.number == row.number)
            return record(Approval, (await connection.execute(read)).one())

        return await self._store.write(f"approve {path}", work)

    async def of_incident(self, incident: str) -> tuple[Approval, ...]:
        """Return an incident's questions with their answers, oldest first."""
        return await self.of_incidents([incident])

    async def of_incidents(self, of: Collection[str]) -> tuple[Approval, ...]:
        """Return the questions of several incidents with their answers, oldest first."""
        query = select(*_APPROVAL).where(approvals.c.incident.in_(of)).order_by(approvals.c.number)
        return await self._whole(Approval, query) if of else ()


def _check(holds: bool, incident: str, what: str) -> None:
    if not holds:
        raise WrongState(f"incident {incident}: {what}")
