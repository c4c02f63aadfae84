"""
The one loop that retries failed calls, with the waits of stamina.

The caller names the failures that are retried, and logs them itself; stamina's own logs, which a command line without a
log would print, are left out.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import stamina
from stamina.instrumentation import set_on_retry_hooks

T = TypeVar("T")

Again = Callable[[Exception], bool | timedelta]
"""Decides after a failure: False passes it on, True tries again after the usual wait, a time after that one."""

set_on_retry_hooks(())


@dataclass(frozen=True, kw_only=True, slots=True)
class Waits:
    """The waits between attempts: `first`, then twice the one before up to `longest`, with up to `jitter` more."""

    first: timedelta
    longest: timedelta
    jitter: timedelta = timedelta(0)

    @classmethod
    def of(cls, wait: timedelta) -> "Waits":
        """Return waits that are all alike."""
        return cls(first=wait, longest=wait)


async def retry(attempt: Callable[[], Awaitable[T]], again: Again, waits: Waits, *, attempts: int | None = None) -> T:
    """
    Return what the first attempt that does not fail returns.

    Raises what the last one raised: when `again` says so, or after so many `attempts`. A time limit is the caller's: `again`
    knows it, or `asyncio.timeout` cuts the wait.
    """
    try:  # without stamina, whose preparations cost more than most attempts
        return await attempt()
    # Any error: `again` decides what becomes of it.
    except Exception as error:  # noqa: BLE001
        failed: Exception | None = error
    async for each in stamina.retry_context(
        on=again,
        attempts=attempts,
        timeout=None,
        wait_initial=waits.first,
        wait_max=waits.longest,
        wait_jitter=waits.jitter,
    ):
        with each:
            if failed is not None:
                first, failed = failed, None
                raise first
            return await attempt()
    raise AssertionError("attempts end with a value or an error")
