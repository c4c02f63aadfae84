"""Clients that lie about lengths, never finish, have no token or too many connections cost nothing and reach nothing."""

import asyncio
import gzip
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from kintsugi.ledger import Ledger
from tests.harness.ledgers import newest_dead_letters
from tests.integration.intake_server import PATIENT, WEBHOOK, Served, request, served
from tests.integration.operations_double import FakeOperations
from tests.unit.sources.webhooks import alert, webhook

SECOND = timedelta(seconds=1)
LIMIT = 200_000
NARROW = replace(PATIENT, max_body=LIMIT, max_body_memory=2 * LIMIT)
HURRIED = replace(
    NARROW, header_timeout=3 * SECOND, body_timeout=2 * SECOND, idle_timeout=2 * SECOND, max_connections=50
)


@pytest.fixture
async def port(tmp_path: Path, ledger: Ledger) -> AsyncIterator[Served]:
    async with served(tmp_path, ledger.signals, FakeOperations(), settings=NARROW) as port:
        yield port


@pytest.fixture
async def hurried(tmp_path: Path, ledger: Ledger) -> AsyncIterator[Served]:
    """Serve with less patience than a client of this test has: it sees the time being over."""
    async with served(tmp_path, ledger.signals, FakeOperations(), settings=HURRIED) as port:
        yield port


class Raw:
    """One TCP connection on which anything may be said."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def say(self, data: bytes) -> None:
        """Send bytes; a connection that was closed meanwhile is no fault of the test."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError:
            return

    async def hear(self, within: float = 60) -> bytes:
        """Return the next line of the answer with its end, empty when the connection is closed."""
        async with asyncio.timeout(within):
            try:
                return await self._reader.readline()
            except ConnectionError:
                return b""


@asynccontextmanager
async def connected(port: Served) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection(port.host, port.port)
    try:
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


async def test_without_a_token_the_body_is_not_waited_for(port: Served) -> None:
    """Covers A8: the answer comes although of a gigabyte nothing was sent."""
    async with connected(port) as client:
        await client.say(request({"Content-Length": 10**9, "Content-Type": "application/json"}))

        assert (await client.hear()).startswith(b"HTTP/1.1 401")


async def test_without_a_token_nobody_is_invited_to_send(port: Served) -> None:
    async with connected(port) as client:
        await client.say(request({"Content-Length": 10, "Expect": "100-continue", "Content-Type": "application/json"}))
        assert (await client.hear()).startswith(b"HTTP/1.1 401")

    async with connected(port) as client:
        await client.say(request({**WEBHOOK, "Content-Length": 10, "Expect": "100-continue"}))
        assert (await client.hear()).startswith(b"HTTP/1.1 100")


async def test_a_refused_body_without_end_is_soon_cut_off(port: Served, ledger: Ledger) -> None:
    async with connected(port) as client:
        await client.say(request({"Transfer-Encoding": "chunked", "Content-Type": "application/json"}))
        assert (await client.hear()).startswith(b"HTTP/1.1 401")
        async with asyncio.timeout(60):
            while await client.hear():
                await client.say(b"1000\r\n" + b"x" * 4096 + b"\r\n")
    assert await newest_dead_letters(ledger) == ()


async def test_compressed_bodies_without_a_token_are_not_unpacked(port: Served) -> None:
    """Covers A8: these twenty unpack to more than two gigabytes, which takes seconds."""
    packed = gzip.compress(bytes(128 * 1024**2))
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json", "Connection": "close"}

    async def send() -> bytes:
        async with connected(port) as client:
            await client.say(request({**headers, "Content-Length": len(packed)}) + packed)
            status = await client.hear()
            while await client.hear():
                pass
            return status

    began = time.process_time()
    answers = await asyncio.gather(*(send() for _ in range(20)))

    assert time.process_time() - began < 1
    assert all(answer.startswith(b"HTTP/1.1 401") for answer in answers)


async def test_a_connection_whose_body_was_refused_takes_no_further_request(port: Served) -> None:
    """Covers A8: nothing is understood of what still comes, and the answer says so."""
    async with connected(port) as client:
        await client.say(request({"Content-Length": 2, "Content-Type": "application/json"}))
        heard = [await client.hear()]
        while heard[-1] != b"\r\n":
            heard.append(await client.hear())
        await client.say(b"{}" + request({**WEBHOOK, "Content-Length": 2}) + b"{}")

        assert heard[0].startswith(b"HTTP/1.1 401")
        assert b"Connection: close\r\n" in heard
        while line := await client.hear():
            assert b"HTTP/1.1" not in line


