"""
The outbox's worker: sends due notices to each route that they take, and retries until each of them has them.

The ledger writes a notice together with the change that it reports, so that no notice is lost and no run ever waits for
one (E24). A receiver may get a notice twice, with the same id.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kintsugi.decisions.notice_routes import BETWEEN_SUMMARIES, Sending, calls_a_person, routes_of, sending
from kintsugi.durations import format_seconds
from kintsugi.errors import LedgerError, NotRecorded, ProbeFailed
from kintsugi.ledger import Outbox
from kintsugi.model.api_types import DestinationTest, RouteTest
from kintsugi.model.identity import new_id
from kintsugi.model.notices import WEBHOOK, Destination, MessageLimit, NoticeRoute, SlackChannel
from kintsugi.model.records import IncidentState, Notice
from kintsugi.settings import NotificationSettings
from kintsugi.telemetry import Metrics, get_logger

log = get_logger(__name__)

_FIRST_PAUSE = timedelta(seconds=5)
_AT_ONCE = 500
"""Notices sent in one look at the outbox, so many that a summary has all of them."""
_SIDE_BY_SIDE = 20
_SUMMARY_LINES = 30

Completion = Callable[[Sequence[Notice]], Awaitable[Sequence[Notice]]]
"""Returns notices as they are to be sent; those that it leaves out are asked for again."""


async def as_they_are(notices: Sequence[Notice]) -> Sequence[Notice]:
    """Add nothing to notices."""
    return notices


Send = Callable[[Notice], Awaitable[None]]
"""Has a notice shown in a place where people are told. Raises ProbeFailed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """A way to a destination, which has a name for people. A pager takes only notices that call a person."""

    name: str
    send: Send
    is_pager: bool = False


def closed_way(name: str, why: str) -> Way:
    """Return a way on which nothing goes."""

    async def send(_notice: Notice) -> None:
        raise ProbeFailed(why)

    return Way(name=name, send=send)


def unreachable(_route: NoticeRoute, destination: Destination) -> Way:
    """Return a closed way: the setting that leads to the destination is absent."""
    if isinstance(destination, SlackChannel):
        return closed_way(destination.channel, "notifications.slackTokenFile is not set")
    return closed_way(destination.name, "notifications.destinationsFile is not set")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ways:
    """
    The ways in which people are told: the receiver at `notifications.url`, None where none is set, and the routes of the
    current catalog, with what leads to the destinations that they name.
    """

    webhook: Send | None = None
    routes: Callable[[], Mapping[str, NoticeRoute]] = dict
    destination: Callable[[NoticeRoute, Destination], Way] = unreachable


@dataclass(kw_only=True, slots=True)
class _Delivery:
    """A notice on its way to a route: the ways that take it, and afterwards why none did, or until when it waits for a summary."""

    notice: Notice
    ways: Sequence[Way]
    failure: str = ""
    waits: datetime | None = None


@dataclass(kw_only=True, slots=True)
class _Traffic:
    """The messages that a route was sent since the start of the daemon, within its limit's time, and its last summary."""

    sent: list[datetime] = field(default_factory=list)
    summarized: datetime | None = None


