"""
The demonstration's Alertmanager: alerts, fired and resolved over HTTP as a real one does (webhook version 4).
"""

import asyncio
import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta

import aiohttp

from kintsugi.errors import KintsugiError
from kintsugi.kube.steady_clock import wall_clock

TIMEOUT = timedelta(minutes=1)
"""The time for which an alert is sent again to a daemon that does not accept it."""

NEVER = "0001-01-01T00:00:00Z"
"""Alertmanager's text for the end of an alert that still fires."""


class DemoAlertmanager:
    """Sends the daemon one alert for as long as `firing` says so."""

    def __init__(self, url: str, labels: dict[str, str], firing: Callable[[], bool]) -> None:
        self._url = f"{url}/alertmanager"
        self._labels = labels
        self._firing = firing
        self._fingerprint = hashlib.sha256(repr(sorted(labels.items())).encode()).hexdigest()[:16]

    async def run(self) -> None:
        """Fire now; resolve once it is over."""
        await self.resolve(await self.fire())

    async def fire(self) -> datetime:
        """Fire, and return since when."""
        began = wall_clock()
        await self._post(began, None)
        return began

    async def resolve(self, began: datetime) -> None:
        """Resolve once it is over."""
        while self._firing():
            await asyncio.sleep(0.2)
        await self._post(began, wall_clock())

    async def _post(self, began: datetime, ended: datetime | None) -> None:
        status = "firing" if ended is None else "resolved"
        alert = {
            "status": status,
            "labels": self._labels,
            "annotations": {},
            "startsAt": began.isoformat(),
            "endsAt": ended.isoformat() if ended is not None else NEVER,
            "generatorURL": "",
            "fingerprint": self._fingerprint,
        }
        body = {"version": "4", "groupKey": "{}", "status": status, "receiver": "kintsugi", "alerts": [alert]}
        deadline = wall_clock() + TIMEOUT
        async with aiohttp.ClientSession(trust_env=False) as session:
            while True:
                async with session.post(self._url, json=body) as answer:
                    if answer.status == 200:
                        return
                    # As Alertmanager does: a server that is busy is told again.
                    if answer.status < 500 or wall_clock() > deadline:
                        raise KintsugiError(f"the alert was not taken: {answer.status} {await answer.text()}")
                await asyncio.sleep(0.2)
