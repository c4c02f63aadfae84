"""
The port from the API to the rest of the daemon. It is implemented beside the pipeline; here is only its interface.
"""

from collections.abc import Sequence
from typing import Protocol

from kintsugi.model.api_types import (
    SIGNALS,
    AbortResult,
    DeadLetterResendResult,
    DeadLetterSummary,
    EvaluatedSignal,
    Explanation,
    IncidentDetail,
    PauseRequest,
    RecoverPreview,
    RejectRequest,
    RollbackPreview,
    ServiceExplanation,
    ServiceTree,
    SignalQuery,
)
from kintsugi.model.manual import RecoverRequest
from kintsugi.model.records import Approval, Incident, Pause, Signal, Target
from kubediagnosis.causes import Diagnosis


class Operations(Protocol):
    """
    The operations behind the API.

    They raise NotRecorded for an unknown record, WrongState or Refused for an objection, UsageError for an invalid
    request, and LedgerUnavailable.
    """

    async def incidents(self, *, limit: int, service: str, open_only: bool) -> Sequence[Incident]:
        """List incidents, newest first."""
        ...

    async def incident(self, incident: str, *, signals: int = SIGNALS, skip: int = 0) -> IncidentDetail:
        """Return everything about one, with so many of its signals after the first `skip`."""
        ...

    async def signals(self, request: SignalQuery) -> Sequence[EvaluatedSignal]:
        """List signals with their verdicts, newest first."""
        ...

    async def dead_letters(self, *, limit: int, before: str) -> Sequence[DeadLetterSummary]:
        """List what could not be understood, newest first; from `before` on, where that is an id."""
        ...

    async def resend(self, letter: str, *, who: str) -> DeadLetterResendResult:
        """Take a dead letter in as if it came now; once it is understood it is a dead letter no more."""
        ...

    async def approve(self, incident: str, *, path: str, plan: str, who: str) -> Approval:
        """Approve the plan that was shown (`plan` is its digest); `path` is the step that asked, empty for the run."""
        ...

    async def reject(self, incident: str, request: RejectRequest, *, who: str) -> Approval:
        """
        Reject the plan that was shown, before its run or at a step of it.

        Raises WrongState, with the incident's state, where nothing is asked.
        """
        ...

    async def abort(self, incident: str, *, who: str, why: str) -> AbortResult:
        """
        End an incident without a further step; nothing is undone.

        Raises WrongState, with the reason, where nothing is under way or a rollback is.
        """
        ...

    async def roll_back(self, incident: str, *, who: str, confirmed: str = "") -> RollbackPreview:
        """
        Undo a run now; unless the digest of what was shown is `confirmed`, only say what would be done and lost.

        Raises WrongState, with what it is now, when that is another by then.
        """
        ...

    async def pauses(self) -> Sequence[Pause]:
        """List the pauses that hold."""
        ...

    async def pause(self, request: PauseRequest, *, who: str) -> Pause:
        """Begin a pause."""
        ...

    async def resume(self, of: str, *, who: str, why: str) -> Pause:
        """Lift a pause, or end the rest after an incident's hand-over."""
        ...

    async def services(self) -> ServiceTree:
        """Return how each service is, what holds it and which run is under way, and the run about all of them."""
        ...

    async def drill(self, service: str, *, who: str) -> Incident:
        """Begin a drill of a service's backups; its outcome is in the incident."""
        ...

    async def recover(self, request: RecoverRequest, *, who: str) -> RecoverPreview:
        """
        Start a runbook by hand; unless the digest of what was shown is given, only show its plan and what the guards say.

        Raises WrongState, with the reason, when it may not start or is another plan by then.
        """
        ...

    async def diagnose(self, target: Target) -> Diagnosis:
        """Return what is wrong with a workload, by what is read of it now; nothing is changed or kept."""
        ...

    async def explain(self, about: Signal | Target) -> Explanation:
        """Return what would become of an alert, or of an object of the cluster, without doing or keeping anything."""
        ...

    def missing_workloads(self) -> tuple[str, ...]:
        """Return the services whose workload does not exist."""
        ...

    async def manifest(self, service: str) -> bytes:
        """Return the workload of a service as it was last good, in JSON. Raises WrongState where values of it are not kept."""
        ...

    async def explain_service(self, service: str) -> ServiceExplanation:
        """Return what a service is and which rules it has, with where each value comes from."""
        ...