@pytest.mark.parametrize(
    "authorization", [b"Bearer \xff\xfe\x80", "Bearer tökén".encode(), b"Bearer", b"Basic eA==", b"\t", b"Bearer a b c"]
)
async def test_an_odd_authorization_is_a_401_and_nothing_else(port: Served, authorization: bytes) -> None:
    """Covers A10."""
    async with connected(port) as client:
        await client.say(
            request({"Content-Length": 2}).replace(b"\r\n\r\n", b"\r\nAuthorization: " + authorization + b"\r\n\r\n{}")
        )

        assert (await client.hear()).startswith(b"HTTP/1.1 401")


async def test_a_body_that_announces_too_much_is_a_413_at_once(port: Served) -> None:
    """Covers A6: counted, and we poll, for Alertmanager will never send it smaller."""
    async with connected(port) as client:
        await client.say(request({**WEBHOOK, "Content-Length": LIMIT + 1}))

        assert (await client.hear()).startswith(b"HTTP/1.1 413")
    assert len(port.woken) == 1
    assert port.count("kintsugi_webhook_answers_total", status="413") == 1


async def test_a_chunked_body_without_end_is_a_413_as_soon_as_it_is_too_large(port: Served) -> None:
    """Covers A6: the limit holds while reading."""
    async with connected(port) as client:
        await client.say(request({**WEBHOOK, "Transfer-Encoding": "chunked"}))
        for _ in range(LIMIT // 4096 + 2):
            await client.say(b"1000\r\n" + b"x" * 4096 + b"\r\n")

        assert (await client.hear()).startswith(b"HTTP/1.1 413")


async def test_bodies_that_together_take_too_much_memory_come_again(port: Served) -> None:
    """Covers A4: with room for two bodies a third is answered 503, and room is made again."""
    body = webhook(alert())
    body += b" " * (LIMIT - len(body))
    async with connected(port) as one, connected(port) as two:
        for client in (one, two):
            await client.say(request({**WEBHOOK, "Content-Length": LIMIT}) + body[:-1])
        statuses = [await port.post(body)]
        for client in (one, two):
            await client.say(body[-1:])
            assert (await client.hear()).startswith(b"HTTP/1.1 200")
    statuses.append(await port.post(body))

    assert statuses == [503, 200]


async def test_a_body_that_does_not_arrive_is_not_waited_for(hurried: Served) -> None:
    """Covers A15; 503 because the sender may have better luck the next time."""
    async with connected(hurried) as client:
        began = time.monotonic()
        await client.say(request({**WEBHOOK, "Content-Length": 100}) + b"{")

        assert (await client.hear()).startswith(b"HTTP/1.1 503")
        assert time.monotonic() - began > 1.9


@pytest.mark.parametrize("said", [b"", b"POST /alertmanager HT", b"POST /alertmanager HTTP/1.1\r\nX: y\r\n"])
async def test_a_connection_that_says_nothing_whole_is_closed(hurried: Served, said: bytes) -> None:
    """Covers A15."""
    async with connected(hurried) as client:
        await client.say(said)

        assert await client.hear() == b""


async def test_a_header_that_drips_is_closed_although_it_never_pauses(hurried: Served) -> None:
    """Covers A15: slowloris."""
    async with connected(hurried) as client:
        await client.say(b"POST /alertmanager HTTP/1.1\r\nX: ")
        hearing = asyncio.create_task(client.hear())
        while not hearing.done():
            await client.say(b"y")
            await asyncio.sleep(0.05)  # the drip itself

        assert await hearing == b""


async def test_a_connection_between_two_deliveries_is_kept_for_a_while_only(hurried: Served) -> None:
    async with connected(hurried) as client:
        began = time.monotonic()
        await client.say(request({**WEBHOOK, "Content-Length": 2}) + b"{}")
        assert (await client.hear()).startswith(b"HTTP/1.1 400")
        while await client.hear():
            pass

        assert time.monotonic() - began > 1.9


async def test_a_request_that_is_no_http_is_told_in_a_line_without_its_bytes(
    port: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever reaches the port does not write the log full, and a token in a broken header does not get into it."""
    async with connected(port) as client:
        await client.say(b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer hunter2\x00\r\n\r\n")
        assert (await client.hear()).startswith(b"HTTP/1.0 400")
    written = "".join(capsys.readouterr())
    assert "request is not HTTP" in written
    assert "hunter2" not in written
    assert "Traceback" not in written
