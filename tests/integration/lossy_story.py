"""
One story with every commit that the pipeline makes, told on a real ledger with the real pipeline, roster and waiting.

The API is in trouble and is mended; web and jobs depend on it and are held meanwhile. What jobs was held for ends by itself.
Web asks a person twice, once for its plan and once for a step. A person pauses all at first and lets it go on. Only the
cluster is not real: it is told, and its changes are counted.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar

from kintsugi.app.clock import Clock
from kintsugi.errors import LedgerUnavailable
from kintsugi.executor import Executor
from kintsugi.guards import Limits
from kintsugi.ledger import Ledger
from kintsugi.ledger.boundary import QUIET
from kintsugi.model.documents import Catalog, Mode, RuleSource
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
from kintsugi.objects.kept import Deployment, Metadata
from kintsugi.objects.workloads import DeploymentSpec, DeploymentStatus
from kintsugi.pipeline.facts import World
from kintsugi.pipeline.inforce import InForce
from kintsugi.pipeline.pipeline import Pipeline
from kintsugi.pipeline.roster import Roster, Terms
from kintsugi.pipeline.targets import Targets
from kintsugi.pipeline.waiting import Waiting
from kintsugi.runner import Tools
from kintsugi.services import Services
from kintsugi.watchdog import Patience
from tests.harness.waiting import eventually
from tests.unit.executor.scripted_actor import ScriptedActor
from tests.unit.factories import catalog, pod, rule_text, runbook_text, service_text, virtual_clock
from tests.unit.pipeline.business import FewObjects
from tests.unit.runner.fakes import ScriptedLooker
from tests.unit.services.caches import told_caches

Answer = TypeVar("Answer")

PATIENCE = 300.0
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
class End:
    """How a story ended: what is left open, and what was done and said."""

    unjudged: int
    open_runs: tuple[RunRecord, ...]
    open_incidents: tuple[Incident, ...]
    incidents: list[tuple[str, IncidentState]]
    runs: dict[str, int]
    effects: list[str]
    doubled: list[tuple[str, IncidentState, str]]


@dataclass(kw_only=True)
class Story:
    """The daemon's parts on a ledger, and the people around it; each of them tries again what the ledger did not take."""

    ledger: Ledger
    actor: ScriptedActor = field(default_factory=ScriptedActor)
    notices: dict[str, Notice] = field(default_factory=dict)
    signals: dict[str, Signal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.caches, self.catalog, self._version = told_caches(), shop(), 0
        self._seen: list[tuple[str, IncidentState]] = []
        for name in self.catalog.services:
            self._deploy(name)
            self.show(name, ready=False)
        self.actor.on_change = self._heal
        self.services = Services(self.caches, self.catalog, clock=virtual_clock, stale_after=timedelta(hours=1))
        limits = replace(Limits(), look_again=OFTEN, cooldown_max=timedelta(0))
        self.world = World(
            services=self.services,
            caches=self.caches,
            limits=limits,
            mode=Mode.AUTO,
            hold_limit=timedelta(hours=1),
            clock=virtual_clock,
        )
        tools = Tools(
            executor=Executor(self.actor, QUIET, clock=virtual_clock),
            looker=ScriptedLooker(),
            world=self.world,
            clock=virtual_clock,
            pace=timedelta(milliseconds=100),
            command_timeout=timedelta(seconds=30),
        )
        self.in_force = InForce(self.catalog, self.ledger, lambda _: self.catalog)
        patience = Patience(verify=OFTEN, alert_lag=timedelta(minutes=30), failing_for=timedelta(minutes=3))
        expiry = timedelta(minutes=30)
        terms = Terms(patience=patience, limits=limits, approval_expiry=expiry, retry_after=OFTEN)
        self.roster = Roster(tools, self.ledger, self.in_force, terms)
        targets = Targets(FewObjects(), self.caches, self.services, limits.protected)  # type: ignore[arg-type]
        self.pipeline = Pipeline(self.ledger, self.in_force, self.world, targets, self.roster, approval_expiry=expiry)
        self.waiting = Waiting(self.ledger, self.pipeline, self.in_force, self.world, self.roster)

    async def tell(self) -> End:
        """Tell the story to its end."""
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        clock = Clock(lambda _, error: failed.done() or failed.set_exception(error))
        clock.every(OFTEN, "open runs", self.roster.reconcile)
        clock.every(OFTEN, "waiting incidents", self.waiting.tend)
        clock.every(OFTEN, "signals that go on", lambda: self.ledger.rearm(virtual_clock()))
        await patiently(lambda: self.ledger.lead(virtual_clock()))
        await patiently(lambda: self.in_force.take(self.catalog))
        await patiently(self.roster.resume)
        async with asyncio.TaskGroup() as tasks:
            clock.start()
            forever = [
                tasks.create_task(work)
                for work in (self.pipeline.run(OFTEN), self._see(), self._page(), self._approve(), _heard(failed))
            ]
            await self._play()
            await eventually(self._is_over, within=PATIENCE, every=0.05, describe=self._state)
            await clock.stop()
            for task in forever:
                task.cancel()
        end = await patiently(self._end)
        await self.roster.stop()
        return end

    def show(self, service: str, *, ready: bool) -> None:
        """Let a service's one pod be ready, or not."""
        self._version += 1
        found = pod(f"{service}-1", ready=ready, labels={"app": service}, version=str(self._version))
        self.caches.pods.put(found)

    async def _play(self) -> None:
        pause = Pause(id="pau-1", scope=PauseScope.GLOBAL, who="bob", why="a release", since=virtual_clock())
        await patiently(lambda: self.ledger.pause(pause))
        await self._fires("api")
        await eventually(lambda: self._is_judged("api", VerdictKind.REFUSED), within=PATIENCE, every=0.05)
        await patiently(lambda: self.ledger.resume("pau-1", "bob", "released", virtual_clock()))
        await eventually(self._is_growing, within=PATIENCE, every=0.02, describe=self._state)
        await self._fires("web")
        await self._fires("jobs")
        await self._foreign()
        for service in ("web", "jobs"):
            await eventually(
                lambda name=service: self._is_held(name), within=PATIENCE, every=0.05, describe=self._state
            )
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
        await patiently(lambda: self.ledger.accept([signal], signal.received))
        self.pipeline.wake()

    def _heal(self, text: str) -> None:
        service = text.split()[3]
        self.show(service, ready=True)
        if service == "web":
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
                for notice in await self.ledger.due_notices(virtual_clock()):
                    self.notices[notice.id] = notice
                    await self.ledger.notice_sent(notice.id)
            await asyncio.sleep(0.15)

    async def _approve(self) -> None:
        """Say yes to every question, as Ana does."""
        while True:
            with suppress(LedgerUnavailable):
                for incident in await self.ledger.incidents(open_only=True):
                    for asked in await self.ledger.approvals(incident.id):
                        if asked.answered is None:
                            await self.ledger.approve(incident.id, asked.path, asked.plan, "ana", virtual_clock())
            await asyncio.sleep(0.15)

    async def _is_judged(self, service: str, kind: VerdictKind) -> bool:
        judged = {signal.id: verdict for signal, verdict in await self.ledger.judged_signals()}
        verdict = judged.get(f"sig-{service}")
        return verdict is not None and verdict.kind is kind

    async def _is_growing(self) -> bool:
        return any(run.service == "api" and run.changed for run in await self.ledger.open_runs())

    async def _is_held(self, service: str) -> bool:
        found = await self.ledger.incidents(service=service, open_only=True)
        return [each.state for each in found] == [IncidentState.HELD]

    async def _is_over(self) -> bool:
        closed = [each for each in await self.ledger.incidents() if each.closed is not None]
        self._seen = [(each.service, each.state) for each in await self.ledger.incidents()]
        over = len(closed) >= len(self.catalog.services) and not await self.ledger.incidents(open_only=True)
        return over and not await self.ledger.unjudged() and not self.roster.recovering

    async def _end(self) -> End:
        incidents = await self.ledger.incidents()
        runs = {each.service: len(await self.ledger.runs_of(each.id)) for each in incidents}
        said = [(each.incident, each.kind, each.text) for each in self.notices.values()]
        return End(
            unjudged=await self.ledger.unjudged(),
            open_runs=await self.ledger.open_runs(),
            open_incidents=await self.ledger.incidents(open_only=True),
            incidents=sorted((each.service, each.state) for each in incidents),
            runs=runs,
            effects=sorted(self.actor.texts),
            doubled=[each for each in set(said) if said.count(each) > 1],
        )

    def _state(self) -> str:
        carried = sorted(self.roster.recovering)
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
