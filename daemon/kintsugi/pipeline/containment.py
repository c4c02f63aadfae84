"""
Where one thing ends and the next begins: an unexpected error about one of them is logged and counted, and takes no other
with it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from kintsugi.errors import LedgerUnavailable, StaleEpoch
from kintsugi.telemetry import get_logger

log = get_logger(__name__)

PASSED_ON = (LedgerUnavailable, StaleEpoch)
"""Errors that are nobody's mistake and concern everything: whoever repeats the work waits, or stops."""


class Part(StrEnum):
    """What an unexpected error was about."""

    SIGNAL = "signal"
    INCIDENT = "incident"
    RUN = "run"
    DRILL = "drill"
    LISTENER = "listener"


class Containment:
    """Contain unexpected errors, one thing at a time; `on_error` counts them."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Part], None]] = []

    def on_error(self, listener: Callable[[Part], None]) -> None:
        """Call `listener` for each error that was contained."""
        self._listeners.append(listener)

    @contextmanager
    def of(self, part: Part, name: str) -> Iterator[None]:
        """Contain what goes wrong with one thing. Raises LedgerUnavailable and StaleEpoch."""
        try:
            yield
        except PASSED_ON:
            raise
        except Exception:
            # A mistake of ours about one thing must not end what is done for all others (reliability B16, C8).
            log.exception("an unexpected error was contained", part=part, what=name)
            self.count(part)

    def count(self, part: Part) -> None:
        """Count an error that was not expected, and that the caller has logged."""
        for listener in self._listeners:
            listener(part)
