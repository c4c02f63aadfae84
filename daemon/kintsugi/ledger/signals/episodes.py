"""
Decides which deliveries of one key belong to the same episode, independent of the order in which they arrive.

A delivery says either "fires since `began`" or "fired from `began` to `ended`". Each end is a cut through the key's
timeline; an episode is all beginnings that the same earliest cut closes, or that none closes yet. So any multiset and
any permutation of the same deliveries gives the same episodes (A1, A3, A16): a beginning that moves while nothing was
resolved stays one episode, a later beginning after an end is a new one, a late duplicate changes nothing.

Deliveries do not say whether "fires since `began`" after the end is a late duplicate, or whether the alert fires again with its
old `startsAt`. Only this depends on later deliveries: see `refired`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

Seen = tuple[tuple[datetime, tuple[datetime, ...]], ...]
"""Every beginning that was reported for an episode, ascending, each with the ends that were reported for it."""

REOPEN_AFTER = timedelta(minutes=1)
"""The least age of an end at which a poll's answer outweighs it; an answer is seconds old at most."""

TICK = timedelta(milliseconds=1)
"""The shortest episode: one of no length could not be distinguished from another that ends where it begins."""

MOST_BEGINNINGS = 64
"""Beginnings remembered of one episode: the first and the newest. Alertmanager moves one a few times in a lifetime."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Episode:
    """
    One stretch of firing; `ended` is None while it is open.

    `refired` is the time of a delivery that says of this ended episode that it fires; `continues` is the id of the
    ended episode that this one was opened for, because that fired again.
    """

    id: str
    began: datetime
    ended: datetime | None
    seen: Seen
    refired: datetime | None = None
    continues: str | None = None

    @property
    def horizon(self) -> datetime | None:
        """The latest end that was ever reported for it: cuts up to here still matter to late deliveries."""
        return max((end for _, ends in self.seen for end in ends), default=None)

    @property
    def is_plain(self) -> bool:
        """Return whether `began` and `ended` say everything that `seen` does."""
        return self.seen == ((self.began, (self.ended,) if self.ended else ()),)


def with_delivery(episodes: Sequence[Episode], began: datetime, ended: datetime | None, new: str) -> Sequence[Episode]:
    """
    Return the key's episodes after one more delivery; the very same sequence when it says nothing new.

    `new` is the id for an episode that the delivery makes; of several the later ones get it with a number. When one episode
    proves to be two, the earlier keeps its id.
    An end that is not after its beginning (two clocks) counts as just after it.
    """
    ended = None if ended is None else max(began + TICK, ended)
    if not episodes:
        return [Episode(id=new, began=began, ended=ended, seen=((began, () if ended is None else (ended,)),))]
    for episode in episodes:
        for beginning, ends in episode.seen:
            if beginning == began and (ended is None or ended in ends):
                return episodes
    seen = {beginning: ends for episode in episodes for beginning, ends in episode.seen}
    seen[began] = tuple(sorted({*seen.get(began, ()), *([] if ended is None else [ended])}))
    owners = {beginning: episode for episode in episodes for beginning, _ in episode.seen}
    return _regrouped(sorted(seen.items()), owners, new)


def reopened(episodes: Sequence[Episode], received: datetime, new: str) -> Sequence[Episode]:
    """
    Return the key's episodes after a poll found it firing although all are closed.

    Alertmanager resolves an alert that is not repeated, and lets it fire again with the old `startsAt`. Such a
    beginning looks like a late duplicate; only a later poll shows which it is. A recent end may be newer than the
    poll's answer, so nothing is opened within `REOPEN_AFTER` of one.
    """
    ends = [episode.ended for episode in episodes if episode.ended is not None]
    if len(ends) < len(episodes) or received <= max(ends, default=received) + REOPEN_AFTER:
        return episodes
    return [*episodes, Episode(id=new, began=received, ended=None, seen=((received, ()),))]


def refired(episodes: Sequence[Episode], began: datetime, received: datetime) -> Sequence[Episode]:
    """
    Return the key's episodes after a webhook that was received at `received` said "fires since `began`".

    Of an episode that has ended this is noted, and changes nothing else for now. It may be a late duplicate: then a
    resolved delivery follows (`over`), for each Alertmanager sends its own. Or the alert was taken up again with its
    old `startsAt`, as after minutes without Prometheus: then none follows, and it is opened again (`continued`). The
    first delivery counts, so that repeats do not put that off. While the key is open nothing is provisional.
    """
    if any(episode.ended is None for episode in episodes):
        return _without_refires(episodes)
    ended = holding(episodes, began)
    if ended.refired is not None and ended.refired <= received:
        return episodes
    return [replace(episode, refired=received) if episode is ended else episode for episode in episodes]


def over(episodes: Sequence[Episode], received: datetime) -> Sequence[Episode]:
    """
    Return the key's episodes after a resolved delivery that was received at `received`.

    A firing noted before it is over. So is an episode that was opened for such a firing, whatever end the delivery has:
    the firing was a late duplicate, unless Alertmanager has named a beginning of its own since.
    """
    left = [
        replace(episode, refired=None) if episode.refired is not None and episode.refired <= received else episode
        for episode in episodes
    ]
    episodes = episodes if left == list(episodes) else left
    for episode in episodes:
        if episode.ended is None and episode.continues and len(episode.seen) == 1 and episode.began <= received:
            return with_delivery(episodes, episode.began, received, episode.id)
    return episodes


def continued(episodes: Sequence[Episode], before: datetime, new: str) -> Sequence[Episode]:
    """
    Return the key's episodes with what fired again by `before` open again, as an episode with the id `new`.

    It begins where that was heard of, and never within an episode that has ended.
    """
    due = [episode for episode in episodes if episode.refired is not None and episode.refired <= before]
    if not due:
        return episodes
    left = _without_refires(episodes)
    if any(episode.ended is None for episode in left):
        return left
    first = min(due, key=lambda episode: episode.refired or before)
    began = max(moment for episode in (first, *episodes) for moment in (first.refired, episode.horizon) if moment)
    return [*left, Episode(id=new, began=began, ended=None, seen=((began, ()),), continues=first.id)]


def _without_refires(episodes: Sequence[Episode]) -> Sequence[Episode]:
    if all(episode.refired is None for episode in episodes):
        return episodes
    return [replace(episode, refired=None) for episode in episodes]


def holding(episodes: Iterable[Episode], began: datetime) -> Episode:
    """Return the episode that this beginning belongs to. It must have been delivered."""
    return next(episode for episode in episodes if any(beginning == began for beginning, _ in episode.seen))


def _regrouped(
    seen: Sequence[tuple[datetime, tuple[datetime, ...]]], owners: dict[datetime, Episode], new: str
) -> Sequence[Episode]:
    cuts = [(beginning, end) for beginning, ends in seen for end in ends]
    groups: dict[datetime | None, list[tuple[datetime, tuple[datetime, ...]]]] = {}
    for beginning, ends in seen:
        groups.setdefault(_closing(beginning, cuts), []).append((beginning, ends))
    taken: set[str] = set()
    episodes = []
    for ended, group in groups.items():
        owner = next((owners[beginning] for beginning, _ in group if beginning in owners), None)
        earlier = owner if owner is not None and owner.id not in taken else None
        further = sum(each == new or each.startswith(f"{new}.") for each in taken)
        made = Episode(id=f"{new}.{further}" if further else new, began=group[0][0], ended=ended, seen=_bounded(group))
        if earlier is not None:
            made = replace(made, id=earlier.id, refired=earlier.refired, continues=earlier.continues)
        taken.add(made.id)
        episodes.append(earlier if made == earlier and earlier is not None else made)
    return episodes


def _closing(beginning: datetime, cuts: Iterable[tuple[datetime, datetime]]) -> datetime | None:
    return min((end for cut, end in cuts if beginning <= cut or beginning < end), default=None)


def _bounded(group: list[tuple[datetime, tuple[datetime, ...]]]) -> Seen:
    return tuple(group) if len(group) <= MOST_BEGINNINGS else (group[0], *group[1 - MOST_BEGINNINGS :])
