"""
Polls Alertmanager's API: webhooks are hints, and the poll finds the alerts that they did not deliver.

A lost firing is accepted, a lost end is noticed (A17), a truncated or refused delivery is fetched whole (A6, A7). An alert from
the poll is the same signal as that from the webhook, so that repeated polls cost nothing. Nothing is ever concluded
from a missing answer (P6).
"""

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Protocol

import aiohttp
import msgspec

from kintsugi.errors import KintsugiError, ProbeFailed
from kintsugi.ledger import SignalInbox, in_pieces
from kintsugi.model.records import DeadLetter, Signal, SignalSource, SignalStatus
from kintsugi.model.rules import RuleSource
from kintsugi.offload import searched
from kintsugi.settings import AlertmanagerSettings
from kintsugi.sources.alertmanager import UNDECODABLE, PolledAlert, decode_alerts, signal_ids
from kintsugi.telemetry import SECRETS, Metrics, get_logger
from kintsugi.tokens import read_bearer
from kubeobjects.lines import quoted

log = get_logger(__name__)

MISSES = 2
"""Polls on end that an alert must be missing from before it counts as over."""

_KNOWS_AFTER = timedelta(minutes=5)
"""The time after its start in which Alertmanager may not yet know all that fires (its resolve_timeout)."""

_LARGEST = 256 * 1024 * 1024
"""Bytes of an answer that are read."""


class AlertmanagerClient(Protocol):
    """The queries to Alertmanager; each raises ProbeFailed when there is no answer."""

    async def alerts(self, *, suppressed: bool) -> bytes: ...

    async def started(self) -> datetime: ...


class AlertmanagerSilences:
    """Knows which alerts people have silenced."""

    def __init__(self, api: AlertmanagerClient, clock: Callable[[], datetime]) -> None:
        self._api, self._clock = api, clock

    async def suppressed(self) -> frozenset[str]:
        """
        Return the fingerprints of those alerts that are silenced, inhibited or muted now (A19).

        It makes one request for any number of alerts; an absent alert is not silenced. Raises ProbeFailed.
        """
        alerts, _letters = await _listed(self._api, self._clock(), suppressed=True)
        return frozenset(alert.signal.key for alert in alerts if alert.suppressed)


@dataclass(frozen=True, kw_only=True, slots=True)
class Polled:
    """The result of one poll: the alerts that fire there, and those of ours that are over."""

    firing: int
    over: int


