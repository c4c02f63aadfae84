"""
One story with every commit that the pipeline makes, told on a real ledger with the real pipeline, supervisor and waiting.

The API is in trouble and is mended; web and jobs depend on it and are held meanwhile. What jobs was held for ends by itself.
Web asks a person twice, once for its plan and once for a step. A person pauses all at first and lets it go on. Only the
cluster is not real: it is told, and its changes are counted.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import TypeVar

from kintsugi.app.clock import Clock
from kintsugi.decisions.guards import Limits
from kintsugi.decisions.priorities import HoldTimings
from kintsugi.decisions.watchdog import WatchdogTimings
from kintsugi.errors import LedgerUnavailable
from kintsugi.executor import Executor
from kintsugi.ledger import Ledger
from kintsugi.ledger.store import NO_FAILPOINTS
from kintsugi.model.catalog import Catalog
from kintsugi.model.records import (
    Incident,
    IncidentState,
    Notice,
    Pause,
    PauseScope,
    RunRecord,
    Signal,
    SignalSource,
    SignalStatus,
    Target,
    VerdictKind,
)
from kintsugi.model.rules import Mode, RuleSource
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.pipeline.drivers import RunPolicy
from kintsugi.pipeline.observed_state import ObservedState
from kintsugi.pipeline.pending_incidents import PendingIncidents
from kintsugi.pipeline.pipeline import Pipeline
from kintsugi.pipeline.run_supervisor import RunSupervisor
from kintsugi.pipeline.targets import Targets
from kintsugi.runner import RunnerDeps
from kintsugi.views import ServiceViews
from kubeobjects.kept import Deployment, Metadata
from kubeobjects.workloads import DeploymentSpec, DeploymentStatus
from tests.harness.ledgers import newest_signals
from tests.harness.waiting import eventually
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts
from tests.unit.executor.scripted_actor import ScriptedActor
from tests.unit.factories import catalog, pod, rule_text, runbook_text, service_text, virtual_clock
from tests.unit.runner.fakes import ScriptedProber
from tests.unit.views.caches import scripted_caches

Answer = TypeVar("Answer")

TIMEOUT = 300.0
"""Seconds that a story may take on a machine that tells many at once: it takes about five."""

OFTEN = timedelta(milliseconds=300)
ASKS = '- {id: ask, approve: "Scale it?", run: kubectl scale deployment/web --replicas=2}'
SCALES = "- {id: grow, run: kubectl scale deployment/api --replicas=2}"
NEVER = "- {id: look, run: kubectl get pods}"


def shop() -> Catalog:
    """Load the services api, web and jobs, a rule and a runbook each; web's rule asks first."""
    return catalog(
        service_text("api", runbook="mend-api"),
        service_text("web", depends_on=("api",), runbook="mend-web"),
        service_text("jobs", depends_on=("api",), runbook="mend-jobs"),
        rule_text("api-pods", service="api"),
        rule_text("web-pods", service="web").replace("mode: auto", "mode: approve"),
        rule_text("jobs-pods", service="jobs"),
        runbook_text(SCALES, name="mend-api"),
        runbook_text(ASKS, name="mend-web"),
        runbook_text(NEVER, name="mend-jobs"),
    )


@dataclass(frozen=True, kw_only=True)
class LossyStoryEnd:
    """How a story ended: what is left open, and what was done and said."""

    unjudged: int
    open_runs: tuple[RunRecord, ...]
    open_incidents: tuple[Incident, ...]
    incidents: list[tuple[str, IncidentState]]
    runs: dict[str, int]
    effects: list[str]
    doubled: list[tuple[str | None, IncidentState, str]]


