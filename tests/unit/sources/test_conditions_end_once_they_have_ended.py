"""What was told as firing is told as resolved, whatever happens in between (P9): nothing fires for ever."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

from kintsugi.errors import LedgerUnavailable
from kintsugi.matcher import Matcher
from kintsugi.model.documents import Catalog
from kintsugi.model.records import Condition, Signal, SignalSource, SignalStatus, Target
from kintsugi.model.views import ServiceView
from kintsugi.sources.cluster import ClusterWatch
from tests.unit import factories

TOO_FEW = factories.rule_text("web-too-few", on="services", more="when: service.ready < service.desired\nfor: 0s\n")
CATALOG = factories.catalog(factories.service_text(), TOO_FEW, factories.runbook_text())
KEY = ("web-too-few", "web")


async def nothing() -> None:
    """Let nothing happen meanwhile."""


@dataclass
class BusyLedger:
    """A ledger in memory; `meanwhile` happens while a commit is under way, `away` refuses it."""

    kept: dict[tuple[str, str], Condition] = field(default_factory=dict)
    told: list[SignalStatus] = field(default_factory=list)
    open: dict[str, Signal] = field(default_factory=dict)
    meanwhile: Callable[[], Awaitable[None]] = nothing
    away: bool = False

    async def conditions(self) -> tuple[Condition, ...]:
        return tuple(self.kept.values())

    async def firing(self, *sources: SignalSource) -> tuple[Signal, ...]:
        return tuple(self.open.values())

    async def save_conditions(self, began: Sequence[Condition], ended: Sequence[tuple[str, str]]) -> None:
        await self._commit()
        for key in ended:
            self.kept.pop(key, None)
        self.kept.update({(each.rule, each.target.uid): each for each in began})

    async def accept(self, signals: Sequence[Signal], now: datetime) -> None:
        await self._commit()
        for each in signals:
            self.told.append(each.status)
            if each.status is SignalStatus.FIRING:
                self.open.setdefault(each.key, each)
            else:
                self.open.pop(each.key, None)

    async def _commit(self) -> None:
        if self.away:
            raise LedgerUnavailable("away")
        await self.meanwhile()


@dataclass
class Scene:
    """A watch on a service that is seen as the test says."""

    ledger: BusyLedger = field(default_factory=BusyLedger)
    blind: str = ""
    views: dict[str, ServiceView] = field(default_factory=dict)
    listeners: list[Callable[[ServiceView], None]] = field(default_factory=list)

    def watch(self, catalog: Catalog = CATALOG) -> ClusterWatch:
        """Start a watch, as a new process does."""
        nothing_there = SimpleNamespace(store={}, subscribe=lambda _: None)
        caches = SimpleNamespace(pods=nothing_there, claims=nothing_there, nodes=nothing_there, events=nothing_there)
        self.listeners.clear()
        watch = ClusterWatch(caches, self, self.ledger, clock=lambda: factories.NOW)  # type: ignore[arg-type]
        watch.use(catalog, Matcher(catalog))
        return watch

    def listen(self, listener: Callable[[ServiceView], None]) -> None:
        self.listeners.append(listener)

    def see(self, *, ready: int) -> None:
        """Show the service with so many of three pods ready."""
        view = self.views["web"] = factories.view(CATALOG.services["web"], ready=ready)
        for listener in self.listeners:
            listener(view)


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_a_condition_that_ends_while_its_signal_is_being_committed_is_resolved(scene: Scene) -> None:
    """The end is noticed between the commit of the signal and that of the condition."""
    watch = scene.watch()
    scene.see(ready=2)

    async def it_ends() -> None:
        scene.see(ready=3)

    scene.ledger.meanwhile = it_ends
    await watch.step()
    scene.ledger.meanwhile = nothing
    await watch.step()

    assert scene.ledger.told == [SignalStatus.FIRING, SignalStatus.RESOLVED]
    assert scene.ledger.kept == {}


async def test_a_condition_that_ends_while_others_are_being_kept_is_resolved(scene: Scene) -> None:
    """What is noticed while the ledger is busy belongs to the next commit, not to the one under way."""
    watch = scene.watch()
    scene.see(ready=2)
    await watch.step()

    scene.see(ready=3)
    await watch.step()
    scene.see(ready=2)

    async def it_ends() -> None:
        scene.see(ready=3)

    scene.ledger.meanwhile = it_ends
    await watch.step()
    scene.ledger.meanwhile = nothing
    await watch.step()

    assert scene.ledger.open == {}
    assert scene.ledger.kept == {}


async def test_a_condition_that_begins_anew_while_its_end_is_being_kept_is_known(scene: Scene) -> None:
    """Nothing that holds is forgotten."""
    watch = scene.watch()
    scene.see(ready=2)
    await watch.step()
    scene.see(ready=3)

    async def it_begins() -> None:
        scene.see(ready=2)

    scene.ledger.meanwhile = it_begins
    await watch.step()
    scene.ledger.meanwhile = nothing
    await watch.step()

    assert list(scene.ledger.kept) == [KEY]
    assert scene.ledger.told == [SignalStatus.FIRING, SignalStatus.RESOLVED, SignalStatus.FIRING]


async def test_an_end_that_cannot_be_kept_is_kept_when_the_ledger_is_back(scene: Scene) -> None:
    """D1."""
    watch = scene.watch()
    scene.see(ready=2)
    await watch.step()
    scene.see(ready=3)

    scene.ledger.away = True
    with pytest.raises(LedgerUnavailable):
        await watch.step()
    scene.ledger.away = False
    await watch.step()

    assert scene.ledger.told == [SignalStatus.FIRING, SignalStatus.RESOLVED]
    assert scene.ledger.kept == {}


async def test_a_signal_whose_condition_was_not_marked_before_a_kill_is_resolved_by_the_next_process(
    scene: Scene,
) -> None:
    """C1: the process dies between the commit of the signal and that of the condition, which ends before the restart."""
    watch = scene.watch()
    scene.see(ready=2)
    await watch.step()
    scene.ledger.kept[KEY] = replace(scene.ledger.kept[KEY], signalled=False)

    after = scene.watch()
    await after.recall()
    scene.see(ready=3)
    await after.step()

    assert scene.ledger.open == {}
    assert scene.ledger.kept == {}


async def test_a_signal_without_any_condition_is_judged_anew_by_the_next_process(scene: Scene) -> None:
    """Whatever led to it, a watched signal ends when what it tells of does not hold."""
    watch = scene.watch()
    scene.see(ready=2)
    await watch.step()
    scene.ledger.kept.clear()

    after = scene.watch()
    await after.recall()
    scene.see(ready=3)
    await after.step()

    assert scene.ledger.open == {}


async def test_a_signal_of_a_rule_that_is_gone_after_a_restart_is_resolved(scene: Scene) -> None:
    """C17: nobody would ever answer its condition again."""
    watch = scene.watch()
    scene.see(ready=2)
    await watch.step()

    after = scene.watch(factories.shop())
    await after.recall()
    await after.step()

    assert scene.ledger.open == {}
    assert scene.ledger.kept == {}


async def test_every_signal_is_told_to_who_counts_them_once_it_is_committed(scene: Scene) -> None:
    """P9: what was received is counted whatever source it has; what the ledger has not taken is not received yet."""
    watch = scene.watch()
    told: list[int] = []
    watch.on_told(told.append)
    scene.see(ready=2)
    scene.ledger.away = True
    with pytest.raises(LedgerUnavailable):
        await watch.step()
    assert told == []
    scene.ledger.away = False
    await watch.step()
    assert told == [1]
    scene.see(ready=3)
    await watch.step()
    assert told == [1, 1]


async def test_what_begins_and_ends_while_an_earlier_process_is_recalled_ends_nothing_else() -> None:
    """C1: a view that comes in before the ledger was read must not bring the watch down."""
    scene = Scene()
    watch = scene.watch()
    rule = CATALOG.rules["web-too-few"]
    target = Target(kind="Service", namespace="production", name="web", uid="web")

    watch.tell(rule, target, holds=True)
    watch.tell(rule, target, holds=False)
    await watch.recall()
    await watch.step()

    assert scene.ledger.kept == {}
    assert scene.ledger.told == []


async def test_what_has_ended_while_nobody_watched_is_not_told_though_its_time_is_over_by_now(scene: Scene) -> None:
    """C1, P6: the next process sees the service before it has read what was noticed by the one that died."""
    scene.ledger.kept[KEY] = noticed_before()

    watch = scene.watch()
    scene.see(ready=3)
    await watch.recall()
    await watch.step()

    assert scene.ledger.told == []
    assert scene.ledger.kept == {}


async def test_what_an_earlier_process_noticed_is_told_once_it_is_seen_again(scene: Scene) -> None:
    """C1, P6: a question that nobody has asked anew has no answer; once it has one, its time counts from the beginning."""
    scene.ledger.kept[KEY] = noticed_before()

    watch = scene.watch()
    await watch.recall()
    await watch.step()
    assert scene.ledger.told == []

    watch.tell(CATALOG.rules["web-too-few"], noticed_before().target, holds=None)
    await watch.step()
    assert scene.ledger.told == []

    watch.tell(CATALOG.rules["web-too-few"], noticed_before().target, holds=True)
    await watch.step()
    assert [signal.began for signal in scene.ledger.open.values()] == [noticed_before().since]


def noticed_before() -> Condition:
    """Give a condition that an earlier process has noticed and not told of."""
    target = Target(kind="Service", namespace="production", name="web", uid="web")
    return Condition(rule="web-too-few", target=target, since=factories.NOW - timedelta(hours=1))
