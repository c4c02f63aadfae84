"""
What the API asks of the rest of the daemon. It is implemented beside the pipeline; here only its surface is known.
"""

from collections.abc import Sequence
from typing import Protocol

from kintsugi.model.answers import (
    SIGNALS,
    DeadLetterSummary,
    Explanation,
    IncidentDetail,
    JudgedSignal,
    KeptText,
    PauseWish,
    Resent,
    RollbackAnswer,
    RunDetail,
    ServiceSummary,
    SignalWish,
)
from kintsugi.model.records import Approval, Incident, Pause, Signal, Target

__all__ = [
    "DeadLetterSummary",
    "Explanation",
    "IncidentDetail",
    "JudgedSignal",
    "KeptText",
    "Operations",
    "PauseWish",
    "Resent",
    "RollbackAnswer",
    "RunDetail",
    "ServiceSummary",
    "SignalWish",
]


class Operations(Protocol):
    """
    The deeds behind the API.

    They raise NotRecorded for what is not there, WrongState or Refused where something stands against it, UsageError
    for what makes no sense, and LedgerUnavailable.
    """

    async def incidents(self, *, limit: int, service: str, open_only: bool) -> Sequence[Incident]:
        """List incidents, newest first."""
        ...

    async def incident(self, incident: str, *, signals: int = SIGNALS, skip: int = 0) -> IncidentDetail:
        """Return everything about one, with so many of its signals after the first `skip`."""
        ...

    async def signals(self, wish: SignalWish) -> Sequence[JudgedSignal]:
        """List signals with their verdicts, newest first."""
        ...

    async def dead_letters(self, *, limit: int, before: str) -> Sequence[DeadLetterSummary]:
        """List what could not be understood, newest first; from `before` on, where that is an id."""
        ...

    async def resend(self, letter: str, *, who: str) -> Resent:
        """Take a dead letter in as if it came now; once it is understood it is a dead letter no more."""
        ...

    async def approve(self, incident: str, *, path: str, plan: str, who: str) -> Approval:
        """Say yes to the plan that was shown (`plan` is its digest); `path` is the step that asked, empty for the run."""
        ...

    async def roll_back(self, incident: str, *, who: str, confirmed: str = "") -> RollbackAnswer:
        """
        Undo a run now; unless the digest of what was shown is `confirmed`, only say what would be done and lost.

        Raises WrongState, with what it is now, when that is another by then.
        """
        ...

    async def pauses(self) -> Sequence[Pause]:
        """List the pauses that hold."""
        ...

    async def pause(self, wish: PauseWish, *, who: str) -> Pause:
        """Begin a pause."""
        ...

    async def resume(self, pause: str, *, who: str, why: str) -> Pause:
        """Lift a pause."""
        ...

    async def services(self) -> Sequence[ServiceSummary]:
        """Tell how each service is."""
        ...

    async def drill(self, service: str, *, who: str) -> Incident:
        """Begin a drill of a service's backups; what becomes of it is the incident's to tell."""
        ...

    async def explain(self, about: Signal | Target) -> Explanation:
        """Say what would become of an alert, or of an object of the cluster, without doing or keeping anything."""
        ...
