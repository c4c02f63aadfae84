"""
Writes the worker's progress to standard output: the JSON lines of `kintsugi_restore.worker_log`, each flushed at once.
"""

import sys
from collections.abc import Callable
from typing import TextIO

from kintsugi.errors import KintsugiError
from kintsugi_restore.worker_log import WorkLine, encode
from kintsugi_restore.worker_results import WorkFailure

Reporter = Callable[[WorkLine], None]
"""Say one line."""


class WorkFailed(KintsugiError):
    """The work cannot be done; the text is the sentence of the last line, made one line, the kind its word."""

    def __init__(self, kind: WorkFailure, reason: str) -> None:
        super().__init__("; ".join(reason.splitlines()))
        self.kind = kind


class LogWriter:
    """Writes lines to a stream. When the stream has no reader any more, the work continues without output."""

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        self._stream = stream
        self._heard = True

    def report(self, line: WorkLine) -> None:
        """Write one line and flush it."""
        if not self._heard:
            return
        try:
            self._stream.write(f"{encode(line)}\n")
            self._stream.flush()
        except OSError:
            self._heard = False
