"""Starts the two HTTP ports, the poll of Alertmanager and the notifier."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from kintsugi.app.core import Core
from kintsugi.app.lifecycle import Lifecycle
from kintsugi.console.pages import Console
from kintsugi.console.sessions import ConsoleSessions
from kintsugi.ledger import Accepted
from kintsugi.model.notices import AppriseDestination, Destination, NoticeRoute, SlackChannel
from kintsugi.model.questions import NO_GROUPS, Groups
from kintsugi.model.records import DeadLetter, Delivery, Signal, SignalSource
from kintsugi.notices.notice_texts import NoticeTexts
from kintsugi.notices.notifier import Notifier, Way, Ways, unreachable
from kintsugi.notices.slack import Slack
from kintsugi.notices.webhook import Webhook
from kintsugi.pipeline.affected_services import AffectedServices
from kintsugi.pipeline.explainer import Explainer
from kintsugi.pipeline.operator_service import OperatorService
from kintsugi.pipeline.previews import RollbackPreviewer
from kintsugi.server.api import Api
from kintsugi.server.authentication import Authenticator, TokenFiles
from kintsugi.server.health import Health, Readiness, asked_on
from kintsugi.server.ports import serve, serve_health
from kintsugi.server.responses import Component
from kintsugi.server.routes import AuthMiddleware, all_routes, documented, health_routes
from kintsugi.server.webhook import WebhookHandler
from kintsugi.settings import Settings
from kintsugi.sources.alertmanager import decode, reread
from kintsugi.sources.poll import Poller
from kintsugi.telemetry import LoopHeartbeat, Metrics, get_logger

log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class ListenAddresses:
    """The daemon's addresses: `server` for webhooks and the API, `health` for the kubelet and Prometheus."""

    server: str
    health: str


async def serve_on(
    settings: Settings, core: Core, metrics: Metrics, heartbeat: LoopHeartbeat, life: Lifecycle
) -> ListenAddresses:
    """Open both ports; poll and notify where an address is given."""
    readiness = Readiness(
        {
            Component.LEDGER: lambda: ledger_ready(core),
            Component.CLOCK: lambda: clock_ready(core),
            Component.CACHES: lambda: caches_ready(core),
        }
    )
    health = Health(
        heartbeat,
        asked_on(asyncio.get_running_loop(), readiness),
        metrics,
        standstill=settings.health.standstill.total_seconds(),
    )
    on_health = await life.enter("health", serve_health(settings.health, health))

    def read(body: bytes, now: datetime) -> Delivery:
        return decode(body, now, timed=core.clock.trusted)

    poller = poll(settings, core, metrics, life)
    webhook = WebhookHandler(
        settings.server,
        NotifyingInbox(core),
        read,
        metrics=metrics,
        clock=core.clock.now,
        on_incomplete=poller.wake if poller is not None else None,
    )
    service = operator_service(core, settings.operators.groups, settings.cluster_name)
    notifier = notify(settings, core, service, metrics, life)
    core.outages.activities = service.activities
    routes = documented(all_routes(webhook, Api(service, decode, readiness, notifier)), health_routes(health))
    operators = TokenFiles(settings.server.operator_token_files, named=True)
    authentication = Authenticator(
        TokenFiles(settings.alertmanager.token_files), operators, open_webhook=settings.server.insecure_no_token
    )
    console = Console(
        service,
        ConsoleSessions(operators.holder_of, core.clock.now),
        clock=core.clock.now,
        is_secure=settings.server.is_secure,
        cluster_name=settings.cluster_name,
    )
    listening = await life.enter(
        "server", serve(settings.server, AuthMiddleware(authentication, metrics), routes, console.routes())
    )
    return ListenAddresses(server=listening.url, health=on_health.url)


def notify(settings: Settings, core: Core, service: OperatorService, metrics: Metrics, life: Lifecycle) -> Notifier:
    """Return what sends notices; it sends them on its own where a setting leads to people."""
    chosen, public_url = settings.notifications, settings.server.public_url
    affected = AffectedServices(
        incidents=core.ledger.incidents, active_catalog=core.active_catalog, observed=core.observed
    )
    texts = NoticeTexts(
        incidents=service, clock=core.clock.now, delay=2 * core.diagnoses.within, cluster_name=settings.cluster_name
    )
    ways = Ways(
        webhook=Webhook(chosen.url, chosen, core.session, public_url=public_url).send
        if chosen.url is not None
        else None,
        routes=lambda: core.active_catalog.catalog.notice_routes,
        destination=destinations(settings, core, service, life, affected),
    )
    notifier = Notifier(
        chosen, core.ledger.outbox, ways, metrics=metrics, clock=core.clock.now, complete=texts.complete
    )
    if chosen.are_sent:
        life.spawn("notifier", notifier.run())
    else:
        log.warning(
            "notices not sent: outages are only shown by Events and by kintsugi services",
            set="notifications.url; or a NoticeRoute with notifications.slackTokenFile or notifications.destinationsFile",
        )
    return notifier


