"""
Looks again and again until an expectation holds, unbroken for as long as asked, or its time is over.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from kintsugi.errors import CommandError, EvaluationError, KubeError, ProbeFailed, Refused, ResolverFailed
from kintsugi.expressions import Expression

Own = Mapping[str, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """
    The last look: its result names, whether the expectation held, and what stood in the way.

    `unknown`: nobody was asked, through a fault of the daemon's own, so that nothing follows.
    """

    own: Own
    met: bool
    error: str = ""
    unknown: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Expectation:
    """
    What must hold, and for how long one looks.

    `within` is the time until it first holds, `hold` the unbroken time that it must go on holding; `progress` starts
    `within` anew whenever its value changes. `every` is the pause between two looks.
    """

    expect: Expression | None
    within: timedelta
    hold: timedelta
    progress: Expression | None
    every: timedelta


async def look_until(
    expectation: Expectation,
    look: Callable[[], Awaitable[Own]],
    names: Callable[[Own], Mapping[str, object]],
    clock: Callable[[], datetime],
    blind: Callable[[], str] = lambda: "",
) -> Seen:
    """
    Look until the expectation is met or cannot be met in time. A look that gets no answer counts as not met.

    What is seen while `blind` says that nothing can be trusted counts neither way, and the time does not either (P6).
    """
    started = looked = clock()
    held: datetime | None = None
    progress: object = None
    while True:
        seen = await glance(expectation, look, names)
        now = clock()
        unseen, looked = now - looked, now
        if blind():
            held, started = None, started + unseen
            await asyncio.sleep(expectation.every.total_seconds())
            continue
        held = (held or now) if seen.met else None
        if held is not None and now - held >= expectation.hold:
            return seen
        current = measure(expectation.progress, names(seen.own))
        if current != progress:
            progress, started = current, now
        if held is None and now - started >= expectation.within:
            return seen
        await asyncio.sleep(expectation.every.total_seconds())


async def glance(
    expectation: Expectation, look: Callable[[], Awaitable[Own]], names: Callable[[Own], Mapping[str, object]]
) -> Seen:
    """Look once."""
    try:
        own = await look()
    except ResolverFailed as error:
        return Seen(own={}, met=False, error=str(error), unknown=True)
    except (KubeError, ProbeFailed, Refused, CommandError, EvaluationError) as error:
        return Seen(own={}, met=False, error=str(error))
    if expectation.expect is None:
        return Seen(own=own, met=True)
    try:
        met = expectation.expect.evaluate(names(own)) is True
    except EvaluationError as error:
        return Seen(own=own, met=False, error=f"no answer: {error}")
    return Seen(own=own, met=met, error="" if met else f"not met: {expectation.expect.source}")


def measure(progress: Expression | None, names: Mapping[str, object]) -> object:
    """Evaluate `progress`; what has no answer has not progressed."""
    if progress is None:
        return None
    try:
        return progress.evaluate(names)
    except EvaluationError:
        return None
