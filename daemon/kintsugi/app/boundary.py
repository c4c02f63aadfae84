"""
Crash points: every commit and every effect passes here, and is numbered, so that tests can end the process at each.
"""

import os
import signal
from pathlib import Path


class CrashPoints:
    """
    Counts what passes; at number `kill_at` the process is killed as if the machine had lost power.

    `trace` is a file to which each point is written as it is passed: its number, `before` or `after`, kind and name.
    """

    def __init__(self, kill_at: int | None = None, trace: Path | None = None) -> None:
        self._kill_at = kill_at
        # unbuffered, and never closed: the last line must be there when the process is not
        self._trace = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC) if trace else None
        self.passed = 0

    def passing(self, kind: str, name: str, *, before: bool) -> None:
        """Count one point, and die there if it is the one."""
        self.passed += 1
        if self._trace is not None:
            os.write(self._trace, f"{self.passed} {'before' if before else 'after'} {kind} {name}\n".encode())
        if self.passed == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
