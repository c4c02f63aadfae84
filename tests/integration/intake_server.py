"""The daemon's HTTP port with a real ledger behind it, served over TCP for one test."""

import asyncio
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import aiohttp

from kintsugi.ledger import DeliveryInbox, Ledger
from kintsugi.model.records import DeadLetter, Signal
from kintsugi.server.api import Api, Operations, RouteTester
from kintsugi.server.authentication import Authenticator, TokenFiles
from kintsugi.server.health import Check, Health, Readiness, asked_on
from kintsugi.server.ports import serve, serve_health
from kintsugi.server.responses import Component
from kintsugi.server.routes import AuthMiddleware, all_routes, documented, health_routes
from kintsugi.server.webhook import WebhookHandler
from kintsugi.settings import HealthSettings, ServerSettings
from kintsugi.sources.alertmanager import decode
from kintsugi.telemetry import LoopHeartbeat, Metrics
from tests.harness import ledgers

WEBHOOK = {"Authorization": "Bearer the-webhooks-token", "Content-Type": "application/json"}
OPERATOR = {"Authorization": "Bearer the-operators-token"}
ANA = {"Authorization": "Bearer the-token-of-ana"}
STANDSTILL = 5.0
"""Seconds that the event loop of a test may stand still before it counts as dead."""

PATIENT = ServerSettings(
    host="127.0.0.1",
    port=0,
    commit_wait=timedelta(minutes=1),
    header_timeout=timedelta(minutes=1),
    body_timeout=timedelta(minutes=1),
)
"""Settings with more patience than any client of a test has: what it is answered is not for want of time."""


@dataclass(kw_only=True)
class Served:
    """A running port: where it is, what is behind it, and how often the poller was woken."""

    host: str
    port: int
    health: str
    client: aiohttp.ClientSession
    metrics: Metrics
    token_file: Path
    woken: list[datetime]

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def post(self, body: bytes, headers: Mapping[str, str] = WEBHOOK) -> int:
        """Deliver a body and give the status of the answer."""
        async with self.client.post(f"{self.url}/alertmanager", data=io.BytesIO(body), headers=headers) as answer:
            await answer.read()
            return answer.status

    def count(self, metric: str, **labels: str) -> float:
        """Read one of the metrics."""
        return self.metrics.registry.get_sample_value(metric, labels) or 0.0


class FaultyInbox:
    """A real ledger that is away, or refuses one caller's rows, while it has an error, and hangs until it `answers`."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.error: Exception | None = None
        self.answers = asyncio.Event()
        self.answers.set()
        self.calls = 0

    async def accept(self, delivered: Sequence[Signal], now: datetime) -> None:
        await self.asked()
        await self.ledger.signals.accept(delivered, now)

    async def keep_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        await self.asked()
        await self.ledger.signals.keep_dead_letters(letters)

    async def asked(self) -> None:
        """Count, and fail or hang as it was told to."""
        self.calls += 1
        await self.answers.wait()
        if self.error is not None:
            raise self.error


def request(headers: Mapping[str, str | int]) -> bytes:
    """Write the head of a delivery."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /alertmanager HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode()


class AllOperations(Operations, RouteTester, Protocol):
    """All that the API does."""


@asynccontextmanager
async def served(
    folder: Path,
    inbox: DeliveryInbox,
    operations: AllOperations,
    *,
    settings: ServerSettings = PATIENT,
    checks: Mapping[Component, Check] | None = None,
    polled: bool = True,
) -> AsyncIterator[Served]:
    """Serve all routes on a free port of this machine; `polled` says whether there is a poller to be woken."""
    webhook, operators = folder / "webhook-token", folder / "operator-tokens"
    webhook.write_text("the-webhooks-token\n", encoding="utf-8")
    operators.write_text("the-operators-token\nana:the-token-of-ana\n", encoding="utf-8")
    metrics = Metrics()
    woken: list[datetime] = []
    intake = WebhookHandler(
        settings,
        inbox,
        decode,
        metrics=metrics,
        clock=lambda: datetime.now(UTC),
        on_incomplete=(lambda: woken.append(datetime.now(UTC))) if polled else None,
    )
    gate = AuthMiddleware(Authenticator(TokenFiles([webhook]), TokenFiles([operators], named=True)), metrics)
    readiness = Readiness(checks or {})
    waiting_for = asked_on(asyncio.get_running_loop(), readiness)
    heartbeat = LoopHeartbeat(metrics.event_loop_lag.observe)
    health = Health(heartbeat, waiting_for, metrics, standstill=STANDSTILL)
    routes = documented(all_routes(intake, Api(operations, decode, readiness, operations)), health_routes(health))
    async with (
        beating(heartbeat),
        serve_health(HealthSettings(host="127.0.0.1", port=0), health) as on_health,
        serve(settings, gate, routes) as listening,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client,
    ):
        port = Served(
            host=listening.host,
            port=listening.port,
            health=on_health.url,
            client=client,
            metrics=metrics,
            token_file=webhook,
            woken=woken,
        )
        yield port


@asynccontextmanager
async def beating(heartbeat: LoopHeartbeat) -> AsyncIterator[None]:
    """Let this event loop beat, as the daemon's does."""
    task = asyncio.create_task(heartbeat.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def sqlite(folder: Path) -> str:
    """Return the URL of a ledger in a folder."""
    return ledgers.url_of(folder / "ledger.db")


@asynccontextmanager
async def ledger_in(folder: Path) -> AsyncIterator[Ledger]:
    """Open a ledger of this test's own, the one in this folder if there is one."""
    file = folder / "ledger.db"
    if not file.exists():
        file.write_bytes(ledgers.content())
    async with Ledger.open(sqlite(folder), holder="test") as ledger:
        yield ledger
