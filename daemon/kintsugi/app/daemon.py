"""
The daemon from start to stop: what is started, in which order, and what waits for what.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from kintsugi.app import collector
from kintsugi.app.clock import Clock, Tick
from kintsugi.app.core import Core, build
from kintsugi.app.counting import Counting
from kintsugi.app.events import ObjectEvents
from kintsugi.app.forgetting import EVERY, Forgetting
from kintsugi.app.intake import ListenAddresses, serve_on
from kintsugi.app.lifecycle import Lifecycle
from kintsugi.catalog.shipped import catalog_paths
from kintsugi.catalog.watch import CatalogFiles
from kintsugi.errors import LedgerUnavailable, StaleEpoch
from kintsugi.executor import Executor
from kintsugi.model.documents import Catalog
from kintsugi.settings import Settings, SettingsError, check_watchdogs
from kintsugi.telemetry import LoopHeartbeat, Metrics, get_logger

log = get_logger(__name__)

REFRESH = timedelta(milliseconds=100)
"""How often views whose objects changed are made anew; changes in between are one."""

SHUTDOWN = timedelta(seconds=25)
"""Below the 30 s that Kubernetes leaves a pod to end."""

Ready = Callable[[ListenAddresses], None]


def say_nothing(_: ListenAddresses) -> None:
    """Tell nobody that the daemon is ready."""


async def run(
    settings: Settings,
    *,
    ready: Ready = say_nothing,
    loopback: bool = False,
    executor: type[Executor] = Executor,
) -> None:
    """
    Run the daemon until it is cancelled. `ready` hears its addresses once webhooks are taken.

    Raises SettingsError, CatalogErrors, LedgerHeld, LedgerUnavailable, KubeError at the start; later StaleEpoch when
    another daemon has taken the lead.
    """
    life = Lifecycle(shutdown=SHUTDOWN)
    try:
        core = await start(settings, life, ready=ready, loopback=loopback, executor=executor)
        dethroned = asyncio.create_task(core.roster.dethroned.wait(), name="dethroned")
        ends: set[asyncio.Future[Any]] = {life.failed, dethroned}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        dethroned.cancel()
        if life.failed.done():
            life.failed.result()
        raise StaleEpoch("another daemon leads: this one must stop")
    finally:
        await life.stop()


async def start(
    settings: Settings,
    life: Lifecycle,
    *,
    ready: Ready,
    loopback: bool = False,
    executor: type[Executor] = Executor,
) -> Core:
    """Start everything; webhooks are taken before the caches are synced, runs go on only after."""
    if settings.durations != 1:
        log.warning("every duration is scaled", durations=settings.durations)
    files = CatalogFiles(paths=catalog_paths(settings.catalog.directory), durations=settings.durations)
    catalog = files.start()
    check_catalog(settings, catalog)
    metrics = Metrics()
    heartbeat = LoopHeartbeat(metrics.event_loop_lag.observe)
    life.spawn("heartbeat", heartbeat.run())
    core = await build(settings, catalog, life, loopback=loopback, executor=executor)
    counting = Counting(core, metrics)
    life.spawn("caches", core.caches.run())
    addresses = await serve_on(settings, core, metrics, heartbeat, life)
    follow_files(files, core, metrics, life)
    events = ObjectEvents(core.kube, core.services, clock=core.clock.now)
    core.roster.on_start(events.began)
    core.roster.on_end(events.ended)
    life.on_stop("runs", core.roster.stop)
    life.spawn("events", events.run())
    life.spawn("services", core.services.run(REFRESH))
    life.spawn("main", lead(core))
    start_clock(settings, core, counting, life)
    ready(addresses)
    return core


async def lead(core: Core) -> None:
    """Wait until the caches and the clock can be trusted; then take up open runs, follow conditions, judge signals."""
    await core.caches.synced()
    await core.clock.wait_trusted()
    log.info("the cluster is seen", pods=len(core.caches.pods.store))
    core.services.refresh(everything=True)
    collector.collect_and_freeze()
    await patiently(core.remembering.step)
    await patiently(core.roster.resume)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(core.watch.run(REFRESH), name="conditions")
        tasks.create_task(core.checks.run(5 * REFRESH), name="checks")
        tasks.create_task(core.pipeline.run(2 * REFRESH), name="pipeline")


async def patiently(step: Callable[[], Awaitable[None]]) -> None:
    """Do a step of the start; while the ledger is away wait for it."""
    while True:
        try:
            return await step()
        except LedgerUnavailable as error:
            log.warning("the start waits for the ledger", error=str(error))
            await asyncio.sleep(1)


def check_catalog(settings: Settings, catalog: Catalog) -> None:
    """Refuse runbooks whose watchdog would act before a recovery could be seen. Raises SettingsError."""
    deadlines = {name: runbook.rollback.after for name, runbook in catalog.runbooks.items()}
    wrong = check_watchdogs(settings, deadlines)
    if wrong:
        raise SettingsError(tuple(f"runbook {name}: {what}" for name, what in wrong.items()))


def follow_files(files: CatalogFiles, core: Core, metrics: Metrics, life: Lifecycle) -> None:
    """Take new versions of the catalog into force; a bad one is counted and the old one stays."""
    changed: asyncio.Queue[Catalog] = asyncio.Queue()
    files.loaded = changed.put_nowait
    files.refused = lambda _: metrics.catalog_loads.labels("refused").inc()

    async def take() -> None:
        while True:
            catalog = await changed.get()
            try:
                await core.in_force.take(catalog)
                metrics.catalog_loads.labels("taken").inc()
            except LedgerUnavailable as error:
                log.warning("a new catalog waits for the ledger", error=str(error))
                await asyncio.sleep(1)
                changed.put_nowait(catalog)

    life.spawn("catalog files", files.run())
    life.spawn("catalog", take())


def start_clock(settings: Settings, core: Core, counting: Counting, life: Lifecycle) -> None:
    """Let the clock tick for everything that is looked at now and then."""
    often = max(timedelta(seconds=5) * settings.durations, timedelta(seconds=1))
    clock, now = Clock(life.fail), core.clock.now

    def trusting(tick: Tick) -> Tick:
        """Leave out a look that compares times of rows with now, while the clock is in doubt."""

        async def look() -> None:
            if core.clock.trusted:
                await tick()

        return look

    clock.every(often, "open runs", trusting(core.roster.reconcile))
    clock.every(often, "waiting incidents", trusting(core.waiting.tend))
    clock.every(often, "drills", lambda: drill(core))
    clock.every(often, "names of the cluster", trusting(core.names.step))
    clock.every(often, "good revisions", core.remembering.step)
    clock.every(often, "signals that go on", trusting(lambda: rearm(core)))
    clock.every(often, "alerts that fire again", trusting(lambda: reopen(core, settings)))
    clock.every(often, "every service", lambda: refresh_all(core))
    clock.every(timedelta(seconds=5), "gauges", counting.look)
    clock.every(timedelta(hours=1), "rows that cannot be read", lambda: core.ledger.mend(now()))
    forgetting = Forgetting(settings=settings, ledger=core.ledger, workloads=core.remembering.there, clock=now)
    clock.every(EVERY, "retention", trusting(forgetting.step))
    clock.every(collector.EVERY, "garbage", collector.step)
    core.clock.on_trusted(lambda _: clock.begin_anew())
    clock.start()
    life.on_stop("clock", clock.stop)


async def drill(core: Core) -> None:
    """Begin the drills that are due, once the cluster is seen."""
    if not core.world.blind:
        await core.drilling.tend()


async def reopen(core: Core, settings: Settings) -> None:
    """Open the alerts again that fired after their end and have not resolved since, and have them judged."""
    opened = await core.ledger.reopen(core.clock.now(), settings.alertmanager.reopen_after)
    if opened:
        log.info("alerts that had ended fire again", signals=opened)
        core.pipeline.wake()


async def rearm(core: Core) -> None:
    """Have signals judged again that go on although their incident is closed."""
    if await core.ledger.rearm(core.clock.now()):
        core.pipeline.wake()


async def refresh_all(core: Core) -> None:
    """Make every view anew: time alone may change what is healthy."""
    core.services.refresh(everything=True)
