"""What bounds the changes of a run: the locks that it holds, and the budget of a namespace."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Lock:
    """A name that one run holds; `path` is that of the child of the run that took it, "" for the run's own."""

    name: str
    run: str
    path: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """How many changes a namespace may see since a moment."""

    most: int
    since: datetime