def destinations(
    settings: Settings, core: Core, service: OperatorService, life: Lifecycle, affected: AffectedServices
) -> Callable[[NoticeRoute, Destination], Way]:
    """Return what leads to the destinations of routes; each kind is closed where its setting is absent."""
    chosen = settings.notifications
    slack = slack_of(settings, core, service, life) if chosen.slack_token_file is not None else None
    to_others = ways_of_apprise(settings, core, life, affected) if chosen.destinations_file is not None else None

    def way(route: NoticeRoute, destination: Destination) -> Way:
        if isinstance(destination, SlackChannel) and slack is not None:
            return slack.way(route.name, destination.channel)
        if isinstance(destination, AppriseDestination) and to_others is not None:
            return to_others(destination.name, route.template)
        return unreachable(route, destination)

    return way


def slack_of(settings: Settings, core: Core, service: OperatorService, life: Lifecycle) -> Slack:
    """Have messages of Slack kept current and their buttons answered."""
    slack = Slack(
        settings.notifications,
        core.ledger.outbox,
        service,
        clock=core.clock.now,
        public_url=settings.server.public_url,
    )
    life.spawn("messages of Slack", slack.run())
    if settings.notifications.slack_app_token_file is not None:
        life.spawn("answers from Slack", slack.take_answers())
    return slack


def ways_of_apprise(
    settings: Settings, core: Core, life: Lifecycle, affected: AffectedServices
) -> Callable[[str, str], Way]:
    """Have pages closed as their incidents end; return what leads to a destination by its name."""
    from kintsugi.notices.apprise import AppriseSender  # Apprise takes memory, only from those who use it

    sender = AppriseSender(
        settings.notifications,
        core.ledger.outbox,
        is_well=affected.is_well,
        clock=core.clock.now,
        public_url=settings.server.public_url,
    )
    life.spawn("pages", sender.run())
    return sender.way


def poll(settings: Settings, core: Core, metrics: Metrics, life: Lifecycle) -> Poller | None:
    """Poll Alertmanager, where its address is given."""
    if core.alertmanager is None:
        log.warning(
            "alertmanager not polled: lost deliveries and lost ends stay unknown",
            set="alertmanager.url",
        )
        return None
    poller = Poller(
        settings.alertmanager,
        core.alertmanager,
        NotifyingInbox(core),
        metrics,
        core.clock.now,
        stale_reason=lambda: core.clock.problem,
    )
    life.spawn("poll", poller.run())
    return poller


NOT_UNDERSTOOD = (
    "Alertmanager sent alerts that Kintsugi did not understand, or left alerts out of a group. Alertmanager is not polled, so Kintsugi does not know "
    "these alerts. `kintsugi dead-letters` shows the input and the reason"
)


class NotifyingInbox:
    """The pipeline's inbox, which has a person hear of dead letters."""

    def __init__(self, core: Core) -> None:
        self._ledger, self._clock, self._pipeline = core.ledger, core.clock, core.pipeline

    async def accept(self, delivered: Sequence[Signal], now: datetime) -> Accepted:
        """Commit signals, and have them judged."""
        return await self._pipeline.accept(delivered, now)

    async def keep_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Keep deliveries that could not be understood, and leave a notice of it, one an hour."""
        await self._ledger.signals.keep_dead_letters(letters)
        if letters:
            await self._ledger.outbox.put_daemon_notice(NOT_UNDERSTOOD, self._clock.now())

    async def firing(self, *sources: SignalSource) -> tuple[Signal, ...]:
        """Return the open episodes of these sources."""
        return await self._ledger.signals.firing(*sources)


def operator_service(core: Core, groups: Groups = NO_GROUPS, cluster_name: str = "") -> OperatorService:
    """Return the operations of people, bound to the daemon's parts."""
    explainer = Explainer(core.active_catalog, core.observed, core.pipeline.evaluator)
    return OperatorService(
        cluster=core.kube.server,
        cluster_name=cluster_name,
        since=core.clock.now(),
        ledger=core.ledger,
        active_catalog=core.active_catalog,
        observed=core.observed,
        supervisor=core.supervisor,
        pipeline=core.pipeline,
        explainer=explainer,
        drill_scheduler=core.drill_scheduler,
        manual_starts=core.manual_starts,
        reread=lambda letter, now: reread(letter, now, timed=core.clock.trusted),
        diagnoser=core.diagnoser,
        diagnoses=core.diagnoses,
        rollbacks=RollbackPreviewer(
            ledger=core.ledger,
            active_catalog=core.active_catalog,
            observed=core.observed,
            prober=core.supervisor.prober,
            kube=core.kube,
        ),
        outages=core.outages,
        groups=groups,
    )


async def ledger_ready(core: Core) -> str:
    """Return "" when the ledger answers. Raises LedgerUnavailable."""
    await core.ledger.ping()
    return ""


async def clock_ready(core: Core) -> str:
    """Return why the clock cannot be trusted, "" when it can."""
    return core.services.clock_problem


async def caches_ready(core: Core) -> str:
    """Return why the caches cannot be trusted, "" when they can or when the clock is the reason."""
    return "" if core.services.clock_problem else core.services.stale_reason
