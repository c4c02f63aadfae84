"""`kintsugi run`, with nothing that polls Alertmanager: an alert that fires again with the beginning that it had (A22)."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kubesim import EmbeddedCluster
from tests.harness.daemon import TOKEN, DaemonProcess
from tests.harness.waiting import eventually

pytestmark = pytest.mark.long

LONG_AGO = datetime.now(UTC) - timedelta(hours=1)
BEGAN = LONG_AGO.isoformat()
ENDED = (LONG_AGO + timedelta(minutes=5)).isoformat()

Row = tuple[str, str | None, str | None]


def webhook(status: str, *, truncated: int = 0) -> dict[str, object]:
    """Make a delivery of one alert, which begins and ends as it always did."""
    ends = ENDED if status == "resolved" else "0001-01-01T00:00:00Z"
    alert = {
        "status": status,
        "labels": {"alertname": "Lost"},
        "fingerprint": "1" * 16,
        "startsAt": BEGAN,
        "endsAt": ends,
    }
    return {"version": "4", "groupKey": '{}:{alertname="Lost"}', "truncatedAlerts": truncated, "alerts": [alert]}


def rows(daemon: DaemonProcess) -> list[Row]:
    """Return the signals of the alert as the ledger has them: began, ended, verdict."""
    with closing(sqlite3.connect(daemon.ledger.removeprefix("sqlite:///"))) as ledger:
        return list(
            ledger.execute("SELECT began, ended, verdict FROM signals WHERE key = '1111111111111111' ORDER BY received")
        )


async def deliver(daemon: DaemonProcess, status: str) -> None:
    """Deliver it as Alertmanager does."""
    answered, said = await asyncio.to_thread(daemon.post, "/alertmanager", webhook(status), token=TOKEN)
    assert answered == 200, said


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    async with EmbeddedCluster.start() as cluster:
        daemon = DaemonProcess(
            kubeconfig=cluster.kubeconfig(tmp_path / "kubeconfig"),
            folder=tmp_path / "daemon",
            environment={"KINTSUGI_ALERTMANAGER__REOPEN_AFTER": "1h"},
        )
        await asyncio.to_thread(daemon.start)
        try:
            yield daemon
        finally:
            await asyncio.to_thread(daemon.stop)


async def test_an_alert_that_fires_again_is_judged_once_more_and_a_restart_in_between_loses_nothing(
    daemon: DaemonProcess,
) -> None:
    """P1, P9, A16: late, never lost. The second life waits for a second where the first waited for an hour."""
    for status in ("firing", "resolved", "firing"):
        await deliver(daemon, status)
    assert len(rows(daemon)) == 1

    await asyncio.to_thread(daemon.kill)
    await asyncio.to_thread(daemon.start, {"KINTSUGI_ALERTMANAGER__REOPEN_AFTER": "1s"})

    def judged() -> list[Row]:
        return [row for row in rows(daemon)[1:] if row[2] is not None]

    (again,) = await eventually(judged, within=90, describe=lambda: f"{rows(daemon)}\n{daemon.tail()}")
    assert again[1:] == (None, "no-rule")
    assert "ended alerts firing again" in daemon.log.read_text()


async def test_an_alert_that_resolves_after_all_stays_ended(daemon: DaemonProcess) -> None:
    """A16: a look that takes up another alert has passed over this one."""
    for status in ("firing", "resolved", "firing", "resolved"):
        await deliver(daemon, status)
    other = webhook("firing")
    alerts = other["alerts"]
    assert isinstance(alerts, list)
    (alert,) = alerts
    for ends in (BEGAN, ENDED, "0001-01-01T00:00:00Z"):
        said = {**alert, "fingerprint": "2" * 16, "endsAt": ends}
        answer, _ = await asyncio.to_thread(daemon.post, "/alertmanager", {**other, "alerts": [said]}, token=TOKEN)
        assert answer == 200
    await asyncio.to_thread(daemon.kill)
    await asyncio.to_thread(daemon.start, {"KINTSUGI_ALERTMANAGER__REOPEN_AFTER": "1s"})
    await eventually(lambda: "ended alerts firing again" in daemon.log.read_text(), within=90, describe=daemon.tail)
    assert len(rows(daemon)) == 1
    assert rows(daemon)[0][1] is not None
