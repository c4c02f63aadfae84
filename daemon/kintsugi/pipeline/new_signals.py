"""
The signals that this process has accepted a moment ago: the pipeline evaluates them without reading them back.

They are a shortcut past the ledger, which stays the truth: whatever is dropped here is due there.
"""

from collections import deque
from collections.abc import Sequence
from itertools import islice

from kintsugi.model.records import Signal

MOST = 2_000
"""Signals that wait here; in a larger storm they are all read from the ledger."""

_READS = 8
"""Readings of the ledger whose signals are remembered: a signal may be read before the one who accepted it is answered."""


class NewSignals:
    """Accepted signals that are not evaluated yet, each once, in the order of their arrival."""

    def __init__(self) -> None:
        self._waiting: dict[str, Signal] = {}
        self._read: deque[frozenset[str]] = deque(maxlen=_READS)

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, signals: Sequence[Signal]) -> bool:
        """Add signals; return False where there are too many: then all that wait are dropped, to be read from the ledger."""
        self._waiting |= {each.id: each for each in signals if not any(each.id in read for read in self._read)}
        if len(self._waiting) > MOST:
            self.drop()
            return False
        return True

    def note_read(self, signals: Sequence[Signal]) -> None:
        """Drop the signals that were read from the ledger to be evaluated, also those that are still to be added."""
        if signals:
            self._read.append(frozenset(each.id for each in signals))
        for each in signals:
            self._waiting.pop(each.id, None)

    def take(self, most: int) -> list[Signal]:
        """Take the oldest signals, at most `most`."""
        return [self._waiting.pop(name) for name in list(islice(self._waiting, most))]

    def drop(self) -> None:
        """Drop all, to be read from the ledger."""
        self._waiting.clear()
