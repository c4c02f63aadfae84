"""
What the database does for a question: the statements that the ledger really sends, and the database's plan of each.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from sqlalchemy import Connection, event

from kintsugi.ledger import Ledger

GROW = frozenset(
    {
        *("signals", "incidents", "runs", "steps", "evidence", "questions", "notices", "pauses"),
        *("good_revisions", "good_templates", "diagnoses"),
    }
)
"""
Tables that hold the past. The others have a row a lock, a service, a document, or a condition that holds now, and dead
letters are a thousand at most.
"""

OPEN_ONLY = frozenset(
    {
        *("uq_signals_open_key", "ix_signals_unjudged", "ix_signals_provisional", "ix_signals_firing"),
        *("uq_incidents_open_service", "uq_runs_open_service", "ix_notices_due", "ix_pauses_holding"),
    }
)
"""Partial indexes that hold only what is open: to walk them whole costs what is open, not what has been."""

_SCAN = re.compile(r"SCAN (\w+?)(?:_\d+)?(?: USING (?:COVERING )?INDEX (\w+))?$")


class Sent(NamedTuple):
    """One statement as it went to the database."""

    statement: str
    parameters: Any


@asynccontextmanager
async def sent_by(ledger: Ledger) -> AsyncIterator[list[Sent]]:
    """Collect every statement that is sent meanwhile."""
    sent: list[Sent] = []

    def note(_c: object, _cursor: object, statement: str, parameters: Any, _context: object, many: bool) -> None:
        sent.append(Sent(statement, parameters[0] if many else parameters))

    engines = {ledger._store.engines.reader.engine, ledger._store.engines.writer.engine}
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)


async def scans_of(ledger: Ledger, sent: Sequence[Sent]) -> list[str]:
    """Return what the plans of these statements read from one end to the other of a table that grows."""
    found = []
    for statement, parameters in dict.fromkeys((each.statement, _frozen(each.parameters)) for each in sent):
        if statement.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
            plan = await _plan(ledger, statement, parameters)
            limited = "LIMIT" in statement.upper() and not any("TEMP B-TREE FOR ORDER BY" in line for line in plan)
            wrong = [line for line in plan if _is_scan(line, limited=limited)]
            found += [f"{line}: {' '.join(statement.split())}" for line in wrong]
    return found


def _frozen(parameters: Any) -> Any:
    return tuple(parameters.items()) if isinstance(parameters, dict) else tuple(parameters or ())


def _is_scan(line: str, *, limited: bool) -> bool:
    match = _SCAN.match(line)
    if match is None or match[1] not in GROW:
        return False
    return not (match[2] and (match[2] in OPEN_ONLY or limited))


async def _plan(ledger: Ledger, statement: str, parameters: Any) -> list[str]:

    def explain(connection: Connection) -> list[str]:
        if connection.dialect.name == "postgresql":
            (answer,) = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalars()
            return list(_lines(answer if isinstance(answer, list) else json.loads(answer)))
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        return [str(row.detail) for row in rows]

    return await ledger._store.engines.reader.run(explain)


def _lines(node: Any) -> Iterator[str]:
    """Write PostgreSQL's plan as SQLite's: a SCAN for what has no condition to begin at."""
    if isinstance(node, list):
        for each in node:
            yield from _lines(each)
    elif isinstance(node, dict):
        kind = node.get("Node Type", "")
        if kind == "Seq Scan":
            yield f"SCAN {node['Relation Name']}"
        elif "Index" in kind and "Scan" in kind and "Index Cond" not in node:
            yield f"SCAN {node.get('Relation Name', _table_of(node['Index Name']))} USING INDEX {node['Index Name']}"
        for value in node.values():
            yield from _lines(value)


def _table_of(index: str) -> str:
    return next((each for each in sorted(GROW, key=len, reverse=True) if f"_{each}_" in f"{index}_"), index)


class Steps:
    """Counts what SQLite's machine does: instructions, which depend on the rows that are read and on nothing else."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> int:
        """Count one instruction; 0 lets SQLite go on."""
        self.count += 1
        return 0


async def count_steps(ledger: Ledger) -> Steps:
    """Count the instructions of every connection from now on; the pools are emptied first."""
    steps = Steps()

    def on_connect(connection: Any, _record: object) -> None:
        connection.set_progress_handler(steps, 1)

    engines = ledger._store.engines
    for engine in (engines.reader.engine, engines.writer.engine):
        engine.dispose()
        event.listen(engine, "connect", on_connect)
    return steps
