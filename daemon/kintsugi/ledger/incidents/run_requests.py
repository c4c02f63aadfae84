"""
Run requests: whether a run may start for a service is decided and written in one transaction, one at a time (P2, P7).

Requests take turns across all replicas, so that what `decide` reads stays true until its answer is written. A request is
known by its signal: repeated after a lost answer, it gives what was decided the first time (D2).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Select, bindparam, insert, select, update

from kintsugi.decisions.planner import Plan
from kintsugi.decisions.reconciliation import overdue_hold_notice
from kintsugi.decisions.recurrence import recurrence_summary
from kintsugi.errors import NotRecorded
from kintsugi.ledger.good_state import note_slot, read_scaled_to_zero
from kintsugi.ledger.incidents.history import (
    notified_since,
    read_attempts,
    read_history,
    read_recoveries,
    read_upstreams,
)
from kintsugi.ledger.incidents.runs import change_incident, find_child, find_incident, find_open_incident, last_run
from kintsugi.ledger.outbox import put_notice, put_notice_once
from kintsugi.ledger.store.rows import columns, read_leniently, values, verdict, verdict_values
from kintsugi.ledger.store.tables import incidents, locks, questions, runs, signals, steps
from kintsugi.ledger.store.texts import for_people, masked_step
from kintsugi.ledger.store.transactions import Store
from kintsugi.model.history import History
from kintsugi.model.identity import new_id
from kintsugi.model.manual import MANUAL, ManualStart, Override
from kintsugi.model.outages import Fault
from kintsugi.model.questions import Answer, AnswerSource, GivenAnswer, Question
from kintsugi.model.records import (
    Incident,
    IncidentState,
    Reason,
    RunKind,
    RunRecord,
    Signal,
    StepRecord,
    StepState,
    Verdict,
    VerdictKind,
)
from kintsugi.model.rules import Mode, Rule
from kintsugi.model.step_path import RUN, StepPath

Decide = Callable[[History], Verdict]

_SIGNAL = select(signals).where(signals.c.id == bindparam("signal"))
_SETTLE_SIGNAL = update(signals).where(signals.c.id == bindparam("which"))
_PUT_INCIDENT, _PUT_RUN, _PUT_LOCK = insert(incidents), insert(runs), insert(locks)

RETRY_AFTER = timedelta(seconds=30)
"""The time after which a request whose lock is held is judged again."""

STARTED = str(StepPath.noted("started"))
"""Path under which a run keeps who started it by hand, and why."""

_MOST_STARTS = 100
"""The most manual starts of one service among which a repeated request is recognised."""

_OPENS = {
    VerdictKind.STARTED: IncidentState.RUNNING,
    VerdictKind.HELD: IncidentState.HELD,
    VerdictKind.AWAITING_APPROVAL: IncidentState.AWAITING_APPROVAL,
}
"""The verdicts that an incident comes of, with the state that it is opened in."""

_WAITING = frozenset({IncidentState.HELD, IncidentState.AWAITING_APPROVAL})

_RESOLVED = Verdict(kind=VerdictKind.OBSERVED, reason=Reason.RESOLVED, text="It ended before anything was started.")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRequest:
    """
    A plan that asks to be started. `signal` is None for a person's request.

    `upstreams` are the services that it may have to wait for; `hold_limit` is the time that this may last before a
    person is notified. `locks` are names (the service, the owners of its objects) that one run holds at a time.
    `deadline` is the watchdog's moment, `catalog` the digest of the documents that the run keeps to. `slot` is the
    moment of a drill's schedule that is dealt with when it starts. `parent` and `parent_step` name who asks for a child
    run: it takes over an incident of its service that waits. `manual` is what is kept of a person's start. `starts` is
    the workload (its uid) that it would start from 0, "" for none. `fault` is the service's current one, None where it is not down.
    """

    signal: Signal | None
    service: str
    namespace: str
    rule: str
    runbook: str
    mode: Mode
    catalog: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    deadline: datetime
    locks: tuple[str, ...] = ()
    kind: RunKind = RunKind.RECOVERY
    slot: datetime | None = None
    upstreams: tuple[str, ...] = ()
    hold_limit: timedelta | None = None
    parent: str = ""
    parent_step: str = ""
    manual: ManualStart | None = None
    starts: str = ""
    fault: Fault | None = None

    @classmethod
    def of(cls, plan: Plan, rule: Rule, mode: Mode, *, catalog: str, starts: str) -> "RunRequest":
        """Return the request of a plan of a catalog that no signal asks for."""
        return cls(
            signal=None,
            service=plan.service.name,
            namespace=plan.service.namespace,
            rule=rule.name,
            runbook=plan.runbook.name,
            mode=mode,
            catalog=catalog,
            parameters=plan.parameters,
            deadline=plan.deadline,
            locks=plan.locks,
            starts=starts,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRequestResult:
    """The decision, with the incident that it concerns and the run that it started or joined."""

    verdict: Verdict
    incident: Incident | None = None
    run: RunRecord | None = None


class Decision:
    """One request inside its transaction."""

    def __init__(self, connection: Connection, request: RunRequest, now: datetime, store: Store) -> None:
        self._connection = connection
        self._request = request
        self._now = now
        self._epoch = store.epoch or 0
        self._windows = store.windows

    def of_signal(self, known_as: str, decide: Decide) -> RunRequestResult:
        """Decide for a signal, unless that was done before or it has ended."""
        row = self._connection.execute(_SIGNAL, {"signal": known_as}).one_or_none()
        if row is None:
            raise NotRecorded(f"signal {known_as} was never accepted: accept it before asking for a run for it")
        known = verdict(row)
        if known is not None and known.until is None:
            return self._known_result(known)
        if row.ended is not None:
            result = RunRequestResult(verdict=replace(_RESOLVED, rule=self._request.rule, incident=row.incident or ""))
        else:
            result = self.make(decide, own=row.incident or "")
        self._connection.execute(_SETTLE_SIGNAL, {"which": known_as, **verdict_values(result.verdict, self._now)})
        return result

    def of_child(self, decide: Decide) -> RunRequestResult:
        """Decide for a step of another run, unless that was done before; signals of an incident that waits go with it."""
        child = find_child(self._connection, self._request.parent, self._request.parent_step)
        if child is not None:
            started = Verdict(kind=VerdictKind.STARTED, reason=Reason.MATCHED, text="it was started before")
            return RunRequestResult(
                verdict=started, incident=find_incident(self._connection, child.incident), run=child
            )
        opened = self._open_incident()
        waiting = opened.id if opened is not None and opened.state in _WAITING else ""
        result = self.make(decide, own=waiting)
        if waiting and result.run is not None:
            self.settle_waiting(waiting, result.verdict)
        return result

    def of_held(self, incident: str, decide: Decide) -> RunRequestResult:
        """Decide again for an incident that waits; its signals get the new verdict. Any other is given back as ATTACHED."""
        found = find_incident(self._connection, incident)
        if found.state not in _WAITING:
            text = f"incident {incident} is {found.state} already"
            return self._attach(found, text)
        result = self.make(decide, own=incident)
        self.settle_waiting(incident, result.verdict)
        return result

    def of_start_request(self, decide: Decide) -> RunRequestResult:
        """Decide for a person or a schedule; a person's wish that has been started is that start."""
        start, known = self._request.manual, None
        if start is not None:
            known = known_start(self._connection, self._request.service, start.key)
        return known or self.make(decide, own="")

    def make(self, decide: Decide, *, own: str) -> RunRequestResult:
        """Decide; `own` is the incident that this request opened when it was held before, or takes over."""
        opened = self._open_incident()
        if opened is not None and (opened.id != own or opened.state not in _WAITING):
            return self._attach(opened, f"{opened.service} has incident {opened.id} open ({opened.state})")
        history = self.history()
        verdict = replace(self._respect_locks(decide(history), history), rule=self._request.rule)
        if verdict.reason is Reason.INEFFECTIVE and history.recoveries:
            return self._report_ineffective(opened, verdict, history.recoveries)
        state = _OPENS.get(verdict.kind)
        if state is None:
            return RunRequestResult(
                verdict=verdict if opened is None else replace(verdict, incident=opened.id), incident=opened
            )
        incident = self._put_incident(opened, state, verdict.text)
        run = self.start(incident) if verdict.kind is VerdictKind.STARTED else None
        return RunRequestResult(verdict=replace(verdict, incident=incident.id), incident=incident, run=run)

    def history(self) -> History:
        """Read what the request is decided by."""
        connection, request = self._connection, self._request
        return replace(
            read_history(connection, request.service, request.namespace, self._now, self._windows),
            recoveries=read_recoveries(connection, request.service, request.runbook, request.fault),
            upstreams=read_upstreams(connection, request.upstreams),
            scaled_to_zero=read_scaled_to_zero(connection, request.starts) if request.starts else None,
        )

    def settle_waiting(self, incident: str, verdict: Verdict) -> None:
        """Store the verdict of the signals that wait with their incident."""
        waiting = signals.c.verdict.in_([VerdictKind.HELD, VerdictKind.AWAITING_APPROVAL])
        self._settle((signals.c.incident == incident) & (waiting | signals.c.until.is_not(None)), verdict)

    def _report_ineffective(
        self, opened: Incident | None, verdict: Verdict, recoveries: tuple[datetime, ...]
    ) -> RunRequestResult:
        """Close an incident of a problem that returns, with all that was done; once, not for each of its signals."""
        connection, request = self._connection, self._request
        incident = (
            notified_since(connection, request.service, request.runbook, recoveries[-1]) if opened is None else None
        )
        if incident is None:
            attempts = read_attempts(connection, request.service, request.runbook, recoveries)
            incident = self._put_incident(opened, IncidentState.INEFFECTIVE, recurrence_summary(verdict.text, attempts))
        return RunRequestResult(verdict=replace(verdict, incident=incident.id), incident=incident)

    def _known_result(self, known: Verdict) -> RunRequestResult:
        if not known.incident:
            return RunRequestResult(verdict=known)
        incident = find_incident(self._connection, known.incident)
        return RunRequestResult(verdict=known, incident=incident, run=last_run(self._connection, incident.id))

    def _attach(self, incident: Incident, text: str) -> RunRequestResult:
        joined = Verdict(
            kind=VerdictKind.ATTACHED,
            reason=Reason.ACTIVE_RUN,
            text=text,
            rule=self._request.rule,
            incident=incident.id,
        )
        return RunRequestResult(verdict=joined, incident=incident, run=last_run(self._connection, incident.id))

    def _respect_locks(self, verdict: Verdict, history: History) -> Verdict:
        # the guards check locks, too; here they are enforced, whatever `decide` has checked
        held = [name for name in self._request.locks if name in history.locks]
        if verdict.kind is not VerdictKind.STARTED or not held:
            return verdict
        text = f"{held[0]} is held by {history.locks[held[0]]}"
        return Verdict(kind=VerdictKind.REFUSED, reason=Reason.LOCKED, text=text, until=self._now + RETRY_AFTER)

    def _open_incident(self) -> Incident | None:
        return find_open_incident(self._connection, self._request.service, self._request.kind)

    def _put_incident(self, opened: Incident | None, state: IncidentState, reason: str) -> Incident:
        request = self._request
        incident = Incident(
            id=opened.id if opened else new_id("inc", self._now),
            service=request.service,
            rule=request.rule,
            runbook=request.runbook,
            mode=request.mode,
            state=state,
            reason=reason,
            opened=opened.opened if opened else self._now,
            closed=self._now if state.is_final else None,
            kind=request.kind,
        )
        if opened is None:
            self._connection.execute(_PUT_INCIDENT, values(incident))
        else:
            change_incident(self._connection, opened.id, **values(incident))
        if opened is None or opened.state is not state:
            put_notice(self._connection, incident.id, state, reason, self._now)
        over = (
            overdue_hold_notice(opened, request.hold_limit, now=self._now)
            if opened and request.hold_limit is not None
            else ""
        )
        if over:
            put_notice_once(self._connection, incident.id, IncidentState.HELD, over, self._now)
        return incident

    def start(self, incident: Incident) -> RunRecord:
        """Put the run of an incident, with its locks."""
        request = self._request
        run = RunRecord(
            id=new_id("run", self._now),
            incident=incident.id,
            service=request.service,
            namespace=request.namespace,
            rule=request.rule,
            runbook=request.runbook,
            catalog=request.catalog,
            parameters=request.parameters,
            epoch=self._epoch,
            state=IncidentState.RUNNING,
            reason=incident.reason,
            started=self._now,
            deadline=request.deadline,
            kind=request.kind,
            parent=request.parent,
            parent_step=request.parent_step,
        )
        self._connection.execute(_PUT_RUN, values(run))
        held = [{"name": name, "run": run.id, "path": "", "since": self._now} for name in dict.fromkeys(request.locks)]
        if held:
            self._connection.execute(_PUT_LOCK, held)
        if request.manual is not None:
            _keep_start(self._connection, run, request.manual)
        if request.slot is not None:
            note_slot(self._connection, request.service, request.slot)
        return run

    def _settle(self, which: ColumnElement[bool], verdict: Verdict) -> None:
        self._connection.execute(update(signals).where(which).values(verdict_values(verdict, self._now)))


