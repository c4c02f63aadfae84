"""How an error leaves the command: a line on stderr, so that stdout has only the result, and an exit code."""

from collections.abc import Sequence
from enum import IntEnum

import typer

from kintsugi.errors import (
    KintsugiError,
    KubeError,
    LedgerHeld,
    LedgerUnavailable,
    ProbeFailed,
    Refused,
    UsageError,
    WrongState,
)
from kubeobjects.lines import counted, line


class ExitCode(IntEnum):
    """The exit codes, which are stable for scripts."""

    DONE = 0
    FINDINGS = 1
    """It was looked at and something is wrong, or what was waited for ended badly."""
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4


class Unreachable(KintsugiError):
    """The daemon's API cannot be asked, or what answers there is not Kintsugi."""


_EXITS: tuple[tuple[type[KintsugiError], ExitCode], ...] = (
    (UsageError, ExitCode.USAGE),
    (Refused, ExitCode.REFUSED),
    (WrongState, ExitCode.REFUSED),
    (LedgerHeld, ExitCode.REFUSED),
    (Unreachable, ExitCode.UNREACHABLE),
    (LedgerUnavailable, ExitCode.UNREACHABLE),
    (KubeError, ExitCode.UNREACHABLE),
    (ProbeFailed, ExitCode.UNREACHABLE),
)


def exit_for(error: KintsugiError) -> ExitCode:
    """Return the exit code of an error; what is not in the table (catalog errors, no such incident) is a finding."""
    return next((code for kind, code in _EXITS if isinstance(error, kind)), ExitCode.FINDINGS)


def print_error(error: KintsugiError) -> None:
    """Print an error in a line; several problems a line each, and then their number."""
    # By name: the modules of the two errors that carry problems are too heavy to import before they are needed.
    problems: Sequence[object] = getattr(error, "problems", ())
    for problem in problems:
        print_note(str(problem))
    many = f"{counted(len(problems), 'problem')}, see above"
    print_note(f"error: {many if problems else str(error) or type(error).__name__}")


def print_note(text: str) -> None:
    """Print a line beside the result."""
    typer.echo(line(text), err=True)
