"""Signals: accepted, evaluated, and read again until each has its verdict (P1, P9); and watched conditions that become signals."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    tuple_,
    union_all,
    update,
)

from kintsugi.errors import NotRecorded
from kintsugi.ledger.signals.dead_letters import (
    UnreadableSignal,
    close_without_run,
    masked_letters,
    put_aside,
    put_dead_letters,
)
from kintsugi.ledger.signals.deliveries import (
    DELIVERY_LOCK_ID,
    Accepted,
    DeliveryResult,
    Evaluate,
    large_texts,
    reopen_episodes,
    summed,
    write_deliveries,
)
from kintsugi.ledger.signals.group_committer import GroupCommitter
from kintsugi.ledger.store.engines import off_loop
from kintsugi.ledger.store.rows import (
    columns,
    read_leniently,
    read_one,
    signal,
    signal_columns,
    unreadable,
    verdict,
    verdict_values,
)
from kintsugi.ledger.store.tables import conditions, dead_letters, incidents
from kintsugi.ledger.store.tables import signals as inbox
from kintsugi.ledger.store.texts import clean
from kintsugi.ledger.store.transactions import Aggregate, Store, is_before
from kintsugi.model.api_types import DeadLetterSummary, EvaluatedSignal, SignalQuery
from kintsugi.model.records import (
    DeadLetter,
    HoldingSignals,
    Incident,
    IncidentState,
    PendingMatch,
    Reason,
    Signal,
    SignalSource,
    Trigger,
    Verdict,
    VerdictKind,
    alert_of,
)
from kintsugi.model.rules import RuleSource

_PAGE = 1_000
"""Open episodes that are read in one piece."""

_OF_NO_INCIDENT = (VerdictKind.REFUSED, VerdictKind.OBSERVED, VerdictKind.NO_RULE, VerdictKind.DEAD_LETTER)
"""Verdicts without an incident; the others hold no longer than their incident."""

_OF_OTHERS = (Reason.FOREIGN_TARGET, Reason.NO_TARGET, Reason.NO_NAMESPACE)
"""Reasons that say of a signal that it is not about the service of the rule that it matches."""

_EVALUATED = (
    inbox.c.id, inbox.c.received, inbox.c.rule, inbox.c.judged_rule, inbox.c.verdict, inbox.c.reason, inbox.c.text,
    inbox.c.until, inbox.c.incident,
)  # fmt: skip

_SETTLE = (
    update(inbox)
    .where(inbox.c.id == bindparam("which"), inbox.c.verdict.is_(None) | inbox.c.until.is_not(None))
    .values(
        {name: bindparam(f"new_{name}") for name in ("verdict", "reason", "text", "until", "judged", "judged_rule")}
    )
    .values(incident=func.coalesce(bindparam("new_incident", type_=inbox.c.incident.type), inbox.c.incident))
)

_RESTING = (Reason.HUMAN, Reason.FAILURES, Reason.REJECTED, Reason.COOLDOWN)
"""Reasons for which a service rests after a run."""

_BEGINS = (VerdictKind.STARTED, VerdictKind.HELD, VerdictKind.AWAITING_APPROVAL)
"""Verdicts of the signal that an incident began with; the others were attached."""

_PROVISIONAL = (inbox.c.until.is_not(None), inbox.c.ended.is_(None))
"""Signals that still fire and are judged again when their verdict ends; the words of an index (see tables.py)."""

_ORDER = (inbox.c.received, inbox.c.id)

_IDS = select(inbox.c.id).order_by(*_ORDER).limit(bindparam("most"))
_NEW = _IDS.where(inbox.c.verdict.is_(None)).subquery()
_AGAIN = _IDS.where(*_PROVISIONAL, inbox.c.until <= bindparam("now")).subquery()
_DUE = select(*signal_columns(inbox), inbox.c.incident).order_by(*_ORDER).limit(bindparam("most"))
# two questions, each with its index: one with OR would read the whole table
_DUE = _DUE.where(inbox.c.id.in_(union_all(select(_NEW.c.id), select(_AGAIN.c.id))))

_FIRST_PAGE = 8
_LARGEST_PAGE = 512
"""Keys that are read at a time: few at first, since one that is not silenced is mostly among them."""

_LASTING = tuple(kind for kind in RuleSource if kind is not RuleSource.EVENT)
"""The kinds that can end: Kubernetes Events are hints that never resolve (reliability B20)."""

_OTHERS = tuple(kind for kind in RuleSource if kind is not RuleSource.ALERT)

_NO_EVENT = inbox.c.kind != RuleSource.EVENT


_OF_INCIDENT = inbox.c.incident == bindparam("incident")


def _fires(kinds: Sequence[RuleSource]) -> ColumnElement[bool]:
    return exists().where(_OF_INCIDENT, inbox.c.ended.is_(None), inbox.c.kind.in_(kinds))


_LAST_ENDED = select(inbox.c.ended).where(_OF_INCIDENT, inbox.c.ended.is_not(None), _NO_EVENT)
_TRIGGER = select(
    _fires(_LASTING).label("firing"),
    _LAST_ENDED.order_by(inbox.c.ended.desc()).limit(1).scalar_subquery().label("ended"),
    _fires((RuleSource.ALERT,)).label("alerts"),
    _fires(_OTHERS).label("others"),
)


_CHUNK = 500

_SHOWN = tuple(dead_letters.c[name] for name in ("id", "source", "received", "reason", "excerpt"))


class DeliveryInbox(Protocol):
    """The port that makes signals durable. A caller that is cancelled does not take its signals back."""

    async def accept(self, delivered: Sequence[Signal], now: datetime) -> object: ...

    async def keep_dead_letters(self, letters: Sequence[DeadLetter]) -> None: ...


class SignalInbox(DeliveryInbox, Protocol):
    """A DeliveryInbox that also returns the open episodes."""

    async def firing(self, *sources: SignalSource) -> tuple[Signal, ...]: ...


class Signals(Aggregate):
    """The inbox, the verdicts, the watched conditions, and the dead letters."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.unreadable_rows = 0
        """Signals that this process has put aside because they could not be read."""

        self._committer = GroupCommitter(self._commit)

    async def accept(self, signals: Sequence[Signal], now: datetime, evaluate: Evaluate | None = None) -> Accepted:
        """
        Make deliveries durable; return only when they are (P1).

        Deliveries of one episode are one signal, in any number and order: see `episodes.py`. What was resolved before
        it was judged is settled at once as observed. While this process leads, `evaluate` gives new alerts that fire their
        verdict in the same transaction. Raises `LedgerUnavailable`: then none of them may count as taken.
        """
        return summed(await self._committer.accept(signals, now, evaluate)) if signals else Accepted()

    async def keep_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """
        Keep deliveries that could not be understood, each in place of one with the same id.

        The newest 1,000 stay, so that a flood of them cannot fill the disk.
        """
        if letters:
            kept = await masked_letters(letters)
            await self._store.write("keep-dead-letters", lambda connection: put_dead_letters(connection, kept))

    async def close(self) -> None:
        """Wait for the commit under way, and refuse the callers that wait for the next."""
        await self._committer.close()

    async def _commit(
        self, delivered: Sequence[Signal], now: datetime, evaluate: Evaluate | None
    ) -> list[DeliveryResult]:
        written = await large_texts(delivered)

        def work(connection: Connection) -> list[DeliveryResult]:
            leader = evaluate if evaluate is not None and self._store.leads(connection) else None
            self._store.take_advisory_lock(connection, DELIVERY_LOCK_ID)
            return write_deliveries(connection, delivered, now, written, leader)

        return await self._store.write("accept", work)

    async def due(self, now: datetime, limit: int = 500) -> tuple[Signal, ...]:
        """
        Return the signals to evaluate, oldest first.

        Those are the ones without a verdict, and those that still fire and whose provisional verdict ends by `now`. One
        that cannot be read is put aside as a dead letter, so that the others are judged and it is not met again.
        """
        rows = await self._rows(Signal, _DUE, {"now": now, "most": limit})
        due = [row for row in rows if unreadable(Signal, row) is None]
        if len(due) < len(rows) and self._store.epoch is not None:
            await self.quarantine(now)
        return tuple(map(signal, due))

    async def quarantine(self, now: datetime) -> None:
        """
        Put aside what cannot be read and nothing else would close; at the start, every hour, and where such a signal is due.

        A signal becomes a dead letter. An open incident without a run is handed to a person. A condition is deleted: it is
        found again where it holds. An unreadable run is closed when it is resumed. All other readers skip such a row, or read
        it as far as they can: see `rows`. Raises `StaleEpoch` when another daemon has taken the lead.
        """
        new, again = select(inbox.c.id).where(inbox.c.verdict.is_(None)), select(inbox.c.id).where(*_PROVISIONAL)
        waiting = select(*signal_columns(inbox), inbox.c.incident).where(inbox.c.id.in_(union_all(new, again)))
        opened = select(*columns(Incident, incidents)).where(incidents.c.closed.is_(None))
        found = await self._unreadable(Signal, waiting)
        lost = {row.id: str(error) for row, error in await self._unreadable(Incident, opened)}
        forgotten = [(row.rule, row.uid) for row, _ in await self._unreadable(PendingMatch, select(conditions))]
        letters = [await UnreadableSignal.of(row, now) for row, _ in found]

        def work(connection: Connection) -> None:
            put_aside(connection, letters, now)
            for incident, error in lost.items():
                close_without_run(connection, incident, error, now)
            for rule, uid in forgotten:
                connection.execute(delete(conditions).where(conditions.c.rule == rule, conditions.c.uid == uid))

        if letters or lost or forgotten:
            await self._store.write("quarantine", work, fenced=True)
            self.unreadable_rows += len(letters)

    async def due_at(self) -> datetime | None:
        """Return the time at which the next provisional verdict ends, None without one."""
        query = select(inbox.c.until).where(*_PROVISIONAL).order_by(inbox.c.until).limit(1)
        return next(iter(await self._scalars(query)), None)

    async def settle(self, verdicts: Mapping[str, Verdict], now: datetime) -> None:
        """
        Store the verdicts of signals, by id, in one transaction. A final verdict is never replaced.

        Raises `StaleEpoch` when another daemon has taken the lead.
        """
        rows = [
            {"which": signal_id, **{f"new_{name}": value for name, value in verdict_values(verdict, now).items()}}
            for signal_id, verdict in verdicts.items()
        ]

        def work(connection: Connection) -> None:
            connection.execute(_SETTLE, rows)

        if rows:
            await self._store.write("settle", work, fenced=True)

    async def rearm(self, now: datetime) -> int:
        """
        Make signals due again that still fire although their incident is closed; says how many.

        The guards (cooldown, consecutive failures) decide whether anything starts. What a person was asked to take over
        is theirs and stays as it is.
        """
        over = exists().where(
            incidents.c.id == inbox.c.incident,
            incidents.c.closed.is_not(None),
            incidents.c.state != IncidentState.NEEDS_OPERATOR,
        )
        # written so that the index of firing signals is used, and not that of verdicts, which has all signals
        settled = inbox.c.verdict.not_in(_OF_NO_INCIDENT) & inbox.c.until.is_(None)
        left = inbox.c.ended.is_(None) & settled & over
        which = select(inbox.c.id).where(left)
        again = update(inbox).where(inbox.c.id.in_(which)).values(until=now)
        return await self._execute("rearm", again, fenced=True) if await self._scalars(which.limit(1)) else 0

    async def evaluate_observed(self, now: datetime) -> int:
        """Make signals due again that still fire and were only observed: the mode may be another one now; says how many."""
        which = (inbox.c.ended.is_(None), inbox.c.verdict == VerdictKind.OBSERVED, inbox.c.reason == Reason.MODE)
        again = update(inbox).where(*which, inbox.c.until.is_(None)).values(until=now)
        return await self._execute("evaluate-observed", again, fenced=True)

    async def refusals(self, reason: Reason) -> tuple[tuple[str, datetime], ...]:
        """Return the rules whose signals were refused for a reason and are evaluated again, with the time of that."""
        which = select(inbox.c.judged_rule, func.max(inbox.c.until).label("until")).where(
            *_PROVISIONAL, inbox.c.reason == reason
        )
        rows = await self._select(which.group_by(inbox.c.judged_rule).order_by(inbox.c.judged_rule))
        return tuple((row.judged_rule, row.until) for row in rows)

    async def make_due(self, rules: Collection[str], reason: Reason, now: datetime, *, until: datetime) -> int:
        """Make signals due now that some rules refused for a reason that ends by a moment; return how many."""
        refused = (inbox.c.reason == reason) & inbox.c.judged_rule.in_(rules)
        which = select(inbox.c.id).where(*_PROVISIONAL, inbox.c.until > now, inbox.c.until <= until, refused)
        again = update(inbox).where(inbox.c.id.in_(which)).values(until=now)
        return await self._execute("make-due", again, fenced=True) if await self._scalars(which.limit(1)) else 0

    async def pending(self) -> int:
        """Count the signals without a verdict: received minus verdicts, zero when all is well (P9)."""
        return sum(await self._scalars(select(func.count()).select_from(inbox).where(inbox.c.verdict.is_(None))))

    async def of_incident(
        self, incident: str, *, limit: int = 500, skip: int = 0
    ) -> tuple[tuple[Signal, Verdict | None], ...]:
        """Return an incident's signals with their verdicts, oldest first: at most `limit`, after the first `skip`."""
        query = select(inbox).where(inbox.c.incident == incident).order_by(inbox.c.received, inbox.c.id)
        rows = await self._rows(Signal, query.limit(limit).offset(skip))
        return tuple((signal(row), verdict(row)) for row in rows)

    async def alert_that_began(self, incident: str) -> Signal | None:
        """Return the alert that an incident and its run began with, None where another signal or a person began it."""
        first = case((inbox.c.verdict.in_(_BEGINS), 0), else_=1)  # the signals that joined it may be older
        query = select(inbox).where(inbox.c.incident == incident).order_by(first, *_ORDER).limit(1)
        return next((alert_of(signal(row)) for row in await self._rows(Signal, query)), None)

    async def list_signals(self, request: SignalQuery) -> Sequence[EvaluatedSignal]:
        """
        Return a page of signals with their verdicts, newest first. An index answers each filter, and only the page is read.

        Raises `NotRecorded` when there is no signal `before`.
        """

        def work(connection: Connection) -> Sequence[EvaluatedSignal]:
            query = first_page_query(request)
            if request.before:
                place = connection.execute(select(*_ORDER).where(inbox.c.id == request.before)).one_or_none()
                if place is None:
                    raise NotRecorded(f"there is no signal {request.before}")
                query = query.where(is_before(_ORDER, place))
            found = connection.execute(query)
            return off_loop(connection, lambda: [_evaluated(row) for row in found])

        return await self._store.read(work)

    async def count_of(self, incident: str) -> int:
        """Count an incident's signals."""
        return sum(await self._scalars(select(func.count()).select_from(inbox).where(inbox.c.incident == incident)))

    async def holding(self, rules: Collection[str], *, since: datetime | None = None) -> dict[str, HoldingSignals]:
        """
        Return by rule the signals that hold now, of some rules; with `since` those that ended later than that and began within a day.

        Kubernetes Events do not count: they never end.
        """
        is_over = and_(inbox.c.ended >= since, inbox.c.received >= since - timedelta(days=1)) if since else None
        query = select(*_EVALUATED).where(
            inbox.c.ended.is_(None) if is_over is None else is_over,
            inbox.c.kind != RuleSource.EVENT,
            # not by name: there may be more names than a query has parameters
            or_(inbox.c.judged_rule != "", inbox.c.rule != ""),
        )
        found = [row for row in await self._select(query) if row.reason not in _OF_OTHERS] if rules else []
        holding: dict[str, HoldingSignals] = {}
        # sorted here: for an order SQLite would go through all signals, also those that have ended
        for row in sorted(found, key=lambda row: (row.received, row.id)):
            if (name := row.judged_rule or row.rule) in rules:
                known = holding.get(name, HoldingSignals(since=row.received))
                holding[name] = replace(known, verdict=verdict(row) or known.verdict)
        return holding

    async def firing_among(self, signals: Collection[str]) -> tuple[str, ...]:
        """Return the ids of those of some signals that hold now."""
        query = select(inbox.c.id).where(inbox.c.id.in_(sorted(signals)), inbox.c.ended.is_(None))
        return await self._scalars(query) if signals else ()

    async def add_to_verdict(self, signal: str, text: str) -> None:
        """
        Add a sentence to a signal's verdict, once, while the signal holds; what was decided stays.

        Raises `StaleEpoch`, `LedgerUnavailable`.
        """
        holds = (inbox.c.id == signal, inbox.c.ended.is_(None), inbox.c.verdict.is_not(None))
        added = update(inbox).where(*holds, ~inbox.c.text.endswith(clean(text), autoescape=True))
        await self._execute("add-to-verdict", added.values(text=inbox.c.text + clean(text)), fenced=True)

    async def firing(self, *sources: SignalSource) -> tuple[Signal, ...]:
        """Return the open episodes of these sources, oldest first; of all sources when none is named."""
        query = select(inbox.c.id).where(inbox.c.ended.is_(None))
        if sources:
            query = query.where(inbox.c.source.in_(sources))
        ids, found = await self._scalars(query), list[Signal]()
        for start in range(0, len(ids), _PAGE):  # in pieces, so that a storm of them does not stop everything else
            piece = select(*signal_columns(inbox)).where(inbox.c.id.in_(ids[start : start + _PAGE]))
            found += map(signal, await self._rows(Signal, piece))
        # sorted here: with ORDER BY, SQLite takes the index of that order, and reads all signals
        found.sort(key=lambda each: (each.received, each.id))
        return tuple(each for each in found if each.ended is None)

    async def trigger_of(self, incident: str) -> Trigger:
        """Return the summary of an incident's signals."""
        (row,) = await self._select(_TRIGGER, {"incident": incident})
        return Trigger(firing=bool(row.firing), ended=row.ended, alerts_only=bool(row.alerts) and not row.others)

    async def firing_keys(self, incident: str) -> AsyncIterator[str]:
        """Yield the keys of the incident's alerts that fire, some at a time: who has heard enough asks for no more."""
        query = select(inbox.c.id, inbox.c.key).where(inbox.c.incident == incident, inbox.c.ended.is_(None))
        query = query.where(inbox.c.kind == RuleSource.ALERT).order_by(inbox.c.id)
        after, size = "", _FIRST_PAGE
        while rows := await self._select(query.where(inbox.c.id > after).limit(size)):
            for row in rows:
                yield row.key
            if len(rows) < size:
                return
            after, size = rows[-1].id, min(size * 8, _LARGEST_PAGE)

    async def end_stale(self, before: datetime, now: datetime, limit: int = 1000) -> int:
        """
        End alerts that were not repeated since `before`, at most `limit`; return their number.

        For a ledger without a poll. They end as stale, which is not resolved: the verdict says so. The alerts of an
        open incident are not ended, so that no run takes a sender's silence for its success.
        """
        going = exists().where(incidents.c.id == inbox.c.incident, incidents.c.closed.is_(None))
        silent = select(inbox.c.id).where(
            inbox.c.ended.is_(None),
            inbox.c.last_seen < before,
            inbox.c.kind == RuleSource.ALERT,
            inbox.c.judged.is_not(None),  # not `verdict`: the index of verdicts holds all that ever was
            or_(inbox.c.incident.is_(None), ~going),
        )
        text = f" (ended as stale: not repeated since {before:%Y-%m-%d %H:%M} UTC or earlier)"
        ended = {"ended": now, "horizon": now, "stale": now, "until": None, "text": inbox.c.text + text}

        found = await self._scalars(silent.limit(limit))
        still = update(inbox).where(inbox.c.id.in_(found), inbox.c.ended.is_(None), inbox.c.last_seen < before)
        return await self._execute("end-stale", still.values(ended), fenced=True) if found else 0

    async def reopen(self, now: datetime, after: timedelta, limit: int = 500) -> int:
        """
        Reopen episodes that fired again `after` ago or longer and have not resolved since; return the number of signals.

        At most `limit` are checked, the longest waiting first. Raises `StaleEpoch` when another daemon has taken the lead.
        """
        due = select(inbox.c.key, inbox.c.refired).where(inbox.c.refired <= now - after)
        due = due.order_by(inbox.c.refired).limit(limit)

        def work(connection: Connection) -> int:
            self._store.take_advisory_lock(connection, DELIVERY_LOCK_ID)
            waited = {row.key: row.refired for row in reversed(connection.execute(due).all())}
            return reopen_episodes(connection, waited, now, after)

        return await self._store.write("reopen", work, fenced=True) if await self._select(due.limit(1)) else 0

    async def conditions(self) -> tuple[PendingMatch, ...]:
        """Return all conditions that held when last seen, oldest first."""
        query = select(*columns(PendingMatch, conditions)).order_by(
            conditions.c.since, conditions.c.rule, conditions.c.uid
        )

        return await self._whole(PendingMatch, query)

    async def save_conditions(self, began: Sequence[PendingMatch], ended: Sequence[tuple[str, str]]) -> None:
        """
        Keep the conditions of `began`, instead of what was kept of them, and forget those of `ended`: (rule, uid).

        Raises `StaleEpoch` when another daemon has taken the lead.
        """
        kept = {(condition.rule, condition.target.uid): condition for condition in began}
        rows = [
            {"rule": rule, "uid": uid, "target": each.target, "since": each.since, "signalled": each.signalled}
            for (rule, uid), each in kept.items()
        ]
        forgotten = [*ended, *kept]
        key = tuple_(conditions.c.rule, conditions.c.uid)

        def work(connection: Connection) -> None:
            for start in range(0, len(forgotten), _CHUNK):
                connection.execute(delete(conditions).where(key.in_(forgotten[start : start + _CHUNK])))
            if rows:
                connection.execute(insert(conditions), rows)

        if forgotten:
            await self._store.write("save-conditions", work, fenced=True)

    async def dead_letters(self, *, limit: int, before: str = "") -> Sequence[DeadLetterSummary]:
        """
        Return the newest dead letters without their payloads, newest first, of those before the one with the id `before`.

        Raises `NotRecorded` when there is no such letter.
        """
        order = (dead_letters.c.received, dead_letters.c.id)
        query = select(*_SHOWN, dead_letters.c.payload.is_not(None).label("resendable"))
        query = query.order_by(*(column.desc() for column in order)).limit(limit)

        def work(connection: Connection) -> Sequence[DeadLetterSummary]:
            page = query
            if before:
                place = connection.execute(select(*order).where(dead_letters.c.id == before)).one_or_none()
                if place is None:
                    raise _not_there(before)
                page = query.where(is_before(order, place))
            return [read_leniently(DeadLetterSummary, row) for row in connection.execute(page)]

        return await self._store.read(work)

    async def dead_letter(self, letter: str) -> DeadLetter:
        """Return a dead letter with its payload. Raises `NotRecorded` when there is no such letter."""
        query = select(*columns(DeadLetter, dead_letters)).where(dead_letters.c.id == letter)

        def work(connection: Connection) -> DeadLetter:
            found = read_one(connection, DeadLetter, query)
            if found is None:
                raise _not_there(letter)
            return found

        return await self._store.read(work)

    async def forget_dead_letter(self, letter: str) -> None:
        """Delete a dead letter that has been understood after all; one that is gone already is no error."""
        await self._execute("forget-dead-letter", delete(dead_letters).where(dead_letters.c.id == letter))


