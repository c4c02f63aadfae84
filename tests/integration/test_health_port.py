"""Health and metrics on a port of their own: who fills the other one, or stops the event loop, cannot hide it."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

import aiohttp
import msgspec
import pytest

from kintsugi.errors import UsageError
from kintsugi.ledger import Ledger
from kintsugi.server.health import Health
from kintsugi.server.ports import serve_health
from kintsugi.server.responses import Component
from kintsugi.settings import HealthSettings
from kintsugi.telemetry import LoopHeartbeat, Metrics
from tests.harness.waiting import eventually
from tests.integration.intake_server import PATIENT, STANDSTILL, WEBHOOK, Served, request, served
from tests.integration.operations_double import FakeOperations
from tests.unit.sources.webhooks import alert, webhook

DIRECT = build_opener(ProxyHandler({}))
ANYWHERE = HealthSettings(host="127.0.0.1", port=0)
FEW = replace(PATIENT, max_connections=20, header_timeout=timedelta(minutes=5), idle_timeout=timedelta(minutes=5))


@asynccontextmanager
async def port_for_few(folder: Path, ledger: Ledger) -> AsyncIterator[Served]:
    """Serve a port with room for few connections, which it never gives up by itself."""
    async with served(folder, ledger.signals, FakeOperations(), settings=FEW) as port:
        yield port


@contextmanager
def held(port: Served, connections: int, peer: str) -> Iterator[None]:
    """Hold connections from one address on which nothing is said."""
    with ExitStack() as opened:
        for _ in range(connections):
            one = socket.create_connection((port.host, port.port), 20, source_address=(peer, 0))
            opened.enter_context(closing(one))
        yield


def ask(url: str) -> tuple[int, Any]:
    """Ask, from the thread that this is called in."""
    try:
        with DIRECT.open(url, timeout=30) as answer:
            return answer.status, msgspec.json.decode(answer.read())
    except HTTPError as error:
        return error.code, msgspec.json.decode(error.read())


async def deliver(port: Served, peer: str) -> int:
    """Deliver an alert from an address; 0 when there is no connection to be had."""
    connector = aiohttp.TCPConnector(local_addr=(peer, 0))
    async with aiohttp.ClientSession(connector=connector) as client:
        try:
            async with client.post(f"{port.url}/alertmanager", data=webhook(alert()), headers=WEBHOOK) as answer:
                return answer.status
        except (aiohttp.ClientError, OSError):
            return 0


def kept_alive(host: str, port: int, peer: str) -> socket.socket:
    """Ask for something that needs no token, and keep the connection."""
    one = socket.create_connection((host, port), 20, source_address=(peer, 0))
    one.settimeout(20)
    assert answered(one)
    return one


def answered(connection: socket.socket) -> bool:
    """Ask on a connection that is open; return whether there is an answer."""
    try:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: kintsugi\r\n\r\n")
        return connection.recv(5) == b"HTTP/" and b"\r\n\r\n" in connection.recv(65536)
    except ConnectionError:
        return False


async def test_a_peer_that_takes_all_connections_keeps_neither_a_webhook_nor_the_kubelet_out(
    tmp_path: Path, ledger: Ledger
) -> None:
    """A15: one address holds at most half, and health has a port of its own."""
    async with port_for_few(tmp_path, ledger) as port:
        other = await asyncio.to_thread(kept_alive, port.host, port.port, "127.0.0.3")
        with closing(other), held(port, 60, "127.0.0.2"):
            assert await asyncio.to_thread(answered, other), "a connection of another address had to go"
            assert await deliver(port, "127.0.0.3") == 200
            assert (await asyncio.to_thread(ask, f"{port.health}/healthz"))[0] == 200


@pytest.mark.parametrize("peer", ["127.0.0.2", "127.0.0.4"], ids=["of the same address", "of another one"])
async def test_idle_connections_that_take_all_places_keep_no_webhook_out(
    tmp_path: Path, ledger: Ledger, peer: str
) -> None:
    """A15: behind a side-car or a translated address all peers are one."""
    async with port_for_few(tmp_path, ledger) as port:
        with held(port, 60, "127.0.0.2"), held(port, 60, "127.0.0.3"):
            assert await deliver(port, peer) == 200
            assert (await asyncio.to_thread(ask, f"{port.health}/healthz"))[0] == 200


async def test_an_idle_connection_of_an_address_that_has_shown_a_token_outlasts_strangers(
    tmp_path: Path, ledger: Ledger
) -> None:
    """A15: Alertmanager keeps its connection for the next delivery."""
    async with port_for_few(tmp_path, ledger) as port:
        assert await deliver(port, "127.0.0.9") == 200
        own = await asyncio.to_thread(kept_alive, port.host, port.port, "127.0.0.9")
        with closing(own), held(port, 60, "127.0.0.2"), held(port, 60, "127.0.0.3"), held(port, 60, "127.0.0.4"):
            assert await asyncio.to_thread(answered, own)


async def test_a_request_under_way_keeps_its_connection(tmp_path: Path, ledger: Ledger) -> None:
    """A15: whoever comes later ends no delivery."""
    body = webhook(alert())
    head = request({**WEBHOOK, "Content-Length": len(body)})
    async with port_for_few(tmp_path, ledger) as port:
        slow = socket.create_connection((port.host, port.port), 20, source_address=("127.0.0.2", 0))
        with closing(slow):
            slow.settimeout(20)
            slow.sendall(head + body[:10])
            later = await asyncio.to_thread(kept_alive, port.host, port.port, "127.0.0.5")
            with closing(later), held(port, 60, "127.0.0.2"), held(port, 60, "127.0.0.3"), held(port, 60, "127.0.0.4"):
                assert await deliver(port, "127.0.0.6") == 200
                slow.sendall(body[10:])
                assert (await asyncio.to_thread(slow.recv, 15)).startswith(b"HTTP/1.1 200")


async def test_an_event_loop_that_stands_still_is_seen_while_it_does(tmp_path: Path, ledger: Ledger) -> None:
    """C6: whatever computes on the daemon's loop, who asks for its health is answered, and no longer that it is alive."""
    async with served(tmp_path, ledger.signals, FakeOperations()) as port:
        status, said = await asyncio.to_thread(ask, f"{port.health}/healthz")
        assert (status, said["alive"]) == (200, True)

        probe_context = AskedUntilDead()
        asked = asyncio.get_running_loop().run_in_executor(None, probe_context, port.health)
        until = time.monotonic() + 20 * STANDSTILL
        while not probe_context.over and time.monotonic() < until:
            time.sleep(0.05)  # the loop itself stands still  # noqa: ASYNC251
        status, said, ready = await asked

        assert (status, said["alive"]) == (503, False)
        assert said["stood_still_seconds"] >= STANDSTILL  # it is told in whole milliseconds
        assert ready == (503, {"ready": False, "waiting_for": ["event-loop"]})
        await eventually(lambda: ask(f"{port.health}/healthz")[0] == 200, within=20)


