"""
Write deliveries of signals, many in one transaction and with few statements.

One SELECT finds the episodes of all keys, then at most one UPDATE for repeats, one for changed episodes, one that
settles what ended unjudged, and one INSERT of many rows. That is what makes 20,000 alerts a second durable.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.ledger import episodes
from kintsugi.ledger.episodes import Episode
from kintsugi.ledger.rows import verdict_values
from kintsugi.ledger.tables import signals
from kintsugi.ledger.texts import clean_key
from kintsugi.model.records import Reason, Signal, SignalSource, SignalStatus, Verdict, VerdictKind

_CHUNK = 1000
_PADDED = (1, 8, 64, 256, _CHUNK)
"""Sizes that lists of parameters are padded to, so that the database prepares a handful of statements, not hundreds."""

_ENDED = Verdict(kind=VerdictKind.OBSERVED, reason=Reason.RESOLVED, text="It ended before it was judged.")

_KNOWN = select(signals.c.id, signals.c.key, signals.c.began, signals.c.ended, signals.c.seen).where(
    signals.c.key.in_(bindparam("keys", expanding=True)),
    signals.c.ended.is_(None) | (signals.c.horizon >= bindparam("oldest")),
)
_REPEAT = update(signals).where(signals.c.id.in_(bindparam("ids", expanding=True))).values(last_seen=bindparam("now"))
_CHANGE = (
    update(signals)
    .where(signals.c.id == bindparam("which"))
    .values({name: bindparam(f"new_{name}") for name in ("began", "ended", "horizon", "seen", "last_seen")})
)
_SETTLE = update(signals).where(signals.c.id.in_(bindparam("ids", expanding=True)), signals.c.verdict.is_(None))
_INSERT = insert(signals)
_UNJUDGED = dict.fromkeys(("verdict", "reason", "text", "until", "judged", "judged_rule", "incident"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """
    What became of a batch: episodes opened, deliveries that told nothing of weight, episodes closed.

    The three add up to the deliveries. `ids` are the ids of the ledger's signals, in the order of the deliveries.
    """

    new: int = 0
    repeated: int = 0
    resolved: int = 0
    ids: tuple[str, ...] = ()


class Outcome(Enum):
    """What one delivery told."""

    NEW = "new"
    REPEATED = "repeated"
    RESOLVED = "resolved"


Told = tuple[Outcome, str]
"""A delivery's outcome and the id of the ledger's signal."""


def summed(told: Sequence[Told]) -> Accepted:
    """Count the outcomes of one caller's deliveries."""
    outcomes = [outcome for outcome, _ in told]
    return Accepted(
        new=outcomes.count(Outcome.NEW),
        repeated=outcomes.count(Outcome.REPEATED),
        resolved=outcomes.count(Outcome.RESOLVED),
        ids=tuple(name for _, name in told),
    )


async def write_deliveries(connection: AsyncConnection, deliveries: Sequence[Signal], now: datetime) -> list[Told]:
    """Tell the ledger all deliveries, in order, and give each one's outcome."""
    deliveries = [replace(delivery, key=clean_key(delivery.key)) for delivery in deliveries]
    book = _Book(await _known(connection, deliveries))
    told = [book.tell(delivery) for delivery in deliveries]
    await _write(connection, book, now)
    return told


class _Book:
    """The episodes of some keys, before and after a batch of deliveries."""

    def __init__(self, known: Mapping[str, Sequence[Episode]]) -> None:
        self.before = {episode.id: episode for timeline in known.values() for episode in timeline}
        self.timelines = dict(known)
        self.told: set[str] = set()
        self.makers: dict[str, Signal] = {}

    def tell(self, delivery: Signal) -> Told:
        """Add one delivery."""
        before = self.timelines.get(delivery.key, ())
        ended = None
        if delivery.status is SignalStatus.RESOLVED:
            ended = delivery.ended or delivery.received
        after = episodes.told(before, delivery.began, ended, delivery.id)
        episode = episodes.holding(after, delivery.began)
        if ended is None and episode.ended is not None and delivery.source is SignalSource.POLL:
            after = episodes.reopened(after, delivery.received, delivery.id)
            episode = after[-1]
        self._note(delivery, after)
        self.told.add(episode.id)
        return _outcome(before, after, episode), episode.id

    def _note(self, delivery: Signal, after: Sequence[Episode]) -> None:
        self.timelines[delivery.key] = after
        if any(episode.id == delivery.id for episode in after):
            self.makers.setdefault(delivery.id, delivery)

    @property
    def after(self) -> Iterable[Episode]:
        return (episode for timeline in self.timelines.values() for episode in timeline)


