"""Rows that stand in a ledger before a test begins, written as they are: what an earlier time has left there."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, Table, insert, update

from kintsugi.ledger import Ledger
from kintsugi.ledger.store.rows import values
from kintsugi.ledger.store.tables import incidents, questions, runs, steps
from kintsugi.model.questions import Question
from kintsugi.model.records import Incident, RunRecord, StepRecord

T = TypeVar("T")

Row = Question | Incident | RunRecord | StepRecord
_TABLES: dict[type[Row], Table] = {Question: questions, Incident: incidents, RunRecord: runs, StepRecord: steps}


async def keep(ledger: Ledger, *rows: Row) -> None:
    """Write rows in this order; a run comes after its incident, a step after its run."""

    def work(connection: Connection) -> None:
        for row in rows:
            connection.execute(insert(_TABLES[type(row)]).values(values(row)))

    await ledger._store.write("rows", work)


async def change(ledger: Ledger, kind: type[Row], **changes: object) -> None:
    """Write other values into all rows of a kind."""

    def work(connection: Connection) -> None:
        connection.execute(update(_TABLES[kind]).values(changes))

    await ledger._store.write("rows", work)


async def beside(ledger: Ledger, work: Callable[[Connection], T]) -> T:
    """Run `work` past the ledger, in a transaction that is committed: as another version, a hand or a fault does."""

    def committed(connection: Connection) -> T:
        value = work(connection)
        connection.commit()
        return value

    return await ledger._store.engines.writer.run(committed)
