"""
The lines of several logs as one text, of each its newest.

It is what `verbs.logs` reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stream:
    """One log: of a container of a pod. `start` is the container's id, "" where it is not sure."""

    pod: str
    container: str
    previous: bool = False
    start: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """The text of a log; `cut`: its oldest part is left out."""

    lines: str
    cut: bool = False


@dataclass(frozen=True, slots=True)
class JoinedLogs:
    """The lines of several logs, one after the other, each with the place of its stream among them."""

    lines: list[str]
    origins: list[int]
    summary: str


def joined(texts: Sequence[Text], streams: Sequence[Stream], most: int, *, prefixed: bool) -> JoinedLogs:
    """Put the lines of several logs one after the other, of each its newest `most`."""
    lines: list[str] = []
    origins: list[int] = []
    cut = any(text.cut for text in texts)
    for origin, (stream, text) in enumerate(zip(streams, texts, strict=True)):
        prefix = f"[pod/{stream.pod}/{stream.container}] " if prefixed else ""
        found = text.lines.rsplit("\n", most) if text.lines else []
        if len(found) > most:
            found, cut = found[1:], True
        lines += [prefix + line for line in found] if prefix else found
        origins += [origin] * len(found)
    left_out = ", the oldest left out" if cut else ""
    return JoinedLogs(lines, origins, f"{len(lines)} lines from {len(streams)} containers{left_out}")
