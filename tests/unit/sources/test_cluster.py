"""A pod is looked at once for all its changes; what was told as firing is told as resolved (P9), and nothing while the clock is in doubt (C9)."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from unittest.mock import patch

import pytest
from msgspec.structs import replace as changed
from structlog.testing import capture_logs

from kintsugi.decisions.matcher import Matcher
from kintsugi.errors import LedgerUnavailable
from kintsugi.model.catalog import Catalog
from kintsugi.model.records import PendingMatch, SignalStatus, Target
from kintsugi.sources.cluster import ClusterWatch, service_target
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
from tests.unit.sources.watched_ledger import WatchedLedger, nothing
from tests.unit.views.cluster import scripted_caches

TOO_FEW = factories.rule_text("web-too-few", on="services", more="when: service.ready < service.desired\nfor: 0s\n")
CATALOG = factories.catalog(factories.service_text(), TOO_FEW, factories.runbook_text())
KEY = ("web-too-few", "web")


class WatchScene:
    """A watch over caches that are told, on a clock that is moved by hand."""

    def __init__(self, ledger: WatchedLedger, catalog: Catalog) -> None:
        self.now, self.problem = factories.NOW, ""
        self.caches, self.ledger = scripted_caches(), ledger
        self.restart(catalog)

    def restart(self, catalog: Catalog) -> None:
        """Begin anew, as another process does."""
        self.services = ServiceViews(
            self.caches,
            catalog,
            clock=lambda: self.now,
            stale_after=timedelta(seconds=30),
            clock_problem=lambda: self.problem,
        )
        self.watch = ClusterWatch(self.caches, self.services, self.ledger.ledger, clock=lambda: self.now)
        self.watch.reload(catalog, Matcher(catalog))

    def see(self, *, ready: int) -> None:
        """Show the service with so many of three pods ready, a second later."""
        self.now += timedelta(seconds=1)
        self.caches.deployments.put(factories.deployment(factories.web()))
        for number in range(3):
            self.caches.pods.put(factories.pod(f"web-{number}", ready=number < ready, version=str(self.now)))
        self.services.refresh(everything=True)

    async def step(self, *, ready: int, meanwhile: int | None = None) -> None:
        """Let the watch see the service so, and let that change once while its step is being committed."""
        self.see(ready=ready)
        if meanwhile is not None:
            self.ledger.failpoints.happens = lambda: self.see(ready=meanwhile)
        await self.watch.step()
        self.ledger.failpoints.happens = nothing

    async def goes_on(self, **passed: float) -> None:
        """Let time pass, and look."""
        self.now += timedelta(**passed)
        self.services.refresh(everything=True)
        await self.watch.step()

    def is_trusted(self, set_by: timedelta) -> None:
        """Let the clock be trusted again, set by so much."""
        self.problem = ""
        self.now += set_by
        self.services.clock_set(set_by)
        self.watch.reevaluate_all(set_by)


@pytest.fixture
async def scene(watched: WatchedLedger) -> WatchScene:
    return WatchScene(watched, CATALOG)


FIRING, RESOLVED = SignalStatus.FIRING, SignalStatus.RESOLVED


@pytest.mark.looptime
async def test_a_watch_looks_once_a_second_while_nothing_happens_and_at_news_at_once(scene: WatchScene) -> None:
    looks: list[float] = []
    clock, step, every = asyncio.get_running_loop(), scene.watch.step, timedelta(milliseconds=100)

    async def counted() -> None:
        looks.append(clock.time())
        await step()

    scene.see(ready=3)
    refresh = patch.object(scene.services, "refresh", wraps=scene.services.refresh)
    with patch.object(scene.watch, "step", counted), refresh as refreshes:
        running = [asyncio.create_task(each.run(every)) for each in (scene.services, scene.watch)]
        await asyncio.sleep(20)
        assert 15 < len(looks) < 25
        assert 15 < refreshes.call_count < 25
        scene.caches.pods.put(factories.pod("web-0", ready=False, version="news"))
        await asyncio.sleep(0.25)
        assert scene.ledger.told == [FIRING]
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def test_a_condition_that_ends_while_its_signal_is_being_committed_is_resolved(scene: WatchScene) -> None:
    """The end is noticed between the commit of the signal and that of the condition."""
    await scene.step(ready=2, meanwhile=3)
    await scene.watch.step()
    assert scene.ledger.told == [FIRING, RESOLVED]
    assert await scene.ledger.kept() == {}


async def test_a_condition_that_ends_while_others_are_being_kept_is_resolved(scene: WatchScene) -> None:
    """What is noticed while the ledger is busy belongs to the next commit, not to the one under way."""
    for ready in (2, 3):
        await scene.step(ready=ready)
    await scene.step(ready=2, meanwhile=3)
    await scene.watch.step()
    assert (await scene.ledger.firing(), await scene.ledger.kept()) == ((), {})


async def test_a_condition_that_begins_anew_while_its_end_is_being_kept_is_known(scene: WatchScene) -> None:
    """Nothing that holds is forgotten."""
    await scene.step(ready=2)
    await scene.step(ready=3, meanwhile=2)
    await scene.watch.step()
    assert list(await scene.ledger.kept()) == [KEY]
    assert scene.ledger.told == [FIRING, RESOLVED, FIRING]


async def test_an_end_that_cannot_be_kept_is_kept_when_the_ledger_is_back(scene: WatchScene) -> None:
    """D1."""
    await scene.step(ready=2)
    scene.ledger.failpoints.away = True
    with pytest.raises(LedgerUnavailable):
        await scene.step(ready=3)
    scene.ledger.failpoints.away = False
    await scene.watch.step()
    assert scene.ledger.told == [FIRING, RESOLVED]
    assert await scene.ledger.kept() == {}


@pytest.mark.parametrize("left", ["unmarked", "no condition", "no rule"])
async def test_a_signal_of_an_earlier_process_ends_when_what_it_tells_of_does_not_hold(
    scene: WatchScene, left: str
) -> None:
    """C1, C17: the process died before it marked the condition, or kept none; or nobody would answer it again."""
    await scene.step(ready=2)
    if left == "unmarked":
        await scene.ledger.keep(replace((await scene.ledger.kept())[KEY], signalled=False))
    elif left == "no condition":
        await scene.ledger.keep(ended=[KEY])
    scene.restart(factories.shop() if left == "no rule" else CATALOG)
    await scene.watch.recall()
    await scene.step(ready=3)
    assert await scene.ledger.firing() == ()
    assert left == "no condition" or await scene.ledger.kept() == {}


async def test_every_signal_is_told_to_who_counts_them_once_it_is_committed(scene: WatchScene) -> None:
    """P9: what was received is counted whatever source it has; what the ledger has not taken is not received yet."""
    told: list[int] = []
    scene.watch.on_signals(told.append)
    scene.see(ready=2)
    scene.ledger.failpoints.away = True
    with pytest.raises(LedgerUnavailable):
        await scene.watch.step()
    assert told == []
    scene.ledger.failpoints.away = False
    await scene.watch.step()
    assert told == [1]
    scene.see(ready=3)
    await scene.watch.step()
    assert told == [1, 1]


async def test_a_condition_that_begins_and_ends_while_an_earlier_process_is_recalled_ends_no_other(
    scene: WatchScene,
) -> None:
    """C1: a view that comes in before the ledger was read must not bring the watch down."""
    rule = CATALOG.rules["web-too-few"]
    target = Target(kind="Service", namespace="production", name="web", uid="web")

    scene.watch.record(rule, target, holds=True)
    scene.watch.record(rule, target, holds=False)
    await scene.watch.recall()
    await scene.watch.step()

    assert await scene.ledger.kept() == {}
    assert scene.ledger.told == []


async def test_a_condition_that_has_ended_unwatched_is_not_told_though_its_time_is_over_by_now(
    scene: WatchScene,
) -> None:
    """C1, P6: the next process sees the service before it has read what was noticed by the one that died."""
    await scene.ledger.keep(noticed_before())

    scene.see(ready=3)
    await scene.watch.recall()
    await scene.watch.step()

    assert scene.ledger.told == []
    assert await scene.ledger.kept() == {}


async def test_a_condition_that_an_earlier_process_noticed_is_told_once_it_is_seen_again(scene: WatchScene) -> None:
    """C1, P6: a question that nobody has asked anew has no answer; once it has one, its time counts from the beginning."""
    await scene.ledger.keep(noticed_before())
    scene.services.views.clear()

    await scene.watch.recall()
    await scene.watch.step()
    assert scene.ledger.told == []

    scene.watch.record(CATALOG.rules["web-too-few"], noticed_before().target, holds=None)
    await scene.watch.step()
    assert scene.ledger.told == []

    scene.watch.record(CATALOG.rules["web-too-few"], noticed_before().target, holds=True)
    await scene.watch.step()
    assert [signal.began for signal in await scene.ledger.firing()] == [noticed_before().since]


def noticed_before() -> PendingMatch:
    """Return a condition that an earlier process has noticed and not told of."""
    target = Target(kind="Service", namespace="production", name="web", uid="web")
    return PendingMatch(rule="web-too-few", target=target, since=factories.NOW - timedelta(hours=1))


DOUBT = "this machine's clock is 1h ahead of the API server's"
FEW_PODS = factories.rule_text("web-too-few", on="services", more="when: service.ready < 3\nfor: 2m\n")
RESTARTED = factories.rule_text("web-pods", more="for: 2m\n").replace("object.unhealthy", "object.restarts > 3")
AFTERWARDS = factories.catalog(factories.service_text(), FEW_PODS, RESTARTED, factories.runbook_text())


async def test_a_condition_that_held_before_counts_from_when_the_clock_is_trusted_again(watched: WatchedLedger) -> None:
    """A jump of an hour is no hour in which a condition has held."""
    scene = WatchScene(watched, AFTERWARDS)
    await scene.goes_on(seconds=1)
    assert {rule for rule, _ in await scene.ledger.kept()} == {"web-too-few"}
    scene.problem = DOUBT
    await scene.goes_on(hours=1)
    scene.is_trusted(timedelta(0))
    for _ in range(11):
        await scene.goes_on(seconds=10)
        assert scene.ledger.told == []
    await scene.goes_on(seconds=10)
    assert scene.ledger.told == [FIRING]


async def test_a_condition_that_began_on_a_wrong_clock_is_not_kept_with_its_time(watched: WatchedLedger) -> None:
    """An hour in the future: `for` would be over an hour too late."""
    scene = WatchScene(watched, AFTERWARDS)
    scene.problem = DOUBT
    await scene.goes_on(hours=1)
    scene.watch.record(AFTERWARDS.rules["web-too-few"], service_target(scene.services.views["web"]), holds=True)
    scene.is_trusted(timedelta(hours=-1))
    await scene.goes_on(seconds=1)
    assert (await scene.ledger.kept())["web-too-few", "web"].since < scene.now


async def test_a_condition_that_was_told_is_not_told_as_over_while_the_clock_is_in_doubt(
    watched: WatchedLedger,
) -> None:
    scene = WatchScene(watched, AFTERWARDS)
    for _ in range(2):
        await scene.goes_on(minutes=3)
    scene.problem = DOUBT
    for name in ("web-1", "web-2", "web-3"):
        scene.caches.pods.put(factories.pod(name))
    await scene.goes_on(seconds=10)
    assert scene.ledger.told == [FIRING]
    scene.is_trusted(timedelta(0))
    await scene.goes_on(seconds=10)
    assert scene.ledger.told == [FIRING, RESOLVED]


async def test_a_pod_that_did_not_change_meanwhile_is_looked_at_again(watched: WatchedLedger) -> None:
    """Nothing but time has changed of it."""
    scene = WatchScene(watched, AFTERWARDS)
    for name in ("web-1", "web-2", "web-3"):
        scene.caches.pods.put(factories.pod(name, restarts=9 if name == "web-1" else 0))
    await scene.goes_on(seconds=1)
    assert {rule for rule, _ in await scene.ledger.kept()} == {"web-pods"}
    scene.problem = DOUBT
    await scene.goes_on(seconds=1)
    scene.is_trusted(timedelta(0))
    for _ in range(13):
        await scene.goes_on(seconds=10)
    assert scene.ledger.told == [FIRING]


WATCHED = factories.catalog(factories.service_text(), factories.rule_text(more="for: 0s\n"), factories.runbook_text())


def never_ready() -> Pod:
    """Return a pod that is not ready since it was made, an hour ago."""
    pod = factories.pod(ready=False)
    unready = changed(pod.status.conditions[0], last_transition_time=factories.moment(minutes=-60))
    return changed(pod, status=changed(pod.status, conditions=(unready,)))


UNREADY = factories.pod(ready=False, version="1")
DEBUGGED = factories.pod(ready=False, labels={"app": "debugged"}, version="2")


@pytest.mark.parametrize("later", [factories.pod(version="2"), None, DEBUGGED], ids=["ready", "gone", "taken out"])
@pytest.mark.parametrize("seen", [True, False])
async def test_a_pod_that_was_seen_unhealthy_is_told_and_resolved_and_one_that_is_not_by_its_turn_is_not_told(
    watched: WatchedLedger, later: Pod | None, seen: bool
) -> None:
    """A burst of changes is one look at the last. A person may take its label away to debug it, as bad as it is."""
    scene = WatchScene(watched, WATCHED)
    scene.caches.pods.put(UNREADY)
    if seen:
        await scene.watch.step()
    if later is None:
        scene.caches.pods.drop(UNREADY)
    else:
        scene.caches.pods.put(later)
    with capture_logs() as logs:
        await scene.watch.step()
    await scene.watch.step()
    assert scene.ledger.told == [FIRING, RESOLVED] * seen
    assert await scene.ledger.kept() == {}
    said = [(each["rule"], each["name"]) for each in logs if "no longer the service" in each["event"]]
    assert said == [("web-pods", "web-1")] * (seen and later is DEBUGGED)


async def test_news_that_comes_during_a_look_is_what_the_look_sees(watched: WatchedLedger) -> None:
    """The loop breathes between looks; a pod that recovers meanwhile is never told as unhealthy."""
    scene = WatchScene(watched, WATCHED)
    for name in ("first", "last"):
        scene.caches.pods.put(factories.pod(name, ready=False, uid=name))
    step = asyncio.create_task(scene.watch.step())
    await asyncio.sleep(0)
    scene.caches.pods.put(factories.pod("last", ready=True, uid="last", version="2"))
    await step

    assert {uid for _, uid in await scene.ledger.kept()} == {"first"}


async def test_a_pod_that_stays_unready_is_looked_at_until_time_makes_it_unhealthy(watched: WatchedLedger) -> None:
    """Nothing changes any more, but whether a pod should be ready by now is a question of time."""
    scene = WatchScene(watched, WATCHED)
    scene.caches.pods.put(never_ready())
    scene.now = factories.NOW - timedelta(hours=1) + timedelta(seconds=1)
    await scene.watch.step()
    first = list(scene.ledger.told)
    scene.now = factories.NOW
    await scene.watch.step()

    assert first == []
    assert scene.ledger.told == [FIRING]


async def test_a_pod_that_is_ready_between_two_crashes_is_unhealthy_until_it_has_run_for_longer(
    watched: WatchedLedger,
) -> None:
    """A container without a readiness probe is ready whenever it runs, if only for a second."""
    scene = WatchScene(watched, WATCHED)
    status = running(since=0.02, restarts=4, crashed=0.3, lived=0.02)
    pod = factories.pod()
    scene.caches.pods.put(changed(pod, status=changed(pod.status, container_statuses=(status,))))
    scene.now = NOW
    await scene.watch.step()
    first = list(scene.ledger.told)
    scene.now = NOW + timedelta(seconds=30)
    await scene.watch.step()

    assert first == [FIRING]
    assert scene.ledger.told == [FIRING, RESOLVED]


async def test_a_pod_that_was_taken_out_of_its_service_is_not_looked_at(watched: WatchedLedger) -> None:
    """What is not ready is looked at again and again, but as it is by now."""
    scene = WatchScene(watched, WATCHED)
    pod = never_ready()
    scene.caches.pods.put(pod)
    scene.now = factories.NOW - timedelta(hours=1) + timedelta(seconds=1)
    await scene.watch.step()
    scene.caches.pods.put(changed(pod, metadata=changed(pod.metadata, labels={}, resource_version="2")))
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
    scene = WatchScene(watched, factories.catalog(factories.service_text(), rule, factories.runbook_text()))
    workload = factories.deployment(scene.services.catalog.services["web"])
    owner = OwnerReference(kind="Deployment", name="web", uid=workload.metadata.uid, controller=True)
    made = Metadata(name="web-7d4", namespace="production", uid="rs", owner_references=(owner,))
    scene.caches.deployments.put(workload)
    scene.caches.replica_sets.put(ReplicaSet(metadata=made))
    pod = factories.pod(version="1")
    volume = Volume(name="data", persistent_volume_claim=ClaimVolume(claim_name="data"))
    scene.caches.pods.put(changed(pod, spec=changed(pod.spec, node_name="node-1", volumes=(volume,))))
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

    assert fired == [FIRING]
    assert scene.ledger.told == [FIRING, RESOLVED]
