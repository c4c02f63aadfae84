"""Runs the daemon from start to stop: starts its parts in order, each after the parts that it waits for."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from kintsugi import __version__
from kintsugi.app.core import Core, build
from kintsugi.app.events import ObjectEvents
from kintsugi.app.lifecycle import Lifecycle
from kintsugi.app.metrics_recorder import MetricsRecorder
from kintsugi.app.periodic_jobs import (
    COLLECTED_EVERY,
    PRUNED_EVERY,
    PeriodicJobs,
    RetentionTask,
    Tick,
    collect_and_freeze,
    freeze,
)
from kintsugi.app.serving import ListenAddresses, serve_on
from kintsugi.catalog.library import catalog_paths
from kintsugi.catalog.watch import CatalogFiles
from kintsugi.clients.resolver import Lookup, resolve
from kintsugi.commands.kinds import allow_changes
from kintsugi.commands.registry import missing_extras
from kintsugi.errors import KubeError, LedgerUnavailable, StaleEpoch
from kintsugi.kube.client import KubeClient
from kintsugi.kube.discovery import read_kinds
from kintsugi.ledger import NO_FAILPOINTS, Failpoints
from kintsugi.model.catalog import Catalog
from kintsugi.pipeline.diagnoses import VerdictDiagnoses
from kintsugi.retries import Waits, retry
from kintsugi.settings import KubeSettings, Settings, SettingsError, check_watchdogs
from kintsugi.telemetry import LoopHeartbeat, Metrics, get_logger
from kubeobjects import discovery
from kubeobjects.resources import NAMESPACES

log = get_logger(__name__)

RETRY_AFTER = Waits.of(timedelta(seconds=1))

REFRESH = timedelta(milliseconds=100)
"""The interval at which views of changed objects are rebuilt; changes in between count as one."""

SHUTDOWN = timedelta(seconds=25)
"""Below the 30 s that Kubernetes leaves a pod to end."""

FIRST_ANSWER = timedelta(seconds=5)
"""The time for the first answer of the API server: the watches say after it that they are interrupted."""

Ready = Callable[[ListenAddresses], None]


def no_op(_: ListenAddresses) -> None:
    """Do nothing: the default where no caller waits for readiness."""


async def run(
    settings: Settings,
    *,
    ready: Ready = no_op,
    loopback: bool = False,
    lookup: Lookup = resolve,
    failpoints: Failpoints = NO_FAILPOINTS,
) -> None:
    """
    Run the daemon until it is cancelled. `ready` is called with its addresses once webhooks are accepted.

    Raises SettingsError, CatalogErrors, LedgerHeld, LedgerUnavailable, KubeError at the start; later StaleEpoch when
    another daemon has taken the lead.
    """
    life = Lifecycle(shutdown=SHUTDOWN)
    try:
        core = await start(settings, life, ready=ready, loopback=loopback, lookup=lookup, failpoints=failpoints)
        leadership_lost = asyncio.create_task(core.supervisor.leadership_lost.wait(), name="leadership lost")
        ends: set[asyncio.Future[Any]] = {life.failed, leadership_lost}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        leadership_lost.cancel()
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
    lookup: Lookup = resolve,
    failpoints: Failpoints = NO_FAILPOINTS,
) -> Core:
    """Start everything; webhooks are accepted before the caches are synced, runs continue only after."""
    if settings.durations != 1:
        log.warning("durations scaled", durations=settings.durations)
    chosen = settings.catalog
    for extra in missing_extras():
        log.warning("package not installed", package=f"kintsugi-{extra}")
    paths = catalog_paths(chosen.directory, chosen.additions, example=chosen.example)
    metrics = Metrics()
    loaded: asyncio.Queue[Catalog] = asyncio.Queue()
    files = CatalogFiles(
        paths=paths,
        durations=settings.durations,
        deadlines=settings.deadlines,
        loaded=loaded.put_nowait,
        refused=lambda _: metrics.catalog_loads.labels("refused").inc(),
        prepare=partial(learn_kinds, settings.kube),
    )
    allow_changes(settings.guards.change_kinds)
    await files.prepare()
    files.start()
    catalog = await loaded.get()
    check_catalog(settings, catalog)
    heartbeat = LoopHeartbeat(metrics.event_loop_lag.observe)
    life.spawn("heartbeat", heartbeat.run())
    core = await build(settings, catalog, life, loopback=loopback, lookup=lookup, failpoints=failpoints)
    settings = replace(settings, cluster_name=settings.cluster_name or core.kube.context)
    metrics.info.info({"version": __version__, "cluster": settings.cluster_name})
    recorder = MetricsRecorder(core, metrics)
    freeze()  # a full collection while the caches are filled would look at every module: a sixth of the first sync
    life.spawn("caches", core.caches.run())
    addresses = await serve_on(settings, core, metrics, heartbeat, life)
    follow_files(files, loaded, core, metrics, life)
    life.on_stop("runs", core.supervisor.stop)
    write_events(core, life)
    life.spawn("diagnoses", core.diagnoses.run())
    diagnose_verdicts(settings, core, life)
    life.spawn("services", core.services.run(REFRESH))
    life.spawn("main", lead(core))
    start_clock(settings, core, recorder, life)
    ready(addresses)
    return core


def write_events(core: Core, life: Lifecycle) -> None:
    """Have Events about runs and diagnoses written to their workloads."""
    events = ObjectEvents(core.kube, core.services, clock=core.clock.now)
    core.supervisor.on_start(events.began)
    core.supervisor.on_end(events.ended)
    core.diagnoses.on_kept(events.diagnosed)
    core.outages.on_notice(events.down)
    life.spawn("events", events.run())


def diagnose_verdicts(settings: Settings, core: Core, life: Lifecycle) -> None:
    """Have verdicts without an incident diagnosed."""
    verdicts = VerdictDiagnoses(
        core.diagnoses,
        core.ledger,
        core.active_catalog,
        clock=core.clock.now,
        containment=core.containment,
        on_notice=core.outages.note_notified
        if settings.notifications.observed and settings.notifications.are_sent
        else None,
    )
    core.pipeline.on_verdict(verdicts.note)
    life.spawn("diagnoses of verdicts", verdicts.run())


async def learn_kinds(settings: KubeSettings) -> None:
    """Take from the API server which types steps may read; without its answer, what was known of them stays."""
    try:
        async with asyncio.timeout(FIRST_ANSWER.total_seconds()):
            discovery.set_served(await read_kinds(settings))
    except TimeoutError:
        log.warning("types of the cluster not read", error=f"no answer within {FIRST_ANSWER.total_seconds():g} s")
    except KubeError as error:
        log.warning("types of the cluster not read", error=str(error))


async def note_unreachable(kube: KubeClient) -> None:
    """Log once that the cluster does not answer, before each watch logs it; what is refused is an answer."""
    try:
        async with asyncio.timeout(FIRST_ANSWER.total_seconds()):
            await kube.get(NAMESPACES, "default")
    except TimeoutError:
        log.warning("cluster not reachable", server=kube.server, source=kube.source)
    except KubeError as error:
        if not error.status:
            log.warning("cluster not reachable", server=kube.server, source=kube.source, error=str(error))


async def lead(core: Core) -> None:
    """Wait until the caches and the clock can be trusted; then take up open runs, follow conditions, judge signals."""
    await note_unreachable(core.kube)
    await core.caches.synced()
    await core.clock.wait_trusted()
    log.info("caches synced", pods=len(core.caches.pods.store))
    core.services.refresh(everything=True)
    await collect_and_freeze()
    await with_retries(core.good_revisions.step, "good revisions")
    await with_retries(core.pipeline.recall, "signals that wait")
    await with_retries(core.pipeline.evaluate_observed, "observed signals")
    await with_retries(core.supervisor.resume, "open runs")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(core.watch.run(REFRESH), name="conditions")
        tasks.create_task(core.checks.run(5 * REFRESH), name="checks")
        tasks.create_task(core.warnings.run(), name="warnings")
        tasks.create_task(core.pipeline.run(2 * REFRESH), name="pipeline")


async def with_retries(step: Callable[[], Awaitable[None]], what: str) -> None:
    """Run a step that needs the ledger; wait while the ledger is unavailable."""

    def again(error: Exception) -> bool:
        if isinstance(error, LedgerUnavailable):
            log.warning("waiting for the ledger", what=what, error=str(error))
        return isinstance(error, LedgerUnavailable)

    await retry(step, again, RETRY_AFTER)


def check_catalog(settings: Settings, catalog: Catalog) -> None:
    """Refuse runbooks whose watchdog would act before a recovery could be seen. Raises SettingsError."""
    deadlines = {name: runbook.rollback.after for name, runbook in catalog.runbooks.items()}
    wrong = check_watchdogs(settings, deadlines)
    if wrong:
        raise SettingsError(tuple(f"runbook {name}: {what}" for name, what in wrong.items()))


def follow_files(
    files: CatalogFiles, loaded: asyncio.Queue[Catalog], core: Core, metrics: Metrics, life: Lifecycle
) -> None:
    """Activate new versions of the catalog as they are loaded; an invalid one is counted and the old one stays."""

    async def take() -> None:
        while True:
            catalog = await loaded.get()
            await with_retries(partial(core.active_catalog.activate, catalog), "the new catalog")
            await with_retries(core.pipeline.evaluate_observed, "observed signals")
            metrics.catalog_loads.labels("taken").inc()

    life.spawn("catalog files", files.run())
    life.spawn("catalog", take())


def start_clock(settings: Settings, core: Core, recorder: MetricsRecorder, life: Lifecycle) -> None:
    """Start the clock with every periodic job."""
    often = max(timedelta(seconds=5) * settings.durations, timedelta(seconds=1))
    clock, now = PeriodicJobs(life.fail), core.clock.now

    def trusting(tick: Tick) -> Tick:
        """Skip a job that compares times of rows with now while the clock is in doubt."""

        async def ticked() -> None:
            if core.clock.trusted:
                await tick()

        return ticked

    clock.every(often, "open runs", trusting(core.supervisor.reconcile))
    clock.every(often, "waiting incidents", trusting(core.pending_incidents.reconcile))
    clock.every(often, "drills", lambda: drill(core))
    clock.every(often, "names of the cluster", trusting(core.names.step))
    clock.every(often, "the observer", trusting(core.observer.step))
    clock.every(often, "outages", trusting(core.outages.step))
    clock.every(often, "good revisions", core.good_revisions.step)
    clock.every(often, "firing signals", trusting(lambda: rearm(core)))
    clock.every(often, "alerts that fire again", trusting(lambda: reopen(core, settings)))
    clock.every(often, "every service", lambda: refresh_all(core))
    clock.every(timedelta(seconds=5), "gauges", recorder.collect)
    clock.every(timedelta(hours=1), "rows that cannot be read", lambda: core.ledger.signals.quarantine(now()))
    forgetting = RetentionTask(
        settings=settings, ledger=core.ledger, workloads=core.good_revisions.known_workloads, clock=now
    )
    clock.every(PRUNED_EVERY, "retention", trusting(forgetting.step))
    clock.every(COLLECTED_EVERY, "garbage", collect_and_freeze)
    core.clock.on_trusted(lambda _: clock.restart_ticks())
    clock.start()
    life.on_stop("clock", clock.stop)


async def drill(core: Core) -> None:
    """Begin the drills that are due, once the caches can be trusted."""
    if not core.observed.stale_reason:
        await core.drill_scheduler.reconcile()


async def reopen(core: Core, settings: Settings) -> None:
    """Reopen the alerts that fired after their end and have not resolved since, and have them evaluated."""
    opened = await core.ledger.signals.reopen(core.clock.now(), settings.alertmanager.reopen_after)
    if opened:
        log.info("ended alerts firing again", signals=opened)
        core.pipeline.wake()


async def rearm(core: Core) -> None:
    """Have signals evaluated again that are still firing although their incident is closed."""
    if await core.ledger.signals.rearm(core.clock.now()):
        core.pipeline.wake()


async def refresh_all(core: Core) -> None:
    """Rebuild every view: health may change with time alone."""
    core.services.refresh(everything=True)
