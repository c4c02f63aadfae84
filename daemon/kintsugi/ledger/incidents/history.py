"""
The history that decisions are made by: for the guards it is read inside the request's own transaction (P7).

The history of a recurring problem are the recoveries of one service by one runbook, the changes of each run, and the notices. It
is read by runbook and not by rule: several rules can notice the same problem, and where one is left to a person another one soon
matches. The repeated remedy is what counts.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import takewhile
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, exists, func, select, text, union, union_all

from kintsugi.commands import decode
from kintsugi.commands.registry import definitions_by_verb, makes_new_pods
from kintsugi.decisions.recurrence import PastRecovery
from kintsugi.ledger.store.rows import columns, read_leniently, read_one, readable, unreadable
from kintsugi.ledger.store.tables import aborts, diagnoses, incidents, locks, pauses, questions, runs, steps
from kintsugi.ledger.store.transactions import Windows
from kintsugi.model.change_limits import Disruptions, LockHolder
from kintsugi.model.history import INCONCLUSIVE_OUTCOMES, Abort, History, MadeChange, PastRun, Rejection, RunRemedies
from kintsugi.model.outages import NO_FAULTS, Fault, KnownFaults
from kintsugi.model.questions import Question
from kintsugi.model.records import Incident, IncidentState, Pause, Phase, RunKind, SeenWorkload, StepState
from kintsugi.model.remedies import RemedyKind
from kintsugi.model.services import STACK
from kintsugi.model.step_path import RUN, UNDOS_LIKE
from kubediagnosis.causes import Diagnosis

LAST_RUNS = 10
"""Finished runs of any age read of a service, and of those about the remedy: enough for every guard's streak."""

_NOT_MADE = (StepState.PLANNED, StepState.SKIPPED)

_CHANGES = (
    select(func.count())
    .select_from(steps)
    .where(steps.c.run == runs.c.id, steps.c.changes, steps.c.state.not_in(_NOT_MADE))
    .scalar_subquery()
    .label("changes")
)
RESUMED = (
    select(pauses.c.lifted)
    .where(pauses.c.id == runs.c.incident, pauses.c.lifted >= runs.c.finished)
    .scalar_subquery()
    .label("resumed")
)
"""When a person ended the rest after a run's hand-over (see `People.end_rest`), NULL where nobody has."""

_RECOVERY = runs.c.kind == RunKind.RECOVERY
"""Drills disrupt nothing, and say nothing about whether a recovery helps: no guard counts them."""

_PAST = (
    runs.c.service, runs.c.namespace, runs.c.rule, runs.c.incident, runs.c.runbook, runs.c.state, runs.c.started, runs.c.finished,
    runs.c.superseded, _CHANGES, RESUMED,
)  # fmt: skip


_FINISHED = select(runs.c.id).where(runs.c.service == bindparam("service"), runs.c.finished.is_not(None), _RECOVERY)
_LAST = _FINISHED.order_by(runs.c.started.desc(), runs.c.id.desc())
_LAST_CONCLUSIVE = _LAST.where(runs.c.state.not_in(INCONCLUSIVE_OUTCOMES))
"""A service's finished runs, and those about the remedy, the newest first."""

_COUNTED = union(
    select(runs.c.id).where(runs.c.finished.is_(None), _RECOVERY),
    select(runs.c.id).where(runs.c.finished > bindparam("since"), _RECOVERY),
    select(_LAST.limit(LAST_RUNS).subquery().c.id),
    select(_LAST_CONCLUSIVE.limit(LAST_RUNS).subquery().c.id),
)
"""The runs that a guard may count: by four queries, each with its own index; one with OR would have none."""

