"""
The demonstration's Alertmanager: one alert, fired and resolved over HTTP as a real one does (webhook version 4).
"""

import asyncio
from collections.abc import Callable
from datetime import datetime

import aiohttp

from kintsugi.errors import KintsugiError
from kintsugi.kube.steady_clock import wall_clock

NEVER = "0001-01-01T00:00:00Z"
"""How Alertmanager writes the end of an alert that still fires."""


class Pager:
    """Tells the daemon of one alert for as long as `firing` says so."""

    def __init__(self, url: str, labels: dict[str, str], firing: Callable[[], bool]) -> None:
        self._url = f"{url}/alertmanager"
        self._labels = labels
        self._firing = firing

    async def run(self) -> None:
        """Fire now; resolve once it is over."""
        began = wall_clock()
        await self._post(began, None)
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
            "fingerprint": "d3m0a1e27f00d5e7",
        }
        body = {"version": "4", "groupKey": "{}", "status": status, "receiver": "kintsugi", "alerts": [alert]}
        async with aiohttp.ClientSession(trust_env=False) as session, session.post(self._url, json=body) as answer:
            if answer.status != 200:
                raise KintsugiError(f"the alert was not taken: {answer.status} {await answer.text()}")
