"""
The daemon's ears and voice: the two HTTP ports, the poll of Alertmanager, the notifier.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import aiohttp

from kintsugi.app.core import Core
from kintsugi.app.lifecycle import Lifecycle
from kintsugi.ledger import Accepted
from kintsugi.model.records import DeadLetter, Signal, SignalSource
from kintsugi.notifier import Notifier
from kintsugi.pipeline.explaining import Explaining
from kintsugi.pipeline.operations import Deeds
from kintsugi.server.api import Api
from kintsugi.server.authentication import Authentication, TokenFiles
from kintsugi.server.health import Health, asked_on
from kintsugi.server.health_port import serve_health
from kintsugi.server.http import serve
from kintsugi.server.intake import Intake
from kintsugi.server.readiness import Component, Readiness
from kintsugi.server.routes import Gate, all_routes, documented, health_routes
from kintsugi.settings import Settings
from kintsugi.sources.alertmanager import Delivery, decode
from kintsugi.sources.alertmanager_api import AlertmanagerApi
from kintsugi.sources.dead_letters import read_again
from kintsugi.sources.poll import Poller
from kintsugi.telemetry import LoopHeartbeat, Metrics, get_logger

log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class ListenAddresses:
    """Where the daemon is reached: `server` takes webhooks and has the API, `health` is for the kubelet and Prometheus."""

    server: str
    health: str


async def serve_on(
    settings: Settings, core: Core, metrics: Metrics, heartbeat: LoopHeartbeat, life: Lifecycle
) -> ListenAddresses:
    """Open both ports; poll and notify where an address is given."""
    readiness = Readiness(
        {
            Component.LEDGER: lambda: answers(core),
            Component.CLOCK: lambda: keeps_time(core),
            Component.CACHES: lambda: sees(core),
        }
    )
    health = health_of(settings, readiness, metrics, heartbeat)
    on_health = await life.enter("health", serve_health(settings.health, health))

    def read(body: bytes, now: datetime) -> Delivery:
        return decode(body, now, timed=core.clock.trusted)

    intake = Intake(settings.server, Waking(core), read, metrics=metrics, clock=core.clock.now)
    session = await life.enter("http client", aiohttp.ClientSession(trust_env=False))
    if settings.alertmanager.url is not None:
        api = AlertmanagerApi(settings.alertmanager, session)
        poller = Poller(
            settings.alertmanager, api, Waking(core), metrics, core.clock.now, blind=lambda: core.clock.problem
        )
        intake.on_incomplete = poller.wake
        core.world.silences = poller
        life.spawn("poll", poller.run())
    else:
        log.warning(
            "Alertmanager is not polled: a delivery that is lost, refused or cut short stays unknown, and so does an end",
            set="alertmanager.url",
        )
    if settings.notifications.url is not None:
        life.spawn(
            "notifier",
            Notifier(settings.notifications, core.ledger, session, metrics=metrics, clock=core.clock.now).run(),
        )
    routes = documented(all_routes(intake, Api(deeds(core), decode, readiness)), health_routes(health))
    authentication = Authentication(
        TokenFiles(settings.alertmanager.token_files),
        TokenFiles(settings.server.operator_token_files, named=True),
        open_webhook=settings.server.insecure_no_token,
    )
    listening = await life.enter("server", serve(settings.server, Gate(authentication, metrics), routes))
    return ListenAddresses(server=listening.url, health=on_health.url)


def health_of(settings: Settings, readiness: Readiness, metrics: Metrics, heartbeat: LoopHeartbeat) -> Health:
    """Make what answers the kubelet and Prometheus, about the loop that this is called on."""
    return Health(
        heartbeat,
        asked_on(asyncio.get_running_loop(), readiness),
        metrics,
        standstill=settings.health.standstill.total_seconds(),
    )


class Waking:
    """The ledger's inbox, which wakes the pipeline once something new is committed."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def accept(self, delivered: Sequence[Signal], now: datetime) -> Accepted:
        """Commit signals, then have them judged."""
        accepted = await self._core.ledger.accept(delivered, now)
        self._core.pipeline.wake()
        return accepted

    async def keep_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Keep what could not be understood."""
        await self._core.ledger.keep_dead_letters(letters)

    async def firing(self, *sources: SignalSource) -> tuple[Signal, ...]:
        """Give the open episodes of these sources."""
        return await self._core.ledger.firing(*sources)


def deeds(core: Core) -> Deeds:
    """Bind what people may do to the daemon's parts."""
    explaining = Explaining(core.ledger, core.in_force, core.world, core.targets, core.services, core.roster)
    return Deeds(
        ledger=core.ledger,
        in_force=core.in_force,
        world=core.world,
        roster=core.roster,
        pipeline=core.pipeline,
        explaining=explaining,
        drilling=core.drilling,
        read_again=read_again,
    )


async def answers(core: Core) -> str:
    """Say whether the ledger answers."""
    await core.ledger.ping()
    return ""


async def keeps_time(core: Core) -> str:
    """Return whether the clock can be trusted."""
    return core.services.clock_problem


async def sees(core: Core) -> str:
    """Return whether the caches can be trusted, where it is not the clock that makes the daemon blind."""
    return "" if core.services.clock_problem else core.services.blind
