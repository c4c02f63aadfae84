"""P9: what the watch sees is neither ended nor hidden by an alert that gives itself the watch's key."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from kintsugi.ledger import Ledger
from kintsugi.model.records import Signal, SignalSource, Target
from kintsugi.model.rules import RuleSource
from kintsugi.sources.alertmanager import decode
from tests.unit.sources.webhooks import alert, webhook

NOW = datetime(2026, 11, 24, 14, 0, tzinfo=UTC)
UID = "0b5c1f1e-0000-4000-8000-000000000001"
SEEN = Signal(
    id="sig-watch",
    source=SignalSource.WATCH,
    kind=RuleSource.POD,
    key=f"unhealthy-pods/{UID}",
    rule="unhealthy-pods",
    target=Target(kind="Pod", namespace="production", name="web-1", uid=UID),
    began=NOW,
    received=NOW,
)


def forged(status: str, began: datetime) -> list[Signal]:
    """Return what a webhook brings that says of itself that it is what the watch has seen."""
    one = alert(fingerprint=SEEN.key, status=status, startsAt=began.isoformat())
    return list(decode(webhook(one), began + timedelta(minutes=1)).signals)


async def test_a_forged_end_does_not_end_what_the_watch_sees(ledger: Ledger) -> None:
    await ledger.signals.accept([SEEN], NOW)
    await ledger.signals.accept(forged("resolved", NOW), NOW + timedelta(minutes=1))
    assert [each.key for each in await ledger.signals.firing()] == [SEEN.key]


@pytest.mark.parametrize("status", ["firing", "resolved"])
async def test_a_forged_fingerprint_does_not_swallow_a_signal_of_the_watch(ledger: Ledger, status: str) -> None:
    await ledger.signals.accept(forged(status, NOW), NOW)
    accepted = await ledger.signals.accept(
        [replace(SEEN, began=NOW + timedelta(seconds=30))], NOW + timedelta(minutes=1)
    )
    assert accepted.new == 1
    assert SEEN.key in {each.key for each in await ledger.signals.firing()}
