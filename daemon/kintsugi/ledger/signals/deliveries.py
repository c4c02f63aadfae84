"""
Writes deliveries of signals, many in one transaction and with few statements; reopens episodes that fired after their end.

One SELECT finds the episodes of all keys, then at most one UPDATE for repeats, one for changed episodes, one that
settles what ended unjudged, and two INSERTs of many rows: what is new, without and with its verdict. That is what makes
20,000 alerts a second durable.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple

from msgspec import ValidationError, convert
from sqlalchemy import (
    BindParameter,
    Connection,
    Dialect,
    Insert,
    Update,
    bindparam,
    func,
    insert,
    literal,
    select,
    update,
)

from kintsugi.ledger.signals import episodes
from kintsugi.ledger.signals.episodes import Episode, Seen
from kintsugi.ledger.store.engines import off_loop
from kintsugi.ledger.store.rows import UNKNOWN_TIME, moment
from kintsugi.ledger.store.tables import signals
from kintsugi.ledger.store.texts import clean, clean_key, dump, dump_labels_and_annotations
from kintsugi.model.identity import new_id
from kintsugi.model.records import Reason, Signal, SignalSource, SignalStatus, Verdict, VerdictKind
from kintsugi.offload import searched

MOST_TOGETHER = 1000
"""Signals that are handed over in one piece: a storm must fit into what a database lets one transaction take."""

MOST_TEXT = 1 << 20
"""Characters of their labels and annotations: to mask so much of the worst text takes a second and a half."""

DELIVERY_LOCK_ID = 0x6B696E01
"""Writing deliveries takes turns across replicas, so that two of them never open the same episode twice."""

LONG_TEXT = 2 * 1024
"""Characters of labels and annotations that are masked before the transaction, which others wait for and the database ends."""

_CHUNK = 1000
_PADDED = (1, 8, 32, 100, 300, _CHUNK)
"""Sizes that lists of parameters are padded to, so that the database prepares a handful of statements, not hundreds."""

_ENDED = Verdict(kind=VerdictKind.OBSERVED, reason=Reason.RESOLVED, text="The signal ended before its evaluation.")


class _Bulk:
    """
    A statement for many rows, compiled once for each database. Rows are tuples in the order of `names`.

    The values come in the database's own form: SQLAlchemy's conversion of each is most of the cost of a batch of alerts
    (measured: 3 of 5 ms a hundred).
    """

    def __init__(self, statement: Insert | Update, names: Sequence[str]) -> None:
        self._statement = statement
        self._names = tuple(names)
        self._compiled = lru_cache(maxsize=4)(self._compile)

    def run(self, connection: Connection, rows: Sequence[tuple[object, ...]]) -> None:
        """Execute the statement for every row, in one call to the driver."""
        sql, order = self._compiled(connection.dialect)
        if order is not None:
            rows = [tuple(row[place] for place in order) for row in rows]
        connection.exec_driver_sql(sql, rows)

    def _compile(self, dialect: Dialect) -> tuple[str, tuple[int, ...] | None]:
        compiled = self._statement.compile(dialect=dialect, column_keys=self._names)
        wanted = compiled.positiontup or []
        order = tuple(self._names.index(name) for name in wanted)
        return str(compiled), None if order == tuple(range(len(self._names))) else order


def _given(name: str) -> BindParameter[object]:
    return bindparam(f"new_{name}", type_=signals.c[name].type)


_KNOWN_OF_ALL = select(
    *(signals.c[name] for name in ("id", "key", "began", "ended", "seen", "refired", "continues")),
).where(
    signals.c.ended.is_(None) | (signals.c.horizon >= bindparam("oldest")) | signals.c.refired.is_not(None),
)
_KNOWN = _KNOWN_OF_ALL.where(signals.c.key.in_(bindparam("keys", expanding=True)))
# a list of any length is written out anew for each call, at a tenth of the cost of an alert
_KNOWN_OF_ONE = _KNOWN_OF_ALL.where(signals.c.key == bindparam("key"))
_REPEAT = update(signals).where(signals.c.id.in_(bindparam("ids", expanding=True))).values(last_seen=bindparam("now"))
_CHANGED = ("began", "ended", "horizon", "seen", "refired", "last_seen")
_VERDICT = ("verdict", "reason", "text", "judged")
_CHANGE = (
    update(signals)
    .where(signals.c.id == bindparam("which"))
    .values({name: bindparam(f"new_{name}") for name in _CHANGED})
)
_UPDATE = _Bulk(_CHANGE, [*(f"new_{name}" for name in _CHANGED), "which"])
_UPDATE_ENDED = _Bulk(  # what ends unjudged is settled with it
    _CHANGE.values({name: func.coalesce(signals.c[name], _given(name)) for name in _VERDICT}),
    [*(f"new_{name}" for name in _CHANGED), "which", *(f"new_{name}" for name in _VERDICT)],
)
_ROW = (
    "id", "source", "kind", "key", "rule", "labels", "annotations", "target", "began", "ended", "horizon", "seen",
    "refired", "received", "last_seen",
)  # fmt: skip
_INSERT = _Bulk(insert(signals), _ROW)
_INSERT_SETTLED = _Bulk(insert(signals), [*_ROW, *_VERDICT])

_SAME = ("kind", "key", "rule", "labels", "annotations", "target")
"""The columns that a signal takes from the one that it continues: the database copies also unreadable ones."""

_FORGET = update(signals).where(signals.c.id.in_(bindparam("ids", expanding=True))).values(refired=None)


def in_pieces(signals: Sequence[Signal]) -> Iterator[Sequence[Signal]]:
    """Yield the signals in their order, in pieces that are committed one after the other."""
    piece: list[Signal] = []
    text = 0
    for signal in signals:
        size = text_length(signal)
        if piece and (len(piece) >= MOST_TOGETHER or text + size > MOST_TEXT):
            yield piece
            piece, text = [], 0
        piece.append(signal)
        text += size
    if piece:
        yield piece


def text_length(signal: Signal) -> int:
    """Return how many characters the labels and annotations of a signal have."""
    labels, annotations = signal.labels, signal.annotations
    return len("".join((*labels, *labels.values(), *annotations, *annotations.values())))


Evaluate = Callable[[Signal], Verdict | None]
"""
Returns the verdict on an alert where it follows from the alert alone, is final and names no rule; None for all others.

