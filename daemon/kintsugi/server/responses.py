"""
What the API answers where it is not a record itself: lists by name, counts, errors.

Every answer has a type here, in `kintsugi.model.api_types` or in `kintsugi.model.records`: the document of the API is made from them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from kintsugi.model.api_types import DeadLetterSummary, EvaluatedSignal
from kintsugi.model.records import Incident, Pause
from kintsugi.server.readiness import Component


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorResponse:
    """Why something was not done, in a sentence for a person."""

    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryResponse:
    """What became of a delivery: alerts that are committed, and those that could not be understood and are kept."""

    accepted: int
    dead_letters: int


@dataclass(frozen=True, kw_only=True, slots=True)
class IncidentList:
    """Incidents, the newest first."""

    incidents: tuple[Incident, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SignalList:
    """Signals with their verdicts, the newest first."""

    signals: tuple[EvaluatedSignal, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetterList:
    """What could not be understood, the newest first."""

    dead_letters: tuple[DeadLetterSummary, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class PauseList:
    """The pauses that hold."""

    pauses: tuple[Pause, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadinessDetail:
    """Whether the daemon is ready, and of each part that is waited for, why."""

    ready: bool
    waiting_for: Mapping[Component, str]
