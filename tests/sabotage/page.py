"""The section of docs/reliability.md that says which sabotage turned which tests red, and at which revision."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.sabotage.sabotage import Sabotage

HEAD = "| what is taken out | shows | went red | at |\n|---|---|---|---|\n"
_ROW = re.compile(
    r"^\| (?P<takes_out>[^|]+) \| (?P<shows>[^|]*) \| (?P<red>[^|]+) \| (?P<revision>[^|]*) \|$", re.MULTILINE
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of the table: what a sabotage takes out, its numbers and tests, and the revision where it was red."""

    takes_out: str
    shows: str
    red: str
    revision: str


def rows(page: str) -> dict[str, Row]:
    """Return the lines of the table by what they take out."""
    found = (Row(**row.groupdict()) for row in _ROW.finditer(page.partition(HEAD)[2]))
    return {row.takes_out: row for row in found}


def filled(page: str, sabotages: Sequence[Sabotage], red_at: Mapping[str, str]) -> str:
    """
    Return the page with a line for each sabotage that was ever red.

    `red_at` holds the revisions of what was tried now, by what it takes out; empty: it was not red. What was not tried
    keeps its line.
    """
    before, head, rest = page.partition(HEAD)
    earlier = {each.takes_out: row.revision for each in sabotages if (row := rows(page).get(each.takes_out))}
    revisions = {**earlier, **red_at}
    lines = [line(each, revisions[each.takes_out]) for each in sabotages if revisions.get(each.takes_out)]
    return before + head + "".join(lines) + "".join(rest.splitlines(keepends=True)[len(rows(page)) :])


def line(sabotage: Sabotage, revision: str) -> str:
    """Return one line of the table."""
    red = ", ".join(f"[{_words(name)}](../tests/{sabotage.tests})" for name in sabotage.red)
    return f"| {sabotage.takes_out} | {', '.join(sabotage.shows)} | {red} | {revision} |\n"


def _words(name: str) -> str:
    return name.removeprefix("test_").replace("_", " ")
