"""
Start and stop of a daemon's parts: each part that is started registers its stop. Stops run newest first, each within a
bounded time, and one that fails does not skip the others.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any, TypeVar

from kintsugi.telemetry import get_logger

log = get_logger(__name__)

T = TypeVar("T")
Stop = Callable[[], Awaitable[object]]


class Lifecycle:
    """
    The resources and tasks of one daemon.

    `failed` is done when a task that should run for ever has ended, or a job of the clock has failed; its exception is
    the reason to stop.
    """

    def __init__(self, *, shutdown: timedelta) -> None:
        self._shutdown = shutdown
        self._cleanups: list[tuple[str, Stop]] = []
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_stop(self, name: str, stop: Stop) -> None:
        """Remember how to stop what has just been started."""
        self._cleanups.append((name, stop))

    async def enter(self, name: str, resource: AbstractAsyncContextManager[T]) -> T:
        """Open a resource that is closed at the end."""
        opened = await resource.__aenter__()
        self.on_stop(name, lambda: resource.__aexit__(None, None, None))
        return opened

    def spawn(self, name: str, work: Coroutine[Any, Any, object]) -> None:
        """Start a task that lives until the end; if it ends before, so does the daemon."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._note_end)
        self.on_stop(name, lambda: cancelled(task))

    def spawn_once(self, name: str, work: Coroutine[Any, Any, object]) -> None:
        """Start a task that may end by itself, but not by an error; what it has not done by the end is left."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._note_error)
        self.on_stop(name, lambda: cancelled(task))

    async def stop(self) -> None:
        """
        Stop everything, newest first, within the shutdown time; say what failed and go on.

        Each part has half of the time that is left: one that hangs leaves some to those after it, of which the ledger is the last.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + self._shutdown.total_seconds()
        while self._cleanups:
            await self._stop_one(*self._cleanups.pop(), (end - loop.time()) / 2)

    async def _stop_one(self, name: str, stop: Stop, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds) as limit:
                await stop()
        except Exception:
            # A resource that cannot be closed must not keep the next from being closed; the process ends anyway.
            if limit.expired():
                log.warning("component did not stop in time", what=name, seconds=seconds)
            else:
                log.exception("component failed to stop", what=name)

    def fail(self, name: str, error: BaseException) -> None:
        """Let the daemon end because of this: only the first reason counts."""
        if not self.failed.done():
            log.error("background task ended", what=name, error=str(error))
            self.failed.set_exception(error)

    def _note_end(self, task: asyncio.Task[object]) -> None:
        if not task.cancelled():
            self.fail(task.get_name(), unwrap_group(task.exception() or RuntimeError(f"{task.get_name()} has ended")))

    def _note_error(self, task: asyncio.Task[object]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.fail(task.get_name(), unwrap_group(error))


def unwrap_group(error: BaseException) -> BaseException:
    """Take what went wrong out of the groups that tasks put around it, where it is a single thing."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


async def cancelled(task: asyncio.Task[object]) -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
