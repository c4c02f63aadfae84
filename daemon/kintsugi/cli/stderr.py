"""Prints errors on stderr, so that stdout has only the result."""

from collections.abc import Sequence

import typer

from kintsugi.errors import KintsugiError
from kubeobjects.lines import line


def print_error(error: KintsugiError) -> None:
    """Print an error in a line; several problems a line each, and then their number."""
    # By name: the modules of the two errors that carry problems are too heavy to import before they are needed.
    problems: Sequence[object] = getattr(error, "problems", ())
    for problem in problems:
        print_note(str(problem))
    many = f"{len(problems)} problem{'' if len(problems) == 1 else 's'}, see above"
    print_note(f"error: {many if problems else str(error) or type(error).__name__}")


def print_note(text: str) -> None:
    """Print a line beside the result."""
    typer.echo(line(text), err=True)
