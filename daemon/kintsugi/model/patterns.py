"""Patterns of log lines and their meanings: named lists, checked and frozen."""

from dataclasses import dataclass
from enum import StrEnum

from kintsugi.model.source_position import SourcePosition


class Severity(StrEnum):
    """The severity of a log line."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pattern:
    """The meaning of log lines that a regular expression or one of some SQLSTATE codes matches."""

    match: str
    sqlstate: tuple[str, ...] = ()
    means: str
    severity: Severity


@dataclass(frozen=True, kw_only=True, slots=True)
class Patterns:
    """A named list of patterns for a step's `scan`; the first that matches a line counts."""

    name: str
    patterns: tuple[Pattern, ...]
    digest: str
    place: SourcePosition
