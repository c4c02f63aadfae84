"""The demonstration's Alertmanager tells a busy daemon again, each alert by a fingerprint of its own."""

import re

import pytest
from aiohttp import web

from kintsugi.cli.demo.pager import DemoAlertmanager
from kintsugi.errors import KintsugiError


class PagerReceiver:
    """Answers with one status after the other, and keeps what it was sent."""

    def __init__(self, *statuses: int) -> None:
        self._statuses = list(statuses)
        self.taken: list[dict[str, object]] = []

    async def answer(self, request: web.Request) -> web.Response:
        """Answer."""
        body = await request.json()
        self.taken += body["alerts"]
        return web.Response(status=self._statuses.pop(0))


async def fire(receiver: PagerReceiver, *labels: dict[str, str]) -> None:
    """Fire alerts at a receiver."""
    app = web.Application()
    app.router.add_post("/alertmanager", receiver.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        for each in labels:
            await DemoAlertmanager(f"http://{host}:{port}", each, lambda: False).fire()
    finally:
        await runner.cleanup()


async def test_an_alert_is_told_again_while_the_daemon_is_busy_and_never_when_it_is_refused() -> None:
    busy = PagerReceiver(503, 503, 200)
    await fire(busy, {"alertname": "A"})
    assert [each["status"] for each in busy.taken] == ["firing"] * 3
    refusing = PagerReceiver(401)
    with pytest.raises(KintsugiError, match="not taken: 401"):
        await fire(refusing, {"alertname": "A"})


async def test_alerts_with_other_labels_have_other_fingerprints_of_16_hexadecimal_digits() -> None:
    receiver = PagerReceiver(200, 200, 200)
    await fire(receiver, {"alertname": "A"}, {"alertname": "B"}, {"alertname": "A"})
    first, other, again = (str(each["fingerprint"]) for each in receiver.taken)
    assert first == again != other
    assert re.fullmatch("[0-9a-f]{16}", first)