It is called inside the transaction, maybe in a thread.
"""


class Opened(NamedTuple):
    """A new alert that fires, as it is stored and read, and the verdict that is stored with it."""

    signal: Signal
    verdict: Verdict | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """
    The result of a batch: episodes opened, deliveries that changed nothing, episodes closed.

    The three add up to the deliveries. `ids` are the ids of the ledger's signals, in the order of the deliveries. `opened`
    are those of the new alerts that were evaluated here.
    """

    new: int = 0
    repeated: int = 0
    resolved: int = 0
    ids: tuple[str, ...] = ()
    opened: tuple[Opened, ...] = ()


class DeliveryOutcome(Enum):
    """The outcome of one delivery."""

    NEW = "new"
    REPEATED = "repeated"
    RESOLVED = "resolved"


class DeliveryResult(NamedTuple):
    """A delivery's outcome, the id of the ledger's signal, and that signal where it was evaluated here."""

    outcome: DeliveryOutcome
    id: str
    opened: Opened | None = None


def summed(results: Sequence[DeliveryResult]) -> Accepted:
    """Count the outcomes of one caller's deliveries."""
    outcomes = [each.outcome for each in results]
    return Accepted(
        new=outcomes.count(DeliveryOutcome.NEW),
        repeated=outcomes.count(DeliveryOutcome.REPEATED),
        resolved=outcomes.count(DeliveryOutcome.RESOLVED),
        ids=tuple(each.id for each in results),
        opened=tuple(each.opened for each in results if each.opened is not None),
    )


