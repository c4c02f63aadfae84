"""
Crash points: failpoints that number every commit and every effect, so that a test can end the daemon at each.

A daemon of the tests that is started by its command line learns from its environment where it dies; the product reads neither.
"""

import os
import re
import signal
from collections import Counter
from collections.abc import Collection
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from kintsugi import app
from kintsugi.app import core

KILL_AT = "KINTSUGI_TEST_KILL_AT"
"""The crash points at which the process kills itself, at whichever comes first: numbers or names, with commas between them."""

_ITEM = re.compile(r"\[\d+\]")

TRACE = "KINTSUGI_TEST_TRACE"
"""File to which crash points are written as they are passed, a line each: number, name."""


LOOPBACK = "KINTSUGI_TEST_LOOPBACK"
"""Whether probes may go to 127.0.0.0/8, where the pods of the embedded cluster are."""

EXECUTOR = "KINTSUGI_TEST_EXECUTOR"
"""The executor that stands in for the product's: MODULE:CLASS."""


def arm() -> None:
    """Let the daemon that this process is about to be do what its environment names; nothing where it names nothing."""
    kill_at = frozenset(filter(None, os.environ.get(KILL_AT, "").split(",")))
    trace = os.environ.get(TRACE)
    given: dict[str, Any] = {"loopback": True} if os.environ.get(LOOPBACK) else {}
    if kill_at or trace:
        given["failpoints"] = CrashPoints(kill_at, Path(trace) if trace else None)
    if given:
        app.run = partial(app.run, **given)
    if executor := os.environ.get(EXECUTOR):
        module, _, name = executor.partition(":")
        core.Executor = getattr(import_module(module), name)  # type: ignore[attr-defined]


class CrashPoints:
    """
    Counts what passes, and at the first of the points `kill_at` kills the process as if the machine had lost power.

    A point has a number, and a name that does not hang on what else passes in between: `after commit settle 9` is the
    ninth of its kind in this process, and `after commit save-step restart#0 intent 1` is the same one in every process.
    Either may be in `kill_at`. `trace` is a file to which number and name of each are written as it passes.
    """

    def __init__(self, kill_at: Collection[str] = (), trace: Path | None = None) -> None:
        self._kill_at = kill_at
        # unbuffered, and never closed: the last line must be there when the process is not
        self._trace = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC) if trace else None
        self._passed: Counter[str] = Counter()

    def hit(self, kind: str, name: str, *, before: bool) -> None:
        """Count one point, and die there if it is the one."""
        if not self._kill_at and self._trace is None:
            return
        # which item of a list it is about hangs on names that Kubernetes makes up
        what = f"{'before' if before else 'after'} {kind} {_ITEM.sub('[]', name)}"
        self._passed[what] += 1
        number, point = str(self._passed.total()), f"{what} {self._passed[what]}"
        if self._trace is not None:
            os.write(self._trace, f"{number} {point}\n".encode())
        if number in self._kill_at or point in self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
