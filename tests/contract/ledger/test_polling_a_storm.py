"""A poll that finds more alerts than one transaction takes, on the ledger as it is."""

import asyncio
import json
from datetime import timedelta

import pytest

from kintsugi.ledger import Ledger
from kintsugi.model.records import SignalSource
from kintsugi.settings import AlertmanagerSettings
from kintsugi.sources.poll import Polled, Poller
from kintsugi.telemetry import Metrics
from tests.contract.ledger.build import HOUR, NOW, Crossings, signal
from tests.unit.sources.webhooks import alert

STORM = 55_000

pytestmark = pytest.mark.long


class Storm:
    """An Alertmanager for which a lot fires."""

    def __init__(self) -> None:
        status = {"state": "active", "silencedBy": [], "inhibitedBy": [], "mutedBy": []}
        began, ends = NOW.isoformat(), (NOW + HOUR).isoformat()
        alerts = [
            alert(fingerprint=f"{number:016x}", status=status, startsAt=began, endsAt=ends) for number in range(STORM)
        ]
        self._body = json.dumps(alerts).encode()

    async def alerts(self, *, suppressed: bool) -> bytes:
        return self._body

    async def started(self) -> object:
        return NOW - HOUR


async def test_a_storm_is_polled_in_many_commits_and_a_webhook_has_its_turn_between_them(made: str) -> None:
    """A4, P1: a database that ends what takes long, as ours is told to, takes each of them."""
    crossings = Crossings()
    async with Ledger.open(made, holder="kintsugi-0", failpoints=crossings) as ledger:
        now = NOW + timedelta(minutes=1)
        poller = Poller(AlertmanagerSettings(url="http://a"), Storm(), ledger.signals, Metrics(), lambda: now)  # type: ignore[arg-type]
        polling = asyncio.create_task(poller.poll())
        while ("commit", "accept", False) not in crossings.passed:
            await asyncio.sleep(0.01)
        await ledger.signals.accept([signal("webhook", received=now)], now)
        assert not polling.done(), "the webhook was answered while the storm was taken"

        assert await polling == Polled(firing=STORM, over=0)
        assert crossings.passed.count(("commit", "accept", True)) >= STORM // 1000
        firing = await ledger.signals.firing(SignalSource.POLL)
        assert len({each.key for each in firing}) == STORM
        assert [each.id for each in firing] == sorted(each.id for each in firing)
