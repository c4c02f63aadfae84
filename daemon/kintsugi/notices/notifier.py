"""
The outbox's worker: sends due notices to each route that they take, and retries until each of them has them.

The ledger writes a notice together with the change that it reports, so that no notice is lost and no run ever waits for
one (E24). A receiver may get a notice twice, with the same id.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from kintsugi.decisions.notice_routes import routes_of
from kintsugi.errors import LedgerError, ProbeFailed
from kintsugi.ledger import Outbox
from kintsugi.model.notices import WEBHOOK, NoticeRoute, SlackChannel
from kintsugi.model.records import Notice
from kintsugi.settings import NotificationSettings
from kintsugi.telemetry import Metrics, get_logger

log = get_logger(__name__)

_FIRST_PAUSE = timedelta(seconds=5)
_AT_ONCE = 20
"""Notices sent in one look at the outbox."""

Completion = Callable[[Sequence[Notice]], Awaitable[Sequence[Notice]]]
"""Returns notices as they are to be sent; those that it leaves out are asked for again."""


async def no_headlines(notices: Sequence[Notice]) -> Sequence[Notice]:
    """Add nothing to notices."""
    return notices


Send = Callable[[Notice], Awaitable[None]]
"""Has a notice shown in a place where people are told. Raises ProbeFailed."""


def unreachable(_route: str, _channel: SlackChannel) -> Send:
    """Return a way that is closed: no token of Slack is given."""

    async def send(_notice: Notice) -> None:
        raise ProbeFailed("notifications.slackTokenFile is not set")

    return send


@dataclass(frozen=True, kw_only=True, slots=True)
class Ways:
    """
    The ways in which people are told: the receiver at `notifications.url`, None where none is set, and the routes of the
    current catalog, with what leads to the destinations that they name.
    """

    webhook: Send | None = None
    routes: Callable[[], Mapping[str, NoticeRoute]] = dict
    destination: Callable[[str, SlackChannel], Send] = unreachable


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
        complete: Completion = no_headlines,
    ) -> None:
        self._settings, self._outbox, self._ways, self._metrics = settings, outbox, ways, metrics
        self._clock, self._complete = clock, complete

    async def run(self) -> None:
        """Look at the outbox for ever. While the ledger is away nothing is sent, and nothing is lost."""
        while True:
            try:
                await self.send_due()
            except LedgerError as error:
                log.warning("outbox unreadable", error=str(error))
            await asyncio.sleep(self._settings.interval.total_seconds())

    async def send_due(self) -> int:
        """Send the notices that are due, each for itself, and give how many have arrived. Raises LedgerUnavailable."""
        notices = await self._complete(await self._outbox.due_notices(self._clock(), _AT_ONCE))
        attempts = await asyncio.gather(*(self._attempt(notice) for notice in notices))
        for notice, (reached, failure) in zip(notices, attempts, strict=True):
            await self._write_down(notice, reached, failure)
        return sum(not failure for _, failure in attempts)

    async def _attempt(self, notice: Notice) -> tuple[Sequence[str], str]:
        """Send one notice to each route that does not have it; return the routes that have it now, and why others have not."""
        reached, failures = [*notice.reached], []
        routes = await self._routes(notice)
        if not routes:
            log.warning("notice without a route", notice=notice.id, incident=notice.incident, kind=notice.kind)
        for route, destinations in routes:
            failure = await self._reach(notice, destinations) if route not in reached else ""
            if failure:
                failures.append(f"{route}: {failure}")
            else:
                reached.append(route)
        return reached, "; ".join(failures)

    async def _routes(self, notice: Notice) -> Sequence[tuple[str, Sequence[Send]]]:
        """Return the routes that a notice takes now, each with its destinations."""
        routes: list[tuple[str, Sequence[Send]]] = []
        if self._ways.webhook is not None:
            routes.append((WEBHOOK, (self._ways.webhook,)))
        if known := self._ways.routes():
            subject = await self._outbox.subject_of(notice.incident or "")
            taken = routes_of(notice.kind, subject, known.values(), self._clock())
            routes += [
                (route.name, [self._ways.destination(route.name, each) for each in route.destinations])
                for route in taken
            ]
        return routes

    async def _reach(self, notice: Notice, destinations: Sequence[Send]) -> str:
        """Send a notice to the first destination that takes it; say why none did, "" when one did."""
        failures = []
        for send in destinations:
            try:
                await send(notice)
            except ProbeFailed as error:
                failures.append(str(error))
            else:
                return ""
        return "; ".join(failures)

    async def _write_down(self, notice: Notice, reached: Sequence[str], failure: str) -> None:
        if not failure:
            await self._outbox.notice_sent(notice.id)
            self._metrics.notices.labels("sent").inc()
            return
        due = self._clock() + pause_before(notice.attempts + 1, self._settings.backoff_max)
        await self._outbox.notice_failed(notice.id, due, reached)
        self._metrics.notices.labels("failed").inc()
        log.warning("notice not delivered", notice=notice.id, attempts=notice.attempts + 1, error=failure)


def pause_before(attempt: int, longest: timedelta) -> timedelta:
    """Return the pause before the attempt after this one: 5 s, doubling, up to the longest."""
    return min(_FIRST_PAUSE * (1 << min(attempt - 1, 30)), longest)
