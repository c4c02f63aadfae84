"""
`for_each`: the items as they were when the step began, each looked up afresh just before its turn.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from kintsugi.errors import EvaluationError
from kintsugi.model.documents import Step
from kintsugi.model.records import StepState
from kintsugi.runner.desk import Desk
from kintsugi.runner.ends import Ended, Stopped, raise_gravest
from kintsugi.runner.items import Item, identity, kept, restored
from kintsugi.runner.memory import Bearings
from kintsugi.runner.results import together


async def rounds(desk: Desk, step: Step, at: Bearings, turn: Callable[[Step, Bearings], Awaitable[Ended]]) -> Ended:
    """
    Do a step for each of its items, `at_once` at a time.

    An item that is gone, or for which `when` no longer holds, is passed over. After one that ended the walk no further
    item is begun; those under way come to their ends. Raises Stopped when a list or a `when` has no answer.
    """
    items = await items_of(desk, step, at)
    gate, over = asyncio.Semaphore(step.at_once), asyncio.Event()

    async def one(index: int, item: Item) -> Ended | None:
        async with gate:
            try:
                here = await stand(desk, step, at, (index, item)) if not over.is_set() else None
                if here is None:
                    return None
                return await turn(replace(step, id=f"{step.id}[{index}]", for_each=None), here)
            # Contained is nothing: whatever ends one turn (a stop, a defect, a cancellation) keeps the others from beginning.
            except BaseException:
                over.set()
                raise

    ends = await asyncio.gather(*(one(index, item) for index, item in enumerate(items)), return_exceptions=True)
    raise_gravest(ends)
    return together([end for end in ends if isinstance(end, Ended)])


async def items_of(desk: Desk, step: Step, at: Bearings) -> Sequence[Item]:
    """Give a step's items as they were when it began, and keep them."""
    path = f"{at.path(step.id)}[]"
    known = desk.journal.known(at.phase, path)
    if known is not None:
        return restored(known.facts)
    await desk.sight(at)
    items = [identity(item) for item in listed(desk, step, at)]
    record = desk.blank(path, name=step.name or step.id, phase=at.phase)
    await desk.save(replace(record, state=StepState.DONE, met=True, facts=kept(items)), expect=None)
    return items


def listed(desk: Desk, step: Step, at: Bearings) -> Sequence[object]:
    """Evaluate a step's list as it is now."""
    assert step.for_each is not None, step.id
    try:
        items = step.for_each.evaluate(desk.names(at))
    except EvaluationError as error:
        raise Stopped(at.path(step.id), f"its list cannot be told: {error}") from error
    return items if isinstance(items, list) else [items]


async def stand(desk: Desk, step: Step, at: Bearings, turn: tuple[int, Item]) -> Bearings | None:
    """Stand at one item as it is now; None when it is gone or not wanted, unless its change was begun before a restart."""
    index, item = turn
    begun = desk.journal.has_begun(at.phase, f"{at.path(step.id)}[{index}]")
    if not begun:
        await desk.sight(at)
    fresh = {identity(each): each for each in listed(desk, step, at)}
    here = at.at(fresh.get(item, item.value))
    return here if begun or (item in fresh and await wanted(desk, step, here)) else None


async def wanted(desk: Desk, step: Step, at: Bearings) -> bool:
    """Ask a step's `when` and `unless` here and now, with open eyes. Raises Stopped when there is no answer."""
    if step.when is None and step.unless is None:
        return True
    await desk.sight(at)
    names = desk.names(at)
    try:
        yes = step.when is None or step.when.evaluate(names) is True
        return yes and not (step.unless is not None and step.unless.evaluate(names) is True)
    except EvaluationError as error:
        raise Stopped(at.path(step.id), f"it cannot be said whether it is wanted: {error}") from error
