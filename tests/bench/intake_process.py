"""
The webhook's port in a process of its own, to be loaded and killed from another.

`python -m tests.bench.intake_process LEDGER_URL` prints the port that it listens on and serves until it is killed;
with `bare` in place of the URL it serves an empty aiohttp handler instead, which is what the figures are compared with.
"""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web

from kintsugi.ledger import Ledger
from kintsugi.server.authentication import Action, Authenticator, TokenFiles
from kintsugi.server.openapi import Route
from kintsugi.server.ports import serve
from kintsugi.server.routes import DELIVER, AuthMiddleware
from kintsugi.server.webhook import WebhookHandler
from kintsugi.settings import ServerSettings
from kintsugi.sources.alertmanager import decode
from kintsugi.telemetry import Metrics, configure_logging
from tests.bench.process import ListeningProcess, peak_memory, started


@dataclass(frozen=True, kw_only=True)
class IntakeProcess(ListeningProcess):
    """A process that serves the webhook."""

    @property
    def url(self) -> str:
        """Return the address of the webhook."""
        return f"http://127.0.0.1:{self.port}/alertmanager"

    def memory(self) -> int:
        """Return the most bytes of memory that it has held."""
        return peak_memory(self.pid)


@contextmanager
def intake_process(ledger: str, *, core: int | None = None) -> Iterator[IntakeProcess]:
    """Start one on a ledger's URL (or `bare`), pinned to a core, and wait until it listens; it is killed at the end."""
    with started("tests.bench.intake_process", ledger, core=core) as process:
        yield IntakeProcess(pid=process.pid, port=process.port)


async def _serve_ledger(url: str) -> None:
    settings, metrics = ServerSettings(host="127.0.0.1", port=0), Metrics()
    async with Ledger.open(url, holder="intake under test") as ledger:
        intake = WebhookHandler(settings, ledger.signals, decode, metrics=metrics, clock=lambda: datetime.now(UTC))
        gate = AuthMiddleware(Authenticator(TokenFiles([]), TokenFiles([], named=True), open_webhook=True), metrics)
        async with serve(
            settings, gate, (Route("POST", "/alertmanager", Action.DELIVER, intake.receive, DELIVER),)
        ) as listening:
            print(listening.port, flush=True)
            await asyncio.Event().wait()


async def _serve_bare() -> None:
    async def take(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=b"{}")

    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/alertmanager", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    configure_logging(level="warning", format="console")
    asyncio.run(_serve_bare() if sys.argv[1] == "bare" else _serve_ledger(sys.argv[1]))
