"""
The webhook's port in a process of its own, to be loaded and killed from another.

`python -m tests.integration.intake_process LEDGER_URL` prints the port that it listens on and serves until it is killed.
"""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

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
def intake_process(ledger: str) -> Iterator[IntakeProcess]:
    """Start one on a ledger's URL, and wait until it listens; it is killed at the end."""
    with started("tests.integration.intake_process", ledger) as process:
        yield IntakeProcess(pid=process.pid, port=process.port)


async def _serve(url: str) -> None:
    settings, metrics = ServerSettings(host="127.0.0.1", port=0), Metrics()
    async with Ledger.open(url, holder="intake under test") as ledger:
        intake = WebhookHandler(settings, ledger.signals, decode, metrics=metrics, clock=lambda: datetime.now(UTC))
        gate = AuthMiddleware(Authenticator(TokenFiles([]), TokenFiles([], named=True), open_webhook=True), metrics)
        async with serve(
            settings, gate, (Route("POST", "/alertmanager", Action.DELIVER, intake.receive, DELIVER),)
        ) as listening:
            print(listening.port, flush=True)
            await asyncio.Event().wait()


if __name__ == "__main__":
    configure_logging(level="warning", format="console")
    asyncio.run(_serve(sys.argv[1]))
