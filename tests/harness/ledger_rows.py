"""Rows that stand in a ledger before a test begins, written as they are: what an earlier time has left there."""

from sqlalchemy import Table, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.ledger import Ledger
from kintsugi.ledger.rows import values
from kintsugi.ledger.tables import approvals, incidents, runs, steps
from kintsugi.model.records import Approval, Incident, RunRecord, StepRecord

Row = Approval | Incident | RunRecord | StepRecord
_TABLES: dict[type[Row], Table] = {Approval: approvals, Incident: incidents, RunRecord: runs, StepRecord: steps}


async def keep(ledger: Ledger, *rows: Row) -> None:
    """Write rows in this order; a run comes after its incident, a step after its run."""

    async def work(connection: AsyncConnection) -> None:
        for row in rows:
            await connection.execute(insert(_TABLES[type(row)]).values(values(row)))

    await ledger._store.write("rows", work)


async def change(ledger: Ledger, kind: type[Row], **changes: object) -> None:
    """Write other values into all rows of a kind."""

    async def work(connection: AsyncConnection) -> None:
        await connection.execute(update(_TABLES[kind]).values(changes))

    await ledger._store.write("rows", work)
