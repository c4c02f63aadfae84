"""
Claims: may a run start for this service? Decided and written in one transaction, one claim at a time (P2, P7).

Claims take turns across all replicas, so that what `decide` reads stays true until its answer is written. A claim is
known by its signal: repeated after a lost answer, it gives what was decided the first time (D2).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.errors import NotRecorded
from kintsugi.ledger.chapter import Chapter
from kintsugi.ledger.drills import note_slot
from kintsugi.ledger.history import read_history
from kintsugi.ledger.incidents import find_incident, last_run
from kintsugi.ledger.outbox import tell, tell_once
from kintsugi.ledger.recurrences import read_attempts, read_recoveries, told_since
from kintsugi.ledger.rows import columns, shown, values, verdict, verdict_values
from kintsugi.ledger.store import Store
from kintsugi.ledger.tables import incidents, locks, runs, signals
from kintsugi.model.documents import Mode
from kintsugi.model.history import History
from kintsugi.model.identity import new_id
from kintsugi.model.records import Incident, IncidentState, Reason, RunKind, RunRecord, Signal, Verdict, VerdictKind
from kintsugi.reconciliation import hold_notice
from kintsugi.recurrence import account

Decide = Callable[[History], Verdict]

LOOK_AGAIN = timedelta(seconds=30)
"""When a claim whose lock is held is judged again."""

TURN = 0x6B696E02
"""Whoever decides by locks, budgets or history and writes what follows has this turn."""

_OPENS = {
    VerdictKind.STARTED: IncidentState.RUNNING,
    VerdictKind.HELD: IncidentState.HELD,
    VerdictKind.AWAITING_APPROVAL: IncidentState.AWAITING_APPROVAL,
}
"""The verdicts that an incident comes of, with the state that it is opened in."""

_WAITING = frozenset({IncidentState.HELD, IncidentState.AWAITING_APPROVAL})

_RESOLVED = Verdict(kind=VerdictKind.OBSERVED, reason=Reason.RESOLVED, text="It ended before anything was started.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """
    A plan that asks to be started. `signal` is None for what a person asked for.

    `hold_limit` is how long a hold may last, where this claim goes on although the hold's cause does; a person is told.
    `locks` are names (the service, the owners of its objects) that one run holds at a time. `deadline` is the
    watchdog's moment, `catalog` the digest of the documents that the run keeps to. `slot` is the moment of a drill's
    schedule that is dealt with when it starts.
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
    hold_limit: timedelta | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Claimed:
    """The decision, with the incident that it concerns and the run that it started or joined."""

    verdict: Verdict
    incident: Incident | None = None
    run: RunRecord | None = None


class Claims(Chapter):
    """Incidents and runs begin here."""

    async def claim(self, claim: Claim, decide: Decide, now: datetime) -> Claimed:
        """
        Decide on a claim and write all that follows, atomically.

        STARTED: incident, run, locks and the signal's verdict. HELD, AWAITING_APPROVAL: the incident in that state
        (its earlier one again when it is judged anew), no run. A refusal as INEFFECTIVE: an incident that is closed so at
        once, with a notice, the first time since the last recovery. Other verdicts only settle the signal. A signal of a
        service that has an open incident is ATTACHED to it without asking `decide`.
        Raises `StaleEpoch`, `LedgerUnavailable`, `NotRecorded` for a signal that was never accepted.
        """

        async def work(connection: AsyncConnection) -> Claimed:
            await self._store.take_turns(connection, TURN)
            decision = _Decision(connection, claim, now, self._store)
            if claim.signal is None:
                return await decision.make(decide, own="")
            return await decision.of_signal(claim.signal.id, decide)

        return await self._store.write("claim", work, fenced=True)

    async def history(self, service: str, namespace: str, now: datetime, runbook: str = "") -> History:
        """Read what a claim (of `runbook`, where one is given) would be decided by, without claiming."""
        windows = self._store.windows

        async def work(connection: AsyncConnection) -> History:
            history = await read_history(connection, service, namespace, now, windows)
            if not runbook:
                return history
            return replace(history, recoveries=await read_recoveries(connection, service, runbook))

        return await self._store.look(work)

    async def start_held(self, incident: str, claim: Claim, decide: Decide, now: datetime) -> Claimed:
        """
        Decide again on an incident that was held or awaits approval; its waiting signals get the new verdict.

        An incident that has its run already, or is closed, is given back as ATTACHED and nothing is done.
        """

        async def work(connection: AsyncConnection) -> Claimed:
            await self._store.take_turns(connection, TURN)
            found = await find_incident(connection, incident)
            if found.state not in _WAITING:
                text = f"incident {incident} is {found.state} already"
                attached = Verdict(
                    kind=VerdictKind.ATTACHED, reason=Reason.ACTIVE_RUN, text=text, rule=claim.rule, incident=incident
                )
                return Claimed(verdict=attached, incident=found, run=await last_run(connection, incident))
            decision = _Decision(connection, claim, now, self._store)
            claimed = await decision.make(decide, own=incident)
            await decision.settle_waiting(incident, claimed.verdict)
            return claimed

        return await self._store.write("start-held", work, fenced=True)