def _outcome(before: Sequence[Episode], after: Sequence[Episode], episode: Episode) -> Outcome:
    earlier = next((known for known in before if known.id == episode.id), None)
    if earlier is None:
        return Outcome.NEW if episode.ended is None else Outcome.RESOLVED
    if earlier.ended is None and episode.ended is not None:
        return Outcome.RESOLVED
    opened = {known.id for known in after if known.ended is None} - {known.id for known in before}
    return Outcome.NEW if opened else Outcome.REPEATED


async def _known(connection: AsyncConnection, deliveries: Sequence[Signal]) -> dict[str, list[Episode]]:
    known: dict[str, list[Episode]] = {}
    keys = list({delivery.key for delivery in deliveries})
    oldest = min(delivery.began for delivery in deliveries)
    for chunk in _chunks(keys):
        for row in await connection.execute(_KNOWN, {"keys": chunk, "oldest": oldest}):
            known.setdefault(row.key, []).append(_episode(row))
    for timeline in known.values():
        timeline.sort(key=lambda episode: episode.began)
    return known


async def _write(connection: AsyncConnection, book: _Book, now: datetime) -> None:
    changed = [episode for episode in book.after if book.before.get(episode.id, episode) != episode]
    created = [episode for episode in book.after if episode.id not in book.before]
    repeated = book.told & book.before.keys() - {episode.id for episode in changed}
    ended = [episode.id for episode in changed if episode.ended and not book.before[episode.id].ended]
    for chunk in _chunks(sorted(repeated)):
        await connection.execute(_REPEAT, {"ids": chunk, "now": now})
    if changed:  # before the inserts: a key has one open episode at most
        await connection.execute(_CHANGE, [_change(episode, now) for episode in changed])
    for chunk in _chunks(ended):
        await connection.execute(_SETTLE.values(verdict_values(_ENDED, now)), {"ids": chunk})
    if created:
        await connection.execute(_INSERT, [_row(episode, book.makers[episode.id], now) for episode in created])


def _episode(row: Any) -> Episode:
    if row.seen is None:
        return Episode(
            id=row.id, began=row.began, ended=row.ended, seen=((row.began, (row.ended,) if row.ended else ()),)
        )
    seen = tuple((beginning, tuple(ends)) for beginning, ends in row.seen)
    return Episode(id=row.id, began=row.began, ended=row.ended, seen=seen)


def _change(episode: Episode, now: datetime) -> dict[str, object]:
    return {
        "which": episode.id,
        "new_began": episode.began,
        "new_ended": episode.ended,
        "new_horizon": episode.horizon,
        "new_seen": None if episode.is_plain else episode.seen,
        "new_last_seen": now,
    }


def _row(episode: Episode, maker: Signal, now: datetime) -> dict[str, object]:
    settled = verdict_values(_ENDED, now) if episode.ended else _UNJUDGED
    return {
        "id": episode.id,
        "source": maker.source,
        "kind": maker.kind,
        "key": maker.key,
        "rule": maker.rule,
        "labels": maker.labels,
        "annotations": maker.annotations,
        "target": maker.target,
        "began": episode.began,
        "ended": episode.ended,
        "horizon": episode.horizon,
        "seen": None if episode.is_plain else episode.seen,
        "received": maker.received,
        "last_seen": now,
        **settled,
    }


def _chunks(items: Sequence[str]) -> Iterable[Sequence[str]]:
    for start in range(0, len(items), _CHUNK):
        chunk = items[start : start + _CHUNK]
        size = next(size for size in _PADDED if size >= len(chunk))
        yield [*chunk, *[chunk[-1]] * (size - len(chunk))]
