"""
A ledger with a long past: rows of every table that grows, written at once, and a little that is open.

What is open stays the same however long the past is, so that what a question costs can be compared.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, Table, insert, text

from kintsugi.ledger import Ledger
from kintsugi.ledger.store.tables import (
    diagnoses,
    evidence,
    good_revisions,
    good_templates,
    incident_messages,
    incidents,
    notices,
    open_pages,
    pauses,
    questions,
    runs,
    signals,
    steps,
)
from kintsugi.model.questions import ANYBODY, Answer, QuestionKind
from kintsugi.model.records import (
    IncidentState,
    Occasion,
    PauseScope,
    Phase,
    Reason,
    RunKind,
    SignalSource,
    StepState,
    VerdictKind,
)
from kintsugi.model.rules import Mode, RuleSource
from tests.contract.ledger.build import MINUTE, NOW, diagnosis
from tests.harness.answers import said
from tests.harness.ledger_rows import beside

SERVICES = 4
"""Services that the past is about; each has had its share of the incidents."""

Row = dict[str, object]


async def live_through(ledger: Ledger, count: int) -> None:
    """Write `count` incidents that are over, each with a run, its steps and all else, and as many alerts of no rule."""
    rows: dict[Table, list[Row]] = {}
    for number in range(count):
        for table, row in _one(number, NOW - timedelta(days=80) + number * 5 * MINUTE * 2000 / max(count, 1)):
            rows.setdefault(table, []).append(row)

    def write(connection: Connection) -> None:
        for table, many in rows.items():
            for chunk in _chunks(many):
                connection.execute(insert(table), chunk)

    await beside(ledger, write)
    if ledger._store.engines.on_postgres:
        await beside(ledger, lambda connection: connection.execute(text("ANALYZE")))


def _chunks(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), 500):
        yield rows[start : start + 500]


def _one(number: int, then: datetime) -> Iterator[tuple[Table, Row]]:
    incident, run = f"inc-past-{number:06}", f"run-past-{number:06}"
    yield from _carried(number, incident, run, then)
    yield from _done(run, then)
    yield from _told(number, incident, then)
    good: Row = {"workload": f"uid-{number}", "template": "t", "number": 1, "first_good": then, "adopted": False}
    yield good_revisions, {**good, "last_good": then + MINUTE}
    named: Row = {"kind": "deployment", "namespace": "shop", "name": f"web-{number}"}
    text: Row = {"document": "{}", "withheld": "", "fingerprint": "", "remainder": "{}"}
    yield good_templates, {**named, "workload": f"uid-{number}", "template": "t", "number": 1, "seen": then, **text}
    yield signals, _signal(f"sig-past-{number:06}", then, VerdictKind.STARTED, incident)
    yield signals, _signal(f"sig-none-{number:06}", then, VerdictKind.REFUSED, None)


def _carried(number: int, incident: str, run: str, then: datetime) -> Iterator[tuple[Table, Row]]:
    over, service = then + MINUTE, f"s-{number % SERVICES}"
    about: Row = {"service": service, "rule": f"{service}-down", "runbook": "recover", "kind": RunKind.RECOVERY}
    well: Row = {"state": IncidentState.RECOVERED, "reason": "well"}
    yield incidents, {"id": incident, "mode": Mode.AUTO, "opened": then, "closed": over, **about, **well}
    plan: Row = {"namespace": "shop", "catalog": "digest-1", "parameters": {}, "epoch": 1, "changed": True}
    own: Row = {"parent": "", "parent_step": "", "rollback_requested_by": "", "awaits_person": False}
    times: Row = {"started": then, "deadline": over, "steps_finished_at": over, "finished": over}
    yield runs, {"id": run, "incident": incident, **plan, **own, **times, **about, **well}


def _done(run: str, then: datetime) -> Iterator[tuple[Table, Row]]:
    plain: Row = {"text": "kubectl", "why": "", "facts": {}, "error": "", "started": then, "finished": then}
    for path, changes in (("look", False), ("delete#0", True)):
        named: Row = {"run": run, "phase": Phase.FORWARD, "path": path, "name": path, "verb": "", "namespace": ""}
        yield steps, {**named, "state": StepState.DONE, "changes": changes, **plain}
    kept: Row = {"run": run, "path": "delete#0", "kind": "logs", "digest": "1", "text": "text", "taken": then}
    yield evidence, kept


def _told(number: int, incident: str, then: datetime) -> Iterator[tuple[Table, Row]]:
    over = then + MINUTE
    sent: Row = {"id": f"ntc-{number}", "incident": incident, "kind": IncidentState.RECOVERED, "text": "well"}
    yield notices, {**sent, "created": over, "attempts": 1, "due": over, "reached": (), "sent": True}
    shown: Row = {"route": "on-call", "incident": incident, "channel": "C1", "message": f"{number}", "digest": "1"}
    yield incident_messages, {**shown, "posted": then, "final": True}
    yield open_pages, {"destination": "pager", "incident": incident, "opened": then}
    asked: Row = {"incident": incident, "path": "", "text": "?", "plan": "p", "asked": then, "expires": over}
    yield diagnoses, {"incident": incident, "occasion": Occasion.OPENED, "at": then, "diagnosis": diagnosis(at=then)}
    yes: Row = {**said(Answer.YES, "ana", over), "kind": QuestionKind.APPROVAL, "approvers": ANYBODY, "command": ""}
    yield questions, {**asked, **yes, "preview": ""}
    stop: Row = {"id": f"pause-{number}", "scope": PauseScope.GLOBAL, "name": "", "who": "ana", "why": ""}
    times: Row = {"since": then, "until": over, "lifted": over if number % 2 else None}
    yield pauses, {**stop, "freeze": False, **times, "lifted_by": None, "lifted_why": None}


def _signal(name: str, then: datetime, verdict: VerdictKind, incident: str | None) -> Row:
    over = then + MINUTE
    alert: Row = {"source": SignalSource.ALERTMANAGER, "kind": RuleSource.ALERT, "key": name, "rule": ""}
    said: Row = {"labels": {"alertname": "Down"}, "annotations": {}, "target": None, "seen": None}
    times: Row = {"began": then, "ended": over, "horizon": over, "received": then, "last_seen": over, "judged": then}
    until = over if verdict is VerdictKind.REFUSED else None
    judged: Row = {"verdict": verdict, "reason": Reason.MATCHED, "text": "", "judged_rule": "", "until": until}
    return {"id": name, "incident": incident, **alert, **said, **times, **judged}
