"""How the command ends: its exit codes, and which error means which."""

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


class Exit(IntEnum):
    """What a script may build on."""

    DONE = 0
    FINDINGS = 1
    """It was looked at and something is wrong, or what was waited for ended badly."""
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4


class Unreachable(KintsugiError):
    """The daemon's API cannot be asked, or what answers there is not Kintsugi."""


_EXITS: tuple[tuple[type[KintsugiError], Exit], ...] = (
    (UsageError, Exit.USAGE),
    (Refused, Exit.REFUSED),
    (WrongState, Exit.REFUSED),
    (LedgerHeld, Exit.REFUSED),
    (Unreachable, Exit.UNREACHABLE),
    (LedgerUnavailable, Exit.UNREACHABLE),
    (KubeError, Exit.UNREACHABLE),
    (ProbeFailed, Exit.UNREACHABLE),
)


def exit_for(error: KintsugiError) -> Exit:
    """Give the exit code of an error; what is not in the table (catalog errors, no such incident) is a finding."""
    return next((code for kind, code in _EXITS if isinstance(error, kind)), Exit.FINDINGS)
