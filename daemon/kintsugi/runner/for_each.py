"""
`forEach`: the items are listed when the step begins, and each is read again just before its turn.

Items are compared by identity, so that a list that is evaluated again contains the same items.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter

from kintsugi.decisions.disruptions import serving, take_next
from kintsugi.errors import EvaluationError
from kintsugi.mask import MASK
from kintsugi.model.records import StepState
from kintsugi.model.runbooks import Run, Step
from kintsugi.model.step_path import RUN
from kintsugi.runner.context import RunContext, StepScope
from kintsugi.runner.ends import NOT_NEEDED, ExecutionStopped, StepEnd, merge_results, raise_most_severe
from kintsugi.runner.journal import WHY_LOST


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """An object (by kind and uid), a service (by name) or a plain value; `value` is how it was when it was listed."""

    kind: str
    key: str
    value: object = field(compare=False)

    @property
    def uid(self) -> str:
        """Return an object's uid, "" for other items."""
        match self.value:
            case {"metadata": {"uid": str(uid)}}:
                return uid
            case _:
                return ""

    def __str__(self) -> str:
        return f"{self.kind} {self.key}" if self.kind else self.key


def identity(value: object) -> Item:
    """Return the item of a value."""
    match value:
        case {"apiVersion": str(version), "kind": str(kind), "metadata": {"uid": str(uid), "name": str(name)}}:
            short = {"apiVersion": version, "kind": kind, "metadata": {"uid": uid, "name": name}}
            return Item(kind=kind, key=f"{name} {uid}", value=short)
        case {"name": str(name), "priority": int()}:
            return Item(kind="service", key=name, value={"name": name})
        case _:
            return Item(kind="", key=repr(value), value=value)


def kept(items: Sequence[Item]) -> Mapping[str, object]:
    """Return the items as JSON, for the ledger."""
    return {"items": [{"kind": item.kind, "key": item.key, "value": item.value} for item in items]}


def restored(facts: Mapping[str, object]) -> Sequence[Item]:
    """Return the items that `kept` has encoded."""
    listed = facts["items"]
    assert isinstance(listed, list), listed
    return [Item(kind=each["kind"], key=each["key"], value=each["value"]) for each in listed]


async def run_for_each(
    context: RunContext, step: Step, scope: StepScope, run_item: Callable[[Step, StepScope], Awaitable[StepEnd]]
) -> StepEnd:
    """
    Execute a step for each of its items, `maxParallel` at a time.

    An item that is gone, or for which `when` no longer holds, is skipped. After one that aborted the execution no further
    item is begun; those under way are finished. Raises ExecutionStopped when a list or a `when` cannot be evaluated.
    """
    items = await items_of(context, step, scope)
    gate, over = asyncio.Semaphore(step.max_parallel), asyncio.Event()
    waiting = list(enumerate(items))

    async def one() -> tuple[int, StepEnd | None]:
        async with gate:
            try:
                views = context.deps.observed.views.values()
                index, item = take_next(waiting, attrgetter("uid"), serving(views) if deletes(step) else ())
                here = await bind_item(context, step, scope, (index, item)) if not over.is_set() else None
                if here is None:
                    return index, None
                return index, await run_item(
                    replace(step, id=str(RUN.down(step.id).at_item(index)), for_each=None), here
                )
            # Nothing is contained: anything that ends one turn (a stop, a defect, a cancellation) keeps the others from beginning.
            except BaseException:
                over.set()
                raise

    ends = await asyncio.gather(*(one() for _ in items), return_exceptions=True)
    raise_most_severe(ends)
    in_order = sorted((end for end in ends if isinstance(end, tuple)), key=lambda end: end[0])
    return combine([end for _, end in in_order if end is not None])


async def items_of(context: RunContext, step: Step, scope: StepScope) -> Sequence[Item]:
    """Return a step's items as they were when it began; keep them in the journal."""
    path = scope.path(step.id).items()
    known = context.journal.known(scope.phase, path)
    if known is not None:
        items = restored(known.facts)
        if context.journal.is_from_ledger(scope.phase, path) and any(MASK in item.key for item in items):
            raise ExecutionStopped(
                scope.path(step.id), f"an item of its list {WHY_LOST}; the completed items are unknown"
            )
        return items
    items = [identity(item) for item in await listed(context, step, scope)]
    record = context.journal.blank(path, name=step.name or step.id, phase=scope.phase)
    listing = replace(record, state=StepState.DONE, met=True, facts=kept(items))
    await context.journal.save_step(listing, expect=None, now=context.deps.clock())
    return items


def deletes(step: Step) -> bool:
    """Return whether a step, or a step inside it, deletes objects."""
    return any(isinstance(each.do, Run) and each.do.command.removes for each in step.flat())


async def listed(context: RunContext, step: Step, scope: StepScope, *, at_once: bool = False) -> Sequence[object]:
    """Evaluate a step's list once the service's view is current; with `at_once` do not wait for that."""
    assert step.for_each is not None, step.id
    if not at_once:
        await context.wait_until_current(scope)
    try:
        items = step.for_each.evaluate(context.names(scope))
    except EvaluationError as error:
        raise ExecutionStopped(scope.path(step.id), f"its list cannot be evaluated: {error}") from error
    return items if isinstance(items, list) else [items]


async def bind_item(context: RunContext, step: Step, scope: StepScope, numbered: tuple[int, Item]) -> StepScope | None:
    """
    Return the scope of one item as it is now; None when it is gone or not wanted.

    An item whose change was begun before a restart is always wanted.
    """
    index, item = numbered
    begun = context.journal.has_begun(scope.phase, scope.path(step.id).at_item(index))
    current = {identity(each): each for each in await listed(context, step, scope, at_once=begun)}
    here = replace(scope, item=current.get(item, item.value))
    return here if begun or (item in current and await is_wanted(context, step, here)) else None


async def is_wanted(context: RunContext, step: Step, scope: StepScope) -> bool:
    """
    Return whether a step's `when` and `unless` allow it, once the service's view is current.

    Raises ExecutionStopped when one of them cannot be evaluated.
    """
    if step.when is None and step.unless is None:
        return True
    await context.wait_until_current(scope)
    names = context.names(scope)
    try:
        yes = step.when is None or step.when.evaluate(names) is True
        return yes and not (step.unless is not None and step.unless.evaluate(names) is True)
    except EvaluationError as error:
        raise ExecutionStopped(scope.path(step.id), f"its `when` or `unless` cannot be evaluated: {error}") from error


def combine(ends: Sequence[StepEnd]) -> StepEnd:
    """Combine the ends of a step's items: met when all are, ran when any did; left out when no item was wanted."""
    wanted = [end for end in ends if not end.left_out]
    if not wanted:
        return NOT_NEEDED
    return StepEnd(
        ran=any(end.ran for end in wanted),
        met=all(end.met for end in wanted),
        state=StepState.FAILED if any(end.state is StepState.FAILED for end in wanted) else StepState.DONE,
        result=merge_results([end.result for end in wanted]),
        error="; ".join(end.error for end in wanted if end.error),
        lost=frozenset[str]().union(*(end.lost for end in wanted)),
    )