LabelTexts = Mapping[str, tuple[str, str, bool]]
"""The labels and annotations of signals, by their ids, as they are stored; and whether they are read back the same."""


async def large_texts(deliveries: Sequence[Signal]) -> LabelTexts:
    """Mask and write out the labels and annotations of the signals that have long ones."""
    large = [each for each in deliveries if text_length(each) > LONG_TEXT]
    if not large:
        return {}
    return await searched(sum(map(text_length, large)), lambda: {each.id: _texts(each) for each in large})


def _texts(signal: Signal) -> tuple[str, str, bool]:
    return dump_labels_and_annotations(signal.labels, signal.annotations)


def write_deliveries(
    connection: Connection,
    deliveries: Sequence[Signal],
    now: datetime,
    written: LabelTexts | None = None,
    evaluate: Evaluate | None = None,
) -> list[DeliveryResult]:
    """
    Write the deliveries in order, and return the outcome of each; `written` are texts of them that are made already.

    `evaluate` is called with each new alert that fires, except those of `written`, and those that are stored otherwise than they
    were delivered.
    """
    deliveries = [_keyed(delivery) for delivery in deliveries]
    keys, oldest = list({delivery.key for delivery in deliveries}), min(each.began for each in deliveries)
    batch = _EpisodeBatch(known_episodes(connection, keys, oldest))
    results = [batch.add(delivery) for delivery in deliveries]
    opened = _write(connection, batch, now, written or {}, evaluate)
    return [DeliveryResult(each.outcome, each.id, opened.pop(each.id, None)) for each in results] if opened else results


class _EpisodeBatch:
    """The episodes of some keys, before and after a batch of deliveries."""

    def __init__(self, known: Mapping[str, Sequence[Episode]]) -> None:
        self.before = {episode.id: episode for timeline in known.values() for episode in timeline}
        self.timelines = dict(known)
        self.delivered: set[str] = set()
        self.opened_by: dict[str, Signal] = {}

    def add(self, delivery: Signal) -> DeliveryResult:
        """Add one delivery."""
        before = self.timelines.get(delivery.key, ())
        if delivery.status is SignalStatus.RESOLVED:
            after = episodes.with_delivery(before, delivery.began, delivery.ended or delivery.received, delivery.id)
            after = episodes.over(after, delivery.received)
        else:
            after = _with_firing(episodes.with_delivery(before, delivery.began, None, delivery.id), delivery)
        episode = episodes.holding(after, delivery.began)
        if delivery.status is SignalStatus.FIRING and episode.ended is not None and _goes_on(after, delivery):
            episode = after[-1]
        self._note(delivery, after)
        self.delivered.add(episode.id)
        return DeliveryResult(_outcome(before, after, episode), episode.id)

    def _note(self, delivery: Signal, after: Sequence[Episode]) -> None:
        self.timelines[delivery.key] = after
        for episode in after:
            if episode.id not in self.before:
                self.opened_by.setdefault(episode.id, delivery)

    @property
    def after(self) -> Iterable[Episode]:
        return (episode for timeline in self.timelines.values() for episode in timeline)


def _with_firing(known: Sequence[Episode], delivery: Signal) -> Sequence[Episode]:
    """Return the episodes after a firing delivery, which may say that an ended one goes on."""
    if delivery.source is SignalSource.POLL and episodes.holding(known, delivery.began).ended is not None:
        known = episodes.reopened(known, delivery.received, delivery.id)
    if delivery.source is SignalSource.ALERTMANAGER or known[-1].ended is None:
        known = episodes.refired(known, delivery.began, delivery.received)
    return known


def _goes_on(after: Sequence[Episode], delivery: Signal) -> bool:
    """Return whether a firing delivery of an ended episode is about the last one of its key."""
    return delivery.source is SignalSource.POLL or (after[-1].ended is None and after[-1].continues is not None)


