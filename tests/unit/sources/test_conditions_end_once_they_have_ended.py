"""What was told as firing is told as resolved, whatever happens in between (P9): nothing fires for ever."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

from kintsugi.decisions.matcher import Matcher
from kintsugi.errors import LedgerUnavailable
from kintsugi.model.catalog import Catalog
from kintsugi.model.records import PendingMatch, SignalStatus, Target
from kintsugi.model.views import ServiceView
from kintsugi.sources.cluster import ClusterWatch
from tests.unit import factories
from tests.unit.sources.watched_ledger import WatchedLedger, nothing

TOO_FEW = factories.rule_text("web-too-few", on="services", more="when: service.ready < service.desired\nfor: 0s\n")
CATALOG = factories.catalog(factories.service_text(), TOO_FEW, factories.runbook_text())
KEY = ("web-too-few", "web")


@dataclass
class ServiceScene:
    """A watch on a service that is seen as the test says."""

    ledger: WatchedLedger
    now: datetime = factories.NOW
    stale_reason: str = ""
    views: dict[str, ServiceView] = field(default_factory=dict)
    listeners: list[Callable[[ServiceView], None]] = field(default_factory=list)

    def watch(self, catalog: Catalog = CATALOG) -> ClusterWatch:
        """Start a watch, as a new process does."""
        nothing_there = SimpleNamespace(store={}, subscribe=lambda _: None)
        caches = SimpleNamespace(pods=nothing_there, pvcs=nothing_there, nodes=nothing_there, events=nothing_there)
        self.listeners.clear()
        watch = ClusterWatch(caches, self, self.ledger.ledger, clock=lambda: self.now)  # type: ignore[arg-type]
        watch.reload(catalog, Matcher(catalog))
        return watch

    def listen(self, listener: Callable[[ServiceView], None]) -> None:
        self.listeners.append(listener)

    def on_new_selector(self, _listener: Callable[[], None]) -> None:
        """Call nobody: the selector is the document's."""

    def see(self, *, ready: int) -> None:
        """Show the service with so many of three pods ready, a second later."""
        self.now += timedelta(seconds=1)
        view = self.views["web"] = factories.view(CATALOG.services["web"], ready=ready)
        for listener in self.listeners:
            listener(view)


@pytest.fixture
def scene(watched: WatchedLedger) -> ServiceScene:
    return ServiceScene(watched)


async def test_a_condition_that_ends_while_its_signal_is_being_committed_is_resolved(scene: ServiceScene) -> None:
    """The end is noticed between the commit of the signal and that of the condition."""
    watch = scene.watch()
    scene.see(ready=2)

    def it_ends() -> None:
        scene.see(ready=3)

    scene.ledger.failpoints.happens = it_ends
    await watch.step()
    scene.ledger.failpoints.happens = nothing
    await watch.step()

    assert scene.ledger.told == [SignalStatus.FIRING, SignalStatus.RESOLVED]
    assert await scene.ledger.kept() == {}


async def test_a_condition_that_ends_while_others_are_being_kept_is_resolved(scene: ServiceScene) -> None:
    """What is noticed while the ledger is busy belongs to the next commit, not to the one under way."""
    watch = scene.watch()
    scene.see(ready=2)
    await watch.step()

    scene.see(ready=3)
    await watch.step()
    scene.see(ready=2)

    def it_ends() -> None:
        scene.see(ready=3)

    scene.ledger.failpoints.happens = it_ends
    await watch.step()
    scene.ledger.failpoints.happens = nothing
    await watch.step()

    assert await scene.ledger.firing() == ()
    assert await scene.ledger.kept() == {}


async def test_a_condition_that_begins_anew_while_its_end_is_being_kept_is_known(scene: ServiceScene) -> None:
    """Nothing that holds is forgotten."""
    watch = scene.watch()
    scene.see(ready=2)
    await watch.step()
    scene.see(ready=3)

    def it_begins() -> None:
        scene.see(ready=2)

    scene.ledger.failpoints.happens = it_begins
    await watch.step()
    scene.ledger.failpoints.happens = nothing
    await watch.step()

    assert list(await scene.ledger.kept()) == [KEY]
    assert scene.ledger.told == [SignalStatus.FIRING, SignalStatus.RESOLVED, SignalStatus.FIRING]


