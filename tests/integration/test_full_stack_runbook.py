"""
Each look of the shipped full-stack runbook says what is there: on the embedded cluster, while things are well, and broken.

Views are the daemon's own, from the watch. What is asked of Services, of DNS and of Prometheus is judged in tests/unit/catalog.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.catalog import load, shipped_paths
from kintsugi.catalog.call_graph import steps_of
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.kube.client import KubeClient
from kintsugi.model.runbooks import Run, Step
from kintsugi.runner.wait import Expectation, Observation, ResultNames, poll_once
from kintsugi.scope.values import EvaluationContext, step_names
from kintsugi.settings import KubeSettings
from kintsugi.views import Caches, ServiceViews
from kintsugi_demo.shop import NAMESPACE, deployment, stateful_set
from kubeobjects import resources
from kubeobjects.resources import PODS
from kubesim import EmbeddedCluster
from kubesim.apiserver.api_faults import Fault, FaultKind
from tests.harness.waiting import eventually

CATALOG = load(shipped_paths())
STEPS: Mapping[str, Step] = {step.id: step for step, _ in steps_of(CATALOG.runbooks["full-stack-recovery"])}
TIMEOUT = 60.0
SOON = timedelta(seconds=20)

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ViewsStage:
    """A cluster with a database and an API, and the views of all services of the catalog."""

    cluster: EmbeddedCluster
    actions: Actions
    services: ServiceViews

    async def look(self, step: str) -> Observation:
        """Do a step of the runbook as it is now."""
        found = STEPS[step]
        assert isinstance(found.do, Run), step
        command = found.do.command

        def names(own: ResultNames) -> Mapping[str, object]:
            self.services.refresh()
            around = EvaluationContext(now=datetime.now(UTC), services=self.services.views)
            return step_names(around, own=own)

        async def look() -> ResultNames:
            result = await self.actions.read(command.bind(names({}), namespace=""), deadline=SOON)
            return result.names if not result.failed else {"failed": result.failed}

        wanted = Expectation(expect=found.expect, within=SOON, for_duration=SOON, progress=None, every=SOON)
        seen = await poll_once(wanted, look, names)
        kept = {} if found.keep is None or not seen.result else {"kept": found.keep.evaluate(names(seen.result))}
        return replace(seen, result={**seen.result, **kept}, met=seen.met and "failed" not in seen.result)

    async def fails(self, step: str) -> Observation:
        """Look until the step is not met."""

        async def so() -> Observation | None:
            seen = await self.look(step)
            return None if seen.met else seen

        return await eventually(so, within=TIMEOUT, describe=self.state)

    def pods(self, app: str) -> Sequence[Json]:
        """List the pods of an app."""
        return [each for each in self.cluster.find(PODS, NAMESPACE) if each["metadata"]["labels"]["app"] == app]

    def state(self) -> str:
        """Return how pods and services are."""
        views = self.services.views.values()
        told = [f"{each.name}: healthy={each.healthy} ready={each.ready}" for each in views]
        pods = [f"{each['metadata']['name']}: {each['status']}" for each in self.cluster.find(PODS, NAMESPACE)]
        return "\n".join([*told, *pods])


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[ViewsStage]:
    """Start the cluster, and watch it until database and API are ready."""
    async with EmbeddedCluster.start(speed=20) as cluster:
        for manifest in manifests():
            cluster.apply(manifest)
        settings = KubeSettings(kubeconfig=cluster.kubeconfig(tmp_path / "kubeconfig"))
        async with KubeClient.connect(settings) as kube:
            caches = Caches.of(kube)
            services = ServiceViews(caches, CATALOG, clock=lambda: datetime.now(UTC), stale_after=timedelta(hours=1))
            watching = asyncio.create_task(caches.run())
            try:
                await caches.synced()
                actions = Actions(kube, Clients.restricted_to(AddressRule()))
                made = ViewsStage(cluster=cluster, actions=actions, services=services)
                await eventually(lambda: is_ready(made), within=TIMEOUT, describe=made.state)
                yield made
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)


async def is_ready(stage: ViewsStage) -> bool:
    """Return whether both are seen to be ready."""
    stage.services.refresh()
    return all(stage.services.views[name].ready == 1 for name in ("database", "api-service"))


def manifests() -> Sequence[Json]:
    """Return a database with a volume and an API, of one pod each."""
    return (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "elsewhere"}},
        stateful_set("database", {"image": "postgres:good"}, mounted="/data"),
        deployment("api-deployment", {"app": "api"}, image="shop/api:good", replicas=1),
    )


async def test_nodes_are_looked_at_and_one_that_takes_pods_is_enough(stage: ViewsStage) -> None:
    assert (await stage.look("nodes")).met
    assert (await stage.look("node_health")).met
    first, *others = [each["metadata"]["name"] for each in stage.cluster.find(resources.NODES)]
    stage.cluster.faults.node_down(first)
    assert len((await stage.fails("nodes")).result["items"]) == 1 + len(others)  # type: ignore[arg-type]
    assert (await stage.look("node_health")).met is bool(others)
    for name in others:
        stage.cluster.apply(
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {"unschedulable": True}}
        )
    assert not (await stage.look("node_health")).met


async def test_usage_is_looked_at_and_an_absent_metrics_server_is_said(stage: ViewsStage) -> None:
    seen = await stage.look("top")
    assert (seen.met, bool(seen.result["items"])) == (True, True)
    stage.cluster.api_faults.order(Fault(kind=FaultKind.ERROR, path="/apis/metrics.k8s.io/*", status=404, times=None))
    seen = await stage.look("top")
    assert (seen.met, seen.result) == (False, {})
    assert "metrics API is not available" in seen.error
    assert STEPS["top"].on_failure == "continue"


def event(name: str, namespace: str, about: str, kind: str = "Warning") -> Json:
    """Return an Event about a pod."""
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": {"kind": "Pod", "name": about, "namespace": namespace},
        "type": kind,
        "reason": "Told",
        "message": name,
    }


async def test_the_warnings_about_the_services_are_kept_and_no_others(stage: ViewsStage) -> None:
    """That of a pod which is gone, too: its name says whose it was."""
    (api,) = [each["metadata"]["name"] for each in stage.pods("api")]
    for told in (
        event("one", NAMESPACE, api),
        event("two", NAMESPACE, "api-deployment-gone"),
        event("normal", NAMESPACE, api, "Normal"),
        event("another", NAMESPACE, "nobody-s-pod"),
        event("elsewhere", "elsewhere", api),
    ):
        stage.cluster.apply(told)
    seen = await stage.look("events")
    kept: Any = seen.result["kept"]
    assert {each["message"] for each in kept if each["reason"] == "Told"} == {"one", "two"}
    assert {each["type"] for each in kept} == {"Warning"}
    items: Any = seen.result["items"]
    made = [each["metadata"]["creationTimestamp"] for each in items]
    assert made == sorted(made)
    assert {each["message"] for each in items} >= {"one", "two", "normal", "another", "elsewhere"}


async def test_claims_are_bound_and_those_that_are_not_are_kept(stage: ViewsStage) -> None:
    seen = await stage.look("claims")
    assert (seen.met, seen.result["kept"], bool(seen.result["sc"])) == (True, [], True)
    stage.cluster.lose_volume("data-database-0", NAMESPACE)
    kept: Any = (await stage.fails("claims")).result["kept"]
    assert [(each["metadata"]["name"], each["status"]["phase"]) for each in kept] == [("data-database-0", "Lost")]
