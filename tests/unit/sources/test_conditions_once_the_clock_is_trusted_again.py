"""While the clock is in doubt no condition begins, ends or is told; afterwards each is counted anew (C9)."""

from datetime import timedelta

from kintsugi.decisions.matcher import Matcher
from kintsugi.model.records import SignalStatus
from kintsugi.sources.cluster import ClusterWatch, service_target
from kintsugi.views import ServiceViews
from tests.unit import factories
from tests.unit.sources.watched_ledger import WatchedLedger
from tests.unit.views.caches import scripted_caches

DOUBT = "this machine's clock is 1h ahead of the API server's"
TOO_FEW = factories.rule_text("web-too-few", on="services", more="when: service.ready < 3\nfor: 2m\n")
RESTARTED = factories.rule_text("web-pods", more="for: 2m\n").replace("object.unhealthy", "object.restarts > 3")
CATALOG = factories.catalog(factories.service_text(), TOO_FEW, RESTARTED, factories.runbook_text())


class ClockScene:
    """A watch over caches that are told, on a clock that is moved by hand."""

    def __init__(self, ledger: WatchedLedger) -> None:
        self.now, self.problem = factories.NOW, ""
        self.caches, self.ledger = scripted_caches(), ledger
        self.services = ServiceViews(
            self.caches,
            CATALOG,
            clock=lambda: self.now,
            stale_after=timedelta(seconds=30),
            clock_problem=lambda: self.problem,
        )
        self.watch = ClusterWatch(self.caches, self.services, self.ledger.ledger, clock=lambda: self.now)
        self.watch.reload(CATALOG, Matcher(CATALOG))

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


async def test_a_condition_that_held_before_counts_from_when_the_clock_is_trusted_again(watched: WatchedLedger) -> None:
    """A jump of an hour is no hour in which a condition has held."""
    scene = ClockScene(watched)
    await scene.goes_on(seconds=1)
    assert {rule for rule, _ in await scene.ledger.kept()} == {"web-too-few"}
    scene.problem = DOUBT
    await scene.goes_on(hours=1)
    scene.is_trusted(timedelta(0))
    for _ in range(11):
        await scene.goes_on(seconds=10)
        assert scene.ledger.told == []
    await scene.goes_on(seconds=10)
    assert scene.ledger.told == [SignalStatus.FIRING]


async def test_a_condition_that_began_on_a_wrong_clock_is_not_kept_with_its_time(watched: WatchedLedger) -> None:
    """An hour in the future: `for` would be over an hour too late."""
    scene = ClockScene(watched)
    scene.problem = DOUBT
    await scene.goes_on(hours=1)
    scene.watch.record(CATALOG.rules["web-too-few"], service_target(scene.services.views["web"]), holds=True)
    scene.is_trusted(timedelta(hours=-1))
    await scene.goes_on(seconds=1)
    assert (await scene.ledger.kept())["web-too-few", "web"].since < scene.now


async def test_a_condition_that_was_told_is_not_told_as_over_while_the_clock_is_in_doubt(
    watched: WatchedLedger,
) -> None:
    scene = ClockScene(watched)
    for _ in range(2):
        await scene.goes_on(minutes=3)
    scene.problem = DOUBT
    for name in ("web-1", "web-2", "web-3"):
        scene.caches.pods.put(factories.pod(name))
    await scene.goes_on(seconds=10)
    assert scene.ledger.told == [SignalStatus.FIRING]
    scene.is_trusted(timedelta(0))
    await scene.goes_on(seconds=10)
    assert scene.ledger.told == [SignalStatus.FIRING, SignalStatus.RESOLVED]


async def test_a_pod_that_did_not_change_meanwhile_is_looked_at_again(watched: WatchedLedger) -> None:
    """Nothing but time has changed of it."""
    scene = ClockScene(watched)
    for name in ("web-1", "web-2", "web-3"):
        scene.caches.pods.put(factories.pod(name, restarts=9 if name == "web-1" else 0))
    await scene.goes_on(seconds=1)
    assert {rule for rule, _ in await scene.ledger.kept()} == {"web-pods"}
    scene.problem = DOUBT
    await scene.goes_on(seconds=1)
    scene.is_trusted(timedelta(0))
    for _ in range(13):
        await scene.goes_on(seconds=10)
    assert scene.ledger.told == [SignalStatus.FIRING]