async def test_an_end_that_cannot_be_kept_is_kept_when_the_ledger_is_back(scene: ServiceScene) -> None:
    """D1."""
    watch = scene.watch()
    scene.see(ready=2)
    await watch.step()
    scene.see(ready=3)

    scene.ledger.failpoints.away = True
    with pytest.raises(LedgerUnavailable):
        await watch.step()
    scene.ledger.failpoints.away = False
    await watch.step()

    assert scene.ledger.told == [SignalStatus.FIRING, SignalStatus.RESOLVED]
    assert await scene.ledger.kept() == {}


async def test_a_signal_whose_condition_was_not_marked_before_a_kill_is_resolved_by_the_next_process(
    scene: ServiceScene,
) -> None:
    """C1: the process dies between the commit of the signal and that of the condition, which ends before the restart."""
    watch = scene.watch()
    scene.see(ready=2)
    await watch.step()
    await scene.ledger.keep(replace((await scene.ledger.kept())[KEY], signalled=False))

    after = scene.watch()
    await after.recall()
    scene.see(ready=3)
    await after.step()

    assert await scene.ledger.firing() == ()
    assert await scene.ledger.kept() == {}


async def test_a_signal_without_any_condition_is_judged_anew_by_the_next_process(scene: ServiceScene) -> None:
    """Whatever led to it, a watched signal ends when what it tells of does not hold."""
    watch = scene.watch()
    scene.see(ready=2)
    await watch.step()
    await scene.ledger.keep(ended=[KEY])

    after = scene.watch()
    await after.recall()
    scene.see(ready=3)
    await after.step()

    assert await scene.ledger.firing() == ()


async def test_a_signal_of_a_rule_that_is_gone_after_a_restart_is_resolved(scene: ServiceScene) -> None:
    """C17: nobody would ever answer its condition again."""
    watch = scene.watch()
    scene.see(ready=2)
    await watch.step()

    after = scene.watch(factories.shop())
    await after.recall()
    await after.step()

    assert await scene.ledger.firing() == ()
    assert await scene.ledger.kept() == {}


async def test_every_signal_is_told_to_who_counts_them_once_it_is_committed(scene: ServiceScene) -> None:
    """P9: what was received is counted whatever source it has; what the ledger has not taken is not received yet."""
    watch = scene.watch()
    told: list[int] = []
    watch.on_signals(told.append)
    scene.see(ready=2)
    scene.ledger.failpoints.away = True
    with pytest.raises(LedgerUnavailable):
        await watch.step()
    assert told == []
    scene.ledger.failpoints.away = False
    await watch.step()
    assert told == [1]
    scene.see(ready=3)
    await watch.step()
    assert told == [1, 1]


async def test_a_condition_that_begins_and_ends_while_an_earlier_process_is_recalled_ends_no_other(
    scene: ServiceScene,
) -> None:
    """C1: a view that comes in before the ledger was read must not bring the watch down."""
    watch = scene.watch()
    rule = CATALOG.rules["web-too-few"]
    target = Target(kind="Service", namespace="production", name="web", uid="web")

    watch.record(rule, target, holds=True)
    watch.record(rule, target, holds=False)
    await watch.recall()
    await watch.step()

    assert await scene.ledger.kept() == {}
    assert scene.ledger.told == []


async def test_a_condition_that_has_ended_unwatched_is_not_told_though_its_time_is_over_by_now(
    scene: ServiceScene,
) -> None:
    """C1, P6: the next process sees the service before it has read what was noticed by the one that died."""
    await scene.ledger.keep(noticed_before())

    watch = scene.watch()
    scene.see(ready=3)
    await watch.recall()
    await watch.step()

    assert scene.ledger.told == []
    assert await scene.ledger.kept() == {}


async def test_a_condition_that_an_earlier_process_noticed_is_told_once_it_is_seen_again(scene: ServiceScene) -> None:
    """C1, P6: a question that nobody has asked anew has no answer; once it has one, its time counts from the beginning."""
    await scene.ledger.keep(noticed_before())

    watch = scene.watch()
    await watch.recall()
    await watch.step()
    assert scene.ledger.told == []

    watch.record(CATALOG.rules["web-too-few"], noticed_before().target, holds=None)
    await watch.step()
    assert scene.ledger.told == []

    watch.record(CATALOG.rules["web-too-few"], noticed_before().target, holds=True)
    await watch.step()
    assert [signal.began for signal in await scene.ledger.firing()] == [noticed_before().since]


def noticed_before() -> PendingMatch:
    """Return a condition that an earlier process has noticed and not told of."""
    target = Target(kind="Service", namespace="production", name="web", uid="web")
    return PendingMatch(rule="web-too-few", target=target, since=factories.NOW - timedelta(hours=1))