_PAST_RUNS = select(*_PAST).where(runs.c.id.in_(bindparam("ids", expanding=True))).order_by(runs.c.started, runs.c.id)
_LAST_RUN = select(*_PAST).where(runs.c.id.in_(select(_LAST_CONCLUSIVE.limit(1).subquery().c.id)))
_WORKLOADS = select(runs.c.incident, runs.c.workload_found, runs.c.workload_left, runs.c.workload_decided).where(
    runs.c.incident.in_(bindparam("incidents", expanding=True)), _RECOVERY
)
_DIAGNOSES = select(diagnoses.c.incident, diagnoses.c.diagnosis).where(
    diagnoses.c.incident.in_(bindparam("incidents", expanding=True))
)
_OPEN_INCIDENT = select(incidents.c.id, incidents.c.state, incidents.c.opened).where(
    incidents.c.service == bindparam("service"), incidents.c.closed.is_(None), incidents.c.kind == RunKind.RECOVERY
)
_LOCKS = select(locks.c.name, locks.c.run)
_HOLDERS = select(runs.c.id, runs.c.service, runs.c.deadline).where(runs.c.id.in_(bindparam("ids", expanding=True)))
_REJECTED = select(questions.c.number).where(
    text("questions.answer = 'no'"),  # as the partial index says it
    questions.c.answered > bindparam("since"),
    questions.c.path == str(RUN),
)
_ABORTED = select(aborts.c.incident).where(
    aborts.c.requested > bindparam("since"), ~exists().where(pauses.c.id == aborts.c.incident)
)
_PAUSED = select(pauses.c.id).where(pauses.c.lifted.is_(None))
PAUSES = (
    select(*columns(Pause, pauses))
    .where(
        pauses.c.id.in_(
            union_all(_PAUSED.where(pauses.c.until.is_(None)), _PAUSED.where(pauses.c.until > bindparam("now")))
        )
    )
    .order_by(pauses.c.since, pauses.c.id)
)
"""The pauses that hold at a moment, oldest first."""


def _changed(*columns: ColumnElement[Any]) -> Select[Any]:
    """Build the query for changes in some namespaces that were made or may have been, the oldest first."""
    query = select(*columns).join(runs, runs.c.id == steps.c.run)
    query = query.where(_RECOVERY, steps.c.changes, steps.c.state.not_in(_NOT_MADE)).order_by(steps.c.started)
    here = steps.c.namespace.in_(bindparam("namespaces", expanding=True))
    return query.where(here, steps.c.started > bindparam("since"))


_CHANGE_TIMES = _changed(steps.c.started)
_CHANGED_OBJECTS = _changed(steps.c.namespace, steps.c.started, steps.c.state, steps.c.facts)


def read_history(connection: Connection, service: str, namespace: str, now: datetime, windows: Windows) -> History:
    """Read the history for a request of `service` at `now`; changes as far back as `windows` say."""
    opened = connection.execute(_OPEN_INCIDENT, {"service": service}).one_or_none()
    # asked for by themselves: joined with them, PostgreSQL reads the whole table
    counted = connection.scalars(_COUNTED, {"service": service, "since": now - windows.runs}).all()
    past = readable(PastRun, connection.execute(_PAST_RUNS, {"ids": counted}).all() if counted else ())
    own = {run.incident for run in past if run.service == service and run.finished is not None}
    faults = _read_faults(connection, own)
    return History(
        active=tuple(run for run in past if run.finished is None),
        recent=tuple(
            replace(run, faults=faults.get(run.incident, NO_FAULTS)) for run in past if run.finished is not None
        ),
        disruptions=read_disruptions(connection, namespace, now - windows.changes),
        locks=_read_locks(connection),
        pauses=read_pauses(connection, now),
        incident=opened.id if opened is not None else "",
        held_since=opened.opened if opened is not None and opened.state is IncidentState.HELD else None,
        rejections=_read_rejections(connection, service, now - windows.runs),
    )


def _read_locks(connection: Connection) -> Mapping[str, LockHolder]:
    """Read who holds each lock."""
    held = {row.name: row.run for row in connection.execute(_LOCKS)}
    # asked for by themselves: joined with them, PostgreSQL reads the whole table
    rows = connection.execute(_HOLDERS, {"ids": list(set(held.values()))}).all() if held else ()
    holders = {row.id: LockHolder(run=row.id, service=row.service, deadline=row.deadline) for row in rows}
    return {name: holders[run] for name, run in held.items()}


