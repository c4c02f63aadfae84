"""Prints results for people and for programs: tables, texts, JSON. The only module that uses rich."""

import sys
import textwrap
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Self

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kintsugi.model.records import IncidentState, StepState
from kubeobjects.lines import line, printable

_ENDLESS = 100_000
"""Columns where no terminal is: a program that reads a table wants each row on its own line."""

WIDEST = 200
"""Columns of a free text in a summary: JSON has all of it."""

_NARROWEST = 20
"""Columns that the widest column of a table keeps."""

Cell = Text | str | int
"""A value of a table; what is no `Text` yet is made one by `plain`."""

_STYLES = {
    IncidentState.RECOVERED: "green",
    IncidentState.PASSED: "green",
    IncidentState.RUNNING: "cyan",
    IncidentState.VERIFYING: "cyan",
    IncidentState.AWAITING_APPROVAL: "bold yellow",
    IncidentState.HELD: "yellow",
    IncidentState.ROLLING_BACK: "yellow",
    IncidentState.ROLLED_BACK: "yellow",
    IncidentState.INEFFECTIVE: "red",
    IncidentState.FAILED: "bold red",
    IncidentState.NEEDS_OPERATOR: "bold red",
    StepState.DONE: "green",
    StepState.UNKNOWN: "bold yellow",
    StepState.SKIPPED: "dim",
}


def emit(value: object) -> None:
    """Write a value as JSON, the shape of the API."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def print_lines(lines: Iterable[Text]) -> None:
    """Write lines for a person; a terminal wraps them, nothing else does."""
    console = _console()
    for each in lines:
        console.print(each, soft_wrap=not console.is_terminal)


def print_indented(text: str) -> None:
    """Write a line; on a terminal what is wider goes on in the next one, further in."""
    console = _console()
    console.print(Text("\n".join(_wrapped(printable(text), console.width))), no_wrap=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Write a table, as wide as the terminal at most."""
    console = _console()
    drawn = _drawn(columns, rows, console)
    if console.is_terminal:
        console.print(drawn)
    else:
        sys.stdout.write(_lines(drawn))


class LiveTable:
    """A table that is shown anew: in its place on a terminal; elsewhere under the one before, and only when it has changed."""

    def __init__(self) -> None:
        console = _console()
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._shown = ""

    def __enter__(self) -> Self:
        """Begin."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the live display; its last state remains."""
        if self._live is not None:
            self._live.stop()

    def show(self, columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, head: str) -> None:
        """Show a table under a line; that line alone is no change."""
        drawn = _drawn(columns, rows, self._live.console if self._live is not None else _console())
        if self._live is not None:
            self._live.update(Group(Text(head, style="dim"), drawn), refresh=True)
            return
        lines = _lines(drawn)
        if lines != self._shown:
            sys.stdout.write(f"{head}\n{lines}")
            sys.stdout.flush()
            self._shown = lines


def _wrapped(line: str, width: int) -> Sequence[str]:
    within = " " * min(len(line) - len(line.lstrip()) + 4, width // 2)
    return textwrap.wrap(line, width, subsequent_indent=within, break_on_hyphens=False, replace_whitespace=False) or [
        ""
    ]


def _drawn(columns: Sequence[str], rows: Iterable[Sequence[Cell]], console: Console) -> Table:
    """Draw a table whose widest column is wrapped on a terminal; elsewhere nothing is cut."""
    cells = [[each if isinstance(each, Text) else plain(each) for each in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    widest = widths.index(max(widths))
    others = sum(widths) - widths[widest] + 2 * (len(widths) - 1)
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for index, name in enumerate(columns):
        fits = others + _NARROWEST <= console.width
        drawn.add_column(name, no_wrap=index != widest and fits)
    for row in cells:
        drawn.add_row(*row)
    return drawn


def _lines(drawn: Table) -> str:
    """Write a table where no terminal is: each row on its own line, without blanks at its end."""
    console = _console()
    with console.capture() as written:
        console.print(drawn)
    return "".join(f"{line.rstrip()}\n" for line in written.get().splitlines())


def cut(text: str) -> str:
    """Return the first line of a free text, of at most `WIDEST` characters."""
    line = text.partition("\n")[0]
    return line if len(line) <= WIDEST else f"{line[: WIDEST - 1]}…"


def plain(value: object, style: str = "") -> Text:
    """Make a text of a value that may come from a stranger: no markup, no control characters, one line."""
    return Text(line(str(value)), style=style)


def state(value: IncidentState | StepState) -> Text:
    """Make a text of a state, in its colour."""
    return Text(value, style=_STYLES.get(value, ""))


def moment(when: datetime) -> str:
    """Write a time with its day, in UTC."""
    return f"{when:%Y-%m-%d %H:%M:%S}"


def took(duration: timedelta) -> str:
    """Write a duration in the two units that matter."""
    seconds = max(duration.total_seconds(), 0.0)
    if seconds < 10:
        return f"{seconds:.1f}s".replace(".0s", "s")
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}d{hour:02}h"
    if hours:
        return f"{hours}h{minute:02}m"
    return f"{minutes}m{second:02}s" if minutes else f"{second}s"


def _console() -> Console:
    """Write to stdout as it is now; where it is no terminal there is no width to keep to."""
    width = None if sys.stdout.isatty() else _ENDLESS
    return Console(highlight=False, markup=False, emoji=False, width=width)
