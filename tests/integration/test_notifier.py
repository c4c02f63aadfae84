"""People hear of what needs them, sooner or later, once the receiver is there (E24)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from kintsugi.errors import LedgerUnavailable
from kintsugi.ledger import Outbox
from kintsugi.model.records import IncidentState, Notice
from kintsugi.notices.notifier import Notifier, Ways
from kintsugi.notices.webhook import Webhook
from kintsugi.settings import NotificationSettings
from kintsugi.telemetry import Metrics
from tests.harness.waiting import eventually
from tests.integration.answering_service import serving

NOW = datetime(2026, 11, 24, 14, 0, tzinfo=UTC)


@dataclass
class MemoryNoticeQueue(Outbox):
    """Notices by id, and which of them were sent."""

    notices: dict[str, Notice] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    away: bool = False

    def put(self, id: str, text: str = "shop: needs an operator") -> None:  # noqa: A002
        self.notices[id] = Notice(
            id=id, incident="inc-1", kind=IncidentState.NEEDS_OPERATOR, text=text, created=NOW, due=NOW
        )

    async def due_notices(self, now: datetime, limit: int = 20) -> tuple[Notice, ...]:
        if self.away:
            raise LedgerUnavailable("the disk is full")
        waiting = [notice for notice in self.notices.values() if notice.id not in self.sent]
        return tuple(notice for notice in waiting if notice.due <= now)[:limit]

    async def notice_sent(self, notice: str) -> None:
        self.sent.append(notice)

    async def notice_postponed(self, notice: str, due: datetime, reached: Sequence[str] = ()) -> None:
        known = self.notices[notice]
        self.notices[notice] = replace(known, attempts=known.attempts + 1, due=due, reached=tuple(reached))


@dataclass
class NoticeReceiver:
    """An HTTP server that keeps what it is sent, and answers with `status` or not at all."""

    status: int = 200
    hanging: bool = False
    got: list[tuple[dict[str, object], str]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        if self.hanging:
            await asyncio.sleep(3600)
        self.got.append((await request.json(), request.headers.get("Authorization", "")))
        return web.Response(status=self.status, headers={"Location": "/elsewhere"})


@dataclass
class ManualClock:
    """Stands still until it is moved."""

    now: datetime = NOW


@dataclass
class NotifierScene:
    """A notifier, and one that waits for 0.3 s, between their outbox and their receiver, on a clock that is moved by hand."""

    notifier: Notifier
    hasty: Notifier
    outbox: MemoryNoticeQueue
    receiver: NoticeReceiver
    metrics: Metrics
    clock: ManualClock


@pytest.fixture
async def telling(tmp_path: Path) -> AsyncIterator[NotifierScene]:
    receiver, outbox, metrics = NoticeReceiver(), MemoryNoticeQueue(), Metrics()
    app = web.Application()
    app.router.add_post("/notices", receiver.take)
    token = tmp_path / "token"
    token.write_text("the-notifiers-token\n", encoding="utf-8")
    async with serving(app) as url, aiohttp.ClientSession() as session:
        settings = NotificationSettings(url=f"{url}/notices", token_file=token, interval=timedelta(milliseconds=10))
        clock = ManualClock()

        def notifier(changed: NotificationSettings) -> Notifier:
            assert changed.url is not None
            ways = Ways(webhook=Webhook(changed.url, changed, session, public_url="https://kintsugi.example.com").send)
            return Notifier(changed, outbox, ways, metrics=metrics, clock=lambda: clock.now)

        hasty = notifier(replace(settings, timeout=timedelta(milliseconds=300)))
        yield NotifierScene(notifier(settings), hasty, outbox, receiver, metrics, clock)


async def test_a_notice_is_posted_once_with_token_and_id(telling: NotifierScene) -> None:
    telling.outbox.put("ntc-1")

    assert [await telling.notifier.send_due() for _ in range(2)] == [1, 0]

    expected = {
        "id": "ntc-1",
        "incident": "inc-1",
        "kind": "needs-operator",
        "text": "shop: needs an operator",
        "created": "2026-11-24T14:00:00+00:00",
        "url": "https://kintsugi.example.com/incidents/inc-1",
    }
    assert telling.receiver.got == [(expected, "Bearer the-notifiers-token")]


async def test_a_notice_steers_no_terminal(telling: NotifierScene) -> None:
    telling.outbox.put("ntc-1", "why\n  no\x1b[2J\u202e\ud800\r\u2028")
    await telling.notifier.send_due()
    assert telling.receiver.got[0][0]["text"] == "why\n  no\\x1b[2J\\u202e\\ud800 "


@pytest.mark.parametrize("content", [b"\xff\xfet\x00o\x00k\x00", b"one\ntwo", b"two words", b"", None], ids=repr)
async def test_a_token_file_that_holds_no_token_keeps_a_notice_waiting_and_ends_nothing(
    telling: NotifierScene, tmp_path: Path, content: bytes | None
) -> None:
    """E24: whoever replaces the file badly hears of it in the log, in one sentence, and the notice waits."""
    telling.outbox.put("ntc-1")
    (tmp_path / "token").unlink()
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with capture_logs() as lines:
        [sent] = await asyncio.gather(telling.notifier.send_due(), return_exceptions=True)
    assert sent == 0
    assert [line["event"] for line in lines] == ["notice not delivered"]
    (line,) = lines
    assert f"{tmp_path / 'token'} " in line["error"]
    assert "\n" not in line["error"]

    (tmp_path / "token").write_bytes(b"the-new-token-of-it\n")
    telling.clock.now += timedelta(minutes=1)
    assert await telling.notifier.send_due() == 1
    assert telling.receiver.got[0][1] == "Bearer the-new-token-of-it"


@pytest.mark.parametrize("status", [302, 400, 429, 500, 503])
async def test_a_notice_that_is_not_taken_is_tried_again_later(telling: NotifierScene, status: int) -> None:
    telling.outbox.put("ntc-1")
    telling.receiver.status = status

    assert [await telling.notifier.send_due() for _ in range(3)] == [0, 0, 0]
    assert len(telling.receiver.got) == 1

    telling.receiver.status = 204
    telling.clock.now += timedelta(seconds=5)
    assert await telling.notifier.send_due() == 1
    assert telling.outbox.sent == ["ntc-1"]


async def test_a_receiver_that_hangs_holds_no_notice_for_long(telling: NotifierScene) -> None:
    telling.outbox.put("ntc-1")
    telling.receiver.hanging = True

    async with asyncio.timeout(60):
        assert await telling.hasty.send_due() == 0
    assert telling.outbox.notices["ntc-1"].attempts == 1


async def test_a_notice_that_fails_holds_up_no_other(telling: NotifierScene) -> None:
    telling.outbox.put("ntc-1", text="\ud800")
    telling.outbox.put("ntc-2")

    assert await telling.notifier.send_due() >= 1
    assert "ntc-2" in telling.outbox.sent


async def test_no_secret_goes_out_in_a_notice(telling: NotifierScene) -> None:
    telling.outbox.put("ntc-1", text="cannot reach postgres://ana:hunter2@db/shop")

    await telling.notifier.send_due()

    ((notice, _),) = telling.receiver.got
    assert notice["text"] == "cannot reach postgres://ana:[redacted]@db/shop"


async def test_the_worker_outlives_a_ledger_that_is_away_for_a_while(telling: NotifierScene) -> None:
    telling.outbox.away = True
    worker = asyncio.create_task(telling.notifier.run())
    telling.outbox.put("ntc-1")
    await asyncio.sleep(0)
    telling.outbox.away = False

    await eventually(lambda: telling.outbox.sent, within=60)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    assert telling.metrics.registry.get_sample_value("kintsugi_notices_total", {"outcome": "sent"}) == 1
