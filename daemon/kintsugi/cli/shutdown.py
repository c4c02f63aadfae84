"""Work that goes on until a signal: the first one asks it to stop in order, the second one to leave off stopping."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

from kintsugi.cli.exit_codes import ExitCode
from kintsugi.cli.stderr import print_note

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def run_until_signal(work: Coroutine[Any, Any, object]) -> ExitCode:
    """
    Do some work in the event loop until it ends or SIGTERM or SIGINT comes.

    Stopped in order it is `DONE`. At the second signal its cleaning up is cut short, too, and it is `FINDINGS`; a third
    one kills the process. What the work raises by itself is passed on.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(_as_task(work), name="until-told")
    told: list[signal.Signals] = []

    def stop(which: signal.Signals) -> None:
        told.append(which)
        task.cancel()
        if len(told) == 1:
            print_note(f"{which.name}: stopping; press again to stop at once")
        else:
            _let_go(loop)

    for each in _SIGNALS:
        loop.add_signal_handler(each, stop, each)
    try:
        await task
    except asyncio.CancelledError:
        if not told:
            raise
    finally:
        _let_go(loop)
    if len(told) > 1:
        print_note("stopped at once; what was in progress is checked first at the next start")
        return ExitCode.FINDINGS
    return ExitCode.DONE


async def _as_task(work: Coroutine[Any, Any, object]) -> None:
    await work


def _let_go(loop: asyncio.AbstractEventLoop) -> None:
    """Leave signals to Python again."""
    for each in _SIGNALS:
        loop.remove_signal_handler(each)
