"""
Alertmanager's API, asked now and then: webhooks are hints, and this finds what they did not bring.

A lost firing is accepted, a lost end is noticed (A17), a truncated or refused delivery is fetched whole (A6, A7). The
same alert is the same signal here as there, so that asking too often costs nothing.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from kintsugi.errors import KintsugiError
from kintsugi.model.documents import RuleSource
from kintsugi.model.records import DeadLetter, Signal, SignalSource, SignalStatus
from kintsugi.settings import AlertmanagerSettings
from kintsugi.sources.alertmanager import signal_ids
from kintsugi.sources.alertmanager_api import PolledAlert, decode_alerts
from kintsugi.telemetry import Metrics, get_logger

log = get_logger(__name__)

MISSES = 2
"""Polls on end that an alert must be missing from before it counts as over."""

_TOGETHER = 1000
"""Alerts of one poll that are committed in one piece: a storm must fit into what the database lets one transaction take,
and webhooks have their turn in between."""

_SMALL = 256 * 1024
"""Bytes up to which an answer is decoded on the event loop, as of a webhook."""

_KNOWS_AFTER = timedelta(minutes=5)
"""How long after its start Alertmanager may not yet have heard again of everything that fires (its resolve_timeout)."""


class Inbox(Protocol):
    """Where signals go, and what is believed to fire; the ledger."""

    async def accept(self, delivered: Sequence[Signal], now: datetime) -> object: ...

    async def keep_dead_letters(self, letters: Sequence[DeadLetter]) -> None: ...

    async def firing(self, *sources: SignalSource) -> tuple[Signal, ...]: ...


class Alerts(Protocol):
    """What is asked of Alertmanager; each raises ProbeFailed when there is no answer."""

    async def alerts(self, *, suppressed: bool) -> bytes: ...

    async def started(self) -> datetime: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Polled:
    """What one poll came to: alerts that fire there, and those of ours that were found to be over."""

    firing: int
    over: int


class Poller:
    """
    Asks on time, or sooner when woken, and tells the inbox the difference.

    Nothing is asked while `blind` says why the clock cannot be trusted: how long Alertmanager has been running could not be told.
    """

    def __init__(
        self,
        settings: AlertmanagerSettings,
        api: Alerts,
        inbox: Inbox,
        metrics: Metrics,
        clock: Callable[[], datetime],
        *,
        blind: Callable[[], str] = lambda: "",
    ) -> None:
        self._interval = settings.poll_interval.total_seconds()
        self._api, self._inbox, self._metrics, self._clock = api, inbox, metrics, clock
        self._blind = blind
        self._missed: dict[str, int] = {}
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Ask soon: a delivery was incomplete, too large or unreadable."""
        self._woken.set()

    async def run(self) -> None:
        """Poll for ever. What goes wrong is counted and logged; the next poll comes on time."""
        while True:
            try:
                if not self._blind():
                    await self.poll()
            except KintsugiError as error:
                self._metrics.polls.labels("failed").inc()
                log.warning("alertmanager could not be polled", error=str(error))
            self._woken.clear()
            try:
                async with asyncio.timeout(self._interval):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def poll(self) -> Polled:
        """Ask once. Raises ProbeFailed or LedgerUnavailable, and then nothing is concluded."""
        now = self._clock()
        alerts, letters = await self._listed(now, suppressed=False)
        believed = {signal.key: signal for signal in await self._believed()}
        over = await self._over(believed, {alert.signal.key for alert in alerts}, now)
        active = [alert.signal for alert in alerts if not alert.suppressed]
        found = [*active, *over]
        for start in range(0, len(found), _TOGETHER):
            await self._inbox.accept(found[start : start + _TOGETHER], now)
        if letters:
            await self._inbox.keep_dead_letters(letters)
            self._metrics.dead_letters.inc(len(letters))
        self._metrics.signals_received.labels(SignalSource.POLL).inc(len(active) + len(over))
        self._metrics.polls.labels("ok").inc()
        return Polled(firing=len(active), over=len(over))

    async def suppressed(self) -> frozenset[str]:
        """
        Name the alerts, by fingerprint, of which people are not notified now: silenced, inhibited or muted (A19).

        One question, whatever their number; an alert that is not there is not silenced. Raises ProbeFailed.
        """
        alerts, _letters = await self._listed(self._clock(), suppressed=True)
        return frozenset(alert.signal.key for alert in alerts if alert.suppressed)

    async def _listed(self, now: datetime, *, suppressed: bool) -> tuple[list[PolledAlert], list[DeadLetter]]:
        """Ask for the list and read it: a long one beside the event loop, or all else would stand still meanwhile."""
        body = await self._api.alerts(suppressed=suppressed)
        if len(body) <= _SMALL:
            return decode_alerts(body, now)
        return await asyncio.to_thread(decode_alerts, body, now)

    async def _believed(self) -> list[Signal]:
        """Give the alerts that we believe to fire, whoever told us."""
        firing = await self._inbox.firing(SignalSource.ALERTMANAGER, SignalSource.POLL)
        return [signal for signal in firing if signal.kind is RuleSource.ALERT]

    async def _over(self, believed: dict[str, Signal], there: set[str], now: datetime) -> list[Signal]:
        """
        Find alerts of ours that are gone there, and tell them as resolved after `MISSES` polls on end.

        Missing from the list is not the same as over: a silenced alert is missing too, and an Alertmanager that has just
        started has not heard of everything yet. So both are asked for before anything counts as missed.
        """
        missing = believed.keys() - there
        if missing:
            alerts, _letters = await self._listed(now, suppressed=True)
            missing -= {alert.signal.key for alert in alerts}
        if missing and now - await self._api.started() < _KNOWS_AFTER:
            missing = set()
        self._missed = {key: self._missed.get(key, 0) + 1 for key in missing}
        return [_resolved(believed[key], now) for key in sorted(missing) if self._missed[key] >= MISSES]


def _resolved(signal: Signal, now: datetime) -> Signal:
    """Say that an episode ended by now."""
    return replace(
        signal,
        id=next(signal_ids(now)),
        source=SignalSource.POLL,
        status=SignalStatus.RESOLVED,
        ended=now,
        received=now,
    )
