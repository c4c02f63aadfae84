"""The output of the demonstration: lines, and on a terminal a live tree of services below them."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Protocol

from rich.text import Text

from kintsugi.cli.demo.narration import Writer
from kintsugi.cli.output import LiveTable, plain, took
from kintsugi.cli.summary_tables import SERVICES, service_rows
from kintsugi.model.api_types import RunSummary, ServiceSummary, ServiceTree
from kintsugi.model.services import STACK

COLUMNS = ("SERVICE", "SERVING", "HEALTHY", "READY", "FOR", "NOW")
_SHOWN = tuple(SERVICES.index(name) for name in COLUMNS)


class Teller(Protocol):
    """Prints for a person what happens."""

    def write(self, line: str) -> None:
        """Print a line."""

    def show(self, tree: ServiceTree, *, waits: str, since: datetime) -> None:
        """Show how services are, what is waited for, and since when."""


class LiveTeller:
    """On a terminal: the tree stays under the lines, and is written anew in its place."""

    def __init__(self, screen: LiveTable) -> None:
        self._screen = screen

    def write(self, line: str) -> None:
        """Print a line above the tree."""
        self._screen.above(line)

    def show(self, tree: ServiceTree, *, waits: str, since: datetime) -> None:
        """Show the tree in its place."""
        now = datetime.now(UTC)
        self._screen.show(COLUMNS, chosen(tree, now), head=f"for {took(now - since)}: {waits}")


class PlainTeller:
    """
    The output without a terminal: a line for each service when something about it has changed; its step is in the
    story.
    """

    def __init__(self, write: Writer) -> None:
        self._write = write
        self._last: dict[str, tuple[object, ...]] = {}

    def write(self, line: str) -> None:
        """Print a line."""
        self._write(line)

    def show(self, tree: ServiceTree, *, waits: str, since: datetime) -> None:
        """Print what has changed."""
        now = datetime.now(UTC)
        stack = [(STACK, run_essence(tree.stack.run))] if tree.stack is not None else []
        current = [*stack, *((each.name, essence(each)) for each in tree.services)]
        for (who, what), row in zip(current, chosen(tree, now), strict=True):
            if self._last.get(who) == what:
                continue
            self._last[who] = what
            name, serving, healthy, ready, _, at = (cell.plain for cell in row)
            state = "" if ready == "-" else f"{ready} ready, serving {serving}, healthy {healthy}"
            what_now = "; ".join(each for each in (state, at) if each not in ("", "-"))
            self._write(f"{(now - since).total_seconds():5.1f}s  {name}: {what_now}")


def chosen(tree: ServiceTree, now: datetime) -> Iterator[Sequence[Text]]:
    """Make the rows of the tree, as `kintsugi services` has them, without the columns that stay the same."""
    for row in service_rows(tree, now=now):
        yield tuple(row[index] if row[index].plain else plain("-") for index in _SHOWN)


def essence(service: ServiceSummary) -> tuple[object, ...]:
    """Return the values whose change makes a new line: without the step of a run, and without durations."""
    hold = service.hold
    held = (hold.upstream, hold.why) if hold is not None else None
    return (service.serving, service.healthy, service.ready, run_essence(service.run), held)


def run_essence(run: RunSummary | None) -> tuple[object, ...]:
    """Return what of a run makes a line of its own."""
    return (run.state, run.runbook) if run is not None else ()