@dataclass(kw_only=True)
class LossyStory:
    """The daemon's parts on a ledger, and the people around it; each of them tries again what the ledger did not take."""

    ledger: Ledger
    actor: ScriptedActor = field(default_factory=ScriptedActor)
    notices: dict[str, Notice] = field(default_factory=dict)
    signals: dict[str, Signal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.caches, self.catalog, self._version = scripted_caches(), shop(), 0
        self._seen: list[tuple[str, IncidentState]] = []
        for name in self.catalog.services:
            self._deploy(name)
            self.show(name, ready=False)
        self.actor.on_change = self._heal
        self.services = ServiceViews(self.caches, self.catalog, clock=virtual_clock, stale_after=timedelta(hours=1))
        limits = replace(
            Limits(),
            recheck_after=OFTEN,
            cooldown_max=timedelta(0),
            holds=HoldTimings(limit=timedelta(hours=1), steady=OFTEN),
        )
        self.observed = ObservedState(
            services=self.services,
            caches=self.caches,
            limits=limits,
            mode=Mode.AUTO,
            clock=virtual_clock,
        )
        deps = RunnerDeps(
            executor=Executor(self.actor, NO_FAILPOINTS, clock=virtual_clock),
            prober=ScriptedProber(lambda: self.services.views),
            observed=self.observed,
            clock=virtual_clock,
            poll_interval=timedelta(milliseconds=100),
            command_timeout=timedelta(seconds=30),
        )
        self.active_catalog = ActiveCatalog(self.catalog, self.ledger.catalogs, lambda _: self.catalog)
        timings = WatchdogTimings(verify=OFTEN, alert_lag=timedelta(minutes=30), failing_for=timedelta(minutes=3))
        expiry = timedelta(minutes=30)
        policy = RunPolicy(timings=timings, limits=limits, approval_expiry=expiry, retry_after=OFTEN)
        self.supervisor = RunSupervisor(deps, self.ledger, self.active_catalog, policy)
        self.observed.under_way = lambda: self.supervisor.under_way
        targets = Targets(ClusterOfDicts(), self.caches, self.services, limits.protected)
        self.pipeline = Pipeline(
            self.ledger, self.active_catalog, self.observed, targets, self.supervisor, approval_expiry=expiry
        )
        self.pending_incidents = PendingIncidents(
            self.ledger, self.pipeline, self.active_catalog, self.observed, self.supervisor
        )

    async def tell(self) -> LossyStoryEnd:
        """Follow the story to its end."""
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def note(_: str, error: BaseException) -> None:
            if not failed.done():
                failed.set_exception(error)

        clock = Clock(note)
        clock.every(OFTEN, "open runs", self.supervisor.reconcile)
        clock.every(OFTEN, "waiting incidents", self.pending_incidents.tend)
        clock.every(OFTEN, "firing signals", lambda: self.ledger.signals.rearm(virtual_clock()))
        await patiently(lambda: self.ledger.lead(virtual_clock()))
        await patiently(lambda: self.active_catalog.activate(self.catalog))
        await patiently(self.supervisor.resume)
        async with asyncio.TaskGroup() as tasks:
            clock.start()
            forever = [
                tasks.create_task(work)
                for work in (self.pipeline.run(OFTEN), self._see(), self._page(), self._approve(), _heard(failed))
            ]
            await self._play()
            await eventually(self._is_over, within=TIMEOUT, every=0.05, describe=self._state)
            await clock.stop()
            for task in forever:
                task.cancel()
        end = await patiently(self._end)
        await self.supervisor.stop()
        return end

    def show(self, service: str, *, ready: bool) -> None:
        """Let a service's one pod be ready, or not."""
        self._version += 1
        found = pod(f"{service}-1", ready=ready, labels={"app": service}, version=str(self._version))
        self.caches.pods.put(found)

    async def _play(self) -> None:
        pause = Pause(id="pau-1", scope=PauseScope.GLOBAL, who="bob", why="a release", since=virtual_clock())
        await patiently(lambda: self.ledger.pauses.pause(pause))
        await self._fires("api")
        await eventually(lambda: self._is_judged("api", VerdictKind.REFUSED), within=TIMEOUT, every=0.05)
        await patiently(lambda: self.ledger.pauses.resume("pau-1", "bob", "released", virtual_clock()))
        await eventually(self._is_growing, within=TIMEOUT, every=0.02, describe=self._state)
        await self._fires("web")
        await self._fires("jobs")
        await self._foreign()
        for service in ("web", "jobs"):
            await eventually(partial(self._is_held, service), within=TIMEOUT, every=0.05, describe=self._state)
        # An intent whose commit was lost is made only when the run is taken up again: it must not come too late to be needed.
        await eventually(self._has_grown, within=TIMEOUT, every=0.02, describe=self._state)
        self.show("api", ready=True)
        self.show("jobs", ready=True)
        await self._resolves("jobs")
        await self._resolves("api")

    async def _fires(self, service: str) -> None:
        now = virtual_clock()
        self.signals[service] = Signal(
            id=f"sig-{service}",
            source=SignalSource.WATCH,
            kind=RuleSource.POD,
            key=f"{service}-pods/uid-{service}-1",
            rule=f"{service}-pods",
            target=Target(kind="Pod", namespace="production", name=f"{service}-1", uid=f"uid-{service}-1"),
            began=now,
            received=now,
        )
        await self._deliver(self.signals[service])

    async def _resolves(self, service: str) -> None:
        now = virtual_clock()
        await self._deliver(replace(self.signals[service], status=SignalStatus.RESOLVED, ended=now, received=now))

    async def _foreign(self) -> None:
        now = virtual_clock()
        stranger = Signal(
            id="sig-foreign",
            source=SignalSource.ALERTMANAGER,
            kind=RuleSource.ALERT,
            key="f" * 16,
            labels={"alertname": "SomebodyElses"},
            began=now,
            received=now,
        )
        await self._deliver(stranger)

    async def _deliver(self, signal: Signal) -> None:
        await patiently(lambda: self.ledger.signals.accept([signal], signal.received))
        self.pipeline.wake()

    def _heal(self, text: str) -> None:
        service = text.split()[3]
        if service == "web":  # the API takes its time: who depends on it is held meanwhile
            self.show(service, ready=True)
            self._healing = asyncio.get_running_loop().create_task(self._resolves(service))

    async def _see(self) -> None:
        """Make the views anew, as the daemon does."""
        while True:
            self.services.refresh(everything=True)
            await asyncio.sleep(0.15)

    async def _page(self) -> None:
        """Send the notices, as the notifier does."""
        while True:
            with suppress(LedgerUnavailable):
                for notice in await self.ledger.outbox.due_notices(virtual_clock()):
                    self.notices[notice.id] = notice
                    await self.ledger.outbox.notice_sent(notice.id)
            await asyncio.sleep(0.15)

    async def _approve(self) -> None:
        """Approve every question, as Ana does."""
        while True:
            with suppress(LedgerUnavailable):
                for incident in await self.ledger.incidents.newest(open_only=True):
                    for asked in await self.ledger.approvals.of_incident(incident.id):
                        if asked.answered is None:
                            await self.ledger.approvals.approve(
                                incident.id, asked.path, asked.plan, "ana", virtual_clock()
                            )
            await asyncio.sleep(0.15)

    async def _is_judged(self, service: str, kind: VerdictKind) -> bool:
        judged = {signal.id: verdict for signal, verdict in await newest_signals(self.ledger)}
        verdict = judged.get(f"sig-{service}")
        return verdict is not None and verdict.kind is kind

    async def _is_growing(self) -> bool:
        return any(run.service == "api" and run.changed for run in await self.ledger.runs.open_runs())

    def _has_grown(self) -> bool:
        return any("deployment api" in text for text in self.actor.texts)

    async def _is_held(self, service: str) -> bool:
        found = await self.ledger.incidents.newest(service=service, open_only=True)
        return [each.state for each in found] == [IncidentState.HELD]

    async def _is_over(self) -> bool:
        closed = [each for each in await self.ledger.incidents.newest() if each.closed is not None]
        self._seen = [(each.service, each.state) for each in await self.ledger.incidents.newest()]
        over = len(closed) >= len(self.catalog.services) and not await self.ledger.incidents.newest(open_only=True)
        return over and not await self.ledger.signals.pending() and not self.supervisor.recovering

    async def _end(self) -> LossyStoryEnd:
        incidents = await self.ledger.incidents.newest()
        runs = {each.service: len(await self.ledger.runs.of_incident(each.id)) for each in incidents}
        said = [(each.incident, each.kind, each.text) for each in self.notices.values()]
        return LossyStoryEnd(
            unjudged=await self.ledger.signals.pending(),
            open_runs=await self.ledger.runs.open_runs(),
            open_incidents=await self.ledger.incidents.newest(open_only=True),
            incidents=sorted((each.service, each.state) for each in incidents),
            runs=runs,
            effects=sorted(self.actor.texts),
            doubled=[each for each in set(said) if said.count(each) > 1],
        )

    def _state(self) -> str:
        carried = sorted(self.supervisor.recovering)
        return f"carried: {carried}, changed: {self.actor.texts}, last seen: {self._seen}"

    def _deploy(self, name: str) -> None:
        metadata = Metadata(name=name, namespace="production", uid=f"uid-{name}", resource_version="1")
        status = DeploymentStatus(replicas=1, updated_replicas=1, ready_replicas=1, available_replicas=1)
        self.caches.deployments.put(Deployment(metadata=metadata, spec=DeploymentSpec(replicas=1), status=status))


async def patiently(call: Callable[[], Awaitable[Answer]]) -> Answer:
    """Call again until the ledger has taken it, as Alertmanager, a person and the start of the daemon do."""
    while True:
        try:
            return await call()
        except LedgerUnavailable:
            await asyncio.sleep(0.15)


async def _heard(failed: asyncio.Future[None]) -> None:
    """Fail the story when a look of the clock has failed, as the daemon would."""
    await failed
