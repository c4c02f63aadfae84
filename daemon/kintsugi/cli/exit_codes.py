"""The exit codes of the command, and the error of each."""

from enum import IntEnum

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
