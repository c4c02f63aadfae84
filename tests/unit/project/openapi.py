"""Write docs/openapi.json: the document that a daemon serves, made from the same table of routes."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import NoReturn

import msgspec

from kintsugi.model.records import DeadLetter, Signal
from kintsugi.server.api import Api
from kintsugi.server.health import Health, Readiness
from kintsugi.server.openapi import Json, Route, document
from kintsugi.server.responses import Component
from kintsugi.server.routes import all_routes, documented, health_routes
from kintsugi.server.webhook import WebhookHandler
from kintsugi.settings import ServerSettings
from kintsugi.sources.alertmanager import decode
from kintsugi.telemetry import LoopHeartbeat, Metrics
from tests.integration.operations_double import FakeOperations
from tests.unit.project.tree import ROOT

FILE = ROOT / "docs" / "openapi.json"


class DescribedInbox:
    """An inbox for a port that is only described."""

    async def accept(self, delivered: Sequence[Signal], now: datetime) -> NoReturn:
        """Refuse: nobody delivers."""
        raise AssertionError("nobody delivers here")

    async def keep_dead_letters(self, letters: Sequence[DeadLetter]) -> NoReturn:
        """Refuse: nobody delivers."""
        raise AssertionError("nobody delivers here")


async def routes() -> tuple[tuple[Route, ...], tuple[Route, ...]]:
    """Return every route of both ports."""
    metrics = Metrics()

    async def nothing() -> Collection[Component]:
        return ()

    health = Health(LoopHeartbeat(metrics.event_loop_lag.observe), nothing, metrics, standstill=1)
    intake = WebhookHandler(
        ServerSettings(), DescribedInbox(), decode, metrics=metrics, clock=lambda: datetime.now(UTC)
    )
    of_health = health_routes(health)
    operations = FakeOperations()
    return documented(all_routes(intake, Api(operations, decode, Readiness({}), operations)), of_health), of_health


async def made() -> Json:
    """Make the document."""
    return document(*await routes())


def main() -> None:
    """Write it down."""
    FILE.write_bytes(msgspec.json.format(msgspec.json.encode(asyncio.run(made())), indent=2) + b"\n")


if __name__ == "__main__":
    main()
