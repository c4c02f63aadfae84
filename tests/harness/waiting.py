"""Waiting for a state of the world: with a condition, a deadline, and the last state when it is over."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

Seen = TypeVar("Seen")
BUSY = 4
"""A deadline is written for a machine at rest; a busy one has so many times that. It ends a hang, and says nothing about speed."""


class WaitedTooLongError(AssertionError):
    """What was waited for did not come in time; the message carries the last state."""


class HopelessError(Exception):
    """A condition raises this when it can no longer come true: the wait ends at once."""


def wait_for(
    condition: Callable[[], Seen | None],
    *,
    within: float,
    describe: str | Callable[[], object] = "",
    every: float = 0.1,
) -> Seen:
    """Call `condition` until it answers something true, and return that.

    `within` and `every` are seconds on a machine at rest. `describe` says what was waited for; a callable is asked for the last state when
    the time is over. A condition that raises has not come true yet, unless it is a HopelessError. Raises WaitedTooLongError.
    """
    within *= BUSY
    deadline = time.monotonic() + within
    while True:
        try:
            last: object = (seen := condition())
            if seen:
                return seen
        except HopelessError:
            raise
        except Exception as error:  # noqa: BLE001 - what cannot be looked at yet is not true yet; the last error is shown
            last = error
        if time.monotonic() >= deadline:
            raise WaitedTooLongError(_complaint(condition, within, describe, last))
        time.sleep(every)


@overload
async def eventually(
    condition: Callable[[], Awaitable[Seen | None]],
    *,
    within: float,
    describe: str | Callable[[], object] = "",
    every: float = 0.1,
) -> Seen: ...


@overload
async def eventually(
    condition: Callable[[], Seen | None],
    *,
    within: float,
    describe: str | Callable[[], object] = "",
    every: float = 0.1,
) -> Seen: ...


async def eventually(
    condition: Callable[[], Seen | Awaitable[Seen | None] | None],
    *,
    within: float,
    describe: str | Callable[[], object] = "",
    every: float = 0.1,
) -> Seen:
    """Do what `wait_for` does without holding up the event loop: a plain function is called in a thread."""
    within *= BUSY
    deadline = time.monotonic() + within
    while True:
        try:
            seen = await _ask(condition)
            last: object = seen
            if seen:
                return seen
        except HopelessError:
            raise
        except Exception as error:  # noqa: BLE001 - as in wait_for
            last = error
        if time.monotonic() >= deadline:
            raise WaitedTooLongError(await asyncio.to_thread(_complaint, condition, within, describe, last))
        await asyncio.sleep(every)


def in_loop(condition: Callable[[], object]) -> Callable[[], Awaitable[object]]:
    """Let a condition be asked in the event loop, not in a thread: what lives there is not to be looked at from elsewhere."""

    async def asked() -> object:
        answer = condition()
        return await answer if inspect.isawaitable(answer) else answer

    return asked


async def _ask(condition: Callable[[], Seen | Awaitable[Seen | None] | None]) -> Seen | None:
    answer = condition() if inspect.iscoroutinefunction(condition) else await asyncio.to_thread(condition)
    return await answer if inspect.isawaitable(answer) else answer


def _complaint(
    condition: Callable[[], object], within: float, describe: str | Callable[[], object], last: object
) -> str:
    wanted = describe if isinstance(describe, str) and describe else getattr(condition, "__qualname__", repr(condition))
    text = f"not within {within:g} s: {wanted}\nlast answer: {last!r}"
    if callable(describe):
        try:
            text += f"\nlast state: {describe()}"
        except Exception as error:  # noqa: BLE001 - a state that cannot be shown must not hide what was waited for
            text += f"\nlast state cannot be shown: {error!r}"
    return text
