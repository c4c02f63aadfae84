"""The collector looks at nothing that lives as long as the daemon, and still finds what has gone."""

import gc
import weakref
from collections.abc import Iterator
from datetime import timedelta

import pytest

from kintsugi.app import collector


class Node:
    """An object that refers to itself: only the collector can free it."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leave the collector of this process as it was."""
    before, were_frozen = gc.get_threshold(), gc.get_freeze_count() > 0
    gc.unfreeze()
    gc.set_threshold(700, 10, 10)
    yield
    gc.unfreeze()
    gc.set_threshold(*before)
    if were_frozen:
        gc.freeze()


async def test_present_objects_are_frozen_and_collections_are_rare() -> None:
    await collector.collect_and_freeze()
    assert gc.get_freeze_count() > 1000
    assert gc.get_threshold() == collector.THRESHOLDS
    assert collector.THRESHOLDS[0] > 700


async def test_a_full_collection_looks_only_at_what_came_after() -> None:
    """Counted in objects, which no other work of the machine changes."""
    before = len(gc.get_objects())
    await collector.collect_and_freeze()
    assert len(gc.get_objects()) < before / 10


async def test_a_later_object_is_collected_as_ever() -> None:
    await collector.collect_and_freeze()
    seen = weakref.ref(Node())
    gc.collect()
    assert seen() is None


async def test_a_frozen_object_that_has_gone_since_is_found_by_the_next_full_collection() -> None:
    node = Node()
    seen = weakref.ref(node)
    await collector.collect_and_freeze()
    del node
    gc.collect()
    assert seen() is not None
    await collector.collect_and_freeze()
    assert seen() is None
    assert timedelta(0) < collector.EVERY <= timedelta(hours=1)
