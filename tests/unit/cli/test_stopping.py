"""The first signal asks the daemon to stop in order, the second one to leave off stopping."""

import asyncio
import faulthandler
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from kintsugi.cli.errors import ExitCode
from kintsugi.cli.shutdown import run_until_signal
from kintsugi.errors import LedgerHeld


@pytest.fixture(autouse=True)
def spared() -> Iterator[None]:
    """Keep the process of the tests from ending as the daemon's would."""
    yield
    faulthandler.cancel_dump_traceback_later()


class Work:
    """Work that goes on for ever and takes `cleaning` seconds to stop."""

    def __init__(self, cleaning: float = 0) -> None:
        self.began = asyncio.Event()
        self.cleaning_up = asyncio.Event()
        self.cleaned = False
        self._cleaning = cleaning

    async def __call__(self) -> None:
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cleaning_up.set()
            await asyncio.sleep(self._cleaning)
            self.cleaned = True


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
async def test_a_first_signal_lets_the_work_clean_up(which: signal.Signals, capsys: pytest.CaptureFixture[str]) -> None:
    work = Work(cleaning=0.05)
    told = asyncio.create_task(run_until_signal(work()))
    await work.began.wait()
    os.kill(os.getpid(), which)
    assert await asyncio.wait_for(told, 120) is ExitCode.DONE
    assert work.cleaned
    assert which.name in capsys.readouterr().err


async def test_a_second_signal_ends_the_cleaning_up() -> None:
    work = Work(cleaning=3600)
    told = asyncio.create_task(run_until_signal(work()))
    await work.began.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(work.cleaning_up.wait(), 10)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(told, 120) is ExitCode.FINDINGS
    assert not work.cleaned


async def test_signals_belong_to_python_again_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert await run_until_signal(asyncio.sleep(0)) is ExitCode.DONE
    assert signal.getsignal(signal.SIGTERM) == before


async def test_an_error_of_the_work_is_passed_on() -> None:
    async def held() -> None:
        raise LedgerHeld("another daemon is alive on this ledger")

    with pytest.raises(LedgerHeld):
        await run_until_signal(held())


async def test_a_cancellation_that_is_no_signal_is_passed_on() -> None:
    work = Work()
    told = asyncio.create_task(run_until_signal(work()))
    await work.began.wait()
    told.cancel()
    with pytest.raises(asyncio.CancelledError):
        await told


HUNG = """
import asyncio, os, signal, threading, time
from datetime import timedelta
from kintsugi.cli import shutdown

shutdown.GRACE = timedelta(seconds=0.2)

async def work():
    os.kill(os.getpid(), signal.SIGTERM)
    try:
        await asyncio.Event().wait()
    finally:
        {hangs}

asyncio.run(shutdown.run_until_signal(work()))
"""


@pytest.mark.parametrize(
    "hangs",
    [
        "await asyncio.Event().wait()",
        "time.sleep(3600)",
        "asyncio.get_running_loop().run_in_executor(None, time.sleep, 3600)",
        "threading.Thread(target=time.sleep, args=(3600,)).start()",
    ],
    ids=["cleaning up", "the loop", "a thread of the loop", "a thread"],
)
def test_a_process_that_hangs_while_it_stops_ends_all_the_same_and_says_where(hangs: str) -> None:
    """Kubernetes would kill it without a word, and keep the pod's place for the rest of its grace."""
    command = [sys.executable, "-c", HUNG.format(hangs=hangs)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "Timeout" in done.stderr
    assert "most recent call first" in done.stderr