def known_start(connection: Connection, service: str, key: str) -> RunRequestResult | None:
    """Read what a person's wish has started, None when it has started nothing yet."""
    run = _find_started_run(connection, service, key)
    if run is None:
        return None
    incident = find_incident(connection, run.incident)
    text = f"it was started before, as incident {incident.id}"
    known = Verdict(kind=VerdictKind.STARTED, reason=Reason.MATCHED, text=text, rule=run.rule, incident=incident.id)
    return RunRequestResult(verdict=known, incident=incident, run=run)


def _keep_start(connection: Connection, run: RunRecord, start: ManualStart) -> None:
    approval = Question(
        incident=run.incident,
        path=str(RUN),
        text=start.question,
        plan=start.plan,
        asked=run.started,
        expires=start.expires,
        given=(
            GivenAnswer(
                answer=Answer.YES,
                who=start.who,
                source=AnswerSource.START,
                given=run.started,
                why=for_people(start.why),
            ),
        ),
        answer=Answer.YES,
        answered=run.started,
    )
    result = {"who": start.who, "why": start.why, "overrides": list(start.overrides), "plan": start.plan}
    note = StepRecord(
        run=run.id,
        path=STARTED,
        name=start.reason,
        state=StepState.DONE,
        facts={"mark": start.key},
        started=run.started,
        finished=run.started,
        result=result,
        met=True,
    )
    connection.execute(insert(questions).values(values(approval)))
    connection.execute(insert(steps).values(values(masked_step(note))))