def _outcome(before: Sequence[Episode], after: Sequence[Episode], episode: Episode) -> DeliveryOutcome:
    earlier = next((known for known in before if known.id == episode.id), None)
    if earlier is None:
        return DeliveryOutcome.NEW if episode.ended is None else DeliveryOutcome.RESOLVED
    was_open, is_open = _open(before), _open(after)
    if was_open - is_open:
        return DeliveryOutcome.RESOLVED
    return DeliveryOutcome.NEW if is_open - {known.id for known in before} else DeliveryOutcome.REPEATED


def _open(timeline: Sequence[Episode]) -> set[str]:
    return {episode.id for episode in timeline if episode.ended is None}


def known_episodes(connection: Connection, keys: Sequence[str], oldest: datetime) -> dict[str, list[Episode]]:
    """Return by key the episodes that are open, that have fired again, or that may hold a beginning since `oldest`."""
    known: dict[str, list[Episode]] = {}
    for chunk in _chunks(keys):
        query = _KNOWN_OF_ONE if len(chunk) == 1 else _KNOWN
        for row in connection.execute(query, {"key": chunk[0], "keys": chunk, "oldest": oldest}):
            known.setdefault(row.key, []).append(_episode(row))
    for timeline in known.values():
        timeline.sort(key=lambda episode: episode.began)
    return known


def _write(
    connection: Connection, batch: _EpisodeBatch, now: datetime, written: LabelTexts, evaluate: Evaluate | None
) -> dict[str, Opened]:
    moment = _moments(connection.dialect)
    changed = [episode for episode in batch.after if batch.before.get(episode.id, episode) != episode]
    created = [episode for episode in batch.after if episode.id not in batch.before]
    repeated = batch.delivered & batch.before.keys() - {episode.id for episode in changed}
    for chunk in _chunks(sorted(repeated)):
        connection.execute(_REPEAT, {"ids": chunk, "now": now})
    at = moment(now)
    updates = [(episode.ended, (*_state(episode, moment), at, episode.id)) for episode in changed]
    made = [(episode, batch.opened_by[episode.id]) for episode in created]
    opened: dict[str, Opened] = {}

    def inserted(episode: Episode, maker: Signal) -> tuple[Verdict | None, tuple[object, ...]]:
        labels, annotations, same = written.get(maker.id) or _texts(maker)
        settled = _ENDED if episode.ended else None
        if evaluate is not None and same and settled is None and not maker.rule and maker.id not in written:
            settled = _noted(episode, maker, evaluate, opened)
        return settled, _row(episode, maker, (labels, annotations), at, moment)

    inserts = off_loop(
        connection,
        lambda: [inserted(episode, maker) for episode, maker in made],
        size=sum(text_length(maker) for _, maker in made if maker.id not in written),
    )
    for statement, rows in (  # updates first: a key has one open episode at most
        (_UPDATE_ENDED, [(*row, *_verdict(_ENDED, at)) for ended, row in updates if ended]),
        (_UPDATE, [row for ended, row in updates if not ended]),
        (_INSERT_SETTLED, [(*row, *_verdict(settled, at)) for settled, row in inserts if settled]),
        (_INSERT, [row for settled, row in inserts if not settled]),
    ):
        if rows:
            statement.run(connection, rows)
    return opened


def _noted(episode: Episode, maker: Signal, evaluate: Evaluate, opened: dict[str, Opened]) -> Verdict | None:
    """Return the verdict on an open episode that a firing delivery has made, and note it; None where there is none."""
    if maker.status is not SignalStatus.FIRING:
        return None
    is_same = episode.id == maker.id and episode.began == maker.began
    signal = maker if is_same else replace(maker, id=episode.id, began=episode.began)
    opened[episode.id] = Opened(signal, evaluate(signal))
    return opened[episode.id].verdict


