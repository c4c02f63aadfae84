"""
The webhook's port in a process of its own, to be loaded and killed from another.

`python -m tests.bench.intake_process LEDGER_URL` prints the port that it listens on and serves until it is killed;
with `bare` in place of the URL it serves an empty aiohttp handler instead, which is what the figures are compared with.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from kintsugi.ledger import Ledger
from kintsugi.server.authentication import Action, Authentication, TokenFiles
from kintsugi.server.http import serve
from kintsugi.server.intake import Intake
from kintsugi.server.routes import Gate, Route
from kintsugi.settings import ServerSettings
from kintsugi.sources.alertmanager import decode
from kintsugi.telemetry import Metrics, configure_logging

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class IntakeProcess:
    """A process that serves the webhook."""

    pid: int
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/alertmanager"

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it as a lost node would: without a last word."""
        os.kill(self.pid, signal.SIGKILL)

    def memory(self) -> int:
        """Give the most bytes of memory that it has held."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return int(status.split("VmHWM:")[1].split()[0]) * 1024


@contextmanager
def intake_process(ledger: str, *, core: int | None = None) -> Iterator[IntakeProcess]:
    """Start one on a ledger's URL (or `bare`), pinned to a core, and wait until it listens; it is killed at the end."""
    pinned = ["taskset", "-c", str(core)] if core is not None else []
    environment = os.environ | {"PYTHONPATH": f"{_ROOT / 'daemon'}:{_ROOT}"}
    with subprocess.Popen(
        [*pinned, sys.executable, "-m", "tests.bench.intake_process", ledger],
        cwd=_ROOT,
        env=environment,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.strip():
                raise AssertionError(f"the intake did not start: exit code {process.wait(10)}")
            yield IntakeProcess(pid=process.pid, port=int(line))
        finally:
            process.kill()


async def _serve_ledger(url: str) -> None:
    settings, metrics = ServerSettings(host="127.0.0.1", port=0), Metrics()
    async with Ledger.open(url, holder="intake under test") as ledger:
        intake = Intake(settings, ledger, decode, metrics=metrics, clock=lambda: datetime.now(UTC))
        gate = Gate(Authentication(TokenFiles([]), TokenFiles([], named=True), open_webhook=True), metrics)
        async with serve(
            settings, gate, (Route("POST", "/alertmanager", Action.DELIVER, intake.receive),)
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
