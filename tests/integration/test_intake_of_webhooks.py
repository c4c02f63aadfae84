"""What a delivery over TCP leaves in the ledger, and what Alertmanager is answered."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kintsugi.ledger import Ledger
from kintsugi.model.records import Signal, Verdict
from tests.harness.ledgers import newest_dead_letters, newest_signals
from tests.harness.waiting import eventually
from tests.integration.intake_server import WEBHOOK, FaultyInbox, Served, ledger_in, request, served
from tests.integration.operations_double import FakeOperations
from tests.unit.sources.webhooks import alert, captured, webhook


@dataclass
class WebhookDaemon:
    """A port and the ledger behind it."""

    port: Served
    ledger: Ledger

    async def kept(self) -> tuple[tuple[Signal, Verdict | None], ...]:
        """Return all signals of the ledger."""
        return await newest_signals(self.ledger, limit=100_000)


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[WebhookDaemon]:
    async with ledger_in(tmp_path) as ledger, served(tmp_path, ledger.signals, FakeOperations()) as port:
        yield WebhookDaemon(port, ledger)


@pytest.mark.parametrize(
    ("name", "alerts"), [("group1-firing", 1), ("from-real-prometheus-firing", 1), ("group1000-firing", 1000)]
)
async def test_a_webhook_that_was_answered_200_is_in_the_ledger(daemon: WebhookDaemon, name: str, alerts: int) -> None:
    """Covers P1."""
    assert await daemon.port.post(captured(name)) == 200

    assert len(await daemon.kept()) == alerts
    assert await daemon.ledger.signals.pending() == alerts
    assert daemon.port.count("kintsugi_signals_received_total", source="alertmanager") == alerts
    assert daemon.port.woken == []


async def test_an_alert_only_hints_at_an_object_and_names_no_runbook(daemon: WebhookDaemon) -> None:
    """Covers A20: whatever a stranger writes, it is labels and a hint without a uid."""
    forged = {"alertname": "x", "namespace": "kube-system", "pod": "coredns-1", "runbook": "database-restore"}
    await daemon.port.post(webhook(alert(labels=forged)))

    ((signal, _),) = await daemon.kept()
    assert signal.rule == ""
    assert signal.target is not None
    assert signal.target.uid == ""


async def test_a_bad_alert_costs_its_group_nothing(daemon: WebhookDaemon) -> None:
    """Covers A12 and P9: the others are kept, the bad one is a dead letter, and the answer is 200."""
    body = webhook(alert(fingerprint="a" * 16), {"status": "firing"}, alert(fingerprint="c" * 16))

    assert await daemon.port.post(body) == 200

    assert {signal.key for signal, _ in await daemon.kept()} == {"a" * 16, "c" * 16}
    (letter,) = await newest_dead_letters(daemon.ledger)
    assert "missing required field `labels`" in letter.reason
    assert len(daemon.port.woken) == 1


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"[" * 200_000, webhook(version="3"), webhook(alerts=5), b"\xff\xfe", b"9" * 100_000]
)
async def test_a_webhook_that_cannot_be_read_is_refused_kept_and_followed_by_a_poll(
    daemon: WebhookDaemon, body: bytes
) -> None:
    """Covers A11 and A13."""
    assert await daemon.port.post(body) == 400

    assert len(await newest_dead_letters(daemon.ledger)) == 1
    assert daemon.port.count("kintsugi_dead_letters_total") == 1
    assert daemon.port.count("kintsugi_webhook_answers_total", status="400") == 1
    assert len(daemon.port.woken) == 1
    assert await daemon.port.post(webhook(alert())) == 200


async def test_a_truncated_delivery_makes_us_poll_for_the_rest(daemon: WebhookDaemon) -> None:
    """Covers A7."""
    assert await daemon.port.post(captured("max_alerts5-of-12-firing")) == 200

    assert len(await daemon.kept()) == 5
    assert len(daemon.port.woken) == 1
    assert await newest_dead_letters(daemon.ledger) == ()
    assert daemon.port.count("kintsugi_alerts_left_out_total", outcome="polled") == 7


async def test_alerts_that_nobody_can_ask_for_are_counted_and_told(tmp_path: Path) -> None:
    """Covers A7, A11: one dead letter a group of whatever key, the newest, for Alertmanager tells the group again and again."""
    async with (
        ledger_in(tmp_path) as ledger,
        served(tmp_path, ledger.signals, FakeOperations(), polled=False) as port,
    ):
        for group, left_out in (("one", 3), ({"a": [1]}, 4), ("one", 5)):
            body = webhook(alert(), groupKey=group, truncatedAlerts=left_out)
            assert await port.post(body) == 200

        letters = await newest_dead_letters(ledger)
        assert sorted((letter.excerpt, letter.reason.split(" out of")[0]) for letter in letters) == [
            ('"one"', "Alertmanager left 5 alerts"),
            ('{"a": [1]}', "Alertmanager left 4 alerts"),
        ]
        assert port.count("kintsugi_alerts_left_out_total", outcome="unknown") == 12
        assert port.count("kintsugi_dead_letters_total") == 0


@pytest.mark.parametrize(
    ("body", "header"),
    [
        (webhook(alert()), {"Content-Type": "text/plain"}),
        (gzip.compress(webhook(alert())), {"Content-Encoding": "gzip"}),
    ],
    ids=["a form, which a web page could send unasked", "compressed"],
)
async def test_only_plain_json_is_read(daemon: WebhookDaemon, body: bytes, header: dict[str, str]) -> None:
    """Covers A6: Alertmanager never compresses, so something between must be told not to, and what it sent is polled for."""
    assert await daemon.port.post(body, WEBHOOK | header) == 415
    assert len(daemon.port.woken) == 1
    assert await daemon.kept() == ()


async def test_the_connection_stays_open_for_the_next_delivery(daemon: WebhookDaemon) -> None:
    reader, writer = await asyncio.open_connection(daemon.port.host, daemon.port.port)
    body = webhook(alert())
    for _ in range(3):
        writer.write(request({**WEBHOOK, "Content-Length": len(body)}) + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200")
        length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        assert json.loads(await reader.readexactly(length)) == {"accepted": 1, "dead_letters": 0}
    writer.close()
    await writer.wait_closed()


async def test_a_delivery_under_way_is_finished_when_the_daemon_stops(tmp_path: Path) -> None:
    """The daemon stops while a commit is pending, and the sender still gets its answer."""
    body = webhook(alert())
    async with ledger_in(tmp_path) as ledger:
        inbox = FaultyInbox(ledger)
        inbox.answers.clear()
        async with served(tmp_path, inbox, FakeOperations()) as port:
            reader, writer = await asyncio.open_connection(port.host, port.port)
            writer.write(request({**WEBHOOK, "Content-Length": len(body)}) + body)
            await eventually(lambda: inbox.calls, within=60)
            asyncio.get_running_loop().call_later(0.2, inbox.answers.set)

        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        assert await ledger.signals.pending() == 1
        writer.close()
        await writer.wait_closed()
