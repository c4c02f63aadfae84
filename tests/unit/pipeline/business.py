"""The pipeline over told caches and the in-memory ledger, whose requests for runs are noted: what becomes of one signal."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from kintsugi.decisions.guards import Limits
from kintsugi.decisions.priorities import OpenRuns
from kintsugi.decisions.watchdog import WatchdogTimings
from kintsugi.ledger import Decide, Ledger, RunRequest, RunRequestResult
from kintsugi.ledger.incidents.incidents import Incidents
from kintsugi.ledger.store.transactions import Store
from kintsugi.model.catalog import Catalog
from kintsugi.model.questions import NO_GROUPS
from kintsugi.model.records import IncidentState, Reason, RunRecord, Signal, Verdict, VerdictKind
from kintsugi.model.rules import Mode, RuleSource
from kintsugi.model.services import STACK
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.pipeline.explainer import Explainer
from kintsugi.pipeline.observed_state import ObservedState
from kintsugi.pipeline.operator_service import OperatorService
from kintsugi.pipeline.pending_incidents import PendingIncidents
from kintsugi.pipeline.pipeline import Pipeline
from kintsugi.pipeline.run_supervisor import RunPolicy, RunSupervisor
from kintsugi.pipeline.targets import Targets
from kintsugi.runner import RunnerDeps
from kintsugi.telemetry import Containment
from kubeobjects.resources import Resource
from tests.harness import ledgers
from tests.harness.ledgers import newest_signals
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts
from tests.unit.factories import (
    NOW,
    catalog,
    pod,
    rule_text,
    runbook_text,
    service_text,
    signal,
    virtual_clock,
)
from tests.unit.views.cluster import FakeCaches

EVERY = timedelta(milliseconds=200)


@asynccontextmanager
async def running(pipeline: Pipeline) -> AsyncIterator[None]:
    """Let a pipeline run meanwhile."""
    task = asyncio.create_task(pipeline.run(EVERY))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class NotedRequests(Incidents):
    """
    Requests of which each is noted before it is decided.

    The first of them are refused for the reasons of `refusals`. One of an incident that waited takes `turn` seconds to be decided;
    with `twice` its first answer is lost on the way. What is `raised` is so by the requests of a signal, by its id.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.asked: list[RunRequest] = []
        self.turn = 0.0
        self.twice = False
        self.raised: dict[str, Exception] = {}
        self.refusals: list[Reason] = []

    async def request_run(self, request: RunRequest, decide: Decide, now: datetime) -> RunRequestResult:
        """Note a request, and decide it."""
        self.asked.append(request)
        if request.signal is not None and request.signal.id in self.raised:
            raise self.raised[request.signal.id]
        if self.refusals:
            reason = self.refusals.pop(0)
            refused = Verdict(kind=VerdictKind.REFUSED, reason=reason, text=f"it is {reason}")
            return await super().request_run(request, lambda _: refused, now)
        return await super().request_run(request, decide, now)

    async def start_held(self, incident: str, request: RunRequest, decide: Decide, now: datetime) -> RunRequestResult:
        """Note a request, and decide it when it is its turn."""
        self.asked.append(request)
        await asyncio.sleep(self.turn)
        if self.twice:
            await super().start_held(incident, request, decide, now)
        return await super().start_held(incident, request, decide, now)


ALERT_RULE = rule_text("web-alerts", on="alert", more="matchers: ['alertname=\"Down\"']")
LIMITS = Limits(protected=frozenset({"kube-system"}))


class ListedRuns:
    """The runs under way, as the test lists them."""

    def __init__(self) -> None:
        self.under_way: list[RunRecord] = []
        self.started: list[RunRecord] = []
        self.rehearsals_ended: list[str] = []
        self.containment = Containment()

    @property
    def recovering(self) -> frozenset[str]:
        """Name the services that have a run under way."""
        return frozenset(each.service for each in self.under_way)

    @property
    def without_slot(self) -> frozenset[str]:
        """Name the services whose run has given its slot away."""
        return frozenset(each.service for each in self.under_way if each.state is IncidentState.HELD)

    @property
    def going(self) -> OpenRuns:
        """Return the recoveries under way."""
        runs = {each.service: each for each in self.under_way}
        return OpenRuns(runs=runs, covered_by=runs[STACK].id if STACK in runs else "")

    def on_free(self, listener: Callable[[], None]) -> None:
        """Hear of no end: no run of these ends."""

    def run_of(self, service: str) -> RunRecord | None:
        """Return the run of a service."""
        return next((each for each in self.under_way if each.service == service), None)

    def end_rehearsals(self, service: str) -> None:
        """Note that the rehearsal of a service is to end."""
        self.rehearsals_ended.append(service)

    def start(self, started: RunRecord) -> None:
        """Begin a run."""
        self.started.append(started)


class SlowCluster(ClusterOfDicts):
    """A cluster whose answers take as long as it is `slow`; `asked` names what was asked for, `most_at_once` how many at one time."""

    def __init__(self, *objects: tuple[Resource, dict[str, Any]]) -> None:
        super().__init__(*objects)
        self.slow = 0.0
        self.asked: list[str] = []
        self.at_once = 0
        self.most_at_once = 0

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> dict[str, Any]:
        """Read one object."""
        self.asked.append(name)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.slow)
        finally:
            self.at_once -= 1
        return await super().get(resource, name, namespace)


