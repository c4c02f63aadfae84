"""
The pieces in which signals are committed: a large delivery makes visible progress, and others are served in between.
"""

from collections.abc import Iterator, Sequence

from kintsugi.model.records import Signal

MOST_TOGETHER = 1000
"""Signals that are handed over in one piece: a storm must fit into what a database lets one transaction take."""

MOST_TEXT = 1 << 20
"""Characters of their labels and annotations: to mask so much of the worst text takes a second and a half."""


def in_pieces(signals: Sequence[Signal]) -> Iterator[Sequence[Signal]]:
    """Yield the signals in their order, in pieces that are committed one after the other."""
    piece: list[Signal] = []
    text = 0
    for signal in signals:
        size = text_length(signal)
        if piece and (len(piece) >= MOST_TOGETHER or text + size > MOST_TEXT):
            yield piece
            piece, text = [], 0
        piece.append(signal)
        text += size
    if piece:
        yield piece


def text_length(signal: Signal) -> int:
    """Return how many characters the labels and annotations of a signal have."""
    return sum(len("".join(texts)) for each in (signal.labels, signal.annotations) for texts in (each, each.values()))
