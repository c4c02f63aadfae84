"""
Runs work until a signal: the first one stops it in order, the second one aborts that stop.

If the stop hangs, the process ends by itself, and writes the stack of each thread to standard error.
"""

import asyncio
import faulthandler
import signal
import sys
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from kintsugi.cli.errors import ExitCode, print_note

GRACE = timedelta(seconds=28)
"""
The longest time from the first signal to the end of the process: Kubernetes kills a pod after 30 s without any trace of
the cause.
"""

GRACE_AT_ONCE = timedelta(seconds=5)
"""The same after a second signal."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def run_until_signal(work: Coroutine[Any, Any, object]) -> ExitCode:
    """
    Do some work in the event loop until it ends or SIGTERM or SIGINT comes.

    Stopped in order it is `DONE`. At the second signal its cleaning up is cut short, too, and it is `FINDINGS`; a third
    one kills the process. What the work raises by itself is passed on. A process that is still there `GRACE` after the
    first signal, or `GRACE_AT_ONCE` after the second, exits with 1, wherever it hangs: in the loop, a thread, or later.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(_as_task(work), name="until-told")
    received: list[signal.Signals] = []

    def stop(which: signal.Signals) -> None:
        received.append(which)
        task.cancel()
        if len(received) == 1:
            _end_within(GRACE)
            print_note(f"{which.name}: stopping; press again to stop at once")
        else:
            _end_within(GRACE_AT_ONCE)
            _let_go(loop)

    for each in _SIGNALS:
        loop.add_signal_handler(each, stop, each)
    try:
        await task
    except asyncio.CancelledError:
        if not received:
            raise
    finally:
        _let_go(loop)
    if len(received) > 1:
        print_note("stopped at once; the next start first checks the unfinished work")
        return ExitCode.FINDINGS
    return ExitCode.DONE


async def _as_task(work: Coroutine[Any, Any, object]) -> None:
    await work


def _end_within(grace: timedelta) -> None:
    """End the process after this time at the latest, from a thread that needs neither the loop nor the interpreter's lock."""
    faulthandler.dump_traceback_later(grace.total_seconds(), exit=True, file=sys.__stderr__ or 2)


def _let_go(loop: asyncio.AbstractEventLoop) -> None:
    """Leave signals to Python again."""
    for each in _SIGNALS:
        loop.remove_signal_handler(each)
