"""The image table: the behaviour of a container, by the name of its image. Other images cannot be pulled."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecReply:
    """The output and exit code of a command; with `needs_ready` it fails while its pod is not ready."""

    stdout: str = ""
    stderr: str = ""
    exit_code: int = 0
    needs_ready: bool = False


COMMANDS: Final[Mapping[str, ExecReply]] = {"true": ExecReply(), "false": ExecReply(exit_code=1)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """
    The program that a container runs as a real process of this machine.

    `programs` is all that can be run in it: a name and the words that start it here, without a shell; nothing else of
    the machine can be reached by name. `entrypoint` is run when the container has no `command`, in the image's own words.
    `folders` are places of its own that it may write to, empty at each start. With `own_loopback`, 127.0.0.1 in its words is
    its pod's address; otherwise it is the machine's.
    """

    entrypoint: tuple[str, ...]
    programs: Mapping[str, tuple[str, ...]]
    environment: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    own_loopback: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """
    The behaviour of a container.

    It is ready `ready_after` its start, unless `ready` is False; it exits with `exit_code` when `exits_after`
    is set; on SIGTERM it takes `stops_after`, None when it ignores the signal. `commands` are what can be executed
    in it: shell patterns of whole command lines, the first that fits answers. With a `program` none of this counts: it is
    ready when its probe says so, exits when it exits, and what is executed in it runs.
    """

    ready: bool = True
    ready_after: timedelta = timedelta(seconds=1)
    exits_after: timedelta | None = None
    exit_code: int = 1
    stops_after: timedelta | None = timedelta(milliseconds=300)
    logs: tuple[str, ...] = ("listening on :8080",)
    last_words: tuple[str, ...] = ("fatal: cannot go on",)
    commands: Mapping[str, ExecReply] = field(default_factory=lambda: COMMANDS)
    program: Program | None = None


GOOD: Final = Image()
NEVER_READY: Final = Image(ready=False, logs=("listening on :8080", "readiness: 503"))
CRASHING: Final = Image(ready=False, exits_after=timedelta(seconds=1))
TASK: Final = Image(exits_after=timedelta(seconds=1), exit_code=0, logs=("working",), last_words=("done",))

SHIPPED: Final[Mapping[str, Image]] = {
    "*:bad": CRASHING,
    "*:unready": NEVER_READY,
    "*:crash": CRASHING,
    "*:task": TASK,
    "*:good": GOOD,
    "*:better": GOOD,
    "*:latest": GOOD,
    "*:[0-9]*": GOOD,
    "*:v[0-9]*": GOOD,
}
"""Tags that exist in every repository, unless an image of that very name is added."""


class Images:
    """Find images by name; names may be shell patterns, exact ones win, then those that the cluster was given."""

    def __init__(self, table: Mapping[str, Image] | None = None) -> None:
        own = table or {}
        self._table = {**own, **{name: image for name, image in SHIPPED.items() if name not in own}}

    def add(self, name: str, image: Image) -> None:
        """Make an image known, or known anew; running containers keep what they were started from."""
        self._table[name] = image

    def remove(self, name: str) -> None:
        """Make an image unknown."""
        del self._table[name]

    def find(self, name: str) -> Image | None:
        """Find an image; None when it cannot be pulled."""
        full = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
        if full in self._table:
            return self._table[full]
        return next((image for pattern, image in self._table.items() if fnmatchcase(full, pattern)), None)
