"""The grammar as a table for people: how each command is written, and what an expression sees afterwards."""

from kintsugi.commands.grammar import ROWS
from kintsugi.commands.parse import parse_template
from kintsugi.commands.row import Row
from kintsugi.expressions import Scope
from kintsugi.model.command import Verb

_ESCAPED_BAR = "\\|"
_SENDS = {Verb.CURL: "if it sends"}


def reference() -> str:
    """Write the table in Markdown, one row a command, with the names that its example gives."""
    return (
        "\n".join(["| command | changes | names afterwards | example |", "|---|---|---|---|", *map(_line, ROWS)]) + "\n"
    )


def _line(row: Row) -> str:
    names = parse_template(row.example, Scope(names={})).columns()
    cells = (
        f"`{row.usage}`",
        "yes" if row.changes else _SENDS.get(row.verb, ""),
        ", ".join(f"`{name}`" for name in names),
        f"`{row.example}`",
    )
    return f"| {' | '.join(cell.replace('|', _ESCAPED_BAR) for cell in cells)} |"
