"""How the port is closed."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest

from kintsugi.model.records import DeadLetter, Signal
from tests.integration.intake_server import WEBHOOK, served
from tests.integration.operations_double import FakeOperations
from tests.unit.sources.webhooks import alert, webhook


class WaitingInbox:
    """Commits when it is let."""

    def __init__(self) -> None:
        self.asked, self.let = asyncio.Event(), asyncio.Event()
        self.kept: list[Signal] = []

    async def accept(self, delivered: Sequence[Signal], now: datetime) -> None:
        self.asked.set()
        await self.let.wait()
        self.kept += delivered

    async def keep_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        raise AssertionError("no dead letters here")


async def test_a_delivery_under_way_is_finished_when_the_daemon_stops(tmp_path: Path) -> None:
    """The daemon stops while a commit is pending, and the sender still gets its answer."""
    inbox, body = WaitingInbox(), webhook(alert())
    async with served(tmp_path, inbox, FakeOperations()) as port:
        reader, writer = await asyncio.open_connection(port.host, port.port)
        headers = "".join(f"{name}: {value}\r\n" for name, value in WEBHOOK.items())
        writer.write(
            f"POST /alertmanager HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body
        )
        await inbox.asked.wait()
        asyncio.get_running_loop().call_later(0.2, inbox.let.set)

    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    assert len(inbox.kept) == 1
    writer.close()
    await writer.wait_closed()


async def test_a_request_that_is_no_http_is_told_in_a_line_without_its_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever reaches the port does not write the log full, and a token in a broken header does not get into it."""
    async with served(tmp_path, WaitingInbox(), FakeOperations()) as port:
        reader, writer = await asyncio.open_connection(port.host, port.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer hunter2\x00\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.0 400")
        writer.close()
        await writer.wait_closed()
    written = "".join(capsys.readouterr())
    assert "request is not HTTP" in written
    assert "hunter2" not in written
    assert "Traceback" not in written
