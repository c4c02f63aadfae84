"""
Plays the recovery of many services in virtual time: the real pipeline, guards, runner, executor and ledger.

Only time is played: what a recovery takes in the cluster is declared by the graph, and the ledger lies in memory. That one
is the product's own on SQLite, called on the loop's thread, so that a commit takes no time: a ledger of dicts would be
another program, with other costs and other mistakes.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from typing_extensions import override

from kintsugi.decisions.guards import Limits
from kintsugi.decisions.watchdog import WatchdogTimings
from kintsugi.ledger import Ledger
from kintsugi.model.catalog import Catalog
from kintsugi.model.records import RunRecord, Signal, SignalSource, SignalStatus, Target
from kintsugi.model.rules import RuleSource
from kintsugi.model.services import STACK
from kintsugi.pipeline.children import ChildRuns
from kintsugi.views.view_builder import TEMPLATE_HASH
from kubeobjects.kept import Pod
from kubeobjects.metadata import REVISION, Metadata, OwnerReference
from kubeobjects.workloads import Deployment, ReplicaSet
from tests.harness import ledgers
from tests.unit.executor.scripted_actor import ScriptedActor
from tests.unit.factories import (
    NOW,
    catalog,
    deployment,
    pod,
    runbook_text,
    service_text,
    virtual_clock,
)
from tests.unit.pipeline.business import PipelineBench
from tests.unit.pipeline.graphs import Graph, graph
from tests.unit.runner.fakes import ScriptedProber, runner_deps
from tests.unit.views.cluster import FakeCaches

VERIFY = timedelta(seconds=30)
"""How long a service must stay well: part of what each recovery takes, whoever does it."""

PACE = timedelta(seconds=1)
REFRESH = 0.1
"""As in the product: the pause between two looks, and when views whose objects changed are made anew."""

TOGETHER = 20
"""Services in one namespace."""

SLACK = 1.05
"""By how much a recovery without limits may be longer than its critical path."""

MANY = 10**6
UNLIMITED = Limits(max_concurrent_services=MANY, budget=MANY, breaker_share=1)

RESTART = """\
- {id: restart, run: "kubectl rollout restart ${service.workload}"}
- {id: well, expect: service.healthy, within: 1h}
"""
AFTERWARDS = '- {id: well, expect: "services.all(s, s.healthy)", within: 10m}\n'


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """How the recovery of all services went: its run, and the runs of the services, in virtual time."""

    run: RunRecord
    children: Sequence[RunRecord]

    @property
    def makespan(self) -> float:
        """Return the seconds from its beginning to its end."""
        assert self.run.finished is not None, self.run
        return (self.run.finished - self.run.started).total_seconds()

    def keeps_to(self, graph: Graph, *, at_once: int = 0) -> bool:
        """Return whether it took no longer than it may: the critical path and little more, or with a limit Graham's bound."""
        return self.makespan <= (graph.bound(at_once) if at_once else SLACK * graph.critical_path)

    @property
    def most_at_once(self) -> int:
        """Count the services that were being recovered at one time."""
        ends = [(each.finished, -1) for each in self.children if each.finished is not None]
        level = most = 0
        for _, step in sorted([*((each.started, 1) for each in self.children), *ends]):
            level += step
            most = max(most, level)
        return most


def declared(shape: str, size: int, *, seed: int = 1) -> Graph:
    """Return a graph with all that a recovery is declared to take: until the service is ready, and until it has stayed so."""
    return graph(shape, size, seed=seed).lengthened(VERIFY.total_seconds())


async def recover(graph: Graph, limits: Limits = UNLIMITED) -> Recovery:
    """Let all services of a declared graph be down, and recover them by one run about all of them."""
    async with staged(catalog_of(graph), limits, graph) as stage:
        return await stage.recover()


@asynccontextmanager
async def staged(known: Catalog, limits: Limits, graph: Graph | None = None) -> AsyncIterator["RecoveryBench"]:
    """Play a daemon's heart over the services of a catalog; with a graph they are down until they have been restarted."""
    async with ledgers.in_memory(NOW) as ledger:
        stage = RecoveryBench(known, limits, ledger, graph)
        await stage.active_catalog.activate(known)
        yield stage


