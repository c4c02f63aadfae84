"""A pod is looked at once for all its changes, as it is when its turn comes, and the watch comes first."""

import asyncio
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from kintsugi.decisions.matcher import Matcher
from kintsugi.model.catalog import Catalog
from kintsugi.model.records import SignalStatus
from kintsugi.sources.cluster import ClusterWatch
from kintsugi.views import ServiceViews
from kubeobjects.kept import (
    Event,
    Metadata,
    Node,
    ObjectReference,
    OwnerReference,
    PersistentVolumeClaim,
    Pod,
    ReplicaSet,
)
from kubeobjects.pods import ClaimVolume, Volume
from tests.unit import factories
from tests.unit.objects.pods import NOW, running
from tests.unit.sources.watched_ledger import WatchedLedger
from tests.unit.views.caches import scripted_caches

CATALOG = factories.catalog(factories.service_text(), factories.rule_text(more="for: 0s\n"), factories.runbook_text())


def never_ready() -> Pod:
    """Return a pod that is not ready since it was made, an hour ago."""
    pod = factories.pod(ready=False)
    unready = replace(pod.status.conditions[0], last_transition_time=factories.moment(minutes=-60))
    return replace(pod, status=replace(pod.status, conditions=(unready,)))


class PodScene:
    """A watch of the pods of one service, over caches that are told."""

    def __init__(self, ledger: WatchedLedger, catalog: Catalog = CATALOG) -> None:
        self.caches = scripted_caches()
        self.ledger = ledger
        self.now = factories.NOW
        self.services = ServiceViews(self.caches, catalog, clock=self.clock, stale_after=timedelta(seconds=30))
        self.watch = ClusterWatch(self.caches, self.services, self.ledger.ledger, clock=self.clock)
        self.watch.reload(catalog, Matcher(catalog))

    def clock(self) -> datetime:
        return self.now


async def test_a_pod_that_became_unhealthy_is_told_and_one_that_recovered_is_resolved(watched: WatchedLedger) -> None:
    scene = PodScene(watched)
    scene.caches.pods.put(factories.pod(ready=False, version="1"))
    await scene.watch.step()
    scene.caches.pods.put(factories.pod(ready=True, version="2"))
    await scene.watch.step()

    assert scene.ledger.told == [SignalStatus.FIRING, SignalStatus.RESOLVED]


async def test_a_burst_of_changes_is_one_look_at_the_last(watched: WatchedLedger) -> None:
    scene = PodScene(watched)
    scene.caches.pods.put(factories.pod(ready=False, version="1"))
    scene.caches.pods.put(factories.pod(ready=True, version="2"))
    await scene.watch.step()

    assert scene.ledger.told == []


async def test_a_pod_that_is_gone_before_its_turn_is_not_looked_at(watched: WatchedLedger) -> None:
    scene = PodScene(watched)
    pod = factories.pod(ready=False)
    scene.caches.pods.put(pod)
    scene.caches.pods.drop(pod)
    await scene.watch.step()

    assert scene.ledger.told == []
    assert await scene.ledger.kept() == {}


async def test_news_that_comes_during_a_look_is_what_the_look_sees(watched: WatchedLedger) -> None:
    """The loop breathes between looks; a pod that recovers meanwhile is never told as unhealthy."""
    scene = PodScene(watched)
    for name in ("first", "last"):
        scene.caches.pods.put(factories.pod(name, ready=False, uid=name))
    step = asyncio.create_task(scene.watch.step())
    await asyncio.sleep(0)
    scene.caches.pods.put(factories.pod("last", ready=True, uid="last", version="2"))
    await step

    assert {uid for _, uid in await scene.ledger.kept()} == {"first"}


async def test_a_pod_that_stays_unready_is_looked_at_until_time_makes_it_unhealthy(watched: WatchedLedger) -> None:
    """Nothing changes any more, but whether a pod should be ready by now is a question of time."""
    scene = PodScene(watched)
    scene.caches.pods.put(never_ready())
    scene.now = factories.NOW - timedelta(hours=1) + timedelta(seconds=1)
    await scene.watch.step()
    first = list(scene.ledger.told)
    scene.now = factories.NOW
    await scene.watch.step()

    assert first == []
    assert scene.ledger.told == [SignalStatus.FIRING]


async def test_a_pod_that_is_deleted_is_unhealthy_no_more(watched: WatchedLedger) -> None:
    scene = PodScene(watched)
    pod = factories.pod(ready=False)
    scene.caches.pods.put(pod)
    await scene.watch.step()
    scene.caches.pods.drop(pod)
    await scene.watch.step()

    assert scene.ledger.told == [SignalStatus.FIRING, SignalStatus.RESOLVED]


