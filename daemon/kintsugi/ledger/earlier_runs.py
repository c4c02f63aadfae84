"""
Fills in columns of open runs of an earlier version, which wrote the same facts as sentences and notes.

The daemon does it in the transaction in which it takes the lead: an earlier version may have led until then, on the new schema.
Rows of a later version are never changed.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.commands import by_verb
from kintsugi.ledger.tables import runs, steps
from kintsugi.model.run_update import RunUpdate, SeenWorkload
from kintsugi.model.step_path import StepPath

FOUND, LEFT, TAKEN_UP, ASKED = (str(StepPath.noted(name)) for name in ("found", "left", "taken-up", "asked"))
"""The notes that held the facts of today's columns."""

_STOPPED = re.compile(r"stopped(?: at ([^ ]*?))?: ")
_REQUESTED = re.compile(r"rollback asked for by (.+)", re.DOTALL)
_AWAITS = "waits for a person"

Notes = Mapping[str, object]
"""The contents of a run's notes, by their paths."""


async def fill_in(connection: AsyncConnection) -> None:
    """Fill in the columns of an earlier version's open runs from their reasons and notes."""
    columns = [runs.c[each.name] for each in fields(RunUpdate)]
    query = select(runs.c.id, runs.c.reason, *columns).where(runs.c.finished.is_(None))
    found = list(await connection.execute(query))
    notes = await _notes(connection, [row.id for row in found])
    for row in found:
        known = read_reason(row.reason or "", notes.get(row.id, {})).given
        new = {name: value for name, value in known.items() if not getattr(row, name)}
        if new:
            await connection.execute(update(runs).where(runs.c.id == row.id).values(new))
    await _fill_in_verbs(connection, [row.id for row in found])


def read_reason(reason: str, notes: Notes) -> RunUpdate:
    """Return the facts that the reason and notes of an earlier version's run contain; unreadable ones are left out."""
    stopped, asked = _STOPPED.match(reason), notes.get(ASKED)
    why = asked.get("why") if isinstance(asked, Mapping) else None
    requested = _REQUESTED.match(reason) or _REQUESTED.match(str(why or ""))
    since = notes.get(TAKEN_UP)
    moment = since.get("since") if isinstance(since, Mapping) else None
    return RunUpdate(
        stopped_at=(stopped[1] or "") if stopped else None,
        rollback_requested_by=requested[1] if requested else ("a person" if ASKED in notes else None),
        awaits_person=reason.startswith(_AWAITS) or None,
        taken_up=moment if isinstance(moment, datetime) else None,
        workload_found=_seen(notes.get(FOUND)),
        workload_left=_seen(notes.get(LEFT)),
    )


async def _fill_in_verbs(connection: AsyncConnection, of: Iterable[str]) -> None:
    query = select(steps.c.number, steps.c.text).where(
        steps.c.run.in_(list(of)), steps.c.verb == "", steps.c.text != ""
    )
    for row in list(await connection.execute(query)):
        if verb := read_verb(row.text):
            await connection.execute(update(steps).where(steps.c.number == row.number).values(verb=verb))


def read_verb(text: str) -> str:
    """Return the verb at the start of a text, "" where it is no command."""
    words = text.split()
    verbs = [verb for verb in by_verb() if words[: len(verb.split())] == verb.split()]
    return str(max(verbs, key=len, default=""))


async def _notes(connection: AsyncConnection, of: Iterable[str]) -> dict[str, dict[str, object]]:
    query = select(steps.c.run, steps.c.path, steps.c.result)
    query = query.where(steps.c.run.in_(list(of)), steps.c.path.in_((FOUND, LEFT, TAKEN_UP, ASKED)))
    found: dict[str, dict[str, object]] = {}
    for row in await connection.execute(query):
        found.setdefault(row.run, {})[row.path] = row.result
    return found


def _seen(noted: Any) -> SeenWorkload | None:
    try:
        return msgspec.convert(noted, SeenWorkload) if isinstance(noted, dict) else None
    except msgspec.ValidationError:
        return None