class Poller:
    """
    Polls at its interval, or sooner when woken, and writes the difference to the inbox.

    It does not poll while `stale_reason` says that the clock cannot be trusted: Alertmanager's uptime would be unknown.
    """

    def __init__(
        self,
        settings: AlertmanagerSettings,
        api: AlertmanagerClient,
        inbox: SignalInbox,
        metrics: Metrics,
        clock: Callable[[], datetime],
        *,
        stale_reason: Callable[[], str] = lambda: "",
    ) -> None:
        self._interval = settings.poll_interval.total_seconds()
        self._api, self._inbox, self._metrics, self._clock = api, inbox, metrics, clock
        self._stale_reason = stale_reason
        self._missed: dict[str, int] = {}
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Poll soon: a delivery was incomplete, too large or unreadable."""
        self._woken.set()

    async def run(self) -> None:
        """Poll until cancelled. Failures are counted and logged; the next poll comes on time."""
        while True:
            try:
                if not self._stale_reason():
                    await self.poll()
            except KintsugiError as error:
                self._metrics.polls.labels("failed").inc()
                log.warning("alertmanager poll failed", error=str(error))
            self._woken.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await self._woken.wait()

    async def poll(self) -> Polled:
        """Poll once. Raises ProbeFailed or LedgerUnavailable, and then nothing is concluded."""
        now = self._clock()
        alerts, letters = await _listed(self._api, now, suppressed=False)
        firing = await self._inbox.firing(SignalSource.ALERTMANAGER, SignalSource.POLL)
        believed = {signal.key: signal for signal in firing if signal.kind is RuleSource.ALERT}
        over = await self._over(believed, {alert.signal.key for alert in alerts}, now)
        active = [alert.signal for alert in alerts if not alert.suppressed]
        found = [*active, *over]
        for piece in in_pieces(found):
            await self._inbox.accept(piece, now)
        if letters:
            await self._inbox.keep_dead_letters(letters)
            self._metrics.dead_letters.inc(len(letters))
        self._metrics.signals_received.labels(SignalSource.POLL).inc(len(active) + len(over))
        self._metrics.polls.labels("ok").inc()
        return Polled(firing=len(active), over=len(over))

    async def _over(self, believed: dict[str, Signal], there: set[str], now: datetime) -> list[Signal]:
        """
        Return our alerts that are missing there in `MISSES` polls in a row, as resolved.

        A missing alert is not always over: a silenced alert is missing too, and an Alertmanager that has just started
        does not know all alerts yet. So both are queried before an alert counts as missed.
        """
        missing = believed.keys() - there
        if missing:
            alerts, _letters = await _listed(self._api, now, suppressed=True)
            missing -= {alert.signal.key for alert in alerts}
        if missing and now - await self._api.started() < _KNOWS_AFTER:
            missing = set()
        self._missed = {key: self._missed.get(key, 0) + 1 for key in missing}
        return [_resolved(believed[key], now) for key in sorted(missing) if self._missed[key] >= MISSES]


async def _listed(
    api: AlertmanagerClient, now: datetime, *, suppressed: bool
) -> tuple[list[PolledAlert], list[DeadLetter]]:
    """Ask for the list and read it: the alerts that cannot be read are searched for secrets."""
    body = await api.alerts(suppressed=suppressed)
    return await searched(len(body), partial(decode_alerts, body, now))


def _resolved(signal: Signal, now: datetime) -> Signal:
    return replace(
        signal,
        id=next(signal_ids(now)),
        source=SignalSource.POLL,
        status=SignalStatus.RESOLVED,
        ended=now,
        received=now,
    )


class _ServerStatus(msgspec.Struct, frozen=True):
    uptime: Annotated[datetime, msgspec.Meta(tz=True)]


_SERVER_STATUS = msgspec.json.Decoder(_ServerStatus)


class AlertmanagerApi:
    """The three questions we have for Alertmanager. Every answer that does not come raises ProbeFailed."""

    def __init__(self, settings: AlertmanagerSettings, session: aiohttp.ClientSession) -> None:
        if settings.url is None:
            raise ProbeFailed("alertmanager.url is not set: Alertmanager cannot be asked")
        self._url = settings.url
        self._token_file = settings.url_token_file
        self._receiver = f"^{re.escape(settings.receiver)}$"
        self._timeout = aiohttp.ClientTimeout(total=settings.poll_timeout.total_seconds())
        self._session = session

    async def alerts(self, *, suppressed: bool) -> bytes:
        """Return the alerts that are routed to us; those that are silenced or inhibited only when asked for."""
        also = "true" if suppressed else "false"
        return await self._get(
            "/api/v2/alerts",
            {"silenced": also, "inhibited": also, "unprocessed": "false", "receiver": self._receiver},
        )

    async def started(self) -> datetime:
        """Return since when it has been running."""
        body = await self._get("/api/v2/status", {})
        try:
            return _SERVER_STATUS.decode(body).uptime
        except UNDECODABLE as error:
            raise ProbeFailed(f"Alertmanager's status cannot be read: {error}") from error

    async def _get(self, path: str, query: dict[str, str]) -> bytes:
        try:
            async with self._session.get(
                self._url + path, params=query, headers=self._headers(), timeout=self._timeout, allow_redirects=False
            ) as answer:
                body = await _whole(answer)
                if answer.status != 200:
                    answer_text = SECRETS.text(body[:200].decode("utf-8", "replace"))
                    raise ProbeFailed(f"Alertmanager answered {answer.status} to {path}: {quoted(answer_text)}")
                return body
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ProbeFailed(
                f"Alertmanager at {self._url} cannot be asked: {error or type(error).__name__}"
            ) from error

    def _headers(self) -> dict[str, str]:
        """Return the credentials, read anew each time so that a rotated token is used at once."""
        if self._token_file is None:
            return {}
        token = read_bearer(self._token_file)
        SECRETS.register(token)
        return {"Authorization": f"Bearer {token}"}


async def _whole(answer: aiohttp.ClientResponse) -> bytes:
    """Read a body to its end. Raises ProbeFailed when there is no end in sight."""
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > _LARGEST:
            raise ProbeFailed(f"Alertmanager's answer is larger than {_LARGEST} bytes")
    return bytes(body)
