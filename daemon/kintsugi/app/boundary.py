"""
Crash points: every commit and every effect passes here, and is numbered, so that tests can end the process at each.
"""

import os
import signal


class CrashPoints:
    """Counts what passes; at number `kill_at` the process is killed as if the machine had lost power."""

    def __init__(self, kill_at: int | None = None) -> None:
        self._kill_at = kill_at
        self.passed = 0

    def passing(self, kind: str, name: str, *, before: bool) -> None:
        """Count one point, and die there if it is the one."""
        self.passed += 1
        if self.passed == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
