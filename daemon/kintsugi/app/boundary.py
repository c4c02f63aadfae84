"""
Crash points: every commit and every effect passes here, and is numbered, so that tests can end the process at each.
"""

import os
import re
import signal
from collections import Counter
from collections.abc import Collection
from pathlib import Path

_INDEX = re.compile(r"\[\d+\]")


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

    def passing(self, kind: str, name: str, *, before: bool) -> None:
        """Count one point, and die there if it is the one."""
        if not self._kill_at and self._trace is None:
            return
        # which item of a list it is about hangs on names that Kubernetes makes up
        what = f"{'before' if before else 'after'} {kind} {_INDEX.sub('[]', name)}"
        self._passed[what] += 1
        number, point = str(self._passed.total()), f"{what} {self._passed[what]}"
        if self._trace is not None:
            os.write(self._trace, f"{number} {point}\n".encode())
        if number in self._kill_at or point in self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
