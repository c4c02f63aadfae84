"""
The answers of the API that are not records: lists by name, counts, errors.

Every answer has a type here, in `kintsugi.model.api_types` or in `kintsugi.model.records`: the document of the API is made from them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from kintsugi.model.api_types import DeadLetterSummary, EvaluatedSignal
from kintsugi.model.records import Incident, Pause


class Component(StrEnum):
    """A part that must work before the daemon is ready."""

    LEDGER = "ledger"
    CLOCK = "clock"
    CACHES = "caches"
    EVENT_LOOP = "event-loop"


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorResponse:
    """The reason of a refusal or failure, in a sentence for a person."""

    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryResponse:
    """The outcome of a delivery: the numbers of committed alerts and of dead letters."""

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
    """Dead letters, the newest first."""

    dead_letters: tuple[DeadLetterSummary, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class PauseList:
    """The active pauses."""

    pauses: tuple[Pause, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadinessDetail:
    """
    Whether the daemon is ready, and each part that it waits for, with the reason.

    `missing_workloads` are the services whose workload does not exist: the daemon is ready all the same.
    """

    ready: bool
    waiting_for: Mapping[Component, str]
    missing_workloads: tuple[str, ...]