class PipelineBench:
    """
    All of it; web has three pods, one of them bad, unless the test has a `cluster` of its own.

    Without a `ledger` of the test's own it has an empty one, whose requests for runs are noted.
    """

    def __init__(
        self,
        *,
        documents: Sequence[str] = (),
        mode: Mode = Mode.AUTO,
        known: Catalog | None = None,
        ledger: Ledger | None = None,
        cluster: FakeCaches | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        self.cluster = cluster or two_of_three()
        self.catalog = known or catalog(service_text(), rule_text(), ALERT_RULE, runbook_text(), *documents)
        self.cluster.services.reload(self.catalog)
        self.supervisor, self.kube = ListedRuns(), SlowCluster()
        self.ledger = ledger or self._own()
        self.observed = ObservedState(
            services=self.cluster.services,
            caches=self.cluster.caches,
            limits=limits,
            mode=mode,
            clock=virtual_clock,
            under_way=lambda: self.supervisor.going,
        )
        self.active_catalog = ActiveCatalog(self.catalog, self.ledger.catalogs, lambda _: self.catalog)
        targets = Targets(self.kube, self.cluster.caches, self.cluster.services, limits.protected)
        runs = self._supervisor()
        expiry = timedelta(minutes=30)
        self.pipeline = Pipeline(self.ledger, self.active_catalog, self.observed, targets, runs, approval_expiry=expiry)
        self.pending_incidents = PendingIncidents(self.ledger, self.pipeline, self.active_catalog, self.observed, runs)

    def _supervisor(self) -> Any:
        """Return what the runs are given to."""
        return self.supervisor

    def _real_supervisor(self, deps: RunnerDeps, timings: WatchdogTimings, pace: timedelta) -> RunSupervisor:
        """Let `runs` be the real ones, of which the observed state hears."""
        policy = RunPolicy(
            timings=timings,
            limits=self.observed.limits,
            approval_expiry=timedelta(minutes=30),
            retry_after=pace,
        )
        self.runs = runs = RunSupervisor(deps, self.ledger, self.active_catalog, policy)
        self.observed.under_way = lambda: runs.under_way
        self.observed.slot_namespaces = lambda: runs.slot_namespaces
        return runs

    def _own(self) -> Ledger:
        self._memory = ledgers.LedgerAtOnce()
        ledger = self._memory.ledger
        ledger.incidents = self.requests = NotedRequests(ledger._store)
        return ledger

    async def deliver(self, *given: Signal) -> None:
        """Let signals be due."""
        ledgers.work_at_once()
        accepted = await self.ledger.signals.accept(given, virtual_clock())
        assert len(accepted.ids) == len(given), "one of them is another one's episode"

    async def verdicts(self) -> dict[str, Verdict]:
        """Return the verdicts so far, by the ids of the signals."""
        known = await newest_signals(self.ledger, limit=1000)
        return {each.id: verdict for each, verdict in known if verdict is not None}

    async def judged(self, given: Signal) -> Verdict:
        """Return the verdict on one signal; for an alert it is the one that was explained before."""
        explainer, asked = Explainer(self.active_catalog, self.observed, self.pipeline.evaluator), [*self.kube.asked]
        explained = (await explainer.explain(given)).verdict if given.kind is RuleSource.ALERT else None
        self.kube.asked = asked
        await self.deliver(given)
        await self.pipeline.step()
        verdicts = await self.verdicts()
        assert given.id in verdicts, f"{given.id} has no verdict"
        assert explained is None or replace(verdicts[given.id], incident=explained.incident) == explained
        return verdicts[given.id]

    def bare(self, name: str) -> None:
        """Let there be a pod that nobody would make again."""
        self.cluster.caches.pods.put(pod(name, owner="", version=self.cluster.version()))


def operator_service(
    ledger: Ledger, active_catalog: ActiveCatalog, observed: ObservedState, **parts: Any
) -> OperatorService:
    """Return what people ask; the parts that a test does not name are not asked."""
    names = ("supervisor", "pipeline", "explainer", "outages", "diagnoser", "diagnoses", "rollbacks")
    unasked = dict.fromkeys((*names, "drill_scheduler", "manual_starts", "reread"))
    known: dict[str, Any] = {"ledger": ledger, "active_catalog": active_catalog, "observed": observed}
    return OperatorService(cluster="", cluster_name="", since=NOW, **known, groups=NO_GROUPS, **{**unasked, **parts})


def two_of_three() -> FakeCaches:
    """Return a cluster in which one of the three pods of web is bad."""
    cluster = FakeCaches()
    cluster.deploy()
    for name, ready in (("web-1", True), ("web-2", True), ("web-3", False)):
        cluster.run(name, ready=ready)
    return cluster


def alert(**labels: str) -> Signal:
    """Return an alert Down with these labels."""
    return signal(kind=RuleSource.ALERT, key="fp-1", labels={"alertname": "Down", "namespace": "production", **labels})
