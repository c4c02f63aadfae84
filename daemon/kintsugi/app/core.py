"""
The composition root: builds every object once, in the order in which they need each other.

It is one straight line on purpose: splitting it would only hide who is given what.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from socket import gethostname
from urllib.parse import parse_qsl, urlsplit

from kintsugi.actions.actions import Actions
from kintsugi.app.boundary import CrashPoints
from kintsugi.app.lifecycle import Lifecycle
from kintsugi.app.names import ResolverNotice
from kintsugi.app.remembering import Remembering
from kintsugi.catalog import Source, load_sources
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.clients.resolver import Resolver, nameservers
from kintsugi.executor import Executor
from kintsugi.guards import Limits
from kintsugi.kube.client import KubeClient
from kintsugi.kube.steady_clock import SteadyClock
from kintsugi.ledger import Ledger, Windows
from kintsugi.model.documents import Catalog, Mode
from kintsugi.objects.facts import START_UP_ALLOWANCE
from kintsugi.pipeline.drilling import Drilling
from kintsugi.pipeline.facts import World
from kintsugi.pipeline.inforce import InForce
from kintsugi.pipeline.pipeline import Pipeline
from kintsugi.pipeline.roster import Roster, Terms
from kintsugi.pipeline.targets import Targets
from kintsugi.pipeline.waiting import Waiting
from kintsugi.runner import Tools
from kintsugi.services import Caches, Services
from kintsugi.settings import Settings
from kintsugi.sources.checks import Checks
from kintsugi.sources.cluster import ClusterWatch
from kintsugi.telemetry import Containment, get_logger
from kintsugi.watchdog import Patience

log = get_logger(__name__)

LOOK_EVERY = timedelta(seconds=1)
"""The pause between two looks of a step; scaled by `durations` down to `LOOK_LEAST`."""

LOOK_LEAST = timedelta(milliseconds=100)


@dataclass(frozen=True, kw_only=True)
class Core:
    """The parts of a daemon that others ask: the server, the CLI's demo, the clock."""

    clock: SteadyClock
    ledger: Ledger
    kube: KubeClient
    caches: Caches
    services: Services
    world: World
    in_force: InForce
    targets: Targets
    pipeline: Pipeline
    roster: Roster
    waiting: Waiting
    drilling: Drilling
    watch: ClusterWatch
    checks: Checks
    remembering: Remembering
    names: ResolverNotice
    containment: Containment