def evaluate_anew(connection: Connection, incident: str, rules: Collection[str], now: datetime) -> None:
    """Make signals due that some rules refused while their service rested, and those of the incident that still fire."""
    refused = (*_PROVISIONAL, inbox.c.until > now, inbox.c.reason.in_(_RESTING), inbox.c.judged_rule.in_(rules))
    settled = inbox.c.verdict.not_in(_OF_NO_INCIDENT) & inbox.c.until.is_(None)
    theirs = (inbox.c.incident == incident, inbox.c.ended.is_(None), settled)
    for which in (refused, theirs):
        connection.execute(update(inbox).where(*which).values(until=now))


def _evaluated(row: Row[Any]) -> EvaluatedSignal:
    return EvaluatedSignal(signal=signal(row), verdict=verdict(row), refired=row.refired, continues=row.continues or "")


def first_page_query(request: SignalQuery) -> Select[tuple[object, ...]]:
    """Build the query for the first page of a request."""
    query = select(inbox).order_by(*(column.desc() for column in _ORDER)).limit(request.limit)
    if request.verdict is not None:
        query = query.where(inbox.c.verdict == request.verdict)
    if request.reason is not None:
        query = query.where(inbox.c.reason == request.reason)
    return query


def _not_there(letter: str) -> NotRecorded:
    return NotRecorded(f"there is no dead letter {letter}: `kintsugi dead-letters` lists the newest 1,000")