def read_ended(connection: Connection, since: datetime) -> Mapping[str, Sequence[PastRun]]:
    """Read by service the recoveries that have ended since a moment, and what they were about."""
    past = readable(PastRun, connection.execute(select(*_PAST).where(runs.c.finished > since, _RECOVERY)).all())
    faults, found = _read_faults(connection, {run.incident for run in past}), defaultdict[str, list[PastRun]](list)
    for run in past:
        found[run.service].append(replace(run, faults=faults[run.incident]))
    return found


def read_upstreams(connection: Connection, services: Sequence[str]) -> Mapping[str, PastRun]:
    """Read the last conclusive run of each of these services."""
    found: list[PastRun] = []
    for service in services:
        found += readable(PastRun, connection.execute(_LAST_RUN, {"service": service}).all())
    return {run.service: run for run in found}


def _read_faults(connection: Connection, incidents: Collection[str]) -> Mapping[str, KnownFaults]:
    """Read by incident which faults its runs were about."""
    if not incidents:
        return {}
    which = {"incidents": list(incidents)}
    templates, found = defaultdict[str, set[str]](set), defaultdict[str, list[Diagnosis]](list)
    for row in connection.execute(_WORKLOADS, which):
        seen = (row.workload_found, row.workload_left, row.workload_decided)
        templates[row.incident] |= {each.template for each in seen if isinstance(each, SeenWorkload)}
    for incident, diagnosis in connection.execute(_DIAGNOSES, which):
        if isinstance(diagnosis, Diagnosis):
            found[incident].append(diagnosis)
    return {each: KnownFaults.of(templates[each], found[each]) for each in incidents}


def _read_rejections(connection: Connection, service: str, since: datetime) -> tuple[Rejection, ...]:
    """Read the plans for a service that were rejected since a moment, and its incidents that were aborted and not resumed."""
    # asked for by themselves: joined with them, SQLite reads all incidents of the service
    noes = connection.scalars(_REJECTED, {"since": since}).all()
    ended = connection.scalars(_ABORTED, {"since": since}).all()
    here = (incidents.c.service == service, incidents.c.kind == RunKind.RECOVERY)
    found = list[Rejection]()
    if noes:
        plans = select(*columns(Question, questions), incidents.c.rule).join(incidents)
        rows = connection.execute(plans.where(questions.c.number.in_(noes), *here)).all()
        for row in [each for each in rows if unreadable(Question, each) is None]:
            no = row.given[-1]
            text = f"the plan was rejected by {no.who}: {no.why}"
            found.append(Rejection(rule=row.rule, plan=row.plan, text=text, rejected=row.answered))
    if ended:
        aborted = select(*columns(Abort, aborts)).join(incidents).where(aborts.c.incident.in_(ended), *here)
        for each in readable(Abort, connection.execute(aborted).all()):
            text = f"incident {each.incident} was {each.reason}"
            found.append(Rejection(text=text, rejected=each.requested))
    return tuple(found)


def read_pauses(connection: Connection, now: datetime) -> tuple[Pause, ...]:
    """Read the pauses that hold at `now`, oldest first, each as far as it can be read."""
    return tuple(read_leniently(Pause, row) for row in connection.execute(PAUSES, {"now": now}))


def read_changed(connection: Connection, namespaces: Collection[str], since: datetime) -> Mapping[str, Disruptions]:
    """Read the times and objects of the changes in each of these namespaces since a moment."""
    found: dict[str, list[tuple[datetime, str]]] = {namespace: [] for namespace in namespaces}
    for row in connection.execute(_CHANGED_OBJECTS, {"namespaces": list(namespaces), "since": since}):
        if isinstance(row.started, datetime):
            # what failed was surely not made, so that the object is still there
            known = isinstance(row.facts, Mapping) and row.state is not StepState.FAILED
            found[row.namespace].append((row.started, str(row.facts.get("uid", "")) if known else ""))
    return {
        namespace: Disruptions(
            moments=tuple(moment for moment, _ in each), objects=frozenset(uid for _, uid in each if uid)
        )
        for namespace, each in found.items()
    }