class AskedUntilDead:
    """Asks again and again; `over` once the answer was not 200."""

    def __init__(self) -> None:
        self.over = False

    def __call__(self, health: str) -> tuple[int, Any, tuple[int, Any]]:
        """Return the first answer that is not 200, and what is then said of readiness."""
        try:
            until = time.monotonic() + 10 * STANDSTILL
            status, said = ask(f"{health}/healthz")
            while status == 200 and time.monotonic() < until:
                time.sleep(0.1)
                status, said = ask(f"{health}/healthz")
            return status, said, ask(f"{health}/readyz")
        finally:
            self.over = True


async def test_however_often_strangers_ask_the_ledger_is_asked_once_a_second(tmp_path: Path, ledger: Ledger) -> None:
    """A15: without a token nobody uses up the ledger's connections."""
    looks = 0

    async def look() -> str:
        nonlocal looks
        looks += 1
        return ""

    async with served(tmp_path, ledger.signals, FakeOperations(), checks={Component.LEDGER: look}) as port:

        async def ready() -> int:
            async with port.client.get(f"{port.health}/readyz") as answer:
                return answer.status

        began = time.monotonic()
        statuses = [await ready() for _ in range(200)] + await asyncio.gather(*(ready() for _ in range(20)))
        seconds = time.monotonic() - began
    assert set(statuses) == {200}
    assert 1 <= looks <= seconds + 1


async def test_the_health_port_and_the_other_share_no_route(tmp_path: Path, ledger: Ledger) -> None:
    async with served(tmp_path, ledger.signals, FakeOperations()) as port:
        for url in (f"{port.url}/healthz", f"{port.url}/readyz", f"{port.url}/metrics", f"{port.health}/api/v1/pauses"):
            async with port.client.get(url) as answer:
                assert answer.status == 404


async def test_a_health_port_that_is_taken_is_named() -> None:
    metrics = Metrics()

    async def nothing() -> tuple[Component, ...]:
        return ()

    health = Health(LoopHeartbeat(metrics.event_loop_lag.observe), nothing, metrics, standstill=STANDSTILL)
    async with serve_health(ANYWHERE, health) as open_one:
        taken = replace(ANYWHERE, port=open_one.port)
        with pytest.raises(UsageError, match=rf"health.port: cannot listen on 127.0.0.1:{open_one.port}: .*in use"):
            async with serve_health(taken, health):
                pass