def _verdict(verdict: Verdict, judged: object) -> tuple[object, ...]:
    """Return the values of the columns of `_VERDICT`."""
    return verdict.kind.value, verdict.reason.value, verdict.text, judged


def _keyed(delivery: Signal) -> Signal:
    key = clean_key(delivery.key)
    return delivery if key == delivery.key else replace(delivery, key=key)


def _episode(row: Any) -> Episode:
    began, ended = moment(row.began) or UNKNOWN_TIME, moment(row.ended)
    plain: Seen = ((began, (ended,) if ended else ()),)
    try:
        seen = plain if row.seen is None else convert(row.seen, Seen)
    except ValidationError:  # it cannot be read: what else was told of the episode is lost, and the episode is not
        seen = plain
    return Episode(
        id=row.id, began=began, ended=ended, seen=seen or plain, refired=moment(row.refired), continues=row.continues
    )


def _state(episode: Episode, moment: Callable[[datetime | None], object]) -> tuple[object, ...]:
    """Return the values of a row that change, in the order of `_CHANGED` without `last_seen`."""
    seen = None if episode.is_plain else dump(episode.seen)
    times = moment(episode.began), moment(episode.ended), moment(episode.horizon)
    return (*times, seen, moment(episode.refired))


def _row(
    episode: Episode,
    maker: Signal,
    texts: tuple[str, str],
    last_seen: object,
    moment: Callable[[datetime | None], object],
) -> tuple[object, ...]:
    return (
        clean(episode.id),
        maker.source.value,
        maker.kind.value,
        maker.key,
        clean(maker.rule),
        *texts,
        None if maker.target is None else dump(maker.target),
        *_state(episode, moment),
        moment(maker.received),
        last_seen,
    )


def _chunks(items: Sequence[str]) -> Iterable[Sequence[str]]:
    for start in range(0, len(items), _CHUNK):
        chunk = items[start : start + _CHUNK]
        size = next(size for size in _PADDED if size >= len(chunk))
        yield [*chunk, *[chunk[-1]] * (size - len(chunk))]


def _moments(dialect: Dialect) -> Callable[[datetime | None], object]:
    """Return the function that converts a time into the form of `columns.Moment`."""
    return _as_it_is if dialect.name == "postgresql" else _as_text


def _as_it_is(moment: datetime | None) -> object:
    return moment


@lru_cache(maxsize=1024)  # the alerts of one batch share most of their times
def _as_text(moment: datetime | None) -> object:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="microseconds")


def reopen_episodes(connection: Connection, waited: Mapping[str, datetime], now: datetime, after: timedelta) -> int:
    """
    Make signals of episodes that fired again with the beginning that they had; return how many.

    Such a firing is noted with its delivery (`waited`: when, by key), and the note is cleared when the alert resolves after
    all. A note that has waited long enough becomes a signal of its own, which is evaluated like any other.
    """
    if not waited:
        return 0
    known = known_episodes(connection, list(waited), min(waited.values())).values()
    timelines = [(each, episodes.continued(each, now - after, new_id("sig", now))) for each in known]
    noted = [each.id for before, then in timelines if then is not before for each in before if each.refired]
    connection.execute(_FORGET, {"ids": noted})
    opened = [then[-1] for before, then in timelines if len(then) > len(before)]
    for episode in opened:
        connection.execute(_copy(episode, now))
    return len(opened)


def _copy(episode: Episode, now: datetime) -> Insert:
    """Insert the signal of an episode that continues another: from a webhook, opened now, not evaluated yet."""
    own = {
        "id": episode.id,
        "source": SignalSource.ALERTMANAGER,
        "continues": episode.continues,
        "began": episode.began,
        "received": now,
        "last_seen": now,
    }
    values = [literal(value, type_=signals.c[name].type) for name, value in own.items()]
    ended = select(*(signals.c[name] for name in _SAME), *values).where(signals.c.id == episode.continues)
    return insert(signals).from_select([*_SAME, *own], ended)
