"""Child runs that wait for room ask one at a time, the most important first, and nobody asks where there is none."""

import asyncio
from collections.abc import Sequence

import pytest

from kintsugi.pipeline.slot_queue import SlotQueue

pytestmark = pytest.mark.looptime


class Places:
    """So many places, and who has asked for one, in their order."""

    def __init__(self, free: int) -> None:
        self.free = free
        self.full = ""
        self.asked: list[str] = []
        self.at_once = self.most_at_once = 0
        self.line = SlotQueue(lambda namespace: self.free > 0 and namespace != self.full)

    async def take(self, name: str, priority: int = 1) -> None:
        """Wait for a turn, and take a place; one NAMESPACE/NAME is there."""
        async with self.line.slot((priority, name), name.partition("/")[0]):
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            await asyncio.sleep(1)
            self.asked.append(name)
            self.free -= 1
            self.at_once -= 1

    def give_back(self) -> None:
        """Let one more place be free."""
        self.free += 1
        self.line.move_on()


async def begun(places: Places, *wanted: tuple[str, int]) -> Sequence[asyncio.Task[None]]:
    """Let several wait for a place, and let time go by."""
    tasks = [asyncio.create_task(places.take(name, priority)) for name, priority in wanted]
    await asyncio.sleep(10)
    return tasks


async def test_the_most_important_asks_first_whoever_came_first() -> None:
    places = Places(0)
    tasks = await begun(places, ("web", 3), ("api", 2), ("database", 1))
    for _ in range(3):
        places.give_back()
        await asyncio.sleep(10)
    assert places.asked == ["database", "api", "web"]
    await asyncio.gather(*tasks)


async def test_no_child_asks_while_there_is_no_room() -> None:
    places = Places(1)
    tasks = await begun(places, ("a", 1), ("b", 1), ("c", 1))
    assert places.asked == ["a"]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_children_ask_one_at_a_time_as_long_as_there_is_room() -> None:
    places = Places(3)
    await asyncio.gather(*(places.take(name) for name in "abc"))
    assert (places.asked, places.most_at_once) == (["a", "b", "c"], 1)


async def test_a_child_that_goes_away_while_waiting_or_asking_holds_up_no_other() -> None:
    places = Places(0)
    first, second, last = await begun(places, ("a", 1), ("b", 2), ("c", 3))
    second.cancel()
    places.give_back()
    first.cancel()
    await asyncio.wait([first, second])
    await last
    assert places.asked == ["c"]


async def test_a_child_that_waits_for_room_in_its_namespace_holds_up_no_other_namespace() -> None:
    places = Places(2)
    places.full = "shop"
    tasks = await begun(places, ("shop/database", 1), ("bank/api", 2), ("shop/web", 3))
    assert places.asked == ["bank/api"]
    places.full = ""
    places.give_back()
    await asyncio.gather(*tasks)
    assert places.asked == ["bank/api", "shop/database", "shop/web"]