class Notifier:
    """Sends what is due on each of the `ways`. `complete` adds to notices what was found out about their incident."""

    def __init__(
        self,
        settings: NotificationSettings,
        outbox: Outbox,
        ways: Ways,
        *,
        metrics: Metrics,
        clock: Callable[[], datetime],
        complete: Completion = as_they_are,
    ) -> None:
        self._settings, self._outbox, self._ways, self._metrics = settings, outbox, ways, metrics
        self._clock, self._complete = clock, complete
        self._traffic = defaultdict[str, _Traffic](_Traffic)
        self._slots = asyncio.Semaphore(_SIDE_BY_SIDE)

    async def run(self) -> None:
        """Look at the outbox for ever. While the ledger is away nothing is sent, and nothing is lost."""
        while True:
            try:
                await self.send_due()
            except LedgerError as error:
                log.warning("outbox unreadable", error=str(error))
            await asyncio.sleep(self._settings.interval.total_seconds())

    async def test(self, route: str) -> RouteTest:
        """Send a test to each destination of a route, and return which of them did not take it. Raises NotRecorded."""
        known = self._ways.routes().get(route)
        if known is None:
            raise NotRecorded(f"there is no notice route {route}")
        now = self._clock()
        text = f"test of the notice route {route}: nothing is wrong"
        notice = Notice(
            id=new_id("ntc", now), incident=None, kind=IncidentState.PASSED, text=text, created=now, due=now
        )
        ways = [self._ways.destination(known, each) for each in known.destinations]
        problems = await asyncio.gather(*(self._reach(notice, [way]) for way in ways))
        tested = (
            DestinationTest(destination=way.name, problem=problem) for way, problem in zip(ways, problems, strict=True)
        )
        return RouteTest(route=route, destinations=tuple(tested))

    async def send_due(self) -> int:
        """Send the notices that are due, and give how many have reached all of their routes. Raises LedgerUnavailable."""
        notices = await self._complete(await self._outbox.due_notices(self._clock(), _AT_ONCE))
        on_route, of_notice = defaultdict[str, list[_Delivery]](list), dict[str, dict[str, _Delivery]]()
        limits = dict[str, MessageLimit]()
        for notice in notices:
            of_notice[notice.id] = await self._deliveries(notice, limits)
            for route, delivery in of_notice[notice.id].items():
                on_route[route].append(delivery)
        await asyncio.gather(*(self._send(route, due, limits.get(route)) for route, due in on_route.items()))
        done = [await self._write_down(notice, of_notice[notice.id]) for notice in notices]
        return sum(done)

    async def _deliveries(self, notice: Notice, limits: dict[str, MessageLimit]) -> dict[str, _Delivery]:
        """Return the deliveries of a notice by route, of which `limits` gets the limits; none to those that have it."""
        ways = dict[str, Sequence[Way]]()
        if self._ways.webhook is not None:
            ways[WEBHOOK] = [Way(name=WEBHOOK, send=self._ways.webhook)]
        if known := self._ways.routes():
            subject = await self._outbox.subject_of(notice.incident or "")
            for route in routes_of(notice.kind, subject, known.values(), self._clock()):
                led = [self._ways.destination(route, each) for each in route.destinations]
                ways[route.name] = [way for way in led if not way.is_pager or calls_a_person(notice)]
                limits[route.name] = route.limit
        if not any(ways.values()):
            log.warning("notice without a route", notice=notice.id, incident=notice.incident, kind=notice.kind)
        missing = (route for route, led in ways.items() if led and route not in notice.reached)
        return {route: _Delivery(notice=notice, ways=ways[route]) for route in missing}

    async def _send(self, route: str, due: Sequence[_Delivery], limit: MessageLimit | None) -> None:
        """Send a route what is due: each notice for itself, or beyond its limit a summary of all."""
        now, traffic = self._clock(), self._traffic[route]
        how = Sending.EACH
        if limit is not None:
            traffic.sent = [at for at in traffic.sent if at > now - limit.within]
            how = sending(len(due), traffic.sent, traffic.summarized, limit, now)
        if how is Sending.LATER and traffic.summarized is not None:
            for each in due:
                each.waits = traffic.summarized + BETWEEN_SUMMARIES
        elif how is Sending.SUMMARY and limit is not None:
            notice, ways = summary_of([each.notice for each in due], route, limit, now), _all_ways(due)
            failure = await self._reach(notice, ways)
            for each in due:
                each.failure = failure
            if not failure:
                traffic.summarized = now
                traffic.sent.append(now)
        else:
            failures = await asyncio.gather(*(self._reach(each.notice, each.ways) for each in due))
            for each, failure in zip(due, failures, strict=True):
                each.failure = failure
            traffic.sent += [now] * failures.count("")

    async def _reach(self, notice: Notice, ways: Sequence[Way]) -> str:
        """Send a notice on the first way that takes it; say why none did, "" when one did."""
        failures = []
        async with self._slots:
            for way in ways:
                try:
                    await way.send(notice)
                except (ProbeFailed, LedgerError) as error:  # what other routes have got must be written down
                    failures.append(str(error))
                else:
                    return ""
        return "; ".join(failures)

    async def _write_down(self, notice: Notice, deliveries: Mapping[str, _Delivery]) -> bool:
        """Keep which routes have a notice now; return whether all have."""
        failures = [f"{route}: {each.failure}" for route, each in deliveries.items() if each.failure]
        waits = [each.waits for each in deliveries.values() if each.waits is not None]
        if not failures and not waits:
            await self._outbox.notice_sent(notice.id)
            self._metrics.notices.labels("sent").inc()
            return True
        if failures:
            waits.append(self._clock() + pause_before(notice.attempts + 1, self._settings.backoff_max))
            self._metrics.notices.labels("failed").inc()
            log.warning(
                "notice not delivered", notice=notice.id, attempts=notice.attempts + 1, error="; ".join(failures)
            )
        reached = (route for route, each in deliveries.items() if not each.failure and each.waits is None)
        await self._outbox.notice_postponed(notice.id, min(waits), [*notice.reached, *reached])
        return False


def summary_of(notices: Sequence[Notice], route: str, limit: MessageLimit, now: datetime) -> Notice:
    """Return one notice in place of several, or the only one. It calls a person if one of them does."""
    if len(notices) == 1:
        return notices[0]
    firsts = [notice.text.split("\n", 1)[0] for notice in notices]
    more = [f"… and {len(firsts) - _SUMMARY_LINES} more"] if len(firsts) > _SUMMARY_LINES else []
    head = f"{len(notices)} notices in one: the route {route} gets at most {limit.messages} messages in {format_seconds(limit.within)}"
    text = "\n".join((head, *firsts[:_SUMMARY_LINES], *more, "next: kintsugi incidents"))
    kind = IncidentState.NEEDS_OPERATOR if any(map(calls_a_person, notices)) else notices[-1].kind
    return Notice(id=new_id("ntc", now), incident=None, kind=kind, text=text, created=now, due=now)


def _all_ways(due: Iterable[_Delivery]) -> Sequence[Way]:
    """Return the ways that one of the notices at least may take, in the route's order."""
    return max((each.ways for each in due), key=len)


def pause_before(attempt: int, longest: timedelta) -> timedelta:
    """Return the pause before the attempt after this one: 5 s, doubling, up to the longest."""
    return min(_FIRST_PAUSE * (1 << min(attempt - 1, 30)), longest)
