"""The result of decoding a delivery; the decoding itself is done in `sources`."""

from collections.abc import Sequence
from typing import Protocol

from kintsugi.model.records import DeadLetter, Signal


class Decoded(Protocol):
    """Signals, and what could not be understood; `unreadable` says why nothing at all could be, else ""."""

    @property
    def signals(self) -> Sequence[Signal]: ...

    @property
    def dead_letters(self) -> Sequence[DeadLetter]: ...

    @property
    def unreadable(self) -> str: ...


class DecodedAgain(Decoded, Protocol):
    """The contents of a dead letter; `stale` counts alerts that were left out: whether they still fire is not known."""

    @property
    def stale(self) -> int: ...