class _Decision:
    """One claim inside its transaction."""

    def __init__(self, connection: AsyncConnection, claim: Claim, now: datetime, store: Store) -> None:
        self._connection = connection
        self._claim = claim
        self._now = now
        self._epoch = store.epoch or 0
        self._windows = store.windows

    async def of_signal(self, known_as: str, decide: Decide) -> Claimed:
        """Decide for a signal, unless that was done before or it has ended."""
        row = (await self._connection.execute(select(signals).where(signals.c.id == known_as))).one_or_none()
        if row is None:
            raise NotRecorded(f"signal {known_as} was never accepted: accept it before claiming for it")
        known = verdict(row)
        if known is not None and known.until is None:
            return await self._told_before(known)
        if row.ended is not None:
            claimed = Claimed(verdict=replace(_RESOLVED, rule=self._claim.rule, incident=row.incident or ""))
        else:
            claimed = await self.make(decide, own=row.incident or "")
        await self._settle(signals.c.id == known_as, claimed.verdict)
        return claimed

    async def make(self, decide: Decide, *, own: str) -> Claimed:
        """Decide; `own` is the incident that this claim opened when it was held before."""
        opened = await self._open_incident()
        if opened is not None and (opened.id != own or opened.state not in _WAITING):
            return await self._attach(opened)
        claim = self._claim
        history = await read_history(self._connection, claim.service, claim.namespace, self._now, self._windows)
        history = replace(history, recoveries=await read_recoveries(self._connection, claim.service, claim.runbook))
        judged = replace(self._respect_locks(decide(history), history), rule=claim.rule)
        if judged.reason is Reason.INEFFECTIVE and history.recoveries:
            return await self._tell_ineffective(opened, judged, history.recoveries)
        state = _OPENS.get(judged.kind)
        if state is None:
            return Claimed(verdict=judged if opened is None else replace(judged, incident=opened.id), incident=opened)
        incident = await self._put_incident(opened, state, judged.text)
        run = await self._start(incident) if judged.kind is VerdictKind.STARTED else None
        return Claimed(verdict=replace(judged, incident=incident.id), incident=incident, run=run)

    async def settle_waiting(self, incident: str, judged: Verdict) -> None:
        """Give the verdict to the signals that wait with their incident."""
        waiting = signals.c.verdict.in_([VerdictKind.HELD, VerdictKind.AWAITING_APPROVAL])
        await self._settle((signals.c.incident == incident) & (waiting | signals.c.until.is_not(None)), judged)

    async def _tell_ineffective(
        self, opened: Incident | None, judged: Verdict, recoveries: tuple[datetime, ...]
    ) -> Claimed:
        """Close an incident of a trouble that returns, with all that was done; once, not for each of its signals."""
        connection, claim = self._connection, self._claim
        told = await told_since(connection, claim.service, claim.runbook, recoveries[-1]) if opened is None else None
        if told is None:
            attempts = await read_attempts(connection, claim.service, claim.runbook, recoveries)
            told = await self._put_incident(opened, IncidentState.INEFFECTIVE, account(judged.text, attempts))
        return Claimed(verdict=replace(judged, incident=told.id), incident=told)

    async def _told_before(self, known: Verdict) -> Claimed:
        if not known.incident:
            return Claimed(verdict=known)
        incident = await find_incident(self._connection, known.incident)
        return Claimed(verdict=known, incident=incident, run=await last_run(self._connection, incident.id))

    async def _attach(self, incident: Incident) -> Claimed:
        text = f"{incident.service} has incident {incident.id} open ({incident.state})"
        joined = Verdict(
            kind=VerdictKind.ATTACHED,
            reason=Reason.ACTIVE_RUN,
            text=text,
            rule=self._claim.rule,
            incident=incident.id,
        )
        return Claimed(verdict=joined, incident=incident, run=await last_run(self._connection, incident.id))

    def _respect_locks(self, judged: Verdict, history: History) -> Verdict:
        # the guards look at locks too; here it is made sure of, whatever `decide` asked
        held = [name for name in self._claim.locks if name in history.locks]
        if judged.kind is not VerdictKind.STARTED or not held:
            return judged
        text = f"{held[0]} is held by run {history.locks[held[0]]}"
        return Verdict(kind=VerdictKind.REFUSED, reason=Reason.LOCKED, text=text, until=self._now + LOOK_AGAIN)

    async def _open_incident(self) -> Incident | None:
        query = select(*columns(Incident, incidents))
        query = query.where(incidents.c.service == self._claim.service, incidents.c.closed.is_(None))
        query = query.where(incidents.c.kind == self._claim.kind)
        row = (await self._connection.execute(query)).one_or_none()
        return None if row is None else shown(Incident, row)

    async def _put_incident(self, opened: Incident | None, state: IncidentState, reason: str) -> Incident:
        claim = self._claim
        incident = Incident(
            id=opened.id if opened else new_id("inc", self._now),
            service=claim.service,
            rule=claim.rule,
            runbook=claim.runbook,
            mode=claim.mode,
            state=state,
            reason=reason,
            opened=opened.opened if opened else self._now,
            closed=self._now if state.is_final else None,
            kind=claim.kind,
        )
        if opened is None:
            await self._connection.execute(insert(incidents).values(values(incident)))
        else:
            await self._connection.execute(
                update(incidents).where(incidents.c.id == opened.id).values(values(incident))
            )
        if opened is None or opened.state is not state:
            await tell(self._connection, incident.id, state, reason, self._now)
        if opened is not None and opened.state is IncidentState.HELD and claim.hold_limit is not None:
            over = hold_notice(opened.opened, claim.hold_limit)
            await tell_once(self._connection, incident.id, IncidentState.HELD, over, self._now)
        return incident

    async def _start(self, incident: Incident) -> RunRecord:
        claim = self._claim
        run = RunRecord(
            id=new_id("run", self._now),
            incident=incident.id,
            service=claim.service,
            namespace=claim.namespace,
            rule=claim.rule,
            runbook=claim.runbook,
            catalog=claim.catalog,
            parameters=claim.parameters,
            epoch=self._epoch,
            state=IncidentState.RUNNING,
            reason=incident.reason,
            started=self._now,
            deadline=claim.deadline,
            kind=claim.kind,
        )
        await self._connection.execute(insert(runs).values(values(run)))
        held = [{"name": name, "run": run.id, "since": self._now} for name in dict.fromkeys(claim.locks)]
        if held:
            await self._connection.execute(insert(locks), held)
        if claim.slot is not None:
            await note_slot(self._connection, claim.service, claim.slot)
        return run

    async def _settle(self, which: ColumnElement[bool], judged: Verdict) -> None:
        await self._connection.execute(update(signals).where(which).values(verdict_values(judged, self._now)))