async def test_a_pod_that_is_ready_between_two_crashes_is_unhealthy_until_it_has_run_for_longer(
    watched: WatchedLedger,
) -> None:
    """A container without a readiness probe is ready whenever it runs, if only for a second."""
    scene = PodScene(watched)
    status = running(since=0.02, restarts=4, crashed=0.3, lived=0.02)
    pod = factories.pod()
    scene.caches.pods.put(replace(pod, status=replace(pod.status, container_statuses=(status,))))
    scene.now = NOW
    await scene.watch.step()
    first = list(scene.ledger.told)
    scene.now = NOW + timedelta(seconds=30)
    await scene.watch.step()

    assert first == [SignalStatus.FIRING]
    assert scene.ledger.told == [SignalStatus.FIRING, SignalStatus.RESOLVED]


async def test_a_pod_that_was_taken_out_of_its_service_is_unhealthy_no_more(watched: WatchedLedger) -> None:
    """A person takes its label away to debug it; it is not the service's any more, and stays as bad as it is."""
    scene = PodScene(watched)
    scene.caches.pods.put(factories.pod(ready=False, version="1"))
    await scene.watch.step()
    scene.caches.pods.put(factories.pod(ready=False, labels={"app": "debugged"}, version="2"))
    with capture_logs() as logs:
        await scene.watch.step()
    await scene.watch.step()

    assert scene.ledger.told == [SignalStatus.FIRING, SignalStatus.RESOLVED]
    assert await scene.ledger.kept() == {}
    assert [(each["rule"], each["name"]) for each in logs if "no longer the service" in each["event"]] == [
        ("web-pods", "web-1")
    ]


async def test_a_pod_that_was_taken_out_of_its_service_is_not_looked_at(watched: WatchedLedger) -> None:
    """What is not ready is looked at again and again, but as it is by now."""
    scene = PodScene(watched)
    pod = never_ready()
    scene.caches.pods.put(pod)
    scene.now = factories.NOW - timedelta(hours=1) + timedelta(seconds=1)
    await scene.watch.step()
    scene.caches.pods.put(replace(pod, metadata=replace(pod.metadata, labels={}, resource_version="2")))
    scene.now += timedelta(hours=1)
    with capture_logs() as logs:
        await scene.watch.step()

    assert (scene.ledger.told, logs) == ([], [])


@pytest.mark.parametrize("source", ["node", "pvc", "event"])
async def test_a_condition_whose_object_has_nothing_to_do_with_the_service_any_more_ends(
    watched: WatchedLedger, source: str
) -> None:
    """The node, the claim and the Event stay; nobody would ever answer their condition again."""
    rule = factories.rule_text("web-rule", on=source, more='when: object.metadata.name != ""\nfor: 0s\n')
    scene = PodScene(watched, factories.catalog(factories.service_text(), rule, factories.runbook_text()))
    workload = factories.deployment(scene.services.catalog.services["web"])
    owner = OwnerReference(kind="Deployment", name="web", uid=workload.metadata.uid, controller=True)
    made = Metadata(name="web-7d4", namespace="production", uid="rs", owner_references=(owner,))
    scene.caches.deployments.put(workload)
    scene.caches.replica_sets.put(ReplicaSet(metadata=made))
    pod = factories.pod(version="1")
    volume = Volume(name="data", persistent_volume_claim=ClaimVolume(claim_name="data"))
    scene.caches.pods.put(replace(pod, spec=replace(pod.spec, node_name="node-1", volumes=(volume,))))
    scene.caches.nodes.put(Node(metadata=Metadata(name="node-1", uid="n")))
    scene.caches.pvcs.put(PersistentVolumeClaim(metadata=Metadata(name="data", namespace="production", uid="c")))
    about = ObjectReference(kind="Pod", namespace="production", name="web-1", uid="uid-web-1")
    scene.caches.events.put(Event(metadata=Metadata(name="e", namespace="production", uid="e"), involved_object=about))
    scene.services.refresh()
    await scene.watch.step()
    await scene.watch.step()
    fired = list(scene.ledger.told)
    scene.caches.pods.put(factories.pod(labels={"app": "debugged"}, version="2"))
    scene.services.refresh()
    await scene.watch.step()

    assert fired == [SignalStatus.FIRING]
    assert scene.ledger.told == [SignalStatus.FIRING, SignalStatus.RESOLVED]
