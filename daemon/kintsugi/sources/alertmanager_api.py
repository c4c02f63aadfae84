"""
The client of Alertmanager's API: the alerts that fire, those that are silenced, and the time of its start.

A request without an answer raises ProbeFailed; nothing is ever concluded from a missing answer (P6).
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import aiohttp
import msgspec

from kintsugi.errors import ProbeFailed
from kintsugi.model.records import DeadLetter, Signal, SignalSource
from kintsugi.settings import AlertmanagerSettings
from kintsugi.sources.alertmanager import UNDECODABLE, dead_letter, only_newest, signal_ids
from kintsugi.sources.alerts import AlertFields, AlertOrigin, to_signal
from kintsugi.telemetry import SECRETS
from kintsugi.tokens import read_bearer
from kubeobjects.lines import quoted

_LARGEST = 256 * 1024 * 1024
"""Bytes of an answer that are read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PolledAlert:
    """An alert as the API shows it: `suppressed` by a silence, an inhibition or a mute time."""

    signal: Signal
    suppressed: bool = False


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    state: str
    silenced_by: list[str] = []
    inhibited_by: list[str] = []
    muted_by: list[str] = []


class _PolledAlert(AlertFields, frozen=True, rename="camel", kw_only=True):
    status: _Status


class _ServerStatus(msgspec.Struct, frozen=True):
    uptime: Annotated[datetime, msgspec.Meta(tz=True)]


_ALERTS = msgspec.json.Decoder(list[msgspec.Raw])
_ALERT = msgspec.json.Decoder(_PolledAlert)
_SERVER_STATUS = msgspec.json.Decoder(_ServerStatus)


def decode_alerts(body: bytes, now: datetime) -> tuple[list[PolledAlert], list[DeadLetter]]:
    """Read the API's list, each alert for itself. Raises ProbeFailed when it is no list."""
    try:
        each = _ALERTS.decode(body)
    except UNDECODABLE as error:
        raise ProbeFailed(f"Alertmanager's alerts cannot be read: {error}") from error
    # a listed alert fires, whatever its end: that is its sender's guess, by another clock than ours
    origin, alerts, letters = AlertOrigin(SignalSource.POLL, now, timed=False), [], []
    for raw, signal_id in zip(each, signal_ids(now), strict=False):
        try:
            alert = _ALERT.decode(raw)
            size = len(memoryview(raw))
            signal = to_signal(alert, firing=True, size=size, origin=origin, signal_id=signal_id)
            alerts.append(PolledAlert(signal=signal, suppressed=_is_suppressed(alert.status)))
        except (*UNDECODABLE, ValueError) as error:
            one = b"[" + bytes(raw) + b"]"
            letter = dead_letter(SignalSource.POLL, bytes(raw), f"alert: {error}", now, payload=one)
            letters.append(only_newest(letter, one))  # it comes with every poll for as long as it fires
    return alerts, letters


def _is_suppressed(status: _Status) -> bool:
    """Return whether Alertmanager suppresses the notifications of an alert at present."""
    return status.state == "suppressed" or bool(status.silenced_by or status.inhibited_by or status.muted_by)


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
        """Ask, and give the body of a 200."""
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
