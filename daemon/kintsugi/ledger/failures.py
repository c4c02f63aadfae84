"""
Translates errors of the driver and of SQLAlchemy into ours.

Each error is classified by three questions: may the same transaction be retried, was the connection lost (so that a
COMMIT may have succeeded), and which advice does a person need.
"""

import sqlite3
from enum import Enum

import asyncpg
from sqlalchemy import exc

from kintsugi.errors import LedgerError, LedgerUnavailable

DRIVER_ERRORS = (
    exc.SQLAlchemyError,
    sqlite3.Error,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    OSError,
    TimeoutError,
)
"""Everything that a statement, a commit or a connect can raise; asyncpg's connect errors arrive unwrapped."""


class DatabaseFailure(Enum):
    """The consequence of a failed transaction."""

    AGAIN = "again"  # nothing was kept; the same transaction may succeed
    LOST = "lost"  # the connection went; at COMMIT the outcome is unknown
    UNAVAILABLE = "unavailable"  # down, full, locked, read-only
    REFUSED = "refused"  # the database understood and said no: a fault of ours


DAMAGED = (
    ". The file is damaged: stop the daemon, keep the file, and restore it from a backup; "
    "it is never recreated automatically, because limits and cooldowns would be lost"
)

_NOT_UNIQUE = "23505"
_AGAIN_STATES = frozenset({"40001", "40P01", _NOT_UNIQUE})
"""Serialisation failure, deadlock, and a unique row that another replica wrote between our look and our insert."""

_LOST_STATES = frozenset({"57P01", "57P02", "57P05", "25P03"})
"""The server ended the session: shutdown, crash of a peer, idle too long."""

_UNAVAILABLE_CLASSES = ("08", "25006", "28", "3D", "42501", "53", "55P03", "57", "58", "XX")
"""Connection, read-only, authorisation, no such database, resources, lock timeout, operator, system and internal errors."""

_SQLITE_REFUSED = ("no such", "syntax error", "constraint failed", "has no column")


def classify(error: BaseException) -> DatabaseFailure:
    """Return the consequence of an error for the transaction that it ended."""
    if isinstance(error, (exc.TimeoutError, TimeoutError)):  # no connection came free, or no answer: enough waited
        return DatabaseFailure.UNAVAILABLE
    if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
        return DatabaseFailure.LOST
    state = _state(error)
    if state:
        return _classify_state(state)
    if isinstance(error, (OSError, asyncpg.InterfaceError)):
        return DatabaseFailure.LOST
    if isinstance(error, exc.DBAPIError) and error.orig is not None and error.orig is not error:
        return classify(error.orig)
    if isinstance(error, sqlite3.DatabaseError):
        refused = any(words in str(error) for words in _SQLITE_REFUSED)
        return DatabaseFailure.REFUSED if refused else DatabaseFailure.UNAVAILABLE
    return _classify_cause(error)


def ledger_error(error: BaseException, what: str) -> LedgerError:
    """Build our error for another one; `what` says which transaction it ended."""
    text = _first_line(error)
    if isinstance(error, exc.TimeoutError):
        return LedgerUnavailable(f"the ledger could not {what}: every connection stayed busy ({text})")
    if isinstance(error, TimeoutError):
        return LedgerUnavailable(f"the ledger could not {what}: the database gave no answer in time")
    if classify(error) is DatabaseFailure.REFUSED or _state(error) == _NOT_UNIQUE:
        return LedgerError(f"the ledger could not {what}: the database refused it: {text}")
    return LedgerUnavailable(f"the ledger could not {what}: {text}{_advice(text)}")


def _classify_state(state: str) -> DatabaseFailure:
    if state in _AGAIN_STATES:
        return DatabaseFailure.AGAIN
    if state in _LOST_STATES or state.startswith("08"):
        return DatabaseFailure.LOST
    return DatabaseFailure.UNAVAILABLE if state.startswith(_UNAVAILABLE_CLASSES) else DatabaseFailure.REFUSED


def _classify_cause(error: BaseException) -> DatabaseFailure:
    cause = error.__cause__
    if cause is not None and cause is not error and isinstance(cause, DRIVER_ERRORS):
        return classify(cause)
    return DatabaseFailure.REFUSED


def is_read_only(error: BaseException) -> bool:
    """Return whether the server takes no writes: a standby, or a primary that was demoted under our connections."""
    return _state(error) == "25006"


def _state(error: BaseException) -> str:
    orig = error.orig if isinstance(error, exc.DBAPIError) else error
    state = getattr(orig, "sqlstate", None)
    return state if isinstance(state, str) else ""


def _first_line(error: BaseException) -> str:
    orig = error.orig if isinstance(error, exc.DBAPIError) and error.orig is not None else error
    lines = str(orig).strip().splitlines()
    text = lines[0] if lines else type(orig).__name__
    return text.removeprefix("<class 'asyncpg.exceptions.").removeprefix("<class '")


def _advice(text: str) -> str:
    if "malformed" in text or "not a database" in text:
        return DAMAGED
    if "full" in text:
        return ". Free space where the ledger lies; nothing is accepted or changed until then"
    return ""