async def build(
    settings: Settings,
    catalog: Catalog,
    life: Lifecycle,
    *,
    loopback: bool = False,
    executor: type[Executor] = Executor,
) -> Core:
    """
    Open the ledger and the API, and build the daemon around them; nothing acts yet.

    `loopback` lets probes ask 127.0.0.0/8: for the embedded cluster, which lives there, and for nothing else.
    `executor` is another one only where a test shows what its order is worth. Raises LedgerHeld, LedgerUnavailable, KubeError.
    """
    pace = max(LOOK_EVERY * settings.durations, LOOK_LEAST)
    clock = SteadyClock()
    boundary = CrashPoints(settings.chaos.kill_at, settings.chaos.trace)
    guards = settings.guards
    windows = Windows.covering(changes=guards.budget_window, runs=max(guards.cooldown_max, guards.failures_pause))
    # A pod's host name is its own; without a Lease there is one daemon a ledger, on either database.
    opened = Ledger.open(settings.ledger.url, holder=gethostname(), boundary=boundary, windows=windows, alone=True)
    ledger = await life.enter("ledger", opened)
    life.spawn_once("the ledger's lock", ledger.keep_held())
    epoch = await ledger.lead(clock.now())
    await ledger.put_strays_aside(clock.now())
    await ledger.mend(clock.now())
    kube = await life.enter("kubernetes", KubeClient.connect(settings.kube, clock.heard))
    life.spawn("steady clock", clock.run())
    names = ResolverNotice(ledger, clock=clock.now)
    addresses = AddressRule(allow_loopback=loopback, resolver=Resolver(say=names.hear))
    actions = Actions(kube, Clients.under(addresses), settings.restore)
    containment = Containment()
    caches = Caches.of(kube)
    for _, reflector in caches:
        reflector.contain(containment)
    services = Services(
        caches,
        catalog,
        clock=clock.now,
        stale_after=settings.kube.stale_after,
        containment=containment,
        clock_problem=lambda: clock.problem,
    )
    clock.on_trusted(services.clock_set)
    limits = limits_of(settings)
    world = World(
        services=services,
        caches=caches,
        limits=limits,
        mode=Mode(settings.mode),
        hold_limit=settings.guards.hold_limit,
        clock=clock.now,
        start_up=START_UP_ALLOWANCE * settings.durations,
    )
    tools = Tools(
        executor=executor(actions, boundary, clock=clock.now),
        looker=actions,
        world=world,
        clock=clock.now,
        pace=pace,
        command_timeout=settings.kube.request_timeout,
    )
    in_force = InForce(catalog, ledger, lambda kept: parse(kept, settings.durations))
    await in_force.take(catalog)
    roster = Roster(tools, ledger, in_force, terms_of(settings, limits, pace), containment=containment)
    targets = Targets(kube, caches, services, limits.protected)
    pipeline = Pipeline(ledger, in_force, world, targets, roster, approval_expiry=settings.guards.approval_expiry)
    watch = ClusterWatch(caches, services, ledger, clock=clock.now, containment=containment)
    watch.on_told(lambda _: pipeline.wake())
    clock.on_trusted(watch.judge_anew)
    in_force.on_change(lambda changed, _: services.use(changed))
    in_force.on_change(lambda changed, _: caches.keep_events_in(namespaces_of(changed)))
    in_force.on_change(watch.use)
    within = settings.kube.request_timeout
    checks = Checks(services, actions, watch.tell, clock=clock.now, within=within, containment=containment)
    in_force.on_change(checks.use)
    log.info("leading", epoch=epoch, catalog=catalog.digest, mode=settings.mode)
    return Core(
        clock=clock,
        ledger=ledger,
        kube=kube,
        caches=caches,
        services=services,
        world=world,
        in_force=in_force,
        targets=targets,
        pipeline=pipeline,
        roster=roster,
        waiting=Waiting(ledger, pipeline, in_force, world, roster),
        drilling=Drilling(ledger, in_force, world, roster),
        watch=watch,
        checks=checks,
        remembering=Remembering(services, world, ledger, lasting=settings.watchdog.verify),
        names=names,
        containment=containment,
    )


def parse(texts: Mapping[str, str], durations: float) -> Catalog:
    """Read a catalog from the texts that the ledger kept."""
    return load_sources([Source(name=name, content=text.encode()) for name, text in texts.items()], durations=durations)


def namespaces_of(catalog: Catalog) -> frozenset[str]:
    """Name the namespaces that the catalog's services are in."""
    return frozenset(service.namespace for service in catalog.services.values())


def ledger_host_of(settings: Settings) -> str:
    """Say where the ledger's database is, a name as NAME.NAMESPACE…; "" where it is a file."""
    parts = urlsplit(settings.ledger.url)
    said = dict(parse_qsl(parts.query)).get("host", "")  # as psql takes it, too: postgresql:///NAME?host=HOST
    host = parts.hostname or said.rpartition(":")[0] or said
    return host if "." in host or ":" in host or not host else f"{host}.{settings.namespace}"


def limits_of(settings: Settings) -> Limits:
    """Give the guards their figures."""
    guards = settings.guards
    limits = Limits(
        protected=settings.protected_namespaces,
        ledger_host=ledger_host_of(settings),
        nameservers=nameservers(),
        cooldown_max=guards.cooldown_max,
        failures=guards.failures,
        failures_pause=guards.failures_pause,
        recoveries=guards.recoveries,
        recoveries_window=guards.recoveries_window,
        recoveries_pause_max=guards.recoveries_pause_max,
        budget=guards.budget,
        budget_window=guards.budget_window,
        services_at_once=guards.services_at_once,
        breaker_share=guards.breaker_share,
    )
    return replace(limits, look_again=limits.look_again * settings.durations)


def terms_of(settings: Settings, limits: Limits, pace: timedelta) -> Terms:
    """Give runs their figures."""
    watchdog = settings.watchdog
    return Terms(
        patience=Patience(verify=watchdog.verify, alert_lag=watchdog.alert_lag, failing_for=watchdog.failing_for),
        limits=limits,
        approval_expiry=settings.guards.approval_expiry,
        retry_after=pace,
    )
