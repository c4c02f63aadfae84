"""A pod is looked at once for all its changes, as it is when its turn comes, and the watch comes first."""

import asyncio
from datetime import datetime, timedelta

from msgspec.structs import replace

from kintsugi.decisions.matcher import Matcher
from kintsugi.model.records import SignalStatus
from kintsugi.sources.cluster import ClusterWatch
from kintsugi.views import ServiceViews
from tests.unit import factories
from tests.unit.objects.pods import NOW, running
from tests.unit.sources.watched_ledger import WatchedLedger
from tests.unit.views.caches import scripted_caches

CATALOG = factories.catalog(factories.service_text(), factories.rule_text(more="for: 0s\n"), factories.runbook_text())


class PodScene:
    """A watch of the pods of one service, over caches that are told."""

    def __init__(self, ledger: WatchedLedger) -> None:
        self.caches = scripted_caches()
        self.ledger = ledger
        self.now = factories.NOW
        self.services = ServiceViews(self.caches, CATALOG, clock=self.clock, stale_after=timedelta(seconds=30))
        self.watch = ClusterWatch(self.caches, self.services, self.ledger.ledger, clock=self.clock)
        self.watch.reload(CATALOG, Matcher(CATALOG))

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
    pod = factories.pod(ready=False)
    never_ready = replace(pod.status.conditions[0], last_transition_time=factories.moment(minutes=-60))
    scene.caches.pods.put(replace(pod, status=replace(pod.status, conditions=(never_ready,))))
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
