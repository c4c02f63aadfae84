"""What an author of rules and runbooks needs: the commands as they are typed. Their work is in `checking`."""

from pathlib import Path
from typing import Annotated

import typer

from kintsugi.cli.exits import Exit
from kintsugi.cli.options import Form, Output, spread


def validate(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH", help="Files and folders that make one catalog; the shipped ones unless given."),
    ] = None,
    *,
    output: Output = Form.TEXT,
) -> Exit:
    """Check rules and runbooks, and tell every mistake with its place and what would be right."""
    from kintsugi.cli import checking

    return checking.validate(paths or [], output)


def schema(
    *,
    kind: Annotated[
        str, typer.Option(metavar="KIND", help="Only of Service, Rule, Runbook or Patterns; one for all unless given.")
    ] = "",
    write: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write one file a kind, and one for all, into this folder.")
    ] = None,
    output: Output = Form.TEXT,
) -> Exit:
    """Give the JSON Schema of rules and runbooks, for editors."""
    from kintsugi.cli import checking

    return checking.schema(kind) if write is None else checking.write_schemas(kind, write, output)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("validate")(spread(validate))
    app.command("schema")(spread(schema))
