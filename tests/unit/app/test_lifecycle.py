"""What should go on for ever and fails ends the daemon, loudly (C8); its collector looks at nothing that lives as long as it."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta

import pytest

from kintsugi.app.figures import diagnosed_within
from kintsugi.app.lifecycle import Lifecycle
from kintsugi.app.periodic_jobs import COLLECTED_EVERY, THRESHOLDS, PeriodicJobs, collect_and_freeze
from kintsugi.errors import KubeError, LedgerUnavailable, StaleEpoch
from kintsugi.settings import Settings
from tests.harness.waiting import eventually

OFTEN = timedelta(milliseconds=10)


def life() -> Lifecycle:
    """Return the lifecycle of a daemon."""
    return Lifecycle(shutdown=timedelta(seconds=5))


async def ticking(life: Lifecycle, tick: Callable[[], Awaitable[object]], *, until: Callable[[], bool]) -> None:
    """Let a clock tick until something holds."""
    clock = PeriodicJobs(life.fail)
    clock.every(OFTEN, "a look", tick)
    clock.start()
    try:
        await eventually(until, within=10, every=0.005, describe="what the clock's looks should come to")
    finally:
        await clock.stop()


@pytest.mark.parametrize("error", [RuntimeError("a bug"), StaleEpoch("another leads"), KeyError("x")], ids=repr)
async def test_a_look_that_fails_unexpectedly_ends_the_daemon_with_its_reason(error: Exception) -> None:
    """The scheduler alone would log it and look again, for ever, with half of the daemon at work."""
    daemon = life()

    async def fail() -> None:
        raise error

    await ticking(daemon, fail, until=daemon.failed.done)
    assert daemon.failed.exception() is error


@pytest.mark.parametrize("error", [LedgerUnavailable("away"), KubeError("away")], ids=repr)
async def test_a_look_that_fails_is_tried_again_at_the_next_tick(error: Exception) -> None:
    daemon, looks = life(), []

    async def fail() -> None:
        looks.append(1)
        raise error

    await ticking(daemon, fail, until=lambda: len(looks) > 2)
    assert not daemon.failed.done()


async def test_a_task_that_should_live_for_ever_and_ends_ends_the_daemon() -> None:
    daemon = life()

    async def end() -> None:
        pass

    daemon.spawn("main", end())
    with pytest.raises(RuntimeError, match="main has ended"):
        await asyncio.wait_for(daemon.failed, 20)
    await daemon.stop()


async def test_a_task_that_may_end_may_not_end_by_an_error() -> None:
    daemon, done = life(), asyncio.Event()

    async def end() -> None:
        done.set()

    async def fail() -> None:
        await done.wait()
        raise RuntimeError("a bug")

    daemon.spawn_once("ends", end())
    daemon.spawn_once("fails", fail())
    with pytest.raises(RuntimeError, match="a bug"):
        await asyncio.wait_for(daemon.failed, 20)
    await daemon.stop()


async def test_only_the_first_reason_counts() -> None:
    daemon = life()
    daemon.fail("one", RuntimeError("the cause"))
    daemon.fail("two", RuntimeError("what followed"))
    with pytest.raises(RuntimeError, match="the cause"):
        await daemon.failed


async def test_a_part_that_hangs_while_it_stops_leaves_time_for_those_after_it() -> None:
    """The ledger, which was opened first, is closed last: its lock and its file must not be left as they are."""
    daemon, stopped = Lifecycle(shutdown=timedelta(seconds=0.2)), []

    def part(name: str, *, hangs: bool = False) -> Callable[[], Awaitable[object]]:
        async def stop() -> None:
            if hangs:
                await asyncio.Event().wait()
            stopped.append(name)

        return stop

    daemon.on_stop("ledger", part("ledger"))
    daemon.on_stop("runs", part("runs", hangs=True))
    daemon.on_stop("server", part("server", hangs=True))
    daemon.on_stop("clock", part("clock"))

    await daemon.stop()

    assert stopped == ["clock", "ledger"]


class Node:
    """An object that refers to itself: only the collector can free it."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def unfrozen() -> Iterator[None]:
    """Let the collector look at everything, and leave it as it was."""
    before, were_frozen = gc.get_threshold(), gc.get_freeze_count() > 0
    gc.unfreeze()
    gc.set_threshold(700, 10, 10)
    yield
    gc.unfreeze()
    gc.set_threshold(*before)
    if were_frozen:
        gc.freeze()


@pytest.mark.usefixtures("unfrozen")
async def test_a_full_collection_looks_only_at_what_came_after_and_collections_are_rare() -> None:
    """Counted in objects, which no other work of the machine changes."""
    before = len(gc.get_objects())
    await collect_and_freeze()
    assert len(gc.get_objects()) < before / 10
    assert gc.get_threshold() == THRESHOLDS
    assert THRESHOLDS[0] > 700


@pytest.mark.usefixtures("unfrozen")
async def test_a_later_object_is_collected_as_ever() -> None:
    await collect_and_freeze()
    seen = weakref.ref(Node())
    gc.collect()
    assert seen() is None


@pytest.mark.usefixtures("unfrozen")
async def test_a_frozen_object_that_has_gone_since_is_found_by_the_next_full_collection() -> None:
    node = Node()
    seen = weakref.ref(node)
    await collect_and_freeze()
    del node
    gc.collect()
    assert seen() is not None
    await collect_and_freeze()
    assert seen() is None
    assert timedelta(0) < COLLECTED_EVERY <= timedelta(hours=1)


@pytest.mark.parametrize(("durations", "deadlines", "seconds"), [(1, 1, 10), (0.1, 1, 10), (0.1, 3, 30), (1, 0.1, 10)])
def test_a_run_waits_longer_for_its_diagnosis_where_the_cluster_is_slow(
    durations: float, deadlines: float, seconds: int
) -> None:
    settings = Settings(durations=durations, deadlines=deadlines)
    assert diagnosed_within(settings) == timedelta(seconds=seconds)