def read_changes(connection: Connection, namespace: str, since: datetime) -> tuple[MadeChange, ...]:
    """Read the changes of runs in a namespace since a moment that were not undone, oldest first."""
    undo = steps.alias()
    taken_back = (undo.c.run == steps.c.run, undo.c.phase == Phase.UNDO, undo.c.state == StepState.DONE)
    query = (
        select(runs.c.rule, steps.c.run, steps.c.text, steps.c.finished, steps.c.undo)
        .join(runs, runs.c.id == steps.c.run)
        .where(
            steps.c.namespace == namespace,
            steps.c.changes,
            steps.c.started > since,
            steps.c.state == StepState.DONE,
            steps.c.phase == Phase.FORWARD,
            _RECOVERY,
            steps.c.finished.is_not(None),
            ~exists().where(*taken_back, undo.c.path.like(steps.c.path + UNDOS_LIKE)),
        )
        .order_by(steps.c.started)
    )
    return readable(MadeChange, list(connection.execute(query)))


def read_disruptions(connection: Connection, namespace: str, since: datetime) -> tuple[datetime, ...]:
    """Read the times of changes in a namespace since a moment."""
    found = connection.scalars(_CHANGE_TIMES, {"namespaces": [namespace], "since": since})
    return tuple(started for started in found if isinstance(started, datetime))


def slot_namespaces(connection: Connection) -> tuple[str, ...]:
    """Read the namespaces of the services that have a slot, one for each."""
    query = select(runs.c.namespace).where(runs.c.finished.is_(None), _RECOVERY, runs.c.service != STACK)
    return tuple(connection.scalars(query.where(runs.c.state != IncidentState.HELD)))


MOST = 32
"""The most recoveries and runs read of a service by one runbook: more than any limit, or doublings of the cooldown."""

MOST_RUNS = 8
"""Runs that are looked at, the newest: a service that was given up more often than that has had every remedy."""

WELL_AGAIN = (IncidentState.RECOVERED, IncidentState.NO_ACTION)
"""The ends of runs whose service is well: a problem that comes and goes by itself also counts as recurring."""


RECOVERIES = (
    select(runs.c.finished, runs.c.incident)
    .where(runs.c.service == bindparam("service"), runs.c.runbook == bindparam("runbook"))
    .where(runs.c.state == bindparam("state"), runs.c.finished.is_not(None), _RECOVERY)
    .order_by(runs.c.finished.desc())
    .limit(MOST)
)
"""The newest ends of runs in one state, which an index answers however many runs there are."""


def read_recoveries(connection: Connection, service: str, runbook: str, fault: Fault | None) -> tuple[datetime, ...]:
    """Read when runs of one runbook about a fault ended with the service well, the oldest first; of the newest `MOST` at most."""
    found: list[tuple[datetime, str]] = []
    for state in WELL_AGAIN:
        ends = connection.execute(RECOVERIES, {"service": service, "runbook": runbook, "state": state})
        found += ((row.finished, row.incident) for row in ends)
    newest = sorted(found)[-MOST:]
    faults = _read_faults(connection, {incident for _, incident in newest})
    return tuple(finished for finished, incident in newest if faults[incident].has(fault))