class RecoveryBench(PipelineBench):
    """A daemon's heart over a cluster in which every service of a graph is down until it has been restarted."""

    def __init__(self, known: Catalog, limits: Limits, ledger: Ledger, graph: Graph | None = None) -> None:
        self.graph, self.actor = graph, ScriptedActor()
        self.actor.on_change = self._restarted
        self.catalog, self.cluster = known, FakeCaches()
        for name in known.services:
            self.show(name, ready=graph is None)
        super().__init__(known=known, ledger=ledger, cluster=self.cluster, limits=limits)
        self._stale = False

    @override
    def _supervisor(self) -> Any:
        prober = ScriptedProber(lambda: self.cluster.services.views)
        deps = runner_deps(prober, self.observed, self.actor, pace=PACE)
        runs = self._real_supervisor(deps, WatchdogTimings(verify=VERIFY), PACE)
        runs.children = ChildRuns(self.ledger, self.active_catalog, self.observed, runs)
        return runs

    async def recover(self) -> Recovery:
        """Accept what a rule about all services has seen, and follow its run to the end."""
        over: asyncio.Future[RunRecord] = asyncio.get_running_loop().create_future()
        self.runs.on_end(lambda run, _: over.set_result(run) if run.service == STACK else None)
        await self.ledger.signals.accept([_several_down()], virtual_clock())
        judging = asyncio.create_task(self.pipeline.run(2 * timedelta(seconds=REFRESH)))
        try:
            run = await over
        finally:
            judging.cancel()
            await asyncio.wait([judging])
        return Recovery(run=run, children=await self.ledger.incidents.children_of(run.id))

    def _restarted(self, text: str) -> None:
        """Let a service be ready once the time is over that its recovery takes."""
        name = text.partition("deployment/")[2].partition(" ")[0]
        if self.graph is None:
            return
        asyncio.get_running_loop().call_later(self.graph.takes[name] - VERIFY.total_seconds(), self._is_ready, name)

    def _is_ready(self, name: str) -> None:
        self.show(name, ready=True)
        if not self._stale:
            self._stale = True
            asyncio.get_running_loop().call_later(REFRESH, self._refresh)

    def _refresh(self) -> None:
        self._stale = False
        self.cluster.services.refresh()

    def show(self, name: str, *, ready: bool) -> None:
        """Let a service's one pod be ready, or not."""
        service = self.catalog.services[name]
        known = deployment(service, desired=1, ready=int(ready))
        self.cluster.caches.deployments.put(known)
        self.cluster.caches.replica_sets.put(replica_set_of(known))
        self.cluster.caches.pods.put(pod_of(name, service.namespace, ready=ready))


def replica_set_of(known: Deployment) -> ReplicaSet:
    """Return the only ReplicaSet of a Deployment, by which its template is known."""
    owner = OwnerReference(kind="Deployment", name=known.metadata.name, uid=known.metadata.uid, controller=True)
    return ReplicaSet(
        metadata=Metadata(
            name=f"{known.metadata.name}-1",
            namespace=known.metadata.namespace,
            uid=f"{known.metadata.uid}-1",
            labels={TEMPLATE_HASH: "1"},
            annotations={REVISION: known.metadata.annotations.get(REVISION, "")},
            owner_references=(owner,),
        )
    )


def pod_of(name: str, namespace: str, *, ready: bool) -> Pod:
    """Return the one pod of a service."""
    return pod(f"{name}-1", ready=ready, namespace=namespace, labels={"app": name}, version=str(1 + ready))


def catalog_of(graph: Graph) -> Catalog:
    """Write the services of a graph, and the runbook that recovers them: all together, each after those it needs."""
    levels = levels_of(graph)
    services = [
        service_text(
            name,
            priority=1 + levels[name],
            depends_on=graph.needs[name],
            namespace=f"space-{place // TOGETHER}",
            runbook="restart",
        )
        for place, name in enumerate(graph.needs)
    ]
    steps = [
        f"    - {{id: {name}, unless: services.{name}.healthy, service: {name}, runbook: restart,"
        f" needs: [{', '.join(graph.needs[name])}]}}"
        for name in graph.needs
    ]
    everything = "\n".join(["- id: all", "  parallel:", *steps, AFTERWARDS])
    return catalog(
        *services,
        runbook_text(RESTART, name="restart", rollback="after: 2h\nthen: leave"),
        runbook_text(everything, name="everything", rollback="after: 1000h"),
        RULE,
    )


RULE = """
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: several-down}
spec:
  on: services
  when: size(services.filter(s, s.desired > 0 && !s.serving)) >= 2
  runbook: everything
  mode: auto
"""


def levels_of(graph: Graph) -> Mapping[str, int]:
    """Return how deep each service lies below those that it needs."""
    levels: dict[str, int] = {}
    for name in graph.order:
        levels[name] = 1 + max((levels[each] for each in graph.needs[name]), default=-1)
    return levels


def _several_down() -> Signal:
    return Signal(
        id="sig-several-down",
        source=SignalSource.WATCH,
        kind=RuleSource.SERVICES,
        key="several-down/all",
        status=SignalStatus.FIRING,
        rule="several-down",
        target=Target(kind="Services", namespace="", name="all", uid="all"),
        began=virtual_clock(),
        received=virtual_clock(),
    )
