"""
Counts the parts of an object that an expression would read.

An expression that reads an object converts all of it, on the event loop: up to 10 µs a part, whatever its size. So an
object with far more parts than real ones have is not kept.
"""

from datetime import datetime

from msgspec import Struct
from msgspec.structs import astuple

from kubeobjects.metadata import Object

UNCOUNTED = 7 * 1024
"""Bytes of JSON that are not looked through for parts: they cannot have many more than are let in."""

_MARKS = b",[{"


def too_many(item: Object, body: bytes) -> str:
    """Return what is said of an object that has too many parts; `body` is the JSON that it was read from."""
    most = item.MOST_PARTS
    if len(body) <= UNCOUNTED or len(body) - len(body.translate(None, _MARKS)) <= most // 2:
        return ""
    return f"more than {most:,} entries: so large an object is not kept" if parts_of(item, most) > most else ""


def parts_of(item: Struct, enough: int) -> int:
    """Return how many structs, times, and entries of lists and of maps there are; where it is more than `enough`, at least that."""
    parts, rest = 0, [item]
    while rest and parts <= enough:
        parts += 1
        for value in astuple(rest.pop()):
            if isinstance(value, Struct):
                rest.append(value)
            elif isinstance(value, datetime):
                parts += 1
            elif isinstance(value, dict):
                parts += len(value)
            elif isinstance(value, tuple) and value:
                if isinstance(value[0], Struct):
                    rest += value
                else:
                    parts += len(value)
    return parts