def _find_started_run(connection: Connection, service: str, key: str) -> RunRecord | None:
    """Return the run that a start request has started already, however it ended; a request without a key is a new one."""
    if not key:
        return None
    starts = list(connection.execute(_starts(service)))
    found = next((row.id for row in starts if isinstance(row.facts, dict) and row.facts.get("mark") == key), None)
    if found is None:
        return None
    query = select(*columns(RunRecord, runs)).where(runs.c.id == found)
    return read_leniently(RunRecord, connection.execute(query).one())


def read_overrides(connection: Connection, run: str) -> frozenset[Override]:
    """Read the overrides of a run; unreadable ones are left out."""
    kept = connection.scalar(select(steps.c.result).where(steps.c.run == run, steps.c.path == STARTED))
    named = kept.get("overrides") if isinstance(kept, dict) else None
    return frozenset(each for each in Override if isinstance(named, list | tuple) and each in named)


def _starts(service: str) -> Select[tuple[str, object]]:
    query = select(runs.c.id, steps.c.facts).join(steps, (steps.c.run == runs.c.id) & (steps.c.path == STARTED))
    query = query.where(runs.c.service == service, runs.c.rule == MANUAL)
    return query.order_by(runs.c.started.desc(), runs.c.id.desc()).limit(_MOST_STARTS)