def read_attempts(
    connection: Connection, service: str, runbook: str, recoveries: tuple[datetime, ...]
) -> tuple[PastRecovery, ...]:
    """Read the runs of one runbook on a service since the first of these recoveries, the oldest first, with their changes."""
    query = (
        select(runs.c.id, runs.c.started, runs.c.finished, runs.c.state)
        .where(runs.c.service == service, runs.c.runbook == runbook, runs.c.kind == RunKind.RECOVERY)
        .where(runs.c.finished >= min(recoveries))
        .order_by(runs.c.started.desc())
        .limit(MOST)
    )
    found = list(connection.execute(query))
    made = (
        select(steps.c.run, steps.c.text)
        .where(steps.c.run.in_([row.id for row in found]), steps.c.changes, steps.c.state == StepState.DONE)
        .where(steps.c.phase == Phase.FORWARD)
        .order_by(steps.c.number)
    )
    changes = list(connection.execute(made))
    return tuple(
        PastRecovery(
            run=row.id,
            started=row.started,
            finished=row.finished,
            state=row.state,
            did=tuple(change.text for change in changes if change.run == row.id),
        )
        for row in reversed(found)
    )


def notified_since(connection: Connection, service: str, runbook: str, since: datetime) -> Incident | None:
    """Return the incident by which a person was notified since `since` that this problem recurs: it never had a run."""
    query = (
        select(*columns(Incident, incidents))
        .where(incidents.c.service == service, incidents.c.runbook == runbook, incidents.c.opened >= since)
        .where(incidents.c.state == IncidentState.INEFFECTIVE, ~exists().where(runs.c.incident == incidents.c.id))
        .order_by(incidents.c.opened)
        .limit(1)
    )
    return read_one(connection, Incident, query)


def read_restarts(
    connection: Connection, service: str, fault: Fault, since: datetime, until: datetime
) -> Sequence[tuple[int, Mapping[str, object]]]:
    """Read the number and the facts of each restart that runs of a service have made for a fault in that time."""
    made = (steps.c.changes, steps.c.started > since, steps.c.started <= until, steps.c.state == StepState.DONE)
    query = select(steps.c.number, steps.c.facts, steps.c.command, runs.c.incident).join(runs, runs.c.id == steps.c.run)
    rows = connection.execute(query.where(*made, steps.c.phase == Phase.FORWARD, runs.c.service == service, _RECOVERY))
    found = [row for row in rows if row.command is not None and makes_new_pods(decode(row.command))]
    faults = _read_faults(connection, {row.incident for row in found})
    return [(row.number, row.facts) for row in found if faults[row.incident].has(fault)]


def read_remedies(connection: Connection, service: str, since: datetime, template: str) -> tuple[RunRemedies, ...]:
    """
    Read what each diagnosis of the newest runs has named; the newest run first.

    A diagnosis of another pod template is passed over ("" is any), and so is a word of another version.
    """
    newest = (
        select(runs.c.id, runs.c.incident, runs.c.state, RESUMED)
        .where(runs.c.service == service, runs.c.kind == RunKind.RECOVERY, runs.c.finished >= since)
        .order_by(runs.c.finished.desc())
        .limit(MOST_RUNS)
    )
    found = list(takewhile(lambda row: row.resumed is None, connection.execute(newest)))
    ids = [row.id for row in found]
    forward = (steps.c.run.in_(ids), steps.c.phase == Phase.FORWARD, steps.c.state == StepState.DONE)
    changed = set(connection.scalars(select(steps.c.run).where(*forward, steps.c.changes)))
    diagnosing = [verb for verb, definition in definitions_by_verb().items() if definition.diagnoses]
    diagnoses = select(steps.c.run, steps.c.result).where(*forward, steps.c.verb.in_(diagnosing))
    results = [(row.run, row.result or {}) for row in connection.execute(diagnoses)]
    named = [
        (run, each.get("remedy"))
        for run, each in results
        if each.get("template") in (template, "", None) or not template
    ]
    faults = _read_faults(connection, {row.incident for row in found})
    return tuple(
        RunRemedies(
            state=row.state,
            faults=faults[row.incident],
            remedies=frozenset(
                RemedyKind(word) for run, word in named if run == row.id and run in changed and word in set(RemedyKind)
            ),
        )
        for row in found
    )
